//! The line: runs that must be claimed through a gate before they begin or go on.

use super::active::{Active, Hint};
use super::load::Loaded;
use super::{Claim, Done, Driver, Loading};
use crate::ids::RunId;
use crate::run::Input;
use crate::store::{Commit, CommitError, Fence, Guard, Ready, Write};

/// Runs that stand in line and are kept in memory meanwhile, so that those that are claimed soon need not be loaded.
const STANDBY_MAX: usize = 4_096;

impl Driver {
    /// A run may not go on yet. Before it has begun it stands in line from its birth on; after that it lines up again.
    pub(super) fn hold(&mut self, mut active: Active) {
        let id = active.run.id;
        if !active.run.has_begun() {
            self.queue_changed = true;
            if self.standby.len() < STANDBY_MAX {
                self.standby.insert(id, active);
            }
            return;
        }
        let held = Fence { version: active.committed, epoch: 0 };
        if active.is_at_rest() && !active.has_place() {
            return self.parts.store.release(&[(id, held)]);
        }
        let guard = Guard::Run { run: id, fence: held };
        let gate = active.run.head.terms.as_ref().map(|terms| terms.gate_of_woken()).unwrap_or_default();
        let ready = Ready::woken(id);
        let mut commit = Commit { guards: vec![guard], ..Commit::default() };
        commit.writes.extend(active.leave_queue());
        commit.writes.push(Write::Queue { run: id, ready, order: active.run.position, gate });
        self.keep_clock(&mut commit, self.now);
        let committed = self.parts.store.commit(commit);
        self.spawn(async move { Done::LinedUp(id, committed.await.map(drop)) });
        // What it looks at comes too late: it looks again when it has come through the line.
        active.hints.retain(|hint| !matches!(hint, Hint::Look(_) | Hint::Inbox(_)));
        self.standby.insert(id, active);
    }

    /// Gives inputs to a run that is in memory while it stands in line. False if it was dropped: one that has not begun,
    /// as far as is known here, may have begun before its birth was heard of, and what wakes it may be meant for that.
    pub(super) fn wake_in_line(&mut self, id: RunId, inputs: &[Input], queued: bool) -> bool {
        let Some(mut active) = self.standby.remove(&id) else { return false };
        if !active.run.has_begun() && (queued || !inputs.is_empty()) {
            return false;
        }
        active.queued |= queued;
        active.inputs.extend(inputs.iter().cloned());
        if !active.is_held() {
            self.active.insert(id, active);
            self.step(id);
        } else if queued {
            // The row that has woken it again was claimed, and nobody comes through a line who is claimed.
            self.hold(active);
        } else {
            self.standby.insert(id, active);
        }
        true
    }

    /// A run that goes on stands in line now. What is held of it is its claim from before: a look at the queue that is under
    /// way may have taken it through its gate, and that is not to be given back.
    pub(super) fn lined_up(&mut self, run: RunId, result: Result<(), CommitError>) {
        if self.claiming {
            return self.lined.push((run, result));
        }
        if let Err(error) = &result {
            tracing::error!(%run, %error, "a run that was woken could not line up");
        }
        if let Err(CommitError::NotCommitted(_) | CommitError::Unknown(_)) = &result {
            // The store takes no commits any more: claimed again, the run would only be held again, for ever.
            self.standby.remove(&run);
            return;
        }
        self.queue_changed = true;
        // It may have been claimed and gone on before this was heard of.
        let Some(active) = self.standby.get(&run) else { return };
        self.parts.store.release(&[(run, Fence { version: active.committed, epoch: 0 })]);
        // What it was told is in the store, too: a row of the queue, a timer that is due, a request.
        if result.is_err() || self.standby.len() > STANDBY_MAX {
            self.standby.remove(&run);
        }
    }

    /// A run was claimed: it begins, goes on, or looks for what has woken it.
    pub(super) fn claimed_one(&mut self, claim: Claim) {
        let run = claim.run;
        let in_line = claim.passed || claim.row.as_queue().is_none_or(|(ready, ..)| !ready.is_woken());
        if !in_line {
            return self.wake(run, Vec::new(), true);
        }
        if let Some(active) = self.standby.remove(&run).filter(|active| active.committed == claim.fence.version) {
            self.active.insert(run, active);
        }
        if self.active.contains_key(&run) {
            return self.pass(claim);
        }
        match self.loading.get_mut(&run) {
            Some(loading) => loading.claim = Some(claim),
            None => self.load(run, Loading { inputs: Vec::new(), queued: false, claim: Some(claim) }),
        }
    }

    /// A run that is in memory has come through its line.
    pub(super) fn pass(&mut self, claim: Claim) {
        let Some(active) = self.active.get_mut(&claim.run) else { return };
        active.passed = true;
        active.line = Some(claim.row);
        active.pace = claim.pace;
        if active.run.has_begun() {
            self.look_around(claim.run);
        } else {
            active.inputs.push_front(Input::Start);
        }
        self.step(claim.run);
    }

    /// A run was read that needs a claim and has none: it is told only what needs none.
    pub(super) fn is_in_line(loaded: &Loaded, inputs: &[Input], queued: bool) -> bool {
        let begun = loaded.run.has_begun();
        loaded.run.needs_claim() && inputs.is_empty() && !(queued && begun)
    }
}
