//! All places of a workflow in which expressions may stand.

use super::{Body, EventMatch, Limits, Step, Trigger, WaitGuard, Workflow};
use crate::form::Form;

impl Workflow {
    /// Visits every form of the workflow: its own, then those of the steps in the order of the file.
    pub fn visit_forms<'w>(&'w self, visit: &mut dyn FnMut(&'w Form)) {
        for trigger in &self.triggers {
            if let Trigger::Event { filter: Some(filter), .. } = trigger {
                visit(filter);
            }
        }
        self.vars.values().for_each(|variable| visit(&variable.value));
        self.cancel_on.iter().for_each(|matched| matched.visit_forms(visit));
        self.timeout.iter().for_each(&mut *visit);
        if let Some(limits) = &self.limits {
            limits.value.visit_forms(visit);
        }
        self.steps.iter().for_each(|step| step.visit_forms(visit));
    }
}

impl Step {
    /// Visits every form of the step itself, without the steps inside.
    pub fn visit_forms<'s>(&'s self, visit: &mut dyn FnMut(&'s Form)) {
        let own = [&self.condition, &self.timeout, &self.idempotency_key];
        own.into_iter().flatten().for_each(&mut *visit);
        self.body.visit_forms(visit);
    }
}

impl Body {
    fn visit_forms<'b>(&'b self, visit: &mut dyn FnMut(&'b Form)) {
        match self {
            Body::Effect(form) | Body::Sleep(form) | Body::Finish(form) => visit(form),
            Body::SleepUntil { time, .. } => visit(time),
            Body::SendEvent { name: _, data, id, delay } => {
                visit(data);
                [id, delay].into_iter().flatten().for_each(visit);
            }
            Body::Invoke { with, .. } => visit(with),
            Body::Set(variables) => variables.iter().for_each(|(_, value)| visit(value)),
            Body::Wait(alternatives) => alternatives.iter().for_each(|alternative| match &alternative.guard {
                WaitGuard::Event(matched) => matched.visit_forms(visit),
                WaitGuard::After(after) => after.iter().for_each(&mut *visit),
                WaitGuard::Until(until) => visit(until),
            }),
            Body::Switch(cases) => cases.iter().for_each(|case| visit(&case.when)),
            Body::ForEach(each) => {
                visit(&each.items);
                [&each.key, &each.concurrency].into_iter().flatten().for_each(visit);
            }
            Body::Fail { code, message, data } => {
                visit(code);
                visit(message);
                data.iter().for_each(visit);
            }
            Body::Parallel { .. } | Body::Do(_) => {}
        }
    }
}

impl EventMatch {
    fn visit_forms<'m>(&'m self, visit: &mut dyn FnMut(&'m Form)) {
        self.matches.iter().for_each(|(_, value)| visit(value));
        [&self.filter, &self.since].into_iter().flatten().for_each(visit);
    }
}

impl Limits {
    fn visit_forms<'l>(&'l self, visit: &mut dyn FnMut(&'l Form)) {
        self.concurrency.iter().filter_map(|rule| rule.key.as_ref()).for_each(&mut *visit);
        self.unique.iter().for_each(|rule| visit(&rule.key));
        self.idempotency.iter().for_each(|rule| visit(&rule.key));
        let keys = [
            self.throttle.as_ref().and_then(|rule| rule.key.as_ref()),
            self.rate_limit.as_ref().and_then(|rule| rule.key.as_ref()),
            self.debounce.as_ref().and_then(|rule| rule.key.as_ref()),
            self.batch.as_ref().and_then(|rule| rule.key.as_ref()),
            self.priority.as_ref(),
            self.start_within.as_ref(),
        ];
        keys.into_iter().flatten().for_each(visit);
    }
}
