//! Waiting: for the first of several events or instants. The run looks at the log itself; whoever wakes it only hints.

use std::collections::{BTreeMap, BTreeSet};

use wf_dsl::{Alternative, EventMatch, Form, Step, Time, Value, WaitGuard, Workflow};

use super::Trigger;
use super::attempt::object;
use super::decide::{Command, Decision, type_failure};
use super::fact::{Fact, Failure, StepId};
use super::frame::{Place, Role};
use super::inbox::{Awaited, AwaitedEvent, Candidate, Inbox};
use crate::ids::{FrameId, Position};
use crate::planted::{Bug, planted};
use crate::store::InboxKey;

impl<'a> Decision<'a> {
    pub(super) fn begin_wait(
        &mut self,
        id: FrameId,
        step: &'a Step,
        alternatives: &'a [Alternative],
    ) -> Result<(), Failure> {
        let mut awaited = Vec::with_capacity(alternatives.len());
        for alternative in alternatives {
            awaited.push(match &alternative.guard {
                WaitGuard::Event(event) => Awaited::Event(self.awaited(id, &step.id, event, self.run.now_at(id))?),
                WaitGuard::After(None) => Awaited::Never,
                WaitGuard::After(Some(form)) => Awaited::Due(self.due_after(self.period(id, step, "after", form)?)),
                WaitGuard::Until(form) => match self.fill(id, step, "until", form)? {
                    Value::Time(time) => Awaited::Due(time),
                    other => return Err(type_failure(step, "until", "a timestamp", &other)),
                },
            });
        }
        self.emit(id, Fact::Waited { step: step.id.clone(), awaited });
        if !planted(Bug::EventLost) {
            self.turn.commands.push(Command::Look(vec![id]));
        }
        Ok(())
    }

    pub(super) fn awaited(
        &self,
        id: FrameId,
        step: &StepId,
        event: &EventMatch,
        now: Time,
    ) -> Result<AwaitedEvent, Failure> {
        let mut matches = Vec::with_capacity(event.matches.len());
        for (field, form) in &event.matches {
            let value = self.fill_with(id, step, "match", form, now, &[])?;
            if value.is_null() {
                let message = format!("`{}` of `match` is null", field.value);
                return Err(Failure::new("expr.type", message, Some(step)));
            }
            matches.push((field.value.clone(), value));
        }
        let since = match &event.since {
            Some(form) => match self.fill_with(id, step, "since", form, now, &[])? {
                Value::Time(time) => Some(time),
                other => {
                    let message = format!("`since` needs a timestamp, found {}", other.type_name());
                    return Err(Failure::new("expr.type", message, Some(step)));
                }
            },
            None => None,
        };
        // With `since`, instants count and not what an earlier wait has left behind.
        let after = if since.is_some() { Position(0) } else { self.run.frame(id).cursor };
        Ok(AwaitedEvent::new(event, matches, after, since))
    }

    /// Something may be there for a frame, or for any.
    pub(super) fn look(&mut self, frame: Option<FrameId>) {
        let frames = match frame {
            Some(frame) => vec![frame],
            None => self.run.frames.keys().copied().collect(),
        };
        self.turn.commands.push(Command::Look(frames));
    }

    /// Looks at the events that were found, in their order, and then at the clock.
    pub(super) fn inbox(&mut self, inbox: Inbox) {
        let waiting = self.waiting_by_key(&inbox);
        // For the other frames nothing was found that they would find again.
        let mut considered = BTreeSet::new();
        for candidate in &inbox.events {
            if self.is_cancelled_by(candidate) {
                return self.cancel(format!("the event `{}`", candidate.name));
            }
            let frames: BTreeSet<(FrameId, u64)> =
                candidate.keys.iter().filter_map(|key| waiting.get(key)).flatten().copied().collect();
            for (frame, since) in frames {
                considered.insert(frame);
                if self.is_waiting(frame, since)
                    && let Err((step, failure)) = self.consider(frame, candidate)
                {
                    self.fail(frame, step, failure);
                }
            }
        }
        let through = inbox.events.last().map_or(Position(0), |candidate| candidate.position);
        self.cancel_examined(&inbox, through);
        let behind: BTreeMap<FrameId, Position> = inbox.behind.iter().copied().collect();
        let mut again = Vec::new();
        for (frame, since) in &inbox.frames {
            if !self.is_waiting(*frame, *since) || self.run.starved.contains(frame) {
                continue;
            }
            if let Some(behind) = behind.get(frame).filter(|_| !inbox.more) {
                self.time_out(*frame, *behind);
                continue;
            }
            if considered.contains(frame) {
                self.emit(*frame, Fact::Examined { through });
            }
            again.push(*frame);
        }
        if self.is_before_first_step() && self.run.has_begun() && !inbox.more {
            self.enter_list(FrameId::ROOT, Workflow::ROOT);
            self.due();
        }
        if inbox.more {
            again.extend((!self.run.head.cancel_on.is_empty()).then_some(FrameId::ROOT));
            self.turn.commands.push(Command::Look(again));
        }
    }

    /// The frames that still wait as they did when the log was read, by what they wait for.
    fn waiting_by_key(&self, inbox: &Inbox) -> BTreeMap<InboxKey, Vec<(FrameId, u64)>> {
        let mut waiting: BTreeMap<InboxKey, Vec<(FrameId, u64)>> = BTreeMap::new();
        for (frame, since) in &inbox.frames {
            if let Some(Place::Wait { awaited, began, .. }) = self.run.frames.get(frame).map(|frame| &frame.place)
                && began == since
            {
                for event in awaited.iter().filter_map(Awaited::event) {
                    waiting.entry(event.key).or_default().push((*frame, *since));
                }
            }
        }
        waiting
    }

