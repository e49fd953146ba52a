//! `wf::invoke`: an invoked workflow that is unknown, or that `with` does not fit.

use std::collections::HashMap;

use petgraph::graph::{DiGraph, NodeIndex};

use super::fields::{self, Subject};
use super::infer::Infer;
use super::{Context, roots};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings, Missed};
use crate::form::Form;
use crate::plan::{Body, Workflow};
use crate::project::Project;
use crate::source::Spanned;
use crate::suggest::did_you_mean;
use crate::value::Value;

/// Every invoked workflow must exist, and start one run for one call.
pub(super) fn names(cx: &Context<'_>, found: &mut Findings) {
    for step in &cx.workflow.steps {
        let Body::Invoke { workflow: name, .. } = &step.body else { continue };
        let Some(callee) = find(cx.project, &name.value) else {
            let message = format!("there is no workflow `{}`", name.value);
            let diagnostic = Diagnostic::error(Code::INVOKE, name.span, message).missed(Missed::InProject);
            let names = cx.project.workflows.iter().map(|workflow| workflow.name.value.as_str());
            let help = did_you_mean(&name.value, names);
            found.push(diagnostic.help(help.unwrap_or_else(|| "the workflow must be part of the project".to_owned())));
            continue;
        };
        if let (Some(limit), Some(limits)) = (merges(callee), &callee.limits) {
            let message = format!("`{}` has `{limit}`, so a call is not one run of it", name.value);
            found.push(
                Diagnostic::error(Code::INVOKE, name.span, message)
                    .related(limits.span, "its limits stand here")
                    .help("send it an event with `send_event` instead"),
            );
        }
    }
}

/// The limit that makes one run of several calls.
pub(super) fn merges(workflow: &Workflow) -> Option<&'static str> {
    let limits = &workflow.limits.as_ref()?.value;
    match (&limits.debounce, &limits.batch) {
        (Some(_), _) => Some("debounce"),
        (_, Some(_)) => Some("batch"),
        _ => None,
    }
}

/// The names that the `invoke` steps of a workflow call.
pub(super) fn called(workflow: &Workflow) -> impl Iterator<Item = &Spanned<String>> {
    workflow.steps.iter().filter_map(|step| match &step.body {
        Body::Invoke { workflow, .. } => Some(workflow),
        _ => None,
    })
}

/// The invoked workflows of a project, each behind those that it invokes; those that invoke each other, directly or by
/// others, are together.
pub(super) fn rings(project: &Project) -> Vec<Vec<usize>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (place, workflow) in project.workflows.iter().enumerate() {
        places.entry(&workflow.name.value).or_insert(place);
    }
    let mut graph: DiGraph<(), ()> = DiGraph::new();
    let nodes: Vec<NodeIndex> = project.workflows.iter().map(|_| graph.add_node(())).collect();
    let mut invoked = vec![false; nodes.len()];
    for (caller, workflow) in project.workflows.iter().enumerate() {
        for callee in called(workflow).filter_map(|name| places.get(name.value.as_str())) {
            invoked[*callee] = true;
            graph.update_edge(nodes[caller], nodes[*callee], ());
        }
    }
    let rings = petgraph::algo::tarjan_scc(&graph).into_iter();
    let rings = rings.map(|ring| ring.into_iter().map(NodeIndex::index).filter(|place| invoked[*place]).collect());
    rings.filter(|ring: &Vec<usize>| !ring.is_empty()).collect()
}

/// `with` must be what the workflow takes.
pub(super) fn with(infer: &mut Infer<'_>, name: &Spanned<String>, form: &Form) {
    let callee = find(infer.cx.project, &name.value);
    let Some(wanted) = callee.map(|callee| roots::signature(infer.cx.project, callee)) else {
        infer.form(form, super::Secrets::Refused);
        return;
    };
    let of = format!("`{}`", name.value);
    match wanted {
        Some(wanted) => {
            fields::check(infer, form, &wanted, &Subject { code: Code::INVOKE, key: "with", of: &of });
        }
        None => {
            infer.form(form, super::Secrets::Refused);
            let nothing = match form {
                Form::Literal(Value::Null, _) => true,
                Form::Object(fields, _) => fields.is_empty(),
                _ => false,
            };
            if !nothing {
                infer.say(
                    Diagnostic::error(Code::INVOKE, form.span(), format!("{of} takes no data"))
                        .help("declare what it takes under its `input`"),
                );
            }
        }
    }
}

fn find<'p>(project: &'p Project, name: &str) -> Option<&'p Workflow> {
    project.workflow(name)
}
