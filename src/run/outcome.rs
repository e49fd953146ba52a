//! What is told at the end: the result on stdout, a summary on stderr.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use wf_engine::folder::Surroundings;
use wf_engine::run::Status;
use wf_engine::{Engine, RunId, RunReport};

use super::follow::{End, Session};
use super::place::Place;
use super::sent::{messages, table};
use super::{Args, resume_command};
use crate::desk::failed;
use crate::exit::{Exit, Failure};
use crate::findings::count;
use crate::runs::line::{json_of_error, json_of_step};
use crate::terminal::{Look, data, harmless, talk, wrapped};
use crate::when::span;

/// The version of the object's layout.
const VERSION: u64 = 1;

/// The runs at their end, or where they were left.
pub(super) struct Ended<'a> {
    pub(super) args: &'a Args,
    pub(super) place: &'a Place,
    pub(super) surroundings: &'a Surroundings,
    pub(super) engine: &'a Engine,
    pub(super) end: &'a End,
    /// Time was made up.
    pub(super) is_simulated: bool,
}

impl Ended<'_> {
    /// Tells how it went, and gives the exit code.
    pub(super) async fn tell(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        session.drain();
        let Some(first) = session.roots.first().copied() else {
            let (exit, why, help) = match *self.end {
                End::Interrupted => return Ok(Exit::Interrupted),
                End::Ended => (Exit::NotFound, "no run was started", "a limit of its workflow dropped it"),
                End::Waits | End::TimedOut => {
                    (Exit::TimedOut, "no run has begun", "events that were taken in are kept")
                }
            };
            return Err(Failure::new(exit, why).help(help));
        };
        if *self.end == End::Interrupted {
            // What is under way is put down first, so that the command can be used at once; who is in a hurry asks twice.
            tokio::select! {
                () = self.engine.shutdown() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            talk(&format!("\nstopped; this goes on with the run:\n  {}", resume_command(self.args, first)));
            return Ok(Exit::Interrupted);
        }
        let reports = self.reports(session).await?;
        let Some(report) = reports.iter().find(|report| report.run == first) else {
            return Err(Failure::new(Exit::NotFound, format!("there is no run {first}")));
        };
        self.summary(report, &reports);
        let others: Vec<&RunReport> = reports.iter().filter(|other| other.run != first).collect();
        if self.args.json {
            data(&format!("{:#}\n", result(report, &others)))?;
        } else if report.status == Status::Finished && !report.output.is_null() {
            data(&format!("{:#}\n", report.output))?;
        }
        self.conclude(report, &others, session)
    }

    async fn reports(&self, session: &Session<'_>) -> Result<Vec<RunReport>, Failure> {
        let mut runs: Vec<RunId> = Vec::new();
        for root in &session.roots {
            for run in self.engine.family(*root).await.map_err(failed)? {
                if !runs.contains(&run) {
                    runs.push(run);
                }
            }
        }
        let mut reports = Vec::new();
        for run in runs {
            reports.push(self.engine.report(run).await.map_err(failed)?);
        }
        Ok(reports)
    }

    fn summary(&self, report: &RunReport, reports: &[RunReport]) {
        let look = Look::stderr();
        let sent = messages(reports);
        let table = table(&sent, look);
        if !table.is_empty() {
            talk(&format!("\n{}", table.trim_end()));
        }
        let notes = self.notes(reports);
        if !notes.is_empty() {
            talk("");
            notes.iter().for_each(|note| talk(wrapped(note, 2, look.width).trim_end()));
        }
        if let Some(ended) = report.ended_at {
            let took = span(ended.since(report.started_at));
            let time = if self.is_simulated { "virtual time" } else { "time" };
            talk(&format!("\n{} {} after {took} of {time}", report.workflow, report.status.as_str()));
        }
    }

    /// What stands in for what is not configured.
    fn notes(&self, reports: &[RunReport]) -> Vec<String> {
        let used = self.used(reports);
        let connections = self.surroundings.connections.iter();
        let stood_in = connections.filter(|connection| !connection.configured && used.contains(&connection.name));
        let note = |connection: &wf_engine::Connection| {
            let wanted = self.surroundings.wanting.get(&connection.name);
            let wanted: Vec<_> =
                wanted.into_iter().flatten().map(|name| format!("WF_SECRET_{}", name.to_uppercase())).collect();
            let stand_in = match connection.kind.as_str() {
                _ if connection.optional => "its steps fail".to_owned(),
                "smtp" | "mail_api" | "sms" => format!("its messages are in `{}`", self.place.outbox().display()),
                "redis" => "an empty one in this process stood in".to_owned(),
                _ => format!("a SQLite file in `{}` stood in", self.place.stand_ins().display()),
            };
            let name = &connection.name;
            format!("`{name}` is not configured (set {}): {stand_in}", wanted.join(" and "))
        };
        stood_in.map(note).collect()
    }

    /// The connections that the steps of these runs may have used.
    fn used(&self, reports: &[RunReport]) -> Vec<String> {
        let project = &self.place.checked.project;
        let steps = reports.iter().flat_map(|report| &report.steps).filter(|step| step.attempts > 0);
        let kinds: BTreeSet<&str> = steps
            .filter_map(|step| project.catalog.get(&step.kind))
            .flat_map(|kind| kind.connections.iter().map(String::as_str))
            .collect();
        let connections = project.settings.connections.iter();
        let used = connections.filter(|(_, connection)| kinds.contains(connection.kind.value.as_str()));
        used.map(|(name, _)| name.clone()).collect()
    }

    fn conclude(&self, report: &RunReport, others: &[&RunReport], session: &Session<'_>) -> Result<Exit, Failure> {
        let failed = others.iter().filter(|other| other.status == Status::Failed);
        for other in failed {
            let why = other.error.as_ref().map(|error| format!(": {}: {}", error.code, error.message));
            let why = harmless(&why.unwrap_or_default());
            talk(&format!("{} {} {} failed{why}", Look::stderr().yellow("note:"), other.workflow, other.run));
        }
        if *self.end != End::Ended {
            return Err(self.left_open(report, others, session));
        }
        match report.status {
            Status::Finished => Ok(Exit::Success),
            Status::Cancelled => Ok(Exit::Cancelled),
            Status::Open => Ok(Exit::TimedOut),
            Status::Failed => {
                let error = report.error.as_ref();
                let at = error.and_then(|error| error.step.as_ref()).map(|step| format!(" at `{step}`"));
                let why = error.map(|error| format!(": {}: {}", error.code, error.message)).unwrap_or_default();
                let message = format!("the run failed{}{why}", at.unwrap_or_default());
                Err(Failure::new(Exit::Failed, harmless(&message)))
            }
        }
    }

    /// Runs are still open: which, and what for.
    fn left_open(&self, report: &RunReport, others: &[&RunReport], session: &Session<'_>) -> Failure {
        let mut message = match self.end {
            End::Waits => "nothing is left but waits without a deadline".to_owned(),
            _ if session.open.len() == 1 => "1 run is still open".to_owned(),
            _ => format!("{} are still open", count(session.open.len(), "run")),
        };
        for open in std::iter::once(report).chain(others.iter().copied()).filter(|open| open.ended_at.is_none()) {
            let steps = open.steps.iter().filter(|step| matches!(step.status, "waiting" | "running"));
            let steps: Vec<_> = steps.map(|step| format!("`{}`", step.id)).collect();
            let due = open.due.map(|due| format!(", due {due}")).unwrap_or_default();
            let place = if open.steps.is_empty() { "queued".to_owned() } else { format!("at {}", steps.join(", ")) };
            message.push_str(&format!("\n  {} {}: {place}{due}", open.workflow, open.run));
        }
        Failure::new(Exit::TimedOut, message)
            .help(format!("this goes on with it: {}", resume_command(self.args, report.run)))
    }
}

/// The object of `--json`.
fn result(report: &RunReport, others: &[&RunReport]) -> Json {
    let error = report.error.as_ref();
    json!({
        "version": VERSION,
        "run_id": report.run.to_string(),
        "workflow": report.workflow,
        "status": report.status.as_str(),
        "output": report.output,
        "error": error.map(json_of_error),
        "started_at": report.started_at.to_string(),
        "ended_at": report.ended_at.map(|at| at.to_string()),
        "steps": report.steps.iter().map(json_of_step).collect::<Vec<_>>(),
        "events": report.events,
        "runs": others.iter().map(|other| json!({
            "run_id": other.run.to_string(), "workflow": other.workflow, "status": other.status.as_str(),
        })).collect::<Vec<_>>(),
    })
}
