//! From text to plan: what the reader accepts, what it refuses, and where it says so.

mod folder;

use wf_dsl::{InputFile, Plan, Project, ProjectInput, Workflow};

#[test]
fn a_stored_plan_is_read_again_as_the_same_plan() {
    let project = Project::read(folder::input(&folder::root("tests/examples/language")), &folder::catalog());
    for workflow in &project.workflows {
        let plan = project.plan(&workflow.name.value).unwrap();
        let again = Plan::load(&plan.stored).unwrap();
        assert_eq!(again.hash, plan.hash);
        assert_eq!(without_places(&again.workflow), without_places(&plan.workflow), "{}", workflow.name.value);
    }
}

/// Everything of a workflow but where it stood, and how its expressions are spelled.
fn without_places(workflow: &Workflow) -> String {
    let mut workflow = workflow.clone();
    workflow.by_id.clear();
    let text = format!("{workflow:?}");
    let span = regex::Regex::new(r"Span \{ file: FileId\(\d+\), start: \d+, end: \d+ \}").unwrap();
    let text = span.replace_all(&text, "");
    let mut parts = text.split("Expr(Expr(");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // The text of an expression ends with the parenthesis that closes its own.
        let mut open = 2;
        let end = part.find(|c| {
            open += i32::from(c == '(') - i32::from(c == ')');
            open == 0
        });
        out.push_str("Expr");
        out.push_str(&part[end.unwrap_or(part.len())..]);
    }
    out
}

#[test]
fn mistakes_are_explained() {
    let cases = include_str!("../../tests/reader/mistakes.txt");
    let mut out = String::new();
    for case in cases.split("\n=== ").skip(1) {
        let (title, text) = case.split_once('\n').unwrap_or((case, ""));
        let texts = text.split("---8<---\n").map(|text| text.trim_end_matches('\n'));
        let files = texts.zip(1..).map(|(text, number)| {
            let text = if text.is_empty() { String::new() } else { format!("{text}\n") };
            InputFile { path: number.to_string(), bytes: text.into_bytes(), named: true }
        });
        let project =
            Project::read(ProjectInput { files: files.collect(), ..ProjectInput::default() }, &folder::catalog());
        out.push_str(&format!("=== {title}\n{}", show(&project)));
    }
    insta::assert_snapshot!(out);
}

/// The findings: their file and line, the text that they stand at, and all that they say.
fn show(project: &Project) -> String {
    let mut out = String::new();
    for finding in project.findings.clone().sorted() {
        let span = finding.primary.span;
        let (path, place) = project.sources.place(span).expect("every finding has a place");
        let text = project.sources.get(span.file).and_then(|source| source.text.get(span.start..span.end));
        let text = text.expect("a place lies in its file");
        out.push_str(&format!("{path}:{} {text:?} {}: {}\n", place.line, finding.code, finding.message));
        for line in [Some(finding.primary.text), finding.help.map(|help| format!("help: {help}"))].into_iter().flatten()
        {
            if !line.is_empty() {
                out.push_str(&format!("    {line}\n"));
            }
        }
        for related in finding.related {
            let (path, place) = project.sources.place(related.span).expect("every place is in a file");
            out.push_str(&format!("    {path}:{} {}\n", place.line, related.text));
        }
    }
    out
}
