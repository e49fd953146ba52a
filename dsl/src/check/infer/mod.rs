//! The types of expressions, and what is wrong with them.
//!
//! Types are gradual: where nothing is known, nothing is wrong. What was reported counts as not known from there on,
//! so that one mistake is one finding.

mod access;
mod call;
mod operators;

use super::facts::{self, Facts};
use super::flow::{conditions_around, told};
use super::places::{Moment, Place};
use super::roots::{self, LoopName};
use super::{
    Context, may_not_have_run, maybe_null, never_ran, out_of_scope, secret_leak, ty, type_mismatch, unknown_name,
};
use crate::diagnostic::{Diagnostic, Findings};
use crate::expr::Expr;
use crate::expr::ast::{At, Name, Term, TermKind};
use crate::form::{Form, Part};
use crate::plan::{Body, Limits, StepIx};
use crate::source::Span;
use crate::types::Type;
use crate::value::Value;

/// What is known of a term.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    /// Its type.
    pub(super) ty: Type,
    /// It is, or holds, a secret.
    pub(super) secret: bool,
    /// Where the type was declared.
    pub(super) declared: Option<Span>,
    /// It is null if this step has not run.
    pub(super) absent: Option<StepIx>,
}

/// Whether secrets may stand in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrets {
    /// They are redacted there.
    Welcome,
    /// They would be shown or stored.
    Refused,
}

/// Works out the types of the expressions at one place.
pub(super) struct Infer<'c> {
    pub(super) cx: &'c Context<'c>,
    place: &'c Place<'c>,
    found: &'c mut Findings,
    facts: Facts,
    /// What the cases above a guard have told.
    above: Facts,
    /// The parameters of the lambdas around, the outermost first.
    params: Vec<Type>,
    secrets: Secrets,
}

impl Typed {
    fn new(ty: Type) -> Typed {
        Typed { ty, secret: false, declared: None, absent: None }
    }

    fn unknown() -> Typed {
        Typed::new(Type::Any)
    }

    fn may_be_null(&self) -> bool {
        matches!(self.ty, Type::Null | Type::Nullable(_))
    }
}

impl<'c> Infer<'c> {
    pub(super) fn new(cx: &'c Context<'c>, place: &'c Place<'c>, found: &'c mut Findings) -> Self {
        let mut facts = Facts::default();
        let mut above = Facts::default();
        match place.moment {
            Moment::Event | Moment::Start => {}
            Moment::If(step) | Moment::Body(step) | Moment::Item(step) | Moment::Guard(step, _) => {
                if let Some(state) = cx.state(step) {
                    facts.add(state.facts.clone());
                }
                let here = cx.workflow.step(step);
                if let (Some(condition), false) = (&here.condition, matches!(place.moment, Moment::If(_))) {
                    facts.add(told(condition, true));
                }
                if let (Moment::Guard(_, number), Body::Switch(cases)) = (place.moment, &here.body) {
                    // A case may say in full what the cases above it leave over anyway.
                    cases[..number as usize].iter().for_each(|case| above.add(told(&case.when, false)));
                    above = above.non_nulls();
                    facts.add(above.clone());
                }
            }
        }
        Infer { cx, place, found, facts, above, params: Vec::new(), secrets: Secrets::Refused }
    }

    /// The step at which the place stands; none before the first one.
    pub(super) fn step(&self) -> Option<StepIx> {
        match self.place.moment {
            Moment::Event | Moment::Start => None,
            Moment::If(step) | Moment::Body(step) | Moment::Item(step) | Moment::Guard(step, _) => Some(step),
        }
    }

