//! Every run of every case, written down as a test; and that test played.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use wf_dsl::{InputFile, Severity};
use wf_engine::testing::Suite;
use wf_engine::{Error, ErrorKind, Operator, RunReport};

use crate::case::Case;
use crate::cases;
use crate::world::{self, Weather};

/// What no test can say of runs of these cases, as the comments or the refusal have it.
const UNSAID: &[(&str, &str)] = &[
    ("cron_overlap_allow", "it has not ended"),
    ("cron_overlap_queue", "it has not ended"),
    ("cron_overlap_queue_over_an_outage", "it has not ended"),
    ("cron_overlap_skip", "it has not ended"),
    ("key_expires", "took its output from another run"),
    ("key_failure_frees", "took its output from another run"),
    ("key_in_flight", "took its output from another run"),
    ("key_large_output", "took its output from another run"),
    ("key_shared", "took its output from another run"),
    ("limit_batch", "events were gathered for it"),
    ("limit_concurrency_cancel", "it ended before it began"),
    // It was cancelled while it stood in the queue, which nobody does in a test.
    ("limit_concurrency_cancel_on", "played again"),
    ("limit_concurrency_of_project_over_an_outage", "the process ended during"),
    ("limit_concurrency_over_an_outage", "the process ended during"),
    ("limit_debounce_collect", "events were gathered for it"),
    ("limit_gather_order", "events were gathered for it"),
    ("limit_gather_over_an_outage", "events were gathered for it"),
    ("limit_gather_paused", "it ended before it began"),
    ("limit_invoke_joined", "it ended before it began"),
    ("limit_invoke_joined_by_parts", "it ended before it began"),
    ("limit_invoke_joined_cancelled", "it ended before it began"),
    ("limit_invoke_joined_circle", "it ended before it began"),
    ("limit_invoke_joined_detached", "it ended before it began"),
    ("limit_invoke_joined_ended", "it ended before it began"),
    ("limit_invoke_joined_fails", "it ended before it began"),
    ("limit_invoke_joined_given_up", "it ended before it began"),
    ("limit_invoke_joined_over_an_outage", "it ended before it began"),
    ("limit_invoke_refused", "it ended before it began"),
    ("limit_key_fails_invoked", "it ended before it began"),
    ("limit_start_within", "it ended before it began"),
    ("limit_unique_replace", "it ended before it began"),
    ("run_events", "which nobody but the engine sends"),
    // Nobody was there when it was to be waked.
    ("sleep_over_an_outage", "`output` is not the same"),
    ("ticket_created", "the process ended during"),
    ("wait_deadline", "`output[1]` is not the same"),
];
/// Changes of a workflow by which a run does not go as it went.
const CHANGES: [(&str, &str, &str); 16] = [
    ("wait_event", "it.data.amount > 10", "it.data.amount > 0"),
    ("wait_event", "- after: 1h", "- after: 2h"),
    ("retry_delays", "5m, 30m", "6m, 30m"),
    ("retry_delays", ", 30m", ""),
    ("catch_next", "next: five", "next: four"),
    ("catch_next", "say: handle", "say: nothing"),
    ("parallel_race", "sleep: 1m", "sleep: 5s"),
    ("undo", "- id: close", "- id: shut"),
    ("send_event_data", "now()", "now() + 1h"),
    ("for_each_in_order", "[10, 20, 30]", "[10, 20]"),
    ("for_each_in_order", "steps.each.outputs", "steps.each.count"),
    ("timeout_attempt", "delay: 5s", "delay: 6s"),
    ("timeout_attempt", "timeout: 3s", "timeout: 2s"),
    ("invoke_fails", "errors: [invoke.failed]", "errors: [invoke.refused]"),
    ("cancel_on", "if: ${ it.data.sure }", "if: ${ not it.data.sure }"),
    ("finally", "takes: 2s}\n              - id: rest\n                sleep: 1s", "takes: 2s}"),
];

#[test]
fn a_run_that_is_written_down_goes_as_it_went() {
    let said = Mutex::new((0, Vec::new()));
    cases::each(|case| {
        for (report, written) in written(case) {
            let unsaid: Vec<String> = match &written {
                Ok(text) => text.lines().filter(|line| line.starts_with("# NOTE")).map(str::to_owned).collect(),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Conflict, "{}: {error}", case.name);
                    vec![error.to_string()]
                }
            };
            if !unsaid.is_empty() {
                let is_said = |what: &str| unsaid.iter().any(|line| line.contains(what));
                let known = UNSAID.iter().position(|(name, what)| *name == case.name && is_said(what));
                let known = known.unwrap_or_else(|| panic!("{}, run of {}: {unsaid:?}", case.name, report.workflow));
                said.lock().unwrap().1.push(known);
            } else if let Ok(text) = &written {
                assert_eq!(unmet(case, text), [""; 0], "{}\n{text}", case.name);
                said.lock().unwrap().0 += 1;
            }
        }
    });
    let (written, mut known) = said.into_inner().unwrap();
    known.sort_unstable();
    known.dedup();
    assert_eq!(known.len(), UNSAID.len(), "only {known:?} are left");
    assert!(written >= 200, "{written} tests");
}

#[test]
fn in_a_workflow_that_does_otherwise_it_does_not() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/runs");
    for (name, from, to) in CHANGES {
        let case = Case::read(&folder.join(format!("{name}.yaml")));
        assert!(case.text.contains(from), "{name} has no `{from}`");
        let changed = Case::of(name, case.text.replace(from, to));
        let tests = written(&case).into_iter().filter_map(|(_, text)| text.ok());
        let failing = tests.filter(|text| !unmet(&changed, text).is_empty()).count();
        assert!(failing > 0, "{name}: nobody notices that `{from}` is `{to}`");
    }
}

/// The tests that are written from the runs of a case, or why there is none.
fn written(case: &Case) -> Vec<(RunReport, Result<String, Error>)> {
    let world = world::run(case, &Weather::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let operator = runtime.block_on(Operator::of(world.store.clone())).unwrap();
    let written = |report: RunReport| {
        let recorded = runtime.block_on(operator.recorded(report.run));
        let text = recorded.and_then(|recorded| recorded.written(Some(&|file| case.project_with(file))));
        (report, text)
    };
    world.reports.into_iter().map(written).collect()
}

/// What does not hold of a test in the workflows of a case.
fn unmet(case: &Case, text: &str) -> Vec<String> {
    let project = case.project_with(InputFile { path: "a.test.yaml".to_owned(), bytes: text.into(), named: true });
    let errors = project.findings.iter().filter(|found| found.severity == Severity::Error);
    let wrong: Vec<String> = errors.map(|found| found.message.clone()).collect();
    if !wrong.is_empty() {
        return wrong;
    }
    let report = Suite::new(&project, |_| true).unwrap().run(NonZeroUsize::MIN).unwrap();
    assert_eq!(report.cases.len(), 1);
    report.cases[0].unmet.iter().map(ToString::to_string).collect()
}
