//! A run: the state, how facts change it, and what must be done for it.
//!
//! [`Run::decide`] (in `decide.rs`) changes the state only through [`Run::apply`] and hands out the records, so the
//! live state and the one replayed from the journal are the same by construction.

mod fact;
mod frame;
mod stored;

mod attempt;
mod block;
mod child;
mod decide;
mod due;
mod fork;
mod inbox;

mod key;
mod retried;
mod retry;
mod scope;
mod undo;
mod wait;
mod weight;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wf_dsl::{Object, PlanHash, Time, Value};

use crate::ids::{FrameId, Position, RunId};
use crate::limits::Terms;
use crate::planted::{Bug, planted};
use crate::store::{Key, LimitId, Ready};
pub use attempt::{INTERRUPTIONS_MAX, KEY_BYTES_MAX};
pub(crate) use block::matching;
pub use child::REFUSED;
pub(crate) use child::{Refusal, signature};
pub use decide::{
    Call, Command, Cx, HeldKey, Input, KeyAnswer, OUTPUT_BYTES_MAX, SendEvent, StartRun, TURN_BYTES, TURN_FRAMES,
    TURN_RECORDS, TURN_WEIGHT, Turn, Workflows,
};
pub use fact::{ERROR_DATA_BYTES_MAX, ERROR_MESSAGE_BYTES_MAX, Fact, Failure, Record, Status, StepId, Vars};
pub use fork::ITEMS_MAX;
pub(crate) use frame::is_default;
pub use frame::{Block, Exit, FORK_ERRORS_MAX, Fork, Frame, Parent, Place, Role, Tie, Tries};
pub use inbox::{Awaited, AwaitedEvent, Candidate, Inbox, Signature};
pub(crate) use retried::{NoRetry, Rewound};
pub(crate) use retry::{code_matches, regular_delay};
pub(crate) use scope::EventScope;
pub use scope::Live;
pub use stored::{BLOB_BYTES, Blob, Stored};
pub use undo::{UNDOS_MAX, Undo};
pub use weight::{FRAMES_MAX, STATE_BYTES_MAX, StateLimits};

/// The event that a run was born of, as its expressions see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// The id that the sender was answered.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it happened, as the sender says.
    pub ts: Time,
    /// Its data.
    pub data: Value,
}

impl Trigger {
    /// The event as expressions see it.
    pub fn value(&self) -> Value {
        let mut event = Object::new();
        event.insert("name".into(), Value::String(self.name.as_str().into()));
        event.insert("id".into(), Value::String(self.id.as_str().into()));
        event.insert("ts".into(), Value::Time(self.ts));
        event.insert("data".into(), self.data.clone());
        Value::Object(Arc::new(event))
    }
}

/// A run in memory: its head and its frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The event that it was born of.
    pub trigger: Arc<Trigger>,
    /// The position of that event in the log.
    pub position: Position,
    /// What is in its head row.
    pub head: Head,
    /// Its frames by id.
    pub frames: BTreeMap<FrameId, Frame>,
    /// How many records it has.
    pub version: u64,
    /// The frames that changed since their rows were written.
    pub(crate) dirty: BTreeSet<FrameId>,
    /// Frames whose timer is due but for which their `for_each` has no slot yet. Not stored: their timers are.
    pub(crate) starved: BTreeSet<FrameId>,
    /// Frames whose attempts were cut off and are not made again yet.
    pub(crate) cut_off: BTreeSet<FrameId>,
    /// Frames that are gone since their rows were written.
    pub(crate) gone: BTreeSet<FrameId>,
    /// How much it holds. Not stored.
    pub(crate) weight: weight::Weight,
}

/// The part of a run's state that belongs to no frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The definition it is pinned to.
    pub plan: Hash,
    /// When it began.
    pub started: Time,
    /// How it stands.
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: Status,
    /// The run that invoked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Caller>,
    /// The terms on which it was accepted, if its workflow has limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Box<Terms>>,
    /// The events that started it, if its workflow has `events`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Stored>,
    /// Its variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: Vars,
    /// When it times out as a whole; before it begins, when it is too late to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Time>,
    /// The events that cancel it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancel_on: Vec<AwaitedEvent>,
    /// None of the events up to here cancelled it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cancel_examined: Position,
    /// How many steps an error may undo.
    #[serde(default, skip_serializing_if = "is_default")]
    pub undos: u32,
    /// The next frame id that is free.
    pub next_frame: u32,
    /// The next chunk number that is free.
    #[serde(default, skip_serializing_if = "is_default")]
    pub next_chunk: u32,
    /// It is to be cancelled, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// What it `finish`ed with.
    #[serde(default, skip_serializing_if = "Stored::is_null")]
    pub output: Stored,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A plan's hash as hexadecimal text in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(pub PlanHash);

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Hash).map_err(serde::de::Error::custom)
    }
}

