//! Cases: workflows and a script.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value as Json;
use wf_dsl::{InputFile, Period, Plan, Project, ProjectInput, Time};
use wf_engine::History;

use crate::kinds;

/// When a case begins, if it does not say: a Monday.
const BEGIN: &str = "2026-01-05T09:00:00Z";

/// A case as its file has it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) script: Script,
    /// The plans as the store would have them.
    plans: Vec<Arc<str>>,
    files: Vec<InputFile>,
}

/// Who does what when.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// When virtual time begins.
    #[serde(default = "begin")]
    pub(crate) begin: String,
    /// What happens, in order.
    pub(crate) script: Vec<Entry>,
    /// When to look, for what never comes to rest.
    #[serde(default)]
    pub(crate) until: Option<String>,
}

fn begin() -> String {
    BEGIN.to_owned()
}

/// One thing that happens; exactly one of `send`, `start`, `cancel`, `pause`, `resume` and `down`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Entry {
    /// How long after the beginning.
    pub(crate) at: String,
    /// An event is sent.
    pub(crate) send: Option<String>,
    /// A run of this workflow is started by hand.
    pub(crate) start: Option<String>,
    /// All open runs of this workflow are cancelled; with `id` only that of the event with this id.
    pub(crate) cancel: Option<String>,
    /// No run of this workflow begins from now on.
    pub(crate) pause: Option<String>,
    /// They begin again.
    pub(crate) resume: Option<String>,
    /// The process is killed, and begins again after this time.
    pub(crate) down: Option<String>,
    /// The event's data.
    pub(crate) data: Json,
    /// The sender's id of the event.
    pub(crate) id: Option<String>,
    /// The event's `ts`.
    pub(crate) ts: Option<String>,
}

impl Case {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Case {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Case::of(name, text)
    }

    /// Reads a text.
    pub(crate) fn of(name: impl Into<String>, text: impl Into<String>) -> Case {
        let (name, text) = (name.into(), text.into());
        let mut files = Vec::new();
        let mut script = None;
        for (number, part) in text.split("\n---\n").enumerate() {
            let value: BTreeMap<String, serde_yaml::Value> =
                serde_yaml::from_str(part).unwrap_or_else(|error| panic!("{name}: {error}"));
            if value.contains_key("script") {
                script = Some(serde_yaml::from_str(part).unwrap_or_else(|error| panic!("{name}: {error}")));
            } else {
                files.push(InputFile { path: format!("{number}.yaml"), bytes: part.into(), named: true });
            }
        }
        let project = read(files.clone());
        let wrong: Vec<String> = project
            .findings
            .iter()
            .filter(|finding| finding.severity == wf_dsl::Severity::Error)
            .map(|finding| format!("{}: {}", finding.code, finding.message))
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        let plans = project.workflows.iter().map(|workflow| project.plan(&workflow.name.value).unwrap().stored);
        let first = || Script {
            begin: begin(),
            script: vec![Entry { start: Some(project.workflows[0].name.value.clone()), ..Entry::default() }],
            until: None,
        };
        Case { plans: plans.collect(), files, script: script.unwrap_or_else(first), name, text }
    }

    /// The project with a file more.
    pub(crate) fn project_with(&self, file: InputFile) -> Project {
        let mut files = self.files.clone();
        files.push(file);
        read(files)
    }

    /// An engine with the plans and the kinds of the tests, to be built.
    pub(crate) fn engine(&self, calls: &kinds::Calls) -> wf_engine::Builder {
        let all = History { records: u64::MAX, bytes: u64::MAX };
        wf_engine::Engine::builder().plans(self.plans()).kinds(kinds::all(calls)).retention(None).history(all)
    }

    /// The plans, read from what would be stored.
    pub(crate) fn plans(&self) -> Vec<Plan> {
        self.plans.iter().map(|stored| Plan::load(stored).unwrap()).collect()
    }

    /// When virtual time begins.
    pub(crate) fn begin(&self) -> Time {
        self.script.begin.parse().unwrap()
    }

    /// Whether every step takes no time and draws no chance, so that times are the same after a crash.
    pub(crate) fn is_exact(&self) -> bool {
        !self.text.contains("takes:") && !self.text.contains("jitter:")
    }

    /// Whether the case can be run on the simulated clock, which jumps whenever nothing happens: one thing happens, at
    /// the beginning, and attempts take no time.
    pub(crate) fn is_timeless(&self) -> bool {
        let at_once = |entry: &Entry| entry.at.is_empty() && entry.down.is_none();
        matches!(self.script.script.as_slice(), [entry] if at_once(entry))
            && self.is_exact()
            && self.script.until.is_none()
    }
}

fn read(files: Vec<InputFile>) -> Project {
    Project::read(ProjectInput { files, ..ProjectInput::default() }, &kinds::catalog())
}

impl Entry {
    /// When it happens.
    pub(crate) fn after(&self) -> Period {
        if self.at.is_empty() { Period::ZERO } else { period(&self.at) }
    }
}

pub(crate) fn period(text: &str) -> Period {
    text.parse().unwrap_or_else(|error| panic!("`{text}`: {error}"))
}
