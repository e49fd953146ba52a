//! The runs that a run waits for: those that it invoked, and those that stand for one that was not let start.
//!
//! The wait for a run that somebody else started has its row before the run is looked at, and the commit that ends that
//! run says that those who wait are to be told. So it has either ended when it is looked at, or the row is found.

use std::collections::BTreeSet;

use wf_dsl::Value;

use super::active::Hint;
use super::commit::{end_of, result_of};
use super::{Done, Driver, load};
use crate::error::Error;
use crate::ids::{FrameId, RunId};
use crate::registry::Registry;
use crate::run::{Failure, Input, Place, Refusal, Tie};
use crate::store::{Key, Store};

/// How a run ended that another one waits for.
pub(super) type End = Result<Value, Failure>;

/// A look at a run that a frame of another one waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// The run that waits.
    run: RunId,
    frame: FrameId,
    /// The run that it waits for.
    other: RunId,
    tie: Tie,
    /// Which look it is.
    number: u64,
    /// What the commits of the run that waits have written is there.
    settled: bool,
}

impl Driver {
    /// Looks whether a run has ended that a frame of another one waits for.
    pub(super) fn look_at(&mut self, run: RunId, frame: FrameId, other: RunId, tie: Tie) {
        let Some(active) = self.active.get_mut(&run) else { return };
        self.looks += 1;
        let look = Look { run, frame, other, tie, number: self.looks, settled: active.in_flight.is_none() };
        active.hints.insert(Hint::Look(look.number));
        let (store, registry) = (self.parts.store.clone(), self.parts.registry.clone());
        self.spawn(async move { Done::LookedAt(look, look.read(&*store, &registry).await) });
    }

    pub(super) fn looked_at(&mut self, look: &Look, end: Result<Option<End>, Error>) {
        let Look { run, frame, other, number, .. } = *look;
        let Some(active) = self.active.get_mut(&run) else { return };
        active.hints.remove(&Hint::Look(number));
        match end {
            Ok(end) => active.inputs.extend(end.map(|result| Input::ChildEnded { frame, run: other, result })),
            Err(error) => tracing::error!(%run, %other, %error, "a run that another one waits for cannot be read"),
        }
        self.step(run);
    }
}

impl Look {
    /// What the frame is to be told; nothing if it has to wait.
    async fn read(&self, store: &dyn Store, registry: &Registry) -> Result<Option<End>, Error> {
        let Look { run, other, tie, .. } = *self;
        Ok(match (load::load(store, registry, other).await?, tie) {
            (Some(other), _) if other.run.is_ended() => Some(result_of(&other.run)),
            (Some(_), Tie::Child) => None,
            (Some(_), Tie::Detached) => Some(Ok(Value::Null)),
            (Some(_), Tie::Referred) => {
                let is_circle = waits_for(store, registry, other, run).await?;
                is_circle.then(|| Err(Refusal::Circle.failure()))
            }
            (None, Tie::Referred) => Some(Err(Refusal::Gone.failure())),
            (None, Tie::Detached) if self.settled => Some(Err(Refusal::Gone.failure())),
            // The commit that gives birth to it is under way.
            (None, _) => None,
        })
    }
}

/// Whether a run waits for another one, itself or through those that it waits for: from there on, upwards.
async fn waits_for(store: &dyn Store, registry: &Registry, run: RunId, other: RunId) -> Result<bool, Error> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![other]);
    while let Some(awaited) = next.pop() {
        if awaited == run {
            return Ok(true);
        }
        if !seen.insert(awaited) {
            continue;
        }
        let mut waiters: Vec<(RunId, FrameId)> = Vec::new();
        if let Some(row) = load::one(store, Key::head(awaited)).await? {
            let parent = load::head(store, awaited, &row).await?.head.parent;
            waiters.extend(parent.map(|caller| (caller.run, caller.frame)));
        }
        let rows = load::scan(store, Key::waits_for(end_of(awaited))).await?;
        waiters.extend(rows.iter().filter_map(|row| row.key.as_wait()));
        for (waiter, frame) in waiters {
            let Some(loaded) = load::load(store, registry, waiter).await? else { continue };
            let place = loaded.run.frames.get(&frame).filter(|_| !loaded.run.is_ended()).map(|frame| &frame.place);
            // It may have given up waiting.
            if matches!(place, Some(Place::Child { run, .. }) if *run == awaited) {
                next.push(waiter);
            }
        }
    }
    Ok(false)
}
