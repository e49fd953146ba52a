//! What a condition tells about the values it reads.

use std::collections::BTreeMap;

use crate::expr::ast::{Comparator, LinkKind, Term, TermKind};
use crate::value::Value;

/// What is known of some values, by how expressions write them: `event.data.email`, `steps.load.status`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    known: BTreeMap<String, Fact>,
}

/// What is known of one value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fact {
    /// It is not null.
    pub(super) non_null: bool,
    /// It is one of these.
    pub(super) one_of: Option<Vec<Value>>,
    /// It is none of these.
    pub(super) none_of: Vec<Value>,
}

impl Facts {
    /// What is known of a value.
    pub(super) fn get(&self, path: &str) -> Option<&Fact> {
        self.known.get(path)
    }

    /// What holds when `condition` is `truth`.
    pub(super) fn of(condition: &Term, truth: bool) -> Facts {
        match &condition.kind {
            TermKind::Not(inner) => Facts::of(inner, !truth),
            TermKind::And(terms) if truth => Facts::all(terms, truth),
            TermKind::Or(terms) if !truth => Facts::all(terms, truth),
            TermKind::And(terms) | TermKind::Or(terms) => {
                let each = terms.iter().map(|term| Facts::of(term, truth));
                each.reduce(|one, other| one.common(&other)).unwrap_or_default()
            }
            TermKind::Compare(comparator, sides) => compared(*comparator, sides, truth),
            _ => Facts::one(condition, Fact::one_of(vec![Value::Bool(truth)])),
        }
    }

    /// Only what is known not to be null.
    pub(super) fn non_nulls(self) -> Facts {
        let known = self.known.into_iter().filter(|(_, fact)| fact.non_null);
        Facts { known: known.map(|(path, _)| (path, Fact::non_null())).collect() }
    }

    /// Adds what else is known.
    pub(super) fn add(&mut self, more: Facts) {
        for (path, fact) in more.known {
            match self.known.get_mut(&path) {
                Some(known) => known.add(fact),
                None => {
                    self.known.insert(path, fact);
                }
            }
        }
    }

    /// What holds in both.
    pub(super) fn common(&self, other: &Facts) -> Facts {
        let known = self.known.iter().filter_map(|(path, fact)| {
            let fact = fact.common(other.known.get(path)?);
            fact.says_something().then(|| (path.clone(), fact))
        });
        Facts { known: known.collect() }
    }

    /// Forgets what is known of values that begin with `root`, such as `steps.load` or `vars.n`.
    pub(super) fn forget(&mut self, root: &str) {
        let inside = |path: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.known.retain(|path, _| !inside(path));
    }

    fn all(terms: &[Term], truth: bool) -> Facts {
        let mut facts = Facts::default();
        terms.iter().for_each(|term| facts.add(Facts::of(term, truth)));
        facts
    }

    /// A fact about a term, if it is a plain path. What a `?.` was read from is not null if the result is not.
    fn one(term: &Term, fact: Fact) -> Facts {
        let mut facts = Facts::default();
        let Some(path) = path(term) else { return facts };
        if let (TermKind::Path(base, links), true) = (&term.kind, fact.non_null) {
            for end in (0..links.len()).filter(|end| links[*end].safe) {
                let Some(before) = path_of(base, &links[..end]) else { continue };
                facts.known.insert(before, Fact::non_null());
            }
        }
        facts.known.insert(path, fact);
        facts
    }
}

impl Fact {
    fn non_null() -> Fact {
        Fact { non_null: true, one_of: None, none_of: Vec::new() }
    }

    fn one_of(values: Vec<Value>) -> Fact {
        let non_null = !values.iter().any(Value::is_null);
        Fact { non_null, one_of: Some(values), none_of: Vec::new() }
    }

    fn none_of(values: Vec<Value>) -> Fact {
        Fact { non_null: values.iter().any(Value::is_null), one_of: None, none_of: values }
    }

    fn says_something(&self) -> bool {
        self.non_null || self.one_of.is_some() || !self.none_of.is_empty()
    }

    /// Whether the value may be this one.
    pub(super) fn allows(&self, value: &Value) -> bool {
        let same = |other: &Value| other.same(value);
        self.one_of.as_ref().is_none_or(|values| values.iter().any(same)) && !self.none_of.iter().any(same)
    }

    fn add(&mut self, more: Fact) {
        self.non_null |= more.non_null;
        self.one_of = match (self.one_of.take(), more.one_of) {
            (Some(mut values), Some(others)) => {
                values.retain(|value| others.iter().any(|other| other.same(value)));
                Some(values)
            }
            (values, others) => values.or(others),
        };
        self.none_of.extend(more.none_of);
    }

    fn common(&self, other: &Fact) -> Fact {
        let one_of = match (&self.one_of, &other.one_of) {
            (Some(values), Some(others)) => {
                let mut values = values.clone();
                let new = others.iter().filter(|other| !self.allows(other)).cloned().collect::<Vec<_>>();
                values.extend(new);
                Some(values)
            }
            _ => None,
        };
        let none_of = self.none_of.iter().filter(|value| !other.allows(value)).cloned().collect();
        Fact { non_null: self.non_null && other.non_null, one_of, none_of }
    }
}

/// How a term is written, if it is a root, a step or a variable with members only. `?.` counts as `.`.
pub(super) fn path(term: &Term) -> Option<String> {
    match &term.kind {
        TermKind::Path(base, links) => path_of(base, links),
        _ => path_of(term, &[]),
    }
}

fn path_of(base: &Term, links: &[crate::expr::ast::Link]) -> Option<String> {
    let mut path = match &base.kind {
        TermKind::Root(name) => name.text.to_string(),
        TermKind::Step(name) => format!("steps.{}", name.text),
        TermKind::Var(name) => format!("vars.{}", name.text),
        // No name begins with a dollar sign, so this is no other's path.
        TermKind::Param(_, number) => format!("${number}"),
        _ => return None,
    };
    for link in links {
        let LinkKind::Member(name) = &link.kind else { return None };
        path.push('.');
        path.push_str(&name.text);
    }
    Some(path)
}

fn compared(comparator: Comparator, sides: &[Term; 2], truth: bool) -> Facts {
    let [left, right] = sides;
    let equal = match comparator {
        Comparator::Equal => truth,
        Comparator::NotEqual => !truth,
        Comparator::In | Comparator::NotIn => {
            let inside = (comparator == Comparator::In) == truth;
            let TermKind::List { constant: Some(Value::List(values)), .. } = &right.kind else {
                return Facts::default();
            };
            let values = values.to_vec();
            return Facts::one(left, if inside { Fact::one_of(values) } else { Fact::none_of(values) });
        }
        _ => return Facts::default(),
    };
    let fact = |value: &Value| {
        let values = vec![value.clone()];
        if equal { Fact::one_of(values) } else { Fact::none_of(values) }
    };
    match (&left.kind, &right.kind) {
        (_, TermKind::Literal(value)) => Facts::one(left, fact(value)),
        (TermKind::Literal(value), _) => Facts::one(right, fact(value)),
        _ => Facts::default(),
    }
}
