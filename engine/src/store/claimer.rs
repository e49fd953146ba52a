//! The thread that claims: a look at the queue reads the tree, and whoever drives runs has other things to do meanwhile.

use std::sync::mpsc;

use tokio::sync::oneshot;
use wf_dsl::Time;

use super::committer::{Shared, guarded};
use super::{Claims, StoreError};

/// Runs that are wanted, and who waits for them.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) most: usize,
    pub(super) now: Time,
    pub(super) answer: oneshot::Sender<Result<Claims, StoreError>>,
}

/// Claims until the store is closed.
pub(super) fn run(shared: &Shared, wanted: &mpsc::Receiver<Wanted>) {
    while let Ok(Wanted { most, now, answer }) = wanted.recv() {
        // If nobody waits for them any more, the store is about to be closed, and claims end with it.
        answer.send(guarded(|| shared.claims(most, now))).ok();
    }
}
