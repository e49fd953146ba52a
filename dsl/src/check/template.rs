//! `wf::template`: a template that is missing, or whose parameters do not fit.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::infer::{Infer, Secrets, Typed};
use super::{fields, forms, ty};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Missed};
use crate::form::Form;
use crate::plan::Step;
use crate::project::{Medium, Project, Wants};
use crate::source::{Span, Spanned};
use crate::suggest::{did_you_mean, suggest};
use crate::types::{Field, Type};
use crate::value::Value;

/// Checks a body that names a template.
pub(super) fn check(infer: &mut Infer<'_>, step: &Step, body: &Form) {
    let Some(kind) = infer.cx.project.catalog.get(&step.kind.value) else {
        // Of a kind that is not described, a `template` probably is one.
        match body.get("template") {
            Some(Form::Literal(Value::String(name), _)) => infer.cx.names_template(name),
            Some(_) => drop(infer.cx.templates.replace(None)),
            None => {}
        }
        return;
    };
    let takes = |field: &str| kind.body.pointer(&format!("/properties/{field}")).is_some();
    if !takes("template") || !takes("with") {
        return;
    }
    let Some(template) = body.get("template") else {
        without(infer, step, body, takes("subject"));
        return;
    };
    let needs_subject = takes("subject") && body.get("subject").is_none();
    let span = template.span();
    let names: Vec<String> = match template {
        Form::Literal(Value::String(name), _) => vec![name.to_string()],
        Form::Expr(_) => {
            let typed = infer.form(template, Secrets::Refused);
            if !matches!(ty::non_null(typed.ty.clone()), Type::Enum(_)) {
                infer.cx.templates.replace(None);
            }
            match ty::non_null(typed.ty) {
                Type::Enum(members) => members.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                Type::String => {
                    infer.say(
                        Diagnostic::error(Code::TEMPLATE, span, "which template this is cannot be told")
                            .label("any string")
                            .help("declare it as a list of the templates' names, so that each can be checked"),
                    );
                    return;
                }
                _ => return,
            }
        }
        Form::Text(_, span) => {
            infer.say(
                Diagnostic::error(Code::TEMPLATE, *span, "which template this is cannot be told")
                    .help("write its name, or one expression whose values are enumerated"),
            );
            return;
        }
        _ => return,
    };
    names.iter().for_each(|name| infer.cx.names_template(name));
    let given = match body.get("with") {
        Some(Form::Object(fields, _)) => Some(&fields[..]),
        None | Some(Form::Literal(Value::Null, _)) => Some(&[][..]),
        // An object that is computed is checked when it is there.
        Some(_) => None,
    };
    let wanted = Wanted { span, kind: &step.kind.value, enumerated: names.len() > 1, needs_subject, given };
    let mut said = BTreeSet::new();
    for name in &names {
        for diagnostic in one(infer, name, &wanted) {
            // A mistake that several templates share is one mistake.
            if said.insert((diagnostic.primary.span, diagnostic.message.replace(&format!("`{name}`"), ""))) {
                infer.say(diagnostic);
            }
        }
    }
}

/// A message that is written out has no template's parameters, and a mail has a subject of its own.
fn without(infer: &mut Infer<'_>, step: &Step, body: &Form, mail: bool) {
    // A body without any text is the schema's, and a misspelt `template` the reader's.
    if infer.cx.broken || !["text", "html"].iter().any(|field| body.get(field).is_some()) {
        return;
    }
    if let Form::Object(fields, _) = body
        && let Some((key, _)) = fields.iter().find(|(key, _)| key.value == "with")
    {
        infer.say(
            Diagnostic::error(Code::FIELD, key.span, "`with` has no meaning without a template")
                .help("add `template: …`, or put the values into the text: `${ … }`"),
        );
    } else if mail && body.get("subject").is_none() {
        infer.say(
            Diagnostic::error(Code::FIELD, step.kind.span, "`subject` is missing")
                .label("a mail has a subject")
                .help("add `subject: …`, or a template whose front matter has one"),
        );
    }
}

/// What a step wants of a template.
struct Wanted<'f> {
    span: Span,
    kind: &'f str,
    enumerated: bool,
    needs_subject: bool,
    given: Option<&'f [(Spanned<String>, Form)]>,
}

