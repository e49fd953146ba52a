//! What to write instead of a value of the wrong shape.

use serde_json::Value as Json;

use super::listed;
use super::trail::resolve;
use crate::node::{Node, Tree};
use crate::suggest::did_you_mean;

/// Advice on how the value would fit the schema, where a small change does it.
pub(super) fn of(root: &Json, schema: &Json, node: &Node) -> Option<String> {
    fit(root, schema, None, node)
}

/// The same for a part of a schema, whose phrase is the whole's if it has none of its own.
fn fit(root: &Json, schema: &Json, title: Option<&str>, node: &Node) -> Option<String> {
    let schema = resolve(root, schema);
    if let Some(options) = schema.get("enum").and_then(Json::as_array) {
        return did_you_mean(node.as_str()?, options.iter().filter_map(Json::as_str));
    }
    let title = schema.get("title").and_then(Json::as_str).or(title);
    let branches = ["anyOf", "oneOf"].iter().filter_map(|keyword| schema.get(keyword)?.as_array()).flatten();
    if let Some(help) = branches.into_iter().find_map(|branch| fit(root, branch, title, node)) {
        return Some(help);
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Json::String(name)) => vec![name],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    types.into_iter().find_map(|name| match name {
        "boolean" => boolean(node.as_str()?),
        "integer" => {
            node.as_str()?.trim().parse::<i64>().ok().map(|number| format!("write `{number}`, without quotes"))
        }
        "number" => node.as_str()?.trim().parse::<f64>().ok().map(|number| format!("write `{number}`, without quotes")),
        "string" => string(title, node).filter(|_| schema.get("pattern").is_none()),
        "array" if schema.get("minItems").is_none_or(|least| *least == 1) => {
            list(resolve(root, schema.get("items").unwrap_or(&Json::Null)), node)
        }
        "object" => map(schema, node),
        _ => None,
    })
}

fn boolean(text: &str) -> Option<String> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "y" | "on" => Some("write `true`".to_owned()),
        "false" | "no" | "n" | "off" => Some("write `false`".to_owned()),
        _ => None,
    }
}

fn string(title: Option<&str>, node: &Node) -> Option<String> {
    let scalar = match node.tree {
        Tree::Bool(_) | Tree::Int(_) | Tree::Number(_) => node.to_json(),
        _ => return None,
    };
    match title {
        Some(title) if title.starts_with("a duration") => {
            Some(format!("add the unit, such as `{scalar}s` for seconds"))
        }
        // Elsewhere a quoted number would be as wrong.
        None | Some("a text" | "a name") => Some(format!("quote it: `\"{scalar}\"`")),
        Some(_) => None,
    }
}

fn list(items: &Json, node: &Node) -> Option<String> {
    let of_maps = items.get("type").and_then(Json::as_str) == Some("object");
    match &node.tree {
        Tree::Map(entries) if of_maps => {
            let first = entries.first()?;
            Some(match first.value.tree {
                // Named steps, as other languages have them.
                Tree::Map(_) if entries.iter().all(|entry| matches!(entry.value.tree, Tree::Map(_))) => {
                    format!("write `- id: {}`, and below it what stands there now", first.key.value)
                }
                _ => format!("start the entry with `- {}:`", first.key.value),
            })
        }
        Tree::String(_) | Tree::Int(_) | Tree::Number(_) if !of_maps => Some(format!("write `[{}]`", scalar(node))),
        _ => None,
    }
}

fn map(schema: &Json, node: &Node) -> Option<String> {
    let required = schema.get("required")?.as_array()?.iter().filter_map(Json::as_str);
    let required: Vec<String> = required.map(str::to_owned).collect();
    let open = ["anyOf", "oneOf", "allOf"].iter().any(|keyword| schema.get(keyword).is_some());
    let closed = !open && schema.get("additionalProperties") == Some(&Json::Bool(false));
    match (&node.tree, required.as_slice()) {
        (Tree::String(_) | Tree::Int(_) | Tree::Number(_), [name]) if closed => {
            Some(format!("write `{{{name}: {}}}`", scalar(node)))
        }
        (_, [_, ..]) if schema.get("title").is_none() => Some(format!("it needs {}", listed(&required, "and"))),
        _ => None,
    }
}

/// A scalar as it could stand in a flow collection.
fn scalar(node: &Node) -> String {
    let json = node.to_json();
    match node.as_str() {
        Some(text) if text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c)) => text.to_owned(),
        _ => json.to_string(),
    }
}
