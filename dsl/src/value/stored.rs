//! Values as they are stored: JSON that keeps the types.
//!
//! What JSON has stands as itself. A timestamp is `{"$time": ms}`, a duration `{"$period": ms}`, a date
//! `{"$date": "2025-10-01"}`. A user's own key that starts with `$` gets a second one in front, so that it is never
//! taken for a tag. The tag stands alone in its object, so that a store which reorders keys does no harm.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::{Object, Value};
use crate::time::{Date, Period, Time};

const TIME: &str = "$time";
const PERIOD: &str = "$period";
const DATE: &str = "$date";

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn tagged<S: Serializer>(serializer: S, tag: &str, content: &impl Serialize) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(tag, content)?;
            map.end()
        }
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Number(value) => serializer.serialize_f64(*value),
            Value::String(text) => serializer.serialize_str(text),
            Value::Time(time) => tagged(serializer, TIME, &time.0),
            Value::Period(period) => tagged(serializer, PERIOD, &period.0),
            Value::Date(date) => tagged(serializer, DATE, &date.to_string()),
            Value::List(items) => serializer.collect_seq(items.iter()),
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields.iter() {
                    if name.starts_with('$') {
                        map.serialize_entry(&format!("${name}"), value)?;
                    } else {
                        map.serialize_entry(name, value)?;
                    }
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Stored)
    }
}

struct Stored;

impl<'de> Visitor<'de> for Stored {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stored value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Number(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Object::new();
        while let Some(mut name) = map.next_key::<String>()? {
            if let Some(own) = name.strip_prefix('$') {
                if !own.starts_with('$') {
                    let value = tagged_value(&name, &mut map)?;
                    let alone = fields.is_empty() && map.next_key::<String>()?.is_none();
                    return if alone { Ok(value) } else { Err(de::Error::custom("a tag must stand alone")) };
                }
                name.remove(0);
            }
            fields.insert(name, map.next_value()?);
        }
        Ok(fields.into())
    }
}

fn tagged_value<'de, A: MapAccess<'de>>(tag: &str, map: &mut A) -> Result<Value, A::Error> {
    match tag {
        TIME => map.next_value().map(|millis| Value::Time(Time(millis))),
        PERIOD => map.next_value().map(|millis| Value::Period(Period(millis))),
        DATE => {
            let text: String = map.next_value()?;
            text.parse::<Date>().map(Value::Date).map_err(de::Error::custom)
        }
        _ => Err(de::Error::custom(format_args!("unknown tag `{tag}`"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_filter("doubles in values are finite", |n| n.is_finite()).prop_map(Value::Number),
            (-1000i32..1000).prop_map(|n| Value::Number(f64::from(n))),
            ".{0,8}".prop_map(Value::from),
            (Time::MIN.0..=Time::MAX.0).prop_map(|millis| Value::Time(Time(millis))),
            any::<i64>().prop_map(|millis| Value::Period(Period(millis))),
            (Date::MIN.0..=Date::MAX.0).prop_map(|day| Value::Date(Date(day))),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((r"\$?\$?(time|period|date|[a-z]{0,2})", inner), 0..5)
                    .prop_map(|fields| Object::from_iter(fields).into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn stored_values_read_back_identical(value in any_value()) {
            let text = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value, "{}", text);
            let tree = serde_json::to_value(&value).unwrap();
            prop_assert_eq!(&serde_json::from_value::<Value>(tree).unwrap(), &value);
        }

        #[test]
        fn equal_values_have_one_canonical_text(left in any_value(), right in any_value()) {
            prop_assert_eq!(left.same(&right), left.canonical() == right.canonical());
            prop_assert!(left.same(&left.clone()));
        }
    }

    #[test]
    fn tags_and_escapes_look_like_this() {
        let value = Value::from(Object::from_iter([
            ("at".to_owned(), Value::Time(Time(5))),
            ("for".to_owned(), Value::Period(Period(6))),
            ("on".to_owned(), Value::Date(Date(0))),
            ("mine".to_owned(), Object::from_iter([("$time".to_owned(), Value::Int(7))]).into()),
            ("whole".to_owned(), Value::Number(1.0)),
        ]));
        let stored = json!({
            "at": {"$time": 5}, "for": {"$period": 6}, "on": {"$date": "1970-01-01"}, "mine": {"$$time": 7}, "whole": 1.0
        });
        assert_eq!(serde_json::to_value(&value).unwrap(), stored);
    }

    #[test]
    fn damaged_tags_are_refused() {
        for json in [
            json!({"$unknown": 1}),
            json!({"$time": "x"}),
            json!({"$date": "x"}),
            json!({"$time": 1, "a": 2}),
            json!({"a": 2, "$time": 1}),
        ] {
            assert!(serde_json::from_value::<Value>(json.clone()).is_err(), "{json}");
        }
    }
}
