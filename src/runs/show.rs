//! `wf runs show`

use serde_json::json;
use wf_engine::{RunLine, RunReport, StepReport};

use super::{One, line};
use crate::desk::failed;
use crate::exit::{Exit, Failure};
use crate::table::Table;
use crate::terminal::{Look, data, harmless, wrapped};
use crate::when::{due, second, span};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    args.one.store.operate(async |operator| {
        let run = operator.run(args.one.run).await.map_err(failed)?;
        let report = operator.report(args.one.run).await.map_err(failed)?;
        if args.json {
            let mut object = json!({"version": 1});
            object["run"] = line::json_of_report(&run, &report);
            data(&format!("{object:#}\n"))?;
        } else {
            data(&page(&run, &report, operator.now(), Look::stdout()))?;
        }
        Ok(Exit::Success)
    })
}

fn page(run: &RunLine, report: &RunReport, now: wf_dsl::Time, look: Look) -> String {
    let mut page = String::new();
    let mut field = |name: &str, value: String| {
        let text = harmless(&format!("{name:<11}{value}")).replace(['\n', '\t'], " ");
        page.push_str(&if look.is_terminal { wrapped(&text, 11, look.width) } else { format!("{text}\n") });
    };
    field("run", run.run.to_string());
    field("workflow", format!("{}, version {}", run.workflow, &run.plan.to_string()[..12]));
    field("status", run.state.to_string());
    field("event", format!("{} {}", report.event.name, report.event.id));
    if let Some(parent) = run.parent {
        field("invoked by", parent.to_string());
    }
    field("started", second(run.started_at));
    if let Some(ended) = run.ended_at {
        field("ended", format!("{}, after {}", second(ended), span(ended.since(run.started_at))));
    }
    if let Some(until) = run.due {
        field("due", due(now, until));
    }
    if let Some(error) = &run.error {
        field("error", line::reason(error));
    }
    if !report.output.is_null() {
        field("output", report.output.to_string());
    }
    for event in &report.events {
        field("sent", format!("{} {}", event.name, event.id));
    }
    if !report.steps.is_empty() {
        page.push('\n');
        page.push_str(&steps(&report.steps, look));
    }
    page
}

fn steps(steps: &[StepReport], look: Look) -> String {
    let mut table = Table::new(&["STEP", "KIND", "STATUS", "ATTEMPTS", "ENTERED (UTC)", "TOOK"], 0);
    for step in steps {
        let name = match &step.iteration {
            Some(iteration) => format!("{iteration} {}", step.id),
            None => step.id.clone(),
        };
        let attempts = if step.attempts == 0 { String::new() } else { step.attempts.to_string() };
        let took = step.ended_at.map(|ended| span(ended.since(step.started_at))).unwrap_or_default();
        let cells = [name, step.kind.clone(), step.status.to_owned(), attempts, second(step.started_at), took];
        table.row(
            cells,
            step.error.as_ref().map(|error| format!("{}: {}", error.code, error.message)).unwrap_or_default(),
        );
    }
    table.text(look)
}
