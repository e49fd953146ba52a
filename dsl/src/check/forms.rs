//! What stands in each field, held against what the field is for.

use super::infer::{Infer, Secrets, Typed};
use super::places::{Place, Purpose};
use super::{Context, event, invoke, literal, sql_params, template, ty, type_mismatch, unknown_name};
use crate::diagnostic::{Diagnostic, Findings};
use crate::expr::ast::At;
use crate::form::Form;
use crate::plan::Step;
use crate::types::Type;
use crate::value::Value;

/// Checks one field.
pub(super) fn check(cx: &Context<'_>, place: &Place<'_>, found: &mut Findings) {
    let form = place.form;
    let mut infer = Infer::new(cx, place, found);
    match place.purpose {
        // A condition that could not be read stands as null, and its shape has been reported.
        Purpose::Condition if matches!(form, Form::Literal(Value::Null, _)) => {}
        Purpose::Condition => simple(&mut infer, form, &Type::Bool, "a condition"),
        Purpose::Length => simple(&mut infer, form, &Type::Period, "this field"),
        Purpose::Instant => simple(&mut infer, form, &Type::Time, "this field"),
        Purpose::Items => simple(&mut infer, form, &Type::List(Box::new(Type::Any)), "`in`"),
        Purpose::Int => simple(&mut infer, form, &Type::Int, "this field"),
        Purpose::Text => simple(&mut infer, form, &Type::String, "this field"),
        Purpose::IterationKey | Purpose::LimitKey => key(&mut infer, form),
        Purpose::Variable(_, None) | Purpose::Output | Purpose::ErrorData => drop(infer.form(form, Secrets::Refused)),
        Purpose::Variable(name, Some(wanted)) => {
            simple(&mut infer, form, &ty::plain(wanted.clone()), &format!("`{name}`"));
        }
        Purpose::Set(name) => {
            let wanted = cx.variable_type(&name.value);
            simple(&mut infer, form, &wanted, &format!("`{}`", name.value));
        }
        Purpose::Match(wait, field) => event::matched(&mut infer, wait, field, form),
        Purpose::EventData(name) => event::data(&mut infer, name, form),
        Purpose::With(workflow) => invoke::with(&mut infer, workflow, form),
        Purpose::Body(step) => body(&mut infer, step, form),
    }
}

/// A field with one type.
fn simple(infer: &mut Infer<'_>, form: &Form, wanted: &Type, place: &str) {
    fits(infer, form, wanted, &mut |typed, form| match (wanted, form) {
        (Type::Period | Type::Time | Type::Date, Form::Literal(Value::String(text), span)) => {
            literal::wrong(*span, wanted, text)
        }
        (_, Form::Literal(Value::String(text), span)) if !matches!(wanted, Type::Enum(_)) => {
            type_mismatch::bare_text(*span, place, wanted, text)
        }
        (_, Form::Text(_, span)) => type_mismatch::text_around(*span, place, wanted),
        (_, form) => type_mismatch::wanted(form.span(), place, wanted, &typed.ty, typed.declared),
    });
}

/// Holds a form against a type, and says what does not fit with `mismatch`.
///
/// Lists and objects of forms are gone into, so that a finding stands at the item or the field.
pub(super) fn fits(
    infer: &mut Infer<'_>,
    form: &Form,
    wanted: &Type,
    mismatch: &mut dyn FnMut(&Typed, &Form) -> Diagnostic,
) {
    match (form, ty::non_null(wanted.clone())) {
        (Form::List(items, _), Type::List(item)) => {
            items.iter().for_each(|form| fits(infer, form, &item, mismatch));
            return;
        }
        (Form::Literal(value, _), inner) if literal::fits(value, wanted) || literal::fits(value, &inner) => return,
        _ => {}
    }
    let typed = infer.form(form, Secrets::Refused);
    match (ty::misfit(&typed.ty, wanted), form) {
        (None, _) => {}
        (Some(ty::Misfit::Null), Form::Expr(expr)) => {
            let why = format!("{} is needed", ty::words(wanted));
            infer.null(expr, expr.term(), &typed, &why);
        }
        (Some(_), form) => {
            let diagnostic = mismatch(&typed, form);
            infer.say(diagnostic);
        }
    }
}

/// What runs or iterations are told apart by.
fn key(infer: &mut Infer<'_>, form: &Form) {
    let typed = infer.form(form, Secrets::Refused);
    match (form, ty::widened(&typed.ty)) {
        (Form::Expr(expr), Type::Null | Type::Nullable(_)) => {
            infer.null(expr, expr.term(), &typed, "a key is never null");
        }
        (_, Type::List(_) | Type::Object(_) | Type::Number | Type::Bool | Type::Period) => {
            infer.say(type_mismatch::wanted(form.span(), "a key", &Type::String, &typed.ty, typed.declared));
        }
        _ => {}
    }
}

/// The body of an effect, field by field.
fn body(infer: &mut Infer<'_>, step: &Step, form: &Form) {
    let kind = infer.cx.project.catalog.get(&step.kind.value);
    let Form::Object(fields, _) = form else {
        infer.form(form, Secrets::Refused);
        return;
    };
    for (name, value) in fields {
        let welcome = kind.is_some_and(|kind| kind.secret_fields.contains(&name.value));
        let secrets = if welcome { Secrets::Welcome } else { Secrets::Refused };
        let typed = infer.form(value, secrets);
        // What stands there literally was held against the kind's schema when it was read.
        let Form::Expr(expr) = value else { continue };
        if expr.term().at == At::default() {
            continue;
        }
        let schema = kind.and_then(|kind| kind.body.pointer(&format!("/properties/{}", name.value)));
        let (Some(schema), Some(kind)) = (schema, kind) else { continue };
        let wanted = ty::alternatives(schema, &kind.body);
        let place = format!("`{}`", name.value);
        match ty::misfits(&typed.ty, &wanted) {
            None => {}
            Some(ty::Misfit::Null) => infer.null(expr, expr.term(), &typed, &format!("{place} cannot be null")),
            Some(ty::Misfit::Type) => {
                let wanted = wanted.iter().find(|ty| **ty != Type::Null).unwrap_or(&Type::Null);
                infer.say(type_mismatch::wanted(value.span(), &place, wanted, &typed.ty, typed.declared));
            }
        }
    }
    if let Some(diagnostic) = unknown_name::connection(infer.cx.project, step, form) {
        infer.say(diagnostic);
    }
    sql_params::check(infer, step, form);
    template::check(infer, step, form);
}
