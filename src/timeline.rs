//! The timeline: one line for each thing that happens, under the date on which it happens.

use std::collections::HashMap;

use serde_json::Value as Json;
use wf_dsl::{Body, Step, Time, Value, Workflow};
use wf_engine::run::{Awaited, Fact, Failure, Record, Role, Status};
use wf_engine::{EventId, FrameId, RunId, RunReport};

use crate::findings::count;
use crate::run::sent::Message;
use crate::terminal::{Look, harmless, wrapped};
use crate::when::{date_and_time, due};

/// The least columns of the place, so that lines stand below each other.
const PLACE_COLUMNS: usize = 28;
/// How an output begins.
const OUTPUT: &str = "done: ";
/// What is shown of an output in a narrow terminal.
const OUTPUT_COLUMNS_MIN: usize = 20;

/// Shows what happens.
pub(crate) struct Timeline<'a> {
    workflows: Vec<&'a Workflow>,
    look: Look,
    /// Where lines go.
    show: fn(&str),
    date: String,
    /// What steps have sent, for the runs that it starts.
    sent: HashMap<EventId, String>,
    /// Iterations: which item of which loops, such as `[ada]`.
    iterations: HashMap<(RunId, FrameId), String>,
}

/// A line's part after the time: where, and what.
struct Line {
    place: String,
    text: String,
}

impl<'a> Timeline<'a> {
    pub(crate) fn new(workflows: impl IntoIterator<Item = &'a Workflow>, look: Look, show: fn(&str)) -> Self {
        let workflows = workflows.into_iter().collect();
        Timeline { workflows, look, show, date: String::new(), sent: HashMap::new(), iterations: HashMap::new() }
    }

    /// The name of an event that is sent from outside.
    pub(crate) fn is_sent(&mut self, event: EventId, name: &str) {
        self.sent.insert(event, name.to_owned());
    }

    /// Shows a run's record, if it says something.
    pub(crate) fn show(&mut self, run: RunId, workflow: &str, record: &Record) {
        if let Some(line) = self.line(run, workflow, record) {
            self.print(record.at, &line);
        }
    }

    /// Shows where a run stands that goes on.
    pub(crate) fn resume(&mut self, now: Time, report: &RunReport) {
        // Of blocks within blocks, the innermost says most.
        let open = report.steps.iter().rfind(|step| step.ended_at.is_none());
        let step = open.map(|step| format!(".{}", step.id)).unwrap_or_default();
        let due = report.due.map(|at| format!(", due {}", due(now, at))).unwrap_or_default();
        self.print(now, &Line { place: format!("{}{step}", report.workflow), text: format!("goes on here{due}") });
    }

    /// Shows what a `log` step says.
    pub(crate) fn say(&mut self, at: Time, workflow: &str, step: &str, text: &str) {
        self.print(at, &Line { place: format!("{workflow}.{step}"), text: format!("says: {text}") });
    }

    fn print(&mut self, at: Time, line: &Line) {
        let (date, time) = date_and_time(at);
        if self.date != date {
            (self.show)(&self.look.bold(&date));
            self.date = date;
        }
        let place = format!("{:<PLACE_COLUMNS$}", harmless(&line.place));
        let indent = 2 + time.len() + 2 + console::measure_text_width(&place) + 2;
        let text = harmless(&line.text).replace(['\n', '\t'], " ");
        let look = self.look;
        // An output is a glimpse; everything else is said in full.
        let text = if text.starts_with(OUTPUT) {
            console::truncate_str(&text, look.width.saturating_sub(indent).max(OUTPUT_COLUMNS_MIN), "…").into_owned()
        } else if look.is_terminal {
            wrapped(&format!("{:indent$}{text}", ""), indent, look.width).trim().to_owned()
        } else {
            text
        };
        (self.show)(&format!("  {}  {place}  {}", look.dim(&time), self.coloured(&text)));
    }

    /// Nothing depends on the colour: it repeats what the first word says.
    fn coloured(&self, text: &str) -> String {
        let first = text.split([' ', ':']).next().unwrap_or_default();
        match first {
            "failed" | "attempt" => self.look.red(text),
            "sleeps" | "waits" => self.look.yellow(text),
            "finished" | "sent" | "outbox" => self.look.green(text),
            "done" | "skipped" => self.look.dim(text),
            _ => text.to_owned(),
        }
    }

