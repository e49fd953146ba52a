//! The thread that puts into the tree what is durable in the log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::StoreError;
use super::committer::Shared;
use super::stored::Stored;
use super::tree::disk_error;

/// Moves rows until the store is closed. If it cannot, the store takes no more commits; the log keeps what it has.
pub(super) fn run(shared: &Arc<Shared>) {
    let Stored { pending, .. } = &shared.stored;
    while let Some(load) = pending.take() {
        let moved = catch_unwind(AssertUnwindSafe(|| shared.stored.tree().put(&load.values).map_err(disk_error)));
        if let Err(error) = moved.unwrap_or_else(|_| Err(StoreError::new("the thread behind the log panicked"))) {
            shared.fail(&error);
            break;
        }
        pending.moved(&load);
    }
    pending.stop();
}
