//! What can be said of types: which covers two others, whether one fits another, how they are called.

mod fit;
mod join;
mod words;

pub(super) use fit::{Misfit, misfit};
pub(super) use join::{join, mixes};
pub(super) use words::words;

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::source::Span;
use crate::types::{Field, Type, shape_of};
use crate::value::Value;

/// The type of a value. Of strings and ints the value itself is kept, so that it can be compared with enumerations.
pub(super) fn of_value(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) | Value::String(_) => Type::Enum(vec![value.clone()]),
        Value::Number(_) => Type::Number,
        Value::Time(_) => Type::Time,
        Value::Period(_) => Type::Period,
        Value::Date(_) => Type::Date,
        Value::List(items) => list_of(items.iter().map(of_value)),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| (name.clone(), field(of_value(value)));
            Type::Object(fields.iter().map(field).collect())
        }
    }
}

/// The type of a list of these items.
pub(super) fn list_of(items: impl Iterator<Item = Type>) -> Type {
    let item = items.reduce(|one, other| join(&one, &other));
    Type::List(Box::new(item.unwrap_or(Type::Any)))
}

/// A field that is always there.
pub(super) fn field(ty: Type) -> Field {
    Field { ty, optional: false, span: Span::NOWHERE }
}

/// An object with these fields, all of them always there.
pub(super) fn object<'n>(fields: impl IntoIterator<Item = (&'n str, Type)>) -> Type {
    Type::Object(fields.into_iter().map(|(name, ty)| (name.to_owned(), field(ty))).collect::<IndexMap<_, _>>())
}

/// The type or null.
pub(super) fn nullable(ty: Type) -> Type {
    match ty {
        Type::Any | Type::Null | Type::Nullable(_) => ty,
        other => Type::Nullable(Box::new(other)),
    }
}

/// The type without null.
pub(super) fn non_null(ty: Type) -> Type {
    match ty {
        Type::Nullable(inner) => *inner,
        other => other,
    }
}

/// What reading a field gives: null where the key is absent.
pub(super) fn of_field(field: &Field) -> Type {
    if field.optional { nullable(field.ty.clone()) } else { field.ty.clone() }
}

/// The type with what it says in JSON Schema, and enumerations that a condition has emptied, in plain words.
pub(super) fn plain(ty: Type) -> Type {
    match ty {
        Type::Schema(schema) => schema.shape().clone(),
        Type::Enum(members) if members.is_empty() => Type::Any,
        other => other,
    }
}

/// The types of which a part of a JSON Schema allows any.
pub(super) fn alternatives(part: &Json, root: &Json) -> Vec<Type> {
    let target = part.get("$ref").and_then(Json::as_str).and_then(|reference| reference.strip_prefix('#'));
    if let Some(target) = target.and_then(|pointer| root.pointer(pointer)) {
        return vec![shape_of(target, root)];
    }
    match ["anyOf", "oneOf"].iter().find_map(|key| part.get(key)).and_then(Json::as_array) {
        // Each choice stands inside this part, so this comes to an end.
        Some(choices) => choices.iter().flat_map(|choice| alternatives(choice, root)).collect(),
        None => vec![shape_of(part, root)],
    }
}

/// Why a value fits none of the types; none if it fits one.
pub(super) fn misfits(found: &Type, alternatives: &[Type]) -> Option<Misfit> {
    let each: Vec<_> = alternatives.iter().map(|wanted| misfit(found, wanted)).collect();
    if each.is_empty() || each.contains(&None) {
        return None;
    }
    each.into_iter().flatten().min_by_key(|misfit| *misfit == Misfit::Type)
}

/// The type without the knowledge of single values: `"a"` is a string.
pub(super) fn widened(ty: &Type) -> Type {
    match ty {
        Type::Enum(members) => {
            let kinds = members.iter().map(|member| match member {
                Value::String(_) => Type::String,
                Value::Int(_) => Type::Int,
                other => of_value(other),
            });
            kinds.reduce(|one, other| join(&one, &other)).unwrap_or(Type::Any)
        }
        Type::Nullable(inner) => nullable(widened(inner)),
        Type::List(item) => Type::List(Box::new(widened(item))),
        Type::Object(fields) => {
            let field = |(name, field): (&String, &Field)| {
                let ty = widened(&field.ty);
                (name.clone(), Field { ty, ..field.clone() })
            };
            Type::Object(fields.iter().map(field).collect())
        }
        other => other.clone(),
    }
}

/// Whether values of the two types have an order, as far as is known.
pub(super) fn ordered(one: &Type, other: &Type) -> bool {
    match (widened(one), widened(other)) {
        (Type::Any | Type::Schema(_), ty) | (ty, Type::Any | Type::Schema(_)) => {
            !matches!(ty, Type::Bool | Type::List(_) | Type::Object(_))
        }
        (Type::Int | Type::Number, Type::Int | Type::Number) => true,
        (Type::String, Type::String) | (Type::Time, Type::Time) => true,
        (Type::Period, Type::Period) | (Type::Date, Type::Date) => true,
        _ => false,
    }
}
