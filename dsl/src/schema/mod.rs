//! The shape of files and of step bodies: JSON Schemas, with findings made from their errors.

mod mistake;
mod repair;
mod trail;

use std::sync::LazyLock;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value as Json;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::{Node, Tree};
use crate::source::{Span, Spanned};
use mistake::{How, Mistake};

/// `spec/workflow.schema.json`
pub(crate) static WORKFLOW: LazyLock<Schema> = LazyLock::new(|| built_in(WORKFLOW_TEXT));
/// `spec/project.schema.json`
pub(crate) static PROJECT: LazyLock<Schema> = LazyLock::new(|| built_in(PROJECT_TEXT));
/// `spec/events.schema.json`
pub(crate) static EVENTS: LazyLock<Schema> = LazyLock::new(|| built_in(EVENTS_TEXT));
/// `spec/test.schema.json`
pub(crate) static TEST: LazyLock<Schema> = LazyLock::new(|| built_in(TEST_TEXT));

const WORKFLOW_TEXT: &str = include_str!("../../../spec/workflow.schema.json");
const PROJECT_TEXT: &str = include_str!("../../../spec/project.schema.json");
const EVENTS_TEXT: &str = include_str!("../../../spec/events.schema.json");
const TEST_TEXT: &str = include_str!("../../../spec/test.schema.json");

/// The JSON Schemas of the four sorts of files, by the file's first key.
pub const FILE_SCHEMAS: [(&str, &str); 4] =
    [("workflow", WORKFLOW_TEXT), ("project", PROJECT_TEXT), ("events", EVENTS_TEXT), ("test", TEST_TEXT)];

/// A compiled JSON Schema.
#[derive(Debug)]
pub(crate) struct Schema {
    json: Json,
    validator: Validator,
}

/// What is checked, and where it stands.
pub(crate) struct Subject<'a> {
    /// The value.
    pub(crate) node: &'a Node,
    /// The key whose value it is; none for a whole file.
    pub(crate) owner: Option<&'a Spanned<String>>,
    /// The keys that are legal one level up.
    pub(crate) above: &'a [&'a str],
    /// Any value inside may be an expression instead; otherwise the schema says which.
    pub(crate) expressions: bool,
}

impl<'a> Subject<'a> {
    /// A whole file.
    pub(crate) fn file(tree: &'a Node) -> Self {
        Subject { node: tree, owner: None, above: &[], expressions: false }
    }
}

/// What to write instead of a key of a step.
pub(crate) fn instead_in_step(key: &str) -> Option<&'static str> {
    WORKFLOW.json.pointer("/$defs/step")?.get(trail::INSTEAD)?.get(key)?.as_str()
}

