//! Values as plain JSON: how they leave, and how untyped JSON comes in.

use serde_json::{Number, Value as Json};

use super::{Object, Value};

/// Below this, every whole double is a whole number that JSON readers keep exactly.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The int that a double is written as; none if it has a fraction, or is too large for every reader to keep.
pub(super) fn exactly_whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < EXACT_MAX).then_some(value as i64)
}

impl Value {
    /// The value as others see it: timestamps as RFC 3339 in UTC, durations as ISO 8601, dates as `YYYY-MM-DD`.
    ///
    /// A number without a fraction is written without one, as most languages do; [`crate::Type::accept`] makes a
    /// number of it again where one is declared.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            Value::Number(value) => match exactly_whole(*value) {
                Some(whole) => Json::from(whole),
                None => Number::from_f64(*value).map_or(Json::Null, Json::Number),
            },
            Value::String(text) => Json::String(text.to_string()),
            Value::Time(time) => Json::String(time.to_string()),
            Value::Period(period) => Json::String(period.to_string()),
            Value::Date(date) => Json::String(date.to_string()),
            Value::List(items) => Json::Array(items.iter().map(Value::to_json).collect()),
            Value::Object(fields) => {
                Json::Object(fields.iter().map(|(name, value)| (name.clone(), value.to_json())).collect())
            }
        }
    }

    /// Plain JSON as a value; nothing is guessed, so a timestamp stays a string.
    ///
    /// A whole number outside of 64 bits becomes a double. For data from outside use [`crate::Type::accept`], which
    /// also bounds its depth.
    pub fn from_json(json: &Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(int) => Value::Int(int),
                None => Value::Number(number.as_f64().unwrap_or(f64::MAX)),
            },
            Json::String(text) => Value::from(text.as_str()),
            Json::Array(items) => items.iter().map(Value::from_json).collect::<Vec<_>>().into(),
            Json::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), Value::from_json(value)));
                fields.collect::<Object>().into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::time::{Date, Period, Time};

    #[test]
    fn values_leave_as_plain_json() {
        let value = Value::from(Object::from_iter([
            ("at".to_owned(), Value::Time(Time(1_500))),
            ("for".to_owned(), Value::Period(Period::hours(24))),
            ("on".to_owned(), Value::Date(Date(1))),
            ("whole".to_owned(), Value::Number(5.0)),
            ("half".to_owned(), Value::Number(0.5)),
            ("large".to_owned(), Value::Number(1e300)),
            ("list".to_owned(), Value::from(vec![Value::Int(1), Value::Null, Value::Bool(true)])),
        ]));
        let json = json!({
            "at": "1970-01-01T00:00:01.500Z", "for": "PT24H", "on": "1970-01-02", "whole": 5, "half": 0.5, "large": 1e300,
            "list": [1, null, true]
        });
        assert_eq!(value.to_json(), json);
    }

    #[test]
    fn plain_json_comes_in_without_guessing() {
        let value = Value::from_json(&json!(["2025-10-01T09:00:00Z", 1, 1.0, 18_446_744_073_709_551_615u64]));
        let expected = vec![
            Value::from("2025-10-01T09:00:00Z"),
            Value::Int(1),
            Value::Number(1.0),
            Value::Number(18446744073709551615.0),
        ];
        assert_eq!(value, Value::from(expected));
    }
}
