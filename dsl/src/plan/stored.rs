//! Plans as they are stored: made from a project, and read again years later.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::{Body, EventType, MessageTemplate, Plan, PlanHash, Trigger, WaitGuard, Workflow, normal};
use crate::catalog::{Catalog, Kind};
use crate::diagnostic::{Findings, Severity};
use crate::form::Form;
use crate::node::Node;
use crate::plan::Retry;
use crate::project::{Medium, Policy, Project};
use crate::read::{self, Context, Kinds};
use crate::source::{Span, Spanned};
use crate::types::Type;

/// The layout of a stored plan. Another layout has another number.
pub const PLAN_FORMAT: u64 = 1;

/// What expressions mean. A change of meaning is another edition.
pub const PLAN_EDITION: u64 = 1;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The project has no workflow of this name.
    #[error("there is no workflow `{0}`")]
    Unknown(String),
    /// The project has errors; its findings say which.
    #[error("the project has {0} errors")]
    Invalid(usize),
    /// A newer wf has stored the plan.
    #[error("the plan has {what} {found}, and this version of wf knows {known}")]
    Newer {
        /// `format` or `edition`.
        what: &'static str,
        /// That of the plan.
        found: u64,
        /// The newest one known here.
        known: u64,
    },
    /// The stored text is damaged.
    #[error("the stored plan cannot be read: {0}")]
    Damaged(String),
}

impl Project {
    /// The plan of a workflow, with everything that it needs.
    ///
    /// # Errors
    /// [`PlanError::Unknown`], or [`PlanError::Invalid`] as long as the project has errors.
    pub fn plan(&self, name: &str) -> Result<Plan, PlanError> {
        let index = self.workflows.iter().position(|workflow| workflow.name.value == name);
        let index = index.ok_or_else(|| PlanError::Unknown(name.to_owned()))?;
        if self.findings.has_errors() {
            return Err(PlanError::Invalid(self.findings.errors()));
        }
        let (workflow, tree) = (&self.workflows[index], &self.trees[index]);
        let events = event_types(self, workflow);
        let kinds = kinds(self, workflow);
        let templates = templates(self, workflow, &kinds);
        let stored = json!({
            "format": PLAN_FORMAT,
            "edition": PLAN_EDITION,
            "workflow": normal::workflow(tree),
            "timezone": self.settings.timezone.value,
            "defaults": defaults(self, tree),
            "retries": retries(self, tree),
            "events": events.values().map(event_json).collect::<Map<_, _>>(),
            "templates": templates,
            "kinds": kinds.values().map(kind_json).collect::<Vec<_>>(),
            "bare_kinds": bare_kinds(self, workflow),
        });
        let stored = stored.to_string();
        Ok(Plan {
            hash: hash(&stored),
            stored: stored.into(),
            workflow: Workflow::clone(workflow),
            events,
            templates,
            kinds,
        })
    }
}

