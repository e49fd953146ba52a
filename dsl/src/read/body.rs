//! The body of an effect: checked by its kind's schema, kept as a form.

use super::modifier;
use super::workflow::Reader;
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::form::Form;
use crate::node::{Entry, Node, Tree};
use crate::schema::Subject;

impl Reader<'_> {
    pub(super) fn effect_body(&mut self, kind: &Entry) -> Form {
        let name = kind.key.value.as_str();
        match self.context.kinds.schema(name) {
            Some(Ok(schema)) => {
                let above: Vec<&str> = modifier::modifiers().collect();
                let subject = Subject { node: &kind.value, owner: Some(&kind.key), above: &above, expressions: true };
                schema.check(&subject, self.found);
            }
            Some(Err(error)) => {
                let message = format!("the catalog's schema for `{name}` cannot be used");
                self.found.push(Diagnostic::error(Code::FIELD, kind.key.span, message).label(error));
            }
            None => {}
        }
        let literal_fields = self.context.kinds.get(name).map_or(&[][..], |kind| &kind.literal_fields);
        self.body_form(&kind.value, literal_fields)
    }

    fn body_form(&mut self, node: &Node, literal_fields: &[String]) -> Form {
        let Tree::Map(entries) = &node.tree else { return Form::parse(node, self.found) };
        let fields = entries.iter().map(|entry| {
            let form = if literal_fields.contains(&entry.key.value) {
                Form::parse_literal(&entry.value, self.found)
            } else if let Some(inner) = inner_literals(&entry.key.value, literal_fields) {
                self.items_form(&entry.value, &inner)
            } else {
                Form::parse(&entry.value, self.found)
            };
            (entry.key.clone(), form)
        });
        Form::Object(fields.collect(), node.span)
    }

    /// A list of maps in which some fields are literal, such as `sql` in `statements`.
    fn items_form(&mut self, node: &Node, literal_fields: &[String]) -> Form {
        match &node.tree {
            Tree::List(items) => {
                Form::List(items.iter().map(|item| self.body_form(item, literal_fields)).collect(), node.span)
            }
            _ => self.body_form(node, literal_fields),
        }
    }
}

/// The literal fields inside of a field, from entries such as `statements.sql`.
fn inner_literals(field: &str, literal_fields: &[String]) -> Option<Vec<String>> {
    let inner = literal_fields.iter().filter_map(|path| path.strip_prefix(field)?.strip_prefix('.'));
    let inner: Vec<String> = inner.map(str::to_owned).collect();
    if inner.is_empty() { None } else { Some(inner) }
}
