//! Wrong files and right ones: what is found, where, and how it looks.
//!
//! A case is a file `tests/dsl/<code>/<case>.yaml`, or a folder of that name with a `wf.yaml`. A comment behind a line
//! says what must be found on it: `# error: wf::next "retyr"` (or `# warning: …`), with the text under the first place
//! of the finding. A case without such comments has no findings.

mod folder;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use miette::{GraphicalReportHandler, GraphicalTheme};
use wf_dsl::{Diagnostic, Project, Report, Severity};

/// What a marker asks for, or what was found: severity, code, and the text of the place.
type Mark = (String, String);

/// What is to be found, by file and line.
fn expected(project: &Project) -> BTreeMap<(String, usize), Vec<Mark>> {
    let mut marks: BTreeMap<_, Vec<Mark>> = BTreeMap::new();
    for (_, source) in project.sources.iter() {
        for (number, line) in source.text.lines().enumerate() {
            let parts = line.split(" error: ").skip(1).map(|part| ("error", part));
            let parts = parts.chain(line.split(" warning: ").skip(1).map(|part| ("warning", part)));
            for (severity, part) in parts {
                let (code, rest) = part.split_once(" \"").expect("a marker has a code and a text in quotes");
                let rest = rest.trim_end().trim_end_matches('#').trim_end();
                let text = rest.strip_suffix('"').expect("a marker's text ends with a quote");
                let mark = (format!("{severity} {code}"), text.to_owned());
                marks.entry((source.path.clone(), number + 1)).or_default().push(mark);
            }
        }
    }
    marks.values_mut().for_each(|marks| marks.sort());
    marks
}

/// What was found, by file and line.
fn found(project: &Project, findings: &[Diagnostic]) -> BTreeMap<(String, usize), Vec<Mark>> {
    let mut marks: BTreeMap<_, Vec<Mark>> = BTreeMap::new();
    for finding in findings {
        let span = finding.primary.span;
        let source = project.sources.get(span.file).expect("every finding has a place in a file");
        let line = source.text[..span.start].matches('\n').count() + 1;
        let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
        let text = source.text[span.start..span.end].lines().next().unwrap_or_default();
        // The quotes of a scalar belong to its token.
        let bare = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        let text = bare('"').or_else(|| bare('\'')).unwrap_or(text).to_owned();
        marks.entry((source.path.clone(), line)).or_default().push((format!("{severity} {}", finding.code), text));
    }
    marks.values_mut().for_each(|marks| marks.sort());
    marks
}

/// All findings as a terminal of 80 columns without colour shows them.
fn rendered(project: &Project, findings: &[Diagnostic]) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(80);
    let mut text = String::new();
    for finding in findings {
        for (place, report) in Report::new(finding, &project.sources).apart().enumerate() {
            if place > 0 {
                text.push('\n');
            }
            handler.render_report(&mut text, &report).expect("a text takes what is written");
        }
    }
    text
}

#[test]
fn every_case_has_the_findings_that_it_marks() {
    let catalog = folder::catalog();
    let root = folder::root("tests/dsl");
    let mut cases = 0;
    let mut wrong = 0;
    let mut snapshots = BTreeSet::new();
    let mut files = BTreeSet::new();
    let mut failures = Vec::new();
    for code in fs::read_dir(&root).expect("the cases are there") {
        let code = code.expect("the entry can be read").path();
        for case in fs::read_dir(&code).expect("the cases are there") {
            let case = case.expect("the entry can be read").path();
            if case.extension().is_some_and(|extension| extension == "new") {
                continue;
            }
            if case.extension().is_some_and(|extension| extension == "snap") {
                files.insert(case);
                continue;
            }
            let name = case.strip_prefix(&root).expect("it is below the root").with_extension("");
            let name = name.to_string_lossy().into_owned();
            let project = Project::read(folder::input(&case), &catalog);
            let findings = project.findings.clone().sorted();
            let (expected, found) = (expected(&project), found(&project, &findings));
            if expected != found {
                failures.push(format!("{name}\n  marked: {expected:?}\n  found:  {found:?}"));
            }
            cases += 1;
            if findings.is_empty() {
                continue;
            }
            wrong += 1;
            snapshots.insert(case.with_extension("snap"));
            let report = rendered(&project, &findings);
            let mut settings = insta::Settings::clone_current();
            settings.set_prepend_module_to_snapshot(false);
            settings.set_snapshot_path(&code);
            settings.set_omit_expression(true);
            let case_name = case.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            settings.bind(|| insta::assert_snapshot!(case_name, report));
        }
    }
    failures.sort();
    failures.extend(files.difference(&snapshots).map(|left| format!("{} has no findings any more", left.display())));
    assert!(failures.is_empty(), "{} of {cases} cases differ:\n{}", failures.len(), failures.join("\n"));
    assert!(wrong >= 250, "only {wrong} of {cases} cases are wrong files");
}

#[test]
fn the_examples_have_no_findings() {
    let catalog = folder::catalog();
    for example in ["tests/examples/language", "workflows/event-funnel"] {
        let project = Project::read(folder::input(&folder::root(example)), &catalog);
        let findings = project.findings.clone().sorted();
        assert!(findings.is_empty(), "{example}:\n{}", rendered(&project, &findings));
        assert!(project.counts.workflows >= 3 && project.counts.events > 0, "{example} has no files");
        assert_eq!(project.counts.left_alone, 0, "{example} has files that are none of ours");
    }
}
