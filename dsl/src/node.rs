//! A YAML document as a tree in which every key and value knows its place.

use crate::source::{Span, Spanned};

/// A value of a file and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// What stands there.
    pub tree: Tree,
    /// Where the value stands. An empty value (`key:`) has the key's span.
    pub span: Span,
    /// For a scalar: the byte at which its text starts, if every character of the text stands in the file as
    /// itself (plain, or quoted without escapes, on one line), so that an offset in the text is a place in the file.
    pub text_at: Option<usize>,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug)]
pub enum Tree {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without a fraction.
    Int(i64),
    /// Any other number.
    Number(f64),
    /// A text.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Spanned<String>,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The text of a string, otherwise none.
    pub fn as_str(&self) -> Option<&str> {
        match &self.tree {
            Tree::String(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping; empty for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.tree {
            Tree::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; empty for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.tree {
            Tree::List(items) => items,
            _ => &[],
        }
    }

    /// The entry of a mapping with this key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key.value == key)
    }

    /// The value of a mapping at this key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }
}
