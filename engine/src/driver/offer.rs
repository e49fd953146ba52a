//! Offers: births that the limits of their workflows may keep from happening, judged in the commit of their event.

use std::sync::Arc;

use serde_json::Value as Json;
use wf_dsl::Time;

use super::birth::Birth;
use super::history::JournalSize;
use crate::ids::FrameId;
use crate::kind::BoxFuture;
use crate::limits::{self, Start, Verdict};
use crate::rows;
use crate::run::{Fact, Record, Refusal, Run, Status, Stored};
use crate::store::{BornOf, Commit, CommitError, Gate, Key, NewRun, ROW_VERSION, Receipt, Row, Rows, Store, Write};

/// A birth that is to be judged.
#[derive(Clone)]
pub(super) struct Offer {
    pub(super) start: Start,
    /// What the birth writes.
    pub(super) born: Commit,
    /// What is written instead of an invoked run that is not let start.
    pub(super) stand_in: Option<Box<StandIn>>,
}

/// An invoked run that is not let start: it is born at its end, with the reason, for its caller to find.
#[derive(Clone)]
pub(super) struct StandIn {
    pub(super) run: Run,
    pub(super) born_of: BornOf,
    pub(super) now: Time,
}

impl Offer {
    /// Adds to a commit what becomes of the offer.
    fn judge(&self, rows: &mut Rows, commit: &mut Commit) -> Verdict {
        let verdict = limits::admit(&self.start, rows, commit);
        let mut births = match &verdict {
            Verdict::Gathered { .. } => return verdict,
            Verdict::Start | Verdict::Wait { .. } => self.born.clone(),
            Verdict::Drop(dropped) => {
                commit.writes.push(Write::Put(dropped.row(self.start.at, self.start.run)));
                self.stand_in.as_ref().map(|stand_in| stand_in.birth(dropped.refusal())).unwrap_or_default()
            }
        };
        if let Verdict::Wait { .. } = verdict {
            births.runs.iter_mut().for_each(|run| run.behind = self.start.unique());
        }
        commit.runs.append(&mut births.runs);
        commit.writes.append(&mut births.writes);
        verdict
    }
}

impl StandIn {
    fn birth(&self, refusal: Refusal) -> Commit {
        let StandIn { run, born_of, now } = self;
        let (mut run, now, failure) = (run.clone(), *now, refusal.failure());
        let cancelled = Fact::CancelRequested { reason: failure.message.clone() };
        let ended = Fact::RunEnded { status: Status::Cancelled, output: Stored::default(), failure: Some(failure) };
        let records = [cancelled, ended].map(|fact| Record { frame: FrameId::ROOT, at: now, fact });
        records.iter().for_each(|record| run.apply(record));
        let mut commit = Commit::default();
        let head = rows::head_json(&run, &rows::birth_json(&records), JournalSize::default());
        let ended = Key::ended(run.id.workflow, run.head.status as u8, now, run.id);
        commit.writes.push(Write::Put(Row { key: ended, value: vec![ROW_VERSION] }));
        commit.writes.extend(run.head.parent.as_ref().map(|caller| Write::wake(caller.run, caller.order)));
        commit.runs.push(NewRun {
            run: run.id,
            born_of: *born_of,
            head,
            version: run.version,
            ready: None,
            gate: Gate::default(),
            behind: None,
            claimed: false,
        });
        commit
    }
}

/// What a rule says before offers are judged.
pub(super) struct Ruled {
    pub(super) answer: Json,
    /// The offers count.
    pub(super) goes_on: bool,
}

/// A commit that was decided: the answer of its rule, and the verdicts on its offers.
pub(super) type Decided = (Receipt, Json, Vec<Verdict>);

/// Commits what a rule makes of a commit, given these rows, and what becomes of offers. Under way when this returns, like every commit.
pub(super) fn decide_with(
    store: &Arc<dyn Store>,
    keys: Vec<Key>,
    offers: Vec<Offer>,
    mut commit: Commit,
    rule: impl Fn(&mut Rows, &mut Commit) -> Ruled + Send + Sync + 'static,
) -> BoxFuture<'static, Result<Decided, CommitError>> {
    let keys: Vec<Key> = keys.into_iter().chain(offers.iter().flat_map(|offer| offer.start.keys())).collect();
    if keys.is_empty() {
        let Ruled { answer, .. } = rule(&mut Rows::new(), &mut commit);
        let committed = store.commit(commit);
        return Box::pin(async move { Ok((committed.await?, answer, Vec::new())) });
    }
    let decided = store.decide(
        keys,
        Box::new(move |rows| {
            let (mut rows, mut commit) = (rows.clone(), commit.clone());
            let Ruled { answer, goes_on } = rule(&mut rows, &mut commit);
            let offers = offers.iter().filter(|_| goes_on);
            let verdicts: Vec<Verdict> = offers.map(|offer| offer.judge(&mut rows, &mut commit)).collect();
            (commit, serde_json::json!([answer, verdicts]))
        }),
    );
    Box::pin(async move {
        let (receipt, answer) = decided.await?;
        let (answer, verdicts) = serde_json::from_value(answer).unwrap_or_default();
        Ok((receipt, answer, verdicts))
    })
}

/// Takes the offers out of births, to be judged in their order.
pub(super) fn offers_of(births: &mut [Birth]) -> Vec<Offer> {
    births.iter_mut().filter_map(|birth| birth.offer.take().map(|offer| *offer)).collect()
}

/// Tells births what became of their offers.
pub(super) fn tell(births: &mut [Birth], verdicts: Vec<Verdict>) {
    let judged = births.iter_mut().filter(|birth| birth.is_judged);
    judged.zip(verdicts).for_each(|(birth, verdict)| birth.verdict = Some(verdict));
}
