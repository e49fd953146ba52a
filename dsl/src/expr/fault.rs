//! How an evaluation fails inside, before its place becomes a place in a file.

use super::ast::At;
use crate::value::Value;

/// What evaluating a part gives.
pub(super) type Outcome = Result<Value, Box<Fault>>;

/// Why a part of an expression has no value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The part that failed; none until someone who knows it says so.
    pub(super) at: Option<At>,
}

/// What is read is not there.
pub(super) const UNDEFINED: &str = "expr.undefined";
/// An index or count is outside of what it counts.
pub(super) const INDEX: &str = "expr.index";
/// A division by zero.
pub(super) const DIVISION: &str = "expr.division";
/// A result that its type cannot hold.
pub(super) const OVERFLOW: &str = "expr.overflow";
/// A text that is not what it should be.
pub(super) const PARSE: &str = "expr.parse";
/// Too many steps, or too large a result.
pub(super) const LIMIT: &str = "expr.limit";
/// A value of the wrong type.
pub(super) const TYPE: &str = "expr.type";

impl Fault {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Box<Fault> {
        Box::new(Fault { code, message: message.into(), at: None })
    }

    /// Says where it happened, unless a part further inside said so already.
    pub(super) fn at(mut self: Box<Self>, at: At) -> Box<Fault> {
        self.at.get_or_insert(at);
        self
    }
}
