//! The second pass: what the values are, put together with their places.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::marks::{MarkIx, Marks, What};
use super::syntax;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::{Entry, Node, Tree};
use crate::source::{FileId, Span, Spanned};

/// Reads the values of a document whose places are known. Values that wf refuses are reported and read as null.
pub(super) fn read(file: FileId, text: &str, start: usize, marks: &Marks, found: &mut Findings) -> Option<Node> {
    let pass = Pass { marks, found: RefCell::new(found) };
    let root = Value { pass: &pass, mark: Marks::ROOT, used_at: None };
    match root.deserialize(serde_yaml::Deserializer::from_str(&text[start..])) {
        Ok(node) => Some(node),
        Err(error) => {
            pass.found.borrow_mut().push(syntax::explain_value(&error, file, text, start));
            None
        }
    }
}

struct Pass<'a> {
    marks: &'a Marks,
    found: RefCell<&'a mut Findings>,
}

/// A value that is read at a mark.
struct Value<'a> {
    pass: &'a Pass<'a>,
    mark: MarkIx,
    /// The alias through which it is read.
    used_at: Option<Span>,
}

/// The structure that the parser of values sees is not the one that was marked.
const DIFFERENT: &str = "the structure is not clear";

impl<'a> Value<'a> {
    fn resolve(mut self) -> Self {
        while let What::Alias(target) = self.pass.marks.get(self.mark).what {
            self.used_at.get_or_insert(self.pass.marks.get(self.mark).span);
            self.mark = target;
        }
        self
    }

    fn what(&self) -> &'a What {
        &self.pass.marks.get(self.mark).what
    }

    fn span(&self) -> Span {
        self.used_at.unwrap_or(self.pass.marks.get(self.mark).span)
    }

    fn child(&self, mark: MarkIx) -> Value<'a> {
        Value { pass: self.pass, mark, used_at: None }
    }

    fn scalar<E: Error>(&self, tree: Tree) -> Result<Node, E> {
        match *self.what() {
            What::Scalar { text_at, plain } => {
                let text_at = text_at.filter(|_| self.used_at.is_none());
                Ok(Node { tree, span: self.span(), text_at, plain })
            }
            _ => Err(E::custom(DIFFERENT)),
        }
    }

    fn refuse<E: Error>(&self, message: &str, help: &str) -> Result<Node, E> {
        let finding = Diagnostic::error(Code::YAML, self.span(), message).help(help);
        self.pass.found.borrow_mut().push(finding);
        self.scalar(Tree::Null)
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self.resolve())
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.scalar(Tree::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        self.scalar(Tree::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        self.scalar(Tree::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        match i64::try_from(value) {
            Ok(value) => self.scalar(Tree::Int(value)),
            Err(_) => self.refuse(TOO_LARGE, QUOTE_IT),
        }
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Node, E> {
        self.refuse(TOO_LARGE, QUOTE_IT)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Node, E> {
        self.refuse(TOO_LARGE, QUOTE_IT)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        if value.is_finite() {
            return self.scalar(Tree::Number(value));
        }
        self.refuse("numbers are finite", QUOTE_IT)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        self.scalar(Tree::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let What::List(marks) = self.what() else { return Err(A::Error::custom(DIFFERENT)) };
        let mut items = Vec::with_capacity(marks.len());
        for mark in marks {
            let item = access.next_element_seed(self.child(*mark))?;
            items.push(item.ok_or_else(|| A::Error::custom(DIFFERENT))?);
        }
        if access.next_element::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom(DIFFERENT));
        }
        Ok(Node::new(Tree::List(items), self.span()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let What::Map(marks) = self.what() else { return Err(A::Error::custom(DIFFERENT)) };
        let mut entries = Vec::with_capacity(marks.len());
        for (key_mark, mark) in marks {
            let key = access.next_key_seed(Key { pass: self.pass, span: key_mark.span })?;
            let key = key.ok_or_else(|| A::Error::custom(DIFFERENT))?;
            let value = access.next_value_seed(self.child(*mark))?;
            if let Some(key) = key
                && !key_mark.again
            {
                entries.push(Entry { key: Spanned::new(key, key_mark.span), value });
            }
        }
        if access.next_key::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom(DIFFERENT));
        }
        Ok(Node::new(Tree::Map(entries), self.span()))
    }
}

const TOO_LARGE: &str = "whole numbers have at most 64 bits";
const QUOTE_IT: &str = "quote it if it is a text";

/// A key that is read at a place. None if it is not a string, which is then reported.
struct Key<'a> {
    pass: &'a Pass<'a>,
    span: Span,
}

impl Key<'_> {
    fn refuse<E>(&self, what: &str) -> Result<Option<String>, E> {
        let finding = Diagnostic::error(Code::YAML, self.span, format!("a key must be a string, this is {what}"));
        self.pass.found.borrow_mut().push(finding.help("quote it"));
        Ok(None)
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Some(key.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        self.refuse("null")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        self.refuse("a bool")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        self.refuse("a number")
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        self.refuse("a number")
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Self::Value, E> {
        self.refuse("a number")
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Self::Value, E> {
        self.refuse("a number")
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        self.refuse("a number")
    }
}