/// The step of another run that waits for this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Caller {
    /// The run.
    pub run: RunId,
    /// The frame that waits.
    pub frame: FrameId,
    /// The caller's place in the queue, so that it can be woken without reading it.
    pub order: Position,
}

impl Run {
    /// A run that has no records yet.
    pub fn new(id: RunId, plan: PlanHash, trigger: Arc<Trigger>, parent: Option<Caller>, at: Time) -> Self {
        let root = Frame::new(None, at, Position(0));
        Run {
            id,
            trigger,
            position: Position(0),
            head: Head {
                plan: Hash(plan),
                started: at,
                status: Status::Open,
                parent,
                terms: None,
                events: None,
                vars: Vars::new(),
                due: None,
                cancel_on: Vec::new(),
                cancel_examined: Position(0),
                undos: 0,
                next_frame: 1,
                next_chunk: 0,
                cancel: None,
                ended: None,
                output: Stored::default(),
                failure: None,
            },
            frames: BTreeMap::from([(FrameId::ROOT, root)]),
            version: 0,
            dirty: BTreeSet::new(),
            starved: BTreeSet::new(),
            cut_off: BTreeSet::new(),
            gone: BTreeSet::new(),
            weight: weight::Weight::default(),
        }
    }

    /// Gives a run that has not begun its terms.
    pub fn accept(&mut self, terms: Terms) {
        self.head.due = terms.start_by.filter(|_| !planted(Bug::LateStart));
        if terms.start_by.is_some() {
            self.dirty.insert(FrameId::ROOT);
        }
        self.head.terms = Some(Box::new(terms));
    }

    /// Gives a run that has not begun all the events that started it.
    pub fn gather(&mut self, events: Stored) {
        self.take_in(&events);
        self.head.events = Some(events);
    }

    /// Whether it has begun: before that, it stands in the queue.
    pub fn has_begun(&self) -> bool {
        self.version > 0
    }

    /// Whether it may not go on, now or before it has begun, until it was claimed through its gate.
    pub(crate) fn needs_claim(&self) -> bool {
        let terms = self.head.terms.as_ref().filter(|_| !self.is_ended());
        terms.is_some_and(|terms| if self.has_begun() { !terms.gate.slots.is_empty() } else { terms.queues() })
    }

    /// Its row in the queue while it has not begun.
    pub(crate) fn place_in_line(&self) -> Option<Key> {
        let terms = self.head.terms.as_ref().filter(|_| !self.has_begun() && self.needs_claim())?;
        let ready = terms.ready(self.id.workflow);
        Some(Key::in_queue(ready, &terms.gate, self.position, self.id))
    }

    /// Its row in the queue when it has begun and needs its slots again to go on.
    pub(crate) fn place_again(&self) -> Option<Key> {
        let terms = self.head.terms.as_ref().filter(|terms| self.has_begun() && !terms.gate.slots.is_empty())?;
        Some(Key::in_queue(Ready::woken(self.id), &terms.gate_of_woken(), self.position, self.id))
    }

    /// Its row while it waits for the end of the run that is open under a key.
    pub(crate) fn place_behind(&self, id: LimitId) -> Key {
        let priority = self.head.terms.as_ref().map_or(Ready::WOKEN, |terms| terms.priority);
        Key::line(id, priority, self.position, self.id)
    }

    /// Whether it has ended.
    pub fn is_ended(&self) -> bool {
        self.head.status != Status::Open
    }

    /// Whether nothing happens for it until a timer, a child, a key or an event wakes it.
    pub fn is_parked(&self) -> bool {
        !self.is_ended()
            && self.frames.values().all(|frame| match &frame.place {
                Place::At { .. } | Place::Attempt { .. } => false,
                Place::Key { taken, .. } => *taken,
                // It is told soon, with the commit that asks.
                Place::Child { tie, .. } => *tie != Tie::Detached,
                _ => true,
            })
    }

    /// The frame with this id.
    pub fn frame(&self, id: FrameId) -> &Frame {
        self.frames.get(&id).expect("a record names only frames of its run")
    }

    fn frame_mut(&mut self, id: FrameId) -> &mut Frame {
        self.dirty.insert(id);
        self.frames.get_mut(&id).expect("a record names only frames of its run")
    }

