//! `wf::constant_condition`: a condition that is always the same.

use super::{Context, constant};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::form::Form;
use crate::plan::{Body, EventMatch, Trigger, WaitGuard};
use crate::value::Value;

/// Checks every `if` and `when`. A literal `when: true` is the default case, which is `wf::unreachable`'s.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    for trigger in &cx.workflow.triggers {
        if let Trigger::Event { filter: Some(filter), .. } = trigger {
            condition(filter, "no event starts this workflow", "the filter does nothing", found);
        }
    }
    cx.workflow.cancel_on.iter().for_each(|wait| filter(wait, found));
    for step in &cx.workflow.steps {
        if let Some(form) = &step.condition {
            condition(form, "this step never runs", "the condition does nothing", found);
        }
        match &step.body {
            Body::Switch(cases) => {
                for case in cases.iter().filter(|case| !matches!(case.when, Form::Literal(Value::Bool(true), _))) {
                    condition(&case.when, "this case is never taken", "this is the default case", found);
                }
            }
            Body::Wait(alternatives) => alternatives.iter().for_each(|alternative| {
                if let WaitGuard::Event(wait) = &alternative.guard {
                    filter(wait, found);
                }
            }),
            _ => {}
        }
    }
}

fn filter(wait: &EventMatch, found: &mut Findings) {
    if let Some(form) = &wait.filter {
        condition(form, "no event passes this filter", "the filter does nothing", found);
    }
}

fn condition(form: &Form, never: &str, always: &str, found: &mut Findings) {
    let Some(truth) = constant::truth(form).filter(|_| !found.has_error_in(form.span())) else { return };
    let diagnostic =
        Diagnostic::warning(Code::CONSTANT_CONDITION, form.span(), format!("this condition is always {truth}"));
    let diagnostic = diagnostic.label(if truth { always } else { never });
    found.push(diagnostic.help(if truth {
        "remove it, or compare with something that a run reads"
    } else {
        "remove what depends on it, or compare with something that a run reads"
    }));
}
