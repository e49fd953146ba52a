//! Values at run time.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::time::{Date, Period, Time};

/// The fields of an object in their order.
pub type Object = IndexMap<String, Value>;

/// What an expression gives, a step outputs, a variable holds. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
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
