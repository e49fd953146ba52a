//! Types: the compact notation, the JSON Schema it stands for, and the door through which JSON becomes a [`Value`].

mod door;
mod notation;
mod schema;

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::source::Span;
use crate::value::Value;

pub use door::{MISMATCHES_MAX, Mismatch};
pub(crate) use schema::shape_of;
pub use schema::{Schema, SchemaError};

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
    Schema(Arc<Schema>),
}

/// A field of an object type.
#[derive(Clone, Debug)]
pub struct Field {
    /// The type of what is there.
    pub ty: Type,
    /// Whether the key may be absent (and is then null).
    pub optional: bool,
    /// Where the key was declared; does not count in comparisons.
    pub span: Span,
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.ty == other.ty && self.optional == other.optional
    }
}

impl Type {
    /// The type as the notation can say it: of a JSON Schema what is understood of it, with `any` for the rest.
    pub fn shape(&self) -> &Type {
        match self {
            Type::Schema(schema) => schema.shape(),
            other => other,
        }
    }

    /// The type of a list's items, looked up through null and schemas; none if this is no list.
    pub fn item(&self) -> Option<&Type> {
        match self.shape() {
            Type::List(item) => Some(item),
            Type::Nullable(inner) => inner.item(),
            _ => None,
        }
    }

    /// An object's declared field, looked up through null and schemas.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields()?.get(name)
    }

    /// An object's declared fields, looked up through null and schemas; none if this is no object, or any.
    pub fn fields(&self) -> Option<&IndexMap<String, Field>> {
        match self.shape() {
            Type::Object(fields) => Some(fields),
            Type::Nullable(inner) => inner.fields(),
            _ => None,
        }
    }
}

impl fmt::Display for Type {
    /// The type in words, with its article: `a timestamp or null`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Any => f.write_str("any value"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("a bool"),
            Type::Int => f.write_str("an int"),
            Type::Number => f.write_str("a number"),
            Type::String => f.write_str("a string"),
            Type::Time => f.write_str("a timestamp"),
            Type::Date => f.write_str("a date"),
            Type::Period => f.write_str("a duration"),
            Type::List(_) => f.write_str("a list"),
            Type::Object(_) => f.write_str("an object"),
            Type::Nullable(inner) => write!(f, "{inner} or null"),
            Type::Schema(schema) => schema.shape().fmt(f),
            Type::Enum(members) => {
                f.write_str(if members.len() == 1 { "" } else { "one of " })?;
                for (place, member) in members.iter().enumerate() {
                    let shown = member.to_text().unwrap_or_else(|| "null".into());
                    write!(f, "{}`{shown}`", if place == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}
