//! What a check leaves for the next one, and what of it still holds then.
//!
//! A workflow without findings is not checked again while it is the same and all that it sees of the others is: the
//! types of the events that it names, what its templates take, and what the workflows that it invokes take and give.
//! One with findings is checked each time, because they name places and names of other files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::dead_handler::Codes;
use super::endless_invoke::Call;
use super::{event, invoke, roots};
use crate::diagnostic::Findings;
use crate::plan::{EventType, Trigger, Workflow};
use crate::project::{Medium, Project, TestFile, Wants};
use crate::source::{FileId, Span};
use crate::time::Time;
use crate::types::Type;

/// What was found out about a project, for the next check.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// The workflows without findings, by file.
    workflows: HashMap<FileId, Arc<CheckedWorkflow>>,
    /// What invoked workflows finish with, by name.
    pub(super) outputs: BTreeMap<String, Output>,
    /// The files of tests without findings, by file.
    tests: HashMap<FileId, Arc<TestFile>>,
}

impl Checked {
    pub(super) fn add(&mut self, workflow: &Workflow, checked: Arc<CheckedWorkflow>) {
        self.workflows.insert(workflow.name.span.file, checked);
    }

    pub(super) fn add_test(&mut self, test: &Arc<TestFile>) {
        self.tests.insert(test.workflow.span.file, Arc::clone(test));
    }
}

/// What was found out about a workflow.
#[derive(Debug)]
pub(super) struct CheckedWorkflow {
    pub(super) workflow: Arc<Workflow>,
    /// The calls that no pause comes before.
    pub(super) calls: Vec<Call>,
    /// What its steps may fail with.
    pub(super) codes: Codes,
    /// The templates that its steps name; none if that cannot be told.
    pub(super) templates: Option<BTreeSet<String>>,
    /// The earliest of the constant times that it waits for: one more finding when it is past.
    pub(super) waits_until: Option<Time>,
}

/// What a workflow finishes with.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) workflow: Arc<Workflow>,
    pub(super) ty: Type,
    /// The workflows that it invokes and whose outputs were not known yet, because they invoke it in turn.
    unknown: BTreeSet<String>,
}

impl Output {
    pub(super) fn new(workflow: &Arc<Workflow>, ty: Type, ring: &BTreeSet<&str>) -> Output {
        Output { workflow: Arc::clone(workflow), ty, unknown: unknown(workflow, ring) }
    }
}

fn unknown(workflow: &Workflow, ring: &BTreeSet<&str>) -> BTreeSet<String> {
    let names = invoke::called(workflow).map(|name| name.value.as_str());
    names.filter(|name| ring.contains(name)).map(str::to_owned).collect()
}

/// What is other than it was at the check before.
pub(super) struct Changes<'p> {
    project: &'p Project,
    before: &'p Project,
    /// Nothing is as it was.
    everything: bool,
    /// Files with findings of the reader: what is said of them depends on those.
    damaged: BTreeSet<FileId>,
    events: BTreeSet<&'p str>,
    templates: BTreeSet<&'p str>,
    /// Workflows that take something else, or are there no more, or are new.
    signatures: BTreeSet<&'p str>,
    /// Workflows that finish with something else.
    outputs: BTreeSet<String>,
}

impl<'p> Changes<'p> {
    /// All changes that can be seen without a check. `reported` is what the reader has found.
    pub(super) fn between(before: &'p Project, project: &'p Project, reported: &Findings) -> Self {
        let mut changes = Changes {
            project,
            before,
            everything: !Arc::ptr_eq(&before.ground, &project.ground)
                || before.events_hidden != project.events_hidden
                || before.read_at.is_some() != project.read_at.is_some(),
            damaged: reported.iter().map(|finding| finding.primary.span.file).collect(),
            events: BTreeSet::new(),
            templates: BTreeSet::new(),
            signatures: BTreeSet::new(),
            outputs: BTreeSet::new(),
        };
        if !changes.everything {
            changes.events = changed(&events(before), &events(project), |one, other| one.data == other.data);
            changes.templates = changed(&templates(before), &templates(project), |one, other| one == other);
            let signatures = changed(&by_name(before), &by_name(project), |one, other| {
                let events = one.triggers.iter().filter_map(|trigger| match trigger {
                    Trigger::Event { event, .. } => Some(event.value.as_str()),
                    Trigger::Cron { .. } => None,
                });
                let same = |one: &Workflow, other: &Workflow| {
                    roots::signature(before, one) == roots::signature(project, other)
                        && invoke::merges(one) == invoke::merges(other)
                };
                // Most are the same file, and then only their events can make a difference.
                let untouched = Arc::ptr_eq(one, other) && !events.clone().any(|event| changes.events.contains(event));
                let hidden = |project: &Project| project.triggers_hidden.contains(&other.name.span.file);
                untouched && hidden(before) == hidden(project) || same(one, other)
            });
            changes.signatures = signatures;
        }
        changes
    }

