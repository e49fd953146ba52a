//! `wf::may_not_have_run`: a reference to a step that may not have run here.

use super::Context;
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::plan::{Owner, Role, StepIx};
use crate::source::Span;

/// A step that some way to the reader does not run, and whose output is used as if it were there.
pub(super) fn found(cx: &Context<'_>, span: Span, step: StepIx, written: &str, instead: &str) -> Diagnostic {
    let (reason, place) = reason(cx, step);
    let id = &cx.workflow.step(step).id;
    Diagnostic::error(Code::MAY_NOT_HAVE_RUN, span, format!("`{written}` may be null: `{id}` may not have run here"))
        .label(format!("null when `{id}` has not run"))
        .related(place, reason)
        .help(format!("write `{instead}`"))
}

/// Why the step may not have run, and where that stands.
fn reason(cx: &Context<'_>, ix: StepIx) -> (String, Span) {
    let mut step = cx.workflow.step(ix);
    loop {
        if let Some(condition) = &step.condition {
            return (format!("`{}` is skipped when this is false", step.id), condition.span());
        }
        if !step.catch.is_empty() {
            return (format!("when `{}` fails, the run goes on here", step.id), step.catch[0].span);
        }
        match cx.workflow.list(step.list).owner {
            Owner::Step(owner, Role::Case(_)) => {
                let owner = cx.workflow.step(owner);
                return (format!("only one case of `{}` is taken", owner.id), owner.id_span);
            }
            Owner::Step(owner, Role::Branch(_)) => {
                let owner = cx.workflow.step(owner);
                return (format!("`{}` goes on although a branch has not ended well", owner.id), owner.kind.span);
            }
            Owner::Step(owner, _) => step = cx.workflow.step(owner),
            _ => return ("another way passes this step by".to_owned(), cx.workflow.step(ix).id_span),
        }
    }
}
