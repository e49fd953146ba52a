//! From text to plan: what the reader accepts, what it refuses, and where it says so.

mod folder;

use wf_dsl::{Plan, Project, Workflow};

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
