//! How a run went, in the words of `expect`: to be written down, and to be compared with how it goes another time.

use serde_json::{Map, Value as Json, json};
use wf_dsl::{Period, Time, Workflow};

use super::expect::is_like;
use super::log::Seen;
use crate::ids::RunId;
use crate::report::RunReport;
use crate::run::{Failure, Record};

/// What `expect` can say of a run.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) status: &'static str,
    pub(crate) output: Json,
    /// What it failed with; null if it did not.
    pub(crate) error: Json,
    pub(crate) path: Vec<String>,
    pub(crate) skipped: Vec<String>,
    pub(crate) elapsed: Option<Period>,
    pub(crate) calls: Vec<Deed>,
    /// The events that its steps sent.
    pub(crate) sent: Vec<Deed>,
}

/// A call, or an event that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    /// The step, or the event's name.
    pub(crate) name: String,
    /// When; none if it is to be left out.
    pub(crate) at: Option<Time>,
    /// What it was called with, or carried; null if that is not known.
    pub(crate) with: Json,
}

impl Happened {
    pub(super) fn of(seen: &Seen, run: RunId, report: &RunReport) -> Self {
        let names =
            |steps: &mut dyn Iterator<Item = &std::sync::Arc<str>>| steps.map(|step| step.to_string()).collect();
        let own = seen.run(run);
        let calls = seen.calls.iter().filter(|call| call.run == run);
        let calls = calls.map(|call| Deed { name: call.step.to_string(), at: Some(call.at), with: call.with.clone() });
        let sent = seen.sent.iter().filter(|sent| {
            let by_step = seen.calls.iter().find(|call| sent.event.is_some() && call.event == sent.event);
            by_step.is_some_and(|call| call.run == run)
        });
        Happened {
            status: report.status.as_str(),
            output: report.output.clone(),
            error: report.error.as_ref().map_or(Json::Null, error_of),
            path: own.map_or_else(Vec::new, |own| names(&mut own.path.iter())),
            skipped: own.map_or_else(Vec::new, |own| names(&mut own.skipped.iter())),
            elapsed: report.ended_at.map(|ended| ended.since(report.started_at)),
            sent: sent
                .map(|sent| Deed { name: sent.name.clone(), at: Some(sent.at), with: sent.data.clone() })
                .collect(),
            calls: calls.collect(),
        }
    }

    /// What the records of a run tell.
    pub(crate) fn recorded(workflow: &Workflow, records: &[Record], report: &RunReport) -> Self {
        Happened::of(&Seen::of(workflow, report.run, records), report.run, report)
    }

    /// The entry `expect` of a case.
    pub(super) fn expect(&self) -> Json {
        let mut expect = Map::new();
        let mut put = |name: &str, value: Json| expect.insert(name.to_owned(), value);
        put("status", self.status.into());
        if !self.output.is_null() {
            put("output", self.output.clone());
        }
        if !self.error.is_null() {
            put("error", self.error.clone());
        }
        put("path", json!(self.path));
        if !self.skipped.is_empty() {
            put("skipped", json!(self.skipped));
        }
        if let Some(elapsed) = self.elapsed {
            put("elapsed", elapsed.compact().into());
        }
        if !self.calls.is_empty() {
            let times = |name: &str| self.calls.iter().filter(|call| call.name == name).count();
            let first = |place: usize| !self.calls[..place].iter().any(|call| call.name == self.calls[place].name);
            let calls = self.calls.iter().enumerate().map(|(place, call)| {
                let times = first(place).then(|| times(&call.name));
                call.expected("step", "with", times)
            });
            put("calls", calls.collect());
        }
        if !self.sent.is_empty() {
            put("events", self.sent.iter().map(|sent| sent.expected("name", "data", None)).collect());
        }
        Json::Object(expect)
    }

    /// What is the same in another one that was played, without what is only sometimes so: times are those of the other
    /// one. What differs and should not is added to `notes`, and is left as it is here.
    pub(super) fn alike(&self, other: &Happened, notes: &mut Vec<String>) -> Happened {
        let mut alike = self.clone();
        let mut differs = |what: &str, here: &str, there: &str| {
            notes.push(format!("played again, the {what} is not {here} but {there}"));
        };
        if self.status != other.status {
            differs("status", self.status, other.status);
        }
        if self.path != other.path {
            differs("path", &self.path.join(", "), &other.path.join(", "));
        }
        let sorted = |deeds: &[Deed]| {
            let mut names: Vec<String> = deeds.iter().map(|deed| deed.name.clone()).collect();
            names.sort();
            names
        };
        for (what, here, there) in
            [("list of calls", &mut alike.calls, &other.calls), ("list of events", &mut alike.sent, &other.sent)]
        {
            if sorted(here) == sorted(there) {
                // What is done at once is in no order of its own; what is played is in that of the branches.
                *here = there.clone();
            } else {
                differs(what, &listed(here), &listed(there));
                here.iter_mut().for_each(|deed| (deed.at, deed.with) = (None, Json::Null));
            }
        }
        let mut lost = Vec::new();
        alike.output = common(&self.output, &other.output, "output", &mut lost).unwrap_or_default();
        alike.error = common(&self.error, &other.error, "error", &mut lost).unwrap_or_default();
        notes.extend(
            lost.into_iter()
                .map(|place| format!("`{place}` is not the same when it is played again, and is not compared")),
        );
        alike.elapsed = other.elapsed;
        alike
    }