    /// None of the events was one that cancels the run; if some might have been, they are not looked at again.
    fn cancel_examined(&mut self, inbox: &Inbox, through: Position) {
        let head = &self.run.head;
        let might = |candidate: &Candidate| head.cancel_on.iter().any(|event| candidate.keys.contains(&event.key));
        if head.cancel_examined < through && inbox.events.iter().any(might) {
            self.emit(FrameId::ROOT, Fact::CancelExamined { through });
        }
    }

    /// Whether the event cancels the run. A condition that fails does not: no step could tell.
    fn is_cancelled_by(&self, candidate: &Candidate) -> bool {
        let head = &self.run.head;
        if head.cancel_on.is_empty() || head.cancel.is_some() || candidate.position <= head.cancel_examined {
            return false;
        }
        let Some(trigger) = self.typed(candidate) else { return false };
        head.cancel_on.iter().zip(&self.workflow().cancel_on).any(|(awaited, event)| {
            let filter = event.filter.as_ref();
            self.fits(FrameId::ROOT, &"".into(), awaited, filter, candidate, &trigger).unwrap_or(false)
        })
    }

    fn is_waiting(&self, frame: FrameId, began: u64) -> bool {
        let place = self.run.frames.get(&frame).map(|frame| &frame.place);
        matches!(place, Some(Place::Wait { began: at, .. }) if *at == began)
    }

    /// Goes on with a frame if the event is what it waits for.
    fn consider(&mut self, id: FrameId, candidate: &Candidate) -> Result<(), (&'a Step, Failure)> {
        let frame = self.run.frame(id);
        let Place::Wait { step, awaited, examined, .. } = &frame.place else { return Ok(()) };
        let step = self.step_named(step);
        let too_late = frame.place.due().is_some_and(|due| candidate.received > due.max(frame.entered));
        if too_late || candidate.position <= *examined {
            return Ok(());
        }
        let Some(trigger) = self.typed(candidate) else { return Ok(()) };
        let wf_dsl::Body::Wait(alternatives) = &step.body else { return Ok(()) };
        let awaited = awaited.clone();
        for ((case, awaited), alternative) in (0..).zip(&awaited).zip(alternatives) {
            let (Awaited::Event(awaited), WaitGuard::Event(event)) = (awaited, &alternative.guard) else { continue };
            let filter = event.filter.as_ref();
            if self.fits(id, &step.id, awaited, filter, candidate, &trigger).map_err(|failure| (step, failure))? {
                if self.has_slot(id) {
                    self.check_room(step, &trigger.data).map_err(|failure| (step, failure))?;
                    self.receive(id, step, case, candidate.position, &trigger);
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// The event as the pinned plan sees it; none if it does not fit its type there.
    fn typed(&self, candidate: &Candidate) -> Option<Trigger> {
        let data = match self.cx.definition.plan.events.get(&candidate.name) {
            Some(event) => event.data.accept(&candidate.data.to_json()).ok()?,
            None => candidate.data.clone(),
        };
        Some(Trigger { id: candidate.id.clone(), name: candidate.name.clone(), ts: candidate.ts, data })
    }

    fn fits(
        &self,
        id: FrameId,
        step: &StepId,
        awaited: &AwaitedEvent,
        filter: Option<&Form>,
        candidate: &Candidate,
        trigger: &Trigger,
    ) -> Result<bool, Failure> {
        let in_window = candidate.position > awaited.after.max(self.run.position)
            && awaited.since.is_none_or(|since| candidate.received >= since);
        let found = candidate.keys.contains(&awaited.key) && awaited.event == candidate.name;
        if !in_window || !found || !awaited.matches(&trigger.data) {
            return Ok(false);
        }
        let Some(filter) = filter else { return Ok(true) };
        match self.fill_with(id, step, "if", filter, candidate.received, &[("it", trigger.value())])? {
            Value::Bool(passes) => Ok(passes),
            other => {
                let message = format!("`if` needs a bool, found {}", other.type_name());
                Err(Failure::new("expr.type", message, Some(step)))
            }
        }
    }

    fn receive(&mut self, id: FrameId, step: &'a Step, case: u32, position: Position, trigger: &Trigger) {
        let output = object([
            ("event", Value::String(trigger.name.as_str().into())),
            ("data", trigger.data.clone()),
            ("timed_out", Value::Bool(false)),
        ]);
        self.end_wait(id, step, case, position, output);
    }

    /// The earliest instant that a frame waits for has come, and no event was there before it.
    fn time_out(&mut self, id: FrameId, behind: Position) {
        let frame = self.run.frame(id);
        let Place::Wait { step, awaited, .. } = &frame.place else { return };
        let Some(due) = frame.place.due().filter(|due| *due <= self.cx.now) else { return };
        let step = self.step_named(step);
        let case = (0..).zip(awaited).find(|(_, awaited)| **awaited == Awaited::Due(due)).map(|(case, _)| case);
        let Some(case) = case.filter(|_| self.has_slot(id)) else { return };
        let output = object([("event", Value::Null), ("data", Value::Null), ("timed_out", Value::Bool(true))]);
        self.end_wait(id, step, case, behind, output);
    }

    fn end_wait(&mut self, id: FrameId, step: &'a Step, case: u32, cursor: Position, output: Value) {
        let output = self.store(output);
        self.emit(id, Fact::WaitEnded { step: step.id.clone(), case, cursor, output });
        let wf_dsl::Body::Wait(alternatives) = &step.body else { return };
        let Some(alternative) = alternatives.get(case as usize) else { return };
        match alternative.steps {
            Some(list) => {
                self.open(id, step, Role::Case(case), None);
                self.enter_list(id, list);
            }
            None => self.case_done(id, step, alternative.next.as_ref().map(|next| next.value)),
        }
    }
}
