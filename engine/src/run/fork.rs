//! Forks: the branches of `parallel` and the iterations of `for_each`.

use std::collections::HashSet;
use std::sync::Arc;

use wf_dsl::{Body, ForEach, Join, ListIx, MaxFailures, Object, Step, Value};

use super::attempt::object;
use super::decide::{Decision, OUTPUT_BYTES_MAX, TURN_FRAMES, type_failure};
use super::fact::{Fact, Failure};
use super::frame::{Exit, Fork, Frame, Parent, Place, Role};
use super::stored::Stored;
use crate::ids::FrameId;
use crate::planted::{Bug, planted};

/// The most items of a `for_each`.
pub const ITEMS_MAX: usize = 100_000;

impl<'a> Decision<'a> {
    pub(super) fn begin_parallel(&mut self, id: FrameId, step: &'a Step, branches: usize) -> Result<(), Failure> {
        let total = u32::try_from(branches).expect("branches are bounded by the file");
        self.fork(id, step, total, Some(total.max(1)), None, None, None)
    }

    pub(super) fn begin_for_each(&mut self, id: FrameId, step: &'a Step, for_each: &ForEach) -> Result<(), Failure> {
        let items = match self.fill(id, step, "in", &for_each.items)? {
            Value::List(items) => items,
            other => return Err(type_failure(step, "in", "a list", &other)),
        };
        if items.len() > ITEMS_MAX {
            let message = format!("{} items are more than the {ITEMS_MAX} that a `for_each` takes", items.len());
            return Err(Failure::new("for_each.too_many", message, Some(&step.id)));
        }
        let total = u32::try_from(items.len()).expect("bounded just now");
        let limit = match &for_each.concurrency {
            Some(form) => match self.fill(id, step, "concurrency", form)? {
                Value::Int(limit @ 1..) => Some(u32::try_from(limit).unwrap_or(u32::MAX)),
                other => return Err(type_failure(step, "concurrency", "an int of at least 1", &other)),
            },
            None => None,
        };
        let keys = self.iteration_keys(id, step, for_each, &items)?;
        let failures_max = match for_each.max_failures {
            Some(MaxFailures::Count(count)) => Some(u32::try_from(count).unwrap_or(u32::MAX)),
            Some(MaxFailures::Percent(percent)) => Some((f64::from(total) * percent / 100.0) as u32),
            None => None,
        };
        let (items, keys) = (Value::List(items), keys.map(|keys| Value::List(Arc::new(keys))));
        self.check_room(step, &items)?;
        let (items, keys) = (self.store(items), keys.map(|keys| self.store(keys)));
        self.fork(id, step, total, limit, Some(items), keys, failures_max)
    }

