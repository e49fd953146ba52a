//! Types: the compact notation, the JSON Schema it stands for, and the door through which JSON becomes a [`Value`].

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::source::Span;
use crate::value::Value;

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Not known; everything fits.
    Any,
    /// Only null.
    Null,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `number`
    Number,
    /// `string`
    String,
    /// `timestamp`
    Time,
    /// `date`
    Date,
    /// `duration`
    Period,
    /// One of these literals.
    Enum(Vec<Value>),
    /// `T[]`
    List(Box<Type>),
    /// An object: closed for checking, open on the wire.
    Object(IndexMap<String, Field>),
    /// `T` or null.
    Nullable(Box<Type>),
    /// A literal JSON Schema, where the notation is too small.
    Schema(Json),
}

/// A field of an object type.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The type of what is there.
    pub ty: Type,
    /// Whether the key may be absent (and is then null).
    pub optional: bool,
    /// Where the key was declared.
    pub span: Span,
}

/// Why a JSON value does not fit a type.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message} at `{pointer}`")]
pub struct Mismatch {
    /// JSON pointer of the part that does not fit.
    pub pointer: String,
    /// One lower-case phrase, such as "expected a timestamp, found a bool".
    pub message: String,
}
