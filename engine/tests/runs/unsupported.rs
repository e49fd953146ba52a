//! What the language has and this engine refuses; every issue that adds a construct takes its line out.

use wf_engine::{Engine, ErrorKind, unsupported};

use crate::case::Case;
use crate::kinds::{self, Calls};

/// Each construct and a workflow that has it.
const REFUSED: [(&str, &str); 1] = [("`debounce`", "limits: {debounce: {quiet: 1s}}\nsteps: [{id: a, test.call: {}}]")];

fn case(rest: &str) -> Case {
    Case::of("refused", format!("workflow: flow\nevents: {{stop: {{data: {{}}}}}}\n{rest}"))
}

#[tokio::test]
async fn constructs_that_are_not_executed_yet_are_refused_when_the_engine_is_built() {
    for (what, rest) in REFUSED {
        let case = case(rest);
        let found: Vec<&str> =
            case.plans().iter().flat_map(|plan| unsupported(&plan.workflow)).map(|it| it.what).collect();
        assert_eq!(found, [what], "{rest}");
        let refused = case.engine(&Calls::default()).build().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{rest}");
        assert_eq!(refused.to_string(), format!("workflow `flow`: this engine does not execute {what}"));
    }
}

#[tokio::test]
async fn a_kind_that_the_host_does_not_have_is_refused() {
    let case = case("steps: [{id: a, test.typed: {}}]");
    let kinds = kinds::all(&Calls::default()).into_iter().filter(|kind| kind.describe().name != "test.typed");
    let refused = Engine::builder().plans(case.plans()).kinds(kinds).build().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert_eq!(refused.to_string(), "workflow `flow` uses the kind `test.typed`, which this host does not have");
}
