//! Values at run time.

mod equality;
mod json;
mod stored;

pub(crate) use equality::whole;
use json::exactly_whole;

use std::sync::Arc;

use indexmap::IndexMap;

use crate::time::{Date, Period, Time};

/// How deep lists and objects may nest in a value that enters or leaves a workflow.
pub const VALUE_DEPTH_MAX: usize = 64;

/// The fields of an object in their order.
pub type Object = IndexMap<String, Value>;

/// What an expression gives, a step outputs, a variable holds. Cheap to clone.
///
/// `==` of Rust asks whether two values are identical; [`Value::same`] is the equality of the language. With serde a
/// value is stored with its types; [`Value::to_json`] is how it leaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// A double; never infinite, never NaN.
    Number(f64),
    /// A text.
    String(Arc<str>),
    /// An instant.
    Time(Time),
    /// A length of time.
    Period(Period),
    /// A calendar day.
    Date(Date),
    /// A list.
    List(Arc<Vec<Value>>),
    /// An object.
    Object(Arc<Object>),
}

impl Value {
    /// The word for the value's type in the language, such as `timestamp`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Time(_) => "timestamp",
            Value::Period(_) => "duration",
            Value::Date(_) => "date",
            Value::List(_) => "list",
            Value::Object(_) => "object",
        }
    }

    /// The type with its article, for messages: `an int`, `null`.
    pub fn a_type(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an int",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Time(_) => "a timestamp",
            Value::Period(_) => "a duration",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The bool, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The whole number, if it is an int.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// An int or number as a double.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Int(value) => Some(*value as f64),
            Value::Number(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The instant of a timestamp.
    pub fn as_time(&self) -> Option<Time> {
        match self {
            Value::Time(time) => Some(*time),
            _ => None,
        }
    }

    /// The length of a duration.
    pub fn as_period(&self) -> Option<Period> {
        match self {
            Value::Period(period) => Some(*period),
            _ => None,
        }
    }

    /// The day of a date.
    pub fn as_date(&self) -> Option<Date> {
        match self {
            Value::Date(date) => Some(*date),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn as_list(&self) -> Option<&Arc<Vec<Value>>> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The fields of an object.
    pub fn as_object(&self) -> Option<&Arc<Object>> {
        match self {
            Value::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// The field of an object; none if this is no object or has no such field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.as_object()?.get(field)
    }

    /// The value inside of objects along dotted names, as `match` writes them; none where the way ends.
    pub fn get_path(&self, dotted: &str) -> Option<&Value> {
        dotted.split('.').try_fold(self, |value, name| value.get(name))
    }

    /// How text shows the value: strings, ints, numbers, bools, timestamps, durations and dates. None for null, lists
    /// and objects, which text must not swallow.
    ///
    /// A number without a fraction is written without one (`5`, not `5.0`).
    pub fn to_text(&self) -> Option<Arc<str>> {
        match self {
            Value::String(text) => Some(text.clone()),
            Value::Bool(value) => Some(Arc::from(if *value { "true" } else { "false" })),
            Value::Int(value) => Some(value.to_string().into()),
            Value::Number(value) => Some(match exactly_whole(*value) {
                Some(whole) => whole.to_string().into(),
                None => format!("{value:?}").into(),
            }),
            Value::Time(time) => Some(time.to_string().into()),
            Value::Period(period) => Some(period.to_string().into()),
            Value::Date(date) => Some(date.to_string().into()),
            Value::Null | Value::List(_) | Value::Object(_) => None,
        }
    }

    /// About how many bytes the value takes as JSON; none if more than `limit`, found without looking further.
    ///
    /// Also none when it nests deeper than [`VALUE_DEPTH_MAX`].
    pub fn size_within(&self, limit: usize) -> Option<usize> {
        fn spend(value: &Value, depth: usize, left: usize) -> Option<usize> {
            match value {
                Value::Null | Value::Bool(_) => left.checked_sub(4),
                Value::Int(_) | Value::Number(_) => left.checked_sub(8),
                Value::String(text) => left.checked_sub(text.len() + 2),
                Value::Time(_) | Value::Period(_) | Value::Date(_) => left.checked_sub(22),
                Value::List(_) | Value::Object(_) if depth == VALUE_DEPTH_MAX => None,
                Value::List(items) => items
                    .iter()
                    .try_fold(left.checked_sub(2)?, |left, item| spend(item, depth + 1, left.checked_sub(1)?)),
                Value::Object(fields) => fields.iter().try_fold(left.checked_sub(2)?, |left, (name, value)| {
                    spend(value, depth + 1, left.checked_sub(name.len() + 4)?)
                }),
            }
        }
        spend(self, 0, limit).map(|left| limit - left)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(Arc::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(Arc::from(text))
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Value::String(text)
    }
}

impl From<Time> for Value {
    fn from(time: Time) -> Self {
        Value::Time(time)
    }
}

impl From<Period> for Value {
    fn from(period: Period) -> Self {
        Value::Period(period)
    }
}

impl From<Date> for Value {
    fn from(date: Date) -> Self {
        Value::Date(date)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Value::List(Arc::new(items))
    }
}

impl From<Object> for Value {
    fn from(fields: Object) -> Self {
        Value::Object(Arc::new(fields))
    }
}

impl<V: Into<Value>> From<Option<V>> for Value {
    /// The value, or null.
    fn from(value: Option<V>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
