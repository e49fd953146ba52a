//! Event types.

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::{Node, Tree};
use crate::plan::EventType;
use crate::types::Type;

use super::literal;

/// The event types of an `events:` map, those that could be read.
pub(crate) fn event_types(node: &Node, found: &mut Findings) -> Vec<EventType> {
    let entries = node.entries().iter();
    entries
        .filter(|entry| matches!(entry.value.tree, Tree::Map(_) | Tree::Null))
        .map(|entry| {
            let (data, schema) = (entry.value.entry("data"), entry.value.entry("schema"));
            let ty = match (data, schema) {
                (Some(data), Some(schema)) => {
                    let finding =
                        Diagnostic::error(Code::EVENT, schema.key.span, "an event type has `data` or `schema`");
                    found.push(finding.related(data.key.span, "the other one stands here").help("keep one of the two"));
                    Type::Any
                }
                (Some(data), None) => Type::parse(&data.value, Code::EVENT, found),
                (None, Some(schema)) => json_schema(&schema.value, found),
                (None, None) => Type::Object(indexmap::IndexMap::new()),
            };
            EventType {
                name: entry.key.clone(),
                data: ty,
                external: matches!(entry.value.get("external").map(|node| &node.tree), Some(Tree::Bool(true))),
                description: entry
                    .value
                    .get("description")
                    .and_then(|text| literal::text(text, found))
                    .map(|text| text.value),
            }
        })
        .collect()
}

/// A type that is written as a JSON Schema.
fn json_schema(node: &Node, found: &mut Findings) -> Type {
    Type::from_schema(&node.to_json()).unwrap_or_else(|error| {
        let place = node.at(&error.pointer).map_or(node.span, |part| part.span);
        found.push(Diagnostic::error(Code::EVENT, place, "this is not a JSON Schema").label(error.message));
        Type::Any
    })
}
