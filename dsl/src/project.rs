//! A project: all files that belong together, read and checked.

mod file;
mod ground;
mod input;
mod read;
mod template;
mod test;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::catalog::Catalog;
use crate::check::Checked;
use crate::diagnostic::Findings;
use crate::form::Form;
use crate::node::Node;
use crate::plan::{EventType, Retry, Workflow};
use crate::source::{FileId, Sources, Span, Spanned};
use crate::time::Time;
use crate::types::Type;
use crate::value::Value;

pub(crate) use file::ReadFile;
pub(crate) use template::{AllWants, Wants};

pub use test::{
    Expect, ExpectedCall, ExpectedEvent, Happening, Happens, Mock, MockFailure, MockOutcome, TEST_START, TestCase,
    TestFile, TestTrigger,
};

pub use input::{InputCatalog, InputFile, InputTemplate, Medium, Outline, ProjectInput};

/// A project, read and checked.
#[derive(Debug, Default)]
pub struct Project {
    /// All files, templates included.
    pub sources: Sources,
    /// What `wf.yaml` says.
    pub settings: Settings,
    /// All event types by name.
    pub events: BTreeMap<String, Arc<EventType>>,
    /// All workflows in the order of their files. Of two with one name, the first counts.
    pub workflows: Vec<Arc<Workflow>>,
    /// All files of workflow tests.
    pub tests: Vec<Arc<TestFile>>,
    /// All templates by name.
    pub templates: BTreeMap<String, BTreeMap<Medium, FileId>>,
    /// The kinds of the host and of the catalogs that `kinds:` names.
    pub catalog: Catalog,
    /// How many files of each sort there were.
    pub counts: Counts,
    /// All that is wrong.
    pub findings: Findings,
    /// Event types may be other than they were read, because their files have mistakes.
    pub(crate) events_hidden: bool,
    /// The files of workflows that may be started by something else than was read, because of mistakes there.
    pub(crate) triggers_hidden: BTreeSet<FileId>,
    /// What the templates take.
    pub(crate) wants: AllWants,
    /// When it was read, if the caller knows.
    pub(crate) read_at: Option<Time>,
    /// The trees of the workflows, in their order.
    pub(crate) trees: Vec<Arc<Node>>,
    /// The YAML files, by their ids.
    pub(crate) files: Vec<Arc<ReadFile>>,
    /// The files of templates, whose ids follow.
    template_files: Vec<Arc<template::ReadTemplate>>,
    /// What the workflows were read with.
    pub(crate) ground: Arc<ground::Ground>,
    /// The workflows as they were read, in their order.
    read_workflows: Vec<Arc<read::ReadWorkflow>>,
    /// What the checks leave for the next time.
    pub(crate) checked: Checked,
}

impl Project {
    /// The workflow with this name.
    pub fn workflow(&self, name: &str) -> Option<&Workflow> {
        self.workflows.iter().find(|workflow| workflow.name.value == name).map(|workflow| &**workflow)
    }
}

/// How many files of each sort were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Workflow files.
    pub workflows: usize,
    /// Files of event types.
    pub events: usize,
    /// Files of tests.
    pub tests: usize,
    /// YAML files that are none of ours.
    pub left_alone: usize,
}

/// What `wf.yaml` says, with its defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `project:`
    pub name: Option<Spanned<String>>,
    /// `timezone:`, an IANA name; UTC by default.
    pub timezone: Spanned<String>,
    /// `connections:`
    pub connections: IndexMap<String, Connection>,
    /// `retries:`, the named policies.
    pub retries: IndexMap<String, Policy>,
    /// `defaults:`
    pub defaults: Defaults,
    /// Kinds that `kinds:` names without describing them: accepted, their bodies unchecked.
    pub bare_kinds: BTreeSet<String>,
    /// `config:`, the values that are filled from the environment.
    pub config: IndexMap<String, ConfigValue>,
    /// `webhooks:`, by source.
    pub webhooks: IndexMap<String, Webhook>,
    /// `http.allow:`, hosts and networks that `http` may reach although they are private.
    pub http_allow: Vec<Spanned<String>>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            name: None,
            timezone: Spanned::new("UTC".to_owned(), Span::NOWHERE),
            connections: IndexMap::new(),
            retries: IndexMap::new(),
            defaults: Defaults::default(),
            bare_kinds: BTreeSet::new(),
            config: IndexMap::new(),
            webhooks: IndexMap::new(),
            http_allow: Vec::new(),
        }
    }
}

/// A connection of `wf.yaml`.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its name.
    pub name: Spanned<String>,
    /// `kind:`, such as `smtp` or `postgres`.
    pub kind: Spanned<String>,
    /// `optional: true`: without it, steps fail with `<kind>.unavailable`.
    pub optional: bool,
    /// `stand_in:`, SQL files that fill the stand-in of a database.
    pub stand_in: Vec<Spanned<String>>,
    /// All other fields, such as `url` and `from`.
    pub fields: Vec<(Spanned<String>, Form)>,
}

/// A named retry policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name.
    pub name: Spanned<String>,
    /// What it says.
    pub retry: Retry,
}

/// `defaults:` of a project or a workflow; for effects only.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// `retry:`; none if it is not written, empty for `retry: none`.
    pub retry: Option<Vec<Retry>>,
    /// `timeout:`
    pub timeout: Option<Form>,
}

/// A value of `config:`.
#[derive(Clone, Debug)]
pub struct ConfigValue {
    /// Its name.
    pub name: Spanned<String>,
    /// Its type.
    pub ty: Type,
    /// What it is when the environment does not say.
    pub default: Option<Value>,
}

/// A source of webhooks.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its name, the last part of the URL.
    pub source: Spanned<String>,
    /// `verify:`, whose signature it carries.
    pub verify: Spanned<String>,
    /// `secret:`
    pub secret: Option<Form>,
    /// `event:`, the event that it becomes.
    pub event: Form,
    /// `data:`, the event's data; the body by default.
    pub data: Option<Form>,
    /// `public_url:`, for signatures over the URL.
    pub public_url: Option<Form>,
}
