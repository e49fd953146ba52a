//! What a mistake in the shape of a file hides: what is said about that part would only follow from the mistake.

use std::collections::BTreeSet;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings, Missed, Severity};
use crate::node::Node;
use crate::plan::{Step, Workflow};
use crate::project::Project;
use crate::read::Sort;
use crate::source::{FileId, Span};
use crate::suggest::suggest;

/// The mistakes in shape that were found on reading.
pub(crate) struct Damage {
    places: Vec<(Code, Span)>,
    /// Files of which nothing may be missed, because some of their text is not YAML.
    unread: bool,
    /// Event types may be other than they were read.
    pub(crate) events: bool,
    /// Parts of `wf.yaml` may be missing.
    settings: bool,
}

impl Damage {
    /// What the reader found.
    pub(crate) fn of(project: &Project) -> Damage {
        let shape =
            [Code::YAML, Code::UNKNOWN_KEY, Code::STEP_KIND, Code::STEP_ID, Code::FIELD, Code::NEXT, Code::EVENT];
        let errors = project.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let places: Vec<(Code, Span)> =
            errors.filter(|found| shape.contains(&found.code)).map(|found| (found.code, found.primary.span)).collect();
        let settings = project.ground.tree().map(|tree| tree.span.file);
        let in_events = |span: &Span| {
            let Some(file) = project.files.get(span.file.0 as usize) else { return false };
            match (file.sort, &file.tree) {
                (Some(Sort::Workflow), Some(tree)) => tree.get("events").is_some_and(|node| node.span.contains(*span)),
                (Some(Sort::Project | Sort::Test), _) => false,
                _ => file.may_declare_events,
            }
        };
        Damage {
            unread: places.iter().any(|(code, _)| *code == Code::YAML),
            events: places.iter().any(|(_, span)| in_events(span)),
            settings: places.iter().any(|(_, span)| Some(span.file) == settings),
            places,
        }
    }

    /// Whether the ways through a workflow may be other than they were read.
    pub(super) fn breaks_ways(&self, workflow: &Workflow) -> bool {
        let structural = [Code::YAML, Code::UNKNOWN_KEY, Code::STEP_KIND, Code::STEP_ID, Code::NEXT, Code::FIELD];
        let file = workflow.name.span.file;
        workflow.partial || self.places.iter().any(|(code, span)| span.file == file && structural.contains(code))
    }

    /// The files of the workflows that may be started by something else than was read.
    pub(crate) fn hidden_triggers(&self, project: &Project) -> BTreeSet<FileId> {
        let trees = project.trees.iter().filter(|tree| self.hides_triggers(tree));
        trees.map(|tree| tree.span.file).collect()
    }

    fn hides_triggers(&self, tree: &Node) -> bool {
        let about_triggers = |key: &str| ["triggers", "input", "limits"].contains(&key);
        let here = self.places.iter().filter(|(_, span)| tree.span.contains(*span));
        let mut sections = here.map(|(_, span)| section(tree, *span));
        // A wrong key of the workflow itself may be the one that is missed.
        sections.any(|section| section.is_none_or(about_triggers))
    }

    /// What the reader has `reported`, without what it misses although it is there under a misspelt key, or a level off.
    pub(crate) fn settle(project: &Project, reported: &Findings) -> Findings {
        let key = |finding: &Diagnostic| {
            let span = finding.primary.span;
            let text = project.sources.get(span.file).and_then(|source| source.text.get(span.start..span.end));
            text.map(|text| text.trim_matches(['"', '\'']).to_owned())
        };
        let unknown = reported.iter().filter(|finding| finding.code == Code::UNKNOWN_KEY);
        let unknown: Vec<(Option<Span>, String)> =
            unknown.filter_map(|finding| Some((part_around(project, finding.primary.span), key(finding)?))).collect();
        let is_there = |finding: &Diagnostic| {
            let part = || part_around(project, finding.primary.span);
            let missing = finding.message.ends_with("is missing") || finding.message.starts_with("the step has no");
            let meant = |key: &str| named(finding).any(|name| name == key || suggest(key, [name]).is_some());
            missing
                && matches!(finding.code, Code::FIELD | Code::STEP_ID)
                && unknown.iter().any(|(other, key)| meant(key) && *other == part())
        };
        let mut findings = reported.clone();
        findings.retain(|finding| !is_there(finding));
        findings
    }

    /// Takes away what was found in steps whose shape is wrong, and of a part that is itself of the wrong shape. `steps`
    /// are those of the workflow.
    pub(super) fn clean(&self, steps: &[Step], found: &mut Findings) {
        let damaged: Vec<Span> =
            self.places.iter().filter_map(|(code, place)| innermost(steps, *code, *place)).collect();
        let is_damaged = |span: Span| {
            self.places.iter().any(|(_, place)| *place == span) || damaged.iter().any(|around| around.contains(span))
        };
        found.retain(|finding| !is_damaged(finding.primary.span));
    }

    /// Whether a name that seems not to exist may stand where the reader could not look.
    pub(crate) fn may_hide(&self, finding: &Diagnostic) -> bool {
        finding.missed == Some(Missed::InProject)
            && (self.unread
                || self.settings && finding.code == Code::UNKNOWN_NAME
                || self.events && finding.code == Code::EVENT)
    }
}

/// The words of the language that a finding names.
fn named(finding: &Diagnostic) -> impl Iterator<Item = &str> {
    let texts = std::iter::once(finding.message.as_str()).chain(finding.help.as_deref());
    texts.flat_map(|text| text.split('`').skip(1).step_by(2))
}

/// The top-level key under which something stands; none for a top-level key itself.
fn section(tree: &Node, place: Span) -> Option<&str> {
    let entry =
        tree.entries().iter().find(|entry| entry.value.span.contains(place) && entry.value.span != entry.key.span);
    entry.map(|entry| entry.key.value.as_str())
}

/// The innermost step around a mistake that leaves the rest of the step in doubt.
fn innermost(steps: &[Step], code: Code, place: Span) -> Option<Span> {
    // A jump to nowhere and a name that is taken say nothing about the rest.
    if matches!(code, Code::NEXT | Code::STEP_ID) {
        return None;
    }
    let around = steps.iter().map(|step| step.span).filter(|span| span.contains(place));
    around.min_by_key(|span| span.end - span.start)
}

/// The innermost item of a list in which something stands, such as a step or a trigger, or else the top-level part.
fn part_around(project: &Project, place: Span) -> Option<Span> {
    let index = project.workflows.iter().position(|workflow| workflow.name.span.file == place.file)?;
    let mut node: &Node = project.trees.get(index)?;
    let mut part = None;
    loop {
        let item = node.items().iter().find(|item| item.span.contains(place));
        let inner = item.or_else(|| {
            let mut values = node.entries().iter().map(|entry| &entry.value);
            values.find(|value| value.span.contains(place))
        });
        let Some(inner) = inner else { return part };
        if item.is_some() || part.is_none() {
            part = Some(inner.span);
        }
        node = inner;
    }
}
