//! The store: atomic, guarded commits and range reads over one ordered set of rows.
//!
//! A commit that resolves is durable. Everything the engine keeps is a [`Row`]; what the rows mean is in
//! [`key`] and in the modules that write them. Implementations run one conformance suite.

mod backlog;
mod changes;
mod claimer;
mod committer;
pub mod conformance;
mod copy;
mod folder;
pub mod gate;
mod group;
pub mod key;
mod lanes;
mod layout;
mod memory;
mod mover;
mod pending;
mod queue;
mod rooms;
mod salvage;
mod sled;
mod stored;
mod tree;
mod versions;
mod wal;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::{EventId, Position, RunId};
use crate::kind::BoxFuture;
use wf_dsl::Time;

pub use copy::{Copied, CopyTo};
pub use folder::OpenError;
pub use gate::{Gate, LimitId, Pace, Slot};
pub use key::{EndedKey, Key, Table};
pub(crate) use lanes::read_gate;
pub(crate) use layout::read_number;
pub use layout::{Head, ROW_VERSION, Turn, events, join, split};
pub use memory::MemoryStore;
pub use salvage::{Salvaged, salvage};
pub use sled::{Durability, SledOptions, SledStore};

/// Where runs, events and timers live.
pub trait Store: Send + Sync + 'static {
    /// Makes a commit durable, whole or not at all. Commits that are in flight together share one sync.
    ///
    /// The commit is under way when this returns, in the order of the calls, whether the future is polled or not:
    /// several calls and one wait cost one sync. A future that is dropped takes back nothing.
    ///
    /// # Errors
    /// [`CommitError::NotCommitted`], [`Fenced`](CommitError::Fenced), [`Stale`](CommitError::Stale) and
    /// [`TooLarge`](CommitError::TooLarge) leave the store as it was; after
    /// [`Unknown`](CommitError::Unknown) the caller reads the version back.
    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<Receipt, CommitError>>;

    /// Reads `keys` at the point of serialisation, lets `decide` write, and commits what it wrote.
    ///
    /// Under way at once, like [`Store::commit`]. For what many runs share: dedupe, limits, explicit idempotency keys, cron ticks. `decide` must be pure; it may
    /// be called again after a conflict. A panic in it fails this commit alone.
    fn decide(&self, keys: Vec<Key>, decide: Decide) -> BoxFuture<'static, Result<(Receipt, Answer), CommitError>>;

    /// Runs that may go on, taken for this worker until the lease ends: one workflow after the other, in each one lane
    /// after the other, by priority and order; those behind a [`Gate`] as far as it has room at `now`. A run is given
    /// out once until it is [released](Store::release) or its lease ends; where one process owns the store, a claim
    /// lasts as long as the process. Like a wake-up, a claim is a hint: the run may have ended or parked meanwhile,
    /// and its version is 0 if it has no head.
    fn claim(
        &self,
        worker: u64,
        most: usize,
        now: Time,
        lease: Duration,
    ) -> BoxFuture<'static, Result<Claims, StoreError>>;

    /// Gives runs back that are no longer worked on, with the slots that they took. Those that are in the queue by then
    /// can be claimed again.
    fn release(&self, held: &[(RunId, Fence)]);

    /// Extends leases; gives those that were lost.
    fn renew(&self, held: &[(RunId, Fence)], lease: Duration) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>>;

    /// How many runs wait for their beginning and are not taken: in the queue, or behind the run that is open under a key.
    /// Cheap, and therefore incomplete for a while after the store was opened with many: those that were there are
    /// counted a page with each call.
    fn backlog(&self) -> u64;

    /// The rows at these keys, in the order of the keys. This and [`Store::scan`] may see rows that are not yet
    /// durable: tell the outside only what a receipt covers.
    fn get(&self, keys: &[Key]) -> BoxFuture<'static, Result<Vec<Option<Row>>, StoreError>>;

    /// At most `most` rows with keys in `range` (end exclusive), in key order or, `newest_first`, the other way round.
    fn scan(
        &self,
        range: Range<Key>,
        newest_first: bool,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>, StoreError>>;

    /// Resolves when something in these tables may have changed: a hint. A poll is the guarantee.
    ///
    /// It listens from this call on, not from the first poll: call it, look at the rows, then wait. A released run
    /// that is still in the queue counts as a change of [`Table::Queue`].
    fn changed(&self, tables: &[Table]) -> BoxFuture<'static, ()>;

    /// Whether the store takes commits.
    fn health(&self) -> Health;

    /// Copies all rows as they are when it resolves, while commits go on.
    ///
    /// # Errors
    /// The store is as it was, unless its [health](Store::health) says otherwise. A store that has no files has no
    /// copies.
    fn copy(&self, to: CopyTo) -> BoxFuture<'static, Result<Copied, StoreError>> {
        let _ = to;
        Box::pin(std::future::ready(Err(StoreError::new("this store has no files"))))
    }

    /// What it takes on the disk, in bytes; none if it has no files.
    fn disk_bytes(&self) -> Option<u64> {
        None
    }
}

