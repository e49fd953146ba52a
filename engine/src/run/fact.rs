//! Facts: what happened to a run, in the past tense. A run's state is the fold of its records.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wf_dsl::{Object, Time, Value};

use super::frame::{Exit, Role};
use super::inbox::{Awaited, AwaitedEvent};
use super::stored::Stored;
use crate::ids::{EventId, FrameId, Position, RunId};

/// A step's id. Ids are unique in a workflow, nested steps included, so this is a step's whole path.
pub type StepId = Arc<str>;

/// Variables by name.
pub type Vars = BTreeMap<String, Stored>;

/// One fact, where and when it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The frame that it happened in.
    pub frame: FrameId,
    /// When.
    pub at: Time,
    /// What.
    pub fact: Fact,
}

/// Something that happened. Every value that an expression produced and that anything later depends on is in here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The run began with these variables.
    Started {
        /// First values of the variables.
        vars: Vars,
        /// When the whole run times out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Time>,
        /// The events that cancel it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cancel_on: Vec<AwaitedEvent>,
    },
    /// A step was entered; its output and those of the steps inside it are forgotten.
    Entered {
        /// The step.
        step: StepId,
        /// The steps inside it whose outputs are forgotten with its own.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        forget: Vec<StepId>,
        /// The frame went back to get here: a new round begins.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
    /// A step's `if` was false.
    Skipped {
        /// The step.
        step: StepId,
    },
    /// Variables got new values.
    Set {
        /// The step.
        step: StepId,
        /// The variables that changed.
        values: Vars,
    },
    /// A list inside a step (or the workflow's own handler) was entered.
    Opened {
        /// The step that owns the list; none is the workflow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
        /// What the list is for.
        role: Role,
        /// When the block times out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Time>,
        /// The error that is being handled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Failure>,
        /// What goes on after a `finally` or an `undo`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        then: Option<Exit>,
        /// The iterations and branches that the step was in whose `undo` this is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        iteration: Option<String>,
    },
    /// The innermost open list was left.
    Closed,
    /// A step asks for its explicit idempotency key.
    KeyWanted {
        /// The step.
        step: StepId,
        /// The key.
        key: String,
    },
    /// Another step holds the key; this one is parked until that one ends.
    KeyTaken {
        /// The step.
        step: StepId,
        /// When it asks again by itself, because too many wait for all to be woken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again: Option<Time>,
    },
    /// The holder of the key gave it up; this step asks again.
    KeyFreed {
        /// The step.
        step: StepId,
    },
    /// An attempt was about to be made.
    AttemptStarted {
        /// The step.
        step: StepId,
        /// Its number, from 1.
        attempt: u32,
        /// The explicit idempotency key, if the step has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// An attempt was cut off by the end of the process; it does not count against `max_attempts`.
    AttemptInterrupted {
        /// The step.
        step: StepId,
        /// Its number.
        attempt: u32,
    },
    /// An attempt failed; another one follows.
    AttemptFailed {
        /// The step.
        step: StepId,
        /// Its number.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// When the next attempt is due.
        retry_at: Time,
        /// Which policy of the step counts it.
        policy: u32,
    },
    /// A step ended well.
    Finished {
        /// The step.
        step: StepId,
        /// Its output.
        output: Stored,
    },
    /// A step failed for good.
    Failed {
        /// The step.
        step: StepId,
        /// Why.
        failure: Failure,
    },
    /// A step with an `undo` ended well: from now on an error that leaves a list around it undoes it.
    UndoAdded {
        /// The step.
        step: StepId,
        /// When it was entered: the `now()` of its `undo`.
        entered: Time,
        /// The iterations and branches that it is in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        iteration: Option<String>,
        /// What the expressions of its `undo` read, as it is now.
        #[serde(default)]
        reads: Stored,
    },
    /// What a frame is in is given up, for the whole run or for a part of it. A `finally` or `undo` that has begun comes
    /// to its end first.
    GivenUp {
        /// Why, and how far out it is left.
        exit: Exit,
    },
    /// A step was given up because what encloses it was left.
    Abandoned {
        /// The step.
        step: StepId,
        /// The attempt that was being made: its effect may have happened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
    },
    /// A run sleeps.
    Slept {
        /// The step.
        step: StepId,
        /// When it goes on.
        until: Time,
    },
    /// A run waits for the first of these.
    Waited {
        /// The step.
        step: StepId,
        /// What each alternative waits for.
        awaited: Vec<Awaited>,
    },
    /// None of the events up to here was what the frame waits for.
    Examined {
        /// The position of the last of them.
        through: Position,
    },
    /// None of the events up to here was one that cancels the run.
    CancelExamined {
        /// The position of the last of them.
        through: Position,
    },
    /// What a step waited for has come.
    WaitEnded {
        /// The step.
        step: StepId,
        /// Which alternative, from 0.
        case: u32,
        /// Up to where the log is behind the frame.
        cursor: Position,
        /// The step's output.
        output: Stored,
    },
    /// An event was sent, in the commit that holds this record.
    Sent {
        /// The step.
        step: StepId,
        /// The event's id.
        id: EventId,
        /// Its name.
        name: String,
    },
    /// A workflow was invoked, in the commit that holds this record.
    Invoked {
        /// The step.
        step: StepId,
        /// The child.
        run: RunId,
        /// Nobody waits for it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        detached: bool,
        /// The step that detaches it waits all the same until it has heard whether a limit lets the child start.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        asked: bool,
        /// When nobody waits for it any longer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Time>,
    },
    /// A limit did not let the invoked run start, and another one stands for it: the step waits for that one's end.
    Referred {
        /// The step.
        step: StepId,
        /// The run that stands for it.
        run: RunId,
    },
    /// A `parallel` or `for_each` began.
    Forked {
        /// The step.
        step: StepId,
        /// The first of the frames that are set aside for it.
        base: u32,
        /// How many branches or items.
        total: u32,
        /// How many may work at once; none is strictly one after another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        /// The items of a `for_each`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        items: Option<Stored>,
        /// The list of the keys of its iterations; none if they are the indexes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<Stored>,
        /// How many iterations may fail.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failures_max: Option<u32>,
        /// When it times out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Time>,
    },
    /// A branch or iteration began; the record's frame is its parent.
    Branched {
        /// Which, from 0.
        index: u32,
    },
    /// The branches or iterations that are open are being withdrawn.
    Withdrawn {
        /// The step.
        step: StepId,
        /// What follows when they have ended.
        then: Exit,
        /// The branch that decided a `join: any` or `race`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        winner: Option<u32>,
    },
    /// A branch or iteration ended; the record's frame is its own.
    Ended {
        /// The output of its last step.
        #[serde(default)]
        output: Stored,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// It was withdrawn.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cancelled: bool,
    },
    /// All branches or iterations of a step have ended; their frames go.
    Joined {
        /// The step.
        step: StepId,
        /// Whether the outputs of the branches' steps are visible from now on.
        merge: bool,
    },
    /// The run is to be cancelled.
    CancelRequested {
        /// Why.
        reason: String,
    },
    /// The run goes on in another definition, as a person asked.
    Migrated {
        /// The definition.
        plan: super::Hash,
    },
    /// The run, which had failed, goes on from an earlier state, as a person asked.
    Retried {
        /// The step that is entered again; none if the whole run had timed out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
        /// The state: its head and its frames as the text of JSON.
        state: Stored,
    },
    /// The run ended.
    RunEnded {
        /// How.
        status: Status,
        /// What it `finish`ed with.
        #[serde(default)]
        output: Stored,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
}

/// How a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has not ended.
    #[default]
    Open,
    /// It reached its end.
    Finished,
    /// It failed and is a dead letter.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl Status {
    /// The word for people and for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::Finished => "finished",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        }
    }
}

