//! Every place of a workflow where a value may be computed, and what can be read there.

use crate::form::Form;
use crate::plan::{Body, EventMatch, ListIx, Step, StepIx, Trigger, WaitGuard, Workflow};
use crate::source::Spanned;
use crate::types::Type;

/// One field that may hold expressions.
#[derive(Clone, Debug)]
pub(super) struct Place<'w> {
    /// What stands there.
    pub(super) form: &'w Form,
    /// What it is for.
    pub(super) purpose: Purpose<'w>,
    /// When it is evaluated.
    pub(super) moment: Moment,
    /// The list in whose scope it stands; none outside of steps.
    pub(super) list: Option<ListIx>,
    /// The event that `it` stands for.
    pub(super) it: Option<&'w Spanned<String>>,
}

/// When a field is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// When an event is accepted, before anything says whether it starts a run.
    Event,
    /// Before the first step.
    Start,
    /// On entering a step, before its `if` is known.
    If(StepIx),
    /// In a step's body.
    Body(StepIx),
    /// As the guard of a `switch` case, after those above it were false.
    Guard(StepIx, u32),
    /// For an item of a loop.
    Item(StepIx),
}

/// What a field is for, which says what it must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose<'w> {
    /// `if`, `when`: a bool.
    Condition,
    /// A duration.
    Length,
    /// A timestamp.
    Instant,
    /// The list of a `for_each`.
    Items,
    /// A string or an int that tells iterations apart.
    IterationKey,
    /// What runs are counted by.
    LimitKey,
    /// An int.
    Int,
    /// A string.
    Text,
    /// The value of a variable, of this type if it is declared.
    Variable(&'w str, Option<&'w Type>),
    /// A new value of a variable.
    Set(&'w Spanned<String>),
    /// What a field of an event must equal.
    Match(&'w EventMatch, &'w Spanned<String>),
    /// The data of an event that is sent.
    EventData(&'w Spanned<String>),
    /// The data of an invoked workflow.
    With(&'w Spanned<String>),
    /// The body of an effect.
    Body(&'w Step),
    /// The run's output.
    Output,
    /// More about a failure.
    ErrorData,
}

/// Calls `visit` with every place of a workflow, in the order of the file as far as steps are concerned.
pub(super) fn visit<'w>(workflow: &'w Workflow, visit: &mut dyn FnMut(Place<'w>)) {
    let start = |form, purpose| Place { form, purpose, moment: Moment::Start, list: None, it: None };
    let event = |form, purpose| Place { moment: Moment::Event, ..start(form, purpose) };
    for trigger in &workflow.triggers {
        if let Trigger::Event { filter: Some(filter), .. } = trigger {
            visit(event(filter, Purpose::Condition));
        }
    }
    limits(workflow, &mut |form, purpose| visit(event(form, purpose)));
    for wait in &workflow.cancel_on {
        event_match(wait, &start, visit);
    }
    for (name, variable) in &workflow.vars {
        visit(start(&variable.value, Purpose::Variable(name, variable.ty.as_ref())));
    }
    if let Some(timeout) = &workflow.timeout {
        visit(start(timeout, Purpose::Length));
    }
    for (index, step) in workflow.steps.iter().enumerate() {
        steps(step, StepIx(u32::try_from(index).expect("a file has fewer steps than 2^32")), visit);
    }
}

fn limits<'w>(workflow: &'w Workflow, visit: &mut dyn FnMut(&'w Form, Purpose<'w>)) {
    let Some(limits) = workflow.limits.as_ref().map(|limits| &limits.value) else { return };
    let keys = limits.concurrency.iter().map(|limit| limit.key.as_ref()).chain([
        limits.unique.as_ref().map(|limit| &limit.key),
        limits.throttle.as_ref().and_then(|limit| limit.key.as_ref()),
        limits.rate_limit.as_ref().and_then(|limit| limit.key.as_ref()),
        limits.debounce.as_ref().and_then(|limit| limit.key.as_ref()),
        limits.batch.as_ref().and_then(|limit| limit.key.as_ref()),
        limits.idempotency.as_ref().map(|limit| &limit.key),
    ]);
    keys.flatten().for_each(|key| visit(key, Purpose::LimitKey));
    if let Some(priority) = &limits.priority {
        visit(priority, Purpose::Int);
    }
    if let Some(within) = &limits.start_within {
        visit(within, Purpose::Length);
    }
}

fn steps<'w>(step: &'w Step, ix: StepIx, visit: &mut dyn FnMut(Place<'w>)) {
    let at = |form, purpose, moment| Place { form, purpose, moment, list: Some(step.list), it: None };
    let body = |form, purpose| at(form, purpose, Moment::Body(ix));
    if let Some(condition) = &step.condition {
        visit(at(condition, Purpose::Condition, Moment::If(ix)));
    }
    match &step.body {
        Body::Effect(form) => visit(body(form, Purpose::Body(step))),
        Body::SendEvent { name, data, id, delay } => {
            visit(body(data, Purpose::EventData(name)));
            id.iter().for_each(|id| visit(body(id, Purpose::Text)));
            delay.iter().for_each(|delay| visit(body(delay, Purpose::Length)));
        }
        Body::Invoke { workflow, with, .. } => visit(body(with, Purpose::With(workflow))),
        Body::Set(values) => values.iter().for_each(|(name, value)| visit(body(value, Purpose::Set(name)))),
        Body::Sleep(length) => visit(body(length, Purpose::Length)),
        Body::SleepUntil { time, .. } => visit(body(time, Purpose::Instant)),
        Body::Wait(alternatives) => {
            for alternative in alternatives {
                match &alternative.guard {
                    WaitGuard::Event(wait) => event_match(wait, &body, visit),
                    WaitGuard::After(length) => length.iter().for_each(|form| visit(body(form, Purpose::Length))),
                    WaitGuard::Until(time) => visit(body(time, Purpose::Instant)),
                }
            }
        }
        Body::Switch(cases) => {
            for (number, case) in (0..).zip(cases) {
                visit(at(&case.when, Purpose::Condition, Moment::Guard(ix, number)));
            }
        }
        Body::ForEach(for_each) => {
            visit(body(&for_each.items, Purpose::Items));
            if let Some(key) = &for_each.key {
                visit(Place { list: Some(for_each.steps), ..at(key, Purpose::IterationKey, Moment::Item(ix)) });
            }
            for_each.concurrency.iter().for_each(|form| visit(body(form, Purpose::Int)));
        }
        Body::Fail { code, message, data } => {
            visit(body(code, Purpose::Text));
            visit(body(message, Purpose::Text));
            data.iter().for_each(|data| visit(body(data, Purpose::ErrorData)));
        }
        Body::Finish(output) => visit(body(output, Purpose::Output)),
        Body::Parallel { .. } | Body::Do(_) => {}
    }
    if let Some(key) = &step.idempotency_key {
        visit(body(key, Purpose::Text));
    }
    // A default of the project or the workflow is checked where it stands, once.
    if let Some(timeout) = step.timeout.as_ref().filter(|timeout| step.span.contains(timeout.span())) {
        visit(body(timeout, Purpose::Length));
    }
}

fn event_match<'w>(
    wait: &'w EventMatch,
    place: &dyn Fn(&'w Form, Purpose<'w>) -> Place<'w>,
    visit: &mut dyn FnMut(Place<'w>),
) {
    for (field, value) in &wait.matches {
        visit(place(value, Purpose::Match(wait, field)));
    }
    if let Some(filter) = &wait.filter {
        visit(Place { it: Some(&wait.event), ..place(filter, Purpose::Condition) });
    }
    if let Some(since) = &wait.since {
        visit(place(since, Purpose::Instant));
    }
}
