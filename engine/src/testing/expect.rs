//! What was expected, held against what happened.

use serde_json::{Map, Value as Json};
use wf_dsl::{Expect, Node, Period, Spanned, Time};

use super::log::{Call, Seen, SeenRun};
use super::mock::UNMOCKED;
use crate::report::RunReport;
use crate::run::Status;

/// An expectation that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// What it is about, such as `status` or `calls`; a sentence if there is nothing to compare.
    pub what: String,
    /// What was expected, line by line.
    pub expected: Vec<String>,
    /// What happened instead.
    pub happened: Vec<String>,
}

impl Unmet {
    pub(super) fn sentence(what: impl Into<String>) -> Self {
        Unmet { what: what.into(), expected: Vec::new(), happened: Vec::new() }
    }

    fn one(what: &str, expected: impl Into<String>, happened: impl Into<String>) -> Self {
        Unmet { what: what.to_owned(), expected: vec![expected.into()], happened: vec![happened.into()] }
    }
}

impl std::fmt::Display for Unmet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.expected.is_empty() && self.happened.is_empty() {
            return f.write_str(&self.what);
        }
        let list = |lines: &[String]| if lines.is_empty() { "nothing".to_owned() } else { lines.join("; ") };
        write!(f, "{}: expected {}, but there was {}", self.what, list(&self.expected), list(&self.happened))
    }
}

/// What does not hold. `run` is the run that `trigger` started, with its report.
pub(super) fn unmet(expect: &Expect, seen: &Seen, run: Option<(&SeenRun, &RunReport)>) -> Vec<Unmet> {
    let mut found = Vec::new();
    if let Some((run, report)) = run {
        of_run(expect, run, report, &mut found);
    } else if expect.runs != Some(0) {
        found.push(Unmet::sentence("the trigger started no run"));
    }
    if let Some(runs) = expect.runs.filter(|runs| *runs != seen.runs.len() as u64) {
        found.push(Unmet::one("runs", runs.to_string(), seen.runs.len().to_string()));
    }
    calls(expect, seen, &mut found);
    events(expect, seen, &mut found);
    found
}

fn of_run(expect: &Expect, run: &SeenRun, report: &RunReport, found: &mut Vec<Unmet>) {
    if let Some(status) = expect.status.as_ref().filter(|status| **status != report.status.as_str()) {
        let mut happened = report.status.as_str().to_owned();
        if let Some(error) = report.error.as_ref().filter(|error| error.code != UNMOCKED) {
            happened.push_str(&format!(" with {}", error.code));
            error.step.iter().for_each(|step| happened.push_str(&format!(" at {step}")));
            happened.push_str(&format!(": {}", error.message));
        }
        found.push(Unmet::one("status", status, happened));
    }
    if let Some(output) = &expect.output {
        let wanted = output.to_json();
        if !is_like(&wanted, &report.output) {
            found.push(Unmet::one("output", wanted.to_string(), part(&wanted, &report.output).to_string()));
        }
    }
    if let Some(error) = &expect.error {
        let wanted = error.to_json();
        let happened = report.error.as_ref().map_or(Json::Null, |error| error.value().to_json());
        if !is_like(&wanted, &happened) {
            found.push(Unmet::one("error", wanted.to_string(), part(&wanted, &happened).to_string()));
        }
    }
    if let Some(path) = &expect.path {
        let (wanted, happened): (Vec<&str>, Vec<&str>) =
            (names(path).collect(), run.path.iter().map(|step| &**step).collect());
        if wanted != happened {
            let list = |steps: Vec<&str>| steps.into_iter().map(str::to_owned).collect();
            found.push(Unmet { what: "path".to_owned(), expected: list(wanted), happened: list(happened) });
        }
    }
    let not_skipped: Vec<&str> = names(&expect.skipped).filter(|step| !run.skipped.contains(*step)).collect();
    if !not_skipped.is_empty() {
        let skipped: Vec<&str> = run.skipped.iter().map(|step| &**step).collect();
        found.push(Unmet {
            what: "skipped".to_owned(),
            expected: not_skipped.into_iter().map(str::to_owned).collect(),
            happened: skipped.into_iter().map(str::to_owned).collect(),
        });
    }
    if let Some(elapsed) = expect.elapsed {
        let took = report.ended_at.map(|ended| ended.since(report.started_at));
        if took != Some(elapsed) {
            let happened = took.map_or_else(|| "the run has not ended".to_owned(), Period::compact);
            found.push(Unmet::one("elapsed", elapsed.compact(), happened));
        }
    }
}