/// An error inside a run: what `catch` sees as `error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The dotted code.
    pub code: String,
    /// One lower-case phrase.
    pub message: String,
    /// The step that failed, if a step did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// The attempt that failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// More about it.
    #[serde(default, skip_serializing_if = "is_null")]
    pub data: Value,
}

/// The longest message of an error, in bytes.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 2 << 10;
/// The longest data of an error, in bytes of JSON: an error is copied into everything that it passes through.
pub const ERROR_DATA_BYTES_MAX: usize = 16 << 10;

fn is_null(value: &Value) -> bool {
    *value == Value::Null
}

impl Fact {
    /// Shows every value that it brings into the run.
    pub(crate) fn each_stored(&self, visit: &mut dyn FnMut(&Stored)) {
        match self {
            Fact::Started { vars: values, .. } | Fact::Set { values, .. } => values.values().for_each(visit),
            Fact::Finished { output, .. }
            | Fact::WaitEnded { output, .. }
            | Fact::Ended { output, .. }
            | Fact::RunEnded { output, .. }
            | Fact::UndoAdded { reads: output, .. }
            | Fact::Retried { state: output, .. }
            | Fact::Opened { then: Some(Exit::Finish(output)), .. } => visit(output),
            Fact::Forked { items, keys, .. } => items.iter().chain(keys).for_each(visit),
            _ => {}
        }
    }
}

impl Failure {
    /// A failure of a step.
    pub fn new(code: impl Into<String>, message: impl Into<String>, step: Option<&StepId>) -> Self {
        Failure { code: code.into(), message: message.into(), step: step.cloned(), attempt: None, data: Value::Null }
    }

    /// The failure within its limits: a message that is too long is cut, data that is too long is left out.
    pub(super) fn within_limits(mut self) -> Self {
        if self.data.size_within(ERROR_DATA_BYTES_MAX).is_none() {
            self.data = Value::Null;
            self.message.truncate(self.message.floor_char_boundary(ERROR_MESSAGE_BYTES_MAX));
            self.message.push_str(&format!(" (its data is left out: more than {ERROR_DATA_BYTES_MAX} bytes)"));
        } else if self.message.len() > ERROR_MESSAGE_BYTES_MAX {
            self.message.truncate(self.message.floor_char_boundary(ERROR_MESSAGE_BYTES_MAX));
            self.message.push('…');
        }
        self
    }

    /// The failure as expressions see it.
    pub fn value(&self) -> Value {
        let text = |text: &str| Value::String(text.into());
        let mut object = Object::new();
        object.insert("code".into(), text(&self.code));
        object.insert("message".into(), text(&self.message));
        object.insert("step".into(), self.step.as_deref().map_or(Value::Null, text));
        object.insert("attempt".into(), self.attempt.map_or(Value::Null, |n| Value::Int(i64::from(n))));
        object.insert("data".into(), self.data.clone());
        Value::Object(Arc::new(object))
    }
}
