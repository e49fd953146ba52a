//! What an expression gives whatever a run reads.

use crate::expr::ast::{At, Term, TermKind};
use crate::expr::{Expr, Scope};
use crate::form::Form;
use crate::time::Time;
use crate::value::Value;

/// The functions that give something else each time.
const CHANGING: [&str; 3] = ["now", "uuid", "random"];

/// The value of a form that reads nothing; none if it reads something, or has no value.
pub(super) fn value(form: &Form) -> Option<Value> {
    match form {
        Form::Literal(value, _) => Some(value.clone()),
        Form::Expr(expr) => of_term(expr, expr.term()),
        _ => None,
    }
}

/// What a condition always is: because it reads nothing, or because one side of an `and` or `or` decides it.
pub(super) fn truth(form: &Form) -> Option<bool> {
    match form {
        Form::Literal(value, _) => value.as_bool(),
        Form::Expr(expr) => decided(expr, expr.term()),
        _ => None,
    }
}

fn decided(expr: &Expr, term: &Term) -> Option<bool> {
    let each = |terms: &[Term], decisive: bool| {
        let known: Vec<_> = terms.iter().map(|term| decided(expr, term)).collect();
        if known.contains(&Some(decisive)) {
            Some(decisive)
        } else {
            known.iter().all(Option::is_some).then_some(!decisive)
        }
    };
    match &term.kind {
        TermKind::Not(inner) => decided(expr, inner).map(|truth| !truth),
        TermKind::And(terms) => each(terms, false),
        TermKind::Or(terms) => each(terms, true),
        _ => of_term(expr, term)?.as_bool(),
    }
}

fn of_term(expr: &Expr, term: &Term) -> Option<Value> {
    // What could not be parsed was reported.
    if expr.term().at == At::default() || reads(term) {
        return None;
    }
    expr.eval_part(term, &Nothing)
}

fn reads(term: &Term) -> bool {
    let mut reads = false;
    term.walk(&mut |term| {
        reads |= match &term.kind {
            TermKind::Root(_) | TermKind::Step(_) | TermKind::Var(_) | TermKind::Secret(_) => true,
            TermKind::Call { name, .. } => CHANGING.contains(&&*name.text),
            _ => false,
        };
    });
    reads
}

/// Whether a term asks for the time.
pub(super) fn asks_for_now(term: &Term) -> bool {
    let mut asks = false;
    term.walk(&mut |term| asks |= matches!(&term.kind, TermKind::Call { name, .. } if &*name.text == "now"));
    asks
}

struct Nothing;

impl Scope for Nothing {
    fn root(&self, _: &str) -> Option<Value> {
        None
    }

    fn step(&self, _: &str) -> Option<Value> {
        None
    }

    fn var(&self, _: &str) -> Option<Value> {
        None
    }

    fn secret(&self, _: &str) -> Option<Value> {
        None
    }

    fn now(&self) -> Time {
        Time(0)
    }

    fn chance(&self) -> [u8; 32] {
        [0; 32]
    }
}
