//! `wf::out_of_scope`: a reference into or between loops or branches.

use super::Context;
use super::flow::around;
use super::places::Place;
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::plan::{Body, ListIx, Owner, Role, StepIx};
use crate::source::Span;

/// What is wrong with reading `step` at `place`, if anything.
///
/// A step in a loop has no single value outside of it. A step in a branch has none for the other branches, which run
/// beside it; after the `parallel` it has.
pub(super) fn found(cx: &Context<'_>, place: &Place<'_>, span: Span, step: StepIx) -> Option<Diagnostic> {
    let id = &cx.workflow.step(step).id;
    let reader: Vec<ListIx> = place.list.map(|list| lists_around(cx, list)).unwrap_or_default();
    for list in lists_around(cx, cx.workflow.step(step).list) {
        let Owner::Step(owner_ix, role) = cx.workflow.list(list).owner else { continue };
        let owner = cx.workflow.step(owner_ix);
        match (&owner.body, role) {
            (Body::ForEach(_), Role::Body) if !reader.contains(&list) => {
                let message = format!("`{id}` runs once for each item of `{}`, so it has no one output here", owner.id);
                return Some(
                    Diagnostic::error(Code::OUT_OF_SCOPE, span, message)
                        .related(owner.kind.span, format!("`{id}` stands inside this loop"))
                        .help(format!("read `steps.{}.outputs`, or move the reader into the loop", owner.id)),
                );
            }
            (Body::Parallel { .. }, Role::Branch(_)) if !reader.contains(&list) && beside(cx, &reader, owner_ix) => {
                let message = format!("`{id}` runs in another branch of `{}`, at the same time", owner.id);
                return Some(
                    Diagnostic::error(Code::OUT_OF_SCOPE, span, message)
                        .related(owner.kind.span, "its branches do not wait for each other")
                        .help(format!("read it after `{}`, or put both steps into one branch", owner.id)),
                );
            }
            _ => {}
        }
    }
    None
}

/// Whether one of the lists is a branch of the `parallel`.
fn beside(cx: &Context<'_>, lists: &[ListIx], parallel: StepIx) -> bool {
    let is_branch = |list: &ListIx| matches!(cx.workflow.list(*list).owner, Owner::Step(owner, Role::Branch(_)) if owner == parallel);
    lists.iter().any(is_branch)
}

fn lists_around(cx: &Context<'_>, list: ListIx) -> Vec<ListIx> {
    std::iter::once(list).chain(around(cx.workflow, list).map(|step| cx.workflow.step(step).list)).collect()
}
