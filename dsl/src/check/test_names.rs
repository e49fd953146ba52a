//! The names in test files: workflows, steps and events must be those of the project.

use std::collections::{BTreeSet, VecDeque};

use super::roots;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings, Missed};
use crate::node::{Node, Tree};
use crate::plan::{Body, Workflow};
use crate::project::{Project, TestFile};
use crate::source::{Span, Spanned};
use crate::suggest::did_you_mean;

/// The lists of `expect` that hold ids of steps.
const STEP_LISTS: [&str; 3] = ["path", "skipped", "never"];

/// Checks all test files of a project.
pub(super) fn check(project: &Project, found: &mut Findings) {
    for test in &project.tests {
        let Some(scope) = Scope::of(project, test, found) else { continue };
        let defaults = test.tree.get("defaults");
        let cases = test.tree.get("cases").map_or(&[][..], Node::items);
        for part in defaults.into_iter().chain(cases) {
            scope.part(part, found);
        }
    }
}

/// What the names of a test file may refer to.
struct Scope<'p> {
    project: &'p Project,
    /// The workflows that may run: the one under test, `also`, and what they invoke.
    running: Vec<&'p Workflow>,
}

impl<'p> Scope<'p> {
    /// None if the workflow under test does not exist, which is reported.
    fn of(project: &'p Project, test: &TestFile, found: &mut Findings) -> Option<Self> {
        let also = test.tree.get("also").map_or(&[][..], Node::items);
        let also = also.iter().filter_map(|node| Some(Spanned::new(node.as_str()?.to_owned(), node.span)));
        let mut open: VecDeque<&Workflow> = VecDeque::new();
        for name in std::iter::once(test.workflow.clone()).chain(also) {
            match project.workflow(&name.value) {
                Some(workflow) => open.push_back(workflow),
                None => found.push(unknown_workflow(project, &name)),
            }
        }
        project.workflow(&test.workflow.value)?;
        let mut running: Vec<&Workflow> = Vec::new();
        while let Some(workflow) = open.pop_front() {
            if running.iter().any(|other| other.name.value == workflow.name.value) {
                continue;
            }
            running.push(workflow);
            open.extend(workflow.steps.iter().filter_map(|step| match &step.body {
                Body::Invoke { workflow, .. } => project.workflow(&workflow.value),
                _ => None,
            }));
        }
        Some(Scope { project, running })
    }

    /// A case, or the defaults of all.
    fn part(&self, part: &Node, found: &mut Findings) {
        for entry in part.get("mocks").map_or(&[][..], Node::entries) {
            self.step_or_kind(&entry.key.value, entry.key.span, found);
        }
        let events = part.get("trigger").into_iter().chain(part.get("script").map_or(&[][..], Node::items));
        for node in events.filter_map(|node| node.get("event")) {
            self.event(node, found);
        }
        let Some(expect) = part.get("expect") else { return };
        for list in STEP_LISTS {
            expect.get(list).map_or(&[][..], Node::items).iter().for_each(|node| self.step(node, found));
        }
        let calls = expect.get("calls").map_or(&[][..], Node::items).iter();
        let error = expect.get("error").into_iter();
        calls.chain(error).filter_map(|node| node.get("step")).for_each(|node| self.step(node, found));
        let events = expect.get("events").map_or(&[][..], Node::items).iter();
        events.filter_map(|node| node.get("name")).for_each(|node| self.event(node, found));
    }

    fn step(&self, node: &Node, found: &mut Findings) {
        let Tree::String(id) = &node.tree else { return };
        if !self.has(id) {
            found.push(self.unknown(id, node.span));
        }
    }

    fn step_or_kind(&self, name: &str, span: Span, found: &mut Findings) {
        let kinds = || self.running.iter().flat_map(|workflow| &workflow.steps).map(|step| step.kind.value.as_str());
        if !self.has(name) && !kinds().any(|kind| kind == name) {
            found.push(self.unknown(name, span));
        }
    }

    fn has(&self, id: &str) -> bool {
        self.running.iter().any(|workflow| workflow.find(id).is_some() || workflow.partial)
    }

    fn unknown(&self, id: &str, span: Span) -> Diagnostic {
        let ids: BTreeSet<&str> =
            self.running.iter().flat_map(|workflow| &workflow.steps).map(|step| &*step.id).collect();
        let tested = self.running.first().map_or("", |workflow| &workflow.name.value);
        let message = format!("there is no step `{id}` in `{tested}`, or in what it invokes");
        let diagnostic = Diagnostic::error(Code::UNKNOWN_NAME, span, message).missed(Missed::InFile);
        match did_you_mean(id, ids) {
            Some(help) => diagnostic.help(help),
            None => diagnostic.help("list further workflows under `also`"),
        }
    }

    fn event(&self, node: &Node, found: &mut Findings) {
        let Tree::String(name) = &node.tree else { return };
        if roots::event_data(self.project, name).is_some() {
            return;
        }
        let message = format!("there is no event type `{name}`");
        let diagnostic = Diagnostic::error(Code::EVENT, node.span, message).missed(Missed::InProject);
        let names = self.project.events.keys().map(String::as_str).chain(roots::RUN_EVENTS);
        found.push(match did_you_mean(name, names) {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }
}

fn unknown_workflow(project: &Project, name: &Spanned<String>) -> Diagnostic {
    let message = format!("there is no workflow `{}`", name.value);
    let diagnostic = Diagnostic::error(Code::UNKNOWN_NAME, name.span, message).missed(Missed::InProject);
    match did_you_mean(&name.value, project.workflows.iter().map(|workflow| workflow.name.value.as_str())) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}