    fn iteration_keys(
        &self,
        id: FrameId,
        step: &Step,
        for_each: &ForEach,
        items: &[Value],
    ) -> Result<Option<Vec<Value>>, Failure> {
        let Some(form) = &for_each.key else { return Ok(None) };
        let now = self.run.now_at(id);
        let mut seen = HashSet::new();
        let mut keys = Vec::with_capacity(items.len());
        let mut size = 0;
        for (index, item) in (0..).zip(items) {
            let mut bound = vec![(for_each.item.value.as_str(), item.clone())];
            if let Some(name) = &for_each.index {
                bound.push((name.value.as_str(), Value::Int(index)));
            }
            let key = match self.fill_with(id, &step.id, "key", form, now, &bound)? {
                Value::String(key) => key.to_string(),
                Value::Int(key) => key.to_string(),
                other => return Err(type_failure(step, "key", "a string or an int", &other)),
            };
            if !seen.insert(key.clone()) {
                let message = format!("two items have the key `{key}`");
                return Err(Failure::new("for_each.duplicate_key", message, Some(&step.id)));
            }
            size += key.len();
            if size > OUTPUT_BYTES_MAX {
                let message = format!("the keys are longer than {OUTPUT_BYTES_MAX} bytes together");
                return Err(Failure::new("for_each.too_large", message, Some(&step.id)));
            }
            keys.push(Value::String(key.into()));
        }
        Ok(Some(keys))
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one fact, named where it is made")]
    fn fork(
        &mut self,
        id: FrameId,
        step: &'a Step,
        total: u32,
        limit: Option<u32>,
        items: Option<Stored>,
        keys: Option<Stored>,
        failures_max: Option<u32>,
    ) -> Result<(), Failure> {
        let due = match &step.timeout {
            Some(timeout) => Some(self.due_after(self.period(id, step, "timeout", timeout)?)),
            None => None,
        };
        let base = self.run.head.next_frame;
        let step = step.id.clone();
        self.emit(id, Fact::Forked { step, base, total, limit, items, keys, failures_max, due });
        self.agenda.push_back(id);
        Ok(())
    }

    fn fork_at(&self, id: FrameId) -> Option<(&'a Step, &Fork)> {
        match &self.run.frames.get(&id)?.place {
            Place::Fork { step, fork } => Some((self.step_named(step), fork)),
            _ => None,
        }
    }

    /// Begins what there is room for, and ends the step when all have ended.
    pub(super) fn feed(&mut self, id: FrameId) {
        while let Some((step, fork)) = self.fork_at(id) {
            if self.is_full() {
                return self.agenda.push_back(id);
            }
            if fork.closing.is_some() && fork.ended < fork.begun {
                if self.give_up_parts(id) {
                    continue;
                }
                return;
            }
            let all = fork.ended == fork.begun && (fork.begun == fork.total || fork.closing.is_some());
            if all {
                return self.join(id, step);
            }
            let room = match fork.limit {
                Some(limit) => fork.working < limit,
                None => fork.ended == fork.begun,
            };
            if !room {
                return;
            }
            let (base, begun, total) = (fork.base, fork.begun, fork.total);
            let frames = FrameId(base)..FrameId(base + begun);
            if let Some(starved) = self.run.starved.range(frames).next().copied() {
                self.run.starved.remove(&starved);
                self.wake(starved);
                continue;
            }
            if begun == total {
                return;
            }
            if let Err(failure) = self.check_frames(step) {
                self.withdraw(id, Exit::Error(failure));
                continue;
            }
            let list = part_list(step, begun);
            self.emit(id, Fact::Branched { index: begun });
            self.enter_list(FrameId(base + begun), list);
        }
    }

    /// Whether a parked frame may go on: the loops that it is part of have a slot for it. If not it is remembered.
    pub(super) fn has_slot(&mut self, id: FrameId) -> bool {
        let full = self.run.with_parents(id).skip(1).any(|frame| match &frame.place {
            Place::Fork { fork, .. } => fork.limit.is_some_and(|limit| fork.closing.is_none() && fork.working >= limit),
            _ => false,
        });
        if full {
            self.run.starved.insert(id);
        }
        !full
    }

    /// A branch or iteration came to its end.
    pub(super) fn end_frame(&mut self, id: FrameId, exit: Exit) {
        let frame = self.run.frame(id);
        let Parent { frame: parent, index, .. } = frame.parent.clone().expect("only the root has no parent");
        let (output, failure, cancelled) = match exit {
            Exit::Error(failure) | Exit::Cut { failure, .. } => (Stored::default(), Some(failure), false),
            Exit::Cancel => (Stored::default(), None, true),
            Exit::Done | Exit::Next(_) | Exit::Finish(_) => {
                let last = frame.last.as_ref().and_then(|last| frame.outputs.get(last));
                (last.cloned().unwrap_or_default(), None, false)
            }
        };
        let output = if self.is_output_read(parent) { output } else { Stored::default() };
        self.emit(id, Fact::Ended { output, failure: failure.clone(), cancelled });
        match failure {
            Some(failure) => self.part_failed(parent, index, failure),
            None if cancelled => {}
            None => self.part_finished(parent, index),
        }
        self.agenda.push_back(parent);
    }

    /// Whether the outputs of a step's parts are put together when they have ended.
    fn is_output_read(&self, parent: FrameId) -> bool {
        let step = self.fork_at(parent).map(|(step, _)| step);
        matches!(step.map(|step| &step.body), Some(Body::ForEach(for_each)) if for_each.outputs_read)
    }

    /// A loop fails at the iteration whose output makes `outputs` too large.
    fn check_outputs(&mut self, parent: FrameId) {
        let Some((step, fork)) = self.fork_at(parent) else { return };
        if fork.output_bytes > OUTPUT_BYTES_MAX && fork.closing.is_none() {
            let message = format!("`outputs` is larger than {OUTPUT_BYTES_MAX} bytes");
            let failure = Failure::new("for_each.too_large", message, Some(&step.id));
            self.withdraw(parent, Exit::Error(failure));
        }
    }

    /// A part came to a good end: it may be the first.
    fn part_finished(&mut self, parent: FrameId, index: u32) {
        let Some((step, fork)) = self.fork_at(parent) else { return };
        match &step.body {
            Body::Parallel { join, .. } if matches!(join.value, Join::Any | Join::Race) => {
                if planted(Bug::LoserKept) {
                    self.join(parent, step);
                } else if fork.closing.is_none() {
                    self.withdraw_losers(parent, Exit::Done, Some(index));
                }
            }
            _ => self.check_outputs(parent),
        }
    }

    fn part_failed(&mut self, parent: FrameId, index: u32, failure: Failure) {
        let Some((step, fork)) = self.fork_at(parent) else { return };
        if fork.closing.is_some() {
            return;
        }
        let stop = match &step.body {
            Body::Parallel { join, .. } => match join.value {
                Join::All => Some(failure),
                Join::Settled => None,
                // The last one to fail says why.
                Join::Any => (fork.failed == fork.total).then_some(failure),
                Join::Race => return self.withdraw_losers(parent, Exit::Error(failure), Some(index)),
            },
            Body::ForEach(for_each) if !for_each.go_on => Some(failure),
            _ => fork.failures_max.filter(|most| fork.failed > *most).map(|most| {
                let message = format!("more than {most} of {} iterations failed", fork.total);
                Failure::new("for_each.failures", message, Some(&step.id))
            }),
        };
        if let Some(failure) = stop {
            self.withdraw(parent, Exit::Error(failure));
        }
    }

    /// Withdraws the parts of a step that are open; `exit` follows when they have ended.
    pub(super) fn withdraw(&mut self, id: FrameId, exit: Exit) {
        self.withdraw_losers(id, exit, None);
    }

    /// The same, because of the part that decided a race.
    fn withdraw_losers(&mut self, id: FrameId, exit: Exit, winner: Option<u32>) {
        let Some((step, _)) = self.fork_at(id) else { return };
        self.emit(id, Fact::Withdrawn { step: step.id.clone(), then: exit, winner });
        self.agenda.push_back(id);
    }

    /// Gives up some of the parts that are open; false if all are given up. A part that branches ends when its own
    /// parts have.
    fn give_up_parts(&mut self, id: FrameId) -> bool {
        let Some((_, fork)) = self.fork_at(id) else { return false };
        let parts = FrameId(fork.base)..FrameId(fork.base + fork.begun);
        let is_open = |frame: &Frame| match &frame.place {
            Place::Ended { .. } => false,
            // Its `finally` or `undo` comes to its end, and then it is given up.
            _ if frame.kept(&Exit::Cancel).is_some_and(|at| frame.blocks[at].then == Some(Exit::Cancel)) => false,
            Place::Fork { fork, .. } => fork.closing != Some(Exit::Cancel),
            _ => true,
        };
        let open = self.run.frames.range(parts).filter(|(_, frame)| is_open(frame));
        let open: Vec<FrameId> = open.map(|(part, _)| *part).take(TURN_FRAMES).collect();
        for part in &open {
            self.run.starved.remove(part);
            self.give_up(*part, Exit::Cancel);
        }
        !open.is_empty()
    }

    /// Whether a frame is part of something that is being withdrawn. What runs in a `finally` or an `undo` is not, with
    /// all its parts.
    pub(super) fn is_closing(&self, id: FrameId) -> bool {
        let is_kept = |frame: &Frame| frame.kept(&Exit::Cancel).is_some();
        let going = self.run.with_parents(id).take_while(|frame| !is_kept(frame)).count();
        let mut parents = self.run.with_parents(id).skip(1).take(going);
        parents.any(|frame| matches!(&frame.place, Place::Fork { fork, .. } if fork.closing.is_some()))
    }

    fn join(&mut self, id: FrameId, step: &'a Step) {
        let Some((_, fork)) = self.fork_at(id) else { return };
        let fork = fork.clone();
        let output = match (&fork.closing, &step.body) {
            (Some(closing), _) if *closing != Exit::Done => Value::Null,
            (_, Body::ForEach(for_each)) => self.loop_output(&fork, for_each.outputs_read),
            (_, Body::Parallel { branches, .. }) => {
                let errors = fork.errors.iter().map(|(index, failure)| {
                    let branch = branches.get(*index as usize).map(|(name, _)| name.value.as_str()).unwrap_or_default();
                    part_error(failure, [("branch", Value::String(branch.into()))])
                });
                let winner = fork.winner.and_then(|index| branches.get(index as usize));
                let winner = winner.map_or(Value::Null, |(name, _)| Value::String(name.value.as_str().into()));
                object([("winner", winner), ("errors", Value::List(Arc::new(errors.collect())))])
            }
            _ => Value::Null,
        };
        let merge = matches!(step.body, Body::Parallel { .. });
        let fails = matches!(fork.closing, Some(Exit::Error(_)));
        if fails {
            // The parts come together above it, so that what they have done is undone before the step fails.
            self.open(id, step, Role::Parts, None);
        }
        self.emit(id, Fact::Joined { step: step.id.clone(), merge });
        match fork.closing {
            Some(Exit::Done) | None => self.finish_step(id, step, output),
            Some(exit) => self.leave(id, exit),
        }
    }

    fn loop_output(&self, fork: &Fork, outputs_read: bool) -> Value {
        let mut outputs = Vec::new();
        if outputs_read {
            for (_, frame) in self.run.frames.range(FrameId(fork.base)..FrameId(fork.base + fork.total)) {
                let output = match &frame.place {
                    Place::Ended { output, failure: None } => output.value.clone(),
                    _ => Value::Null,
                };
                outputs.push(output);
            }
        }
        let errors = fork.errors.iter().map(|(index, failure)| {
            let key = fork.key(*index).map_or_else(|| index.to_string(), str::to_owned);
            part_error(failure, [("index", Value::Int(i64::from(*index))), ("key", Value::String(key.into()))])
        });
        object([
            ("outputs", Value::List(Arc::new(outputs))),
            ("errors", Value::List(Arc::new(errors.collect()))),
            ("count", Value::Int(i64::from(fork.total))),
            ("failed", Value::Int(i64::from(fork.failed))),
        ])
    }
}

fn part_list(step: &Step, index: u32) -> ListIx {
    match &step.body {
        Body::Parallel { branches, .. } => branches[index as usize].1,
        Body::ForEach(for_each) => for_each.steps,
        _ => unreachable!("only `parallel` and `for_each` fork"),
    }
}

fn part_error<const N: usize>(failure: &Failure, more: [(&str, Value); N]) -> Value {
    let step = failure.step.as_deref().map_or(Value::Null, |step| Value::String(step.into()));
    let error: Object = [
        ("code", Value::String(failure.code.as_str().into())),
        ("message", Value::String(failure.message.as_str().into())),
        ("step", step),
    ]
    .into_iter()
    .chain(more)
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    Value::Object(Arc::new(error))
}