fn calls(expect: &Expect, seen: &Seen, found: &mut Vec<Unmet>) {
    let never: Vec<&str> = names(&expect.never).collect();
    let called: Vec<&Call> = seen.calls.iter().filter(|call| never.contains(&&*call.step)).collect();
    if !called.is_empty() {
        let list = never.iter().filter(|step| called.iter().any(|call| *call.step == ***step));
        found.push(Unmet {
            what: "never".to_owned(),
            expected: list.map(|step| format!("no call of {step}")).collect(),
            happened: called.iter().map(|call| line(call.at, &call.step, &Json::Null)).collect(),
        });
    }
    for wanted in &expect.calls {
        let step = &wanted.step.value;
        let times = seen.calls.iter().filter(|call| *call.step == **step).count() as u64;
        if let Some(expected) = wanted.times.filter(|expected| *expected != times) {
            found.push(Unmet::one("calls", times_of(expected, step), times_of(times, step)));
        }
    }
    let mut next = 0;
    let mut missing = None;
    for (place, wanted) in expect.calls.iter().enumerate().filter(|(_, wanted)| wanted.times != Some(0)) {
        let with = wanted.with.as_ref().map(Node::to_json);
        let is_it = |call: &Call| {
            *call.step == *wanted.step.value
                && wanted.at.is_none_or(|at| at == call.at)
                && with.as_ref().is_none_or(|with| is_like(with, &call.with))
        };
        match seen.calls[next..].iter().position(is_it) {
            Some(at) => next += at + 1,
            None => {
                missing = Some(place);
                break;
            }
        }
    }
    let Some(missing) = missing else { return };
    let expected = expect.calls.iter().enumerate().map(|(place, wanted)| {
        let with = wanted.with.as_ref().map(Node::to_json).unwrap_or_default();
        let text = match wanted.at {
            Some(at) => line(at, &wanted.step.value, &with),
            None => format!("{}{}", wanted.step.value, shown(&with)),
        };
        if place == missing { format!("{text}  <- not found") } else { text }
    });
    let happened = seen.calls.iter().map(|call| {
        let wanted = expect.calls.iter().filter(|wanted| *wanted.step.value == *call.step);
        let with = wanted.filter_map(|wanted| wanted.with.as_ref()).map(Node::to_json);
        let with = with.map(|with| part(&with, &call.with)).next().unwrap_or_default();
        line(call.at, &call.step, &with)
    });
    found.push(Unmet { what: "calls".to_owned(), expected: expected.collect(), happened: happened.collect() });
}

fn times_of(times: u64, step: &str) -> String {
    format!("{step} called {times} time{}", if times == 1 { "" } else { "s" })
}

fn events(expect: &Expect, seen: &Seen, found: &mut Vec<Unmet>) {
    let mut next = 0;
    let mut missing = None;
    for (place, wanted) in expect.events.iter().enumerate() {
        let data = wanted.data.as_ref().map(Node::to_json);
        let position = seen.sent[next..].iter().position(|sent| {
            sent.name == wanted.name.value
                && wanted.at.is_none_or(|at| at == sent.at)
                && data.as_ref().is_none_or(|data| is_like(data, &sent.data))
        });
        match position {
            Some(at) => next += at + 1,
            None => {
                missing = Some(place);
                break;
            }
        }
    }
    let Some(missing) = missing else { return };
    let expected = expect.events.iter().enumerate().map(|(place, wanted)| {
        let data = wanted.data.as_ref().map(Node::to_json).unwrap_or_default();
        let text = match wanted.at {
            Some(at) => line(at, &wanted.name.value, &data),
            None => format!("{}{}", wanted.name.value, shown(&data)),
        };
        if place == missing { format!("{text}  <- not found") } else { text }
    });
    let named = |name: &str| expect.events.iter().any(|wanted| wanted.name.value == name);
    // How runs ended is seen elsewhere, unless it is asked for.
    let sent = seen.sent.iter().filter(|sent| !sent.name.starts_with("wf.") || named(&sent.name));
    let happened = sent.map(|sent| {
        let wanted = expect.events.iter().filter(|wanted| wanted.name.value == sent.name);
        let data = wanted.filter_map(|wanted| wanted.data.as_ref()).map(Node::to_json);
        line(sent.at, &sent.name, &data.map(|data| part(&data, &sent.data)).next().unwrap_or_default())
    });
    found.push(Unmet { what: "events".to_owned(), expected: expected.collect(), happened: happened.collect() });
}

