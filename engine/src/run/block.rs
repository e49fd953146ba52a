//! Leaving: one routine for the end of a list, for `next` outwards, errors, timeouts and cancellation.
//!
//! [`Decision::leave`] leaves the innermost open list, again and again, until the exit has found where the run goes on. On
//! the way an error undoes what was done in each list, and `finally` runs whatever the exit is. Both stand on top of the
//! lists that are left as lists of their own, and hold the exit that goes on behind them; so what comes meanwhile from
//! outside, such as a cancel, only changes where they lead (`Decision::give_up`).

use wf_dsl::{Body, Handler, ListIx, Owner, Step, StepIx};

use super::decide::{Command, Decision, HeldKey};
use super::fact::{Fact, Failure, StepId};
use super::frame::{Exit, Place, Role, Tie};
use super::retry::code_matches;
use super::stored::Stored;
use crate::ids::FrameId;

impl<'a> Decision<'a> {
    /// Opens a list of a step.
    pub(super) fn open(&mut self, id: FrameId, step: &Step, role: Role, error: Option<Failure>) {
        let step = Some(step.id.clone());
        self.emit(id, Fact::Opened { step, role, due: None, error, then: None, iteration: None });
    }

    pub(super) fn begin_block(&mut self, id: FrameId, step: &'a Step, list: ListIx) -> Result<(), Failure> {
        let due = match &step.timeout {
            Some(timeout) => Some(self.due_after(self.period(id, step, "timeout", timeout)?)),
            None => None,
        };
        let (owner, role) = (Some(step.id.clone()), Role::Body);
        self.emit(id, Fact::Opened { step: owner, role, due, error: None, then: None, iteration: None });
        self.enter_list(id, list);
        Ok(())
    }

    /// The innermost open list, which `owner` (none: the workflow) owns, came to its end.
    pub(super) fn block_ended(&mut self, id: FrameId, owner: Option<&'a Step>) {
        let block = self.run.frame(id).blocks.last().cloned().expect("a list that ends was opened");
        self.emit(id, Fact::Closed);
        let Some(step) = owner else {
            return match block.role {
                Role::Finally => self.end_run(block.then.unwrap_or(Exit::Done)),
                _ => self.end_workflow(Exit::Done),
            };
        };
        match block.role {
            Role::Body => {
                self.finished(id, step, Stored::default());
                self.step_left(id, step, Exit::Done);
            }
            Role::Case(index) => {
                let next = case_next(step, index);
                self.case_done(id, step, next);
            }
            Role::Catch(index) => {
                let next = step.catch.get(index as usize).and_then(|handler| handler.next.as_ref());
                self.step_left(id, step, self.exit_to(next.map(|next| next.value)));
            }
            Role::Finally => self.resume(id, step, block.then.unwrap_or(Exit::Done)),
            Role::Undo | Role::Parts => self.leave(id, block.then.unwrap_or(Exit::Done)),
        }
    }

    fn exit_to(&self, next: Option<StepIx>) -> Exit {
        next.map_or(Exit::Done, |next| Exit::Next(self.workflow().step(next).id.clone()))
    }

    /// A step's own lists are done or left: its `finally`, then on as `exit` says.
    fn step_left(&mut self, id: FrameId, step: &'a Step, exit: Exit) {
        let Some(finally) = step.finally else { return self.resume(id, step, exit) };
        let (owner, error) = (Some(step.id.clone()), exit.failure().cloned());
        self.open_finally(id, owner, error, exit);
        self.enter_list(id, finally);
    }

    fn open_finally(&mut self, id: FrameId, step: Option<StepId>, error: Option<Failure>, exit: Exit) {
        let (role, then) = (Role::Finally, Some(exit));
        self.emit(id, Fact::Opened { step, role, due: None, error, then, iteration: None });
    }

    fn resume(&mut self, id: FrameId, step: &'a Step, exit: Exit) {
        match exit {
            Exit::Done => self.go_on_behind(id, step),
            exit => self.leave(id, exit),
        }
    }

