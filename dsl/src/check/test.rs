//! Tests: what they name must be there, and what they give and send must have the right type.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{Context, Output, event, invoke, roots, ty};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings, Missed};
use crate::node::Node;
use crate::plan::{Body, ListIx, StepIx, Trigger, Workflow};
use crate::project::{Happens, Mock, Project, TestCase, TestFile, TestTrigger};
use crate::source::{Span, Spanned};
use crate::suggest::did_you_mean;
use crate::types::Type;

/// The kind of a step that starts another workflow, which tests may mock.
const INVOKE: &str = "invoke";
/// The kind of a step that sends an event, which is a call and never mocked.
const SEND_EVENT: &str = "send_event";

impl Project {
    /// The types of the outputs of a workflow's `invoke` steps, with their ids: what a mock in their place must give.
    pub fn invoke_outputs(&self, workflow: &str) -> Vec<(String, Type)> {
        let Some(index) = self.index_of(workflow) else { return Vec::new() };
        let cx = Context::of(self, index, &self.checked.outputs);
        let invokes = cx.steps().filter(|(_, step)| matches!(step.body, Body::Invoke { .. }));
        invokes.map(|(ix, step)| (step.id.to_string(), mocked_type(&cx, ix))).collect()
    }

    /// The workflows that runs of these may come to: themselves and all that they invoke, by name.
    pub fn reachable(&self, workflows: impl IntoIterator<Item = String>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut next: Vec<String> = workflows.into_iter().collect();
        while let Some(name) = next.pop() {
            let Some(workflow) = self.workflow(&name) else { continue };
            if !found.insert(name) {
                continue;
            }
            next.extend(invoke::called(workflow).map(|name| name.value.clone()));
        }
        found
    }

    fn index_of(&self, workflow: &str) -> Option<usize> {
        self.workflows.iter().position(|known| known.name.value == workflow)
    }
}

/// Checks a file of tests. `reachable` are the workflows that its runs may come to.
pub(super) fn check(known: &Known<'_>, file: &TestFile, reachable: &BTreeSet<String>, found: &mut Findings) {
    let project = known.project;
    let names = std::iter::once(&file.workflow).chain(&file.also);
    for name in names.filter(|name| project.workflow(&name.value).is_none()) {
        found.push(unknown_workflow(project, name));
    }
    let Some(workflow) = project.workflow(&file.workflow.value) else { return };
    let all = reachable.iter().filter_map(|name| project.index_of(name)).map(|index| known.context(index)).collect();
    let checks = Checks { project, file, workflow, all };
    file.cases.iter().for_each(|case| checks.case(case, found));
}

/// What the files of tests share: the workflows with what is known of them, worked out when it is first needed.
pub(super) struct Known<'p> {
    project: &'p Project,
    outputs: &'p BTreeMap<String, Output>,
    contexts: Vec<OnceCell<Context<'p>>>,
}

impl<'p> Known<'p> {
    pub(super) fn of(project: &'p Project, outputs: &'p BTreeMap<String, Output>) -> Self {
        Known { project, outputs, contexts: project.workflows.iter().map(|_| OnceCell::new()).collect() }
    }

    fn context(&self, index: usize) -> &Context<'p> {
        self.contexts[index].get_or_init(|| Context::of(self.project, index, self.outputs))
    }
}

/// The type that a mock of a step must give.
fn mocked_type(cx: &Context<'_>, ix: StepIx) -> Type {
    let output = cx.output(ix, None);
    // The texts of a `finish` say what there was, not all that there may be.
    if matches!(cx.workflow.step(ix).body, Body::Invoke { .. }) { ty::widened(&output) } else { output }
}

struct Checks<'p> {
    project: &'p Project,
    file: &'p TestFile,
    workflow: &'p Workflow,
    /// The workflow under test, and all that runs may come to.
    all: Vec<&'p Context<'p>>,
}

