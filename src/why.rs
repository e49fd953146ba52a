//! `wf why`

use serde_json::{Value as Json, json};
use wf_dsl::Time;
use wf_engine::{BEFORE_MAX, Miss, Near, Queued, Reason, RunId, Standing, State, Wanted, Why};

use crate::desk::{StoreArgs, failed};
use crate::exit::{Exit, Failure};
use crate::findings::count;
use crate::runs::line::{self, json_of_error};
use crate::terminal::{Look, data, harmless, talk, wrapped};
use crate::when::{due, second};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run
    #[arg(value_name = "RUN")]
    run: RunId,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    args.store.operate(async |operator| {
        let why = operator.why(args.run).await.map_err(failed)?;
        if args.json {
            data(&format!("{:#}\n", json_of(&why)))?;
            return Ok(Exit::Success);
        }
        let look = Look::stdout();
        let text: String = lines(&why, operator.now()).iter().map(|line| shown(line, look)).collect();
        data(&text)?;
        if !why.run.state.is_ended() {
            talk(&format!("nobody works on it now; this goes on with it:\n  {}", args.store.resume(args.run)));
        } else if why.run.state == State::Failed {
            talk("`wf runs show` has its steps");
        }
        Ok(Exit::Success)
    })
}

/// A line with its indent.
struct Line(usize, String);

fn shown(line: &Line, look: Look) -> String {
    let Line(indent, text) = line;
    let text = format!("{:indent$}{}", "", harmless(text).replace(['\n', '\t'], " "));
    if look.is_terminal { wrapped(&text, indent + 2, look.width) } else { format!("{text}\n") }
}

fn lines(why: &Why, now: Time) -> Vec<Line> {
    let run = &why.run;
    let state = match run.ended_at {
        Some(at) => format!("{} at {}", run.state, second(at)),
        None => format!("is {}", run.state),
    };
    let mut lines = vec![Line(0, format!("{} {} {state}", run.workflow, run.run))];
    match &why.cancel {
        Some(reason) if run.ended_at.is_none() => lines.push(Line(0, format!("it is being cancelled: {reason}"))),
        Some(reason) => lines.push(Line(0, format!("that was asked for: {reason}"))),
        None => {}
    }
    if let Some(queued) = &why.queued {
        lines.extend(in_line(queued, &run.workflow, now).into_iter().map(|text| Line(2, text)));
    }
    for standing in &why.standing {
        lines.push(Line(0, place(standing)));
        reason(&standing.reason, standing.since, now, &mut lines);
    }
    if let Some(error) = run.error.as_ref().filter(|_| why.standing.is_empty()) {
        lines.push(Line(2, line::reason(error)));
    }
    lines
}

fn place(standing: &Standing) -> String {
    let Standing { step, kind, iteration, around, .. } = standing;
    let iteration = iteration.as_ref().map(|iteration| format!(", {iteration}")).unwrap_or_default();
    let around = if around.is_empty() { String::new() } else { format!(", inside `{}`", around.join("` › `")) };
    format!("at `{step}` ({kind}){iteration}{around}")
}

