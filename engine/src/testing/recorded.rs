//! A test from a real run: what started it, what its calls came to, what it received, and how it went.

use std::num::NonZeroUsize;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};
use wf_dsl::{FILE_BYTES_MAX, InputFile, Period, PlanHash, Project, Severity, Time};

use super::Suite;
use super::happened::Happened;
use crate::error::{Error, ErrorKind};
use crate::ids::RunId;
use crate::run::StepId;

/// Calls that took less time than this took none, as far as tests are concerned, unless other branches worked meanwhile.
const NOTICEABLE: Period = Period::seconds(1);

/// A run that has ended, as a case of a workflow test; see [`Operator::recorded`](crate::Operator::recorded).
#[derive(Clone, Debug)]
pub struct Recorded {
    pub(crate) run: RunId,
    pub(crate) workflow: String,
    pub(crate) plan: PlanHash,
    pub(crate) start: Time,
    /// The entry `trigger`.
    pub(crate) trigger: Json,
    /// What the calls of each step came to, in their order.
    pub(crate) calls: IndexMap<StepId, Vec<Outcome>>,
    /// Steps of kinds that always give null: they need no mock for that.
    pub(crate) always_null: Vec<StepId>,
    /// The entries of `script`.
    pub(crate) script: Vec<Json>,
    pub(crate) happened: Happened,
    /// What a test cannot say of it.
    pub(crate) notes: Vec<String>,
}

/// What one call came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) iteration: Option<String>,
    pub(crate) takes: Period,
    pub(crate) answer: Answer,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Gives(Json),
    /// The entry `fail`.
    Fails(Json),
    Hangs,
}

impl Recorded {
    /// The text of a file of tests with the run as its one case. It has what the run's record says: what its steps gave,
    /// the events that it received, its status, output or error, path and calls.
    ///
    /// `project` reads the project with a file more. The case is played with it, in virtual time, which has no delays
    /// but those that the workflow asks for: times are those of that play, and bodies too, which no record has. What is
    /// another one each time (ids, chance) is left out. Comments say what a test cannot express, and whatever does not
    /// come out as in the run. Without a project nothing is played, and times and bodies are not said.
    ///
    /// Not for the inside of an async runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if the text is longer than a file may be; [`ErrorKind::Unavailable`] if no thread can be
    /// made to play it.
    pub fn written(&self, project: Option<&dyn Fn(InputFile) -> Project>) -> Result<String, Error> {
        let mut notes = self.notes.clone();
        let mut happened = self.happened.clone();
        // Real time is not virtual time.
        happened.elapsed = None;
        happened.calls.iter_mut().chain(&mut happened.sent).for_each(|deed| (deed.at, deed.with) = (None, Json::Null));
        let Some(project) = project else {
            notes.push("it was not played: there is no project to play it with".to_owned());
            return self.file(&notes, &happened);
        };
        let path = format!("{}.test.yaml", self.run);
        let read = |text: &str| project(InputFile { path: path.clone(), bytes: text.as_bytes().to_vec(), named: true });
        let draft = read(&self.file(&[], &happened)?);
        if let Ok(plan) = draft.plan(&self.workflow)
            && plan.hash != self.plan
        {
            let (old, new) = (short(self.plan), short(plan.hash));
            notes
                .push(format!("the run is of version {old} of `{}`; this is played with version {new}", self.workflow));
        }
        match self.played(&draft, &path)? {
            Err(mut why) => notes.append(&mut why),
            Ok([one, other]) => {
                happened = happened.alike(&one, &mut notes).again(&other, &made_up(&draft));
                let text = self.file(&notes, &happened)?;
                let unmet = self.unmet(&read(&text), &path)?;
                notes.extend(unmet.into_iter().map(|unmet| format!("this does not hold: {unmet}")));
            }
        }
        self.file(&notes, &happened)
    }

    /// How the case goes, twice; or why it cannot be played.
    fn played(&self, project: &Project, path: &str) -> Result<Result<[Happened; 2], Vec<String>>, Error> {
        let errors = project.findings.iter().filter(|found| found.severity == Severity::Error);
        let mut why: Vec<String> = errors.map(|found| format!("it cannot be played: {}", found.message)).collect();
        if !why.is_empty() {
            why.dedup();
            return Ok(Err(why));
        }
        let mut played = Vec::new();
        for _ in 0..2 {
            let (_, happened) = self.play(project, path)?;
            played.extend(happened);
        }
        Ok(played.try_into().map_err(|_| vec!["played again, no run is started".to_owned()]))
    }

    fn play(&self, project: &Project, path: &str) -> Result<(Vec<String>, Option<Happened>), Error> {
        let is_this = |file: &wf_dsl::TestFile| project.sources.path(file.workflow.span.file) == path;
        let suite = Suite::new(project, is_this);
        let suite = suite.map_err(|error| Error::new(ErrorKind::Conflict, error.to_string()))?;
        let report = suite.run(NonZeroUsize::MIN);
        let report = report.map_err(|error| Error::new(ErrorKind::Unavailable, format!("no thread: {error}")))?;
        let case = report.cases.into_iter().next();
        Ok(case
            .map_or((Vec::new(), None), |case| (case.unmet.iter().map(ToString::to_string).collect(), case.happened)))
    }

    /// What does not hold in the finished file.
    fn unmet(&self, project: &Project, path: &str) -> Result<Vec<String>, Error> {
        Ok(self.play(project, path)?.0)
    }

