//! The decision: what follows from an input. Pure: time and chance come in, records and commands go out.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value as Json;
use wf_dsl::{Body, Form, List, ListIx, Owner, Period, Step, StepIx, Time, Value, Workflow};

use super::fact::{Fact, Failure, Record, StepId, Vars};
use super::frame::{Block, Exit, Place, Role};
use super::inbox::Inbox;
use super::key::Visit;
use super::scope::{FrameScope, Live};
use super::stored::{BLOB_BYTES, Blob, Stored};
use super::{Run, Status};
use crate::definition::Definition;
use crate::ids::{EventId, FrameId, Position, RunId};
use crate::kind::StepError;
use crate::planted::{Bug, planted};
use crate::store::CHUNK_BYTES;

/// Records after which a turn ends, so that a long loop neither blocks the engine nor makes a huge commit.
pub const TURN_RECORDS: usize = 1_000;
/// Frames that one turn changes at most, or a few more: each may be several rows of the commit.
pub const TURN_FRAMES: usize = 64;
/// What the commands of one turn may weigh together, or a little more: about the rows that they add to the commit.
pub const TURN_WEIGHT: usize = 200;
/// Bytes of large values after which a turn ends.
pub const TURN_BYTES: usize = 1 << 20;
/// The longest output of a step, in bytes of JSON.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Why a run is cancelled that could not begin in time.
pub(super) const TOO_LATE: &str = "it did not begin within its `start_within`";

/// What a decision may look at beside the run.
#[derive(Clone, Copy)]
pub struct Cx<'a> {
    /// The definition that the run is pinned to.
    pub definition: &'a Definition,
    /// Configuration and secrets.
    pub live: &'a Live,
    /// The other workflows.
    pub workflows: &'a dyn Workflows,
    /// The time of this turn.
    pub now: Time,
}

/// The workflows that a run may invoke.
pub trait Workflows {
    /// The number and the newest plan of a workflow.
    fn newest(&self, name: &str) -> Option<(u16, &Arc<Definition>)>;
}

/// What a run is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// It was born.
    Start,
    /// An attempt ended. Ignored if it is not the one in flight.
    Outcome {
        /// The frame.
        frame: FrameId,
        /// Which attempt: [`Call::since`].
        since: u64,
        /// How it ended.
        outcome: Result<Json, StepError>,
    },
    /// It was loaded: attempts that stand in its frames were cut off and are made again.
    Loaded,
    /// A timer may be due.
    Due,
    /// What became of the explicit key that a frame wants.
    Key {
        /// The frame.
        frame: FrameId,
        /// Which wish: [`HeldKey::since`].
        since: u64,
        /// What the store says.
        answer: KeyAnswer,
    },
    /// The explicit key that a frame waits for may be free.
    KeyFreed {
        /// The frame.
        frame: FrameId,
    },
    /// An invoked run ended.
    ChildEnded {
        /// The frame that waits for it.
        frame: FrameId,
        /// The child.
        run: RunId,
        /// How it ended.
        result: Result<Value, Failure>,
    },
    /// There may be an event for this frame, or for any.
    Look {
        /// The frame.
        frame: Option<FrameId>,
    },
    /// What was found in the log.
    Inbox(Box<Inbox>),
    /// Somebody wants the run cancelled.
    Cancel {
        /// Why.
        reason: String,
    },
    /// The turn before ended early.
    More,
}

impl Input {
    /// Inputs that wait together are taken in this order: facts before requests, and deadlines last.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Input::Start | Input::Loaded | Input::More => 0,
            Input::Outcome { .. } | Input::ChildEnded { .. } | Input::Key { .. } => 1,
            Input::KeyFreed { .. } => 2,
            Input::Cancel { .. } => 3,
            Input::Due => 4,
            Input::Look { .. } | Input::Inbox(_) => 5,
        }
    }
}

/// What the store says about an explicit idempotency key.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyAnswer {
    /// This step holds it now.
    Held,
    /// Another step holds it.
    Taken,
    /// Another step holds it, and too many wait for it: this one asks again later.
    Crowded,
    /// Another step has used it; this was its output.
    Done(Value),
}

