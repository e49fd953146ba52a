//! Whether a value of one type can stand where another is wanted.

use indexmap::IndexMap;

use super::{of_field, plain, widened};
use crate::types::{Field, Type};

/// Why a value does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::check) enum Misfit {
    /// It would fit if it were not perhaps null.
    Null,
    /// It is of another type.
    Type,
}

/// Why a value of type `found` cannot stand where `wanted` is; none if it can, as far as is known.
pub(in crate::check) fn misfit(found: &Type, wanted: &Type) -> Option<Misfit> {
    match (found, wanted) {
        (Type::Any, _) | (_, Type::Any) | (Type::Null, Type::Null | Type::Nullable(_)) => None,
        (Type::Schema(_), _) | (_, Type::Schema(_)) => misfit(&plain(found.clone()), &plain(wanted.clone())),
        (Type::Nullable(found), Type::Nullable(wanted)) => misfit(found, wanted),
        (found, Type::Nullable(wanted)) => misfit(found, wanted),
        (Type::Null, _) => Some(Misfit::Null),
        (Type::Nullable(found), wanted) => misfit(found, wanted).or(Some(Misfit::Null)),
        (Type::Enum(members), Type::Enum(wanted)) => {
            let known = members.iter().all(|member| wanted.iter().any(|other| other.same(member)));
            (!known).then_some(Misfit::Type)
        }
        (Type::Enum(_), wanted) => misfit(&widened(found), wanted),
        (Type::Int, Type::Number) => None,
        (Type::List(found), Type::List(wanted)) => misfit(found, wanted),
        (Type::Object(found), Type::Object(wanted)) => objects(found, wanted),
        (found, wanted) => (found != wanted).then_some(Misfit::Type),
    }
}

/// Objects are open: what is not wanted does no harm.
fn objects(found: &IndexMap<String, Field>, wanted: &IndexMap<String, Field>) -> Option<Misfit> {
    let mut worst = None;
    for (name, field) in wanted {
        let misfit = match found.get(name) {
            Some(there) => misfit(&of_field(there), &of_field(field)),
            None => (!field.optional).then_some(Misfit::Type),
        };
        match misfit {
            Some(Misfit::Type) => return misfit,
            Some(Misfit::Null) => worst = misfit,
            None => {}
        }
    }
    worst
}
