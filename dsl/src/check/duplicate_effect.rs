//! `wf::duplicate_effect`: a retry may visibly repeat this effect.

use super::Context;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::plan::{Retry, Step};

/// Checks every effect that is retried.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    for step in &cx.workflow.steps {
        let retried = step.retry.iter().any(|retry: &Retry| retry.max_attempts != Some(1));
        if !retried || step.idempotency_key.is_some() || !cx.effects.repeats(step) {
            continue;
        }
        let Step { kind, .. } = step;
        let message = format!("a retry may repeat this `{}`: its answer can be lost", kind.value);
        let diagnostic = Diagnostic::warning(Code::DUPLICATE_EFFECT, kind.span, message);
        let diagnostic = match step.retry_span {
            Some(span) => diagnostic.related(span, "it is retried by this policy"),
            None => diagnostic,
        };
        found.push(diagnostic.help("add `idempotency_key: …`, or `retry: none`"));
    }
}
