//! `wf::dangling_event`: an event that nobody sends or nobody consumes.

use std::collections::BTreeSet;

use super::event::{self, Use};
use super::invoke;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::form::Form;
use crate::project::Project;
use crate::value::Value;

/// Checks that the events of a project have two ends, the outside counting as one.
pub(super) fn check(project: &Project, found: &mut Findings) {
    let mut sent: BTreeSet<&str> = BTreeSet::new();
    let mut consumed: BTreeSet<&str> = BTreeSet::new();
    let mut invoked: BTreeSet<&str> = BTreeSet::new();
    let mut open_webhook = false;
    for workflow in &project.workflows {
        for (name, usage) in event::named(workflow) {
            let ends = if usage == Use::Sent { &mut sent } else { &mut consumed };
            ends.insert(&name.value);
        }
        invoked.extend(invoke::called(workflow).map(|name| name.value.as_str()));
    }
    for webhook in project.settings.webhooks.values() {
        match &webhook.event {
            Form::Literal(Value::String(name), _) => {
                sent.insert(name);
            }
            // What it becomes is known only when it is there.
            _ => open_webhook = true,
        }
    }
    let mut said: BTreeSet<&str> = BTreeSet::new();
    for workflow in &project.workflows {
        for (name, usage) in event::named(workflow) {
            let Some(declared) = project.events.get(&name.value) else { continue };
            if declared.external || said.contains(name.value.as_str()) {
                continue;
            }
            let diagnostic = match usage {
                Use::Sent if !consumed.contains(name.value.as_str()) => {
                    let message = format!("no workflow consumes `{}`", name.value);
                    Diagnostic::warning(Code::DANGLING_EVENT, name.span, message)
                        .help("add a workflow that it triggers, or `external: true` to its declaration if it is meant for the outside")
                }
                Use::Trigger | Use::Awaited if !sent.contains(name.value.as_str()) => {
                    // An invoked workflow has its trigger as its signature.
                    let called = usage == Use::Trigger && invoked.contains(workflow.name.value.as_str());
                    if called || open_webhook {
                        continue;
                    }
                    let message = format!("nothing in this project sends `{}`", name.value);
                    Diagnostic::warning(Code::DANGLING_EVENT, name.span, message)
                        .help("add `external: true` to its declaration if it comes from outside")
                }
                _ => continue,
            };
            said.insert(&name.value);
            found.push(diagnostic.related(declared.name.span, "declared here"));
        }
    }
}
