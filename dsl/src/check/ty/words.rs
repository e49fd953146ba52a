//! What types are called in messages.

use crate::types::Type;
use crate::value::Value;

/// How many members of an enumeration are named.
const MEMBERS_NAMED_MAX: usize = 6;

/// The type in the words of the notation, such as `string`, `int[]` or `string or null`.
pub(in crate::check) fn words(ty: &Type) -> String {
    match ty {
        Type::Any | Type::Schema(_) => "any".to_owned(),
        Type::Null => "null".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Int => "int".to_owned(),
        Type::Number => "number".to_owned(),
        Type::String => "string".to_owned(),
        Type::Time => "timestamp".to_owned(),
        Type::Date => "date".to_owned(),
        Type::Period => "duration".to_owned(),
        Type::Enum(members) => match &members[..] {
            [Value::String(_)] => "string".to_owned(),
            [Value::Int(_)] => "int".to_owned(),
            _ => {
                let named = members.iter().take(MEMBERS_NAMED_MAX).map(|member| member.to_json().to_string());
                let more = if members.len() > MEMBERS_NAMED_MAX { ", …" } else { "" };
                format!("one of {}{more}", named.collect::<Vec<_>>().join(", "))
            }
        },
        Type::List(item) => match &**item {
            Type::Nullable(_) | Type::Enum(_) => format!("list of {}", words(item)),
            item => format!("{}[]", words(item)),
        },
        Type::Object(_) => "object".to_owned(),
        Type::Nullable(inner) => format!("{} or null", words(inner)),
    }
}