/// The fields that the body of a core kind may have; empty for those whose bodies are no maps.
pub(crate) fn core_fields(kind: &str) -> Vec<String> {
    let fields = WORKFLOW.json.pointer(&format!("/$defs/step/properties/{kind}/properties")).and_then(Json::as_object);
    fields.map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

fn built_in(text: &str) -> Schema {
    let json = serde_json::from_str(text).expect("a schema of ours is JSON");
    Schema::compile(json).expect("a schema of ours compiles")
}

impl Schema {
    /// Compiles a schema. It cannot refer to other documents; patterns are matched in linear time.
    pub(crate) fn compile(json: Json) -> Result<Schema, String> {
        let options =
            jsonschema::options().should_validate_formats(false).with_pattern_options(PatternOptions::regex());
        let validator = options.build(&json).map_err(|error| error.to_string())?;
        Ok(Schema { json, validator })
    }

    /// Checks a value and reports each mistake once, at its key or value.
    pub(crate) fn check(&self, subject: &Subject<'_>, found: &mut Findings) {
        let instance = subject.node.to_json();
        if self.validator.is_valid(&instance) {
            return;
        }
        let mut mistakes = Vec::new();
        for error in self.validator.iter_errors(&instance) {
            mistakes.extend(mistake::of(&self.json, &error, subject));
        }
        // What is there under a wrong name is not missing, and where the whole value is wrong its parts do not count.
        let all = mistakes.clone();
        mistakes.retain(|mistake| !all.iter().any(|other| mistake.is_named_wrong_in(other) || other.replaces(mistake)));
        for mistake in mistakes {
            found.push(report(mistake, subject));
        }
    }
}

/// A mistake in our words, at its place.
fn report(mistake: Mistake, subject: &Subject<'_>) -> Diagnostic {
    match mistake {
        Mistake::Missing { path, property, step: true, .. } if property == "id" => {
            let place = inside(subject, &path);
            Diagnostic::error(Code::STEP_ID, kind_key(subject, &path).unwrap_or(place), "the step has no `id`")
                .help("give it a name such as `fetch_order`, which is its own in the file")
        }
        Mistake::Missing { path, property, help, .. } => {
            let label = match owner(subject, &path) {
                Some(owner) => format!("`{owner}` needs it"),
                None => "needed here".to_owned(),
            };
            Diagnostic::error(Code::FIELD, inside(subject, &path), format!("`{property}` is missing"))
                .label(label)
                .help(help)
        }
        Mistake::MissingOne { path, properties } => {
            let message = format!("one of {} is missing", listed(&properties, "and"));
            Diagnostic::error(Code::FIELD, inside(subject, &path), message)
        }
        Mistake::TooMany { path, properties } => {
            let message = format!("only one of {} may stand here", listed(&properties, "and"));
            Diagnostic::error(Code::FIELD, inside(subject, &path), message)
        }
        Mistake::Unknown { path, key, help, .. } => {
            let place = subject.node.at(&path).and_then(|node| node.entry(&key)).map(|entry| entry.key.span);
            let place = place.unwrap_or_else(|| inside(subject, &path));
            let finding = Diagnostic::error(Code::UNKNOWN_KEY, place, format!("unknown key `{key}`"));
            match help {
                Some(help) => finding.help(help),
                None => finding,
            }
        }
        Mistake::Wrong { path, expected, help, how } => wrong(subject, &path, &expected, help, how),
        Mistake::Other { path, message } => {
            let place = subject.node.at(&path).map_or(Span::NOWHERE, |node| node.span);
            Diagnostic::error(Code::FIELD, place, message)
        }
    }
}

fn wrong(subject: &Subject<'_>, path: &str, expected: &str, help: Option<String>, how: How) -> Diagnostic {
    let node = subject.node.at(path).unwrap_or(subject.node);
    let name = match (last_key(path), owner(subject, path)) {
        (Some(key), _) => format!("`{key}`"),
        (None, Some(owner)) if path.is_empty() => format!("`{owner}`"),
        (None, Some(owner)) => format!("an item of `{owner}`"),
        (None, None) => "the file".to_owned(),
    };
    if how == How::Bare {
        let text = node.as_str().unwrap_or_default();
        return Diagnostic::error(
            Code::TYPE_MISMATCH,
            node.span,
            format!("{name} must be {expected}, and this is text"),
        )
        .label("without `${ }` this is not evaluated")
        .help(format!("write `${{ {text} }}`"));
    }
    // A list or map may go on for many lines.
    let place = if matches!(node.tree, Tree::List(_) | Tree::Map(_)) { inside(subject, path) } else { node.span };
    let finding = Diagnostic::error(Code::FIELD, place, format!("{name} must be {expected}"));
    let finding = if how == How::Sort { finding.label(format!("this is {}", node.sort())) } else { finding };
    match help {
        Some(help) => finding.help(help),
        None => finding,
    }
}

/// Names in backticks, as a phrase.
pub(crate) fn listed(names: &[String], last: &str) -> String {
    joined(&names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>(), last)
}

/// Phrases as one: `a, b or c`.
fn joined(phrases: &[String], last: &str) -> String {
    match phrases.split_last() {
        Some((end, [])) => end.clone(),
        Some((end, start)) => format!("{} {last} {end}", start.join(", ")),
        None => String::new(),
    }
}

/// The place to report what is missing inside a value: the key that owns it, or else its own first key.
fn inside(subject: &Subject<'_>, path: &str) -> Span {
    let node = subject.node.at(path).unwrap_or(subject.node);
    let owner = match path.rsplit_once('/') {
        None => subject.owner.map(|owner| owner.span),
        Some((parent, last)) => {
            let parent = subject.node.at(parent);
            parent.and_then(|parent| parent.entry(&unescaped(last))).map(|entry| entry.key.span)
        }
    };
    owner.or_else(|| node.entries().first().map(|entry| entry.key.span)).unwrap_or(node.span)
}

/// The key of a step's kind: the first that no modifier has.
fn kind_key(subject: &Subject<'_>, path: &str) -> Option<Span> {
    let step = subject.node.at(path)?;
    let kind = step.entries().iter().find(|entry| !crate::read::is_modifier(&entry.key.value));
    kind.map(|entry| entry.key.span)
}

/// The last key on the way to a value.
fn owner<'a>(subject: &Subject<'a>, path: &str) -> Option<String> {
    let mut node = subject.node;
    let mut last = subject.owner.map(|owner| owner.value.clone());
    for segment in segments(path) {
        node = match &node.tree {
            Tree::List(items) => items.get(segment.parse::<usize>().ok()?)?,
            _ => {
                last = Some(segment.clone());
                node.get(&segment)?
            }
        };
    }
    last
}

/// The key at the end of a path, if it ends in a key.
fn last_key(path: &str) -> Option<String> {
    let last = path.rsplit('/').next().filter(|last| !last.is_empty())?;
    last.parse::<usize>().is_err().then(|| unescaped(last))
}

fn segments(path: &str) -> impl Iterator<Item = String> {
    path.split('/').skip(1).map(unescaped)
}

fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}