    /// A frame and those that it is a part of, innermost first.
    pub fn with_parents(&self, id: FrameId) -> impl Iterator<Item = &Frame> {
        std::iter::successors(self.frames.get(&id), |frame| {
            frame.parent.as_ref().and_then(|parent| self.frames.get(&parent.frame))
        })
    }

    /// The earliest due time of each frame that has one; the root's includes the run's own.
    pub fn timers(&self) -> impl Iterator<Item = (FrameId, Time)> {
        self.frames.keys().filter_map(|id| Some((*id, self.timer_of(*id)?)))
    }

    /// The earliest due time of a frame; none if nothing is due there, or the run has ended.
    pub fn timer_of(&self, id: FrameId) -> Option<Time> {
        let own = self.head.due.filter(|_| id == FrameId::ROOT);
        let frame = self.frames.get(&id).filter(|_| !self.is_ended())?;
        frame.due().into_iter().chain(own).min()
    }

    /// Changes the state as a record says. Evaluates nothing.
    pub fn apply(&mut self, record: &Record) {
        let worked = self.frames.get(&record.frame).is_some_and(Frame::is_working);
        self.change(record);
        self.version += 1;
        if matches!(record.fact, Fact::Retried { .. }) {
            // Its state says itself who works.
            return;
        }
        if let Some(frame) = self.frames.get(&record.frame) {
            let works = frame.is_working();
            if works != worked {
                self.count_working(record.frame, works);
            }
        }
    }

    /// Tells the fork that a frame is part of that the frame began or ceased to work, and so on upwards.
    fn count_working(&mut self, id: FrameId, works: bool) {
        let Some(parent) = self.frame(id).parent.as_ref().map(|parent| parent.frame) else { return };
        let worked = self.frame(parent).is_working();
        let frame = self.frame_mut(parent);
        if let Place::Fork { fork, .. } = &mut frame.place {
            fork.working = if works { fork.working + 1 } else { fork.working.saturating_sub(1) };
        }
        let now = frame.is_working();
        if now != worked {
            self.count_working(parent, now);
        }
    }

