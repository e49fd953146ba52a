//! Events from outside.

use serde_json::Value as Json;
use wf_dsl::Time;

use crate::ids::{EventId, RunId};

/// The longest data of an event, in bytes of JSON.
pub const EVENT_BYTES_MAX: usize = 256 << 10;
/// The longest name of an event, and the longest id that a sender gives, in bytes.
pub const EVENT_NAME_BYTES_MAX: usize = 1 << 10;
/// How long an id that a sender gave is remembered.
pub const DEDUPE_DAYS: i64 = 7;

/// An event that somebody sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: Json,
    /// The sender's own id: a second event with it is answered like the first and starts nothing.
    pub id: Option<String>,
    /// When it happened; now if it is not said.
    pub ts: Option<Time>,
}

impl Event {
    /// An event without an id of the sender's.
    pub fn new(name: impl Into<String>, data: Json) -> Self {
        Event { name: name.into(), data, id: None, ts: None }
    }
}

/// What an event has led to, durable when it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id as its runs see it: the sender's if it gave one.
    pub id: String,
    /// The engine's own id of it.
    pub event: EventId,
    /// The runs that it started, in the order of their workflows' names.
    pub runs: Vec<RunId>,
    /// `debounce` or `batch` of a workflow gathers it with others: the run that they start is born later.
    pub gathered: bool,
    /// An event with this id was here before; nothing was started.
    pub duplicate: bool,
}

/// What the driver is asked to take in.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// An event, for every workflow that it triggers.
    Event(Event),
    /// A run of one workflow by hand, whatever its triggers.
    Start {
        /// The workflow.
        workflow: String,
        /// The name of the event that the run sees.
        event: String,
        /// Its data.
        data: Json,
    },
}
