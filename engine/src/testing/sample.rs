//! Sample values: what a mock could give.

use serde_json::{Map, Value as Json, json};
use wf_dsl::{Time, Type};

/// A small value of a type; keys that may be absent are left out.
pub(super) fn sample(ty: &Type, now: Time) -> Json {
    match ty.shape() {
        Type::Any | Type::Null => Json::Null,
        Type::Nullable(inner) => sample(inner, now),
        Type::Bool => json!(true),
        Type::Int | Type::Number => json!(1),
        Type::String => json!("text"),
        Type::Time => json!(now.to_string()),
        Type::Date => json!(now.to_string().get(..10).unwrap_or_default()),
        Type::Period => json!("PT1H"),
        Type::Enum(members) => members.first().map(wf_dsl::Value::to_json).unwrap_or_default(),
        Type::List(item) => json!([sample(item, now)]),
        Type::Object(fields) => {
            let needed = fields.iter().filter(|(_, field)| !field.optional);
            let fields = needed.map(|(name, field)| (name.clone(), sample(&field.ty, now)));
            Json::Object(fields.collect::<Map<_, _>>())
        }
        // `shape` has looked through it.
        Type::Schema(_) => Json::Null,
    }
}
