//! `wf test` on the example project.

use std::path::Path;

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
