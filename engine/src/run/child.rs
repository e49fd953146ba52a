//! What a step sends: events, and runs of other workflows.

use wf_dsl::{Body, Form, Plan, Step, Trigger, Type, Value};

use super::attempt::object;
use super::decide::{Command, Decision, SendEvent, StartRun};
use super::fact::{Fact, Failure};
use super::frame::Place;
use super::key::Visit;
use crate::ids::{FrameId, RunId};
use crate::send::EVENT_BYTES_MAX;

/// The code of an `invoke` whose run a limit did not let start.
pub const REFUSED: &str = "invoke.refused";

/// The signature of a workflow for `invoke` and for runs by hand: the data of its first event trigger, or its `input`.
pub(crate) fn signature(plan: &Plan) -> Option<&Type> {
    let event = plan.workflow.triggers.iter().find_map(|trigger| match trigger {
        Trigger::Event { event, .. } => Some(&event.value),
        Trigger::Cron { .. } => None,
    });
    event.and_then(|event| plan.events.get(event)).map(|event| &event.data).or(plan.workflow.input.as_ref())
}

impl<'a> Decision<'a> {
    pub(super) fn send_event(
        &mut self,
        id: FrameId,
        step: &'a Step,
        name: &str,
        data: &Form,
        sender_id: Option<&Form>,
        delay: Option<&Form>,
    ) -> Result<(), Failure> {
        let data = self.fill(id, step, "data", data)?;
        let data = match self.cx.definition.plan.events.get(name) {
            Some(event) => self.fit(step, &event.data, &data, "validation.event")?,
            None => data,
        };
        if data.size_within(EVENT_BYTES_MAX).is_none() {
            let message = format!("the data of `{name}` has more than {EVENT_BYTES_MAX} bytes");
            return Err(Failure::new("validation.event", message, Some(&step.id)));
        }
        let sender_id = match sender_id {
            Some(form) => Some(match self.fill(id, step, "id", form)? {
                Value::String(text) => text.to_string(),
                other => other.to_json().to_string(),
            }),
            None => None,
        };
        let at = match delay {
            Some(form) => self.due_after(self.period(id, step, "delay", form)?),
            None => self.cx.now,
        };
        let event = Visit::of(self.run, id, &step.id).event(self.cx.now);
        self.emit(id, Fact::Sent { step: step.id.clone(), id: event, name: name.to_owned() });
        self.turn.commands.push(Command::Send(SendEvent { id: event, name: name.to_owned(), data, sender_id, at }));
        self.finish_step(id, step, object([("event_id", Value::String(event.to_string().into()))]));
        Ok(())
    }

    fn fit(&self, step: &Step, ty: &Type, data: &Value, code: &str) -> Result<Value, Failure> {
        ty.accept(&data.to_json()).map_err(|wrong| {
            let wrong: Vec<String> = wrong.iter().take(3).map(ToString::to_string).collect();
            Failure::new(code, format!("the data does not fit its type: {}", wrong.join("; ")), Some(&step.id))
        })
    }

    pub(super) fn invoke(
        &mut self,
        id: FrameId,
        step: &'a Step,
        workflow: &str,
        with: &Form,
        detach: bool,
    ) -> Result<(), Failure> {
        let with = self.bounded(step, self.fill(id, step, "with", with)?)?;
        let Some((number, callee)) = self.cx.workflows.newest(workflow) else {
            let message = format!("there is no workflow `{workflow}`");
            return Err(Failure::new("invoke.unknown", message, Some(&step.id)));
        };
        let data = match signature(&callee.plan) {
            Some(ty) => self.fit(step, ty, &with, "validation.input")?,
            None => with,
        };
        let due = match step.timeout.as_ref().filter(|_| !detach) {
            Some(timeout) => Some(self.due_after(self.period(id, step, "timeout", timeout)?)),
            None => None,
        };
        let event = Visit::of(self.run, id, &step.id).event(self.cx.now);
        let run = RunId { event, workflow: number, nth: 0 };
        let start = StartRun { run, workflow: workflow.to_owned(), data, caller: (!detach).then_some(id) };
        self.emit(id, Fact::Invoked { step: step.id.clone(), run, detached: detach, due });
        self.turn.commands.push(Command::Start(start));
        if detach {
            self.finish_step(id, step, object([("run_id", Value::String(run.to_string().into()))]));
        }
        Ok(())
    }

    /// What a child finished with, as `returns` of the step that invoked it has it.
    fn returned(&self, step: &Step, output: Value) -> Result<Value, Failure> {
        match &step.returns {
            Some(ty) => self.fit(step, ty, &output, "validation.output"),
            None => Ok(output),
        }
    }

    pub(super) fn child_ended(&mut self, id: FrameId, run: RunId, result: Result<Value, Failure>) {
        let place = self.run.frames.get(&id).map(|frame| frame.place.clone());
        let Some(Place::Child { step, run: child, .. }) = place else { return };
        if child != run {
            return;
        }
        let step = self.step_named(&step);
        match result {
            Ok(output) => match self.returned(step, output) {
                Ok(output) => self.finish_step(id, step, output),
                Err(failure) => self.fail(id, step, failure),
            },
            Err(failure) if failure.code == REFUSED && failure.step.is_none() => {
                let failure = Failure::new(REFUSED, failure.message, Some(&step.id));
                self.fail(id, step, failure);
            }
            Err(failure) => {
                let data = object([
                    ("code", Value::String(failure.code.as_str().into())),
                    ("message", Value::String(failure.message.as_str().into())),
                    ("run_id", Value::String(run.to_string().into())),
                ]);
                let callee = match &step.body {
                    Body::Invoke { workflow, .. } => workflow.value.as_str(),
                    _ => "",
                };
                let message = format!("`{callee}` failed with `{}`: {}", failure.code, failure.message);
                let failure = Failure { data, ..Failure::new("invoke.failed", message, Some(&step.id)) };
                self.fail(id, step, failure);
            }
        }
    }
}