    /// Adds a finding.
    pub(super) fn say(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// What `work` finds, without saying it.
    pub(super) fn apart(&mut self, work: impl FnOnce(&mut Self)) -> Findings {
        let before = std::mem::take(self.found);
        work(self);
        std::mem::replace(self.found, before)
    }

    /// The type of a form, with all that is wrong in it. Secrets may stand in it or not.
    pub(super) fn form(&mut self, form: &Form, secrets: Secrets) -> Typed {
        self.secrets = secrets;
        match form {
            Form::Literal(value, _) => Typed::new(ty::of_value(value)),
            Form::Expr(expr) => self.expr(expr),
            Form::Text(parts, _) => {
                let mut secret = false;
                for part in parts {
                    if let Part::Expr(expr) = part {
                        secret |= self.part_of_text(expr);
                    }
                }
                Typed { secret, ..Typed::new(Type::String) }
            }
            Form::List(items, _) => {
                let items: Vec<_> = items.iter().map(|item| self.form(item, secrets)).collect();
                let secret = items.iter().any(|item| item.secret);
                Typed { secret, ..Typed::new(ty::list_of(items.into_iter().map(|item| item.ty))) }
            }
            Form::Object(fields, _) => {
                let mut secret = false;
                let fields = fields.iter().map(|(name, value)| {
                    let typed = self.form(value, secrets);
                    secret |= typed.secret;
                    (name.value.clone(), ty::field(typed.ty))
                });
                let ty = Type::Object(fields.collect());
                Typed { secret, ..Typed::new(ty) }
            }
        }
    }

    /// The type of a part of an expression.
    pub(super) fn type_of(&mut self, expr: &Expr, term: &Term) -> Type {
        self.term(expr, term).ty
    }

    /// The type of an expression that is a whole value.
    pub(super) fn expr(&mut self, expr: &Expr) -> Typed {
        // It could not be parsed, and that was said.
        if expr.term().at == At::default() {
            return Typed::unknown();
        }
        let typed = self.term(expr, expr.term());
        if typed.secret && self.secrets == Secrets::Refused {
            self.found.push(secret_leak::flows(secret_span(expr)));
            return Typed::unknown();
        }
        typed
    }

    /// An expression within text; whether it is a secret.
    fn part_of_text(&mut self, expr: &Expr) -> bool {
        let typed = self.expr(expr);
        if typed.may_be_null() {
            let in_text = "null cannot stand in text";
            self.null(expr, expr.term(), &typed, in_text);
        } else if matches!(typed.ty, Type::List(_) | Type::Object(_)) {
            self.found.push(type_mismatch::in_text(expr.span(), &typed.ty));
        }
        typed.secret
    }

    /// Says that a term may be null where it must not be.
    pub(super) fn null(&mut self, expr: &Expr, term: &Term, typed: &Typed, why: &str) {
        let span = expr.place(term.at);
        let written = text_of(expr, term.at);
        if self.guard_is_wrong() {
            return;
        }
        let instead = format!("{written} ?? …");
        let diagnostic = match typed.absent {
            Some(step) => may_not_have_run::found(self.cx, span, step, written, &instead),
            None => maybe_null::found(span, written, &typed.ty, typed.declared, why, &instead),
        };
        self.found.push(diagnostic);
    }

    /// Says that something is read from a term that may be null. `instead` reads it safely.
    fn null_read(&mut self, expr: &Expr, term: &Term, typed: &Typed, instead: Option<String>) {
        let span = expr.place(term.at);
        let written = text_of(expr, term.at);
        if self.guard_is_wrong() {
            return;
        }
        let instead = instead.unwrap_or_else(|| format!("{written}?.…"));
        let diagnostic = match typed.absent {
            Some(step) => may_not_have_run::found(self.cx, span, step, written, &instead),
            None => {
                let why = "nothing can be read from null";
                maybe_null::found(span, written, &typed.ty, typed.declared, why, &instead)
            }
        };
        self.found.push(diagnostic);
    }

    /// Whether a condition around has a mistake in it: what it was meant to tell is not known then.
    fn guard_is_wrong(&self) -> bool {
        let step = self.step().map(|step| self.cx.workflow.step(step));
        let conditions = step.map(|step| conditions_around(self.cx.workflow, step)).unwrap_or_default();
        conditions.into_iter().any(|form| self.found.has_error_in(form.span()) && form.span() != self.place.form.span())
    }

    /// The type of a term.
    fn term(&mut self, expr: &Expr, term: &Term) -> Typed {
        match &term.kind {
            TermKind::Literal(value) => Typed::new(ty::of_value(value)),
            TermKind::List { items, .. } => {
                let items: Vec<_> = items.iter().map(|item| self.term(expr, item)).collect();
                let secret = items.iter().any(|item| item.secret);
                Typed { secret, ..Typed::new(ty::list_of(items.into_iter().map(|item| item.ty))) }
            }
            TermKind::Object(fields) => {
                let mut secret = false;
                let fields = fields.iter().map(|(name, value)| {
                    let typed = self.term(expr, value);
                    secret |= typed.secret;
                    (name.text.to_string(), ty::field(typed.ty))
                });
                let ty = Type::Object(fields.collect());
                Typed { secret, ..Typed::new(ty) }
            }
            TermKind::If(parts) => self.choice(expr, parts),
            TermKind::Or(terms) => self.connected(expr, terms, false),
            TermKind::And(terms) => self.connected(expr, terms, true),
            TermKind::Not(inner) => {
                self.condition(expr, inner, "`not`");
                Typed::new(Type::Bool)
            }
            TermKind::Compare(comparator, sides) => self.compare(expr, term, *comparator, sides),
            TermKind::Coalesce(terms) => self.coalesce(expr, terms),
            TermKind::Arithmetic(first, rest) => self.arithmetic(expr, first, rest),
            TermKind::Negate(inner) => self.negate(expr, term, inner),
            TermKind::Root(_) | TermKind::Step(_) | TermKind::Var(_) | TermKind::Secret(_) | TermKind::Param(..) => {
                let typed = self.base(expr, term);
                self.narrowed(term, typed)
            }
            TermKind::Call { name, function, args } => self.call(expr, name, *function, args),
            TermKind::Path(base, links) => self.path(expr, term, base, links),
        }
    }

    /// The type of what an access begins with.
    fn base(&mut self, expr: &Expr, term: &Term) -> Typed {
        match &term.kind {
            TermKind::Root(name) => self.root(expr, name),
            TermKind::Step(name) => self.step_output(expr, term, name),
            TermKind::Var(name) => self.variable(expr, name),
            TermKind::Secret(_) => Typed { secret: true, ..Typed::new(Type::String) },
            TermKind::Param(_, number) => Typed::new(self.params.get(*number).cloned().unwrap_or(Type::Any)),
            _ => self.term(expr, term),
        }
    }

    fn root(&mut self, expr: &Expr, name: &Name) -> Typed {
        let workflow = self.cx.workflow;
        let limits =
            workflow.limits.as_ref().map(|limits| &limits.value).filter(|_| self.place.moment != Moment::Event);
        let batched = limits.is_some_and(|limits| limits.batch.is_some());
        let list = self.place.list;
        let known = match &*name.text {
            "event" | "events" if self.cx.trigger_hidden => Some(Type::Any),
            "event" if !batched => Some(roots::trigger_event(self.cx.project, workflow, self.facts.get("event.name"))),
            "events" if limits.is_some_and(Limits::has_events) => {
                let event = roots::trigger_event(self.cx.project, workflow, None);
                Some(Type::List(Box::new(event)))
            }
            "run" if self.place.moment != Moment::Event => Some(roots::run()),
            "config" => {
                let values = self.cx.project.settings.config.iter();
                let fields = values.map(|(name, value)| (name.as_str(), ty::plain(value.ty.clone())));
                Some(ty::object(fields))
            }
            "it" => self.place.it.map(|event| roots::event(self.cx.project, &event.value)),
            "error" => list.and_then(|list| roots::error_in(workflow, list)),
            other => list.and_then(|list| self.loop_name(list, other)),
        };
        known.map(Typed::new).unwrap_or_else(|| {
            self.found.push(unknown_name::root(self.cx, self.place, expr.place(name.at), &name.text, batched));
            Typed::unknown()
        })
    }

    fn loop_name(&mut self, list: crate::plan::ListIx, name: &str) -> Option<Type> {
        let names = roots::loop_names(self.cx.workflow, list);
        let (_, what) = names.into_iter().find(|(other, _)| *other == name)?;
        Some(match what {
            LoopName::Index => Type::Int,
            LoopName::Item(step, for_each) => self.cx.item_type(step, for_each),
        })
    }

    fn step_output(&mut self, expr: &Expr, term: &Term, name: &Name) -> Typed {
        let Some(step) = self.cx.workflow.find(&name.text) else {
            self.unknown(unknown_name::step(self.cx, expr.place(name.at), &name.text));
            return Typed::unknown();
        };
        let span = expr.place(term.at);
        if let Some(diagnostic) = out_of_scope::found(self.cx, self.place, span, step) {
            self.found.push(diagnostic);
            return Typed::unknown();
        }
        let state = self.step().and_then(|reader| self.cx.state(reader));
        let alternatives = state.and_then(|state| state.alternatives.get(&step).copied());
        let output = self.cx.output(step, alternatives);
        let Some(state) = state else {
            // Nothing has run before the first step; a step that nobody reaches has been reported itself.
            return match self.step() {
                None => {
                    self.found.push(never_ran::found(self.cx, span, step));
                    Typed::unknown()
                }
                Some(_) => Typed::unknown(),
            };
        };
        if !state.perhaps.has(step) && !self.cx.broken {
            self.found.push(never_ran::found(self.cx, span, step));
            return Typed::unknown();
        }
        // With a way missing nothing can be said of what ran before.
        if self.cx.broken {
            return Typed::unknown();
        }
        if state.surely.has(step) {
            return Typed::new(output);
        }
        Typed { absent: Some(step), ..Typed::new(ty::nullable(output)) }
    }

    fn variable(&mut self, expr: &Expr, name: &Name) -> Typed {
        match self.cx.workflow.vars.get(&*name.text) {
            Some(_) if self.place.moment == Moment::Event => {
                self.found.push(unknown_name::root(self.cx, self.place, expr.place(name.at), "vars", false));
                Typed::unknown()
            }
            Some(variable) => {
                let ty = self.cx.variable_type(&name.text);
                Typed { declared: Some(variable.span), ..Typed::new(ty) }
            }
            None => {
                self.unknown(unknown_name::variable(self.cx, expr.place(name.at), &name.text));
                Typed::unknown()
            }
        }
    }

    /// Adds a finding about a name that does not exist, unless it may stand in a part that could not be read.
    fn unknown(&mut self, diagnostic: Diagnostic) {
        let near = diagnostic.help.as_deref().is_some_and(|help| help.starts_with("did you mean"));
        if near || !self.cx.broken {
            self.found.push(diagnostic);
        }
    }

    /// The type with what conditions have told of it.
    fn narrowed(&self, term: &Term, typed: Typed) -> Typed {
        match facts::path(term) {
            Some(path) => self.narrowed_path(&path, typed),
            None => typed,
        }
    }

    fn narrowed_path(&self, path: &str, mut typed: Typed) -> Typed {
        let Some(fact) = self.facts.get(path) else { return typed };
        if fact.non_null {
            typed.ty = ty::non_null(typed.ty);
            typed.absent = None;
        }
        if let Type::Enum(members) = &typed.ty {
            let left: Vec<Value> = members.iter().filter(|member| fact.allows(member)).cloned().collect();
            typed.ty = ty::plain(Type::Enum(left));
        }
        if let Some([Value::Null]) = fact.one_of.as_deref() {
            typed.ty = Type::Null;
        }
        typed
    }
}

/// The part of an expression's text.
pub(super) fn text_of(expr: &Expr, at: At) -> &str {
    expr.text().get(at.start as usize..at.end as usize).unwrap_or_default()
}

/// Where the first secret of an expression stands.
fn secret_span(expr: &Expr) -> Span {
    let mut at = None;
    expr.term().walk(&mut |term| {
        if matches!(term.kind, TermKind::Secret(_)) {
            at.get_or_insert(term.at);
        }
    });
    at.map_or(expr.span(), |at| expr.place(at))
}