impl Checks<'_> {
    fn case(&self, case: &TestCase, found: &mut Findings) {
        match &case.trigger {
            Some(trigger) => self.trigger(trigger, found),
            None => {
                let message = format!("nothing starts `{}` in this case", self.workflow.name.value);
                let finding = Diagnostic::error(Code::FIELD, case.name.span, message);
                found.push(finding.help("add `trigger: {event: …, data: {…}}` here or under `defaults`"));
            }
        }
        case.mocks.iter().for_each(|mock| self.mock(mock, case, found));
        for happening in &case.script {
            let Happens::Event { name, data, .. } = &happening.what else { continue };
            self.event(name, data.as_ref(), name.span, found);
        }
        self.expect(case, found);
    }

    fn trigger(&self, trigger: &TestTrigger, found: &mut Findings) {
        let name = &self.workflow.name.value;
        let events: Vec<&str> = triggers(self.workflow).collect();
        let Some(event) = &trigger.event else {
            if events.len() > 1 {
                let message = format!("`{name}` has several triggers: {}", events.join(", "));
                let finding = Diagnostic::error(Code::EVENT, trigger.span, message);
                return found.push(finding.help("name the event: `trigger: {event: …}`"));
            }
            let wanted = roots::signature(self.project, self.workflow);
            let what = format!("the input of `{name}`");
            return fits(wanted.as_ref(), trigger.data.as_ref(), trigger.span, Code::EVENT, &what, found);
        };
        if !events.contains(&event.value.as_str()) && roots::event_data(self.project, &event.value).is_some() {
            let finding =
                Diagnostic::error(Code::EVENT, event.span, format!("`{}` does not start `{name}`", event.value));
            return found.push(match &*events {
                [] => finding.help("it has no trigger: leave `event` out and give the `data` of its `input`"),
                events => finding.help(format!("it is started by {}", listed(events))),
            });
        }
        self.event(event, trigger.data.as_ref(), trigger.span, found);
    }

    fn event(&self, name: &Spanned<String>, data: Option<&Node>, place: Span, found: &mut Findings) {
        match roots::event_data(self.project, &name.value) {
            Some(wanted) => {
                let what = format!("the data of `{}`", name.value);
                fits(Some(&wanted), data, place, Code::EVENT, &what, found);
            }
            None => found.push(event::unknown(self.project, name)),
        }
    }

    fn mock(&self, mock: &Mock, case: &TestCase, found: &mut Findings) {
        let mut known = false;
        let mut targets = Vec::new();
        for cx in &self.all {
            if let Some(ix) = cx.workflow.find(&mock.name.value) {
                known = true;
                if is_mockable(cx.workflow, ix) {
                    targets.push((cx, ix));
                } else {
                    let (id, kind) = (&mock.name.value, &cx.workflow.step(ix).kind.value);
                    let message = format!("`{id}` is a `{kind}`, which is executed in tests too");
                    let finding = Diagnostic::error(Code::FIELD, mock.name.span, message);
                    found.push(finding.help("effects and `invoke` are mocked; remove this one"));
                }
            }
        }
        if !known {
            for cx in &self.all {
                let steps = cx.steps().filter(|(ix, step)| {
                    let own = case.mocks.iter().any(|mock| *mock.name.value == *step.id);
                    step.kind.value == mock.name.value && is_mockable(cx.workflow, *ix) && !own
                });
                targets.extend(steps.map(|(ix, _)| (cx, ix)));
            }
            known = !targets.is_empty() || self.is_kind(&mock.name.value);
        }
        if !known {
            return found.push(self.unknown_step(&mock.name, "no step and no kind"));
        }
        targets.into_iter().for_each(|(cx, ix)| output(cx, ix, mock, found));
    }

    fn is_kind(&self, name: &str) -> bool {
        let settings = &self.project.settings;
        name == INVOKE || self.project.catalog.get(name).is_some() || settings.bare_kinds.contains(name)
    }

    fn expect(&self, case: &TestCase, found: &mut Findings) {
        let expect = &case.expect;
        let error_step = expect.error.as_ref().and_then(|error| error.get("step"));
        let error_step = error_step.and_then(|node| Some(Spanned::new(node.as_str()?.to_owned(), node.span)));
        let named = expect.skipped.iter().chain(&expect.never).chain(&error_step);
        for step in named.filter(|step| self.find(&step.value).is_none()) {
            found.push(self.unknown_step(step, "no step"));
        }
        for step in expect.path.iter().flatten() {
            match self.workflow.find(&step.value) {
                None => found.push(self.unknown_step(step, "no step")),
                Some(ix) if self.workflow.step(ix).list != Workflow::ROOT => {
                    let message = format!("`{}` does not stand in the outermost list of steps", step.value);
                    let finding = Diagnostic::error(Code::FIELD, step.span, message);
                    found.push(match outermost(self.workflow, self.workflow.step(ix).list) {
                        Some(outer) => finding.help(format!("`path` lists the steps of that list, such as `{outer}`")),
                        None => finding,
                    });
                }
                Some(_) => {}
            }
        }
        for call in &expect.calls {
            match self.find(&call.step.value) {
                None => found.push(self.unknown_step(&call.step, "no step")),
                Some((workflow, ix)) if !is_mockable(workflow, ix) && !is_event(workflow, ix) => {
                    let kind = &workflow.step(ix).kind.value;
                    let message = format!("`{}` is a `{kind}`, which calls nobody", call.step.value);
                    let finding = Diagnostic::error(Code::FIELD, call.step.span, message);
                    found.push(finding.help("`calls` lists effects, `invoke` and `send_event`"));
                }
                Some(_) => {}
            }
        }
        for event in expect.events.iter().filter(|event| roots::event_data(self.project, &event.name.value).is_none()) {
            found.push(event::unknown(self.project, &event.name));
        }
    }

    fn find(&self, step: &str) -> Option<(&Workflow, StepIx)> {
        self.all.iter().find_map(|cx| Some((cx.workflow, cx.workflow.find(step)?)))
    }

    fn unknown_step(&self, name: &Spanned<String>, what: &str) -> Diagnostic {
        let message =
            format!("there is {what} `{}` in `{}`, or in what it invokes", name.value, self.file.workflow.value);
        let finding = Diagnostic::error(Code::UNKNOWN_NAME, name.span, message).missed(Missed::InFile);
        let steps = self.all.iter().flat_map(|cx| cx.workflow.steps.iter().map(|step| &*step.id));
        match did_you_mean(&name.value, steps) {
            Some(help) => finding.help(help),
            None => finding.help("list further workflows under `also`"),
        }
    }
}