    fn line(&mut self, run: RunId, workflow: &str, record: &Record) -> Option<Line> {
        let at = record.at;
        let (step, text) = match &record.fact {
            Fact::Started { .. } => {
                let by = self.sent.get(&run.event)?;
                (None, format!("started by {by}"))
            }
            Fact::Skipped { step } => (Some(step), "skipped".to_owned()),
            Fact::AttemptStarted { step, attempt, .. } if *attempt > 1 => {
                (Some(step), format!("tries again ({attempt})"))
            }
            Fact::AttemptInterrupted { step, attempt } => {
                (Some(step), format!("attempt {attempt} was cut off, and is made again"))
            }
            Fact::AttemptFailed { step, attempt, failure, retry_at, .. } => {
                let next = format!("next at {}", due(at, *retry_at));
                (Some(step), format!("attempt {attempt} failed, {next}: {}", reason(failure)))
            }
            // What encloses the step that failed fails with it, and has nothing to add.
            Fact::Failed { step, failure } if failure.step.as_ref().is_none_or(|failed| failed == step) => {
                (Some(step), format!("failed: {}", reason(failure)))
            }
            Fact::Finished { step, output } => {
                let kind = self.step(workflow, step).map(|step| step.kind.value.clone()).unwrap_or_default();
                (Some(step), finished(&kind, &output.value.to_json())?)
            }
            Fact::Abandoned { step, attempt: Some(attempt) } => {
                (Some(step), format!("attempt {attempt} was given up; its effect may have happened"))
            }
            Fact::Opened { step: Some(step), role: Role::Undo, iteration, .. } => {
                let part = iteration.as_ref().map(|iteration| format!(", in {iteration}")).unwrap_or_default();
                (Some(step), format!("is undone{part}"))
            }
            Fact::Slept { step, until } => (Some(step), format!("sleeps until {}", due(at, *until))),
            Fact::Waited { step, awaited } => {
                let events = awaited.iter().filter_map(Awaited::event).map(|event| event.event.clone());
                let events = events.collect::<Vec<_>>().join(" or ");
                let until = awaited.iter().filter_map(Awaited::due).min().map(|until| due(at, until));
                let text = match (events.is_empty(), until) {
                    (_, None) => format!("waits for {events}"),
                    (true, Some(until)) => format!("waits until {until}"),
                    (false, Some(until)) => format!("waits for {events}, until {until}"),
                };
                (Some(step), text)
            }
            Fact::WaitEnded { step, output, .. } => match output.value.get("event").and_then(Value::as_str) {
                Some(event) => (Some(step), format!("done: {event} has come")),
                None => (Some(step), "done: the time has come".to_owned()),
            },
            Fact::Sent { step, id, name } => {
                self.is_sent(*id, name);
                (Some(step), format!("sends {name}"))
            }
            Fact::Invoked { step, detached, .. } => {
                let how = if *detached { "starts" } else { "calls" };
                let called = self.step(workflow, step).map(|step| match &step.body {
                    Body::Invoke { workflow, .. } => workflow.value.clone(),
                    _ => String::new(),
                });
                (Some(step), format!("{how} {}", called.unwrap_or_else(|| "a workflow".to_owned())))
            }
            Fact::Referred { step, run } => (Some(step), format!("waits for run {run}, which stands for it")),
            Fact::Forked { step, base, total, items, keys, limit, .. } => {
                if items.is_some() {
                    let keys = match keys.as_ref().map(|keys| &keys.value) {
                        Some(Value::List(keys)) => keys.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                        _ => Vec::new(),
                    };
                    self.name_iterations(run, record.frame, *base, *total, &keys);
                }
                let how = match (items, limit) {
                    (None, _) => format!("{} side by side", count(*total as usize, "branch")),
                    (Some(_), Some(_)) => format!("{} side by side", count(*total as usize, "item")),
                    (Some(_), None) => format!("{} one after another", count(*total as usize, "item")),
                };
                (Some(step), how)
            }
            Fact::Migrated { .. } => (None, "goes on in another definition".to_owned()),
            Fact::Retried { step, .. } => (step.as_ref(), "is retried".to_owned()),
            Fact::KeyTaken { step, .. } => (Some(step), "waits for another step with its idempotency key".to_owned()),
            Fact::CancelRequested { reason } => (None, format!("is being cancelled: {reason}")),
            Fact::RunEnded { status: Status::Failed, failure: Some(failure), .. } if failure.step.is_none() => {
                (None, format!("failed: {}", reason(failure)))
            }
            Fact::RunEnded { status, .. } if self.sent.contains_key(&run.event) || *status != Status::Finished => {
                (None, status.as_str().to_owned())
            }
            _ => return None,
        };
        let iteration = self.iterations.get(&(run, record.frame)).map_or("", String::as_str);
        let place = step.map_or_else(|| workflow.to_owned(), |step| format!("{workflow}.{step}{iteration}"));
        Some(Line { place, text })
    }

    fn name_iterations(&mut self, run: RunId, parent: FrameId, base: u32, total: u32, keys: &[String]) {
        let outer = self.iterations.get(&(run, parent)).cloned().unwrap_or_default();
        for index in 0..total {
            let key = keys.get(index as usize).cloned().unwrap_or_else(|| index.to_string());
            self.iterations.insert((run, FrameId(base + index)), format!("{outer}[{key}]"));
        }
    }

    /// The step as the project has it now, which may be newer than the run's plan.
    fn step(&self, workflow: &str, step: &str) -> Option<&Step> {
        let workflow = self.workflows.iter().find(|known| known.name.value == workflow)?;
        workflow.find(step).map(|ix| workflow.step(ix))
    }
}

/// What a finished step has to say; nothing if its own steps or the next ones say it.
fn finished(kind: &str, output: &Json) -> Option<String> {
    if let Some(message) = Message::of(kind, output) {
        return Some(message.line());
    }
    match kind {
        "set" | "switch" | "do" | "sleep" | "sleep_until" | "wait" | "send_event" | "fail" | "finish" | "log" => None,
        "parallel" | "for_each" => {
            let number = |key: &str| output.get(key).and_then(Json::as_u64);
            let failed = number("failed").filter(|failed| *failed > 0);
            Some(failed.map_or("done".to_owned(), |failed| format!("done, {failed} failed")))
        }
        _ if output.is_null() => Some("done".to_owned()),
        _ => Some(format!("{OUTPUT}{output}")),
    }
}

fn reason(failure: &Failure) -> String {
    if failure.message.is_empty() { failure.code.clone() } else { format!("{}: {}", failure.code, failure.message) }
}