/// What follows from one input.
#[derive(Debug, Default)]
pub struct Turn {
    /// What happened, to be made durable before anything else is done.
    pub records: Vec<Record>,
    /// What is to be done then, or in the same commit.
    pub commands: Vec<Command>,
    /// Large values of the records, to be written as chunk rows in the same commit.
    pub blobs: Vec<(Blob, Arc<[u8]>)>,
    /// The turn is not over: call again with [`Input::More`] after the commit.
    pub more: bool,
}

/// What is to be done for a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Make an attempt.
    Perform(Call),
    /// Look at the log for what these frames wait for.
    Look(Vec<FrameId>),
    /// Look whether this run has ended, for which this frame waits from the same commit on.
    LookAt(FrameId, RunId),
    /// Give up the attempt of this frame.
    Stop(FrameId),
    /// Ask the store for an explicit idempotency key.
    WantKey(HeldKey),
    /// Tell the store how the step with this explicit key ended; none is a failure.
    SettleKey(HeldKey, Option<Stored>),
    /// Send an event, in the same commit.
    Send(SendEvent),
    /// Start a run, in the same commit.
    Start(StartRun),
    /// Ask another run to end.
    CancelRun(RunId),
}

impl Command {
    /// About how many rows it adds to a commit.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Command::Perform(_) | Command::Stop(_) => 0,
            // A wait may have a row for each of its alternatives.
            Command::Look(frames) => 4 * frames.len(),
            Command::CancelRun(_) | Command::LookAt(..) => 1,
            Command::WantKey(_) => 2,
            Command::Start(_) => 4,
            Command::Send(_) => 10,
            // Whoever waits for the key is woken.
            Command::SettleKey(..) => crate::once::KEY_WAITERS_MAX,
        }
    }
}

/// An attempt to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The frame.
    pub frame: FrameId,
    /// The step.
    pub step: StepId,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The explicit idempotency key, if any.
    pub key: Option<String>,
    /// The number of the record that began it, which no other attempt of the run has.
    pub since: u64,
}

/// An explicit idempotency key and who wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldKey {
    /// The frame.
    pub frame: FrameId,
    /// The step.
    pub step: StepId,
    /// The key.
    pub key: String,
    /// The number of the record that wanted it, which no other wish of the run has.
    pub since: u64,
}

/// An event that a step sends.
#[derive(Clone, Debug, PartialEq)]
pub struct SendEvent {
    /// Its id.
    pub id: EventId,
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: Value,
    /// The id that the step gave it, for dedupe.
    pub sender_id: Option<String>,
    /// When it counts as sent.
    pub at: Time,
}

/// A run that a step invokes.
#[derive(Clone, Debug, PartialEq)]
pub struct StartRun {
    /// Its id.
    pub run: RunId,
    /// The workflow's name.
    pub workflow: String,
    /// The data of its trigger.
    pub data: Value,
    /// The frame that starts it.
    pub frame: FrameId,
    /// That does not wait for its end.
    pub detached: bool,
}

impl Run {
    /// What follows from `input`. The records are applied already.
    pub fn decide(&mut self, cx: &Cx<'_>, input: Input) -> Turn {
        let changed = self.dirty.len();
        let mut decision = Decision { run: self, cx: *cx, turn: Turn::default(), agenda: VecDeque::new(), changed };
        if decision.run.is_ended() && !planted(Bug::DoubleFinish) {
            return decision.turn;
        }
        decision.take(input);
        decision.work();
        decision.turn
    }

    /// What must be done for this run if nobody is doing it: the commands that recovery gives again.
    ///
    /// Attempts are not among them: [`Input::Loaded`] makes them again.
    pub fn outstanding(&self) -> Vec<Command> {
        self.frames
            .iter()
            .filter_map(|(id, frame)| match &frame.place {
                Place::Key { step, key, taken: false, since, .. } => {
                    let held = HeldKey { frame: *id, step: step.clone(), key: key.clone(), since: *since };
                    Some(Command::WantKey(held))
                }
                _ => None,
            })
            .collect()
    }
}

/// A decision in progress.
pub(super) struct Decision<'a> {
    pub(super) run: &'a mut Run,
    pub(super) cx: Cx<'a>,
    pub(super) turn: Turn,
    /// Frames that stand at a step that is to be decided, or whose fork may begin more.
    pub(super) agenda: VecDeque<FrameId>,
    /// How many frames had changed before.
    changed: usize,
}

