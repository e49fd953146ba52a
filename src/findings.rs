//! Findings for people, for programs, and for GitHub's annotations.

mod frame;

use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme};
use wf_dsl::{Diagnostic, FileId, Label, Report, Severity, Sources, Span, github_annotations, json_report};

use crate::terminal::{Look, harmless};

/// Findings with the files that they speak of. Those of several projects can be joined.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    sources: Sources,
    list: Vec<Diagnostic>,
}

impl Found {
    pub(crate) fn new(sources: Sources, list: Vec<Diagnostic>) -> Found {
        Found { sources, list }
    }

    /// Adds those of another project.
    pub(crate) fn append(&mut self, other: Found) {
        let moved: Vec<FileId> =
            other.sources.iter().map(|(_, file)| self.sources.add(file.path.clone(), file.text.clone())).collect();
        let span = |span: Span| match moved.get(span.file.0 as usize) {
            Some(file) => Span { file: *file, ..span },
            None => Span::NOWHERE,
        };
        self.list.extend(other.list.into_iter().map(|mut finding| {
            finding.primary.span = span(finding.primary.span);
            finding.related.iter_mut().for_each(|label| label.span = span(label.span));
            finding
        }));
    }

    pub(crate) fn tally(&self) -> Tally {
        let errors = self.list.iter().filter(|finding| finding.severity == Severity::Error).count();
        Tally { errors, warnings: self.list.len() - errors }
    }

    /// Reports with the text they speak of, one after the other.
    pub(crate) fn human(&self, look: Look) -> String {
        let theme = if look.colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(look.width)
            // What is not for a screen is for `grep`.
            .with_wrap_lines(look.is_terminal)
            .with_links(false)
            .without_syntax_highlighting();
        let Found { sources, list } = self.harmless();
        let mut shown = String::new();
        for finding in &list {
            for (place, report) in Report::new(finding, &sources).apart().enumerate() {
                if place > 0 {
                    shown.push('\n');
                }
                handler.render_report(&mut shown, &report).expect("a string takes every text");
            }
            shown.push('\n');
        }
        if look.is_terminal { frame::cut(&shown, look.columns) } else { shown }
    }

    /// One JSON object; `files` is how many files were checked.
    pub(crate) fn json(&self, files: usize) -> String {
        format!("{:#}\n", json_report(&self.list, &self.sources, files))
    }

    /// Workflow commands of GitHub Actions, one a line.
    pub(crate) fn github(&self) -> String {
        github_annotations(&self.list, &self.sources)
    }

    /// The same, without what would steer a terminal. Spans stay right, as texts keep their length.
    fn harmless(&self) -> Found {
        let mut sources = Sources::default();
        for (_, file) in self.sources.iter() {
            sources.add(harmless(&file.path), Arc::<str>::from(harmless(&file.text)));
        }
        let label = |label: &Label| Label { span: label.span, text: harmless(&label.text) };
        let list = self.list.iter().map(|finding| Diagnostic {
            message: harmless(&finding.message),
            primary: label(&finding.primary),
            related: finding.related.iter().map(label).collect(),
            help: finding.help.as_deref().map(harmless),
            ..finding.clone()
        });
        let list = list.collect();
        Found { sources, list }
    }
}

/// How many findings of each sort there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
}

impl Tally {
    /// "1 error, 2 warnings", or "no problems".
    pub(crate) fn phrase(self) -> String {
        let parts = [(self.errors, "error"), (self.warnings, "warning")];
        let parts: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(*n, what)).collect();
        if parts.is_empty() { "no problems".to_owned() } else { parts.join(", ") }
    }
}

/// "1 file", "2 files", "2 branches".
pub(crate) fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        _ if what.ends_with("ch") => format!("{n} {what}es"),
        _ => format!("{n} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use wf_dsl::Code;

    use super::*;

    const PLAIN: Look = Look { is_terminal: false, colour: false, width: 80, columns: 80 };

    /// A file with an error at `ghost`.
    fn found(path: &str) -> Found {
        let mut sources = Sources::default();
        let text = "workflow: \u{1b}[31mx\nsteps:\n  - id: x\n    next: ghost\n";
        let file = sources.add(path, text);
        let start = text.find("ghost").unwrap();
        let span = Span { file, start, end: start + 5 };
        Found::new(sources, vec![Diagnostic::error(Code::NEXT, span, "`ghost` is no step").help("name a step")])
    }

    #[test]
    fn joined_findings_keep_their_files() {
        let mut all = found("a.yaml");
        all.append(found("b.yaml"));
        let shown = all.github();
        let files: Vec<_> = shown.lines().map(|line| &line[..25]).collect();
        assert_eq!(files, ["::error file=a.yaml,line=4", "::error file=b.yaml,line=4"].map(|line| &line[..25]));
        assert_eq!(all.tally(), Tally { errors: 2, warnings: 0 });
    }

    #[test]
    fn a_file_cannot_steer_the_terminal() {
        let shown = found("\u{1b}]0;a\u{7}.yaml").human(PLAIN);
        assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown}");
        assert!(shown.contains("`ghost` is no step") && shown.contains("?]0;a?.yaml:4:11"), "{shown}");
    }

    #[test]
    fn reports_fit_their_terminal() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/look");
        let mut project = wf_engine::folder::read(&[folder.into()]).unwrap()[0].check(&wf_stdlib::catalog());
        let list = std::mem::take(&mut project.findings).sorted();
        assert!(list.len() >= 20, "{} findings", list.len());
        let mut sources = Sources::default();
        for (_, file) in project.sources.iter() {
            sources.add(file.path.rsplit_once("look/").unwrap().1, Arc::clone(&file.text));
        }
        let found = Found::new(sources, list);
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../tests/cli/snapshots");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        for (name, columns, colour) in [("80", 80, false), ("160", 160, false), ("160_in_colour", 160, true)] {
            let look = Look { is_terminal: true, colour, width: columns.min(120), columns };
            let shown = found.human(look);
            let wide: Vec<_> = shown.lines().filter(|line| console::measure_text_width(line) > columns).collect();
            assert!(wide.is_empty(), "wider than {columns}: {wide:#?}");
            settings.bind(|| insta::assert_snapshot!(format!("reports_at_{name}"), shown.replace('\u{1b}', "␛")));
        }
    }

    #[test]
    fn tallies_are_phrases() {
        let phrase = |errors, warnings| Tally { errors, warnings }.phrase();
        assert_eq!(phrase(0, 0), "no problems");
        assert_eq!(phrase(1, 0), "1 error");
        assert_eq!(phrase(2, 1), "2 errors, 1 warning");
    }
}
