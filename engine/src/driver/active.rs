//! A run that is in memory because something happens for it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use futures_util::future::AbortHandle;
use serde_json::value::RawValue;
use wf_dsl::Time;

use super::history::JournalSize;
use super::load::Loaded;
use crate::definition::Definition;
use crate::ids::{FrameId, RunId};
use crate::run::{Command, Input, Record, Run};
use crate::store::{Key, LimitId, Ready, Write};

/// A loaded run with what the driver knows of it.
pub(super) struct Active {
    pub(super) run: Run,
    pub(super) definition: Arc<Definition>,
    /// The records of its birth, as its head keeps them.
    pub(super) birth: Box<RawValue>,
    pub(super) origin: Option<RunId>,
    /// It came of an event about a run, so its own end is not told.
    pub(super) quiet: bool,
    /// The version that is durable.
    pub(super) committed: u64,
    /// The version at which its head and frames were written.
    pub(super) snapshot: u64,
    /// How long its journal is.
    pub(super) journal: JournalSize,
    /// Its oldest records are being dropped.
    pub(super) trimming: bool,
    /// It has a row in the queue, for those that go on.
    pub(super) queued: bool,
    /// Its row in the line of those that must be claimed before they begin or go on.
    pub(super) line: Option<Key>,
    /// It was claimed through its line.
    pub(super) passed: bool,
    /// How far the pace of its gate has come, until that is recorded.
    pub(super) pace: Option<(LimitId, u64)>,
    /// Its timer rows.
    pub(super) timers: BTreeMap<FrameId, Time>,
    /// Its timers that have no rows.
    pub(super) held: BTreeMap<FrameId, Time>,
    /// Its rows for what it waits for.
    pub(super) waits: BTreeSet<Key>,
    /// What it has not been told yet.
    pub(super) inputs: VecDeque<Input>,
    /// Commands that recovery found and that no record brings again.
    pub(super) wanted: Vec<Command>,
    /// What is to be done when the present commit is durable.
    pub(super) in_flight: Option<Flight>,
    /// Attempts that are being made.
    pub(super) attempts: HashMap<FrameId, AbortHandle>,
    /// Wake-ups that are on their way: the run must not leave the queue before they are here.
    pub(super) hints: BTreeSet<Hint>,
    /// It was asked to end when it had ended already: the request is still in the store.
    pub(super) late_cancel: bool,
}

/// A wake-up that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hint {
    /// The end of this child is being committed.
    End(RunId),
    /// Whether a run has ended that a frame waits for is being read.
    Look(u64),
    /// The output that a key gave this frame is being read.
    Key(FrameId),
    /// The log is being looked at.
    Inbox(u64),
}

/// What follows when a commit is durable.
#[derive(Default)]
pub(super) struct Flight {
    pub(super) records: Vec<Record>,
    pub(super) commands: Vec<Command>,
    /// The version that the commit reaches.
    pub(super) version: u64,
    /// Runs that the commit gives birth to.
    pub(super) births: Vec<super::birth::Birth>,
    /// Timers that the commit writes.
    pub(super) timers: Vec<(FrameId, Time)>,
    /// Timers whose rows it deletes.
    pub(super) timers_gone: Vec<(FrameId, Time)>,
    /// The commit holds the heads and frames.
    pub(super) snapshot: bool,
    /// The parent that the commit wakes.
    pub(super) wakes: Option<(RunId, FrameId)>,
    /// Events with a delay that the commit writes.
    pub(super) delayed: Vec<crate::store::Due>,
    /// Events of the commit that somebody may wait for.
    pub(super) deliveries: Vec<super::inbox::Delivery>,
}

impl Active {
    pub(super) fn loaded(loaded: Loaded, queued: bool) -> Self {
        let Loaded { run, definition, birth, snapshot, journal, timers, waits, origin, quiet } = loaded;
        Active { snapshot, journal, timers, waits, queued, origin, quiet, ..Active::new(run, definition, birth) }
    }

    pub(super) fn new(run: Run, definition: Arc<Definition>, birth: Box<RawValue>) -> Self {
        Active {
            committed: run.version,
            snapshot: run.version,
            journal: JournalSize::default(),
            trimming: false,
            timers: BTreeMap::new(),
            held: BTreeMap::new(),
            waits: BTreeSet::new(),
            run,
            definition,
            birth,
            origin: None,
            quiet: false,
            queued: true,
            line: None,
            passed: false,
            pace: None,
            inputs: VecDeque::new(),
            wanted: Vec::new(),
            in_flight: None,
            attempts: HashMap::new(),
            hints: BTreeSet::new(),
            late_cancel: false,
        }
    }

    /// Whether it must be claimed through its line before it is told anything but that it is cancelled or too late.
    pub(super) fn is_held(&self) -> bool {
        let heard = |input: &Input| match input {
            Input::Cancel { .. } => true,
            Input::Due => !self.run.has_begun(),
            _ => false,
        };
        !self.passed && self.run.head.cancel.is_none() && self.run.needs_claim() && !self.inputs.iter().any(heard)
    }

    /// Whether it has a row in the queue or in the line.
    pub(super) fn has_place(&self) -> bool {
        self.queued || self.line.is_some()
    }

    /// Takes its rows out of the queue and the line.
    pub(super) fn leave_queue(&mut self) -> impl Iterator<Item = Write> {
        let Run { id, position, .. } = self.run;
        let woken = std::mem::take(&mut self.queued).then(|| Key::queue(Ready::woken(id), position, id));
        woken.into_iter().chain(self.line.take()).map(Write::Delete)
    }

    /// Whether nothing happens for it any more for now.
    pub(super) fn is_at_rest(&self) -> bool {
        self.in_flight.is_none()
            && self.inputs.is_empty()
            && self.wanted.is_empty()
            && self.attempts.is_empty()
            && self.hints.is_empty()
            && (self.run.is_ended() || self.run.is_parked())
    }

    pub(super) fn stop_attempts(&mut self) {
        self.attempts.drain().for_each(|(_, attempt)| attempt.abort());
        self.inputs.clear();
    }
}