impl<'a> Decision<'a> {
    fn take(&mut self, input: Input) {
        match input {
            Input::Start => self.start(),
            Input::Outcome { frame, since, outcome } => self.outcome(frame, since, outcome),
            Input::Loaded => self.loaded(),
            Input::Due => self.due(),
            Input::Key { frame, since, answer } => self.key_answer(frame, since, answer),
            Input::KeyFreed { frame } => self.key_freed(frame),
            Input::ChildEnded { frame, run, result } => self.child_ended(frame, run, result),
            Input::Look { frame } => self.look(frame),
            Input::Inbox(inbox) => self.inbox(*inbox),
            Input::Cancel { reason } => self.cancel(reason),
            Input::More => {
                self.make_again();
                self.due();
                self.look_at_all();
            }
        }
    }

    fn work(&mut self) {
        while !self.is_full() {
            // Whatever put them there, nothing begins any more when the run has ended.
            let Some(frame) = self.agenda.pop_front().filter(|_| !self.run.is_ended()) else { return };
            self.advance(frame);
        }
        self.turn.more |= !self.agenda.is_empty() && !self.run.is_ended();
    }

    /// Whether the turn is to end, so that what it has done so far fits a commit.
    pub(super) fn is_full(&self) -> bool {
        let Turn { records, commands, blobs, .. } = &self.turn;
        records.len() >= TURN_RECORDS
            || self.run.dirty.len() >= self.changed + TURN_FRAMES
            || commands.iter().map(Command::weight).sum::<usize>() >= TURN_WEIGHT
            || blobs.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() >= TURN_BYTES
    }

    /// Puts every frame on the agenda that may go on by itself.
    pub(super) fn look_at_all(&mut self) {
        let able =
            self.run.frames.iter().filter(|(_, frame)| matches!(frame.place, Place::At { .. } | Place::Fork { .. }));
        self.agenda.extend(able.map(|(id, _)| *id));
    }

    fn advance(&mut self, id: FrameId) {
        let Some(frame) = self.run.frames.get(&id) else { return };
        match &frame.place {
            // What is being withdrawn begins nothing any more.
            Place::At { .. } if self.is_closing(id) => {}
            Place::At { step } => {
                let step = self.step_named(&step.clone());
                self.begin(id, step);
            }
            Place::Fork { .. } => self.feed(id),
            _ => {}
        }
        if let Some(parent) = self.run.frames.get(&id).and_then(|frame| frame.parent.as_ref()) {
            self.agenda.push_back(parent.frame);
        }
    }

    pub(super) fn emit(&mut self, frame: FrameId, fact: Fact) {
        let record = Record { frame, at: self.cx.now, fact };
        self.run.apply(&record);
        self.turn.records.push(record);
    }

