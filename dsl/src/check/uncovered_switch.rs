//! `wf::uncovered_switch`: the cases of a `switch` may all be false.

use std::collections::BTreeSet;

use super::facts::{self, Fact, Facts};
use super::flow::told;
use super::infer::Infer;
use super::places::{Moment, Place, Purpose};
use super::{Context, constant, ty};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::expr::ast::{Comparator, Term, TermKind};
use crate::form::Form;
use crate::plan::{Body, Case, Step, StepIx, Trigger};
use crate::types::Type;
use crate::value::Value;

/// How many left-over values of an enumeration are named.
const VALUES_NAMED_MAX: usize = 4;

/// Reports each `switch` that can do nothing without saying so.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    // Of an event that is not known neither are the values.
    let unknown = |trigger: &Trigger| match trigger {
        Trigger::Event { event, .. } => found.has_error_in(event.span),
        Trigger::Cron { .. } => false,
    };
    if cx.trigger_hidden || cx.workflow.triggers.iter().any(unknown) {
        return;
    }
    for (ix, step) in cx.steps() {
        let Body::Switch(cases) = &step.body else { continue };
        let wrong = |case: &Case| found.has_error_in(case.when.span());
        if cases.iter().any(wrong) || cx.state(ix).is_none() || cases.iter().any(|case| case.when.literal().is_some()) {
            continue;
        }
        let leftover = match leftover(cx, ix, step, cases) {
            Leftover::Nothing => continue,
            leftover => leftover,
        };
        let message = match &leftover {
            Leftover::Values(path, values) => format!("no case is taken when `{path}` is {values}"),
            _ => "all cases of this `switch` may be false".to_owned(),
        };
        let diagnostic = Diagnostic::error(Code::UNCOVERED_SWITCH, step.kind.span, message);
        found.push(diagnostic.help("write a last case `- when: true`; without steps it means to go on"));
    }
}

/// What no case takes.
enum Leftover {
    Nothing,
    /// These values of this enumeration.
    Values(String, String),
    Unknown,
}

fn leftover(cx: &Context<'_>, ix: StepIx, step: &Step, cases: &[Case]) -> Leftover {
    if cases.iter().any(|case| constant::truth(&case.when) == Some(true)) || opposites(cases) {
        return Leftover::Nothing;
    }
    let mut facts = Facts::default();
    cases.iter().for_each(|case| facts.add(told(&case.when, false)));
    let mut unknown = Leftover::Unknown;
    for (path, ty) in types(cx, ix, step, cases) {
        let Some(fact) = facts.get(&path) else { continue };
        let left: Vec<Value> = match possible(&ty) {
            Some(values) => values.into_iter().filter(|value| fact.allows(value)).collect(),
            None if contradicts(fact) => Vec::new(),
            None => continue,
        };
        if left.is_empty() {
            return Leftover::Nothing;
        }
        if !matches!(ty::non_null(ty), Type::Bool) {
            unknown = Leftover::Values(path, listed(&left));
        }
    }
    unknown
}

/// All values of a type, if they can be told one by one.
fn possible(ty: &Type) -> Option<Vec<Value>> {
    match ty {
        Type::Bool => Some(vec![Value::Bool(true), Value::Bool(false)]),
        Type::Enum(members) => Some(members.clone()),
        Type::Null => Some(vec![Value::Null]),
        Type::Nullable(inner) => {
            let mut values = possible(inner)?;
            values.push(Value::Null);
            Some(values)
        }
        _ => None,
    }
}

/// Whether no value is left at all, whatever the type.
fn contradicts(fact: &Fact) -> bool {
    fact.one_of.as_ref().is_some_and(|values| !values.iter().any(|value| fact.allows(value)))
}

/// What the conditions read, with its type here.
fn types(cx: &Context<'_>, ix: StepIx, step: &Step, cases: &[Case]) -> Vec<(String, Type)> {
    let mut seen = BTreeSet::new();
    let mut types = Vec::new();
    for case in cases {
        let Form::Expr(expr) = &case.when else { continue };
        let place = Place {
            form: &case.when,
            purpose: Purpose::Condition,
            moment: Moment::Guard(ix, 0),
            list: Some(step.list),
            it: None,
        };
        let mut paths = Vec::new();
        expr.term().walk(&mut |term| paths.extend(facts::path(term).map(|path| (path, term))));
        for (path, term) in paths {
            if seen.insert(path.clone()) {
                let mut ignored = Findings::default();
                types.push((path, Infer::new(cx, &place, &mut ignored).type_of(expr, term)));
            }
        }
    }
    types
}

/// Whether one case's condition is the opposite of another's.
fn opposites(cases: &[Case]) -> bool {
    let term = |case: &Case| match &case.when {
        Form::Expr(expr) => Some(expr.term().clone()),
        _ => None,
    };
    let terms: Vec<Term> = cases.iter().filter_map(term).collect();
    let written: BTreeSet<String> = terms.iter().map(|term| canonical(term, true)).collect();
    terms.iter().any(|term| written.contains(&canonical(term, false)))
}

/// A condition, or its opposite, in one spelling.
pub(super) fn canonical(term: &Term, truth: bool) -> String {
    match &term.kind {
        TermKind::Not(inner) => canonical(inner, !truth),
        TermKind::Compare(comparator, sides) => {
            let comparator = if truth { *comparator } else { opposite(*comparator) };
            let [left, right] = &**sides;
            match comparator {
                // `a > b` is `b < a`.
                Comparator::Greater => format!("{right} < {left}"),
                Comparator::GreaterOrEqual => format!("{right} <= {left}"),
                other => format!("{left} {} {right}", other.symbol()),
            }
        }
        _ if truth => term.to_string(),
        _ => format!("not ({term})"),
    }
}

fn opposite(comparator: Comparator) -> Comparator {
    match comparator {
        Comparator::Equal => Comparator::NotEqual,
        Comparator::NotEqual => Comparator::Equal,
        Comparator::Less => Comparator::GreaterOrEqual,
        Comparator::LessOrEqual => Comparator::Greater,
        Comparator::Greater => Comparator::LessOrEqual,
        Comparator::GreaterOrEqual => Comparator::Less,
        Comparator::In => Comparator::NotIn,
        Comparator::NotIn => Comparator::In,
    }
}

fn listed(values: &[Value]) -> String {
    let shown = |value: &Value| value.to_text().map_or_else(|| "null".to_owned(), |text| format!("`{text}`"));
    let named: Vec<String> = values.iter().take(VALUES_NAMED_MAX).map(shown).collect();
    let more = if values.len() > VALUES_NAMED_MAX { " and others" } else { "" };
    format!("{}{more}", named.join(" or "))
}
