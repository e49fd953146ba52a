//! `wf::dead_handler`: a handler that can never match.

use std::collections::BTreeSet;

use super::flow::around;
use super::{Context, constant};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::Node;
use crate::plan::{Body, Handler, Owner, Step, StepIx};
use crate::project::Project;
use crate::source::Spanned;
use crate::suggest::did_you_mean;

/// What the engine itself may fail any step with; families end in `.*`.
const EVERYWHERE: [&str; 5] = ["timeout", "expr.*", "validation.output", "interrupted", "engine.*"];

/// The codes that something may fail with; none if any is possible.
pub(super) type Codes = Option<BTreeSet<String>>;

/// Checks every `catch` and the codes of every retry policy that a step writes out.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    for (ix, step) in cx.steps() {
        let codes = if step.catch.is_empty() { None } else { with_inner(cx, ix) };
        handlers(cx, &step.catch, &codes, &format!("`{}`", step.id), found);
        if let Some(retry) = cx.node_of(step).and_then(|node| node.get("retry")) {
            let own = own(cx, step);
            for (key, code) in listed(retry) {
                unknown(cx.project, &code, &own, &format!("`{}`", step.id), key, found);
            }
        }
    }
    handlers(cx, &cx.workflow.catch, &codes(cx), "this workflow", found);
}

/// The codes that retry policies in a node name, with the key that names them.
fn listed(retry: &Node) -> Vec<(&'static str, Spanned<String>)> {
    let policies: Vec<&Node> = if retry.items().is_empty() { vec![retry] } else { retry.items().iter().collect() };
    let mut codes = Vec::new();
    for policy in policies {
        for key in ["only", "except"] {
            let items = policy.get(key).map_or(&[][..], Node::items);
            codes.extend(
                items.iter().filter_map(|item| Some((key, Spanned::new(item.as_str()?.to_owned(), item.span)))),
            );
        }
    }
    codes
}

fn handlers(cx: &Context<'_>, handlers: &[Handler], codes: &Codes, what: &str, found: &mut Findings) {
    let mut above: Vec<&Spanned<String>> = Vec::new();
    for handler in handlers {
        for code in &handler.errors {
            if let Some(first) = above.iter().find(|pattern| covers(&pattern.value, &code.value)) {
                let message = format!("`{}` never gets here: `{}` above takes it", code.value, first.value);
                found.push(
                    Diagnostic::warning(Code::DEAD_HANDLER, code.span, message)
                        .related(first.span, "the first case that matches is taken")
                        .help("put the special case above the general one"),
                );
                continue;
            }
            unknown(cx.project, code, codes, what, "catch", found);
        }
        above.extend(&handler.errors);
    }
}

fn unknown(project: &Project, code: &Spanned<String>, codes: &Codes, what: &str, key: &str, found: &mut Findings) {
    let Some(known) = codes else { return };
    let everywhere = || EVERYWHERE.iter().copied();
    if known.iter().map(String::as_str).chain(everywhere()).any(|other| meet(&code.value, other)) {
        return;
    }
    let in_others = project.catalog.iter().flat_map(|kind| &kind.errors).any(|other| meet(&code.value, &other.code));
    let message = if in_others {
        format!("{what} never fails with `{}`", code.value)
    } else {
        format!("no step fails with `{}`", code.value)
    };
    let diagnostic = Diagnostic::warning(Code::DEAD_HANDLER, code.span, message);
    let diagnostic = match key {
        "catch" => diagnostic.label("this never matches"),
        key => diagnostic.label(format!("in `{key}`")),
    };
    let candidates = known.iter().map(String::as_str).chain(everywhere()).filter(|code| !code.ends_with('*'));
    let all = || format!("it fails with {}", brief(known));
    found.push(diagnostic.help(did_you_mean(&code.value, candidates).unwrap_or_else(all)));
}

/// How many codes a help lists.
const CODES_LISTED_MAX: usize = 6;

fn brief(codes: &BTreeSet<String>) -> String {
    let listed: Vec<String> = codes
        .iter()
        .map(String::as_str)
        .chain(["timeout"])
        .take(CODES_LISTED_MAX)
        .map(|code| format!("`{code}`"))
        .collect();
    let more = if codes.len() + 1 > CODES_LISTED_MAX { ", …" } else { "" };
    format!("{}{more}", listed.join(", "))
}

/// Whether every code that `other` matches is matched by `pattern`.
fn covers(pattern: &str, other: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => other.starts_with(prefix),
        None => pattern == other,
    }
}

/// Whether some code is matched by both.
fn meet(one: &str, other: &str) -> bool {
    covers(one, other) || covers(other, one)
}

fn both(one: Codes, other: Codes) -> Codes {
    let (mut one, other) = (one?, other?);
    one.extend(other);
    Some(one)
}

/// What a step and all steps inside it may fail with.
fn with_inner(cx: &Context<'_>, ix: StepIx) -> Codes {
    let inside = cx.steps().filter(|(other, step)| *other == ix || stands_in(cx, step, ix));
    inside.map(|(_, step)| own(cx, step)).reduce(both).unwrap_or_default()
}

/// Whether a step stands in another one, but in none of its handlers.
fn stands_in(cx: &Context<'_>, step: &Step, outer: StepIx) -> bool {
    use crate::plan::Role::{Body as InBody, Branch, Case};
    let mut list = step.list;
    for owner in around(cx.workflow, step.list) {
        let role = match cx.workflow.list(list).owner {
            Owner::Step(_, role) => role,
            _ => return false,
        };
        if owner == outer {
            return matches!(role, InBody | Branch(_) | Case(_));
        }
        list = cx.workflow.step(owner).list;
    }
    false
}

/// What a step may fail with, without the steps inside it and without what any step may.
fn own(cx: &Context<'_>, step: &Step) -> Codes {
    let codes: Vec<String> = match &step.body {
        Body::Effect(_) => {
            let kind = cx.project.catalog.get(&step.kind.value)?;
            let mut codes: Vec<String> = kind.errors.iter().map(|error| error.code.clone()).collect();
            // A connection that is optional may not be configured.
            let family = step.kind.value.split('.').next().unwrap_or_default();
            codes.push(format!("{family}.unavailable"));
            codes
        }
        Body::Invoke { .. } => vec!["invoke.failed".to_owned(), "invoke.refused".to_owned()],
        Body::SleepUntil { .. } => vec!["sleep.past".to_owned()],
        Body::ForEach(_) => vec!["for_each.failures".to_owned(), "for_each.duplicate_key".to_owned()],
        Body::SendEvent { .. } => vec!["validation.input".to_owned(), "event.*".to_owned()],
        Body::Fail { code, .. } => vec![constant::value(code)?.as_str()?.to_owned()],
        _ => Vec::new(),
    };
    Some(codes.into_iter().collect())
}

/// What some step of a workflow may fail with.
pub(super) fn codes(cx: &Context<'_>) -> Codes {
    cx.steps().map(|(_, step)| own(cx, step)).reduce(both).unwrap_or_default()
}

/// The codes in the named policies of a project that no step can give. `codes` are those of its workflows.
pub(super) fn policies<'c>(project: &Project, codes: impl Iterator<Item = &'c Codes>, found: &mut Findings) {
    let Some(retries) = project.ground.tree().and_then(|tree| tree.get("retries")) else { return };
    let kinds = project.catalog.iter().flat_map(|kind| &kind.errors).map(|error| error.code.clone());
    let all = codes.cloned().fold(Some(kinds.collect()), both);
    for entry in retries.entries() {
        for (key, code) in listed(&entry.value) {
            unknown(project, &code, &all, "a step", key, found);
        }
    }
}