fn reason(reason: &Reason, since: Time, now: Time, lines: &mut Vec<Line>) {
    let mut say = |text: String| lines.push(Line(2, text));
    match reason {
        Reason::Ready => say("it can go on at once".to_owned()),
        Reason::Attempt { attempt } => say(format!("attempt {attempt} was begun at {}, and has no end", second(since))),
        Reason::Retry { attempt, due: at, error } => {
            let why = error.as_ref().map(|error| format!(": {}: {}", error.code, error.message)).unwrap_or_default();
            say(format!("attempt {attempt} failed{why}"));
            say(format!("the next one is due {}", due(now, *at)));
        }
        Reason::Sleep { until } => say(format!("it sleeps until {}", due(now, *until))),
        Reason::Run { run, named, state, until } => {
            let state = state.map_or("is gone".to_owned(), |state| format!("is {state}"));
            let stands = if *named { "stands for the one that it invoked, and " } else { "" };
            say(format!("it waits for run {run}, which {stands}{state}"));
            if let Some(until) = until {
                say(format!("until {}", due(now, *until)));
            }
        }
        Reason::Key { key, holder } => {
            let holder = holder.map(|run| format!(" run {run}")).unwrap_or_else(|| " another step".to_owned());
            say(format!("it waits for the idempotency key `{key}`, which{holder} holds"));
        }
        Reason::Kind { name } => say(format!("this wf does not have the step kind `{name}`")),
        Reason::Failed { error } => {
            let attempt = error.attempt.map(|attempt| format!(" at attempt {attempt}")).unwrap_or_default();
            say(format!("it failed{attempt}: {}: {}", error.code, error.message));
        }
        Reason::Events { awaited, came } => {
            say(format!("it waits, since {}, for", second(since)));
            for (n, wanted) in awaited.iter().enumerate() {
                let or = if n == 0 { "" } else { "or " };
                lines.push(Line(4, format!("{or}{}", phrase(wanted, now))));
            }
            if !came.is_empty() {
                lines.push(Line(2, "events that were not it, newest first:".to_owned()));
            }
            for near in came {
                lines.push(Line(4, format!("{} {} at {}: {}", near.name, near.id, second(near.received), miss(near))));
            }
        }
    }
}

/// What a run stands in line for.
fn in_line(queued: &Queued, workflow: &str, now: Time) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(since) = queued.paused {
        lines.push(format!("its workflow is paused since {}: `wf workflows resume {workflow}`", second(since)));
    }
    if let Some(run) = queued.behind {
        lines.push(format!("it waits for the end of run {run} (`unique`)"));
    }
    if let Some(at) = queued.not_before {
        lines.push(format!("it begins no earlier than {} (`throttle`)", due(now, at)));
    }
    for limit in &queued.slots {
        lines.push(format!("it needs one of {} (`concurrency`)", count(*limit as usize, "slot")));
    }
    match queued.before {
        0 => {}
        BEFORE_MAX.. => lines.push(format!("{BEFORE_MAX} runs or more with the same keys stand before it")),
        1 => lines.push("1 run with the same keys stands before it".to_owned()),
        before => lines.push(format!("{before} runs with the same keys stand before it")),
    }
    if lines.is_empty() {
        lines.push("it can begin at once".to_owned());
    }
    if let Some(by) = queued.begin_by {
        lines.push(format!("it is cancelled if it has not begun by {} (`start_within`)", due(now, by)));
    }
    lines
}

fn phrase(wanted: &Wanted, now: Time) -> String {
    match wanted {
        Wanted::Event { name, fields } if fields.is_empty() => format!("an event {name}"),
        Wanted::Event { name, fields } => {
            let fields: Vec<String> = fields.iter().map(|(field, value)| format!("{field} = {value}")).collect();
            format!("an event {name} with {}", fields.join(", "))
        }
        Wanted::Time(at) => format!("the time {}", due(now, *at)),
        Wanted::Never => "nothing else: it has no deadline".to_owned(),
    }
}

fn miss(near: &Near) -> String {
    match &near.miss {
        Miss::Field { field, is, wanted } => format!("its {field} is {is}, not {wanted}"),
        Miss::Type(why) => format!("its data does not fit its type: {why}"),
        Miss::Earlier => "it came too early for this wait".to_owned(),
        Miss::Later => "it came after the deadline".to_owned(),
        Miss::Condition => "its `if` was false".to_owned(),
        Miss::NotSeen => "the run has not looked at it yet".to_owned(),
    }
}