fn one(infer: &mut Infer<'_>, name: &str, wanted: &Wanted<'_>) -> Vec<Diagnostic> {
    let project = infer.cx.project;
    let files = project.templates.get(name);
    // `.txt` is for every kind; the others say by their extension what they are for.
    let media: &[Medium] =
        if wanted.kind == "sms" { &[Medium::Sms, Medium::Text] } else { &[Medium::Text, Medium::Html] };
    let there: Vec<_> = media.iter().filter_map(|medium| Some((*medium, *files?.get(medium)?))).collect();
    if there.is_empty() {
        return vec![missing(project, name, wanted)];
    }
    let mut found = Vec::new();
    let used = if wanted.kind == "sms" { 1 } else { there.len() };
    let wants: Option<Vec<&Wants>> = there.iter().take(used).map(|(_, file)| project.wants.get(file)).collect();
    // A file that cannot be read is reported where it stands.
    let Some(wants) = wants else { return Vec::new() };
    if wanted.needs_subject && !wants.iter().any(|file| file.subject) {
        let message = format!("the mail has no subject, and neither has the template `{name}`");
        let help = "add `subject` to the step, or to the template's front matter";
        found.push(Diagnostic::error(Code::TEMPLATE, wanted.span, message).help(help));
    }
    let Some(given) = wanted.given else { return found };
    let taken = taken(&wants);
    let mut needed: BTreeSet<&str> =
        taken.iter().filter(|(_, field)| !field.optional).map(|(name, _)| name.as_str()).collect();
    needed.retain(|param| !given.iter().any(|(key, _)| key.value == *param));
    for (key, form) in given {
        if let Some(field) = taken.get(&key.value) {
            let wanted = ty::plain(ty::of_field(field));
            let mut mismatch = |typed: &Typed, form: &Form| {
                let (wanted, found) = (ty::words(&wanted), ty::words(&typed.ty));
                let message = format!("`{}` of the template `{name}` is {wanted}, and this is {found}", key.value);
                let diagnostic = Diagnostic::error(Code::TEMPLATE, form.span(), message).label(found);
                diagnostic.related(field.span, "declared here")
            };
            found.extend(infer.apart(|infer| forms::fits(infer, form, &wanted, &mut mismatch)).iter().cloned());
            continue;
        }
        let message = format!("the template `{name}` has no parameter `{}`", key.value);
        let diagnostic = Diagnostic::error(Code::TEMPLATE, key.span, message).missed(Missed::InProject);
        found.push(match suggest(&key.value, needed.iter().copied()).map(str::to_owned) {
            // A misspelt parameter is not a missing one as well.
            Some(meant) => {
                needed.remove(meant.as_str());
                diagnostic.help(format!("did you mean `{meant}`?"))
            }
            None => match did_you_mean(&key.value, taken.keys().map(String::as_str)) {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            },
        });
    }
    if !needed.is_empty() {
        let names = needed.iter().map(|param| format!("`{param}`")).collect::<Vec<_>>().join(", ");
        let message = format!("the template `{name}` needs {names}");
        let add = fields::to_add(needed.iter().copied());
        let help = format!("add {add} to `with`, or mark it as optional in the template's front matter: `name?: …`");
        found.push(Diagnostic::error(Code::TEMPLATE, wanted.span, message).help(help));
    }
    found
}

/// The parameters of all files together: as declared, or else whatever their texts read.
fn taken(wants: &[&Wants]) -> IndexMap<String, Field> {
    let mut taken: IndexMap<String, Field> = IndexMap::new();
    for wants in wants {
        let read = || wants.reads.iter().map(|name| (name.clone(), ty::field(Type::Any))).collect();
        for (name, field) in wants.params.clone().unwrap_or_else(read) {
            match taken.get_mut(&name) {
                // What one file declares says more than what another one reads.
                Some(known) if known.ty == Type::Any => {
                    *known = Field { optional: known.optional && field.optional, ..field };
                }
                Some(known) => known.optional &= field.optional,
                None => {
                    taken.insert(name, field);
                }
            }
        }
    }
    taken
}

fn missing(project: &Project, name: &str, wanted: &Wanted<'_>) -> Diagnostic {
    let message = format!("there is no template `{name}`");
    let diagnostic = Diagnostic::error(Code::TEMPLATE, wanted.span, message);
    let diagnostic = if wanted.enumerated { diagnostic.label(format!("this may be `{name}`")) } else { diagnostic };
    let extensions = if wanted.kind == "sms" { "`.sms` or `.txt`" } else { "`.txt` or `.html`" };
    if project.templates.contains_key(name) {
        return diagnostic.help(format!("`templates/{name}` exists, but not as {extensions}"));
    }
    match did_you_mean(name, project.templates.keys().map(String::as_str)).filter(|_| !wanted.enumerated) {
        Some(help) => diagnostic.help(help),
        None => diagnostic.help(format!("write it as `templates/{name}` with {extensions}")),
    }
}