    fn change(&mut self, record: &Record) {
        let Record { frame: id, at, fact } = record;
        let since = self.version;
        match fact {
            Fact::Started { vars, due, cancel_on } => {
                self.frame_mut(*id).entered = *at;
                self.head.cancel_on = cancel_on.clone();
                self.head.vars = vars.clone();
                self.head.due = *due;
                self.head.started = *at;
                vars.values().for_each(|value| self.take_in(value));
            }
            Fact::Entered { step, forget, again } => {
                let frame = self.frame_mut(*id);
                frame.outputs.remove(step);
                forget.iter().for_each(|inner| {
                    frame.outputs.remove(inner);
                    frame.tries.remove(inner);
                });
                frame.round += u32::from(*again);
                frame.entered = *at;
                frame.place = Place::At { step: step.clone() };
            }
            Fact::Skipped { step } | Fact::Failed { step, .. } => {
                let frame = self.frame_mut(*id);
                frame.outputs.remove(step);
                frame.tries.remove(step);
                frame.place = Place::At { step: step.clone() };
            }
            Fact::UndoAdded { step, entered, iteration, reads } => {
                self.head.undos += 1;
                self.take_in(reads);
                self.frame_mut(*id).undos.push(Undo {
                    step: step.clone(),
                    entered: *entered,
                    number: since,
                    iteration: iteration.clone(),
                    reads: reads.clone(),
                });
            }
            Fact::GivenUp { exit } => {
                if *id == FrameId::ROOT && !matches!(exit, Exit::Cut { depth: Some(_), .. }) {
                    self.head.due = None;
                }
                self.frame_mut(*id).give_up(exit);
            }
            Fact::Abandoned { step, .. } => {
                let frame = self.frame_mut(*id);
                frame.tries.remove(step);
                frame.place = Place::At { step: step.clone() };
            }
            Fact::Set { values, .. } => {
                self.dirty.insert(*id);
                self.head.vars.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
                values.values().for_each(|value| self.take_in(value));
            }
            Fact::Opened { step, role, due, error, then, .. } => {
                let block = Block {
                    step: step.clone(),
                    role: *role,
                    due: *due,
                    error: error.clone(),
                    then: then.clone(),
                    entered: None,
                    undone_to: 0,
                    undo: None,
                };
                self.open(*id, block);
            }
            Fact::Closed => self.close(*id),
            Fact::KeyWanted { step, key } => {
                self.frame_mut(*id).place =
                    Place::Key { step: step.clone(), key: key.clone(), taken: false, again: None, since };
            }
            Fact::KeyTaken { again, .. } => self.mark_key(*id, true, *again),
            Fact::KeyFreed { .. } => self.mark_key(*id, false, None),
            Fact::AttemptStarted { step, attempt, key } => {
                let frame = self.frame_mut(*id);
                let tries = frame.tries.entry(step.clone()).or_default();
                if tries.attempt == 0 {
                    tries.since = *at;
                }
                tries.attempt = *attempt;
                frame.place = Place::Attempt { step: step.clone(), key: key.clone(), since };
            }
            Fact::AttemptInterrupted { step, .. } => {
                self.frame_mut(*id).tries.entry(step.clone()).or_default().interrupted += 1;
            }
            Fact::AttemptFailed { step, retry_at, policy, .. } => {
                let frame = self.frame_mut(*id);
                let tries = frame.tries.entry(step.clone()).or_default();
                let policy = *policy as usize;
                if tries.counted.len() <= policy {
                    tries.counted.resize(policy + 1, 0);
                }
                tries.counted[policy] += 1;
                let key = match &mut frame.place {
                    Place::Attempt { key, .. } => key.take(),
                    _ => None,
                };
                frame.place = Place::Backoff { step: step.clone(), until: *retry_at, key };
            }
            Fact::Finished { step, output } => {
                let frame = self.frame_mut(*id);
                frame.tries.remove(step);
                if output.blob.is_some() || output.value != Value::Null {
                    frame.outputs.insert(step.clone(), output.clone());
                }
                if !frame.blocks.iter().any(Block::is_kept) {
                    frame.last = Some(step.clone());
                }
                frame.place = Place::At { step: step.clone() };
                self.take_in(output);
            }
            Fact::Slept { step, until } => {
                self.frame_mut(*id).place = Place::Sleep { step: step.clone(), until: *until };
            }
            Fact::Sent { .. } => {}
            Fact::Waited { step, awaited } => {
                let awaited = awaited.clone();
                self.frame_mut(*id).place =
                    Place::Wait { step: step.clone(), awaited, examined: Position(0), began: since };
            }
            Fact::CancelExamined { through } => {
                self.dirty.insert(*id);
                self.head.cancel_examined = *through;
            }
            Fact::Examined { through } => {
                if let Place::Wait { examined, .. } = &mut self.frame_mut(*id).place {
                    *examined = *through;
                }
            }
            Fact::WaitEnded { step, cursor, output, .. } => {
                let frame = self.frame_mut(*id);
                frame.outputs.insert(step.clone(), output.clone());
                frame.cursor = frame.cursor.max(*cursor);
                frame.place = Place::At { step: step.clone() };
                self.take_in(output);
            }
            Fact::Invoked { step, run, detached, asked, due } => {
                let tie = if *detached { Tie::Detached } else { Tie::Child };
                if !detached || *asked {
                    self.frame_mut(*id).place = Place::Child { step: step.clone(), run: *run, due: *due, tie };
                }
            }
            Fact::Referred { run: named, .. } => {
                if let Place::Child { run, tie, .. } = &mut self.frame_mut(*id).place {
                    (*run, *tie) = (*named, Tie::Referred);
                }
            }
            Fact::Forked { step, base, total, limit, items, keys, failures_max, due } => {
                let fork = Fork {
                    base: *base,
                    total: *total,
                    limit: *limit,
                    items: items.clone(),
                    keys: keys.clone(),
                    failures_max: *failures_max,
                    due: *due,
                    ..Fork::default()
                };
                self.head.next_frame = self.head.next_frame.max(base + total);
                self.frame_mut(*id).place = Place::Fork { step: step.clone(), fork: Box::new(fork) };
                items.iter().chain(keys).for_each(|values| self.take_in(values));
            }
            Fact::Branched { index } => self.branch(*id, *index, *at),
            Fact::Withdrawn { then, winner, .. } => {
                if let Place::Fork { fork, .. } = &mut self.frame_mut(*id).place {
                    fork.closing = Some(then.clone());
                    fork.winner = *winner;
                }
            }
            Fact::Ended { output, failure, cancelled } => self.end_frame(*id, output, failure.as_ref(), *cancelled),
            Fact::Joined { step, merge } => self.join(*id, step, *merge),
            Fact::CancelRequested { reason } => {
                self.dirty.insert(*id);
                self.head.cancel = Some(reason.clone());
            }
            Fact::Migrated { plan } => {
                self.dirty.insert(*id);
                self.head.plan = *plan;
            }
            Fact::Retried { state, .. } => {
                self.take_state(state);
                self.take_in(state);
            }
            Fact::RunEnded { status, output, failure } => {
                self.dirty.insert(*id);
                self.head.status = *status;
                self.head.ended = Some(*at);
                self.head.output = output.clone();
                self.head.failure = failure.clone();
                self.take_in(output);
            }
        }
    }