    /// A step failed for good: retry of a block, its handlers, then outwards.
    pub(super) fn fail(&mut self, id: FrameId, step: &'a Step, failure: Failure) {
        let Some(failure) = self.retry_block(id, step, failure.within_limits()) else { return };
        self.emit(id, Fact::Failed { step: step.id.clone(), failure: failure.clone() });
        match matching(&step.catch, &failure.code) {
            Some((index, Handler { steps: Some(list), .. })) => {
                self.open(id, step, Role::Catch(index), Some(failure));
                self.enter_list(id, *list);
            }
            Some((_, handler)) => {
                let exit = self.exit_to(handler.next.as_ref().map(|next| next.value));
                self.step_left(id, step, exit);
            }
            None => self.step_left(id, step, Exit::Error(failure)),
        }
    }

    /// Leaves open lists, innermost first and each by itself, until `exit` has found where the run goes on.
    pub(super) fn leave(&mut self, id: FrameId, exit: Exit) {
        if let Exit::Next(target) = &exit
            && self.is_at_hand(id, target)
        {
            return self.go_to(id, target.clone());
        }
        if self.undo(id, &exit) {
            return;
        }
        let frame = self.run.frame(id);
        let depth = frame.blocks.len();
        let Some(block) = frame.blocks.last().cloned() else { return self.leave_frame(id, exit) };
        self.emit(id, Fact::Closed);
        let exit = block.settled().cloned().unwrap_or(exit);
        let Some(step) = &block.step else {
            return match block.role {
                Role::Finally => self.end_run(exit),
                _ => self.end_workflow(exit),
            };
        };
        let step = self.step_named(step);
        match (block.role, exit) {
            (Role::Body | Role::Case(_) | Role::Parts, Exit::Error(failure)) => self.fail(id, step, failure),
            (Role::Body, Exit::Cut { depth: Some(cut), failure }) if cut as usize + 1 == depth => {
                self.fail(id, step, failure);
            }
            // A block's `finally` runs whatever the reason; what it was left for goes on afterwards.
            (Role::Body | Role::Catch(_), other) if step.finally.is_some() => {
                self.step_left(id, step, other);
            }
            (_, other) => self.leave(id, other),
        }
    }

    /// Whether `target` stands in the innermost open list of the frame.
    fn is_at_hand(&self, id: FrameId, target: &StepId) -> bool {
        let list = self.list(self.step_named(target).list);
        let block = self.run.frame(id).blocks.last();
        match (list.owner, block) {
            (Owner::Root, None) => true,
            (Owner::RootCatch(index), Some(block)) => block.step.is_none() && block.role == Role::Catch(index),
            (Owner::RootFinally, Some(block)) => block.step.is_none() && block.role == Role::Finally,
            // The list of a branch or of an iteration is the frame's own and was not opened.
            (Owner::Step(step, role), block) => match (self.workflow().step(step), role, block) {
                (_, wf_dsl::Role::Branch(_), None) => true,
                (step, wf_dsl::Role::Body, None) => matches!(step.body, Body::ForEach(_)),
                (step, role, Some(block)) => block.step.as_ref() == Some(&step.id) && is_same(block.role, role),
                _ => false,
            },
            _ => false,
        }
    }

    fn go_to(&mut self, id: FrameId, target: StepId) {
        let target = self.step_named(&target);
        let here = self.run.frame(id).place.step().map(|step| self.step_named(step));
        let ix = self.workflow().find(&target.id).expect("found by its id");
        let again = here.is_none_or(|here| self.workflow().find(&here.id).is_none_or(|here| here >= ix));
        self.enter(id, ix, again);
    }

    fn leave_frame(&mut self, id: FrameId, exit: Exit) {
        if id != FrameId::ROOT {
            return self.end_frame(id, exit);
        }
        let Some(failure) = exit.failure().cloned() else { return self.end_workflow(exit) };
        match matching(&self.workflow().catch, &failure.code) {
            Some((index, Handler { steps: Some(list), .. })) => {
                let (role, error) = (Role::Catch(index), Some(failure));
                self.emit(id, Fact::Opened { step: None, role, due: None, error, then: None, iteration: None });
                self.enter_list(id, *list);
            }
            Some(_) => self.end_workflow(Exit::Done),
            None => self.end_workflow(Exit::Error(failure)),
        }
    }

