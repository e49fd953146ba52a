//! What came of a case, as text.

use std::fmt::Write;

use serde_json::Value as Json;
use wf_engine::{RunReport, StepReport, Time};

use crate::world::World;

/// Longer outputs are cut.
const OUTPUT_MAX: usize = 160;

/// What to leave out because a crash may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Nothing.
    All,
    /// Attempts that were made again.
    NoAttempts,
    /// Those, and times.
    NoTimes,
}

/// The world as text.
pub(crate) fn world(world: &World, detail: Detail) -> String {
    let mut text = String::new();
    // After a crash the sender of an event that came through is told so when it tries again.
    for answer in world.answers.iter().filter(|answer| detail == Detail::All || !answer.ends_with("duplicate")) {
        writeln!(text, "{answer}").unwrap();
    }
    let mut runs: Vec<String> = world.reports.iter().map(|report| run(world, report, detail)).collect();
    runs.sort();
    for (number, run) in runs.iter().enumerate() {
        // A run's text begins with what sorts it, which is not to be read.
        let (_, run) = run.split_once('\u{0}').unwrap();
        if number > 0 {
            text.push('\n');
        }
        text.push_str(run);
    }
    text = scrubbed(&text, detail);
    if detail == Detail::All && !world.calls.is_empty() {
        text.push('\n');
        for call in &world.calls {
            let result = call.result.as_deref().unwrap_or("given up");
            let say = if call.say.is_null() { String::new() } else { format!(" {}", cut(&call.say)) };
            writeln!(text, "{} {}#{}{say}: {result}", after(world, call.at), call.step, call.attempt).unwrap();
        }
    }
    text
}

fn run(world: &World, report: &RunReport, detail: Detail) -> String {
    let times = detail != Detail::NoTimes;
    let mut text = match times {
        true => format!("{:020}{}\u{0}", report.started_at.0, report.workflow),
        false => format!("{}\u{0}", report.workflow),
    };
    write!(text, "{} {}", report.workflow, report.status.as_str()).unwrap();
    if times {
        write!(text, " {}", span(world, report.started_at, report.ended_at)).unwrap();
    }
    if !report.output.is_null() {
        write!(text, " = {}", cut(&report.output)).unwrap();
    }
    if let Some(error) = &report.error {
        let step = error.step.as_deref().unwrap_or("-");
        write!(text, " {} at {step}: {}", error.code, error.message).unwrap();
    }
    text.push('\n');
    let mut steps: Vec<String> = report.steps.iter().map(|line| step(world, line, detail)).collect();
    if !times {
        // Branches that go on at one time may do so in any order after a crash.
        steps.sort();
    }
    text.extend(steps);
    for event in &report.events {
        writeln!(text, "  sent {}", event.name).unwrap();
    }
    text
}

fn step(world: &World, line: &StepReport, detail: Detail) -> String {
    let mut text = String::from("  ");
    if let Some(iteration) = &line.iteration {
        write!(text, "{iteration}.").unwrap();
    }
    write!(text, "{} {}", line.id, line.status).unwrap();
    if detail != Detail::NoTimes {
        write!(text, " {}", span(world, line.started_at, line.ended_at)).unwrap();
    }
    if line.attempts > 1 {
        write!(text, " x{}", line.attempts).unwrap();
    }
    if line.in_doubt {
        write!(text, " in doubt").unwrap();
    }
    if !line.output.is_null() {
        write!(text, " = {}", cut(&line.output)).unwrap();
    }
    if let Some(error) = &line.error {
        write!(text, " {}: {}", error.code, error.message).unwrap();
    }
    text.push('\n');
    text
}

fn span(world: &World, from: Time, to: Option<Time>) -> String {
    match to {
        Some(to) if to == from => after(world, from),
        Some(to) => format!("{}..{}", after(world, from), after(world, to)),
        None => format!("{}..", after(world, from)),
    }
}

fn after(world: &World, time: Time) -> String {
    time.since(world.begin).compact()
}

/// Ids are others in every world, for they are made of time and chance; they are scrubbed, and instants where no times
/// are to be seen.
fn scrubbed(text: &str, detail: Detail) -> String {
    let is_id = |word: &str| {
        (word.len() == 24 || word.len() == 32) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
            || word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12])
    };
    let is_time = |word: &str| detail == Detail::NoTimes && word.parse::<Time>().is_ok();
    let word = |word: &str| match word {
        word if is_id(word) => "(id)".to_owned(),
        word if is_time(word) => "(time)".to_owned(),
        word => word.to_owned(),
    };
    text.split('"').map(word).collect::<Vec<_>>().join("\"")
}

fn cut(value: &Json) -> String {
    let text = value.to_string();
    if text.len() <= OUTPUT_MAX { text } else { format!("{} bytes", text.len()) }
}
