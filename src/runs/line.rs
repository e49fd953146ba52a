//! A run as lists have it, for people and for programs.

use serde_json::{Value as Json, json};
use wf_dsl::Time;
use wf_engine::run::Failure as RunFailure;
use wf_engine::{RunLine, RunReport, StepReport};

use crate::table::Table;
use crate::terminal::Look;
use crate::when::{due, minute};

/// A table of runs.
pub(crate) fn table(runs: &[RunLine], now: Time, look: Look) -> String {
    let mut table = Table::new(&["RUN", "WORKFLOW", "STATUS", "STARTED (UTC)"], 1);
    for run in runs {
        let cells = [run.run.to_string(), run.workflow.clone(), run.state.to_string(), minute(run.started_at)];
        table.row(cells, note(run, now));
    }
    table.text(look)
}

/// Where it stands, or why it failed.
fn note(run: &RunLine, now: Time) -> String {
    if let Some(error) = &run.error {
        return reason(error);
    }
    let at = match run.at.as_slice() {
        [] => return String::new(),
        [only] => format!("at `{only}`"),
        [first, .., last] => format!("at {} places, from `{first}` to `{last}`", run.at.len()),
    };
    run.due.map_or(at.clone(), |until| format!("{at}, due {}", due(now, until)))
}

/// An error in one line: what, and where.
pub(crate) fn reason(error: &RunFailure) -> String {
    let step = error.step.as_ref().map(|step| format!(" at `{step}`")).unwrap_or_default();
    let message = if error.message.is_empty() { String::new() } else { format!(": {}", error.message) };
    format!("{}{step}{message}", error.code)
}

/// The object of a run in a list.
pub(crate) fn json_of(run: &RunLine) -> Json {
    json!({
        "run_id": run.run.to_string(),
        "workflow": run.workflow,
        "version": run.plan.to_string(),
        "status": run.state.as_str(),
        "started_at": run.started_at.to_string(),
        "ended_at": run.ended_at.map(|at| at.to_string()),
        "due": run.due.map(|at| at.to_string()),
        "at": run.at,
        "error": run.error.as_ref().map(json_of_error),
        "parent": run.parent.map(|parent| parent.to_string()),
    })
}

/// The object of an error.
pub(crate) fn json_of_error(error: &RunFailure) -> Json {
    json!({"code": error.code, "message": error.message, "step": error.step.as_deref()})
}

/// The object of a step.
pub(crate) fn json_of_step(step: &StepReport) -> Json {
    json!({
        "id": step.id,
        "iteration": step.iteration,
        "status": step.status,
        "in_doubt": step.in_doubt,
        "attempts": step.attempts,
        "started_at": step.started_at.to_string(),
        "ended_at": step.ended_at.map(|at| at.to_string()),
        "output": step.output,
    })
}

/// What a report adds to the object of its run.
pub(crate) fn json_of_report(run: &RunLine, report: &RunReport) -> Json {
    let mut object = json_of(run);
    object["event"] = json!(report.event);
    object["output"] = report.output.clone();
    object["steps"] = report.steps.iter().map(json_of_step).collect();
    object["events"] = json!(report.events);
    object
}
