//! Runs that have begun go on in a paused workflow, also when the process ended while they were at work.
//!
//! Such a run still stands where it stood before it began, since nothing is written when a run is claimed; only its
//! journal says that it has begun. So the queue of a workflow is looked through when the workflow is paused, or was when
//! the process began. Nothing of it is claimed meanwhile.

use std::collections::HashSet;

use super::{Done, Driver};
use crate::error::Error;
use crate::ids::RunId;
use crate::store::{Commit, Key, Ready, Store, Write};

/// Rows of a queue that are looked at together.
const PAGE: usize = 256;

impl Driver {
    /// Lets runs of a paused workflow go on that have begun.
    pub(super) fn let_begun_go_on(&mut self, workflow: u16) {
        let (store, active) = (self.parts.store.clone(), self.active.keys().copied().collect());
        self.spawn(async move { Done::MovedUp(move_up(&*store, workflow, &active).await) });
    }

    pub(super) fn moved_up(&mut self, moved: Result<(), Error>) {
        self.queue_changed = true;
        if let Err(error) = moved {
            tracing::error!(%error, "runs of a paused workflow that have begun wait until it is resumed");
        }
    }
}

/// Puts those that have begun, and that nobody works on, before all that have not.
async fn move_up(store: &dyn Store, workflow: u16, active: &HashSet<RunId>) -> Result<(), Error> {
    for mut range in [Key::queue_of(workflow), Key::gated_of(workflow)] {
        loop {
            let page = store.scan(range.clone(), false, PAGE).await?;
            let mut writes = Vec::new();
            for key in page.iter().map(|row| &row.key) {
                let Some((ready, order, run)) = key.in_line() else { continue };
                let is_held = ready.priority != Ready::WOKEN && !active.contains(&run);
                if is_held && !store.scan(Key::journal_of(run), false, 1).await?.is_empty() {
                    writes.extend([Write::Delete(key.clone()), Write::wake(run, order)]);
                }
            }
            if !writes.is_empty() {
                store.commit(Commit { writes, ..Commit::default() }).await?;
            }
            match page.last() {
                Some(last) if page.len() == PAGE => range.start = last.key.next(),
                _ => break,
            }
        }
    }
    Ok(())
}
