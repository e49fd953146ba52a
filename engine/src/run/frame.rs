//! Frames: the small machines that a run is made of. A frame stands at exactly one place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wf_dsl::{Time, Value};

use super::fact::{Failure, StepId};
use super::inbox::Awaited;
use super::stored::Stored;
use super::undo::Undo;
use crate::ids::{FrameId, Position, RunId};

/// A root, a branch or an iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// What it is a part of; none for the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Where it stands.
    pub place: Place,
    /// When the step at which it stands was entered: the `now()` of that step.
    pub entered: Time,
    /// What its steps gave on their latest visit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<StepId, Stored>,
    /// How often the frame has gone back, by a `next` to an earlier step or the retry of a block. A step that is
    /// visited again is visited in a later round.
    #[serde(default, skip_serializing_if = "is_default")]
    pub round: u32,
    /// The step that ended last: its output is the iteration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<StepId>,
    /// The lists that are open, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<Block>,
    /// The attempts of steps that have not ended.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tries: BTreeMap<StepId, Tries>,
    /// Up to where the event log was looked at.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cursor: Position,
    /// What an error undoes that leaves the frame, in the order in which it was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undos: Vec<Undo>,
}

/// Of what a frame is a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parent {
    /// The frame of the `parallel` or `for_each`.
    pub frame: FrameId,
    /// That step.
    pub step: StepId,
    /// Which branch or item, from 0.
    pub index: u32,
}

/// Where a frame stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// At a step that was entered and is to be decided.
    At {
        /// The step.
        step: StepId,
    },
    /// At a step that wants its explicit idempotency key.
    Key {
        /// The step.
        step: StepId,
        /// The key.
        key: String,
        /// Another holds it.
        taken: bool,
        /// When it asks again by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again: Option<Time>,
        /// The number of the record that wanted it: an answer to an earlier wish is not for this one.
        since: u64,
    },
    /// An attempt is being made.
    Attempt {
        /// The step.
        step: StepId,
        /// The explicit idempotency key, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// The number of the record that began it: the outcome of an earlier attempt is not for this one.
        since: u64,
    },
    /// Between two attempts.
    Backoff {
        /// The step.
        step: StepId,
        /// When the next one is due.
        until: Time,
        /// The explicit idempotency key, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// Asleep.
    Sleep {
        /// The step.
        step: StepId,
        /// Until when.
        until: Time,
    },
    /// Waiting for the first of several events or instants.
    Wait {
        /// The step.
        step: StepId,
        /// What each alternative waits for.
        awaited: Vec<Awaited>,
        /// Events up to here were not it.
        #[serde(default)]
        examined: Position,
        /// The number of the record that began it: what was found for an earlier wait is not for this one.
        began: u64,
    },
    /// Waiting for an invoked run, or for one that stands for it.
    Child {
        /// The step.
        step: StepId,
        /// The run.
        run: RunId,
        /// Until when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Time>,
        /// How the two hang together.
        #[serde(default, skip_serializing_if = "is_default")]
        tie: Tie,
    },
    /// Waiting for branches or iterations.
    Fork {
        /// The step.
        step: StepId,
        /// How they stand.
        fork: Box<Fork>,
    },
    /// At its end.
    Ended {
        /// What its last step gave.
        #[serde(default)]
        output: Stored,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
}

/// How a frame hangs together with the run that it waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tie {
    /// It invoked the run, waits for its end, and takes the run with it when it is given up.
    #[default]
    Child,
    /// It invoked the run, and only wants to hear whether that was let start.
    Detached,
    /// The run stands for the one that it invoked: it waits for the end of the run, which is none of its own.
    Referred,
}

impl Place {
    /// The step at which the frame stands; none at its end.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Place::At { step }
            | Place::Key { step, .. }
            | Place::Attempt { step, .. }
            | Place::Backoff { step, .. }
            | Place::Sleep { step, .. }
            | Place::Wait { step, .. }
            | Place::Child { step, .. }
            | Place::Fork { step, .. } => Some(step),
            Place::Ended { .. } => None,
        }
    }

    /// When it is over by itself, timeouts of enclosing blocks aside.
    pub fn due(&self) -> Option<Time> {
        match self {
            Place::Backoff { until, .. } | Place::Sleep { until, .. } => Some(*until),
            Place::Wait { awaited, .. } => awaited.iter().filter_map(Awaited::due).min(),
            Place::Child { due, .. } => *due,
            Place::Key { again, .. } => *again,
            // What is closing cannot time out any more.
            Place::Fork { fork, .. } => fork.due.filter(|_| fork.closing.is_none()),
            Place::At { .. } | Place::Attempt { .. } | Place::Ended { .. } => None,
        }
    }
}

/// The branches or iterations of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fork {
    /// The first of their frames; the others follow in order.
    pub base: u32,
    /// How many there are.
    pub total: u32,
    /// How many have begun.
    pub begun: u32,
    /// How many are working: begun, not parked, not ended.
    pub working: u32,
    /// How many have ended.
    pub ended: u32,
    /// How many of those failed.
    pub failed: u32,
    /// How many may work at once; none is strictly one after another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The items of a `for_each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Stored>,
    /// The list of the keys of the iterations; none if they are the indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Stored>,
    /// How long the outputs of the iterations are together, in bytes of JSON.
    #[serde(default, skip_serializing_if = "is_default")]
    pub output_bytes: usize,
    /// How many iterations may fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures_max: Option<u32>,
    /// When it times out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Time>,
    /// What follows when all that have begun have ended; no more begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<Exit>,
    /// The branch that decided a `join: any` or `race`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<u32>,
    /// The first failures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<(u32, Failure)>,
}

/// The failures of iterations that are kept; `failed` counts all.
pub const FORK_ERRORS_MAX: usize = 100;

