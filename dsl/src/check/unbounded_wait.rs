//! `wf::unbounded_wait`: a `wait` that may never end.

use super::Context;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::plan::{Body, WaitGuard};

/// Every wait says how long it lasts, or that it has no end.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    for step in &cx.workflow.steps {
        let Body::Wait(alternatives) = &step.body else { continue };
        if alternatives.iter().all(|alternative| matches!(alternative.guard, WaitGuard::Event(_))) {
            let message = format!("`{}` waits without end if its event never comes", step.id);
            found.push(
                Diagnostic::warning(Code::UNBOUNDED_WAIT, step.kind.span, message)
                    .help("add an alternative `- after: 7d`, or `- after: forever` if this is meant"),
            );
        }
    }
}
