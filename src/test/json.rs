//! Results for programs.

use serde_json::json;
use wf_engine::testing::CaseReport;

use super::Results;

pub(super) fn text(results: &Results, coverage: bool) -> String {
    let failed = results.failed();
    let mut object = json!({
        "version": 1,
        "passed": results.cases.len() - failed,
        "failed": failed,
        "cases": results.cases.iter().map(case).collect::<Vec<_>>(),
    });
    if coverage {
        let missed = results.missed.iter().map(|missed| {
            json!({"file": missed.file, "line": missed.line, "workflow": missed.workflow, "what": missed.what})
        });
        object["coverage"] =
            json!({"taken": results.taken, "total": results.total, "missed": missed.collect::<Vec<_>>()});
    }
    format!("{object:#}\n")
}

fn case(case: &CaseReport) -> serde_json::Value {
    json!({
        "file": case.file,
        "test": case.test,
        "case": case.case,
        "passed": case.passed(),
        "message": (!case.passed()).then(|| message(case)),
    })
}

/// What did not hold, in one text.
pub(super) fn message(case: &CaseReport) -> String {
    case.unmet.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
