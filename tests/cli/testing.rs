//! Workflow tests of the example projects: `wf test`, and what it does.

use std::num::NonZeroUsize;
use std::path::Path;

use wf_dsl::{Happens, Project};
use wf_engine::testing::Suite;

use crate::binary::{Desk, Said, said};

fn test(args: &[&str]) -> Said {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let args = ["test", "workflows/event-funnel"].iter().chain(args);
    said(&Desk::new().wf(args).current_dir(root).output().unwrap()).expect(0, "all passed")
}

#[test]
fn the_tests_of_the_example_pass_in_every_format() {
    for format in ["human", "json", "junit"] {
        let said = test(&["--format", format]);
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("event-funnel.{format}"), said.stdout);
        });
    }
}

#[test]
fn they_take_every_step_case_and_handler() {
    let said = test(&["--format", "json", "--coverage"]);
    let coverage = &said.json()["coverage"];
    assert_eq!(coverage["missed"], serde_json::json!([]));
    assert_eq!(coverage["taken"], coverage["total"]);
    assert!(coverage["total"].as_u64() >= Some(40), "{coverage}");
}

/// The project of the language's examples, as its files are written.
fn examples_of_the_language() -> Project {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples/language");
    let folders = wf_engine::folder::read(&[root]).unwrap();
    folders[0].check(&wf_stdlib::catalog())
}

#[test]
fn the_examples_of_the_language_run_as_they_are_written() {
    let project = examples_of_the_language();
    assert_eq!(project.findings.iter().map(|found| found.message.as_str()).collect::<Vec<_>>(), [""; 0]);
    let restarts = |test: &wf_dsl::TestCase| test.script.iter().any(|entry| matches!(entry.what, Happens::Restart));
    assert!(project.tests.iter().flat_map(|file| &file.cases).any(restarts), "no case restarts");
    let suite = Suite::new(&project, |_| true).unwrap();
    assert_eq!(suite.plans().len(), project.workflows.len(), "every workflow has a test");
    let report = suite.run(NonZeroUsize::new(2).unwrap()).unwrap();
    if let Some(case) = report.cases.iter().find(|case| !case.passed()) {
        let unmet: Vec<_> = case.unmet.iter().map(|unmet| format!("{unmet:?}")).collect();
        panic!("{}: {}\n{}\n{}", case.file, case.case, unmet.join("\n"), case.story.join("\n"));
    }
    assert!(report.cases.len() >= 50, "{} cases", report.cases.len());
    assert!(report.coverage.missed.is_empty(), "{:#?}", report.coverage.missed);
}
