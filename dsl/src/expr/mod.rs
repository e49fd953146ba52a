//! The expression language: what stands between `${` and `}`.

mod arithmetic;
pub mod ast;
mod call;
mod depth;
mod eval;
mod explain;
mod fault;
mod functions;
mod parse;
mod print;
mod reference;
mod scan;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::time::Time;
use crate::value::Value;

pub use eval::{BYTES_PER_STEP, EVAL_STEPS_MAX, RESULT_BYTES_MAX};
pub use functions::{Function, MethodSet, Param, Presence, Receiver, Sig, global, globals, method, method_names};
pub use parse::PATTERN_BYTES_MAX;
pub use reference::{Access, Reference, ReferenceKind};
pub(crate) use scan::closing_brace;
pub use scan::{EXPR_BYTES_MAX, EXPR_DEPTH_MAX};

use ast::{At, Term};

/// The names that every expression may read, as far as they are there; a lambda's parameter cannot have one of them.
pub const ROOTS: [&str; 9] = ["event", "events", "steps", "vars", "run", "secrets", "config", "error", "it"];

/// How much of a sub-expression an error quotes.
const SNIPPET_CHARS_MAX: usize = 120;

/// A parsed expression. Cheap to clone; parsed once per plan.
#[derive(Clone)]
pub struct Expr {
    inner: Arc<Inner>,
}

struct Inner {
    text: Box<str>,
    span: Span,
    exact: bool,
    term: Term,
}

/// What an expression may read. Everything that is not in the expression itself comes through here.
///
/// An expression may ask for one name thousands of times, so values should be clones of something that is kept.
pub trait Scope {
    /// A root by its name: `event`, `events`, `run`, `config`, `error`, `it` or a loop's name.
    fn root(&self, name: &str) -> Option<Value>;
    /// The output of a step's latest visit; none if it has not run, which reads as null.
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

/// A text that is no expression.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// `wf::expression`, or `wf::literal` for a literal of the right form that means nothing.
    pub code: Code,
    /// One lower-case phrase.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The part that is wrong.
    pub span: Span,
    /// The same within the expression's text.
    pub at: At,
}

impl Expr {
    /// Parses the text between `${` and `}`.
    ///
    /// `span` is where the text stands. If it is `exact`, each byte of the text stands there as itself, and parts of the
    /// expression have places of their own; otherwise all of them stand at `span`.
    ///
    /// # Errors
    /// The first thing that is wrong. Never exhausts the stack, and takes time in proportion to the text's length.
    pub fn parse(text: &str, span: Span, exact: bool) -> Result<Expr, ParseError> {
        let term = parse::parse(text).map_err(|wrong| ParseError {
            code: wrong.code,
            message: wrong.message,
            help: wrong.help,
            span: place(span, exact, wrong.at),
            at: wrong.at,
        })?;
        Ok(Expr { inner: Arc::new(Inner { text: text.into(), span, exact, term }) })
    }

    /// What stands in for an expression that could not be parsed, so that its place is not taken for a literal. It was
    /// reported already, and gives null.
    pub(crate) fn broken(text: &str, span: Span) -> Expr {
        let at = At::default();
        let term = Term { at, kind: ast::TermKind::Literal(Value::Null) };
        Expr { inner: Arc::new(Inner { text: text.into(), span, exact: false, term }) }
    }

    /// The value of the expression.
    ///
    /// # Errors
    /// The first part that has no value, in the order of evaluation.
    pub fn eval(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        eval::Eval::new(scope).whole(&self.inner.term).map_err(|fault| {
            let at = fault.at.unwrap_or(self.inner.term.at);
            let snippet = self.inner.text.get(at.start as usize..at.end as usize).unwrap_or_default();
            let snippet = eval::brief(snippet, SNIPPET_CHARS_MAX);
            EvalError { code: fault.code, message: fault.message, snippet, span: self.place(at) }
        })
    }

    /// The value of a part of the expression.
    pub(crate) fn eval_part(&self, part: &Term, scope: &dyn Scope) -> Option<Value> {
        eval::Eval::new(scope).whole(part).ok()
    }

    /// Where the expression stands, without `${` and `}`.
    pub fn span(&self) -> Span {
        self.inner.span
    }

    /// The expression as written.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// The tree of the expression.
    pub fn term(&self) -> &Term {
        &self.inner.term
    }

    /// Where a part of the expression stands in the file.
    pub fn place(&self, at: At) -> Span {
        place(self.inner.span, self.inner.exact, at)
    }

    /// Everything that the expression refers to by name, in the order of the text.
    pub fn references(&self) -> Vec<Reference<'_>> {
        reference::collect(self)
    }
}

fn place(span: Span, exact: bool, at: At) -> Span {
    if exact { span.part(at.start as usize, (at.end - at.start) as usize) } else { span }
}

impl fmt::Display for Expr {
    /// The expression in its one canonical spelling: layout and superfluous parentheses do not count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.term.fmt(f)
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({})", self.inner.text)
    }
}

impl From<ParseError> for Diagnostic {
    fn from(error: ParseError) -> Self {
        let diagnostic = Diagnostic::error(error.code, error.span, error.message);
        match error.help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}