    pub(super) fn workflow(&self) -> &'a Workflow {
        &self.cx.definition.plan.workflow
    }

    pub(super) fn list(&self, ix: ListIx) -> &'a List {
        self.workflow().list(ix)
    }

    pub(super) fn step_named(&self, id: &StepId) -> &'a Step {
        let ix = self.workflow().find(id).expect("a record names only steps of the pinned plan");
        self.workflow().step(ix)
    }

    // ── values ──────────────────────────────────────────────────────────

    /// Evaluates a form of `step` in the present frame; its failure is one of that step.
    pub(super) fn fill(&self, id: FrameId, step: &Step, purpose: &'static str, form: &Form) -> Result<Value, Failure> {
        self.fill_with(id, &step.id, purpose, form, self.run.now_at(id), &[])
    }

    fn fill_at(
        &self,
        id: FrameId,
        step: &StepId,
        what: &'static str,
        form: &Form,
        now: Time,
    ) -> Result<Value, Failure> {
        self.fill_with(id, step, what, form, now, &[])
    }

    /// The same with more names bound, such as those of a loop that has not begun.
    pub(super) fn fill_with(
        &self,
        id: FrameId,
        step: &StepId,
        purpose: &'static str,
        form: &Form,
        now: Time,
        bound: &[(&str, Value)],
    ) -> Result<Value, Failure> {
        if let Form::Literal(value, _) = form {
            return Ok(value.clone());
        }
        let scope = FrameScope {
            run: self.run,
            plan: &self.cx.definition.plan,
            live: self.cx.live,
            frame: id,
            now,
            visit: Visit::of(self.run, id, step),
            purpose,
            drawn: Cell::new(0),
            bound,
        };
        form.fill(&scope).map_err(|error| Failure::new(error.code, error.to_string(), Some(step)))
    }

    /// Makes a value ready to be stored: a large one gets chunks of its own.
    pub(super) fn store(&mut self, value: Value) -> Stored {
        self.store_beyond(value, BLOB_BYTES)
    }

    /// The same for values that are large from `most` bytes on.
    pub(super) fn store_beyond(&mut self, value: Value, most: usize) -> Stored {
        let (stored, blob) = Stored::cut(value, most, self.next_chunk());
        self.turn.blobs.extend(blob);
        stored
    }

    /// The value, if it is not longer than an output may be.
    pub(super) fn bounded(&self, step: &Step, value: Value) -> Result<Value, Failure> {
        if value.size_within(OUTPUT_BYTES_MAX).is_some() {
            return Ok(value);
        }
        let message = format!("the value is larger than {OUTPUT_BYTES_MAX} bytes");
        Err(Failure::new("validation.output", message, Some(&step.id)))
    }

    fn next_chunk(&self) -> u32 {
        let taken = self.turn.blobs.last().map_or(0, |(blob, _)| blob.first + blob.bytes.div_ceil(CHUNK_BYTES as u32));
        taken.max(self.run.head.next_chunk)
    }

    pub(super) fn period(&self, id: FrameId, step: &Step, what: &'static str, form: &Form) -> Result<Period, Failure> {
        match self.fill(id, step, what, form)? {
            Value::Period(period) => Ok(period),
            other => Err(type_failure(step, what, "a duration", &other)),
        }
    }

    pub(super) fn due_after(&self, timeout: Period) -> Time {
        Time(self.cx.now.0.saturating_add(timeout.0))
    }

    // ── from step to step ───────────────────────────────────────────────

    fn start(&mut self) {
        if self.run.head.due.is_some_and(|due| due <= self.cx.now) {
            return self.cancel(TOO_LATE.to_owned());
        }
        let workflow = self.workflow();
        let mut vars = Vars::new();
        let root: StepId = "".into();
        let mut wrong = None;
        for (name, variable) in &workflow.vars {
            match self.fill_at(FrameId::ROOT, &root, "vars", &variable.value, self.cx.now) {
                Ok(value) => drop(vars.insert(name.clone(), self.store(value))),
                Err(failure) => wrong = wrong.or(Some(Failure { step: None, ..failure })),
            }
        }
        let due = match workflow.timeout.as_ref() {
            Some(form) => match self.fill_at(FrameId::ROOT, &root, "timeout", form, self.cx.now) {
                Ok(Value::Period(period)) => Some(self.due_after(period)),
                Ok(_) | Err(_) => None,
            },
            None => None,
        };
        let mut cancel_on = Vec::with_capacity(workflow.cancel_on.len());
        for event in &workflow.cancel_on {
            match self.awaited(FrameId::ROOT, &root, event, self.cx.now) {
                Ok(event) => cancel_on.push(event),
                Err(failure) => wrong = wrong.or(Some(Failure { step: None, ..failure })),
            }
        }
        let can_be_cancelled = !cancel_on.is_empty();
        self.emit(FrameId::ROOT, Fact::Started { vars, due, cancel_on });
        if can_be_cancelled {
            self.turn.commands.push(Command::Look(vec![FrameId::ROOT]));
        }
        match wrong {
            Some(failure) => self.leave(FrameId::ROOT, Exit::Error(failure)),
            // A run that was queued does nothing before it has looked at what came meanwhile. One that has no place in the
            // log yet is being born: nothing can be behind it.
            None if can_be_cancelled && self.run.position != Position(0) => {}
            None => self.enter_list(FrameId::ROOT, Workflow::ROOT),
        }
    }

    /// Whether the first step has not been entered yet.
    pub(super) fn is_before_first_step(&self) -> bool {
        self.run.frame(FrameId::ROOT).is_ended() && !self.run.is_ended()
    }

    /// Enters the first step of a list; an empty list is at its end at once.
    pub(super) fn enter_list(&mut self, id: FrameId, list: ListIx) {
        match self.list(list).steps.first() {
            Some(step) => self.enter(id, *step, false),
            None => self.list_ended(id, list),
        }
    }

    pub(super) fn enter(&mut self, id: FrameId, ix: StepIx, again: bool) {
        let step = self.workflow().step(ix);
        let mut forget = Vec::new();
        self.inner_traces(id, step, &mut forget);
        self.emit(id, Fact::Entered { step: step.id.clone(), forget, again });
        self.agenda.push_back(id);
    }

    /// The steps inside `step` that have left something in the frame.
    fn inner_traces(&self, id: FrameId, step: &Step, traces: &mut Vec<StepId>) {
        let frame = self.run.frame(id);
        for list in step.lists() {
            for inner in &self.list(list).steps {
                let inner = self.workflow().step(*inner);
                if frame.outputs.contains_key(&inner.id) || frame.tries.contains_key(&inner.id) {
                    traces.push(inner.id.clone());
                }
                self.inner_traces(id, inner, traces);
            }
        }
    }

    fn begin(&mut self, id: FrameId, step: &'a Step) {
        if let Some(condition) = &step.condition {
            match self.fill(id, step, "if", condition) {
                Ok(Value::Bool(true)) => {}
                Ok(Value::Bool(false)) => {
                    self.emit(id, Fact::Skipped { step: step.id.clone() });
                    return self.go_on_behind(id, step);
                }
                Ok(other) => return self.fail(id, step, type_failure(step, "if", "a bool", &other)),
                Err(failure) => return self.fail(id, step, failure),
            }
        }
        if let Err(failure) = self.check_undos(step) {
            return self.fail(id, step, failure);
        }
        let begun = match &step.body {
            Body::Effect(_) => self.begin_effect(id, step),
            Body::SendEvent { name, data, id: sender_id, delay } => {
                self.send_event(id, step, &name.value, data, sender_id.as_ref(), delay.as_ref())
            }
            Body::Invoke { workflow, with, detach } => self.invoke(id, step, &workflow.value, with, *detach),
            Body::Set(values) => self.set(id, step, values),
            Body::Sleep(form) => self.sleep(id, step, form),
            Body::SleepUntil { time, fail_if_past, .. } => self.sleep_until(id, step, time, *fail_if_past),
            Body::Switch(cases) => self.switch(id, step, cases),
            Body::Parallel { branches, .. } => self.begin_parallel(id, step, branches.len()),
            Body::ForEach(for_each) => self.begin_for_each(id, step, for_each),
            Body::Do(list) => self.begin_block(id, step, *list),
            Body::Fail { code, message, data } => self.begin_fail(id, step, code, message, data.as_ref()),
            Body::Finish(form) => {
                self.fill(id, step, "finish", form).and_then(|output| self.bounded(step, output)).map(|output| {
                    let output = self.store(output);
                    self.emit(id, Fact::Finished { step: step.id.clone(), output: Stored::default() });
                    self.leave(id, Exit::Finish(output));
                })
            }
            Body::Wait(alternatives) => self.begin_wait(id, step, alternatives),
        };
        if let Err(failure) = begun {
            self.fail(id, step, failure);
        }
    }

    /// Records that a step ended well, and goes on.
    pub(super) fn finish_step(&mut self, id: FrameId, step: &'a Step, output: Value) {
        if let Err(failure) = self.check_room(step, &output) {
            return self.fail(id, step, failure);
        }
        let output = self.store(output);
        self.finished(id, step, output);
        self.go_on_behind(id, step);
    }

    /// Goes on behind a step: where its `next` says, or with its sibling.
    pub(super) fn go_on_behind(&mut self, id: FrameId, step: &'a Step) {
        if let Some(next) = &step.next {
            return self.jump(id, next.value);
        }
        match self.list(step.list).steps.get(step.place as usize + 1) {
            Some(next) => self.enter(id, *next, false),
            None => self.list_ended(id, step.list),
        }
    }

    pub(super) fn jump(&mut self, id: FrameId, target: StepIx) {
        let target = self.workflow().step(target).id.clone();
        self.leave(id, Exit::Next(target));
    }

    fn list_ended(&mut self, id: FrameId, list: ListIx) {
        match self.list(list).owner {
            Owner::Root => self.leave(id, Exit::Done),
            Owner::RootCatch(_) | Owner::RootFinally => self.block_ended(id, None),
            Owner::Step(owner, role) => match (self.workflow().step(owner), role) {
                // The list of a branch or of an iteration is a frame's own and was not opened.
                (_, wf_dsl::Role::Branch(_)) | (Step { body: Body::ForEach(_), .. }, wf_dsl::Role::Body) => {
                    self.leave(id, Exit::Done);
                }
                (owner, _) => self.block_ended(id, Some(owner)),
            },
        }
    }

    // ── steps without effects ───────────────────────────────────────────

    fn set(
        &mut self,
        id: FrameId,
        step: &'a Step,
        values: &'a [(wf_dsl::Spanned<String>, Form)],
    ) -> Result<(), Failure> {
        let mut changed = Vec::with_capacity(values.len());
        for (name, form) in values {
            let value = self.bounded(step, self.fill(id, step, "set", form)?)?;
            self.check_room(step, &value)?;
            changed.push((name.value.clone(), value));
        }
        let changed = changed.into_iter().map(|(name, value)| (name, self.store(value))).collect();
        self.emit(id, Fact::Set { step: step.id.clone(), values: changed });
        self.finish_step(id, step, Value::Null);
        Ok(())
    }

    fn switch(&mut self, id: FrameId, step: &'a Step, cases: &'a [wf_dsl::Case]) -> Result<(), Failure> {
        for (index, case) in cases.iter().enumerate() {
            match self.fill(id, step, "when", &case.when)? {
                Value::Bool(false) => {}
                Value::Bool(true) => {
                    let role = Role::Case(u32::try_from(index).expect("cases are bounded by the file"));
                    match case.steps {
                        Some(list) => {
                            self.open(id, step, role, None);
                            self.enter_list(id, list);
                        }
                        None => self.case_done(id, step, case.next.as_ref().map(|next| next.value)),
                    }
                    return Ok(());
                }
                other => return Err(type_failure(step, "when", "a bool", &other)),
            }
        }
        self.finish_step(id, step, Value::Null);
        Ok(())
    }

    pub(super) fn case_done(&mut self, id: FrameId, step: &'a Step, next: Option<StepIx>) {
        self.finished(id, step, Stored::default());
        match next {
            Some(next) => self.jump(id, next),
            None => self.go_on_behind(id, step),
        }
    }

    fn begin_fail(
        &mut self,
        id: FrameId,
        step: &'a Step,
        code: &Form,
        message: &Form,
        data: Option<&Form>,
    ) -> Result<(), Failure> {
        let text = |value: Value| match value {
            Value::String(text) => text.to_string(),
            other => other.to_json().to_string(),
        };
        let mut failure = Failure::new(
            text(self.fill(id, step, "code", code)?),
            text(self.fill(id, step, "message", message)?),
            Some(&step.id),
        );
        if let Some(data) = data {
            failure.data = self.fill(id, step, "data", data)?;
        }
        Err(failure)
    }

    pub(super) fn cancel(&mut self, reason: String) {
        if self.run.head.cancel.is_none() {
            let has_begun = !self.is_before_first_step();
            self.emit(FrameId::ROOT, Fact::CancelRequested { reason });
            if !has_begun {
                return self.end_run(Exit::Cancel);
            }
            // What is in its own `finally` already comes to its end.
            if !self.run.frame(FrameId::ROOT).blocks.iter().any(Block::is_last) {
                self.give_up(FrameId::ROOT, Exit::Cancel);
            }
        }
    }

    pub(super) fn end_run(&mut self, exit: Exit) {
        let (status, output, failure) = match exit {
            Exit::Done | Exit::Next(_) => (Status::Finished, Stored::default(), None),
            Exit::Finish(output) => (Status::Finished, output, None),
            Exit::Error(failure) | Exit::Cut { failure, .. } => (Status::Failed, Stored::default(), Some(failure)),
            Exit::Cancel => (Status::Cancelled, Stored::default(), None),
        };
        self.emit(FrameId::ROOT, Fact::RunEnded { status, output, failure });
        self.agenda.clear();
    }
}

pub(super) fn type_failure(step: &Step, what: &str, wanted: &str, found: &Value) -> Failure {
    let message = format!("`{what}` needs {wanted}, found {}", found.type_name());
    Failure::new("expr.type", message, Some(&step.id))
}
