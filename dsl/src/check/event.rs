//! `wf::event`: an event type that is unknown, or data that does not fit it.

use super::fields::{self, Subject};
use super::infer::Infer;
use super::{Context, forms, roots, ty};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings, Missed};
use crate::form::Form;
use crate::plan::{Body, EventMatch, Trigger, WaitGuard, Workflow};
use crate::project::Project;
use crate::source::Spanned;
use crate::suggest::did_you_mean;
use crate::types::Type;

/// What a workflow does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It starts runs.
    Trigger,
    /// A run waits for it, or is cancelled by it.
    Awaited,
    /// A step sends it.
    Sent,
}

/// Every event that a workflow names.
pub(super) fn named(workflow: &Workflow) -> impl Iterator<Item = (&Spanned<String>, Use)> {
    let triggers = workflow.triggers.iter().filter_map(|trigger| match trigger {
        Trigger::Event { event, .. } => Some((event, Use::Trigger)),
        Trigger::Cron { .. } => None,
    });
    let cancels = workflow.cancel_on.iter().map(|wait| (&wait.event, Use::Awaited));
    let steps = workflow.steps.iter().flat_map(|step| match &step.body {
        Body::SendEvent { name, .. } => vec![(name, Use::Sent)],
        Body::Wait(alternatives) => alternatives
            .iter()
            .filter_map(|alternative| match &alternative.guard {
                WaitGuard::Event(wait) => Some((&wait.event, Use::Awaited)),
                WaitGuard::After(_) | WaitGuard::Until(_) => None,
            })
            .collect(),
        _ => Vec::new(),
    });
    triggers.chain(cancels).chain(steps)
}

/// Every name of an event must be declared.
pub(super) fn names(cx: &Context<'_>, found: &mut Findings) {
    for (event, _) in named(cx.workflow) {
        if roots::event_data(cx.project, &event.value).is_none() {
            found.push(unknown(cx.project, event));
        }
    }
}

/// An event type that does not exist.
pub(super) fn unknown(project: &Project, event: &Spanned<String>) -> Diagnostic {
    let message = format!("there is no event type `{}`", event.value);
    let diagnostic = Diagnostic::error(Code::EVENT, event.span, message).missed(Missed::InProject);
    let known = project.events.keys().map(String::as_str).chain(roots::RUN_EVENTS);
    match did_you_mean(&event.value, known) {
        Some(help) => diagnostic.help(help),
        None => diagnostic.help(format!("declare it: `events: {{{}: {{data: {{…}}}}}}`", event.value)),
    }
}

/// The data of an event that is sent.
pub(super) fn data(infer: &mut Infer<'_>, name: &Spanned<String>, form: &Form) {
    let wanted = roots::event_data(infer.cx.project, &name.value).unwrap_or(Type::Any);
    let of = format!("`{}`", name.value);
    fields::check(infer, form, &wanted, &Subject { code: Code::EVENT, key: "data", of: &of });
}

/// A field of `match` and what it must equal.
pub(super) fn matched(infer: &mut Infer<'_>, wait: &EventMatch, field: &Spanned<String>, form: &Form) {
    let mut wanted = roots::event_data(infer.cx.project, &wait.event.value).unwrap_or(Type::Any);
    for name in field.value.split('.') {
        let declared = match ty::non_null(ty::plain(wanted)) {
            Type::Object(fields) => match fields.get(name) {
                Some(field) => ty::non_null(field.ty.clone()),
                None => {
                    let message = format!("`{}` has no field `{name}`", wait.event.value);
                    let diagnostic = Diagnostic::error(Code::EVENT, field.span, message);
                    let help = did_you_mean(name, fields.keys().map(String::as_str));
                    infer.say(match help {
                        Some(help) => diagnostic.help(help),
                        None => diagnostic,
                    });
                    Type::Any
                }
            },
            _ => Type::Any,
        };
        wanted = declared;
    }
    let what = format!("`{}` of `{}`", field.value, wait.event.value);
    forms::fits(infer, form, &wanted, &mut |typed, form| {
        let message = format!("{what} is {}, and this is {}", ty::words(&wanted), ty::words(&typed.ty));
        Diagnostic::error(Code::EVENT, form.span(), message).label(ty::words(&typed.ty))
    });
}
