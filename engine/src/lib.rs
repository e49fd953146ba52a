//! The wf engine: runs [`Plan`]s durably.
//!
//! A run is a pinned plan and a tree of frames. One pure function decides what happens next; a driver makes its
//! records durable in a [`Store`] and only then performs the effects, which are [`StepKind`]s.

mod clock;
mod ids;
mod kind;
pub mod store;

pub use clock::{Clock, SystemClock};
pub use ids::{EventId, FrameId, ParseIdError, Position, RunId};
pub use kind::{BoxFuture, Connection, Output, StepContext, StepError, StepKind};
pub use store::{MemoryStore, SledOptions, SledStore, Store};
pub use wf_dsl::{
    Catalog, Effect, ErrorCode, Kind, MessageTemplate, Mismatch, Period, Plan, Time, Type, Value, sql, template,
};
