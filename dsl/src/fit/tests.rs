//! Where a run of one definition stands, and what another one makes of it.

use super::*;
use crate::catalog::Catalog;
use crate::project::{InputFile, Project, ProjectInput};

/// A workflow with these steps, and whatever else its file has.
fn workflow(rest: &str) -> Project {
    let text = format!(
        "workflow: w\nevents: {{e: {{external: true, data: {{n: int}}}}, f: {{external: true, data: {{}}}}}}\n{rest}"
    );
    let files = vec![InputFile { path: "w.yaml".to_owned(), bytes: text.into(), named: true }];
    let project = Project::read(ProjectInput { files, ..ProjectInput::default() }, &Catalog::default());
    let errors: Vec<&str> = project
        .findings
        .iter()
        .filter(|found| found.severity == crate::Severity::Error)
        .map(|found| found.message.as_str())
        .collect();
    assert_eq!(errors, [""; 0], "{rest}");
    project
}

/// Where the run stands: steps, `undo: step`, `out: step` with an output that fits and `bad: step` with one that does
/// not, `var: name`.
fn standpoint(words: &str) -> Standpoint {
    let mut run = Standpoint::default();
    for word in words.split_whitespace() {
        match word.split_once(':') {
            None => drop(run.at.insert(word.into())),
            Some(("undo", step)) => drop(run.undos.insert(step.into())),
            Some(("out", step)) => drop(run.outputs.insert(step.into(), Value::Bool(true))),
            Some(("bad", step)) => drop(run.outputs.insert(step.into(), Value::Bool(false))),
            Some(("var", name)) => drop(run.vars.insert(name.to_owned(), Value::Int(1))),
            Some(_) => panic!("{word}"),
        }
    }
    run
}

/// What is said of a run of `old` that stands there.
fn said(old: &str, new: &str, run: &str) -> Vec<String> {
    let (old, new) = (workflow(old), workflow(new));
    let fits = |_: &Step, value: &Value| *value == Value::Bool(true);
    let found = misfits(&old.workflows[0], &new.workflows[0], &standpoint(run), &fits);
    found.iter().map(ToString::to_string).collect()
}

/// The workflow that the changes below are made to.
const OLD: &str = "vars: {n: 1}
steps:
  - {id: first, send_event: {name: e, data: {n: 1}}}
  - {id: nap, sleep: 1h}
  - {id: heard, wait: [{event: e}, {after: 1d}]}
  - id: block
    do:
      - {id: inner, sleep: 1h}
  - id: both
    parallel:
      branches:
        a: [{id: in_a, sleep: 1h}]
        b: [{id: in_b, sleep: 1h}]
  - {id: last, finish: ok}
";

#[test]
fn a_run_fits_where_nothing_that_concerns_it_has_changed() {
    for (from, to, run) in [
        ("", "", "nap"),
        ("sleep: 1h}\n  - {id: heard", "sleep: 2h}\n  - {id: heard", "nap"),
        // What is behind it is gone, or of another kind.
        ("  - {id: first, send_event: {name: e, data: {n: 1}}}\n", "", "nap"),
        ("{id: first, send_event: {name: e, data: {n: 1}}}", "{id: first, sleep: 1h}", "nap"),
        // So is what is ahead.
        ("  - {id: heard, wait: [{event: e}, {after: 1d}]}\n", "", "nap"),
        ("finish: ok", "finish: other", "in_a in_b both"),
        // Another deadline is no other alternative.
        ("{after: 1d}", "{after: 2d}", "heard"),
        ("{after: 1d}", "{until: \"2031-01-01T00:00:00Z\"}", "heard"),
    ] {
        assert!(OLD.contains(from), "{from}");
        assert_eq!(said(OLD, &OLD.replacen(from, to, 1), run), [""; 0], "{from} -> {to}");
    }
}

