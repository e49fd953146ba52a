//! What is to happen: an event, a run by hand, or one that goes on.

use serde_json::{Map, Value as Json};
use wf_dsl::{Mismatch, Project, Trigger, Workflow, did_you_mean};
use wf_engine::{Event, RunId};

use super::{Args, events};
use crate::exit::{Exit, Failure};
use crate::project::Checked;

/// The event of a workflow that is started by a schedule.
const TICK: &str = "wf.cron";

/// How it begins.
#[derive(Debug)]
pub(super) enum Start {
    /// With events, for whichever workflows they start.
    Events {
        events: Vec<Event>,
        /// The workflow whose run counts; the first run if it is none.
        workflow: Option<String>,
    },
    /// With a run of one workflow.
    ByHand {
        workflow: String,
        /// The event that the run sees, if it sees one.
        event: Option<String>,
        data: Json,
    },
    /// With a run that is there already.
    Resume(RunId),
}

impl Start {
    /// What the arguments ask for. Everything is checked that can be checked before there is a store.
    pub(super) fn of(args: &Args, checked: &Checked) -> Result<Start, Failure> {
        if let Some(run) = args.resume {
            return Ok(Start::Resume(run));
        }
        let project = &checked.project;
        let named = named_workflow(checked)?;
        if let Some(path) = &args.event {
            let events = events::read(path)?;
            check(&events, project, named)?;
            return Ok(Start::Events { events, workflow: named.map(|workflow| workflow.name.value.clone()) });
        }
        let workflow = named.or(match &*project.workflows {
            [only] => Some(only),
            _ => None,
        });
        let Some(workflow) = workflow else {
            let names: Vec<_> = project.workflows.iter().map(|workflow| workflow.name.value.as_str()).collect();
            let failure = Failure::usage(format!("the project has several workflows: {}", names.join(", ")));
            return Err(failure.help("name the file of one, or give an event: `--event FILE`"));
        };
        let data = args.data.as_deref().map(serde_json::from_str).transpose();
        let data: Option<Json> = data.map_err(|error| Failure::usage(format!("`--data` is not JSON: {error}")))?;
        by_hand(workflow, project, data)
    }
}

/// The workflow of the file that was named; none for a project.
fn named_workflow(checked: &Checked) -> Result<Option<&Workflow>, Failure> {
    let Some(path) = checked.folder.named.first() else { return Ok(None) };
    let sources = &checked.project.sources;
    let found = checked.project.workflows.iter().find(|workflow| sources.path(workflow.name.span.file) == path);
    found.map(|workflow| Some(&**workflow)).ok_or_else(|| Failure::usage(format!("`{path}` is no workflow")))
}

fn by_hand(workflow: &Workflow, project: &Project, data: Option<Json>) -> Result<Start, Failure> {
    let name = &workflow.name.value;
    let events = events_of(workflow);
    let start =
        |event: Option<&str>, data| Start::ByHand { workflow: name.clone(), event: event.map(str::to_owned), data };
    let has_schedule = workflow.triggers.iter().any(|trigger| matches!(trigger, Trigger::Cron { .. }));
    let given = data.is_some();
    let data = data.unwrap_or_else(|| Json::Object(Map::new()));
    let (event, ty) = match &*events {
        _ if has_schedule && !given => return Ok(start(Some(TICK), data)),
        [] if given && has_schedule => {
            return Err(Failure::usage(format!("`{name}` is started by a schedule, and takes no data")));
        }
        [] => (None, workflow.input.as_ref()),
        [one] => (Some(*one), project.events.get(*one).map(|event| &event.data)),
        several => {
            let failure = Failure::usage(format!("`{name}` has several triggers: {}", several.join(", ")));
            return Err(failure.help("give the event with its name: `--event FILE`"));
        }
    };
    match ty.map(|ty| ty.accept(&data)) {
        None if event.is_some() && !given => Err(wants_data(name, event)),
        Some(Err(_)) if !given => Err(wants_data(name, event)),
        Some(Err(wrong)) => {
            let what = event.map_or_else(|| format!("the input of `{name}`"), |event| format!("the data of `{event}`"));
            Err(does_not_fit(&what, &wrong))
        }
        _ => Ok(start(event, data)),
    }
}

fn wants_data(workflow: &str, event: Option<&str>) -> Failure {
    match event {
        Some(event) => Failure::usage(format!("`{workflow}` is started by `{event}`, which needs data"))
            .help("give the event, `--event FILE`, or its data, `--data JSON`"),
        None => Failure::usage(format!("`{workflow}` needs its input")).help("give it as JSON: `--data JSON`"),
    }
}

/// All events are checked before the first is sent: a list is taken whole or not at all.
fn check(events: &[Event], project: &Project, named: Option<&Workflow>) -> Result<(), Failure> {
    for event in events {
        let name = &event.name;
        if name.starts_with("wf.") {
            return Err(Failure::usage(format!("`{name}` is a name of the engine's own, which nobody sends")));
        }
        let Some(ty) = project.events.get(name) else { continue };
        ty.data.accept(&event.data).map_err(|wrong| does_not_fit(&format!("the data of `{name}`"), &wrong))?;
    }
    let starts = |workflow: &Workflow| events.iter().any(|event| events_of(workflow).contains(&event.name.as_str()));
    let sent = events.first().map(|event| event.name.as_str()).unwrap_or_default();
    if let Some(workflow) = named
        && !starts(workflow)
    {
        let triggers = events_of(workflow).join(", ");
        let failure = Failure::usage(format!("`{sent}` does not start `{}`", workflow.name.value));
        return Err(if triggers.is_empty() { failure } else { failure.help(format!("it is started by {triggers}")) });
    }
    if !project.workflows.iter().any(|workflow| starts(workflow)) {
        let mut known: Vec<&str> = project.workflows.iter().flat_map(|workflow| events_of(workflow)).collect();
        known.sort_unstable();
        known.dedup();
        let help = did_you_mean(sent, known.iter().copied());
        let help = help.unwrap_or_else(|| format!("workflows are started by {}", known.join(", ")));
        let failure = Failure::new(Exit::NotFound, format!("no workflow is started by `{sent}`"));
        return Err(if known.is_empty() { failure } else { failure.help(help) });
    }
    Ok(())
}

fn events_of(workflow: &Workflow) -> Vec<&str> {
    let triggers = workflow.triggers.iter();
    triggers
        .filter_map(|trigger| match trigger {
            Trigger::Event { event, .. } => Some(event.value.as_str()),
            Trigger::Cron { .. } => None,
        })
        .collect()
}

fn does_not_fit(what: &str, wrong: &[Mismatch]) -> Failure {
    let line = |wrong: &Mismatch| match wrong.pointer.as_str() {
        "" => format!("\n  {}", wrong.message),
        _ => format!("\n  {wrong}"),
    };
    let wrong: String = wrong.iter().map(line).collect();
    Failure::usage(format!("{what} does not fit its type:{wrong}"))
}
