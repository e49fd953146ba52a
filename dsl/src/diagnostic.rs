//! What is wrong with a file: a code, places, and what to do about it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::codes::Code;
use crate::source::{FileId, Span};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The workflow cannot run.
    Error,
    /// It can, but probably does not do what was meant.
    Warning,
}

/// A place in a file and what to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A lower-case phrase; may be empty.
    pub text: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its code.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// One lower-case phrase, user text in backticks.
    pub message: String,
    /// The place to look at first.
    pub primary: Label,
    /// Other places that explain it.
    pub related: Vec<Label>,
    /// What to write instead.
    pub help: Option<String>,
    /// Set if it is about a name that does not exist: where this name, missed again, is the same mistake.
    pub missed: Option<Missed>,
}

/// How far a name would be known if it existed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missed {
    /// In its file, like a step or a variable.
    InFile,
    /// In the whole project, like an event type or a template.
    InProject,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            primary: Label { span, text: String::new() },
            related: Vec::new(),
            help: None,
            missed: None,
        }
    }

    /// A warning at a place.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// Whether it is an error in none of these files.
    pub(crate) fn is_error_outside(&self, files: &[FileId]) -> bool {
        self.severity == Severity::Error && !files.contains(&self.primary.span.file)
    }

    /// The same with a phrase under the primary place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// The same with another place that explains it.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push(Label { span, text: text.into() });
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// The same as a finding about a name that does not exist.
    #[must_use]
    pub fn missed(mut self, scope: Missed) -> Self {
        self.missed = Some(scope);
        self
    }
}

/// The findings of one check, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    found: Vec<Diagnostic>,
}

impl Findings {
    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Adds all findings of another check.
    pub fn append(&mut self, other: Findings) {
        self.found.extend(other.found);
    }

    /// Keeps the findings for which `keep` holds.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.found.retain(keep);
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether any finding is an error.
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// The number of errors.
    pub fn errors(&self) -> usize {
        self.found.iter().filter(|found| found.severity == Severity::Error).count()
    }

    /// Whether an error has its first place in this span.
    pub fn has_error_in(&self, span: Span) -> bool {
        self.found.iter().any(|found| {
            let place = found.primary.span;
            found.severity == Severity::Error
                && place.file == span.file
                && span.start <= place.start
                && place.end <= span.end
        })
    }

    /// The findings as they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.found.iter()
    }

    /// The findings in the order of their places. What was found twice at one place (a mistake in a part that an
    /// alias repeats) is there once, and so is a name that is missed in several places.
    pub fn sorted(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|found| (found.primary.span.file, found.primary.span.start, found.code));
        self.found.dedup();
        fold(self.found)
    }
}

/// How many further places of one mistake are shown.
const AGAIN_MAX: usize = 4;

/// Makes one finding of all that miss the same name: the first, with the places of the others.
fn fold(findings: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut first: HashMap<(String, Option<FileId>), (usize, usize)> = HashMap::new();
    let mut folded: Vec<Diagnostic> = Vec::with_capacity(findings.len());
    for finding in findings {
        let Some(scope) = finding.missed else {
            folded.push(finding);
            continue;
        };
        let file = (scope == Missed::InFile).then_some(finding.primary.span.file);
        match first.entry((finding.message.clone(), file)) {
            Entry::Occupied(mut entry) => {
                let (place, again) = entry.get_mut();
                *again += 1;
                if *again <= AGAIN_MAX {
                    folded[*place].related.push(Label { span: finding.primary.span, text: "the same here".to_owned() });
                }
            }
            Entry::Vacant(entry) => {
                entry.insert((folded.len(), 0));
                folded.push(finding);
            }
        }
    }
    folded
}
