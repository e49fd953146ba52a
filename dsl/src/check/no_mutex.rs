//! `wf::no_mutex`: a `concurrency` of one that lets runs overlap.

use super::Context;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::{Node, Tree};
use crate::plan::Body;

/// One run executes at a time, but while it is parked the next one begins.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    let limits = cx.tree.and_then(|tree| tree.get("limits"));
    let Some(concurrency) = limits.filter(|limits| limits.get("unique").is_none()).and_then(|it| it.get("concurrency"))
    else {
        return;
    };
    let Some(parks) = cx.workflow.steps.iter().find(|step| parks(&step.body)) else { return };
    let rules = if concurrency.items().is_empty() { std::slice::from_ref(concurrency) } else { concurrency.items() };
    let Some(limit) = rules.iter().find_map(of_one) else { return };
    let message = format!("runs overlap all the same: while one is parked at `{}`, the next one begins", parks.id);
    found.push(
        Diagnostic::warning(Code::NO_MUTEX, limit.span, message)
            .related(parks.kind.span, "a run that is parked does not count")
            .help("for one open run at a time, write `unique` with `on_conflict: queue`"),
    );
}

/// The limit of a rule that lets one run of the workflow execute at a time. `unique` is no substitute for one of the project.
fn of_one(rule: &Node) -> Option<&Node> {
    let limit = rule.get("limit").filter(|limit| matches!(limit.tree, Tree::Int(1)))?;
    (rule.get("scope").and_then(Node::as_str) != Some("project")).then_some(limit)
}

/// Whether a step waits for something to come, and not only if it fails.
fn parks(body: &Body) -> bool {
    matches!(body, Body::Sleep(_) | Body::SleepUntil { .. } | Body::Wait(_) | Body::Invoke { detach: false, .. })
}
