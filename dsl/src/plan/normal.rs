//! The normal form of a workflow's tree: what is stored and hashed.
//!
//! Comments and places are gone from a tree anyway. Here the keys of the language's own maps come into one order, and
//! expressions into their canonical spelling. The order of what an author names (variables, branches, fields of data)
//! stays, since it can be seen.

use serde_json::{Map, Value as Json};

use crate::diagnostic::Findings;
use crate::form::Form;
use crate::node::{Entry, Node, Tree};

/// A workflow's tree in normal form, without its inline event types.
pub(super) fn workflow(tree: &Node) -> Json {
    let own = |entry: &&Entry| entry.key.value != "events";
    sorted(tree.entries().iter().filter(own), |key, node| match key {
        "steps" | "finally" => steps(node),
        "catch" => cases(node),
        _ => value(node),
    })
}

fn steps(node: &Node) -> Json {
    node.items().iter().map(step).collect()
}

fn step(node: &Node) -> Json {
    sorted(node.entries().iter(), |key, node| match key {
        "do" | "undo" | "finally" => steps(node),
        "switch" | "wait" | "catch" => cases(node),
        "for_each" => sorted(node.entries().iter(), |key, node| if key == "steps" { steps(node) } else { value(node) }),
        "parallel" => sorted(node.entries().iter(), |key, node| match key {
            "branches" => {
                let branch = |entry: &Entry| (entry.key.value.clone(), steps(&entry.value));
                Json::Object(node.entries().iter().map(branch).collect())
            }
            _ => value(node),
        }),
        _ => value(node),
    })
}

fn cases(node: &Node) -> Json {
    let case =
        |node: &Node| sorted(node.entries().iter(), |key, node| if key == "steps" { steps(node) } else { value(node) });
    node.items().iter().map(case).collect()
}

/// A map of the language, by key.
fn sorted<'n>(entries: impl Iterator<Item = &'n Entry>, read: impl Fn(&str, &Node) -> Json) -> Json {
    let mut fields: Vec<(&str, &Node)> = entries.map(|entry| (entry.key.value.as_str(), &entry.value)).collect();
    fields.sort_by_key(|(key, _)| *key);
    Json::Object(fields.into_iter().map(|(key, node)| (key.to_owned(), read(key, node))).collect::<Map<_, _>>())
}

/// A value with its expressions in canonical spelling.
fn value(node: &Node) -> Json {
    match &node.tree {
        Tree::String(text) if text.contains("${") => {
            let mut found = Findings::default();
            let form = Form::parse(node, &mut found);
            // A description may hold what looks like an expression and is none.
            if found.is_empty() { form.to_json() } else { Json::String(text.clone()) }
        }
        Tree::List(items) => items.iter().map(value).collect(),
        Tree::Map(entries) => {
            let field = |entry: &Entry| (entry.key.value.clone(), value(&entry.value));
            Json::Object(entries.iter().map(field).collect())
        }
        _ => node.to_json(),
    }
}
