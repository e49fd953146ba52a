//! The door: JSON from outside is checked against a type and comes in as typed values.

use serde_json::Value as Json;

use super::{Field, Type};
use crate::suggest::suggest;
use crate::time::{Date, Period, Time};
use crate::value::{Object, VALUE_DEPTH_MAX, Value, whole};

/// How many mismatches are listed; further ones are not looked for.
pub const MISMATCHES_MAX: usize = 100;

/// How much of a text a message quotes.
const QUOTED_CHARS_MAX: usize = 40;

/// Why a JSON value does not fit a type.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message} at `{pointer}`")]
pub struct Mismatch {
    /// JSON pointer of the part that does not fit; of what is missing, the object that lacks it.
    pub pointer: String,
    /// One lower-case phrase, such as "expected a timestamp, found a bool".
    pub message: String,
}

impl Type {
    /// Checks JSON against the type and gives it as a value: what is declared as a timestamp, date or duration is one,
    /// and what is declared as a number is one even without a fraction.
    ///
    /// Keys that are not declared are kept as they are; an optional key that is absent stays absent.
    ///
    /// # Errors
    /// Everything that does not fit, in the order of the JSON, at most [`MISMATCHES_MAX`]; also lists and objects nested
    /// deeper than [`VALUE_DEPTH_MAX`].
    pub fn accept(&self, json: &Json) -> Result<Value, Vec<Mismatch>> {
        Door::new(false).open(self, json)
    }

    /// The same for what a database gave: converted to the type where nothing is lost.
    ///
    /// 0 and 1 are bools; `YYYY-MM-DD HH:MM:SS` without an offset is a timestamp in UTC; decimal text is a number or int
    /// if that is exact; JSON text is a list or object.
    ///
    /// # Errors
    /// As [`Type::accept`]; in a list of rows the pointer is `/row/column`.
    pub fn accept_database(&self, json: &Json) -> Result<Value, Vec<Mismatch>> {
        Door::new(true).open(self, json)
    }
}

struct Door {
    database: bool,
    pointer: String,
    depth: usize,
    mismatches: Vec<Mismatch>,
}

impl Door {
    fn new(database: bool) -> Door {
        Door { database, pointer: String::new(), depth: 0, mismatches: Vec::new() }
    }

    fn open(mut self, ty: &Type, json: &Json) -> Result<Value, Vec<Mismatch>> {
        let value = self.read(ty, json);
        if self.mismatches.is_empty() { Ok(value) } else { Err(self.mismatches) }
    }

    fn mismatch(&mut self, message: String) -> Value {
        if self.mismatches.len() < MISMATCHES_MAX {
            self.mismatches.push(Mismatch { pointer: self.pointer.clone(), message });
        }
        Value::Null
    }

