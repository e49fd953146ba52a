//! `wf::unkeyed_loop`: a loop with effects and without `key` or bound.

use super::flow::around;
use super::{Context, effects};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::expr::ast::{LinkKind, Term, TermKind};
use crate::form::Form;
use crate::plan::{Body, ForEach, StepIx};

/// Checks every loop that does something outside of the run.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    for (ix, step) in cx.steps() {
        let Body::ForEach(for_each) = &step.body else { continue };
        if !acts(cx, ix) {
            continue;
        }
        if for_each.key.is_none() {
            let message =
                format!("the iterations of `{}` have effects, and only their places tell them apart", step.id);
            let item = &for_each.item.value;
            found.push(
                Diagnostic::warning(Code::UNKEYED_LOOP, step.kind.span, message)
                    .help(format!("add `key: ${{ {item}.id }}`, or whatever says which item it is")),
            );
        } else if for_each.concurrency.is_none() && unbounded(cx, for_each) {
            let message = format!("`{}` may be long, and its effects happen one after the other", step.id);
            found.push(
                Diagnostic::warning(Code::UNKEYED_LOOP, step.kind.span, message)
                    .related(for_each.items.span(), "nothing bounds this list")
                    .help("add `concurrency: 10`, or loop over `….chunk(100)`"),
            );
        }
    }
}

/// Whether an effect stands in a loop's body, handlers included.
fn acts(cx: &Context<'_>, ix: StepIx) -> bool {
    cx.workflow
        .steps
        .iter()
        .any(|step| cx.effects.changes_the_world(step) && around(cx.workflow, step.list).any(|outer| outer == ix))
}

/// Whether the list is all that a query or a request gave.
fn unbounded(cx: &Context<'_>, for_each: &ForEach) -> bool {
    let Form::Expr(expr) = &for_each.items else { return false };
    let Some(source) = source(expr.term()) else { return false };
    let Some(step) = cx.workflow.find(source).map(|ix| cx.workflow.step(ix)) else { return false };
    let Body::Effect(body) = &step.body else { return false };
    let limited = effects::text(body.get("sql"))
        .is_some_and(|sql| sql.split(|c: char| !c.is_alphanumeric()).any(|word| word.eq_ignore_ascii_case("limit")));
    !limited
}

/// The step whose output is read, unless something cuts it.
fn source(term: &Term) -> Option<&str> {
    match &term.kind {
        TermKind::Step(name) => Some(&name.text),
        TermKind::Path(base, links) => {
            let cuts = |kind: &LinkKind| match kind {
                LinkKind::Method(method) => matches!(&*method.name.text, "chunk" | "slice" | "get"),
                LinkKind::Index(_) => true,
                LinkKind::Member(_) => false,
            };
            if links.iter().any(|link| cuts(&link.kind)) { None } else { source(base) }
        }
        _ => None,
    }
}