    fn open(&mut self, id: FrameId, mut block: Block) {
        let frame = self.frame_mut(id);
        let mut is_outside = block.step.is_none();
        if block.role == Role::Undo {
            block.undo = frame.undos.pop().map(Box::new);
            // Nothing is undone within the time that the list had.
            match frame.blocks.last_mut() {
                Some(left) => left.due = None,
                None => is_outside = true,
            }
        }
        block.entered = Some(frame.entered);
        block.undone_to = frame.undos.len();
        self.head.undos -= u32::from(block.undo.is_some());
        self.frame_mut(id).blocks.push(block);
        if is_outside && id == FrameId::ROOT {
            // The workflow's own handlers are outside of its timeout.
            self.head.due = None;
        }
    }

    fn close(&mut self, id: FrameId) {
        let frame = self.frame_mut(id);
        let Some(block) = frame.blocks.pop() else { return };
        frame.entered = block.entered.unwrap_or(frame.entered);
        if block.role == Role::Undo {
            // What undid something is not undone itself.
            let dropped = frame.undos.len().saturating_sub(block.undone_to);
            frame.undos.truncate(block.undone_to);
            self.head.undos -= u32::try_from(dropped).unwrap_or(u32::MAX);
        }
    }

    fn mark_key(&mut self, id: FrameId, is_taken: bool, ask_again: Option<Time>) {
        if let Place::Key { taken, again, .. } = &mut self.frame_mut(id).place {
            *taken = is_taken;
            *again = ask_again;
        }
    }

    /// Takes note of a value that the run holds from now on.
    fn take_in(&mut self, stored: &Stored) {
        self.weight.take_in(stored);
        if let Some(blob) = stored.blob {
            let chunks = blob.bytes.div_ceil(crate::store::CHUNK_BYTES as u32);
            self.head.next_chunk = self.head.next_chunk.max(blob.first + chunks);
        }
    }

    fn branch(&mut self, id: FrameId, index: u32, at: Time) {
        let cursor = self.frame(id).cursor;
        let Place::Fork { step, fork } = &mut self.frame_mut(id).place else { return };
        fork.begun += 1;
        let child = FrameId(fork.base + index);
        let parent = Parent { frame: id, step: step.clone(), index };
        self.weight.begin();
        self.frames.insert(child, Frame::new(Some(parent), at, cursor));
        self.dirty.insert(child);
    }

    fn end_frame(&mut self, id: FrameId, output: &Stored, failure: Option<&Failure>, cancelled: bool) {
        let frame = self.frame_mut(id);
        // What a loop lists of a failure has no data.
        let failure = failure.map(|failure| Failure { data: Value::Null, ..failure.clone() });
        frame.place = Place::Ended { output: output.clone(), failure: failure.clone() };
        frame.blocks.clear();
        frame.tries.clear();
        let Some(parent) = frame.parent.clone() else { return };
        let size = output.size();
        let mut is_loop = false;
        if let Place::Fork { fork, .. } = &mut self.frame_mut(parent.frame).place {
            fork.ended += 1;
            fork.output_bytes += size;
            is_loop = fork.items.is_some();
            if let Some(failure) = failure.filter(|_| !cancelled) {
                fork.failed += 1;
                let at = fork.errors.partition_point(|(index, _)| *index < parent.index);
                fork.errors.insert(at, (parent.index, failure));
                fork.errors.truncate(FORK_ERRORS_MAX);
            }
        }
        if is_loop {
            // Nobody outside can read them; those of a branch are read behind its `parallel`.
            self.frame_mut(id).outputs.clear();
        }
    }

    fn join(&mut self, id: FrameId, step: &StepId, merge: bool) {
        let Place::Fork { fork, .. } = &self.frame(id).place else { return };
        let children = FrameId(fork.base)..FrameId(fork.base + fork.total);
        let ended: Vec<FrameId> = self.frames.range(children).map(|(child, _)| *child).collect();
        for child in ended {
            self.gone.insert(child);
            self.dirty.remove(&child);
            let child = self.frames.remove(&child).expect("listed just now");
            let frame = self.frame_mut(id);
            frame.cursor = frame.cursor.max(child.cursor);
            frame.undos.extend(child.undos);
            if merge {
                frame.outputs.extend(child.outputs);
            }
        }
        let frame = self.frame_mut(id);
        // The parts' have come after those of the frame itself, which did nothing meanwhile.
        frame.undos.sort_by_key(|undo| undo.number);
        frame.place = Place::At { step: step.clone() };
    }
}
