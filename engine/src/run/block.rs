//! Leaving: one routine for the end of a list, for `next` outwards, errors, timeouts and cancellation.

use wf_dsl::{Body, Handler, ListIx, Owner, Step, StepIx};

use super::decide::{Command, Decision, HeldKey};
use super::fact::{Fact, Failure, StepId};
use super::frame::{Exit, Place, Role};
use super::retry::code_matches;
use crate::ids::FrameId;

impl<'a> Decision<'a> {
    /// Opens a list of a step.
    pub(super) fn open(&mut self, id: FrameId, step: &Step, role: Role, error: Option<Failure>) {
        let step = Some(step.id.clone());
        self.emit(id, Fact::Opened { step, role, due: None, error, then: None });
    }

    pub(super) fn begin_block(&mut self, id: FrameId, step: &'a Step, list: ListIx) -> Result<(), Failure> {
        let due = match &step.timeout {
            Some(timeout) => Some(self.due_after(self.period(id, step, "timeout", timeout)?)),
            None => None,
        };
        let owner = Some(step.id.clone());
        self.emit(id, Fact::Opened { step: owner, role: Role::Body, due, error: None, then: None });
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
                self.emit(id, Fact::Finished { step: step.id.clone(), output: Default::default() });
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
        }
    }

    fn exit_to(&self, next: Option<StepIx>) -> Exit {
        next.map_or(Exit::Done, |next| Exit::Next(self.workflow().step(next).id.clone()))
    }

    /// A step's own lists are done or left: its `finally`, then on as `exit` says.
    fn step_left(&mut self, id: FrameId, step: &'a Step, exit: Exit) {
        let Some(finally) = step.finally else { return self.resume(id, step, exit) };
        let error = match &exit {
            Exit::Error(failure) | Exit::Cut { failure, .. } => Some(failure.clone()),
            _ => None,
        };
        let owner = Some(step.id.clone());
        self.emit(id, Fact::Opened { step: owner, role: Role::Finally, due: None, error, then: Some(exit) });
        self.enter_list(id, finally);
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
        let frame = self.run.frame(id);
        let depth = frame.blocks.len();
        let Some(block) = frame.blocks.last().cloned() else { return self.leave_frame(id, exit) };
        self.emit(id, Fact::Closed);
        let Some(step) = &block.step else {
            return match block.role {
                Role::Finally => self.end_run(exit),
                _ => self.end_workflow(exit),
            };
        };
        let step = self.step_named(step);
        match (block.role, exit) {
            (Role::Body | Role::Case(_), Exit::Error(failure)) => self.fail(id, step, failure),
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
        let failure = match &exit {
            Exit::Error(failure) | Exit::Cut { failure, .. } => failure.clone(),
            _ => return self.end_workflow(exit),
        };
        match matching(&self.workflow().catch, &failure.code) {
            Some((index, Handler { steps: Some(list), .. })) => {
                let role = Role::Catch(index);
                self.emit(id, Fact::Opened { step: None, role, due: None, error: Some(failure), then: None });
                self.enter_list(id, *list);
            }
            Some(_) => self.end_workflow(Exit::Done),
            None => self.end_workflow(Exit::Error(failure)),
        }
    }

    /// The workflow's steps and handlers are done: its `finally`, then the end.
    fn end_workflow(&mut self, exit: Exit) {
        let Some(finally) = self.workflow().finally else { return self.end_run(exit) };
        let error = match &exit {
            Exit::Error(failure) => Some(failure.clone()),
            _ => None,
        };
        let (role, then) = (Role::Finally, Some(exit));
        self.emit(FrameId::ROOT, Fact::Opened { step: None, role, due: None, error, then });
        self.enter_list(FrameId::ROOT, finally);
    }

    /// A block (none: the whole run) timed out.
    pub(super) fn cut(&mut self, id: FrameId, depth: Option<u32>, failure: Failure) {
        self.give_up(id, Exit::Cut { depth, failure });
    }

    /// Gives up whatever a frame is doing, its branches first, and leaves it as `exit` says.
    pub(super) fn give_up(&mut self, id: FrameId, exit: Exit) {
        match self.run.frame(id).place.clone() {
            Place::Ended { .. } => return,
            Place::Fork { .. } => return self.withdraw(id, exit),
            Place::Attempt { step, key, .. } => {
                self.turn.commands.push(Command::Stop(id));
                self.free_key(id, &step, key);
            }
            Place::Backoff { step, key, .. } => self.free_key(id, &step, key),
            Place::Key { step, key, taken: false, .. } => self.free_key(id, &step, Some(key)),
            Place::Child { run, .. } => self.turn.commands.push(Command::CancelRun(run)),
            Place::At { .. } | Place::Sleep { .. } | Place::Wait { .. } | Place::Key { .. } => {}
        }
        if let Some(step) = self.run.frame(id).place.step().cloned() {
            self.emit(id, Fact::Abandoned { step });
        }
        self.leave(id, exit);
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
        (Role::Case(a), wf_dsl::Role::Case(b)) | (Role::Catch(a), wf_dsl::Role::Catch(b)) => a == b,
        _ => false,
    }
}
