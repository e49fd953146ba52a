//! `limits:` of a workflow.

use crate::form::Form;
use crate::time::Period;

/// `limits:`, what may run or start at once.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// `concurrency`: one or two rules, all of which must have room.
    pub concurrency: Vec<Concurrency>,
    /// `unique`
    pub unique: Option<Unique>,
    /// `throttle`
    pub throttle: Option<Throttle>,
    /// `rate_limit`
    pub rate_limit: Option<RateLimit>,
    /// `debounce`
    pub debounce: Option<Debounce>,
    /// `batch`
    pub batch: Option<Batch>,
    /// `priority`: higher first.
    pub priority: Option<Form>,
    /// `idempotency`
    pub idempotency: Option<IdempotencyLimit>,
    /// `start_within`: how long a run may queue.
    pub start_within: Option<Form>,
}

impl Limits {
    /// Whether a run has `events`, a list of all that started it.
    pub fn has_events(&self) -> bool {
        self.batch.is_some() || self.debounce.as_ref().is_some_and(|rule| rule.collect == Collect::All)
    }
}

/// How many runs may execute at once; parked ones do not count.
#[derive(Clone, Debug)]
pub struct Concurrency {
    /// The number.
    pub limit: u32,
    /// Counted for each value of this by itself.
    pub key: Option<Form>,
    /// `scope: project` counts the runs of all workflows.
    pub project: bool,
}

/// At most one open run per key.
#[derive(Clone, Debug)]
pub struct Unique {
    /// The key.
    pub key: Form,
    /// What happens to a second one.
    pub on_conflict: OnConflict,
}

/// What happens to a start while another run of its key is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// It does not happen.
    Skip,
    /// The open run is cancelled for it.
    Replace,
    /// It waits for the open run's end.
    Queue,
}

/// Starts are spaced `per / limit` apart; the others wait.
#[derive(Clone, Debug)]
pub struct Throttle {
    /// Starts in each period.
    pub limit: u32,
    /// The period.
    pub per: Period,
    /// How many may start at once.
    pub burst: u32,
    /// Counted for each value of this by itself.
    pub key: Option<Form>,
}

/// At most so many starts in any window; the others are dropped.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// Starts in each window.
    pub limit: u32,
    /// The window.
    pub per: Period,
    /// Counted for each value of this by itself.
    pub key: Option<Form>,
}

/// Start after silence, with the last event to arrive.
#[derive(Clone, Debug)]
pub struct Debounce {
    /// How long the silence must be.
    pub quiet: Period,
    /// Start after this at the latest.
    pub max_wait: Option<Period>,
    /// Which events the run gets.
    pub collect: Collect,
    /// Collected for each value of this by itself.
    pub key: Option<Form>,
}

/// Which of the events that arrived before the silence a run gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collect {
    /// The last one.
    #[default]
    Last,
    /// All of them.
    All,
}

/// Start once for several events.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Start with this many.
    pub max: u32,
    /// Start after this at the latest.
    pub within: Period,
    /// Collected for each value of this by itself.
    pub key: Option<Form>,
}

/// At most one run started per key in a window.
#[derive(Clone, Debug)]
pub struct IdempotencyLimit {
    /// The key.
    pub key: Form,
    /// The window; a day by default.
    pub within: Period,
}