impl Plan {
    /// Reads a stored plan. It has been checked when it was made and is not checked again, so that newer rules never
    /// stop an older run.
    ///
    /// # Errors
    /// [`PlanError::Newer`] and [`PlanError::Damaged`].
    pub fn load(stored: &str) -> Result<Plan, PlanError> {
        let json: Json = serde_json::from_str(stored).map_err(|error| PlanError::Damaged(error.to_string()))?;
        for (what, known) in [("format", PLAN_FORMAT), ("edition", PLAN_EDITION)] {
            match json.get(what).and_then(Json::as_u64) {
                Some(found) if found > known => return Err(PlanError::Newer { what, found, known }),
                Some(_) => {}
                None => return Err(PlanError::Damaged(format!("it has no {what}"))),
            }
        }
        let (kinds, bare): (Vec<Kind>, BTreeSet<String>) = (part(&json, "kinds")?, part(&json, "bare_kinds")?);
        let templates: BTreeMap<String, MessageTemplate> = part(&json, "templates")?;
        let timezone: String = part(&json, "timezone")?;
        let events = json.get("events").and_then(Json::as_object).into_iter().flatten();
        let events = events.map(|(name, event)| event_type(name, event)).collect::<Result<BTreeMap<_, _>, _>>()?;

        let mut found = Findings::default();
        let policies = stored_policies(&json, &mut found);
        let defaults = Node::from_json(json.get("defaults").unwrap_or(&Json::Null));
        let retry = defaults.get("retry").and_then(|node| read::resolve(node, &policies, &mut found));
        let timeout = defaults.get("timeout").and_then(|node| read::duration(node, &mut found));
        let catalog: Catalog = kinds.iter().cloned().collect();
        let context = Context {
            kinds: &Kinds::new(&catalog, &bare, false),
            policies: &policies,
            retry: retry.as_deref(),
            timeout: timeout.as_ref(),
            timezone: &Spanned::new(timezone, Span::NOWHERE),
        };
        let tree = json.get("workflow").ok_or_else(|| PlanError::Damaged("it has no workflow".to_owned()))?;
        let workflow = read::workflow(&Node::from_json(tree), &context, &mut found);
        if let Some(error) = found.iter().find(|finding| finding.severity == Severity::Error) {
            return Err(PlanError::Damaged(error.message.clone()));
        }
        let kinds = kinds.into_iter().map(|kind| (kind.name.clone(), kind)).collect();
        Ok(Plan { hash: hash(stored), stored: stored.into(), workflow, events, templates, kinds })
    }
}

fn hash(stored: &str) -> PlanHash {
    PlanHash(Sha256::digest(stored.as_bytes()).into())
}

fn part<T: serde::de::DeserializeOwned>(json: &Json, key: &str) -> Result<T, PlanError> {
    let part = json.get(key).cloned().unwrap_or_default();
    serde_json::from_value(part).map_err(|error| PlanError::Damaged(format!("`{key}`: {error}")))
}

/// The event types that a workflow names.
fn event_types(project: &Project, workflow: &Workflow) -> BTreeMap<String, EventType> {
    let mut names: Vec<&str> = Vec::new();
    names.extend(workflow.triggers.iter().filter_map(|trigger| match trigger {
        Trigger::Event { event, .. } => Some(event.value.as_str()),
        Trigger::Cron { .. } => None,
    }));
    names.extend(workflow.cancel_on.iter().map(|matched| matched.event.value.as_str()));
    for step in &workflow.steps {
        match &step.body {
            Body::SendEvent { name, .. } => names.push(&name.value),
            Body::Wait(alternatives) => names.extend(alternatives.iter().filter_map(|one| match &one.guard {
                WaitGuard::Event(matched) => Some(matched.event.value.as_str()),
                WaitGuard::After(_) | WaitGuard::Until(_) => None,
            })),
            _ => {}
        }
    }
    let known =
        names.into_iter().filter_map(|name| Some((name.to_owned(), EventType::clone(project.events.get(name)?))));
    known.collect()
}

fn event_json(event: &EventType) -> (String, Json) {
    (event.name.value.clone(), json!({"data": event.data.to_notation(), "external": event.external}))
}

fn event_type(name: &str, json: &Json) -> Result<(String, EventType), PlanError> {
    let data = Type::from_notation(json.get("data").unwrap_or(&Json::Null)).map_err(PlanError::Damaged)?;
    let external = json.get("external").and_then(Json::as_bool).unwrap_or_default();
    let event = EventType { name: Spanned::new(name.to_owned(), Span::NOWHERE), data, external, description: None };
    Ok((name.to_owned(), event))
}

/// The kinds that a workflow uses, without what only checks and people need.
fn kinds(project: &Project, workflow: &Workflow) -> BTreeMap<String, Kind> {
    let names: BTreeSet<&str> = effects(workflow).map(|(kind, _)| kind).collect();
    let described = |name: &str| {
        let kind = project.catalog.get(name)?.clone();
        let kind = Kind {
            description: String::new(),
            body: Json::Bool(true),
            repeats: BTreeMap::new(),
            examples: Vec::new(),
            ..kind
        };
        Some((name.to_owned(), kind))
    };
    names.into_iter().filter_map(described).collect()
}