/// The pure rule of [`Store::decide`].
pub type Decide = Box<dyn Fn(&Rows) -> (Commit, Answer) + Send + Sync>;

/// What a rule of [`Store::decide`] tells its caller.
pub type Answer = serde_json::Value;

/// Rows by key; none where there is no row.
pub type Rows = BTreeMap<Key, Option<Row>>;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: Key,
    /// Its value: [one version byte](ROW_VERSION), then JSON. Heads and journal rows have more in front ([`Head`],
    /// [`Turn`]); events are cut into chunks ([`events`]); rows of the inbox and of the queue are empty.
    pub value: Vec<u8>,
}

/// What is to be made durable together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    /// Conditions; if one fails nothing is written.
    pub guards: Vec<Guard>,
    /// Events in the order in which they get their positions.
    pub events: Vec<NewEvent>,
    /// Runs that are born.
    pub runs: Vec<NewRun>,
    /// Everything else.
    pub writes: Vec<Write>,
}

/// A condition of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The run has this version and this worker's epoch.
    Run {
        /// The run.
        run: RunId,
        /// What is expected.
        fence: Fence,
    },
    /// No event with this inbox key has a position beyond `after`.
    NoneSince {
        /// The inbox key.
        inbox: InboxKey,
        /// The position up to which the caller looked.
        after: Position,
    },
}

/// A run's version and its owner's epoch. The version is the number of the run's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    /// How many records the run has.
    pub version: u64,
    /// Counts owners; always 0 where one process owns the store.
    pub epoch: u64,
}

/// What a waiting run looks for in the event log: an (event, match fields) signature and a hash of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct InboxKey {
    /// First four bytes of sha256 of the event's name and its sorted match fields; 0 to 15 are reserved.
    pub signature: u32,
    /// Hash of the values.
    pub matched: u64,
}

/// An event on its way into the log; the committer gives it its position.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// Its id.
    pub id: EventId,
    /// The value of its `e` row.
    pub row: Vec<u8>,
    /// The inbox rows to write beside it.
    pub inbox: Vec<InboxKey>,
}

/// A run that is born. The committer writes its [`Head`] with the position of the event that it was born of. Later
/// heads are put as rows, with the position as it was read and the number of records that the run has after the commit;
/// a head that counts otherwise fails its commit with [`CommitError::Fenced`].
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// Its id. A run that exists already fails the commit with [`CommitError::Exists`].
    pub run: RunId,
    /// The event that it was born of.
    pub born_of: BornOf,
    /// The JSON of its head.
    pub head: Vec<u8>,
    /// How many records the head holds: the run's version.
    pub version: u64,
    /// Its place in the queue if it is runnable; its order is the position that the head gets.
    pub ready: Option<Ready>,
    /// What it must pass to be claimed.
    pub gate: Gate,
    /// It does not stand in the queue but behind the run that is open under this key.
    pub behind: Option<LimitId>,
    /// Whether the committing worker takes the run at once, as [`Store::claim`] would give it.
    pub claimed: bool,
}

/// The event that a run was born of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BornOf {
    /// One of the same commit, by its index in [`Commit::events`].
    Here(usize),
    /// One that was committed before.
    Before(Position),
}

/// Where a runnable run stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The workflow's number in the store.
    pub workflow: u16,
    /// Smaller goes first.
    pub priority: u8,
}

impl Ready {
    /// The priority of runs that have begun. They go before all that have not, and go on in a paused workflow.
    pub const WOKEN: u8 = 0;

    /// Where a run stands that goes on.
    pub fn woken(run: RunId) -> Self {
        Ready { workflow: run.workflow, priority: Ready::WOKEN }
    }

    /// Whether what stands here has begun before.
    pub fn is_woken(&self) -> bool {
        self.priority == Ready::WOKEN
    }
}

/// What [`Store::claim`] gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The runs, in their order.
    pub runs: Vec<Claim>,
    /// Asking again at once may give more.
    pub more: bool,
    /// When asking again may give more, if nothing else happens.
    pub due: Option<Time>,
}

