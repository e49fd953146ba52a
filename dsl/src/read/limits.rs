//! `limits:`.

use super::literal;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::form::Form;
use crate::node::{Node, Tree};
use crate::plan::{
    Batch, Collect, Concurrency, Debounce, IdempotencyLimit, Limits, OnConflict, RateLimit, Throttle, Unique,
};
use crate::time::Period;

/// How long `idempotency` remembers a key if it does not say.
const IDEMPOTENCY_WINDOW: Period = Period::hours(24);

/// Reads the limits; a rule that does not have its shape is left out.
pub(super) fn limits(node: &Node, found: &mut Findings) -> Limits {
    let concurrency = node.get("concurrency");
    let entries = match concurrency.map(|node| &node.tree) {
        Some(Tree::List(items)) => items.iter().collect(),
        Some(Tree::Map(_)) => concurrency.into_iter().collect(),
        _ => Vec::new(),
    };
    if let (Some(one), Some(other)) = (node.entry("debounce"), node.entry("batch")) {
        let (first, second) = if one.key.span.start < other.key.span.start { (one, other) } else { (other, one) };
        found.push(
            Diagnostic::error(Code::FIELD, second.key.span, "a workflow has `debounce` or `batch`, not both")
                .related(first.key.span, "both gather events")
                .help("`debounce` waits until no more events come, `batch` until there are enough"),
        );
    }
    Limits {
        concurrency: entries.into_iter().filter_map(|node| one_concurrency(node, found)).collect(),
        unique: node.get("unique").and_then(|node| unique(node, found)),
        throttle: node.get("throttle").and_then(|node| throttle(node, found)),
        rate_limit: node.get("rate_limit").and_then(|node| rate_limit(node, found)),
        debounce: node.get("debounce").and_then(|node| debounce(node, found)),
        batch: node.get("batch").and_then(|node| batch(node, found)),
        priority: node.get("priority").map(|node| Form::parse(node, found)),
        idempotency: node.get("idempotency").and_then(|node| idempotency(node, found)),
        start_within: node.get("start_within").and_then(|node| literal::duration(node, found)),
    }
}

fn one_concurrency(node: &Node, found: &mut Findings) -> Option<Concurrency> {
    let project = node.get("scope").and_then(Node::as_str) == Some("project");
    Some(Concurrency { limit: count(node.get("limit")?)?, key: key(node, found), project })
}

fn unique(node: &Node, found: &mut Findings) -> Option<Unique> {
    let on_conflict = match node.get("on_conflict")?.as_str()? {
        "skip" => OnConflict::Skip,
        "replace" => OnConflict::Replace,
        "queue" => OnConflict::Queue,
        _ => return None,
    };
    Some(Unique { key: key(node, found)?, on_conflict })
}

fn throttle(node: &Node, found: &mut Findings) -> Option<Throttle> {
    let (per, key) = (literal::period(node.get("per")?, found), key(node, found));
    let burst = node.get("burst").and_then(count).unwrap_or(1);
    Some(Throttle { limit: count(node.get("limit")?)?, per: per?, burst, key })
}

fn rate_limit(node: &Node, found: &mut Findings) -> Option<RateLimit> {
    let (per, key) = (literal::period(node.get("per")?, found), key(node, found));
    Some(RateLimit { limit: count(node.get("limit")?)?, per: per?, key })
}

fn debounce(node: &Node, found: &mut Findings) -> Option<Debounce> {
    let max_wait = node.get("max_wait").and_then(|node| literal::period(node, found));
    let (quiet, key) = (literal::period(node.get("quiet")?, found), key(node, found));
    let collect = match node.get("collect").and_then(Node::as_str) {
        Some("all") => Collect::All,
        _ => Collect::Last,
    };
    Some(Debounce { quiet: quiet?, max_wait, collect, key })
}

fn batch(node: &Node, found: &mut Findings) -> Option<Batch> {
    let (within, key) = (literal::period(node.get("within")?, found), key(node, found));
    Some(Batch { max: count(node.get("max")?)?, within: within?, key })
}

fn idempotency(node: &Node, found: &mut Findings) -> Option<IdempotencyLimit> {
    let within = match node.get("within") {
        Some(node) => literal::period(node, found)?,
        None => IDEMPOTENCY_WINDOW,
    };
    Some(IdempotencyLimit { key: key(node, found)?, within })
}

fn key(node: &Node, found: &mut Findings) -> Option<Form> {
    node.get("key").map(|node| Form::parse(node, found))
}

fn count(node: &Node) -> Option<u32> {
    match node.tree {
        Tree::Int(value) => u32::try_from(value).ok(),
        Tree::Number(value) => u32::try_from(value as i64).ok(),
        _ => None,
    }
}
