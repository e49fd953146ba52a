//! From text to plan: what the reader accepts, what it refuses, and where it says so.

use wf_dsl::{Catalog, InputCatalog, InputFile, Plan, Project, ProjectInput, Workflow};

fn catalog() -> Catalog {
    serde_json::from_str(include_str!("catalog.json")).expect("the catalog of the tests is one")
}

fn file(path: &str, text: impl Into<Vec<u8>>) -> InputFile {
    InputFile { path: path.to_owned(), bytes: text.into(), named: false }
}

fn show(project: &Project) -> String {
    let mut out = String::new();
    for finding in project.findings.clone().sorted() {
        let span = finding.primary.span;
        let source = project.sources.get(span.file);
        let (path, text) = source.map_or(("", ""), |source| (&source.path, &source.text));
        let line = text.get(..span.start).map_or(0, |before| before.matches('\n').count() + 1);
        let what = text.get(span.start..span.end).unwrap_or("");
        out.push_str(&format!(
            "{} {path}:{line} {what:?} {} [{}] {:?}\n",
            finding.code, finding.message, finding.primary.text, finding.help
        ));
    }
    out
}

/// The YAML examples of the specification, as one project.
fn specification() -> ProjectInput {
    let spec = include_str!("../../spec/language.md");
    let blocks = spec.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
    let files = blocks.zip(1..).map(|(text, number)| file(&format!("block {number}.yaml"), text)).collect();
    let host = InputCatalog { path: "kinds/host.json".to_owned(), bytes: Ok(br#"{"kinds":{}}"#.to_vec()) };
    ProjectInput { files, templates: Vec::new(), catalogs: vec![host] }
}

#[test]
fn the_examples_of_the_specification_are_read_without_findings() {
    let project = Project::read(specification(), &catalog());
    assert_eq!(show(&project), "");
    assert_eq!(project.counts.left_alone, 0);
    assert!(project.counts.workflows >= 19 && project.counts.events > 0 && project.counts.tests > 0);
}

#[test]
fn a_stored_plan_is_read_again_as_the_same_plan() {
    let project = Project::read(specification(), &catalog());
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
