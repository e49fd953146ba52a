//! The types of what expressions read: events, steps, variables, a loop's items.

use super::Context;
use super::facts::Fact;
use super::flow::around;
use super::ty;
use crate::form::Form;
use crate::plan::{Alternative, Body, ForEach, Join, ListIx, Owner, Role, StepIx, Trigger, WaitGuard, Workflow};
use crate::project::Project;
use crate::types::{Type, shape_of};
use crate::value::Value;

/// The name of the event that a cron trigger makes.
pub(super) const CRON_EVENT: &str = "wf.cron";

/// The events that the engine itself sends.
pub(super) const RUN_EVENTS: [&str; 3] = ["wf.run.failed", "wf.run.finished", "wf.run.cancelled"];

/// The type of an event's data; none if there is no such event.
pub(super) fn event_data(project: &Project, name: &str) -> Option<Type> {
    if project.events_hidden {
        return Some(Type::Any);
    }
    if let Some(event) = project.events.get(name) {
        return Some(ty::plain(event.data.clone()));
    }
    if name == CRON_EVENT {
        return Some(ty::object([("scheduled_at", Type::Time)]));
    }
    RUN_EVENTS.contains(&name).then(|| {
        ty::object([
            ("workflow", Type::String),
            ("run_id", Type::String),
            ("version", Type::String),
            ("status", Type::String),
            ("error", if name == "wf.run.failed" { failure_of_a_run() } else { ty::nullable(failure_of_a_run()) }),
            ("output", Type::Any),
            ("event", Type::Any),
        ])
    })
}

/// The type of the error that a run ended with, in an event about it.
fn failure_of_a_run() -> Type {
    ty::object([
        ("code", Type::String),
        ("message", Type::String),
        ("step", Type::String),
        ("attempt", Type::Int),
        ("data", Type::Any),
    ])
}

/// The type of `error`.
pub(super) fn error() -> Type {
    ty::object([
        ("code", Type::String),
        ("message", Type::String),
        ("step", ty::nullable(Type::String)),
        ("attempt", Type::Int),
        ("data", Type::Any),
    ])
}

/// The type of `run`.
pub(super) fn run() -> Type {
    ty::object([
        ("id", Type::String),
        ("workflow", Type::String),
        ("version", Type::String),
        ("started_at", Type::Time),
        ("trigger", Type::String),
    ])
}

/// The type of an event of this name, as `event` and `it` read it.
pub(super) fn event(project: &Project, name: &str) -> Type {
    envelope(Type::Enum(vec![name.into()]), event_data(project, name).unwrap_or(Type::Any))
}

fn envelope(name: Type, data: Type) -> Type {
    ty::object([("name", name), ("id", Type::String), ("ts", Type::Time), ("data", data)])
}

/// The type of `event`: of all that may start the workflow, as far as `name` allows it.
pub(super) fn trigger_event(project: &Project, workflow: &Workflow, name: Option<&Fact>) -> Type {
    let names = workflow.triggers.iter().map(|trigger| match trigger {
        Trigger::Event { event, .. } => event.value.as_str(),
        Trigger::Cron { .. } => CRON_EVENT,
    });
    let allowed = |event: &&str| name.is_none_or(|fact| fact.allows(&Value::from(*event)));
    let events = names.filter(allowed).map(|name| event(project, name));
    let input = workflow.input.iter().map(|input| envelope(Type::String, ty::plain(input.clone())));
    let all = events.chain(input).reduce(|one, other| ty::join(&one, &other));
    all.unwrap_or_else(|| match name {
        // The condition cannot be true; that is not for every reader behind it to say.
        Some(_) => Type::Any,
        None => envelope(Type::String, ty::object([])),
    })
}

/// What `with` of an `invoke` must be: the data of the workflow's events, or its input.
pub(super) fn signature(project: &Project, workflow: &Workflow) -> Option<Type> {
    if project.triggers_hidden.contains(&workflow.name.span.file) {
        return Some(Type::Any);
    }
    let events = workflow.triggers.iter().filter_map(|trigger| match trigger {
        Trigger::Event { event, .. } => Some(event_data(project, &event.value).unwrap_or(Type::Any)),
        Trigger::Cron { .. } => None,
    });
    let input = workflow.input.iter().map(|input| ty::plain(input.clone()));
    events.chain(input).reduce(|one, other| ty::join(&one, &other))
}

/// A name that a loop gives to its items or their places.
pub(super) enum LoopName<'w> {
    Item(StepIx, &'w ForEach),
    Index,
}

/// The names of the loops around a list, the innermost first.
pub(super) fn loop_names(workflow: &Workflow, list: ListIx) -> Vec<(&str, LoopName<'_>)> {
    let mut names = Vec::new();
    let loops = std::iter::once(list).chain(around(workflow, list).map(|step| workflow.step(step).list));
    for list in loops {
        if let Owner::Step(step, Role::Body) = workflow.list(list).owner
            && let Body::ForEach(for_each) = &workflow.step(step).body
        {
            names.push((for_each.item.value.as_str(), LoopName::Item(step, for_each)));
            names.extend(for_each.index.iter().map(|index| (index.value.as_str(), LoopName::Index)));
        }
    }
    names
}

/// Whether `error` can be read in a list, and whether it may be null there.
pub(super) fn error_in(workflow: &Workflow, list: ListIx) -> Option<Type> {
    let lists = std::iter::once(list).chain(around(workflow, list).map(|step| workflow.step(step).list));
    for list in lists {
        match workflow.list(list).owner {
            Owner::RootCatch(_) | Owner::Step(_, Role::Catch(_)) => return Some(error()),
            Owner::RootFinally | Owner::Step(_, Role::Finally) => return Some(ty::nullable(error())),
            _ => {}
        }
    }
    None
}

