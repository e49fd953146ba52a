//! minijinja, set up once: strict, bounded, and printing JSON where Python would show.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::LazyLock;

use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, escape_formatter};
use regex::Regex;
use serde_json::Value as Json;

use super::TemplateError;
use super::file::{Subject, TemplateFile};
use crate::project::Medium;

/// A rendered text is at most this long, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Rendering takes at most this many instructions of minijinja.
pub const FUEL_MAX: u64 = 1_000_000;

/// Names that minijinja gives every template; they are no parameters.
const GLOBALS: [&str; 3] = ["dict", "namespace", "range"];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL_MAX));
    environment.set_auto_escape_callback(|name| match name {
        "html" => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    // Errors carry their place only in this mode.
    environment.set_debug(true);
    environment.remove_global("debug");
    environment.set_formatter(|out, state, value| match value.kind() {
        // `True`, `None` and `{'a': 1}` would mean Python to the reader of a mail.
        ValueKind::Bool | ValueKind::None | ValueKind::Map | ValueKind::Seq => {
            let json = serde_json::to_string(value)
                .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
            escape_formatter(out, state, &Value::from(json))
        }
        _ => escape_formatter(out, state, value),
    });
    environment
});

/// Checks that the body and the subject can be read.
pub(super) fn compile(file: &TemplateFile<'_>) -> Result<(), TemplateError> {
    let environment = environment();
    if let Some(subject) = &file.subject {
        environment.template_from_str(&subject.text).map_err(|error| in_subject(file, subject, &error))?;
    }
    environment.template_from_str(file.body).map_err(|error| in_body(file, &error))?;
    match OTHER_FILES.captures(file.body).and_then(|captures| captures.get(1)) {
        Some(tag) => Err(other_file(file, tag.as_str(), tag.start())),
        None => Ok(()),
    }
}

/// Tags that name another template. minijinja cannot be built without them if it is to count its fuel.
static OTHER_FILES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{%[-+]?\s*(include|import|from|extends)\b").expect("a pattern that compiles"));

fn other_file(file: &TemplateFile<'_>, tag: &str, at: usize) -> TemplateError {
    let at = file.body_at + at;
    let lines_before = file.body[..at - file.body_at].matches('\n').count();
    TemplateError {
        medium: Some(file.medium),
        message: format!("`{tag}` does not exist here: a template stands alone"),
        line: file.body_line + lines_before,
        range: Some(at..at + tag.len()),
    }
}

/// The names that the body and the subject read and do not make themselves.
pub(super) fn reads(file: &TemplateFile<'_>) -> BTreeSet<String> {
    let environment = environment();
    let subject = file.subject.iter().map(|subject| subject.text.as_str());
    let mut names: BTreeSet<String> = BTreeSet::new();
    for text in subject.chain([file.body]) {
        if let Ok(template) = environment.template_from_str(text) {
            names.extend(template.undeclared_variables(false));
        }
    }
    names.retain(|name| !GLOBALS.contains(&name.as_str()));
    names
}

pub(super) fn render_body(file: &TemplateFile<'_>, params: &Json) -> Result<String, TemplateError> {
    let escape = if file.medium == Medium::Html { "html" } else { "text" };
    render(escape, file.body, params).map_err(|error| in_body(file, &error))
}

pub(super) fn render_subject(
    file: &TemplateFile<'_>,
    subject: &Subject,
    params: &Json,
) -> Result<String, TemplateError> {
    render("text", &subject.text, params).map_err(|error| in_subject(file, subject, &error))
}

/// The environment with a lifetime that lets it read borrowed texts.
fn environment<'t>() -> &'t Environment<'t> {
    &ENVIRONMENT
}

fn render(escape: &str, text: &str, params: &Json) -> Result<String, Error> {
    let environment = environment();
    let template = environment.template_from_named_str(escape, text)?;
    let mut output = Bounded { bytes: Vec::new() };
    template.render_captured_to(Value::from(Serde(params)), &mut output)?;
    String::from_utf8(output.bytes).map_err(|error| Error::new(ErrorKind::WriteFailure, error.to_string()))
}

/// Takes [`OUTPUT_BYTES_MAX`] and no more.
struct Bounded {
    bytes: Vec<u8>,
}

impl io::Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > OUTPUT_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn in_body(file: &TemplateFile<'_>, error: &Error) -> TemplateError {
    let range = error.range().filter(|range| file.body.get(range.clone()).is_some_and(|text| !text.is_empty()));
    TemplateError {
        medium: Some(file.medium),
        message: message(error, file.body, range.clone()),
        line: file.body_line + error.line().unwrap_or(1).saturating_sub(1),
        range: range.map(|range| file.body_at + range.start..file.body_at + range.end),
    }
}

fn in_subject(file: &TemplateFile<'_>, subject: &Subject, error: &Error) -> TemplateError {
    TemplateError {
        medium: Some(file.medium),
        message: message(error, &subject.text, error.range()),
        line: subject.line,
        range: Some(subject.range.clone()),
    }
}

fn message(error: &Error, text: &str, range: Option<Range<usize>>) -> String {
    let written = range.and_then(|range| text.get(range)).filter(|written| !written.is_empty());
    match (error.kind(), written) {
        (ErrorKind::UndefinedError, Some(written)) => format!("`{written}` is not defined"),
        (ErrorKind::OutOfFuel, _) => format!("the template takes more than {FUEL_MAX} steps"),
        (ErrorKind::WriteFailure, _) => format!("the text is longer than {OUTPUT_BYTES_MAX} bytes"),
        (kind, _) => match error.detail() {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    }
}