    /// The same as it was played once more, without what was another one then: ids, chance, made-up secrets.
    pub(super) fn again(mut self, other: &Happened, secrets: &[String]) -> Happened {
        let mut lost = Vec::new();
        for (here, there) in [(&mut self.calls, &other.calls), (&mut self.sent, &other.sent)] {
            for (deed, again) in here.iter_mut().zip(there).filter(|(deed, again)| deed.name == again.name) {
                let with = common(&deed.with, &again.with, "", &mut lost).unwrap_or_default();
                deed.with = without(with, secrets).unwrap_or_default();
                deed.at = deed.at.filter(|at| Some(*at) == again.at);
            }
        }
        self.output = common(&self.output, &other.output, "", &mut lost).unwrap_or_default();
        self.elapsed = self.elapsed.filter(|elapsed| Some(*elapsed) == other.elapsed);
        self
    }
}

impl Deed {
    fn expected(&self, name: &str, with: &str, times: Option<usize>) -> Json {
        let mut expected = Map::new();
        expected.insert(name.to_owned(), self.name.as_str().into());
        if let Some(at) = self.at {
            expected.insert("at".to_owned(), at.to_string().into());
        }
        if !self.with.is_null() && self.with != json!({}) {
            expected.insert(with.to_owned(), self.with.clone());
        }
        if let Some(times) = times {
            expected.insert("times".to_owned(), times.into());
        }
        Json::Object(expected)
    }
}

/// What is told of an error. Its attempt is that of an effect, which a mocked `invoke` is; its data names runs.
fn error_of(error: &Failure) -> Json {
    let mut told = json!({"code": error.code, "message": error.message});
    if let Some(step) = &error.step {
        told["step"] = json!(**step);
    }
    told
}

fn listed(deeds: &[Deed]) -> String {
    let names: Vec<&str> = deeds.iter().map(|deed| deed.name.as_str()).collect();
    if names.is_empty() { "empty".to_owned() } else { names.join(", ") }
}

/// Of two values what `expect` may say of both; none if nothing. Adds the places of what differs to `lost`.
fn common(one: &Json, other: &Json, place: &str, lost: &mut Vec<String>) -> Option<Json> {
    match (one, other) {
        (Json::Object(fields), Json::Object(others)) => {
            let mut alike = Map::new();
            for (name, value) in fields {
                let other = others.get(name).unwrap_or(&Json::Null);
                if let Some(value) = common(value, other, &format!("{place}.{name}"), lost) {
                    alike.insert(name.clone(), value);
                }
            }
            Some(Json::Object(alike))
        }
        (Json::Array(items), Json::Array(others)) if items.len() == others.len() => {
            let pairs = (0..).zip(items.iter().zip(others));
            pairs.map(|(n, (one, other))| common(one, other, &format!("{place}[{n}]"), lost)).collect()
        }
        _ if is_like(one, other) => Some(one.clone()),
        _ => {
            lost.push(place.to_owned());
            None
        }
    }
}

/// A value without the texts in which one of these is; none if nothing is left of it.
fn without(value: Json, words: &[String]) -> Option<Json> {
    match value {
        Json::String(text) => (!words.iter().any(|word| text.contains(word.as_str()))).then(|| text.into()),
        Json::Array(items) => items.into_iter().map(|item| without(item, words)).collect(),
        Json::Object(fields) => {
            let fields = fields.into_iter().filter_map(|(name, value)| Some((name, without(value, words)?)));
            Some(Json::Object(fields.collect()))
        }
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_can_be_expected_of_both() {
        let table = [
            (json!(1), json!(1.0), Some(json!(1)), vec![]),
            (
                json!({"a": 1, "b": {"c": 2, "d": 3}}),
                json!({"b": {"c": 2, "d": 4}}),
                Some(json!({"b": {"c": 2}})),
                vec![".a", ".b.d"],
            ),
            (json!([1, {"a": 1}]), json!([1, {"a": 2}]), Some(json!([1, {}])), vec!["[1].a"]),
            (json!([1, 2]), json!([1, 3]), None, vec!["[1]"]),
            (json!([1]), json!([1, 2]), None, vec![""]),
            (json!("a"), json!("b"), None, vec![""]),
            (json!({"a": null}), json!({}), Some(json!({"a": null})), vec![]),
        ];
        for (one, other, wanted, differing) in table {
            let mut lost = Vec::new();
            let alike = common(&one, &other, "", &mut lost);
            assert_eq!((&alike, lost), (&wanted, differing.into_iter().map(str::to_owned).collect()), "{one} {other}");
            if let Some(alike) = alike {
                assert!(is_like(&alike, &one) && is_like(&alike, &other));
            }
        }
    }

    #[test]
    fn made_up_secrets_are_left_out() {
        let value = json!({"token": "Bearer secret key", "n": [1, "secret key"], "rest": {"a": "b"}});
        assert_eq!(without(value, &["secret key".to_owned()]), Some(json!({"rest": {"a": "b"}})));
    }
}
