//! Examples: a workflow with everything that it may come to, and what happens to it when nothing goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use wf_dsl::{Body, CatchUp, Plan, Project, Time, Trigger, WaitGuard, Workflow};
use wf_engine::{StepKind, Type};

use crate::case::{Case, period};
use crate::chance::{self, Random, happens, one};
use crate::kinds::{self, Calls};
use crate::sequence::Sequence;
use crate::witness;

/// When the virtual time of a project's examples begins: a day before the clocks of Europe go forward.
const BEGIN: &str = "2026-03-28T06:30:00Z";
/// How many ticks of a schedule are watched.
const TICKS: usize = 3;
/// How long schedules are watched at most, in milliseconds.
const CRON_SPAN_MAX: i64 = 60 * 3_600_000;

/// One workflow to be simulated.
pub(crate) struct Example {
    pub(crate) name: String,
    pub(crate) plans: Vec<Arc<Plan>>,
    pub(crate) begin: Time,
    /// The secrets that are read.
    pub(crate) secrets: BTreeMap<String, Arc<str>>,
    /// How long it is watched at least, in milliseconds.
    pub(crate) watched: i64,
    script: Script,
}

enum Script {
    /// What the case's file says.
    Case(Vec<Act>),
    /// What the types of the workflow's events allow.
    Types,
}

/// Something that happens to the engine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Act {
    /// When, in milliseconds after the beginning.
    pub(crate) at: i64,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// An event is sent, under an id of the sender's.
    Send { name: String, data: Json, id: String, ts: Option<Time> },
    /// A run is started by hand.
    Start { workflow: String, data: Json },
    /// An open run is cancelled: the `nth` of them, of this workflow if one is named.
    Cancel { workflow: Option<String>, nth: usize },
    /// The process is killed, and nobody is there for so many milliseconds.
    Down(i64),
}

