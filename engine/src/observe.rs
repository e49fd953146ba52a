//! Watching: what has become durable, as it happens.

use crate::ids::RunId;
use crate::run::Record;

/// Somebody who wants to see every record as soon as it is durable, such as a live timeline.
pub trait Observer: Send + Sync + 'static {
    /// Called by the engine's loop, in the order of each run's records. It must not block.
    fn observe(&self, notice: &Notice<'_>);
}

/// Records of one run that have become durable together.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The run.
    pub run: RunId,
    /// Its workflow.
    pub workflow: &'a str,
    /// The first run of the chain of runs and events that led to it; itself if nothing did.
    pub origin: RunId,
    /// What happened; at least one record.
    pub records: &'a [Record],
}
