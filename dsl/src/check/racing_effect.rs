//! `wf::racing_effect`: an effect in a branch that may lose.

use super::Context;
use super::flow::around;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::plan::{Body, Join, Owner, Role, Step};

/// Checks the effects in branches of `join: any` and `join: race`.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    for step in &cx.workflow.steps {
        let is_effect = matches!(step.body, Body::Effect(_)) && cx.effects.changes_the_world(step);
        if !is_effect || step.idempotency_key.is_some() || step.undo.is_some() {
            continue;
        }
        if let Some(race) = race_around(cx, step) {
            let message = format!("when another branch of `{}` wins, nobody knows whether this happened", race.id);
            let Body::Parallel { join, .. } = &race.body else { continue };
            found.push(
                Diagnostic::warning(Code::RACING_EFFECT, step.kind.span, message)
                    .related(join.span, "the branches that lose are cancelled")
                    .help("add an `idempotency_key`, or an `undo` that takes it back"),
            );
        }
    }
}

fn race_around<'c>(cx: &'c Context<'_>, step: &Step) -> Option<&'c Step> {
    let lists = std::iter::once(step.list).chain(around(cx.workflow, step.list).map(|ix| cx.workflow.step(ix).list));
    lists.into_iter().find_map(|list| match cx.workflow.list(list).owner {
        Owner::Step(ix, Role::Branch(_)) => Some(cx.workflow.step(ix)).filter(
            |owner| matches!(&owner.body, Body::Parallel { join, .. } if matches!(join.value, Join::Any | Join::Race)),
        ),
        _ => None,
    })
}
