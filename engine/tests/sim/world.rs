//! A world: one schedule from its beginning to the end of its last process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use wf_engine::store::{Key, Table};
use wf_engine::{BoxFuture, Clock, Engine, ErrorKind, Event, MemoryStore, Period, Retention, RunId, Store, Time};

use crate::chance;
use crate::example::{Act, Example, What};
use crate::journal::{self, History};
use crate::pruned;
use crate::schedule::{Death, Schedule};
use crate::store::{Ledger, SimStore};
use crate::virtual_time::VirtualClock;
use crate::witness::{Call, Log, Witness};

/// When to give up on what never comes to rest.
const HORIZON: Duration = Duration::from_secs(100 * 86_400);
/// The same where schedules start runs all the time.
const CRON_HORIZON: Duration = Duration::from_secs(1_800);

/// What whoever acted was told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It is done, and durable.
    Done,
    /// An event with this id was there before.
    Duplicate,
    /// It was refused.
    Refused,
    /// A cancelled run.
    Cancelled(RunId),
    /// The process ended before the answer came, and nobody asks again.
    Unknown,
}

/// While a process was there and its store took commits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Up {
    pub(crate) from: Time,
    pub(crate) until: Time,
}

/// What came of a schedule.
pub(crate) struct World {
    /// Everything that ever was: what is there, and what retention took.
    pub(crate) store: MemoryStore,
    /// How long things are kept that nobody needs, if not for good.
    pub(crate) retention: Option<Period>,
    /// Whether all of that was over at the end.
    pub(crate) has_waited: bool,
    pub(crate) histories: Vec<History>,
    pub(crate) calls: Vec<Call>,
    pub(crate) ledger: Ledger,
    pub(crate) acts: Vec<(Act, Option<Answer>)>,
    pub(crate) ups: Vec<Up>,
    /// Everything has come to rest; otherwise it was given up at the horizon.
    pub(crate) quiet: bool,
    pub(crate) now: Time,
    /// No answer of a store took time.
    pub(crate) is_prompt: bool,
    /// Commits of the last process.
    pub(crate) writes: usize,
}

/// How a process ended.
enum End {
    /// Everything has come to rest, or never will.
    Rest { quiet: bool },
    /// It was killed.
    Crash,
}

