//! The states of a run, as `spec/states.md` draws them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use wf_dsl::Plan;

use crate::run::{Place, Run, Status};

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It was created, and nobody has begun with it.
    Queued,
    /// Something is being decided or done for it, or will be as soon as an engine has the store.
    Executing,
    /// It waits for the next attempt of a step.
    Retrying,
    /// It waits for an event, a run that it invoked, or a key.
    Waiting,
    /// It sleeps.
    Sleeping,
    /// This host does not have a step kind that its plan names.
    Blocked,
    /// It has reached its end.
    Finished,
    /// It has failed, and is a dead letter.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// A word that is no state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a state of a run")]
pub struct ParseStateError;

impl State {
    /// All states, in the order in which runs go through them.
    pub const ALL: [State; 9] = [
        State::Queued,
        State::Executing,
        State::Retrying,
        State::Waiting,
        State::Sleeping,
        State::Blocked,
        State::Finished,
        State::Failed,
        State::Cancelled,
    ];

    /// The word for people and for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Executing => "executing",
            State::Retrying => "retrying",
            State::Waiting => "waiting",
            State::Sleeping => "sleeping",
            State::Blocked => "blocked",
            State::Finished => "finished",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    /// Whether the run has ended.
    pub fn is_ended(self) -> bool {
        matches!(self, State::Finished | State::Failed | State::Cancelled)
    }

    /// The state in which the status of a run's head says that it has ended.
    pub(super) fn ended(status: Status) -> Option<State> {
        match status {
            Status::Open => None,
            Status::Finished => Some(State::Finished),
            Status::Failed => Some(State::Failed),
            Status::Cancelled => Some(State::Cancelled),
        }
    }

    /// The state of a run: of its frames, what counts most. It is blocked if its plan names a kind that is not among
    /// `kinds`, if these are known.
    pub fn of(run: &Run, plan: &Plan, kinds: Option<&BTreeSet<String>>) -> State {
        if let Some(ended) = State::ended(run.head.status) {
            return ended;
        }
        if kinds.is_some_and(|kinds| plan.kinds.keys().any(|kind| !kinds.contains(kind))) {
            return State::Blocked;
        }
        if run.version == 0 {
            return State::Queued;
        }
        // A frame that waits for its parts says nothing of its own.
        run.frames.values().filter_map(|frame| State::at(&frame.place)).min().unwrap_or(State::Executing)
    }

    fn at(place: &Place) -> Option<State> {
        match place {
            Place::At { .. } | Place::Attempt { .. } | Place::Key { taken: false, .. } => Some(State::Executing),
            Place::Backoff { .. } => Some(State::Retrying),
            Place::Wait { .. } | Place::Child { .. } | Place::Key { .. } => Some(State::Waiting),
            Place::Sleep { .. } => Some(State::Sleeping),
            Place::Fork { .. } | Place::Ended { .. } => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = ParseStateError;

    fn from_str(text: &str) -> Result<Self, ParseStateError> {
        State::ALL.into_iter().find(|state| state.as_str() == text).ok_or(ParseStateError)
    }
}