    /// What a workflow finishes with, if that is what it was.
    pub(super) fn output(&self, workflow: &Arc<Workflow>, ring: &BTreeSet<&str>) -> Option<&'p Output> {
        let output = self.before.checked.outputs.get(&workflow.name.value)?;
        let others = |name: &str| !ring.contains(name);
        let same = Arc::ptr_eq(&output.workflow, workflow)
            && self.sees_the_same(workflow, &others)
            && output.unknown == unknown(workflow, ring)
            // The type knows the places of its fields, which findings show.
            && !places(&output.ty).into_iter().any(|place| self.is_changed(place.file));
        same.then_some(output)
    }

    /// Takes down what a workflow finishes with now.
    pub(super) fn note_output(&mut self, output: &Output) {
        let name = &output.workflow.name.value;
        if self.before.checked.outputs.get(name).is_none_or(|before| before.ty != output.ty) {
            self.outputs.insert(name.clone());
        }
    }

    /// What was found out about a workflow, if it still holds. All outputs must have been noted.
    pub(super) fn workflow(&self, workflow: &Arc<Workflow>) -> Option<&'p Arc<CheckedWorkflow>> {
        let checked = self.before.checked.workflows.get(&workflow.name.span.file)?;
        let templates_are_the_same = match &checked.templates {
            Some(named) => !named.iter().any(|name| self.templates.contains(name.as_str())),
            None => self.templates.is_empty(),
        };
        let same = Arc::ptr_eq(&checked.workflow, workflow)
            && self.sees_the_same(workflow, &|_| true)
            && templates_are_the_same
            && checked.waits_until.is_none_or(|time| self.project.read_at.is_some_and(|now| now <= time));
        same.then_some(checked)
    }

    /// Whether a file of tests without findings still has none. `kept` are the workflows that were not checked again.
    pub(super) fn test_holds(&self, test: &Arc<TestFile>, reachable: &BTreeSet<String>, kept: &BTreeSet<&str>) -> bool {
        let before = self.before.checked.tests.get(&test.workflow.span.file);
        before.is_some_and(|before| Arc::ptr_eq(before, test))
            && !self.everything
            && test.workflows().all(|name| reachable.contains(&name))
            && reachable.iter().all(|name| kept.contains(name.as_str()))
            && test.events().all(|name| !self.events.contains(name))
    }

    /// Whether a workflow sees of the rest of the project what it saw before. Of the workflows that it invokes, what
    /// `asked` for give counts.
    fn sees_the_same(&self, workflow: &Workflow, asked: &dyn Fn(&str) -> bool) -> bool {
        let mut events = event::named(workflow).map(|(name, _)| name.value.as_str());
        let mut called = invoke::called(workflow).map(|name| name.value.as_str());
        !self.everything
            && !self.damaged.contains(&workflow.name.span.file)
            && !events.any(|name| self.events.contains(name))
            && !called.any(|name| self.signatures.contains(name) || asked(name) && self.outputs.contains(name))
    }

    fn is_changed(&self, file: FileId) -> bool {
        let place = file.0 as usize;
        match (self.before.files.get(place), self.project.files.get(place)) {
            (Some(before), Some(now)) => !Arc::ptr_eq(before, now),
            // Beside the files there is only what no file contains.
            (before, now) => before.is_some() || now.is_some(),
        }
    }
}

/// The first workflow of each name.
pub(super) fn by_name(project: &Project) -> BTreeMap<&str, &Arc<Workflow>> {
    project.workflows.iter().rev().map(|workflow| (workflow.name.value.as_str(), workflow)).collect()
}

fn events(project: &Project) -> BTreeMap<&str, &EventType> {
    project.events.iter().map(|(name, event)| (name.as_str(), &**event)).collect()
}

/// What the files of each template take.
fn templates(project: &Project) -> BTreeMap<&str, Vec<(Medium, Option<&Wants>)>> {
    let wants = |files: &BTreeMap<Medium, FileId>| {
        files.iter().map(|(medium, file)| (*medium, project.wants.get(file))).collect()
    };
    project.templates.iter().map(|(name, files)| (name.as_str(), wants(files))).collect()
}

/// The names of what is in one map only, or is not the `same` in both.
fn changed<'p, T>(
    one: &BTreeMap<&'p str, T>,
    other: &BTreeMap<&'p str, T>,
    same: impl Fn(&T, &T) -> bool,
) -> BTreeSet<&'p str> {
    let differs = |name: &&&str| match (one.get(**name), other.get(**name)) {
        (Some(one), Some(other)) => !same(one, other),
        _ => true,
    };
    one.keys().chain(other.keys()).filter(differs).copied().collect()
}

/// The places of the fields of a type.
fn places(ty: &Type) -> Vec<Span> {
    match ty {
        Type::List(item) | Type::Nullable(item) => places(item),
        Type::Object(fields) => {
            fields.values().flat_map(|field| std::iter::once(field.span).chain(places(&field.ty))).collect()
        }
        _ => Vec::new(),
    }
}
