//! The commit of a run's turns on its way to the store.

use std::sync::Arc;

use serde_json::Value as Json;
use wf_dsl::Time;

use super::offer::{Decided, Offer, Ruled, decide_with};
use super::{Done, Driver, KeyAnswerOf, Settled};
use crate::ids::{FrameId, RunId};
use crate::kind::BoxFuture;
use crate::limits::{self, First};
use crate::once::{self, KeyUse, KeyVerdict};
use crate::store::{Commit, CommitError, Key, LimitId, Ready, Store, StoreError, read_gate};

/// What is decided with what a run commits.
pub(super) struct Submission {
    pub(super) run: RunId,
    /// Explicit keys that it wants or gives up.
    pub(super) keys: Vec<KeyUse>,
    /// Births that are to be judged.
    pub(super) offers: Vec<Offer>,
    pub(super) now: Time,
}

/// The end of a run that is open under the key of a `unique`, or waits under it.
#[derive(Clone)]
struct End {
    id: LimitId,
    /// The run's row, if it waits.
    mine: Key,
    /// The run that is next.
    first: Option<First>,
}

impl Driver {
    /// Submits a commit; it is under way when this returns, unless it ends a run that others wait for.
    pub(super) fn submit(&mut self, commit: Commit, submission: Submission, end: Option<(LimitId, Key)>) {
        let store = self.parts.store.clone();
        let run = submission.run;
        let wishes = submission.keys.iter().map(|key| (key.held.frame, key.held.since)).collect();
        let submission = Arc::new(submission);
        let Some((id, mine)) = end else {
            let decided = decide(commit, &submission, &store, None);
            return self.spawn(async move { Done::Committed(run, decided.await.map(|it| settled(it, wishes))) });
        };
        self.spawn(async move {
            loop {
                let first = match first_behind(&*store, run.workflow, id).await {
                    Ok(first) => first,
                    Err(error) => return Done::Committed(run, Err(CommitError::NotCommitted(error))),
                };
                let end = End { id, mine: mine.clone(), first };
                match decide(commit.clone(), &submission, &store, Some(end)).await {
                    // The one that was first is gone.
                    Ok((_, Json::Null, _)) => {}
                    decided => return Done::Committed(run, decided.map(|it| settled(it, wishes))),
                }
            }
        });
    }
}

fn decide(
    commit: Commit,
    submission: &Arc<Submission>,
    store: &Arc<dyn Store>,
    end: Option<End>,
) -> BoxFuture<'static, Result<Decided, CommitError>> {
    let Submission { run, keys, offers, now, .. } = &**submission;
    let (run, now) = (*run, *now);
    let mut wanted: Vec<Key> = keys.iter().flat_map(|key| once::key_rows(&key.hash, now)).collect();
    if let Some(End { id, mine, first }) = &end {
        wanted.extend([limits::unique_row(*id), mine.clone()]);
        wanted.extend(first.iter().map(|first| first.row.clone()));
    }
    let shared = submission.clone();
    decide_with(store, wanted, offers.clone(), commit, move |rows, commit| {
        if let Some(End { id, mine, first }) = &end
            && !limits::settle(run, mine, *id, first.as_ref(), rows, commit)
        {
            *commit = Commit::default();
            return Ruled { answer: Json::Null, goes_on: false };
        }
        let verdicts = shared.keys.iter().map(|key| once::judge(key, now, rows, commit));
        let verdicts: Vec<KeyVerdict> = verdicts.collect();
        let answer = serde_json::to_value(verdicts).expect("verdicts are JSON");
        Ruled { answer, goes_on: true }
    })
}

fn settled((receipt, answer, verdicts): Decided, wishes: Vec<(FrameId, u64)>) -> Settled {
    let told: Vec<KeyVerdict> = serde_json::from_value(answer).unwrap_or_default();
    let keys = wishes.into_iter().zip(told).map(|((frame, since), verdict)| {
        let woken = verdict.woken.iter().map(|waiter| (waiter.run, waiter.frame)).collect();
        KeyAnswerOf { frame, since, answer: verdict.answer, woken }
    });
    Settled { receipt, keys: keys.collect(), verdicts }
}

/// The first of the runs that wait for the end of the one that is open under a key.
async fn first_behind(store: &dyn Store, workflow: u16, id: LimitId) -> Result<Option<First>, StoreError> {
    let row = store.scan(Key::line_of(id), false, 1).await?.pop();
    Ok(row.and_then(|row| {
        let (priority, order, run) = row.key.as_line()?;
        let gate = read_gate(&row.value);
        Some(First { row: row.key, run, ready: Ready { workflow, priority }, order, gate })
    }))
}