    /// The workflow's steps and handlers are done: its `finally`, then the end.
    fn end_workflow(&mut self, exit: Exit) {
        let Some(finally) = self.workflow().finally else { return self.end_run(exit) };
        self.open_finally(FrameId::ROOT, None, exit.failure().cloned(), exit);
        self.enter_list(FrameId::ROOT, finally);
    }

    /// A block (none: the whole run) timed out.
    pub(super) fn cut(&mut self, id: FrameId, depth: Option<u32>, failure: Failure) {
        self.give_up(id, Exit::Cut { depth, failure });
    }

    /// Gives up whatever a frame is doing, its branches first, and leaves it as `exit` says. What runs in a `finally` or
    /// an `undo` already is not given up: `exit` follows when that has come to its end.
    pub(super) fn give_up(&mut self, id: FrameId, exit: Exit) {
        let frame = self.run.frame(id);
        let is_kept = frame.kept(&exit).is_some();
        if frame.is_ended() {
            return;
        }
        if id == FrameId::ROOT || !frame.blocks.is_empty() {
            self.emit(id, Fact::GivenUp { exit: exit.clone() });
        }
        if is_kept {
            return;
        }
        let mut attempt = None;
        let place = self.run.frame(id).place.clone();
        match &place {
            Place::Fork { .. } => return self.withdraw(id, exit),
            Place::Attempt { step, key, .. } => {
                if !self.unmake(id) {
                    attempt = self.run.frame(id).tries.get(step).map(|tries| tries.attempt);
                    self.turn.commands.push(Command::Stop(id));
                }
                self.free_key(id, step, key.clone());
            }
            Place::Backoff { step, key, .. } => self.free_key(id, step, key.clone()),
            Place::Key { step, key, taken: false, .. } => self.free_key(id, step, Some(key.clone())),
            Place::Child { run, tie: Tie::Child, .. } => self.turn.commands.push(Command::CancelRun(*run)),
            Place::At { .. }
            | Place::Child { .. }
            | Place::Sleep { .. }
            | Place::Wait { .. }
            | Place::Key { .. }
            | Place::Ended { .. } => {}
        }
        let Some(step) = place.step() else { return self.leave(id, exit) };
        self.emit(id, Fact::Abandoned { step: step.clone(), attempt });
        match place {
            // A block that was to be repeated has been in use.
            Place::Backoff { .. } => {
                let step = self.step_named(step);
                self.step_left(id, step, exit);
            }
            _ => self.leave(id, exit),
        }
    }

    /// Takes back the attempt of a frame that this very turn has ordered.
    fn unmake(&mut self, id: FrameId) -> bool {
        let commands = &mut self.turn.commands;
        let ordered = commands.iter().position(|command| matches!(command, Command::Perform(call) if call.frame == id));
        ordered.map(|at| commands.remove(at)).is_some()
    }

    pub(super) fn free_key(&mut self, frame: FrameId, step: &StepId, key: Option<String>) {
        if let Some(key) = key {
            let held = HeldKey { frame, step: step.clone(), key, since: self.run.version };
            self.turn.commands.push(Command::SettleKey(held, None));
        }
    }
}

/// The first handler that takes an error of this code, and its place.
pub(crate) fn matching<'h>(handlers: &'h [Handler], code: &str) -> Option<(u32, &'h Handler)> {
    (0..).zip(handlers).find(|(_, handler)| handler.errors.iter().any(|error| code_matches(&error.value, code)))
}

fn case_next(step: &Step, index: u32) -> Option<StepIx> {
    let next = match &step.body {
        Body::Switch(cases) => cases.get(index as usize).and_then(|case| case.next.as_ref()),
        Body::Wait(cases) => cases.get(index as usize).and_then(|case| case.next.as_ref()),
        _ => None,
    };
    next.map(|next| next.value)
}

fn is_same(open: Role, list: wf_dsl::Role) -> bool {
    match (open, list) {
        (Role::Body, wf_dsl::Role::Body) | (Role::Finally, wf_dsl::Role::Finally) => true,
        (Role::Undo, wf_dsl::Role::Undo) => true,
        (Role::Case(a), wf_dsl::Role::Case(b)) | (Role::Catch(a), wf_dsl::Role::Catch(b)) => a == b,
        _ => false,
    }
}