/// Runs a schedule. A panic is what a check found.
pub(crate) fn run(example: &Example, schedule: &Schedule) -> World {
    let log = Log::default();
    let kinds: Vec<_> = example
        .kinds(chance::random(&example.name, schedule.seed, "kinds"))
        .into_iter()
        .map(|kind| Arc::new(Witness { kind, log: log.clone() }) as Arc<dyn wf_engine::StepKind>)
        .collect();
    let mut acts: Vec<(Act, Option<Answer>)> = schedule.acts.iter().map(|act| (act.clone(), None)).collect();
    let mut rows = Vec::new();
    let mut ups = Vec::new();
    let mut now = example.begin;
    for (number, process) in schedule.processes.iter().enumerate() {
        let number = number as u64;
        log.ledger.lock().unwrap().process = log.process.load(Ordering::Relaxed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let purpose = format!("store {number}");
        let random = chance::random(&example.name, schedule.seed, &purpose);
        let (end, store) = runtime.block_on(async {
            let clock = VirtualClock::starting_at(now);
            let (fault, at) = match process.death {
                Some(Death::AtCommit(at, fault)) => (Some((at, fault)), None),
                Some(Death::At(at)) => (None, Some(at.max(now))),
                None => (None, None),
            };
            let store = SimStore::new(
                std::mem::take(&mut rows),
                Arc::new(clock),
                log.ledger.clone(),
                process.pace,
                fault,
                random,
            );
            let builder = Engine::builder()
                .store(store.clone())
                .clock(clock)
                .kinds(kinds.iter().cloned())
                .shared_plans(example.plans.iter().cloned())
                .secrets(example.secrets.clone())
                .retention(schedule.retention.map(|kept| Retention { runs: kept, events: kept }))
                .seed(schedule.seed << 20 | number << 16);
            let from = now;
            let end = tokio::select! {
                biased;
                () = store.died() => End::Crash,
                () = killed(&clock, at) => End::Crash,
                end = live(example, builder, schedule.retention, (&clock, &store), &mut acts) => end,
            };
            now = clock.now();
            ups.push(Up { from, until: store.broken_at().unwrap_or(now) });
            (end, store)
        });
        log.over.store(true, Ordering::Relaxed);
        drop(runtime);
        log.over.store(false, Ordering::Relaxed);
        log.process.fetch_add(1, Ordering::Relaxed);
        if let End::Rest { quiet } = end {
            let left = MemoryStore::from_rows(store.rows().rows()).unwrap();
            journal::check(&example.name, &left);
            check_derived(&left);
            let ledger = std::mem::take(&mut *log.ledger.lock().unwrap());
            let everything = ledger.pruned.added_to(&left);
            return World {
                histories: journal::check(&example.name, &everything),
                calls: std::mem::take(&mut log.calls.lock().unwrap()),
                ledger,
                retention: schedule.retention,
                has_waited: quiet && waits_for_retention(example, schedule.retention).is_some(),
                acts,
                ups,
                quiet,
                now,
                is_prompt: schedule.processes.iter().all(|process| process.pace.is_prompt()),
                writes: store.writes(),
                store: everything,
            };
        }
        rows = store.crash();
        let left = MemoryStore::from_rows(rows.clone()).unwrap();
        journal::check(&example.name, &left);
        check_derived(&left);
        now.0 += process.outage + process.jump;
    }
    unreachable!("nothing ends the last process but the end");
}

/// Rows that follow from others are what they must be.
fn check_derived(store: &MemoryStore) {
    let checked = wf_engine::check(store, false).now_or_never().expect("the model answers at once").unwrap();
    assert!(checked.differences.is_empty(), "{:?}", checked.differences);
}

/// Resolves when the process is to be killed.
async fn killed(clock: &VirtualClock, at: Option<Time>) {
    match at {
        Some(at) => reach(clock, at).await,
        None => std::future::pending().await,
    }
}

async fn reach(clock: &VirtualClock, at: Time) {
    while clock.now() < at {
        clock.sleep_until(at, false).await;
    }
}

/// One process, from its start to its end.
async fn live(
    example: &Example,
    builder: wf_engine::Builder,
    retention: Option<Period>,
    (clock, store): (&VirtualClock, &SimStore),
    acts: &mut [(Act, Option<Answer>)],
) -> End {
    let engine = match builder.build().await {
        Ok(engine) => engine,
        // The store does not take commits: whoever started the process ends it.
        Err(error) if store.broken_at().is_some() => {
            drop(error);
            return std::future::pending().await;
        }
        Err(error) => panic!("the engine does not start: {error}"),
    };
    let mut answers: FuturesUnordered<BoxFuture<'_, (usize, Option<Answer>)>> = FuturesUnordered::new();
    let mut next = 0;
    loop {
        while acts.get(next).is_some_and(|(_, answer)| answer.is_some()) {
            next += 1;
        }
        let at = acts.get(next).map(|(act, _)| Time(example.begin.0 + act.at));
        tokio::select! {
            biased;
            Some((number, answer)) = answers.next(), if !answers.is_empty() => {
                if answer.is_some() {
                    acts[number].1 = answer;
                }
            }
            () = reach(clock, at.unwrap_or(Time(0))), if at.is_some() => {
                let (act, answer) = &mut acts[next];
                if matches!(act.what, What::Start { .. }) {
                    // It has no id by which a second try would be known, so there is none.
                    *answer = Some(Answer::Unknown);
                }
                answers.push(Box::pin(acting(engine.clone(), store.clone(), next, act.what.clone())));
                next += 1;
            }
            else => break,
        }
    }
    reach(clock, Time(example.begin.0 + example.watched)).await;
    let horizon = if example.watched > 0 { CRON_HORIZON } else { HORIZON };
    let mut wait = waits_for_retention(example, retention);
    loop {
        let quiet = match tokio::time::timeout(horizon, engine.quiet()).await {
            // An engine that cannot note what it found does not start; whoever started the process ends it.
            _ if store.broken_at().is_some() => return std::future::pending().await,
            Ok(Ok(())) => true,
            Ok(Err(error)) => panic!("the engine's loop has ended: {error}"),
            Err(_) => false,
        };
        match wait.take().filter(|_| quiet) {
            Some(wait) => reach(clock, Time(clock.now().0 + wait)).await,
            None => return End::Rest { quiet },
        }
    }
}

/// How long it takes until retention has taken all that nobody needs, in milliseconds. Schedules begin more meanwhile.
fn waits_for_retention(example: &Example, retention: Option<Period>) -> Option<i64> {
    let kept = retention.filter(|_| example.watched == 0)?;
    Some(kept.0 + 2 * pruned::LEFT_MAX)
}

/// Does one thing; none if whoever did it has to try again.
async fn acting(engine: Engine, store: SimStore, number: usize, what: What) -> (usize, Option<Answer>) {
    let told = match what {
        What::Send { name, data, id, ts } => {
            let sent = engine.send(Event { ts, id: Some(id), ..Event::new(name, data) }).await;
            sent.map(|sent| if sent.duplicate { Answer::Duplicate } else { Answer::Done })
        }
        What::Start { workflow, data } => engine.start(&workflow, data).await.map(|_| Answer::Done),
        What::Cancel { workflow, nth } => match open_run(&engine, &store, workflow.as_deref(), nth).await {
            Some(run) => engine.cancel(run, "as the schedule says").await.map(|()| Answer::Cancelled(run)),
            None => Ok(Answer::Refused),
        },
        // Processes end as the schedule says.
        What::Down(_) => Ok(Answer::Done),
    };
    let answer = match told {
        Ok(answer) => Some(answer),
        Err(_) if store.broken_at().is_some() => None,
        Err(error) if error.kind() == ErrorKind::Stopped => panic!("the engine's loop has ended: {error}"),
        Err(_) => Some(Answer::Refused),
    };
    (number, answer)
}

async fn open_run(engine: &Engine, store: &SimStore, workflow: Option<&str>, nth: usize) -> Option<RunId> {
    let heads = store.rows().scan(Key::all(Table::Head), false, usize::MAX).await.ok()?;
    let ended = store.rows().scan(Key::all(Table::Ended), false, usize::MAX).await.ok()?;
    let ended: BTreeSet<RunId> = ended.iter().filter_map(|row| row.key.as_ended()).map(|ended| ended.run).collect();
    let mut open = Vec::new();
    for run in heads.iter().filter_map(|row| row.key.as_head()).filter(|run| !ended.contains(run)) {
        let is_one = match workflow {
            Some(workflow) => engine.report(run).await.ok()?.workflow == workflow,
            None => true,
        };
        open.extend(is_one.then_some(run));
    }
    (!open.is_empty()).then(|| open[nth % open.len()])
}