/// A list that is open in a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Whose list it is; none is the workflow's own handler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// What the list is for.
    pub role: Role,
    /// When the block times out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Time>,
    /// The error that is being handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// What goes on after a `finally` or an `undo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Exit>,
    /// When the step was entered whose list it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<Time>,
    /// How many of the frame's `undos` are older than it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub undone_to: usize,
    /// What is being undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Box<Undo>>,
}

impl Block {
    /// Whether it comes to its end whatever happens around it.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.role, Role::Finally | Role::Undo)
    }

    /// Whether it is the workflow's own `finally`.
    pub(super) fn is_last(&self) -> bool {
        self.role == Role::Finally && self.step.is_none()
    }

    /// What follows it whatever it comes to: what it was begun for counts more than an error or a jump of its own.
    pub(super) fn settled(&self) -> Option<&Exit> {
        let then = self.then.as_ref();
        then.filter(|then| self.role == Role::Undo || matches!(then, Exit::Cancel | Exit::Cut { .. }))
    }
}

/// What an open list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The steps of a `do`.
    Body,
    /// The steps of a case.
    Case(u32),
    /// The steps of a handler.
    Catch(u32),
    /// The last things before a block is left.
    Finally,
    /// The steps that undo a step.
    Undo,
    /// A `parallel` or `for_each` that has failed, while what its parts have done is undone.
    Parts,
}

/// Why a block is being left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// Its steps have ended; the run goes on behind it.
    Done,
    /// A `next` leads out of it.
    Next(StepId),
    /// The run ends with this output.
    Finish(Stored),
    /// An error.
    Error(Failure),
    /// The run is being cancelled, or the branch was withdrawn.
    Cancel,
    /// A block timed out: everything inside it is left, and no handler inside it sees the error.
    Cut {
        /// How many blocks of the frame enclose the one that timed out; none if it is the whole run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        depth: Option<u32>,
        /// The timeout.
        failure: Failure,
    },
}

/// The attempts of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tries {
    /// When the first attempt started.
    pub since: Time,
    /// The number of the latest attempt, from 1.
    pub attempt: u32,
    /// How often the process ended during an attempt.
    #[serde(default, skip_serializing_if = "is_default")]
    pub interrupted: u32,
    /// Failures that each policy has counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<u32>,
}

/// Whether a field need not be written: there may be a million rows.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Exit {
    /// The error for which something is left.
    pub(super) fn failure(&self) -> Option<&Failure> {
        match self {
            Exit::Error(failure) | Exit::Cut { failure, .. } => Some(failure),
            Exit::Done | Exit::Next(_) | Exit::Finish(_) | Exit::Cancel => None,
        }
    }
}

impl Fork {
    /// The key of an iteration; none if it is its index.
    pub fn key(&self, index: u32) -> Option<&str> {
        match self.keys.as_ref().map(|keys| &keys.value) {
            Some(Value::List(keys)) => keys.get(index as usize).and_then(Value::as_str),
            _ => None,
        }
    }
}

impl Frame {
    /// A frame that has not begun.
    pub fn new(parent: Option<Parent>, at: Time, cursor: Position) -> Self {
        Frame {
            parent,
            place: Place::Ended { output: Stored::default(), failure: None },
            entered: at,
            outputs: BTreeMap::new(),
            round: 0,
            last: None,
            blocks: Vec::new(),
            tries: BTreeMap::new(),
            cursor,
            undos: Vec::new(),
        }
    }

    /// Whether it holds a slot of the `for_each` it belongs to.
    pub fn is_working(&self) -> bool {
        match &self.place {
            Place::At { .. } | Place::Attempt { .. } => true,
            Place::Key { taken, .. } => !taken,
            Place::Child { tie, .. } => *tie == Tie::Detached,
            Place::Fork { fork, .. } => fork.working > 0 || fork.begun == 0,
            Place::Backoff { .. } | Place::Sleep { .. } | Place::Wait { .. } | Place::Ended { .. } => false,
        }
    }

    /// The outermost `finally` or `undo` that comes to its end before `exit` leaves it.
    pub(super) fn kept(&self, exit: &Exit) -> Option<usize> {
        let inside = match exit {
            Exit::Cut { depth: Some(depth), .. } => *depth as usize + 1,
            _ => 0,
        };
        (inside..self.blocks.len()).find(|at| self.blocks[*at].is_kept())
    }

    /// Gives up what it is in: nothing that is left any more times out, and a `finally` or `undo` that has begun leads
    /// to `exit`.
    pub(super) fn give_up(&mut self, exit: &Exit) {
        let outermost = match exit {
            Exit::Cut { depth: Some(depth), .. } => *depth as usize,
            _ => 0,
        };
        let kept = self.kept(exit);
        let left = outermost..kept.unwrap_or(self.blocks.len());
        self.blocks[left].iter_mut().for_each(|block| block.due = None);
        if let Some(kept) = kept {
            self.blocks[kept].then = Some(exit.clone());
        }
    }

    /// Whether it has ended.
    pub fn is_ended(&self) -> bool {
        matches!(self.place, Place::Ended { .. })
    }

    /// Its earliest due time: its own, or a timeout of a block it is in.
    pub fn due(&self) -> Option<Time> {
        if self.is_ended() {
            return None;
        }
        self.blocks.iter().filter_map(|block| block.due).chain(self.place.due()).min()
    }

    /// The output of a step of this frame; in an `undo` as it was when what is undone was done.
    pub fn output(&self, step: &str) -> Option<&Value> {
        let undos = self.blocks.iter().rev().filter_map(|block| block.undo.as_ref());
        let read = undos.filter_map(|undo| undo.read("steps", step)).next();
        read.or_else(|| self.outputs.get(step).map(|stored| &stored.value))
    }
}
