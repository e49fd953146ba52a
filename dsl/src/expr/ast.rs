//! A parsed expression as a tree. Every part knows its place in the text.
//!
//! Operators of one rank stand in one list instead of a deep tree, so that the tree is never deeper than the brackets
//! of the text, and a walk over it cannot exhaust the stack.

use std::sync::Arc;

use regex::Regex;

use super::functions::{Function, MethodSet};
use crate::value::Value;

/// A place in an expression: bytes of its text, from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// First byte.
    pub start: u32,
    /// Byte after the last one.
    pub end: u32,
}

/// A name and where it stands.
#[derive(Clone, Debug)]
pub struct Name {
    /// The name.
    pub text: Arc<str>,
    /// Where it stands.
    pub at: At,
}

/// A part of an expression that gives a value.
#[derive(Clone, Debug)]
pub struct Term {
    /// Where it stands, with the parentheses around it.
    pub at: At,
    /// What it is.
    pub kind: TermKind,
}

/// What a [`Term`] is.
#[derive(Clone, Debug)]
pub enum TermKind {
    /// A literal; a minus in front of a number or duration belongs to it.
    Literal(Value),
    /// `[a, b]`
    List {
        /// The items.
        items: Vec<Term>,
        /// The whole list, if all items are literals.
        constant: Option<Value>,
    },
    /// `{a = 1}`
    Object(Vec<(Name, Term)>),
    /// `if … then … else …`: the three terms.
    If(Box<[Term; 3]>),
    /// `a or b or …`
    Or(Vec<Term>),
    /// `a and b and …`
    And(Vec<Term>),
    /// `not a`
    Not(Box<Term>),
    /// A comparison.
    Compare(Comparator, Box<[Term; 2]>),
    /// `a ?? b ?? …`: the first that is not null.
    Coalesce(Vec<Term>),
    /// Operators of one rank, applied from left to right.
    Arithmetic(Box<Term>, Vec<(Operator, Term)>),
    /// `-a`
    Negate(Box<Term>),
    /// A root, or a loop's name: everything that is neither a lambda's parameter nor one of the three below.
    Root(Name),
    /// `steps.x`: the step's id.
    Step(Name),
    /// `vars.x`
    Var(Name),
    /// `secrets.x`
    Secret(Name),
    /// A lambda's parameter; the number counts the parameters of all lambdas around it, the outermost first, from 0.
    Param(Name, usize),
    /// A global function.
    Call {
        /// Its name.
        name: Name,
        /// The function; none if there is none of this name.
        function: Option<&'static Function>,
        /// What it is called with.
        args: Vec<Arg>,
    },
    /// A chain of accesses to a value. After a `?.` that meets null the rest of the chain is skipped.
    Path(Box<Term>, Vec<Link>),
}

/// One access of a [`TermKind::Path`].
#[derive(Clone, Debug)]
pub struct Link {
    /// Where it stands, from its dot or bracket on.
    pub at: At,
    /// `?.` instead of `.`
    pub safe: bool,
    /// What is accessed.
    pub kind: LinkKind,
}

/// What a [`Link`] accesses.
#[derive(Clone, Debug)]
pub enum LinkKind {
    /// `.name`
    Member(Name),
    /// `[index]`
    Index(Term),
    /// `.name(…)`
    Method(Method),
}

/// A method and its arguments.
#[derive(Clone, Debug)]
pub struct Method {
    /// Its name.
    pub name: Name,
    /// The methods of this name by receiver; none if no type has one.
    pub set: Option<&'static MethodSet>,
    /// What it is called with.
    pub args: Vec<Arg>,
    /// The compiled pattern, if it takes one.
    pub(crate) regex: Option<Arc<Regex>>,
}

/// An argument of a function or method.
#[derive(Clone, Debug)]
pub enum Arg {
    /// A value.
    Value(Term),
    /// `x => …` or `(x, i) => …`
    Lambda(Lambda),
}

/// A function that is written as an argument.
#[derive(Clone, Debug)]
pub struct Lambda {
    /// Where it stands.
    pub at: At,
    /// One or two parameters: the item, and its index from 0.
    pub params: Vec<Name>,
    /// What it gives.
    pub body: Term,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `in`
    In,
    /// `not in`
    NotIn,
}

/// An arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

impl At {
    /// From the start of this to the end of another.
    #[must_use]
    pub fn to(self, other: At) -> At {
        At { start: self.start, end: other.end }
    }
}

impl Arg {
    /// Where it stands.
    pub fn at(&self) -> At {
        match self {
            Arg::Value(term) => term.at,
            Arg::Lambda(lambda) => lambda.at,
        }
    }

    /// The text, if this is a string literal.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Arg::Value(Term { kind: TermKind::Literal(Value::String(text)), .. }) => Some(text),
            _ => None,
        }
    }

    /// What it evaluates: the value's term, or the lambda's body.
    pub fn term(&self) -> &Term {
        match self {
            Arg::Value(term) => term,
            Arg::Lambda(lambda) => &lambda.body,
        }
    }
}

impl Comparator {
    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Comparator::Equal => "==",
            Comparator::NotEqual => "!=",
            Comparator::Less => "<",
            Comparator::LessOrEqual => "<=",
            Comparator::Greater => ">",
            Comparator::GreaterOrEqual => ">=",
            Comparator::In => "in",
            Comparator::NotIn => "not in",
        }
    }
}

impl Operator {
    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
        }
    }
}

impl Term {
    /// Calls `visit` with this term and every term inside it, in the order of the text.
    pub fn walk<'t>(&'t self, visit: &mut dyn FnMut(&'t Term)) {
        visit(self);
        match &self.kind {
            TermKind::Literal(_)
            | TermKind::Root(_)
            | TermKind::Step(_)
            | TermKind::Var(_)
            | TermKind::Secret(_)
            | TermKind::Param(..) => {}
            TermKind::Not(term) | TermKind::Negate(term) => term.walk(visit),
            TermKind::List { items: terms, .. }
            | TermKind::Or(terms)
            | TermKind::And(terms)
            | TermKind::Coalesce(terms) => terms.iter().for_each(|term| term.walk(visit)),
            TermKind::Object(fields) => fields.iter().for_each(|(_, term)| term.walk(visit)),
            TermKind::If(terms) => terms.iter().for_each(|term| term.walk(visit)),
            TermKind::Compare(_, terms) => terms.iter().for_each(|term| term.walk(visit)),
            TermKind::Arithmetic(first, rest) => {
                first.walk(visit);
                rest.iter().for_each(|(_, term)| term.walk(visit));
            }
            TermKind::Call { args, .. } => args.iter().for_each(|arg| arg.term().walk(visit)),
            TermKind::Path(base, links) => {
                base.walk(visit);
                for link in links {
                    match &link.kind {
                        LinkKind::Member(_) => {}
                        LinkKind::Index(term) => term.walk(visit),
                        LinkKind::Method(method) => method.args.iter().for_each(|arg| arg.term().walk(visit)),
                    }
                }
            }
        }
    }
}