    /// Reads a part of a list or object; deeper ones than allowed are reported once, where the limit is passed.
    fn inside<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        self.pointer.truncate(outer);
        value
    }

    fn read(&mut self, ty: &Type, json: &Json) -> Value {
        if self.depth >= VALUE_DEPTH_MAX && (json.is_array() || json.is_object()) {
            return self.mismatch(too_deep());
        }
        let found = match (ty, json) {
            (Type::Any, _) => return self.any(json),
            (Type::Schema(schema), _) => {
                let before = self.mismatches.len();
                for (pointer, message) in schema.violations(json).take(MISMATCHES_MAX - before.min(MISMATCHES_MAX)) {
                    let pointer = format!("{}{pointer}", self.pointer);
                    self.mismatches.push(Mismatch { pointer, message });
                }
                return if self.mismatches.len() == before { self.read(schema.shape(), json) } else { Value::Null };
            }
            (Type::Nullable(_) | Type::Null, Json::Null) => return Value::Null,
            (Type::Nullable(inner), _) => return self.read(inner, json),
            (Type::Bool, Json::Bool(value)) => return Value::Bool(*value),
            (Type::String, Json::String(text)) => return text.as_str().into(),
            (Type::Int, Json::Number(number)) => {
                let float = || number.as_f64().filter(|_| number.is_f64()).and_then(whole);
                match number.as_i64().or_else(float) {
                    Some(value) => return Value::Int(value),
                    None if number.is_f64() => format!("the number {number}"),
                    None => format!("{number}, which does not fit 64 bits"),
                }
            }
            (Type::Number, Json::Number(number)) => match exact_number(number) {
                Some(value) => return Value::Number(value),
                None => format!("{number}, which a number cannot hold exactly"),
            },
            (Type::Time, Json::String(text)) => match self.time(text) {
                Ok(time) => return time.into(),
                Err(message) => return self.mismatch(message),
            },
            (Type::Date, Json::String(text)) => match text.parse::<Date>() {
                Ok(date) => return date.into(),
                Err(error) => return self.mismatch(format!("{error}, found `{}`", brief(text))),
            },
            (Type::Period, Json::String(text)) => match text.parse::<Period>() {
                Ok(period) => return period.into(),
                Err(error) => return self.mismatch(format!("{error}, found `{}`", brief(text))),
            },
            (Type::Enum(members), _) => {
                let value = Value::from_json(json);
                if let Some(member) = members.iter().find(|member| member.same(&value)) {
                    return member.clone();
                }
                match &value {
                    Value::String(text) => format!("`{}`", brief(text)),
                    other => other.to_text().map_or_else(|| other.a_type().to_owned(), |text| format!("`{text}`")),
                }
            }
            (Type::List(item), Json::Array(items)) => {
                let values = items.iter().enumerate();
                let values = values.map(|(place, json)| self.inside(&place.to_string(), |door| door.read(item, json)));
                return values.collect::<Vec<_>>().into();
            }
            (Type::Object(fields), Json::Object(json)) => return self.object(fields, json),
            _ => match self.converted(ty, json) {
                Some(value) => return value,
                None => a_type(json).to_owned(),
            },
        };
        self.mismatch(format!("expected {ty}, found {found}"))
    }

    fn time(&self, text: &str) -> Result<Time, String> {
        let read = if self.database { Time::from_database(text) } else { text.parse() };
        read.map_err(|error| format!("{error}, found `{}`", brief(text)))
    }

    fn object(&mut self, fields: &indexmap::IndexMap<String, Field>, json: &serde_json::Map<String, Json>) -> Value {
        let mut object = Object::with_capacity(json.len());
        for (name, json) in json {
            let value = self.inside(name, |door| match fields.get(name) {
                Some(field) if field.optional && json.is_null() => Value::Null,
                Some(field) => door.read(&field.ty, json),
                None => door.read(&Type::Any, json),
            });
            object.insert(name.clone(), value);
        }
        for (name, field) in fields {
            if field.optional || json.contains_key(name) {
                continue;
            }
            let undeclared = json.keys().map(String::as_str).filter(|key| !fields.contains_key(*key));
            let message = match suggest(name, undeclared) {
                Some(near) => format!("missing `{name}`; there is `{near}`"),
                None => format!("missing `{name}`"),
            };
            self.mismatch(message);
        }
        object.into()
    }

    fn any(&mut self, json: &Json) -> Value {
        if nests_within(json, VALUE_DEPTH_MAX - self.depth) {
            return Value::from_json(json);
        }
        self.mismatch(too_deep())
    }

    /// What only databases write differently; none if the value does not fit there either.
    fn converted(&mut self, ty: &Type, json: &Json) -> Option<Value> {
        if !self.database {
            return None;
        }
        match (ty, json) {
            (Type::Bool, Json::Number(number)) => match number.as_i64() {
                Some(0) => Some(Value::Bool(false)),
                Some(1) => Some(Value::Bool(true)),
                _ => None,
            },
            (Type::Int, Json::String(text)) => exact_int(text).map(Value::Int),
            (Type::Number, Json::String(text)) => exact_decimal(text).map(Value::Number),
            (Type::List(_) | Type::Object(_), Json::String(text)) => {
                let json: Json = serde_json::from_str(text).ok()?;
                (json.is_array() || json.is_object()).then(|| self.read(ty, &json))
            }
            _ => None,
        }
    }
}

/// The type of a JSON value with its article.
fn a_type(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a bool",
        Json::Number(number) if number.is_f64() => "a number",
        Json::Number(_) => "an int",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

fn nests_within(json: &Json, levels: usize) -> bool {
    match (json, levels.checked_sub(1)) {
        (Json::Array(items), Some(inner)) => items.iter().all(|item| nests_within(item, inner)),
        (Json::Object(fields), Some(inner)) => fields.values().all(|field| nests_within(field, inner)),
        (Json::Array(_) | Json::Object(_), None) => false,
        _ => true,
    }
}

fn too_deep() -> String {
    format!("nests deeper than {VALUE_DEPTH_MAX} levels")
}

/// The double that a JSON number stands for, unless it is a whole number that a double cannot hold.
fn exact_number(number: &serde_json::Number) -> Option<f64> {
    let float = number.as_f64()?;
    match (number.as_i64(), number.as_u64()) {
        (Some(int), _) => (whole(float) == Some(int)).then_some(float),
        (None, Some(int)) => (float as u128 == u128::from(int)).then_some(float),
        (None, None) => Some(float),
    }
}

/// The int that a decimal such as `42` or `42.000` is.
fn exact_int(text: &str) -> Option<i64> {
    let (int, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let zero = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    let digits = int.strip_prefix('-').unwrap_or(int);
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if zero && plain { int.parse().ok() } else { None }
}

/// The double that prints as this decimal: nothing that the text says is lost.
fn exact_decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (int, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    if !digits(int) || !digits(fraction) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    let plain =
        |int: &str, fraction: &str| (int.trim_start_matches('0').to_owned(), fraction.trim_end_matches('0').to_owned());
    let printed = format!("{}", number.abs());
    let (printed_int, printed_fraction) = printed.split_once('.').unwrap_or((&printed, "0"));
    (plain(int, fraction) == plain(printed_int, printed_fraction)).then_some(number)
}

fn brief(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