fn unknown_workflow(project: &Project, name: &Spanned<String>) -> Diagnostic {
    let message = format!("there is no workflow `{}`", name.value);
    let finding = Diagnostic::error(Code::UNKNOWN_NAME, name.span, message).missed(Missed::InProject);
    match did_you_mean(&name.value, project.workflows.iter().map(|workflow| workflow.name.value.as_str())) {
        Some(help) => finding.help(help),
        None => finding,
    }
}

/// The events that start a workflow.
fn triggers(workflow: &Workflow) -> impl Iterator<Item = &str> {
    workflow.triggers.iter().map(|trigger| match trigger {
        Trigger::Event { event, .. } => event.value.as_str(),
        Trigger::Cron { .. } => roots::CRON_EVENT,
    })
}

fn is_mockable(workflow: &Workflow, ix: StepIx) -> bool {
    matches!(workflow.step(ix).body, Body::Effect(_) | Body::Invoke { .. })
}

fn is_event(workflow: &Workflow, ix: StepIx) -> bool {
    workflow.step(ix).kind.value == SEND_EVENT
}

/// The step of the outermost list that a list is inside of.
fn outermost(workflow: &Workflow, list: ListIx) -> Option<&str> {
    let step = super::flow::around(workflow, list).last()?;
    (workflow.step(step).list == Workflow::ROOT).then(|| &*workflow.step(step).id)
}

/// The outputs of a mock, held against the type of a step.
fn output(cx: &Context<'_>, ix: StepIx, mock: &Mock, found: &mut Findings) {
    let wanted = mocked_type(cx, ix);
    let what = format!("the output of `{}`", cx.workflow.step(ix).id);
    for output in mock.outputs.iter().chain(mock.outcomes.iter().filter_map(|outcome| outcome.output.as_ref())) {
        fits(Some(&wanted), Some(output), output.span, Code::FIELD, &what, found);
    }
    let succeeds = mock.fail.as_ref().is_none_or(|fail| fail.times.is_some());
    if mock.outputs.is_empty() && mock.outcomes.is_empty() && succeeds && wanted.accept(&Json::Null).is_err() {
        let message = format!("this mock of `{}` gives no `output`", cx.workflow.step(ix).id);
        found.push(Diagnostic::error(Code::FIELD, mock.name.span, message).help(format!("it gives {}", wanted)));
    }
}

/// Holds data against a type; `place` is where what is missing altogether is reported.
fn fits(wanted: Option<&Type>, data: Option<&Node>, place: Span, code: Code, what: &str, found: &mut Findings) {
    let (Some(wanted), json) = (wanted, data.map_or_else(|| Json::Object(serde_json::Map::new()), Node::to_json))
    else {
        return;
    };
    let Err(mismatches) = wanted.accept(&json) else { return };
    let Some(data) = data else {
        // All of it is missing, and there is one place to say so.
        let missing: Vec<&str> = mismatches.iter().map(|mismatch| mismatch.message.as_str()).collect();
        return found.push(Diagnostic::error(code, place, format!("{what} does not fit: {}", missing.join(", "))));
    };
    for mismatch in mismatches {
        let part = data.at(&mismatch.pointer).unwrap_or(data);
        let message = match mismatch.pointer.trim_start_matches('/') {
            "" => format!("{what} does not fit: {}", mismatch.message),
            field => format!("`{}` of {what} does not fit: {}", field.replace('/', "."), mismatch.message),
        };
        found.push(Diagnostic::error(code, part.span, message));
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
