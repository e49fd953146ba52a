//! From text to plan: what the reader accepts, what it refuses, and where it says so.

mod folder;

use std::fs;

use serde_json::Value as Json;
use wf_dsl::{InputFile, Plan, Project, ProjectInput, Workflow};

/// Every project of the repository that has no errors: the examples, and the cases of the checks.
fn projects() -> Vec<ProjectInput> {
    let mut places = vec![folder::root("tests/examples/language"), folder::root("workflows/event-funnel")];
    for code in fs::read_dir(folder::root("tests/dsl")).expect("the cases are there") {
        for case in fs::read_dir(code.expect("the entry can be read").path()).expect("the cases are there") {
            places.push(case.expect("the entry can be read").path());
        }
    }
    places.retain(|place| place.is_dir() || place.extension().is_some_and(|extension| extension == "yaml"));
    let mut projects: Vec<ProjectInput> = places.iter().map(|place| folder::input(place)).collect();
    projects.retain(|input| !Project::read(input.clone(), &folder::catalog()).findings.has_errors());
    projects
}

/// All plans of a project.
fn plans(input: ProjectInput) -> Vec<Plan> {
    let project = Project::read(input, &folder::catalog());
    let names = project.workflows.iter().map(|workflow| &workflow.name.value);
    names.map(|name| project.plan(name).expect("a project without errors has plans")).collect()
}

#[test]
fn a_stored_plan_is_read_again_as_the_same_plan() {
    let mut read = 0;
    for plan in projects().into_iter().flat_map(plans) {
        let again = Plan::load(&plan.stored).unwrap();
        assert_eq!(again.hash, plan.hash);
        assert_eq!(without_places(&again.workflow), without_places(&plan.workflow), "{}", plan.workflow.name.value);
        assert_eq!(again.templates, plan.templates);
        assert_eq!(again.kinds, plan.kinds);
        let types = |plan: &Plan| plan.events.values().map(|event| event.data.to_notation()).collect::<Vec<_>>();
        assert_eq!(types(&again), types(&plan));
        read += 1;
    }
    assert!(read >= 40, "only {read} plans were read");
}

#[test]
fn how_a_file_is_written_does_not_change_its_plan() {
    let mut written = 0;
    for input in projects() {
        let plain = plans(input.clone());
        let mut other = input;
        for file in &mut other.files {
            let tree: Json = serde_yaml::from_slice(&file.bytes).unwrap();
            file.bytes = format!("# Written as JSON, steps from back to front.\n{:#}\n", turned(tree)).into_bytes();
        }
        let hashes = |plans: &[Plan]| plans.iter().map(|plan| plan.hash).collect::<Vec<_>>();
        assert_eq!(hashes(&plans(other)), hashes(&plain));
        written += plain.len();
    }
    assert!(written >= 40, "only {written} plans were made");
}

/// The same tree with the keys of all steps in the opposite order.
fn turned(tree: Json) -> Json {
    let steps = |key: &str| ["steps", "do", "undo", "finally"].contains(&key);
    let step = |step: Json| match turned(step) {
        Json::Object(fields) => Json::Object(fields.into_iter().rev().collect()),
        other => other,
    };
    match tree {
        Json::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| match value {
                Json::Array(items) if steps(&key) => (key, items.into_iter().map(step).collect()),
                value => (key, turned(value)),
            });
            Json::Object(fields.collect())
        }
        Json::Array(items) => items.into_iter().map(turned).collect(),
        other => other,
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
