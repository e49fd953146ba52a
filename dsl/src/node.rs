//! A YAML document as a tree in which every key and value knows its place.

use serde_json::{Map, Value as Json};

use crate::source::{Span, Spanned};

/// A value of a file and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// What stands there.
    pub tree: Tree,
    /// Where the value stands. An empty value (`key:`) has the key's span; what an alias stands for has the alias's.
    pub span: Span,
    /// For a scalar: the byte at which its text starts, if every character of the text stands in the file as
    /// itself (plain, or quoted without escapes, on one line), so that an offset in the text is a place in the file.
    pub text_at: Option<usize>,
    /// A scalar written without quotes, so that YAML decides what it is.
    pub plain: bool,
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
    /// Any other number; never infinite, never NaN.
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
    /// A value without a text of its own in the file.
    pub fn new(tree: Tree, span: Span) -> Node {
        Node { tree, span, text_at: None, plain: false }
    }

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

    /// The part of the value at a JSON pointer.
    pub fn at(&self, pointer: &str) -> Option<&Node> {
        pointer.split('/').skip(1).try_fold(self, |node, segment| match &node.tree {
            Tree::List(items) => items.get(segment.parse::<usize>().ok()?),
            _ => node.get(&segment.replace("~1", "/").replace("~0", "~")),
        })
    }

    /// Whether this is a string with an expression in it.
    pub fn has_expression(&self) -> bool {
        self.as_str().is_some_and(|text| text.contains("${"))
    }

    /// What the tree holds, as a phrase for messages.
    pub fn sort(&self) -> &'static str {
        match &self.tree {
            Tree::Null => "nothing",
            Tree::Bool(_) => "a bool",
            Tree::Int(_) | Tree::Number(_) => "a number",
            Tree::String(_) => "a text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a map",
        }
    }

    /// The values alone, keys in the order of the file.
    pub fn to_json(&self) -> Json {
        match &self.tree {
            Tree::Null => Json::Null,
            Tree::Bool(value) => Json::Bool(*value),
            Tree::Int(value) => Json::from(*value),
            Tree::Number(value) => Json::from(*value),
            Tree::String(text) => Json::String(text.clone()),
            Tree::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Tree::Map(entries) => {
                let fields = entries.iter().map(|entry| (entry.key.value.clone(), entry.value.to_json()));
                Json::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// A tree without places, as a stored plan has it. Numbers over 64 bits become doubles.
    pub fn from_json(json: &Json) -> Node {
        let tree = match json {
            Json::Null => Tree::Null,
            Json::Bool(value) => Tree::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(int) => Tree::Int(int),
                None => Tree::Number(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => Tree::String(text.clone()),
            Json::Array(items) => Tree::List(items.iter().map(Node::from_json).collect()),
            Json::Object(fields) => Tree::Map(
                fields
                    .iter()
                    .map(|(key, value)| Entry {
                        key: Spanned::new(key.clone(), Span::NOWHERE),
                        value: Node::from_json(value),
                    })
                    .collect(),
            ),
        };
        Node::new(tree, Span::NOWHERE)
    }
}
