//! What a mistake in the shape of a file hides: what is said about that part would only follow from the mistake.

use std::collections::HashSet;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings, Missed, Severity};
use crate::node::Node;
use crate::plan::{Step, Workflow};
use crate::project::Project;
use crate::source::{FileId, Span};

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
        let workflows: HashSet<FileId> = project.workflows.iter().map(|workflow| workflow.name.span.file).collect();
        let settings = project.settings_tree.as_ref().map(|tree| tree.span.file);
        let in_events = |span: &Span| {
            let inline =
                project.trees.iter().filter_map(|tree| tree.get("events")).any(|node| node.span.contains(*span));
            inline || !workflows.contains(&span.file) && Some(span.file) != settings
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

    /// Whether what starts a workflow may be other than it was read.
    pub(super) fn hides_triggers(&self, tree: Option<&Node>) -> bool {
        let Some(tree) = tree else { return false };
        let about_triggers = |key: &str| ["triggers", "input", "limits"].contains(&key);
        let here = self.places.iter().filter(|(_, span)| tree.span.contains(*span));
        let mut sections = here.map(|(_, span)| section(tree, *span));
        // A wrong key of the workflow itself may be the one that is missed.
        sections.any(|section| section.is_none_or(about_triggers))
    }

    /// Takes away what the reader says is missing, or wrong, where it also found a key that it does not know: the one
    /// follows from the other.
    pub(crate) fn settle(project: &Project) -> Findings {
        let unknown = project.findings.iter().filter(|finding| finding.code == Code::UNKNOWN_KEY);
        let parts: Vec<Span> = unknown.filter_map(|finding| part_around(project, finding.primary.span)).collect();
        let follows = |finding: &Diagnostic| {
            let part = || part_around(project, finding.primary.span);
            matches!(finding.code, Code::FIELD | Code::STEP_ID | Code::EVENT | Code::STEP_KIND)
                && !parts.is_empty()
                && part().is_some_and(|part| parts.contains(&part))
        };
        let mut findings = project.findings.clone();
        findings.retain(|finding| !follows(finding));
        findings
    }

    /// Takes away what was found in steps whose shape is wrong. `steps` are those of the workflow.
    pub(super) fn clean(&self, steps: &[Step], found: &mut Findings) {
        let damaged: Vec<Span> =
            self.places.iter().filter_map(|(code, place)| innermost(steps, *code, *place)).collect();
        found.retain(|finding| !damaged.iter().any(|span| span.contains(finding.primary.span)));
    }

    /// Whether a name that seems not to exist may stand where the reader could not look.
    pub(crate) fn may_hide(&self, finding: &Diagnostic) -> bool {
        finding.missed == Some(Missed::InProject)
            && (self.unread
                || self.settings && finding.code == Code::UNKNOWN_NAME
                || self.events && finding.code == Code::EVENT)
    }
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

/// The innermost step, or else the top-level part of a file, in which something stands.
fn part_around(project: &Project, place: Span) -> Option<Span> {
    let index = project.workflows.iter().position(|workflow| workflow.name.span.file == place.file)?;
    let steps = &project.workflows[index].steps;
    let top = || {
        let entries = project.trees.get(index)?.entries();
        entries.iter().map(|entry| entry.value.span).find(|span| span.contains(place))
    };
    innermost(steps, Code::UNKNOWN_KEY, place).or_else(top)
}
