//! Findings for readers: people ([`Report`], which miette renders), programs (JSON), and GitHub (annotations).

mod github;
mod json;

use std::fmt;
use std::sync::Arc;

use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::source::{FileId, Source, Sources, Span};

pub use github::github_annotations;
pub use json::json_report;

/// A line longer than this is cut around what is shown of it, in bytes.
const LINE_BYTES_MAX: usize = 1000;

/// How much of a long line is kept on each side, in bytes.
const AROUND_BYTES: usize = 100;

/// A finding with its sources, for miette to render.
pub struct Report {
    message: String,
    code: Option<String>,
    severity: miette::Severity,
    help: Option<String>,
    source: Option<Shown>,
    labels: Vec<LabeledSpan>,
    elsewhere: Vec<Report>,
}

impl Report {
    /// A finding as it is shown to people. Places in other files become reports of their own inside of it.
    pub fn new(finding: &Diagnostic, sources: &Sources) -> Report {
        let severity = match finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        };
        let home = finding.primary.span.file;
        let mut report = Report {
            message: finding.message.clone(),
            code: Some(finding.code.as_str().to_owned()),
            severity,
            help: finding.help.clone(),
            source: None,
            labels: Vec::new(),
            elsewhere: Vec::new(),
        };
        let here: Vec<&Label> = finding.related.iter().filter(|label| label.span.file == home).collect();
        report.show(sources, &finding.primary, &here);
        let others = finding.related.iter().filter(|label| label.span.file != home);
        report.elsewhere = others.map(|label| Report::elsewhere(label, sources)).collect();
        report
    }

    /// The report without the places in other files, and a report for each of those, in this order.
    pub fn apart(mut self) -> impl Iterator<Item = Report> {
        let elsewhere = std::mem::take(&mut self.elsewhere);
        std::iter::once(self).chain(elsewhere)
    }

    /// A place in another file.
    fn elsewhere(label: &Label, sources: &Sources) -> Report {
        let mut report = Report {
            message: if label.text.is_empty() { "see here".to_owned() } else { label.text.clone() },
            code: None,
            severity: miette::Severity::Advice,
            help: None,
            source: None,
            labels: Vec::new(),
            elsewhere: Vec::new(),
        };
        report.show(sources, &Label { span: label.span, text: String::new() }, &[]);
        report
    }

    fn show(&mut self, sources: &Sources, primary: &Label, others: &[&Label]) {
        let Some(source) = sources.get(primary.span.file) else { return };
        let labelled = |label: &Label, moved: usize, primary: bool| {
            let text = if label.text.is_empty() { None } else { Some(label.text.clone()) };
            let place = (label.span.start.saturating_sub(moved), label.span.end.saturating_sub(label.span.start));
            if primary {
                LabeledSpan::new_primary_with_span(text, place)
            } else {
                LabeledSpan::new_with_span(text, place)
            }
        };
        let line = source.line_around(primary.span.start);
        if line.len() <= LINE_BYTES_MAX {
            self.labels.push(labelled(primary, 0, true));
            self.labels.extend(others.iter().map(|label| labelled(label, 0, false)));
            self.source = Some(Shown { name: source.path.clone(), text: source.text.clone() });
        } else {
            // A file without line breaks would fill the screen.
            let (from, text) = source.excerpt(primary.span);
            let end = primary.span.end.min(from + text.len());
            let cut = Label { span: Span { end, ..primary.span }, text: primary.text.clone() };
            self.labels.push(labelled(&cut, from, true));
            let place = source.place(primary.span);
            let name = format!("{}:{}:{}", source.path, place.line, place.column);
            self.source = Some(Shown { name, text });
        }
    }
}

/// A text for miette, with columns in characters.
struct Shown {
    name: String,
    text: Arc<str>,
}

impl SourceCode for Shown {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let read = self.text.read_span(span, lines_before, lines_after)?;
        let start = read.span().offset();
        let before = self.text.get(start.saturating_sub(read.column())..start);
        let column = before.map_or(read.column(), |before| before.chars().count());
        let (span, line, lines) = (*read.span(), read.line(), read.line_count());
        Ok(Box::new(MietteSpanContents::new_named(self.name.clone(), read.data(), span, line, column, lines)))
    }
}

impl Source {
    /// The line around a byte, without its line break.
    fn line_around(&self, at: usize) -> std::ops::Range<usize> {
        let at = at.min(self.text.len());
        let start = self.text.as_bytes()[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let rest = &self.text.as_bytes()[at..];
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(self.text.len(), |length| at + length);
        start..end
    }

    /// Where an excerpt of a long line starts, and the excerpt.
    fn excerpt(&self, span: Span) -> (usize, Arc<str>) {
        let line = self.line_around(span.start);
        let mut from = span.start.saturating_sub(AROUND_BYTES).max(line.start);
        let mut to = (span.end.min(span.start + AROUND_BYTES) + AROUND_BYTES).min(line.end);
        while !self.text.is_char_boundary(from) {
            from += 1;
        }
        while !self.text.is_char_boundary(to) {
            to -= 1;
        }
        (from, self.text[from..to].into())
    }

    /// A span in lines and columns.
    fn place(&self, span: Span) -> Place {
        let (line, column) = self.line_and_column(span.start);
        let (end_line, end_column) = self.line_and_column(span.end);
        Place { line, column, end_line, end_column }
    }

    fn line_and_column(&self, at: usize) -> (usize, usize) {
        let start = self.line_around(at).start;
        let line = self.text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
        let before = self.text.get(start..at.min(self.text.len())).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

/// A place in a file, all numbers from 1, columns in characters, the end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line of the first character.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
    /// Line of the character after the last.
    pub end_line: usize,
    /// Column of the character after the last.
    pub end_column: usize,
}

impl Sources {
    /// The path of a file and the place of a span in it; none for [`Span::NOWHERE`].
    pub fn place(&self, span: Span) -> Option<(&str, Place)> {
        let source = self.get(span.file)?;
        Some((&source.path, source.place(span)))
    }

    /// The path of a file; empty for that of [`Span::NOWHERE`].
    pub fn path(&self, file: FileId) -> &str {
        self.get(file).map_or("", |source| &source.path)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("code", &self.code).field("message", &self.message).finish_non_exhaustive()
    }
}

impl std::error::Error for Report {}

impl miette::Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code.as_ref().map(|code| Box::new(code) as _)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.labels.is_empty() { None } else { Some(Box::new(self.labels.iter().cloned())) }
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        if self.elsewhere.is_empty() { None } else { Some(Box::new(self.elsewhere.iter().map(|report| report as _))) }
    }
}
