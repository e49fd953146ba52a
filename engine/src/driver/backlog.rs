//! Back-pressure: who sends while too much waits is told to come again.

use std::time::Duration;

use super::Driver;
use crate::error::Error;

/// How many runs may stand in the queue before senders are told to come again, unless told.
pub const BACKLOG_MAX: u64 = 2_000_000;
/// After which time a sender is asked to try again.
pub const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

impl Driver {
    /// Whether something from outside may be taken in. What the engine itself brings about always is.
    pub(super) fn has_room(&self) -> Result<(), Error> {
        let most = self.parts.backlog_max;
        let queued = self.parts.store.backlog();
        if queued < most {
            return Ok(());
        }
        Err(Error::busy(format!("{queued} runs are queued, and at most {most} may be"), BUSY_RETRY_AFTER))
    }
}