fn json_of(why: &Why) -> Json {
    let standing: Vec<Json> = why
        .standing
        .iter()
        .map(|standing| {
            json!({
                "step": standing.step,
                "kind": standing.kind,
                "iteration": standing.iteration,
                "around": standing.around,
                "since": standing.since.to_string(),
                "reason": json_of_reason(&standing.reason),
            })
        })
        .collect();
    let queued = why.queued.as_ref().map(json_of_queued);
    json!({
        "version": 1, "run": line::json_of(&why.run), "cancel": why.cancel, "queued": queued, "standing": standing,
    })
}

fn json_of_queued(queued: &Queued) -> Json {
    json!({
        "paused_since": queued.paused.map(|at| at.to_string()),
        "behind": queued.behind.map(|run| run.to_string()),
        "not_before": queued.not_before.map(|at| at.to_string()),
        "slots": queued.slots,
        "before": queued.before,
        "begin_by": queued.begin_by.map(|at| at.to_string()),
    })
}

fn json_of_reason(reason: &Reason) -> Json {
    match reason {
        Reason::Ready => json!({"type": "ready"}),
        Reason::Attempt { attempt } => json!({"type": "attempt", "attempt": attempt}),
        Reason::Retry { attempt, due, error } => json!({
            "type": "retry", "attempt": attempt, "due": due.to_string(), "error": error.as_ref().map(json_of_error),
        }),
        Reason::Sleep { until } => json!({"type": "sleep", "until": until.to_string()}),
        Reason::Run { run, named, state, until } => json!({
            "type": "run", "run_id": run.to_string(), "named": named, "status": state.map(State::as_str),
            "until": until.map(|until| until.to_string()),
        }),
        Reason::Key { key, holder } => {
            json!({"type": "key", "key": key, "holder": holder.map(|run| run.to_string())})
        }
        Reason::Kind { name } => json!({"type": "kind", "name": name}),
        Reason::Failed { error } => json!({"type": "failed", "error": json_of_error(error)}),
        Reason::Events { awaited, came } => {
            let awaited: Vec<Json> = awaited.iter().map(json_of_wanted).collect();
            let came: Vec<Json> = came
                .iter()
                .map(|near| {
                    json!({
                        "id": near.id, "name": near.name, "received_at": near.received.to_string(), "why": miss(near),
                    })
                })
                .collect();
            json!({"type": "events", "awaited": awaited, "came": came})
        }
    }
}

fn json_of_wanted(wanted: &Wanted) -> Json {
    match wanted {
        Wanted::Event { name, fields } => {
            let fields: serde_json::Map<String, Json> = fields.iter().cloned().collect();
            json!({"event": name, "match": fields})
        }
        Wanted::Time(at) => json!({"until": at.to_string()}),
        Wanted::Never => json!({"forever": true}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(queued: &Queued) -> Vec<String> {
        in_line(queued, "order", Time(0))
    }

    #[test]
    fn a_queued_run_is_told_what_it_stands_in_line_for() {
        assert_eq!(told(&Queued::default()), ["it can begin at once"]);
        let hour = Time(3_600_000);
        let begin_by = Queued { begin_by: Some(hour), ..Queued::default() };
        let late = "it is cancelled if it has not begun by 01:00:00 (in 1h) (`start_within`)";
        assert_eq!(told(&begin_by), ["it can begin at once", late]);
        let not_before = Queued { not_before: Some(hour), slots: vec![1, 5], ..Queued::default() };
        let slots = ["it needs one of 1 slot (`concurrency`)", "it needs one of 5 slots (`concurrency`)"];
        assert_eq!(
            told(&not_before),
            [&["it begins no earlier than 01:00:00 (in 1h) (`throttle`)"], &slots[..]].concat()
        );
        let before = |before| told(&Queued { before, ..Queued::default() });
        assert_eq!(before(1), ["1 run with the same keys stands before it"]);
        assert_eq!(before(BEFORE_MAX - 1), ["999 runs with the same keys stand before it"]);
        assert_eq!(before(BEFORE_MAX), ["1000 runs or more with the same keys stand before it"]);
    }
}
