//! Expressions as text again: one spelling for all layouts of the same tree.

use std::fmt::{self, Write};

use super::ast::{Arg, LinkKind, Name, Operator, Term, TermKind};
use crate::value::Value;

/// How tightly a term binds; what stands in a place for a higher rank gets parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Conditional,
    Or,
    And,
    Not,
    Comparison,
    Coalesce,
    Additive,
    Multiplicative,
    Unary,
    Postfix,
    Primary,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self, Rank::Conditional, f)
    }
}

fn rank(term: &Term) -> Rank {
    match &term.kind {
        TermKind::If(_) => Rank::Conditional,
        TermKind::Or(_) => Rank::Or,
        TermKind::And(_) => Rank::And,
        TermKind::Not(_) => Rank::Not,
        TermKind::Compare(..) => Rank::Comparison,
        TermKind::Coalesce(_) => Rank::Coalesce,
        TermKind::Arithmetic(_, rest) => match rest.first() {
            Some((Operator::Add | Operator::Subtract, _)) => Rank::Additive,
            _ => Rank::Multiplicative,
        },
        TermKind::Negate(_) => Rank::Unary,
        TermKind::Literal(Value::Int(value)) if *value < 0 => Rank::Unary,
        TermKind::Literal(Value::Number(value)) if value.is_sign_negative() => Rank::Unary,
        TermKind::Literal(Value::Period(value)) if value.0 < 0 => Rank::Unary,
        TermKind::Path(..) => Rank::Postfix,
        _ => Rank::Primary,
    }
}

fn print(term: &Term, least: Rank, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if rank(term) < least {
        f.write_char('(')?;
        print_bare(term, f)?;
        return f.write_char(')');
    }
    print_bare(term, f)
}

fn print_bare(term: &Term, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match &term.kind {
        TermKind::Literal(value) => print_literal(value, f),
        TermKind::List { items, .. } => {
            f.write_char('[')?;
            print_all(items, ", ", Rank::Conditional, f)?;
            f.write_char(']')
        }
        TermKind::Object(fields) => {
            f.write_char('{')?;
            for (place, (name, value)) in fields.iter().enumerate() {
                f.write_str(if place == 0 { "" } else { ", " })?;
                match is_name(&name.text) {
                    true => f.write_str(&name.text)?,
                    false => print_string(&name.text, f)?,
                }
                f.write_str(" = ")?;
                print(value, Rank::Conditional, f)?;
            }
            f.write_char('}')
        }
        TermKind::If(terms) => {
            let [condition, then, otherwise] = &**terms;
            write!(f, "if {condition} then {then} else {otherwise}")
        }
        TermKind::Or(terms) => print_all(terms, " or ", Rank::And, f),
        TermKind::And(terms) => print_all(terms, " and ", Rank::Not, f),
        TermKind::Not(term) => {
            f.write_str("not ")?;
            print(term, Rank::Comparison, f)
        }
        TermKind::Compare(comparator, sides) => {
            let [left, right] = &**sides;
            print(left, Rank::Coalesce, f)?;
            write!(f, " {} ", comparator.symbol())?;
            print(right, Rank::Coalesce, f)
        }
        TermKind::Coalesce(terms) => print_all(terms, " ?? ", Rank::Additive, f),
        TermKind::Arithmetic(first, rest) => {
            let inner = if rank(term) == Rank::Additive { Rank::Multiplicative } else { Rank::Unary };
            print(first, inner, f)?;
            for (operator, right) in rest {
                write!(f, " {} ", operator.symbol())?;
                print(right, inner, f)?;
            }
            Ok(())
        }
        TermKind::Negate(term) => {
            // A negated literal would read as the literal of the other sign.
            let literal = matches!(term.kind, TermKind::Literal(_));
            f.write_char('-')?;
            if literal { write!(f, "({term})") } else { print(term, Rank::Postfix, f) }
        }
        TermKind::Root(name) | TermKind::Param(name, _) => f.write_str(&name.text),
        TermKind::Step(name) => write!(f, "steps.{}", name.text),
        TermKind::Var(name) => write!(f, "vars.{}", name.text),
        TermKind::Secret(name) => write!(f, "secrets.{}", name.text),
        TermKind::Call { name, args, .. } => print_call(name, args, f),
        TermKind::Path(base, links) => {
            print(base, Rank::Primary, f)?;
            for link in links {
                f.write_str(match (&link.kind, link.safe) {
                    (LinkKind::Index(_), _) => "[",
                    (_, true) => "?.",
                    (_, false) => ".",
                })?;
                match &link.kind {
                    LinkKind::Member(name) => f.write_str(&name.text)?,
                    LinkKind::Index(term) => write!(f, "{term}]")?,
                    LinkKind::Method(method) => print_call(&method.name, &method.args, f)?,
                }
            }
            Ok(())
        }
    }
}

fn print_all(terms: &[Term], between: &str, least: Rank, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, term) in terms.iter().enumerate() {
        f.write_str(if place == 0 { "" } else { between })?;
        print(term, least, f)?;
    }
    Ok(())
}

fn print_call(name: &Name, args: &[Arg], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}(", name.text)?;
    for (place, arg) in args.iter().enumerate() {
        f.write_str(if place == 0 { "" } else { ", " })?;
        match arg {
            Arg::Value(term) => write!(f, "{term}")?,
            Arg::Lambda(lambda) => match &*lambda.params {
                [item, index] => write!(f, "({}, {}) => {}", item.text, index.text, lambda.body)?,
                params => {
                    params.iter().try_for_each(|param| f.write_str(&param.text))?;
                    write!(f, " => {}", lambda.body)?;
                }
            },
        }
    }
    f.write_char(')')
}

fn print_literal(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::String(text) => print_string(text, f),
        Value::Time(time) => write!(f, "@{time}"),
        Value::Period(period) => f.write_str(&period.compact()),
        Value::Number(value) => write!(f, "{value:?}"),
        other => write!(f, "{}", other.to_json()),
    }
}

fn print_string(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

/// The words that are no names.
pub(crate) const KEYWORDS: [&str; 10] = ["and", "or", "not", "in", "if", "then", "else", "true", "false", "null"];

/// Whether a member access can write this name; others need `.get("…")`.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
        && !KEYWORDS.contains(&text)
}
