//! The expression language: what stands between `${` and `}`.

use std::sync::Arc;

use crate::source::Span;
use crate::time::Time;
use crate::value::Value;

/// A parsed expression. Cheap to clone; parsed once per plan.
#[derive(Clone, Debug)]
pub struct Expr {
    text: Arc<str>,
    span: Span,
}

/// What an expression may read. Everything that is not in the expression itself comes through here.
pub trait Scope {
    /// A root by its name: `event`, `events`, `run`, `config`, `error`, `it` or a loop's name.
    fn root(&self, name: &str) -> Option<Value>;
    /// The output of a step's latest visit; none if it has not run.
    fn step(&self, id: &str) -> Option<Value>;
    /// A variable.
    fn var(&self, name: &str) -> Option<Value>;
    /// A secret's value.
    fn secret(&self, name: &str) -> Option<Value>;
    /// The `now()` of this evaluation.
    fn now(&self) -> Time;
    /// The next 32 bytes of this evaluation's chance, for `uuid()` and `random()`; the same again in a repetition.
    fn chance(&self) -> [u8; 32];
}

/// An expression that failed at run time. Never retriable.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message} in `{snippet}`")]
pub struct EvalError {
    /// `expr.undefined`, `expr.index`, `expr.division`, `expr.overflow`, `expr.parse`, `expr.limit` or `expr.type`.
    pub code: &'static str,
    /// One lower-case phrase.
    pub message: String,
    /// The sub-expression that failed, as written.
    pub snippet: String,
    /// Where that sub-expression stands; [`Span::NOWHERE`] in a stored plan.
    pub span: Span,
}

impl Expr {
    /// Where the expression stands, without `${` and `}`.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The expression as written.
    pub fn text(&self) -> &str {
        &self.text
    }
}
