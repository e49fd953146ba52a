//! `wf::never_ran`: a reference to a step that has never run here.

use super::Context;
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::plan::{Body, StepIx};
use crate::source::Span;

/// A step that no way to the reader has run.
pub(super) fn found(cx: &Context<'_>, span: Span, step: StepIx) -> Diagnostic {
    let step = cx.workflow.step(step);
    let diagnostic = Diagnostic::error(Code::NEVER_RAN, span, format!("`{}` has never run here", step.id));
    if let Body::Finish(_) | Body::Fail { .. } = step.body {
        return diagnostic.related(step.id_span, "nothing runs after this step").help("remove the reference");
    }
    diagnostic
        .related(step.id_span, "no way leads from this step's success to here")
        .help(format!("read it in a step that comes after `{}`", step.id))
}
