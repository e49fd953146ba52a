//! Time: steps that sleep, and what happens when something is due.

use std::sync::Arc;

use wf_dsl::{Body, Form, Object, Period, Step, Time, Value};

use super::decide::{Command, Decision, TOO_LATE, type_failure};
use super::fact::{Fact, Failure};
use super::frame::{Exit, Place, Tie};
use crate::ids::FrameId;

impl<'a> Decision<'a> {
    pub(super) fn sleep(&mut self, id: FrameId, step: &'a Step, form: &Form) -> Result<(), Failure> {
        let period = self.period(id, step, "sleep", form)?;
        let until = self.due_after(period);
        if period.0 <= 0 {
            self.woken(id, step, until, Period(0));
        } else {
            self.emit(id, Fact::Slept { step: step.id.clone(), until });
        }
        Ok(())
    }

    pub(super) fn sleep_until(
        &mut self,
        id: FrameId,
        step: &'a Step,
        form: &Form,
        fail_if_past: bool,
    ) -> Result<(), Failure> {
        let until = match self.fill(id, step, "sleep_until", form)? {
            Value::Time(time) => time,
            other => return Err(type_failure(step, "sleep_until", "a timestamp", &other)),
        };
        let late = Period(self.cx.now.0 - until.0);
        if late.0 > 0 && fail_if_past {
            let message = format!("the time {until} is past");
            return Err(Failure::new("sleep.past", message, Some(&step.id)));
        }
        if late.0 >= 0 {
            self.woken(id, step, self.cx.now, late);
        } else {
            self.emit(id, Fact::Slept { step: step.id.clone(), until });
        }
        Ok(())
    }

    pub(super) fn woken(&mut self, id: FrameId, step: &'a Step, at: Time, late_by: Period) {
        let mut output = Object::new();
        output.insert("woke_at".into(), Value::Time(at));
        if matches!(step.body, Body::SleepUntil { .. }) {
            output.insert("late_by".into(), Value::Period(late_by));
        }
        self.finish_step(id, step, Value::Object(Arc::new(output)));
    }

    /// Looks at every frame whose time has come; timeouts of enclosing blocks come before the frame's own timer.
    pub(super) fn due(&mut self) {
        if self.run.head.due.is_some_and(|due| due <= self.cx.now) {
            if !self.run.has_begun() {
                return self.cancel(TOO_LATE.to_owned());
            }
            if self.is_before_first_step() {
                return; // it looks at the log first, and then comes here again
            }
            let failure = Failure::new("timeout", "the workflow's timeout has passed", None);
            self.cut(FrameId::ROOT, None, failure);
        }
        let due: Vec<FrameId> = self.run.timers().filter(|(_, due)| *due <= self.cx.now).map(|(id, _)| id).collect();
        for id in due {
            if self.is_full() {
                self.turn.more = true;
                return;
            }
            // What an earlier frame did may have ended this one. A timeout does not give up a `finally` or an `undo`, and
            // what is due there as well has no timer that comes again.
            while self.is_frame_due(id) && self.block_due(id) {}
            if self.is_frame_due(id) {
                self.place_due(id);
            }
        }
    }

    fn is_frame_due(&self, id: FrameId) -> bool {
        self.run.frames.get(&id).and_then(super::Frame::due).is_some_and(|due| due <= self.cx.now)
    }

    /// Cuts the outermost block of a frame whose timeout has passed. False if there is none.
    fn block_due(&mut self, id: FrameId) -> bool {
        let frame = self.run.frame(id);
        let expired = frame.blocks.iter().position(|block| block.due.is_some_and(|due| due <= self.cx.now));
        let Some(depth) = expired else { return false };
        let step = frame.blocks[depth].step.clone();
        let failure = Failure::new("timeout", "the block's timeout has passed", step.as_ref());
        self.cut(id, u32::try_from(depth).ok(), failure);
        true
    }

    /// What a frame waits for by itself has come or is over.
    fn place_due(&mut self, id: FrameId) {
        let now = self.cx.now;
        match self.run.frame(id).place.clone() {
            Place::Sleep { until, .. } | Place::Backoff { until, .. }
                if until <= now && !self.is_closing(id) && self.has_slot(id) =>
            {
                self.wake(id);
            }
            // Whether an event was there before is seen in the log.
            place @ Place::Wait { .. } if place.due().is_some_and(|due| due <= now) => self.look(Some(id)),
            Place::Key { again: Some(again), .. } if again <= now => self.key_freed(id),
            Place::Child { step, run, due: Some(due), tie } if due <= now => {
                let step = self.step_named(&step);
                self.turn.commands.extend((tie == Tie::Child).then_some(Command::CancelRun(run)));
                let failure = Failure::new("timeout", "the step's timeout has passed", Some(&step.id));
                self.fail(id, step, failure);
            }
            Place::Fork { step, fork } if fork.due.is_some_and(|due| due <= now) && fork.closing.is_none() => {
                let failure = Failure::new("timeout", "the step's timeout has passed", Some(&step));
                self.withdraw(id, Exit::Error(failure));
            }
            _ => {}
        }
    }

    /// Goes on with a frame whose own timer is due.
    pub(super) fn wake(&mut self, id: FrameId) {
        match self.run.frame(id).place.clone() {
            Place::Sleep { step, .. } => {
                let step = self.step_named(&step);
                self.woken(id, step, self.cx.now, Period(0));
            }
            Place::Backoff { step, key, .. } => {
                let step = self.step_named(&step);
                self.again(id, step, key);
            }
            Place::Wait { .. } => self.look(Some(id)),
            _ => {}
        }
    }
}