/// A run that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The run.
    pub run: RunId,
    /// Its version, and the epoch of the claim.
    pub fence: Fence,
    /// Its row in the queue.
    pub row: Key,
    /// It came through its [`Gate`], and occupies the slots until it is released.
    pub passed: bool,
    /// How far the pace of its gate has come. Where a claim is no row, the first commit for the run raises the number of
    /// the pace's row to this.
    pub pace: Option<(LimitId, u64)>,
    /// Rows that were read on the way and will be asked for next: perhaps its head, and of a run without records perhaps
    /// the first row of its event.
    pub rows: Vec<Row>,
}

/// A write of a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Records at the end of a run's journal: one row, whatever their number. Raises the run's version by `count`; if
    /// `first` is not the version, the commit fails with [`CommitError::Fenced`].
    Append {
        /// The run.
        run: RunId,
        /// The number of the first record, from 0.
        first: u64,
        /// How many records; at least one.
        count: u32,
        /// The records as JSON; [`Turn`] takes the row apart.
        records: Vec<u8>,
    },
    /// A row; replaces the one with its key.
    Put(Row),
    /// Removes a row; no row is no error. A run's journal goes with its head, or when a head counts its records.
    Delete(Key),
    /// Puts a run into the queue, with its order; replaces nothing.
    Queue {
        /// The run.
        run: RunId,
        /// Where.
        ready: Ready,
        /// Its order among those of its workflow and priority: a position of the log.
        order: Position,
        /// What it must pass to be claimed.
        gate: Gate,
    },
    /// Puts the position that an event of the commit gets into a row, as a number.
    Note {
        /// The row.
        key: Key,
        /// The event, by its index in [`Commit::events`].
        event: usize,
    },
    /// Puts a number into a row, unless the row has a greater one.
    Raise {
        /// The row.
        key: Key,
        /// The number.
        to: u64,
    },
}

impl Write {
    /// Puts a run that has begun, or that no gate holds, into the queue.
    pub fn wake(run: RunId, order: Position) -> Self {
        Write::Queue { run, ready: Ready::woken(run), order, gate: Gate::default() }
    }
}

/// What a durable commit tells its caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The log's end after the commit.
    pub at: Position,
    /// The positions of the commit's events.
    pub events: Vec<Position>,
}

/// Why a commit did not happen, or may not have.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Nothing was written.
    #[error("not committed: {0}")]
    NotCommitted(StoreError),
    /// It may have been written or not.
    #[error("commit in doubt: {0}")]
    Unknown(StoreError),
    /// The run has moved on or belongs to another worker; nothing was written.
    #[error("run {0} has moved on")]
    Fenced(RunId),
    /// An event arrived that the caller had not seen; nothing was written.
    #[error("an event arrived meanwhile")]
    Stale(InboxKey),
    /// A run with this id was born before; nothing was written.
    #[error("run {0} exists")]
    Exists(RunId),
    /// More than [`COMMIT_ROWS_MAX`] rows, [`COMMIT_BYTES_MAX`] bytes, or a row over [`ROW_BYTES_MAX`]; nothing was
    /// written.
    #[error("commit too large")]
    TooLarge,
}

/// Most rows of one commit, not counting rows of events, inbox, dedupe and what is gathered.
pub const COMMIT_ROWS_MAX: usize = 1_000;
/// Most bytes of one commit, keys (32 bytes each) and values together.
pub const COMMIT_BYTES_MAX: usize = 8 << 20;
/// Most bytes of one row's value.
pub const ROW_BYTES_MAX: usize = 48 << 10;
/// Larger values are [cut into chunks](split) of this size: events by the store, all others by their writers.
pub const CHUNK_BYTES: usize = 32 << 10;

/// Whether a store takes commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Yes.
    Ready,
    /// No, until it is reopened. Reads go on, and may show what was not acknowledged. On sled, rows whose place in the
    /// tree was being moved when a write failed cannot be read either.
    ReadOnly {
        /// Why.
        why: String,
    },
}

/// A store that cannot do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct StoreError {
    /// One lower-case phrase.
    pub why: String,
    /// What lies behind it.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// An error without a cause of its own.
    pub fn new(why: impl Into<String>) -> Self {
        StoreError { why: why.into(), source: None }
    }
}

/// When a run is to be woken, as a timer row holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// When.
    pub at: Time,
    /// The run.
    pub run: RunId,
    /// Which of its frames.
    pub frame: crate::ids::FrameId,
}

impl Due {
    /// Whether it is a run's. Timers of events that are sent later and of what is gathered stand under frames that no
    /// run has.
    pub fn is_of_run(&self) -> bool {
        self.frame < crate::ids::FrameId::RESERVED
    }
}
