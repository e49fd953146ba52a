//! What a step sends: events, and runs of other workflows.

use wf_dsl::{Body, Form, Plan, Step, Trigger, Type, Value};

use super::attempt::object;
use super::decide::{Command, Decision, SendEvent, StartRun};
use super::fact::{Fact, Failure};
use super::frame::{Place, Tie};
use super::key::Visit;
use crate::ids::{FrameId, RunId};
use crate::send::EVENT_BYTES_MAX;

/// The code of an `invoke` whose run a limit did not let start.
pub const REFUSED: &str = "invoke.refused";

/// Why an invoked run was not let start, or why nobody can wait for the one that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A limit dropped the start.
    Dropped,
    /// An event that is gathered has used its key, and nobody knows yet which run that will start.
    Gathered,
    /// This run stands for it.
    Named(RunId),
    /// That run is not kept any more.
    Gone,
    /// That run waits for the one that would wait for it.
    Circle,
}

impl Refusal {
    /// As the failure of the run that was not let start. It is no step's, and names the run to wait for.
    pub(crate) fn failure(self) -> Failure {
        let message = match self {
            Refusal::Dropped => "a limit of the workflow did not let it start",
            Refusal::Gathered => "an event that is gathered has used its key, and has no run yet",
            Refusal::Named(_) => "another run stands for it",
            Refusal::Gone => "the run that stands for it is not kept any more",
            Refusal::Circle => "the run that stands for it waits for this one",
        };
        let data = match self {
            Refusal::Named(run) => id_of(run),
            _ => Value::Null,
        };
        Failure { data, ..Failure::new(REFUSED, message, None) }
    }

    /// Whether a run failed with one.
    pub(crate) fn is(failure: &Failure) -> bool {
        failure.code == REFUSED && failure.step.is_none()
    }

    /// The run that stands for the one that failed so.
    fn named(failure: &Failure) -> Option<RunId> {
        failure.data.get_path("run_id")?.as_str()?.parse().ok()
    }
}

/// What a step says that names a run.
fn id_of(run: RunId) -> Value {
    object([("run_id", Value::String(run.to_string().into()))])
}

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
        let start = StartRun { run, workflow: workflow.to_owned(), data, frame: id, detached: detach };
        // Only the commit knows whether limits let it start, and which run it is.
        let asked = detach && callee.plan.workflow.limits.is_some();
        self.emit(id, Fact::Invoked { step: step.id.clone(), run, detached: detach, asked, due });
        self.turn.commands.push(Command::Start(start));
        if detach && !asked {
            self.started(id, step, run);
        }
        Ok(())
    }

    /// A step that waits for nobody has its output: the run that it started, or the one that stands for it.
    fn started(&mut self, id: FrameId, step: &'a Step, run: RunId) {
        self.finish_step(id, step, id_of(run));
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
        let Some(Place::Child { step, run: child, tie, .. }) = place else { return };
        if child != run {
            return;
        }
        let step = self.step_named(&step);
        match result {
            Err(failure) if Refusal::is(&failure) => match (Refusal::named(&failure), tie) {
                (Some(named), Tie::Detached) => self.started(id, step, named),
                (Some(named), Tie::Child) => {
                    self.emit(id, Fact::Referred { step: step.id.clone(), run: named });
                    self.turn.commands.push(Command::LookAt(id, named));
                }
                (_, tie) => {
                    let data = if tie == Tie::Referred { id_of(run) } else { Value::Null };
                    self.fail(id, step, Failure { data, ..Failure::new(REFUSED, failure.message, Some(&step.id)) });
                }
            },
            _ if tie == Tie::Detached => self.started(id, step, run),
            Ok(output) => match self.returned(step, output) {
                Ok(output) => self.finish_step(id, step, output),
                Err(failure) => self.fail(id, step, failure),
            },
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
