//! What the templates of a project take.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use super::{InputTemplate, Project};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::source::{FileId, Span};
use crate::suggest::did_you_mean;
use crate::template::TemplateFile;
use crate::types::{Field, Type};
use crate::yaml;

/// What one file of a template takes.
#[derive(Clone, Debug, Default)]
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

impl Project {
    /// Adds the templates and reads what they take.
    pub(super) fn templates(&mut self, templates: Vec<InputTemplate>) {
        for template in templates {
            let InputTemplate { path, name, medium, bytes } = template;
            let text = String::from_utf8(bytes);
            let wrong = text.as_ref().err().map(|error| error.utf8_error().valid_up_to());
            let text = text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
            let file = self.sources.add(path, text.as_str());
            if let Some(start) = wrong {
                let place = Span { file, start, end: start + char::REPLACEMENT_CHARACTER.len_utf8() };
                self.findings.push(Diagnostic::error(Code::TEMPLATE, place, "the template is not UTF-8"));
            } else {
                match TemplateFile::parse(medium, &text) {
                    Ok(parsed) => {
                        // Of a template that contradicts itself it is not clear what it takes.
                        if let Some(wants) = wants(file, &text, &parsed, &mut self.findings) {
                            self.wants.insert(file, wants);
                        }
                    }
                    Err(error) => {
                        let range = error.range.unwrap_or(0..0);
                        let place = Span { file, start: range.start, end: range.end };
                        self.findings.push(Diagnostic::error(Code::TEMPLATE, place, error.message));
                    }
                }
            }
            self.templates.entry(name).or_default().insert(medium, file);
        }
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