    fn file(&self, notes: &[String], happened: &Happened) -> Result<String, Error> {
        let mut text = format!("# Written from run {}, which ended `{}`.\n", self.run, happened.status);
        for note in notes {
            text.push_str(&format!("# NOTE: {}\n", note.replace(['\n', '\r'], " ")));
        }
        let mut case = Map::new();
        case.insert("name".to_owned(), format!("run {} goes as it went", self.run).into());
        case.insert("start".to_owned(), self.start.to_string().into());
        case.insert("trigger".to_owned(), self.trigger.clone());
        let mocks = self.mocks();
        if !mocks.is_empty() {
            case.insert("mocks".to_owned(), Json::Object(mocks));
        }
        if !self.script.is_empty() {
            case.insert("script".to_owned(), self.script.clone().into());
        }
        case.insert("expect".to_owned(), happened.expect());
        text.push_str(&wf_dsl::yaml_text(&json!({"test": self.workflow, "cases": [case]})));
        if text.len() > FILE_BYTES_MAX {
            let message = format!("the test would have {} bytes, and a file at most {FILE_BYTES_MAX}", text.len());
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        Ok(text)
    }

    fn mocks(&self) -> Map<String, Json> {
        let mut mocks = Map::new();
        for (step, outcomes) in &self.calls {
            let gives_null = |outcome: &Outcome| outcome.answer == Answer::Gives(Json::Null);
            if !(self.always_null.contains(step) && outcomes.iter().all(gives_null)) {
                mocks.insert(step.to_string(), mock(outcomes));
            }
        }
        mocks
    }
}

/// The mock whose calls come to these, as short as it can be said.
fn mock(outcomes: &[Outcome]) -> Json {
    let in_parts = outcomes.iter().any(|outcome| outcome.iteration.is_some());
    let takes = |outcome: &Outcome| (in_parts || outcome.takes >= NOTICEABLE).then_some(outcome.takes);
    let takes = |outcome: &Outcome| takes(outcome).filter(|takes| *takes > Period::ZERO);
    let same = |one: &Outcome, other: &Outcome| (&one.answer, takes(one)) == (&other.answer, takes(other));
    let mut mock = Map::new();
    let all_same = outcomes.windows(2).all(|pair| same(&pair[0], &pair[1]));
    if let ([first, ..], true) = (outcomes, all_same && !outcomes.iter().any(|it| it.answer == Answer::Hangs)) {
        first.answer.put(&mut mock);
        put_takes(&mut mock, takes(first));
        return Json::Object(mock);
    }
    let tell_parts = outcomes.windows(2).any(|pair| pair[0].iteration != pair[1].iteration);
    let outcome = |outcome: &Outcome| {
        let mut entry = Map::new();
        if let Some(iteration) = outcome.iteration.as_ref().filter(|_| tell_parts) {
            entry.insert("iteration".to_owned(), iteration.as_str().into());
        }
        outcome.answer.put(&mut entry);
        if outcome.answer != Answer::Hangs {
            put_takes(&mut entry, takes(outcome));
        }
        Json::Object(entry)
    };
    mock.insert("outcomes".to_owned(), outcomes.iter().map(outcome).collect());
    Json::Object(mock)
}

fn put_takes(entry: &mut Map<String, Json>, takes: Option<Period>) {
    if let Some(takes) = takes {
        entry.insert("takes".to_owned(), takes.compact().into());
    }
}

impl Answer {
    fn put(&self, entry: &mut Map<String, Json>) {
        let (name, value) = match self {
            Answer::Gives(output) => ("output", output.clone()),
            Answer::Fails(fail) => ("fail", fail.clone()),
            Answer::Hangs => ("hangs", true.into()),
        };
        entry.insert(name.to_owned(), value);
    }
}

/// The secrets that tests make up.
fn made_up(project: &Project) -> Vec<String> {
    super::secrets(project).into_values().map(|secret| secret.to_string()).collect()
}

fn short(hash: PlanHash) -> String {
    hash.to_string().chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(iteration: Option<&str>, takes: i64, answer: Answer) -> Outcome {
        Outcome { iteration: iteration.map(str::to_owned), takes: Period(takes), answer }
    }

    #[test]
    fn a_mock_is_as_short_as_it_can_be() {
        let gives = |n: i32| Answer::Gives(json!({"n": n}));
        let fails = || Answer::Fails(json!({"code": "http.status.503"}));
        let table = [
            (vec![outcome(None, 999, gives(1))], json!({"output": {"n": 1}})),
            (vec![outcome(None, 1000, gives(1))], json!({"output": {"n": 1}, "takes": "1s"})),
            (vec![outcome(None, 3, gives(1)), outcome(None, 5, gives(1))], json!({"output": {"n": 1}})),
            (vec![outcome(None, 3, fails()), outcome(None, 5, fails())], json!({"fail": {"code": "http.status.503"}})),
            (
                vec![outcome(None, 3, fails()), outcome(None, 5, gives(1))],
                json!({"outcomes": [{"fail": {"code": "http.status.503"}}, {"output": {"n": 1}}]}),
            ),
            (vec![outcome(None, 3, Answer::Hangs)], json!({"outcomes": [{"hangs": true}]})),
            (
                vec![outcome(Some("a[0]"), 3, gives(1)), outcome(Some("a[1]"), 0, gives(1))],
                json!({"outcomes": [
                    {"iteration": "a[0]", "output": {"n": 1}, "takes": "3ms"}, {"iteration": "a[1]", "output": {"n": 1}},
                ]}),
            ),
            (vec![outcome(Some("a[0]"), 0, gives(1)), outcome(Some("a[1]"), 0, gives(1))], json!({"output": {"n": 1}})),
        ];
        for (outcomes, wanted) in table {
            assert_eq!(mock(&outcomes), wanted);
        }
    }
}