/// Everything that happened, line by line.
pub(super) fn story(seen: &Seen) -> Vec<String> {
    let calls = seen.calls.iter().map(|call| (call.at, format!("{} was called", call.step)));
    let sent = seen.sent.iter().filter(|sent| sent.event.is_some());
    let sent = sent.map(|sent| (sent.at, format!("{} was sent", sent.name)));
    let ended = seen.runs.iter().filter_map(|run| {
        let (at, status) = run.ended?;
        let verb = if status == Status::Cancelled { "was cancelled" } else { status.as_str() };
        Some((at, format!("{} {verb}", run.workflow)))
    });
    let started = seen.runs.iter().filter_map(|run| Some((run.started?, format!("{} began", run.workflow))));
    let mut lines: Vec<(Time, String)> = started.chain(calls).chain(sent).chain(ended).collect();
    lines.sort_by_key(|(at, _)| *at);
    lines.into_iter().map(|(at, line)| format!("{at}  {line}")).collect()
}

fn names(steps: &[Spanned<String>]) -> impl Iterator<Item = &str> {
    steps.iter().map(|step| step.value.as_str())
}

fn line(at: Time, what: &str, with: &Json) -> String {
    format!("{at}  {what}{}", shown(with))
}

fn shown(value: &Json) -> String {
    if value.is_null() { String::new() } else { format!(" {value}") }
}

/// Whether a value has what is wanted of it: the fields that are named, and instants and numbers however written.
pub(super) fn is_like(wanted: &Json, value: &Json) -> bool {
    match (wanted, value) {
        (Json::Object(wanted), Json::Object(fields)) => {
            wanted.iter().all(|(name, wanted)| is_like(wanted, fields.get(name).unwrap_or(&Json::Null)))
        }
        (Json::Array(wanted), Json::Array(items)) => {
            wanted.len() == items.len() && wanted.iter().zip(items).all(|(wanted, item)| is_like(wanted, item))
        }
        (Json::Number(wanted), Json::Number(number)) => wanted == number || wanted.as_f64() == number.as_f64(),
        (Json::String(wanted), Json::String(text)) => {
            wanted == text
                || matches!((wanted.parse::<Time>(), text.parse::<Time>()), (Ok(one), Ok(other)) if one == other)
        }
        (wanted, value) => wanted == value,
    }
}

/// Of a value, what is asked for.
fn part(wanted: &Json, value: &Json) -> Json {
    match (wanted, value) {
        (Json::Object(wanted), Json::Object(fields)) => {
            let part = |(name, wanted): (&String, &Json)| {
                (name.clone(), fields.get(name).map_or(Json::Null, |value| part(wanted, value)))
            };
            Json::Object(wanted.iter().map(part).collect::<Map<_, _>>())
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_named_is_compared() {
        let value = json!({"a": 1, "b": {"c": "2026-01-01T00:00:00Z", "d": [1.0, {"e": null, "f": 2}]}});
        let like = [
            json!({}),
            json!({"a": 1.0}),
            json!({"b": {"c": "2026-01-01T01:00:00+01:00"}}),
            json!({"b": {"d": [1, {}]}}),
            json!({"z": null}),
        ];
        let unlike = [
            json!({"a": "1"}),
            json!({"z": 1}),
            json!({"b": {"c": "2026-01-01T00:00:01Z"}}),
            json!({"b": {"d": [1]}}),
            json!([]),
        ];
        like.iter().for_each(|wanted| assert!(is_like(wanted, &value), "{wanted}"));
        unlike.iter().for_each(|wanted| assert!(!is_like(wanted, &value), "{wanted}"));
        assert_eq!(part(&json!({"a": 2, "z": 1}), &value), json!({"a": 1, "z": null}));
    }
}
