//! The narrowest type that covers two others.

use indexmap::IndexMap;

use super::{nullable, plain, widened};
use crate::types::{Field, Type};

/// The narrowest type that covers both: what a value is that is either the one or the other.
///
/// Objects keep the fields of both; a field that one of them lacks is optional, because it reads as null there.
pub(in crate::check) fn join(one: &Type, other: &Type) -> Type {
    match (one, other) {
        _ if one == other => one.clone(),
        (Type::Any, _) | (_, Type::Any) => Type::Any,
        (Type::Null, ty) | (ty, Type::Null) => nullable(ty.clone()),
        (Type::Nullable(inner), ty) | (ty, Type::Nullable(inner)) => match ty {
            Type::Nullable(ty) => nullable(join(inner, ty)),
            ty => nullable(join(inner, ty)),
        },
        (Type::Schema(_), _) | (_, Type::Schema(_)) => join(&plain(one.clone()), &plain(other.clone())),
        (Type::Enum(members), Type::Enum(more)) => {
            let mut members = members.clone();
            members.extend(more.iter().filter(|member| !one_of(one, member)).cloned());
            Type::Enum(members)
        }
        (Type::Enum(_), _) | (_, Type::Enum(_)) => join(&widened(one), &widened(other)),
        (Type::Int, Type::Number) | (Type::Number, Type::Int) => Type::Number,
        (Type::List(item), Type::List(more)) => Type::List(Box::new(join(item, more))),
        (Type::Object(fields), Type::Object(more)) => objects(fields, more),
        _ => Type::Any,
    }
}

/// Whether nothing is known of a value that is either the one or the other, although something is known of both.
pub(in crate::check) fn mixes(one: &Type, other: &Type) -> bool {
    match (one, other) {
        _ if one == other => false,
        (Type::Any | Type::Null, _) | (_, Type::Any | Type::Null) => false,
        (Type::Nullable(inner), ty) | (ty, Type::Nullable(inner)) => match ty {
            Type::Nullable(ty) => mixes(inner, ty),
            ty => mixes(inner, ty),
        },
        (Type::Schema(_), _) | (_, Type::Schema(_)) => mixes(&plain(one.clone()), &plain(other.clone())),
        (Type::Enum(_), Type::Enum(_)) => {
            let (one, other) = (widened(one), widened(other));
            !matches!((&one, &other), (Type::Enum(_), _) | (_, Type::Enum(_))) && mixes(&one, &other)
        }
        (Type::Enum(_), _) | (_, Type::Enum(_)) => mixes(&widened(one), &widened(other)),
        (Type::Int, Type::Number) | (Type::Number, Type::Int) => false,
        (Type::List(item), Type::List(more)) => mixes(item, more),
        (Type::Object(fields), Type::Object(more)) => {
            fields.iter().any(|(name, field)| more.get(name).is_some_and(|same| mixes(&field.ty, &same.ty)))
        }
        _ => true,
    }
}

fn one_of(ty: &Type, value: &crate::value::Value) -> bool {
    matches!(ty, Type::Enum(members) if members.iter().any(|member| member.same(value)))
}

fn objects(one: &IndexMap<String, Field>, other: &IndexMap<String, Field>) -> Type {
    let mut fields = one.clone();
    for (name, field) in &mut fields {
        match other.get(name) {
            Some(same) => {
                field.ty = join(&field.ty, &same.ty);
                field.optional |= same.optional;
            }
            None => field.optional = true,
        }
    }
    for (name, field) in other {
        fields.entry(name.clone()).or_insert_with(|| Field { optional: true, ..field.clone() });
    }
    Type::Object(fields)
}
