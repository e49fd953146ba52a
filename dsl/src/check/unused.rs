//! `wf::unused`: something is declared and never used.

use std::collections::BTreeSet;

use super::flow::around;
use super::{Context, event};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::expr::ReferenceKind;
use crate::node::Node;
use crate::plan::{Body, Owner, Role, Step, StepIx};
use crate::project::Project;
use crate::read;
use crate::source::Span;

/// The variables and outputs of a workflow that nothing reads.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    let mut read: BTreeSet<(bool, String)> = BTreeSet::new();
    cx.workflow.visit_forms(&mut |form| {
        for expr in form.exprs() {
            for reference in expr.references() {
                let step = reference.kind == ReferenceKind::Step;
                if step || reference.kind == ReferenceKind::Var {
                    read.insert((step, reference.name.to_owned()));
                }
            }
        }
    });
    for (name, variable) in cx.workflow.vars.iter().filter(|(name, _)| !read.contains(&(false, (*name).clone()))) {
        found.push(
            Diagnostic::warning(Code::UNUSED, variable.span, format!("the variable `{name}` is never read"))
                .help(format!("read it as `vars.{name}`, or remove it and what sets it")),
        );
    }
    for (ix, step) in cx.steps().filter(|(_, step)| step.returns.is_some()) {
        if read.contains(&(true, step.id.to_string())) || gives_an_item(cx, ix, step, &read) {
            continue;
        }
        let node = cx.node_of(step);
        let key = node.and_then(|node| node.entry("returns").or(node.entry("returns[]")));
        let span = key.map_or(step.id_span, |entry| entry.key.span);
        found.push(
            Diagnostic::warning(Code::UNUSED, span, format!("nothing reads the output of `{}`", step.id))
                .help(format!("read it as `steps.{}`, or remove `returns`", step.id)),
        );
    }
}

/// Whether a step's output is an item of a loop's outputs, which are read.
fn gives_an_item(cx: &Context<'_>, ix: StepIx, step: &Step, read: &BTreeSet<(bool, String)>) -> bool {
    let last = cx.workflow.list(step.list).steps.last() == Some(&ix);
    let in_a_loop = matches!(cx.workflow.list(step.list).owner, Owner::Step(owner, Role::Body)
        if matches!(cx.workflow.step(owner).body, Body::ForEach(_)));
    let outer = around(cx.workflow, step.list).next().map(|outer| cx.workflow.step(outer).id.to_string());
    last && in_a_loop && outer.is_some_and(|outer| read.contains(&(true, outer)))
}

/// The event types, templates and retry policies of a project that nothing names. `named_templates` is none if some
/// step may name any.
pub(super) fn whole(project: &Project, named_templates: Option<&BTreeSet<&str>>, found: &mut Findings) {
    let mut named: BTreeSet<&str> = BTreeSet::new();
    for workflow in &project.workflows {
        named.extend(event::named(workflow).map(|(name, _)| name.value.as_str()));
    }
    let texts = texts_of(project);
    for (name, event) in &project.events {
        if !named.contains(name.as_str()) && !texts.contains(name.as_str()) {
            found.push(
                Diagnostic::warning(Code::UNUSED, event.name.span, format!("no workflow uses the event type `{name}`"))
                    .help("remove it, or send it or wait for it somewhere"),
            );
        }
    }
    if let Some(named) = named_templates {
        templates(project, named, found);
    }
    let mut policies: BTreeSet<&str> = BTreeSet::new();
    project
        .trees
        .iter()
        .map(|tree| &**tree)
        .chain(project.ground.tree())
        .for_each(|tree| read::policy_names(tree, &mut policies));
    for (name, policy) in project.settings.retries.iter().filter(|(name, _)| !policies.contains(name.as_str())) {
        let message = format!("no step uses the retry policy `{name}`");
        found.push(
            Diagnostic::warning(Code::UNUSED, policy.name.span, message)
                .help(format!("write `retry: {name}` on a step or under `defaults`, or remove it")),
        );
    }
}

/// The templates that no step can name. Whatever a step computes from what is enumerated names those of its values.
fn templates(project: &Project, named: &BTreeSet<&str>, found: &mut Findings) {
    for (name, files) in project.templates.iter().filter(|(name, _)| !named.contains(name.as_str())) {
        let Some(file) = files.values().next() else { continue };
        // Its name stands nowhere; the first word of the file stands for it.
        let text = project.sources.get(*file).map_or("", |source| &source.text);
        let start = text.len() - text.trim_start().len();
        let end = start + text[start..].split_whitespace().next().map_or(0, str::len);
        let span = Span { file: *file, start, end };
        found.push(
            Diagnostic::warning(Code::UNUSED, span, format!("no step uses the template `{name}`"))
                .help(format!("write `template: {name}` in a step, or remove the file")),
        );
    }
}

/// The texts of tests and webhooks, which name events too.
fn texts_of(project: &Project) -> BTreeSet<&str> {
    fn collect<'n>(node: &'n Node, texts: &mut BTreeSet<&'n str>) {
        texts.extend(node.as_str());
        node.items().iter().for_each(|item| collect(item, texts));
        node.entries().iter().for_each(|entry| collect(&entry.value, texts));
    }
    let mut texts = BTreeSet::new();
    project.tests.iter().for_each(|test| collect(&test.tree, &mut texts));
    let webhooks = project.ground.tree().into_iter().filter_map(|tree| tree.get("webhooks"));
    webhooks.for_each(|webhooks| collect(webhooks, &mut texts));
    texts
}
