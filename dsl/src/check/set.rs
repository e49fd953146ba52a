//! `wf::set`: `set` of a variable that is not declared, or across a concurrent scope.

use super::Context;
use super::flow::around;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings, Missed};
use crate::plan::{Body, Owner, Role, Step};
use crate::suggest::did_you_mean;

/// Checks every `set`.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    for step in &cx.workflow.steps {
        let Body::Set(values) = &step.body else { continue };
        let concurrent = concurrent_around(cx, step);
        for (name, _) in values {
            if !cx.workflow.vars.contains_key(&name.value) {
                let message = format!("there is no variable `{}`", name.value);
                let diagnostic = Diagnostic::error(Code::SET, name.span, message).missed(Missed::InFile);
                let help = did_you_mean(&name.value, cx.workflow.vars.keys().map(String::as_str));
                let declare = || {
                    format!(
                        "declare it at the top of the workflow, with its first value: `vars: {{{}: …}}`",
                        name.value
                    )
                };
                found.push(diagnostic.help(help.unwrap_or_else(declare)));
            } else if let Some(owner) = concurrent {
                let what = if matches!(owner.body, Body::ForEach(_)) { "iterations" } else { "branches" };
                let message = format!("several {what} of `{}` would set `{}` at once", owner.id, name.value);
                found.push(
                    Diagnostic::error(Code::SET, name.span, message)
                        .related(owner.kind.span, "what stands in here runs side by side")
                        .help(format!("set it after `{}`, from `steps.{}`", owner.id, owner.id)),
                );
            }
        }
    }
}

/// The innermost loop or `parallel` around a step.
fn concurrent_around<'c>(cx: &'c Context<'_>, step: &Step) -> Option<&'c Step> {
    let lists = std::iter::once(step.list).chain(around(cx.workflow, step.list).map(|ix| cx.workflow.step(ix).list));
    lists.into_iter().find_map(|list| match cx.workflow.list(list).owner {
        Owner::Step(ix, Role::Branch(_)) => Some(cx.workflow.step(ix)),
        Owner::Step(ix, Role::Body) => {
            Some(cx.workflow.step(ix)).filter(|owner| matches!(owner.body, Body::ForEach(_)))
        }
        _ => None,
    })
}
