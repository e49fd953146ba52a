//! What the engine made of a sequence, as far as limits are concerned.

use std::collections::BTreeMap;

use wf_engine::run::{Fact, Status};
use wf_engine::{Operator, RunId};

use super::sequence::{Sequence, since};
use crate::case::Case;
use crate::journal;
use crate::world::{self, Weather, World};

/// What came of a sequence. Starts are named by their numbers, times are since the beginning.
#[derive(Debug)]
pub(super) struct Trace {
    /// Every attempt: when, of which start, and the step.
    pub(super) calls: Vec<(i64, usize, String)>,
    /// The runs that there are.
    pub(super) runs: BTreeMap<usize, Ended>,
    /// The starts that were dropped: when, the rule, and the run that it gave way to.
    pub(super) dropped: BTreeMap<usize, (i64, String, Option<usize>)>,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) at: Option<i64>,
    pub(super) status: Status,
    /// Why it was cancelled, if it was.
    pub(super) reason: Option<String>,
}

impl Trace {
    /// Runs a sequence.
    pub(super) fn of(sequence: &Sequence) -> Trace {
        let case = Case::of("model", sequence.text());
        let world = world::run(&case, &Weather::default());
        assert_eq!(world.answers, [""; 0], "nobody is refused anything");
        assert_eq!(journal::leftovers(&world.store), [], "nothing is left behind");
        Trace::from(&world)
    }

    /// The trace for a reader.
    pub(super) fn text(&self) -> String {
        let calls = self.calls.iter().map(|(at, n, step)| format!("# {at}ms n{n} {step}\n"));
        let dropped = self.dropped.iter().map(|(n, dropped)| format!("# n{n} {dropped:?}\n"));
        let runs = self.runs.iter().map(|(n, ended)| format!("# n{n} {ended:?}\n"));
        calls.chain(dropped).chain(runs).collect()
    }

    fn from(world: &World) -> Trace {
        let number = |id: &str| -> usize { id.trim_start_matches('n').parse().expect("starts are numbered") };
        let numbers: BTreeMap<RunId, usize> =
            world.reports.iter().map(|report| (report.run, number(&report.event.id))).collect();
        let calls = world.calls.iter().map(|call| (since(world.begin, call.at), numbers[&call.run], call.step.clone()));
        let mut runs = BTreeMap::new();
        let mut reasons: BTreeMap<RunId, String> = BTreeMap::new();
        for history in journal::check("model", &world.store) {
            let mut records = history.records.into_iter();
            let reason = records.find_map(|record| match record.fact {
                Fact::CancelRequested { reason } => Some(reason),
                _ => None,
            });
            // Runs are called by their numbers here.
            let named = |text: String| {
                numbers.iter().fold(text, |text, (run, n)| text.replace(&run.to_string(), &format!("n{n}")))
            };
            reasons.extend(reason.map(|reason| (history.id, named(reason))));
        }
        for report in &world.reports {
            let at = report.ended_at.map(|at| since(world.begin, at));
            let reason = reasons.remove(&report.run);
            runs.insert(numbers[&report.run], Ended { at, status: report.status, reason });
        }
        Trace { calls: calls.collect(), runs, dropped: dropped(world, &numbers) }
    }
}

fn dropped(world: &World, numbers: &BTreeMap<RunId, usize>) -> BTreeMap<usize, (i64, String, Option<usize>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let operator = Operator::of(world.store.clone()).await.unwrap();
        let events = operator.events(&Default::default(), None, usize::MAX).await.unwrap();
        let ids: BTreeMap<_, _> = events.items.into_iter().map(|event| (event.event, event.id)).collect();
        let starts = operator.dropped_starts(None, usize::MAX).await.unwrap();
        let dropped = starts.into_iter().map(|start| {
            let n = ids[&start.event].trim_start_matches('n').parse().expect("starts are numbered");
            (n, (since(world.begin, start.at), start.limit, start.run.map(|run| numbers[&run])))
        });
        dropped.collect()
    })
}