impl Context<'_> {
    /// The type of a step's output; of a wait's, as far as its `alternatives` may have ended it.
    pub(super) fn output(&self, ix: StepIx, alternatives: Option<u64>) -> Type {
        let step = self.workflow.step(ix);
        match &step.body {
            Body::Effect(form) => self.effect_output(&step.kind.value, form, step.returns.as_ref()),
            Body::SendEvent { .. } => ty::object([("event_id", Type::String)]),
            Body::Invoke { detach: true, .. } => ty::object([("run_id", Type::String)]),
            Body::Invoke { workflow, .. } => self.workflow_output(&workflow.value),
            Body::Sleep(_) => ty::object([("woke_at", Type::Time)]),
            Body::SleepUntil { .. } => ty::object([("woke_at", Type::Time), ("late_by", Type::Period)]),
            Body::Wait(waits) => self.wait_output(waits, alternatives),
            Body::Parallel { branches, join } => {
                let names: Vec<Value> = branches.iter().map(|(name, _)| name.value.clone().into()).collect();
                let winner = match join.value {
                    Join::Any | Join::Race => Type::Enum(names.clone()),
                    Join::All | Join::Settled => Type::Null,
                };
                let mut failure = failure();
                failure.push(("branch", Type::Enum(names)));
                ty::object([("winner", winner), ("errors", Type::List(Box::new(ty::object(failure))))])
            }
            Body::ForEach(for_each) => {
                let mut failure = failure();
                failure.push(("index", Type::Int));
                failure.push(("key", Type::Any));
                ty::object([
                    ("outputs", Type::List(Box::new(ty::nullable(self.list_output(for_each.steps))))),
                    ("errors", Type::List(Box::new(ty::object(failure)))),
                    ("count", Type::Int),
                    ("failed", Type::Int),
                ])
            }
            Body::Set(_) | Body::Switch(_) | Body::Do(_) | Body::Fail { .. } | Body::Finish(_) => Type::Null,
        }
    }

    fn effect_output(&self, kind: &str, body: &Form, returns: Option<&Type>) -> Type {
        let Some(kind) = self.project.catalog.get(kind) else {
            return returns.cloned().map_or(Type::Any, ty::plain);
        };
        let output = shape_of(&kind.output, &kind.output);
        let Some(returns) = returns.filter(|_| kind.open_output) else { return output };
        let mut returns = ty::plain(returns.clone());
        // The kinds of the `db` family say with `expect` how much comes back.
        if matches!(body.get("expect"), Some(Form::Literal(Value::String(expect), _)) if &**expect == "optional") {
            returns = ty::nullable(returns);
        }
        put(output, kind.returns_at.trim_start_matches('/'), returns)
    }

    fn wait_output(&self, alternatives: &[Alternative], ended_by: Option<u64>) -> Type {
        let ended = |number: &u32| ended_by.is_none_or(|bits| *number >= u64::BITS || bits & (1 << number) != 0);
        let outputs = (0..).zip(alternatives).filter(|(number, _)| ended(number)).filter_map(|(_, alternative)| {
            let (event, data) = match &alternative.guard {
                WaitGuard::Event(wait) => {
                    let name = wait.event.value.clone();
                    let data = event_data(self.project, &name).unwrap_or(Type::Any);
                    (Type::Enum(vec![name.into()]), data)
                }
                WaitGuard::After(None) => return None,
                WaitGuard::After(Some(_)) | WaitGuard::Until(_) => (Type::Null, Type::Null),
            };
            Some(ty::object([("event", event), ("data", data), ("timed_out", Type::Bool)]))
        });
        outputs.reduce(|one, other| ty::join(&one, &other)).unwrap_or(Type::Any)
    }

    /// What the last step of a list gives; null where the list ends otherwise.
    fn list_output(&self, list: ListIx) -> Type {
        match self.workflow.list(list).steps.last() {
            Some(last) => ty::nullable(self.output(*last, None)),
            None => Type::Null,
        }
    }

    /// What an invoked workflow finishes with.
    fn workflow_output(&self, name: &str) -> Type {
        self.outputs.get(name).map_or(Type::Any, |output| output.ty.clone())
    }

    /// What this workflow finishes with, as far as the outputs of those that it invokes are known.
    pub(super) fn finish_type(&self) -> Type {
        let finishes = self.steps().filter_map(|(ix, step)| {
            let Body::Finish(form) = &step.body else { return None };
            self.reaches(self.graph.enter(ix)).then(|| self.form_type(form, ix))
        });
        let output = finishes.reduce(|one, other| ty::join(&one, &other));
        match (output, self.runs_out()) {
            (Some(output), false) => output,
            (Some(output), true) => ty::nullable(output),
            (None, _) => Type::Null,
        }
    }
}

fn failure() -> Vec<(&'static str, Type)> {
    vec![("code", Type::String), ("message", Type::String), ("step", ty::nullable(Type::String))]
}

/// The type with another one in the place that a JSON pointer of at most one step names.
fn put(output: Type, at: &str, inner: Type) -> Type {
    match output {
        _ if at.is_empty() => inner,
        Type::Object(mut fields) => {
            fields.insert(at.to_owned(), ty::field(inner));
            Type::Object(fields)
        }
        other => other,
    }
}
