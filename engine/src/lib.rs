//! The wf engine: runs [`Plan`]s durably.
//!
//! A run is a pinned plan and a tree of frames. One pure function decides what happens next; a driver makes its
//! records durable in a [`Store`] and only then performs the effects, which are [`StepKind`]s.

pub mod folder;
pub mod run;
pub mod testing;

mod definition;
pub mod limits;
mod once;
#[cfg(feature = "planted-bugs")]
pub mod planted;
#[cfg(not(feature = "planted-bugs"))]
#[allow(dead_code, unreachable_pub, reason = "only the feature makes it public, and asks for every one of the bugs")]
mod planted;
mod redact;
mod registry;
mod rows;
mod timers;
mod upkeep;

mod driver;
mod start;

mod clock;
mod ids;
mod kind;
pub mod store;
mod typed;

mod engine;
mod error;
mod observe;
mod operate;
mod report;
mod send;

pub use clock::{Clock, SimulatedClock, SystemClock};
pub use definition::Definition;
pub use driver::{BACKLOG_MAX, BUSY_RETRY_AFTER, HISTORY_BYTES_MAX, HISTORY_RECORDS_MAX, History, WAITING_TICKS_MAX};
pub use engine::{Builder, Engine};
pub use error::{Error, ErrorKind};
pub use ids::{EventId, FrameId, ParseIdError, Position, RunId};
pub use kind::{BoxFuture, Connection, Environment, Output, StepContext, StepError, StepKind};
pub use observe::{Notice, Observer};
pub use once::{KEY_RETENTION, KEY_WAITERS_MAX};
pub use operate::{
    BEFORE_MAX, DeadLetters, DroppedStart, EVENTS_LOOKED_AT_MAX, EVENTS_TOLD_MAX, EventFilter, Gathered, LoggedEvent,
    Miss, Move, Near, Operator, Page, ParseStateError, Queued, RECORDED_EVENTS_MAX, Reason, Retry, RunFilter, RunLine,
    Standing, State, Wanted, Why, WorkflowLine,
};
pub use redact::{REDACTED, Redactor, SECRET_BYTES_MIN};
pub use report::{EventReport, PendingEvent, RunReport, StepReport};
pub use send::{DEDUPE_DAYS, EVENT_BYTES_MAX, EVENT_NAME_BYTES_MAX, Event, Receipt};
pub use start::clock_of;
pub use store::{MemoryStore, SledOptions, SledStore, Store};
pub use typed::{Closure, kind};
pub use upkeep::{Checked, Difference, Fault, KEEP, Pruned, Retention, check};
pub use wf_dsl::{
    Catalog, Effect, ErrorCode, Kind, MessageTemplate, Mismatch, Period, Plan, Time, Type, Value, sql, template,
};
