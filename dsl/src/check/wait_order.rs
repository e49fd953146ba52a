//! `wf::wait_order`: the second of two waits may miss its event.

use super::Context;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::plan::{Alternative, Body, EventMatch, Step, StepIx, WaitGuard};

/// Checks waits that follow each other with nothing between them that could cause the second one's events.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    for list in &cx.workflow.lists {
        let mut before: Option<&Step> = None;
        for step in list.steps.iter().map(|ix| cx.workflow.step(*ix)) {
            match &step.body {
                Body::Wait(alternatives) => {
                    if let Some(first) = before {
                        missed(cx, first, alternatives, found);
                    }
                    before = Some(step);
                }
                // These take no time and tell nobody anything.
                Body::Set(_) => {}
                Body::Effect(_) if cx.effects.is_pure(step) => {}
                _ => before = None,
            }
            before = before.filter(|_| step.next.is_none());
        }
    }
}

fn missed(cx: &Context<'_>, first: &Step, second: &[Alternative], found: &mut Findings) {
    let Body::Wait(alternatives) = &first.body else { return };
    // Only a way from an event of the first wait to the second one can pass by what came in between.
    if !alternatives.iter().any(|alternative| event(alternative).is_some() && goes_on(cx, alternative)) {
        return;
    }
    let known = |name: &str| alternatives.iter().filter_map(event).any(|wait| wait.event.value == name);
    for wait in second.iter().filter_map(event) {
        if wait.since.is_some() || known(&wait.event.value) {
            continue;
        }
        let message = format!("a `{}` that comes during `{}` is missed here", wait.event.value, first.id);
        found.push(
            Diagnostic::warning(Code::WAIT_ORDER, wait.event.span, message)
                .related(first.kind.span, "when this wait ends, older events are forgotten")
                .help("wait for both in one `wait`, or add `since: ${ run.started_at }`"),
        );
    }
}

/// Whether the step after the wait follows this alternative.
fn goes_on(cx: &Context<'_>, alternative: &Alternative) -> bool {
    let last = alternative.steps.and_then(|list| cx.workflow.list(list).steps.last());
    let ends = |last: &StepIx| cx.workflow.step(*last).next.is_none() && cx.reaches(cx.graph.leave(*last));
    alternative.next.is_none() && last.is_none_or(ends)
}

fn event(alternative: &Alternative) -> Option<&EventMatch> {
    match &alternative.guard {
        WaitGuard::Event(wait) => Some(wait),
        _ => None,
    }
}