#[test]
fn a_run_does_not_fit_where_its_place_is_another_one() {
    for (from, to, run, wanted) in [
        ("  - {id: nap, sleep: 1h}\n", "", "nap", "it stands at `nap`, which is gone"),
        (
            "{id: nap, sleep: 1h}",
            "{id: nap, wait: [{event: f}, {after: 1h}]}",
            "nap",
            "it stands at `nap`, which was `sleep` and is `wait`",
        ),
        ("do:\n      - {id: inner", "do:\n      - {id: other, sleep: 1s}\n      - {id: inner", "inner block", ""),
        ("id: block\n", "id: renamed\n", "inner", "it stands at `inner`, which is in another place"),
        ("a: [{id: in_a", "z: [{id: in_a", "both", "it stands at `both`, which has other alternatives"),
        (
            "{event: e}, {after: 1d}",
            "{event: f}, {after: 1d}",
            "heard",
            "it stands at `heard`, which has other alternatives",
        ),
        ("{event: e}, {after: 1d}", "{after: 1d}", "heard", "it stands at `heard`, which has other alternatives"),
        ("", "", "nap undo:first", "`first` is done, and has no `undo` any more"),
        ("", "", "nap undo:nobody", "`nobody` is done, and has no `undo` any more"),
    ] {
        assert!(OLD.contains(from), "{from}");
        assert_eq!(said(OLD, &OLD.replacen(from, to, 1), run).join("; "), wanted, "{from} -> {to}");
    }
}

#[test]
fn what_is_read_ahead_must_be_there() {
    let reads = |form: &str| OLD.replace("finish: ok", &format!("finish: \"${{ {form} }}\""));
    let event_id = "steps.first.event_id";
    let missing = "`last` reads the output of `first`, which the run does not have";
    for (new, run, wanted) in [
        (reads(event_id), "nap out:first", ""),
        (reads(event_id), "nap", missing),
        (reads(event_id), "nap bad:first", "`last` reads the output of `first`, which is of another type now"),
        // It will have run by then.
        (reads(event_id), "first", ""),
        (reads("steps.heard.timed_out"), "nap", ""),
        (
            reads("steps.heard.timed_out"),
            "in_a both",
            "`last` reads the output of `heard`, which the run does not have",
        ),
        // Whoever wrote it had to think of a step that may not have run.
        (
            reads("steps.first?.event_id").replace("{id: first,", "{id: first, if: \"${ vars.n > 1 }\","),
            "nap var:n",
            "",
        ),
        // What is behind the place reads what it likes.
        (
            OLD.replace("{id: nap, sleep: 1h}", "{id: nap, sleep: 1h}\n  - {id: note, set: {n: \"${ vars.n + 1 }\"}}"),
            "inner block",
            "",
        ),
        (reads("vars.n"), "nap var:n", ""),
        (reads("vars.n"), "nap", "`last` uses the variable `n`, which the run does not have"),
        (
            reads("vars.n").replace("{n: 1}\nsteps", "{n: text}\nsteps"),
            "nap var:n",
            "`last` uses the variable `n`, which is of another type now",
        ),
        (
            reads("vars.n").replace("{n: 1}\nsteps", "{n: {type: string, value: text}}\nsteps"),
            "nap var:n",
            "`last` uses the variable `n`, which is of another type now",
        ),
    ] {
        assert_eq!(said(OLD, &new, run).join("; "), wanted, "{run}: {new}");
    }
}

#[test]
fn everything_that_does_not_fit_is_said() {
    let new = OLD
        .replace("  - {id: nap, sleep: 1h}\n", "")
        .replace("a: [{id: in_a, sleep", "a: [{id: in_a, wait: [{event: f}, {after");
    let new = new.replace("{after: 1h}]", "{after: 1h}]}]");
    assert_eq!(
        said(OLD, &new, "nap in_a both undo:first"),
        [
            "it stands at `nap`, which is gone",
            "`first` is done, and has no `undo` any more",
            "it stands at `in_a`, which was `sleep` and is `wait`",
        ]
    );
}
