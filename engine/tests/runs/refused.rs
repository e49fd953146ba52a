//! What a host refuses when its engine is built.

use wf_engine::{Engine, ErrorKind};

use crate::case::Case;
use crate::kinds::{self, Calls};

#[tokio::test]
async fn a_kind_that_the_host_does_not_have_is_refused() {
    let case = Case::of("refused", "workflow: flow\nsteps: [{id: a, test.typed: {}}]");
    let kinds = kinds::all(&Calls::default()).into_iter().filter(|kind| kind.describe().name != "test.typed");
    let refused = Engine::builder().plans(case.plans()).kinds(kinds).build().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert_eq!(refused.to_string(), "workflow `flow` uses the kind `test.typed`, which this host does not have");
}