fn kind_json(kind: &Kind) -> Json {
    serde_json::to_value(kind).unwrap_or_default()
}

fn bare_kinds<'p>(project: &'p Project, workflow: &Workflow) -> BTreeSet<&'p String> {
    effects(workflow).filter_map(|(kind, _)| project.settings.bare_kinds.get(kind)).collect()
}

fn effects(workflow: &Workflow) -> impl Iterator<Item = (&str, &Form)> {
    workflow.steps.iter().filter_map(|step| match &step.body {
        Body::Effect(form) => Some((step.kind.value.as_str(), form)),
        _ => None,
    })
}

/// The templates that a workflow may render: those that it names, or all if a name is computed.
fn templates(
    project: &Project,
    workflow: &Workflow,
    kinds: &BTreeMap<String, Kind>,
) -> BTreeMap<String, MessageTemplate> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for (kind, body) in effects(workflow).filter(|(kind, _)| kinds.contains_key(*kind)) {
        let fields = project.catalog.get(kind).and_then(|kind| kind.body.get("properties"));
        let Some(template) =
            body.get("template").filter(|_| fields.is_some_and(|fields| fields.get("template").is_some()))
        else {
            continue;
        };
        match template {
            Form::Literal(name, _) => names.extend(name.as_str()),
            _ => names.extend(project.templates.keys().map(String::as_str)),
        }
    }
    let known = names.into_iter().filter_map(|name| Some((name.to_owned(), project.template(name)?)));
    known.collect()
}

/// The project's defaults, as far as the workflow does not have its own.
fn defaults(project: &Project, tree: &Node) -> Json {
    let own = |key: &str| tree.get("defaults").is_some_and(|defaults| defaults.get(key).is_some());
    let mut defaults = Map::new();
    if let Some(retry) = project.settings.defaults.retry.as_ref().filter(|_| !own("retry")) {
        // An empty list is not what a file could say.
        let retry = if retry.is_empty() { json!(read::NONE) } else { retry.iter().map(Retry::to_json).collect() };
        defaults.insert("retry".to_owned(), retry);
    }
    if let Some(timeout) = project.settings.defaults.timeout.as_ref().filter(|_| !own("timeout")) {
        defaults.insert("timeout".to_owned(), timeout_json(timeout));
    }
    Json::Object(defaults)
}

fn timeout_json(timeout: &Form) -> Json {
    match timeout {
        Form::Literal(value, _) => value.as_period().map_or(Json::Null, |period| Json::from(period.compact())),
        other => other.to_json(),
    }
}

/// The named policies that a workflow mentions.
fn retries(project: &Project, tree: &Node) -> Json {
    let mut names = BTreeSet::new();
    read::policy_names(tree, &mut names);
    let known = names.into_iter().filter_map(|name| Some((name.to_owned(), project.settings.retries.get(name)?)));
    Json::Object(known.map(|(name, policy)| (name, policy.retry.to_json())).collect())
}

fn stored_policies(json: &Json, found: &mut Findings) -> IndexMap<String, Policy> {
    let entries = json.get("retries").and_then(Json::as_object).into_iter().flatten();
    let policies = entries.filter_map(|(name, policy)| {
        let retry = read::policy(&Node::from_json(policy), found)?;
        Some((name.clone(), Policy { name: Spanned::new(name.clone(), Span::NOWHERE), retry }))
    });
    policies.collect()
}

impl Project {
    /// The texts of a template.
    pub fn template(&self, name: &str) -> Option<MessageTemplate> {
        let files = self.templates.get(name)?;
        let text = |medium: Medium| Some(self.sources.get(*files.get(&medium)?)?.text.to_string());
        Some(MessageTemplate { text: text(Medium::Text), html: text(Medium::Html), sms: text(Medium::Sms) })
    }
}
