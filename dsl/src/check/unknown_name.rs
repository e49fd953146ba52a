//! `wf::unknown_name`: a name that is not declared anywhere.

use super::places::{Moment, Place};
use super::{Context, roots, ty};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Missed};
use crate::expr::{globals, method_names};
use crate::form::Form;
use crate::plan::{Body, Step};
use crate::project::Project;
use crate::source::Span;
use crate::suggest::{did_you_mean, listed};
use crate::types::Type;
use crate::value::Value;

/// An error about a name that does not exist in its file.
fn missing(span: Span, message: String) -> Diagnostic {
    Diagnostic::error(Code::UNKNOWN_NAME, span, message).missed(Missed::InFile)
}

/// An error with the nearest name as help, or else the names that there are.
fn error(span: Span, message: String, name: &str, what: &str, names: &[&str]) -> Diagnostic {
    let diagnostic = missing(span, message);
    if let Some(help) = did_you_mean(name, names.iter().copied()) {
        return diagnostic.help(help);
    }
    if names.is_empty() {
        return diagnostic;
    }
    diagnostic.help(format!("{what} {}", listed(names.iter().copied())))
}

/// A root that does not exist, or not here.
pub(super) fn root(cx: &Context<'_>, place: &Place<'_>, span: Span, name: &str, batched: bool) -> Diagnostic {
    let elsewhere = match name {
        "event" if batched => Some("with `batch` there are several events: write `events`"),
        "events" if place.moment == Moment::Event => Some("each event is judged by itself: write `event`"),
        "run" | "vars" if place.moment == Moment::Event => Some("there is no run yet: write what `event` says"),
        "events" => Some("without `batch` or `collect: all` there is one event: write `event`"),
        "error" => Some("`error` exists in the steps of a `catch` and in `finally`"),
        "it" => Some("`it` is the candidate in the `if` of a wait or of `cancel_on`"),
        _ => None,
    };
    if let Some(help) = elsewhere {
        return missing(span, format!("there is no `{name}` here")).help(help);
    }
    if let "steps" | "vars" | "secrets" = name {
        let message = format!("`{name}` is not a value of its own");
        return missing(span, message).help(format!("write `{name}.<name>`"));
    }
    if let Some(owner) = loop_with(cx, name) {
        let diagnostic = missing(span, format!("there is no `{name}` here"));
        return diagnostic.related(owner, format!("`{name}` exists inside this loop"));
    }
    // A name without its root is the likeliest mistake after a misspelt one.
    let rooted = [
        cx.workflow.find(name).map(|_| format!("steps.{name}")),
        cx.workflow.vars.contains_key(name).then(|| format!("vars.{name}")),
    ];
    if let Some(rooted) = rooted.into_iter().flatten().next() {
        let message = format!("`{name}` is not known");
        return missing(span, message).help(format!("did you mean `{rooted}`?"));
    }
    let loops = place.list.map(|list| roots::loop_names(cx.workflow, list)).unwrap_or_default();
    let mut names: Vec<&str> =
        vec![if batched { "events" } else { "event" }, "steps", "vars", "run", "secrets", "config"];
    names.extend(loops.iter().map(|(name, _)| *name));
    error(span, format!("`{name}` is not known"), name, "there are", &names)
}

fn loop_with(cx: &Context<'_>, name: &str) -> Option<Span> {
    cx.workflow.steps.iter().find_map(|step| match &step.body {
        Body::ForEach(for_each) => [Some(&for_each.item), for_each.index.as_ref()]
            .into_iter()
            .flatten()
            .find(|other| other.value == name)
            .map(|other| other.span),
        _ => None,
    })
}

/// A step that does not exist.
pub(super) fn step(cx: &Context<'_>, span: Span, name: &str) -> Diagnostic {
    let names: Vec<&str> = cx.workflow.steps.iter().map(|step| &*step.id).collect();
    error(span, format!("there is no step `{name}`"), name, "the steps are", &names)
}

/// A variable that does not exist.
pub(super) fn variable(cx: &Context<'_>, span: Span, name: &str) -> Diagnostic {
    let names: Vec<&str> = cx.workflow.vars.keys().map(String::as_str).collect();
    if names.is_empty() {
        let help = format!("declare it at the top of the workflow: `vars: {{{name}: …}}`");
        return missing(span, format!("there is no variable `{name}`")).help(help);
    }
    error(span, format!("there is no variable `{name}`"), name, "the variables are", &names)
}

/// A field that an object does not have.
pub(super) fn field(span: Span, receiver: &str, name: &str, names: &[&str]) -> Diagnostic {
    error(span, format!("`{receiver}` has no field `{name}`"), name, "it has", names)
}

/// A field of something that has none.
pub(super) fn no_fields(span: Span, receiver: &str, name: &str, found: &Type) -> Diagnostic {
    let message = format!("`{receiver}` has no field `{name}`: it is {}", ty::words(found));
    let diagnostic = missing(span, message);
    match found {
        Type::List(_) => {
            diagnostic.help(format!("of one item: `{receiver}[0].{name}`; of each: `{receiver}.map(x => x.{name})`"))
        }
        _ if method_names().any(|method| method == name) => diagnostic.help(format!("a method is called: `.{name}()`")),
        _ => diagnostic,
    }
}

/// A function that does not exist.
pub(super) fn function(span: Span, name: &str) -> Diagnostic {
    let message = format!("there is no function `{name}`");
    if method_names().any(|method| method == name) {
        return missing(span, message).help(format!("it is a method: write `value.{name}(…)`"));
    }
    let names: Vec<&str> = globals().iter().map(|function| function.name).collect();
    error(span, message, name, "the functions are", &names)
}

/// A method that no type has.
pub(super) fn method(span: Span, name: &str) -> Diagnostic {
    let message = format!("there is no method `{name}`");
    if globals().iter().any(|function| function.name == name) {
        return missing(span, message).help(format!("it is a function: write `{name}(…)`"));
    }
    let diagnostic = missing(span, message);
    match did_you_mean(name, method_names()) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// The `connection` of an effect, which must be one of `wf.yaml`.
pub(super) fn connection(project: &Project, step: &Step, body: &Form) -> Option<Diagnostic> {
    let Some(Form::Literal(Value::String(name), span)) = body.get("connection") else { return None };
    if project.settings.connections.contains_key(&**name) {
        return None;
    }
    let kinds = project.catalog.get(&step.kind.value).map(|kind| &kind.connections[..]).unwrap_or_default();
    let fitting = project.settings.connections.values().filter(|connection| kinds.contains(&connection.kind.value));
    let names: Vec<&str> = fitting.map(|connection| connection.name.value.as_str()).collect();
    let message = format!("there is no connection `{name}`");
    if names.is_empty() {
        let help = "declare it in `wf.yaml` under `connections`";
        return Some(missing(*span, message).missed(Missed::InProject).help(help));
    }
    Some(error(*span, message, name, "the connections of this sort are", &names).missed(Missed::InProject))
}
