//! The fields of a mapping, held against the fields of a type: for `data`, `with` and the parameters of a template.

use super::infer::{Infer, Secrets};
use super::{forms, ty};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Missed};
use crate::form::Form;
use crate::source::{Sources, Span};
use crate::suggest::{listed, suggest};
use crate::types::Type;
use crate::value::Value;

/// What a mapping is, for messages.
pub(super) struct Subject<'a> {
    /// The code of what does not fit.
    pub(super) code: Code,
    /// The key at which the mapping stands.
    pub(super) key: &'a str,
    /// Whose fields they are.
    pub(super) of: &'a str,
}

/// Holds a mapping against a type.
pub(super) fn check(infer: &mut Infer<'_>, form: &Form, wanted: &Type, subject: &Subject<'_>) {
    let none = Vec::new();
    let (Type::Object(wanted_fields), fields) = (ty::plain(wanted.clone()), form) else {
        forms::fits(infer, form, wanted, &mut |typed, form| {
            let message = format!("{} takes {}, found {}", subject.of, ty::words(wanted), ty::words(&typed.ty));
            Diagnostic::error(subject.code, form.span(), message)
        });
        return;
    };
    let fields = match fields {
        Form::Object(fields, _) => fields,
        Form::Literal(Value::Null, _) => &none,
        form => {
            forms::fits(infer, form, wanted, &mut |typed, form| {
                let message = format!("{} takes an object, found {}", subject.of, ty::words(&typed.ty));
                let what = "or one that lacks fields it needs";
                let object = matches!(typed.ty, Type::Object(_));
                let message =
                    if object { format!("{} takes another object than this, {what}", subject.of) } else { message };
                Diagnostic::error(subject.code, form.span(), message)
            });
            return;
        }
    };
    let mut missing: Vec<&str> = wanted_fields
        .iter()
        .filter(|(name, field)| !field.optional && !fields.iter().any(|(key, _)| key.value == **name))
        .map(|(name, _)| name.as_str())
        .collect();
    for (key, value) in fields {
        match wanted_fields.get(&key.value) {
            Some(field) => {
                let wanted = ty::plain(ty::of_field(field));
                let declared = field.span;
                forms::fits(infer, value, &wanted, &mut |typed, form| {
                    let (wanted, found) = (ty::words(&wanted), ty::words(&typed.ty));
                    let message = format!("`{}` of {} is {wanted}, and this is {found}", key.value, subject.of);
                    let diagnostic = Diagnostic::error(subject.code, form.span(), message);
                    if declared == Span::NOWHERE { diagnostic } else { diagnostic.related(declared, "declared here") }
                });
            }
            None => {
                infer.form(value, Secrets::Refused);
                let message = format!("{} has no field `{}`", subject.of, key.value);
                let diagnostic = Diagnostic::error(subject.code, key.span, message).missed(Missed::InProject);
                // A misspelt name is one mistake: what it was meant for is not missing too.
                let meant = suggest(&key.value, missing.iter().copied())
                    .or_else(|| suggest(&key.value, wanted_fields.keys().map(String::as_str)));
                infer.say(match meant {
                    Some(meant) => {
                        let help = format!("did you mean `{meant}`?");
                        let meant = meant.to_owned();
                        missing.retain(|name| **name != meant);
                        diagnostic.help(help)
                    }
                    None if wanted_fields.is_empty() => diagnostic.help("it has none"),
                    None => diagnostic.help(format!("it has {}", listed(wanted_fields.keys().map(String::as_str)))),
                });
            }
        }
    }
    if !missing.is_empty() {
        let names = missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let span = key_span(infer, form, subject);
        let finding = Diagnostic::error(subject.code, span, format!("{} needs {names}", subject.of));
        infer.say(finding.help(format!("add {} to `{}`", to_add(missing.iter().copied()), subject.key)));
    }
}

/// What is missing, as it is to be written: "`a: …` and `b: …`".
pub(super) fn to_add<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|name| format!("`{name}: …`")).collect::<Vec<_>>().join(" and ")
}

/// Where the mapping's key stands: what is missing is reported at the nearest thing that is there.
fn key_span(infer: &Infer<'_>, form: &Form, subject: &Subject<'_>) -> Span {
    let step = infer.step().map(|step| infer.cx.workflow.step(step));
    let whole = step.map_or(form.span(), |step| step.span);
    let fallback = step.map_or(form.span(), |step| step.kind.span);
    key_before(&infer.cx.project.sources, whole, form.span(), subject.key).unwrap_or(fallback)
}

/// The last place before `value` and in `whole` where `key` stands as a key.
fn key_before(sources: &Sources, whole: Span, value: Span, key: &str) -> Option<Span> {
    if value.file != whole.file {
        return None;
    }
    let text = &sources.get(value.file)?.text;
    // A value that is not there has the place of its key.
    let before = text.get(whole.start..value.end.min(whole.end))?;
    let starts = before.rmatch_indices(key).map(|(at, _)| at);
    let is_key = |at: &usize| {
        let after = text[whole.start + at + key.len()..].trim_start_matches(['"', '\'']);
        let free = |character: char| character.is_whitespace() || "{,\"'".contains(character);
        after.trim_start_matches(' ').starts_with(':') && before[..*at].chars().next_back().is_none_or(free)
    };
    let at = starts.filter(|at| whole.start + at <= value.start).find(is_key)?;
    Some(whole.part(at, key.len()))
}
