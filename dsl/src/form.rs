//! A YAML value with expressions in it, filled in at run time.

use crate::expr::{EvalError, Expr, Scope};
use crate::source::{Span, Spanned};
use crate::value::Value;

/// A YAML value in which any string may hold `${ }`.
#[derive(Clone, Debug)]
pub enum Form {
    /// No expression inside.
    Literal(Value, Span),
    /// `${ expr }` as the whole value; keeps its type.
    Expr(Expr),
    /// Text with expressions in it; gives a string.
    Text(Vec<Part>, Span),
    /// A list.
    List(Vec<Form>, Span),
    /// An object in the order of the file.
    Object(Vec<(Spanned<String>, Form)>, Span),
}

/// A piece of a [`Form::Text`].
#[derive(Clone, Debug)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// An expression that gives a string, int, number, bool, timestamp or duration.
    Expr(Expr),
}

impl Form {
    /// Where the form stands.
    pub fn span(&self) -> Span {
        match self {
            Form::Expr(expr) => expr.span(),
            Form::Literal(_, span) | Form::Text(_, span) | Form::List(_, span) | Form::Object(_, span) => *span,
        }
    }

    /// The value with every expression evaluated in `scope`.
    ///
    /// # Errors
    /// The first expression that fails, in the order of the file.
    pub fn fill(&self, _scope: &dyn Scope) -> Result<Value, EvalError> {
        unreachable!("written with the evaluator")
    }
}
