//! What the templates of a project take.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use super::{InputTemplate, Medium};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::source::{FileId, Source, Span};
use crate::suggest::did_you_mean;
use crate::template::TemplateFile;
use crate::types::{Field, Type};
use crate::yaml;

/// What one file of a template takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wants {
    /// The parameters that its front matter declares.
    pub(crate) params: Option<IndexMap<String, Field>>,
    /// The names that its text reads.
    pub(crate) reads: BTreeSet<String>,
    /// Whether its front matter has a subject.
    pub(crate) subject: bool,
}

/// What all files of templates take that can be read.
pub(crate) type AllWants = HashMap<FileId, Wants>;

/// A file of a template, read. It stays as it is while its place among the files and its text stay the same.
#[derive(Debug)]
pub(crate) struct ReadTemplate {
    pub(crate) source: Source,
    pub(crate) name: String,
    pub(crate) medium: Medium,
    id: FileId,
    /// The text is all of the file.
    whole: bool,
    /// What it takes; none if that cannot be told, which is reported.
    pub(crate) wants: Option<Wants>,
    /// What is wrong with it.
    pub(crate) found: Findings,
}

impl ReadTemplate {
    /// Reads a file of a template.
    pub(super) fn of(id: FileId, input: InputTemplate) -> ReadTemplate {
        let InputTemplate { path, name, medium, bytes } = input;
        let text = String::from_utf8(bytes);
        let wrong = text.as_ref().err().map(|error| error.utf8_error().valid_up_to());
        let text = text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let mut found = Findings::default();
        let mut taken = None;
        if let Some(start) = wrong {
            let place = Span { file: id, start, end: start + char::REPLACEMENT_CHARACTER.len_utf8() };
            found.push(Diagnostic::error(Code::TEMPLATE, place, "the template is not UTF-8"));
        } else {
            match TemplateFile::parse(medium, &text) {
                // Of a template that contradicts itself it is not clear what it takes.
                Ok(parsed) => taken = wants(id, &text, &parsed, &mut found),
                Err(error) => {
                    let range = error.range.unwrap_or(0..0);
                    let place = Span { file: id, start: range.start, end: range.end };
                    found.push(Diagnostic::error(Code::TEMPLATE, place, error.message));
                }
            }
        }
        let source = Source { path, text: text.into() };
        ReadTemplate { source, name, medium, id, whole: wrong.is_none(), wants: taken, found }
    }

    /// Whether reading `input` in the place of this file would give this file again.
    pub(super) fn is(&self, id: FileId, input: &InputTemplate) -> bool {
        let same = self.id == id && self.source.path == input.path && self.name == input.name;
        same && self.medium == input.medium && self.whole && self.source.text.as_bytes() == input.bytes
    }
}

fn wants(file: FileId, text: &str, parsed: &TemplateFile<'_>, found: &mut Findings) -> Option<Wants> {
    let before = found.errors();
    let reads = parsed.reads();
    let params = parsed.params.as_ref().and_then(|_| declared(file, text, parsed.body_at, found));
    if let Some(params) = &params {
        for name in reads.iter().filter(|name| !params.contains_key(*name)) {
            let place = place_of(text, parsed.body_at, name);
            let span = Span { file, start: place, end: place + name.len() };
            let finding = Diagnostic::error(Code::TEMPLATE, span, format!("there is no parameter `{name}`"));
            let help = did_you_mean(name, params.keys().map(String::as_str));
            found.push(finding.help(help.unwrap_or_else(|| format!("add `{name}` to `params` in the front matter"))));
        }
    }
    (found.errors() == before).then(|| Wants { params, reads, subject: parsed.subject.is_some() })
}

/// The parameters with their types; none if the front matter is not YAML as we read it, which is reported.
fn declared(file: FileId, text: &str, end: usize, found: &mut Findings) -> Option<IndexMap<String, Field>> {
    let front = &text[..end];
    let start = front.find('\n')? + 1;
    // The second line of dashes would begin another document.
    let end = front.trim_end().rfind("---")?;
    let tree = yaml::part(file, &text[..end], start, found)?;
    match Type::parse(tree.get("params")?, Code::TEMPLATE, found) {
        Type::Object(fields) => Some(fields),
        _ => None,
    }
}

/// Where a name is first read: the first time that it stands as a word inside of braces, in the body if it is there.
fn place_of(text: &str, body_at: usize, name: &str) -> usize {
    let word = |at: usize| {
        let part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let open = text[..at].rfind('{').is_some_and(|open| !text[open..at].contains('}'));
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        open && !before.is_some_and(part) && !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    };
    let in_body = text[body_at..].match_indices(name).map(|(at, _)| body_at + at).find(|at| word(*at));
    let anywhere = || text.match_indices(name).map(|(at, _)| at).find(|at| word(*at));
    in_body.or_else(anywhere).unwrap_or(body_at.min(text.len().saturating_sub(name.len())))
}