impl Example {
    /// The cases of the engine's own tests.
    pub(crate) fn cases() -> Vec<Example> {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(root("tests/runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        paths.sort();
        paths.iter().map(|path| Example::of_case("runs", &Case::read(path))).collect()
    }

    /// Limits by chance, as the model of limits has them.
    pub(crate) fn of_limits(seed: u64) -> Example {
        Example::of_case("limits", &Case::of(seed.to_string(), Sequence::of(seed).text()))
    }

    fn of_case(folder: &str, case: &Case) -> Example {
        let mut acts = Vec::new();
        for (number, entry) in case.script.script.iter().enumerate() {
            let what = if let Some(name) = &entry.send {
                let ts = entry.ts.as_ref().map(|ts| ts.parse().unwrap());
                let id = entry.id.clone().unwrap_or_else(|| format!("entry-{number}"));
                What::Send { name: name.clone(), data: entry.data.clone(), id, ts }
            } else if let Some(workflow) = &entry.start {
                What::Start { workflow: workflow.clone(), data: entry.data.clone() }
            } else if let Some(workflow) = &entry.cancel {
                What::Cancel { workflow: Some(workflow.clone()), nth: 0 }
            } else if let Some(down) = &entry.down {
                What::Down(period(down).0)
            } else {
                continue;
            };
            acts.push(Act { at: entry.after().0, what });
        }
        Example {
            name: format!("{folder}/{}", case.name),
            plans: case.plans().into_iter().map(Arc::new).collect(),
            begin: case.begin(),
            secrets: [("token".to_owned(), Arc::from("s3cret/of the+tests"))].into(),
            watched: case.script.until.as_ref().map_or(0, |until| period(until).0),
            script: Script::Case(acts),
        }
    }

    /// The workflows of a project, each with those that it starts.
    pub(crate) fn of_project(folder: &str) -> Vec<Example> {
        let project = Project::read(crate::folder::input(&root(folder)), &crate::folder::catalog());
        assert!(!project.findings.has_errors(), "{folder}: {:?}", project.findings);
        let mut texts = String::new();
        for file in crate::folder::input(&root(folder)).files {
            texts.push_str(&String::from_utf8_lossy(&file.bytes));
        }
        let secrets = secrets_of(&texts);
        let mut examples = Vec::new();
        for workflow in &project.workflows {
            let name = &workflow.name.value;
            let closure = closure(&project, name);
            let plans: Vec<Arc<Plan>> =
                closure.iter().map(|name| Arc::new(project.plan(name).expect("a project without errors"))).collect();
            let begin = BEGIN.parse().unwrap();
            let watched = plans.iter().flat_map(|plan| cron_of(&plan.workflow)).map(|(pattern, zone, ..)| {
                let cron = wf_dsl::Schedule::parse(pattern, zone).expect("the schedule of a plan");
                let last = std::iter::successors(cron.after(begin), |tick| cron.after(*tick)).nth(TICKS - 1);
                last.map_or(CRON_SPAN_MAX, |last| CRON_SPAN_MAX.min(last.0 - begin.0 + 60_000))
            });
            let watched = watched.max().unwrap_or(0);
            examples.push(Example {
                name: format!("{}/{name}", folder.rsplit('/').next().unwrap()),
                plans,
                begin,
                secrets: secrets.clone(),
                watched,
                script: Script::Types,
            });
        }
        examples
    }

    /// Whether a file says what happens to it: then there is one way only.
    pub(crate) fn is_scripted(&self) -> bool {
        matches!(self.script, Script::Case(_))
    }

    /// What happens to the example, in one of several ways.
    pub(crate) fn acts(&self, random: &mut Random) -> Vec<Act> {
        let mut acts = match &self.script {
            Script::Case(acts) => acts.clone(),
            Script::Types => self.acts_by_type(random),
        };
        self.bring_forward(&mut acts);
        acts
    }

    /// Sorts what happens; all of it happens while the example is watched. A month of ticks says no more than some.
    pub(crate) fn bring_forward(&self, acts: &mut [Act]) {
        for act in acts.iter_mut().filter(|act| self.watched > 0 && act.at > self.watched) {
            act.at %= self.watched;
        }
        acts.sort_by_key(|act| act.at);
    }

    /// An event that means something to the example; none if no event does.
    pub(crate) fn event(&self, random: &mut Random, at: i64) -> Option<What> {
        let started = self.plans.iter().flat_map(|plan| events_of(&plan.workflow));
        let awaited = self.plans.iter().flat_map(|plan| awaited_of(&plan.workflow));
        let names: Vec<&str> = started.chain(awaited).collect();
        (!names.is_empty()).then(|| {
            let name = *one(random, &names);
            self.send(random, name, at)
        })
    }

    /// The kinds of its steps.
    pub(crate) fn kinds(&self, random: Random) -> Vec<Arc<dyn StepKind>> {
        match self.script {
            Script::Case(_) => kinds::all(&Calls::default()),
            Script::Types => witness::scripted(&self.plans, random),
        }
    }

    fn acts_by_type(&self, random: &mut Random) -> Vec<Act> {
        let main = &self.plans[0].workflow;
        let mut acts = Vec::new();
        let started: Vec<&str> = events_of(main).collect();
        for _ in 0..1 + random.below(3) {
            let at = if happens(random, 50) { 0 } else { chance::span(random) };
            if !started.is_empty() {
                let name = *one(random, &started);
                acts.push(Act { at, what: self.send(random, name, at) });
            } else if cron_of(main).next().is_none() {
                let now = Time(self.begin.0 + at);
                let data = match &main.input {
                    Some(ty) => chance::value(random, ty, "input", now),
                    None => Json::Object(Map::new()),
                };
                acts.push(Act { at, what: What::Start { workflow: main.name.value.clone(), data } });
            }
        }
        for plan in &self.plans {
            for name in awaited_of(&plan.workflow) {
                for _ in 0..random.below(3) {
                    let at = chance::span(random);
                    acts.push(Act { at, what: self.send(random, name, at) });
                }
            }
        }
        acts
    }

    fn send(&self, random: &mut Random, name: &str, at: i64) -> What {
        let ty = self.plans.iter().find_map(|plan| plan.events.get(name)).map_or(&Type::Any, |event| &event.data);
        let now = Time(self.begin.0 + at);
        let data = chance::value(random, ty, name, now);
        let id = format!("{name}-{}", random.below(1 << 30));
        let ts = happens(random, 5).then(|| Time(now.0 + chance::span(random)));
        What::Send { name: name.to_owned(), data, id, ts }
    }
}

/// A path from the root of the repository.
fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A workflow and all that it may start, itself first.
fn closure(project: &Project, name: &str) -> Vec<String> {
    let mut found = vec![name.to_owned()];
    let mut at = 0;
    while let Some(name) = found.get(at).cloned() {
        at += 1;
        let Some(workflow) = project.workflows.iter().find(|workflow| workflow.name.value == name) else { continue };
        for step in &workflow.steps {
            let next: Vec<String> = match &step.body {
                Body::Invoke { workflow, .. } => vec![workflow.value.clone()],
                Body::SendEvent { name, .. } => {
                    let starts = |workflow: &&Arc<Workflow>| events_of(workflow).any(|event| event == name.value);
                    project.workflows.iter().filter(starts).map(|workflow| workflow.name.value.clone()).collect()
                }
                _ => Vec::new(),
            };
            for name in next {
                if !found.contains(&name) {
                    found.push(name);
                }
            }
        }
    }
    found
}

fn events_of(workflow: &Workflow) -> impl Iterator<Item = &str> {
    workflow.triggers.iter().filter_map(|trigger| match trigger {
        Trigger::Event { event, .. } if !event.value.starts_with("wf.") => Some(event.value.as_str()),
        _ => None,
    })
}

fn awaited_of(workflow: &Workflow) -> impl Iterator<Item = &str> {
    let waits = workflow.steps.iter().filter_map(|step| match &step.body {
        Body::Wait(alternatives) => Some(alternatives),
        _ => None,
    });
    let awaited = waits.flatten().filter_map(|alternative| match &alternative.guard {
        WaitGuard::Event(event) => Some(event),
        WaitGuard::After(_) | WaitGuard::Until(_) => None,
    });
    let names = awaited.chain(&workflow.cancel_on).map(|event| event.event.value.as_str());
    names.filter(|name| !name.starts_with("wf.")).collect::<BTreeSet<_>>().into_iter()
}

/// The schedules of a workflow: pattern, zone, and whether every tick starts a run, missed ones too.
pub(crate) fn cron_of(workflow: &Workflow) -> impl Iterator<Item = (&str, &str, wf_dsl::Overlap, CatchUp)> {
    workflow.triggers.iter().filter_map(|trigger| match trigger {
        Trigger::Cron { cron, timezone, overlap, catch_up } => {
            Some((cron.value.as_str(), timezone.value.as_str(), *overlap, *catch_up))
        }
        Trigger::Event { .. } => None,
    })
}

/// A value for every secret that a text names.
fn secrets_of(text: &str) -> BTreeMap<String, Arc<str>> {
    let names = text.split("secrets.").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    names.map(|name| (name.clone(), format!("secret {name}").into())).collect()
}
