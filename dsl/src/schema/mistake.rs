//! From a validator's errors to mistakes as an author makes them.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value as Json;

use super::repair;
use super::trail::Trail;
use super::{Subject, listed};
use crate::node::Node;
use crate::suggest::suggest;

/// One mistake. Paths are JSON pointers into the value that was checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mistake {
    /// A field is missing, and what to do about it.
    Missing { path: String, property: String, step: bool, help: String },
    /// One of several fields is missing.
    MissingOne { path: String, properties: Vec<String> },
    /// Several fields that exclude each other.
    TooMany { path: String, properties: Vec<String> },
    /// A key that has no meaning there, what to do about it, and the keys that it was most probably meant to be.
    Unknown { path: String, key: String, help: Option<String>, meant: Vec<String> },
    /// A value of the wrong shape, and what to do about it.
    Wrong { path: String, expected: String, help: Option<String>, how: How },
    /// Anything else.
    Other { path: String, message: String },
}

/// How a value is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum How {
    /// It is of another sort.
    Sort,
    /// It is a text, but none of the texts that may stand there.
    Option,
    /// It is an expression without `${ }`.
    Bare,
}

impl Mistake {
    /// Whether this reports as missing what another mistake has under a wrong name.
    pub(super) fn is_named_wrong_in(&self, other: &Mistake) -> bool {
        let Mistake::Unknown { path: at, meant, .. } = other else { return false };
        match self {
            Mistake::Missing { path, property, .. } => path == at && meant.contains(property),
            Mistake::MissingOne { path, properties } => {
                path == at && properties.iter().any(|property| meant.contains(property))
            }
            _ => false,
        }
    }

    /// Whether this says that the whole value has the wrong type, so that nothing else about it counts.
    pub(super) fn replaces(&self, other: &Mistake) -> bool {
        matches!(self, Mistake::Wrong { .. }) && !matches!(other, Mistake::Wrong { .. }) && self.path() == other.path()
    }

    fn path(&self) -> &str {
        match self {
            Mistake::Missing { path, .. }
            | Mistake::MissingOne { path, .. }
            | Mistake::TooMany { path, .. }
            | Mistake::Unknown { path, .. }
            | Mistake::Wrong { path, .. }
            | Mistake::Other { path, .. } => path,
        }
    }
}

/// The mistakes behind an error; none if an expression stands where it is allowed.
pub(super) fn of(schema: &Json, error: &ValidationError<'_>, subject: &Subject<'_>) -> Vec<Mistake> {
    let path = error.instance_path().as_str().to_owned();
    let node = subject.node.at(&path);
    let expression = node.is_some_and(Node::has_expression);
    if subject.expressions && expression && !path.is_empty() {
        return Vec::new();
    }
    let trail = Trail::follow(schema, error.evaluation_path().as_str());
    let mistake = match error.kind() {
        Kind::Required { property } => {
            let property = property.as_str().unwrap_or_default().to_owned();
            let step = trail.through("step");
            // It stands there under a wrong name. The keys of a step are looked at elsewhere, which says so.
            if (step || trail.otherwise) && node.is_some_and(|node| trail.has_instead_of(&property, node)) {
                return Vec::new();
            }
            let help = trail.add(schema, &property);
            Mistake::Missing { path, property, step, help }
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let mut above = trail.above();
            if above.is_empty() {
                above = subject.above.iter().map(|name| (*name).to_owned()).collect();
            }
            return unknown(schema, &trail, node, &above, unexpected, &path);
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            return of_branches(schema, context, subject, path, &trail);
        }
        Kind::OneOfMultipleValid { context } => {
            let branches = trail.holder.get("oneOf").and_then(Json::as_array).cloned().unwrap_or_default();
            let valid = context.iter().zip(&branches).filter(|(errors, _)| errors.is_empty());
            let properties = valid.filter_map(|(_, branch)| branch.pointer("/required/0")?.as_str().map(str::to_owned));
            let properties: Vec<String> = properties.collect();
            if properties.len() > 1 {
                Mistake::TooMany { path, properties }
            } else {
                Mistake::Wrong { path, expected: trail.expected(), help: None, how: How::Sort }
            }
        }
        Kind::MinItems { limit } | Kind::MinProperties { limit } | Kind::MinLength { limit } => {
            let name = super::owner(subject, &path).map_or_else(|| "this".to_owned(), |owner| format!("`{owner}`"));
            let message = match limit {
                1 => format!("{name} must not be empty"),
                _ => format!("{name} needs at least {limit}"),
            };
            Mistake::Other { path, message }
        }
        Kind::MaxItems { limit } | Kind::MaxProperties { limit } | Kind::MaxLength { limit } => {
            let name = super::owner(subject, &path).map_or_else(|| "this".to_owned(), |owner| format!("`{owner}`"));
            Mistake::Other { path, message: format!("{name} has room for {limit} at most") }
        }
        Kind::UniqueItems => Mistake::Other { path, message: "an item stands here twice".to_owned() },
        Kind::PropertyNames { error } => {
            let name = error.instance().as_str().unwrap_or_default();
            Mistake::Other { path, message: format!("`{name}` cannot be a key here") }
        }
        _ => {
            let allowed = subject.expressions || trail.through("expression");
            let option = trail.holder.get("enum").is_some() && node.is_some_and(|node| node.as_str().is_some());
            let how = match option {
                true => How::Option,
                false if allowed && is_bare(node, trail.through("condition")) => How::Bare,
                false => How::Sort,
            };
            let help = node.and_then(|node| repair::of(schema, trail.holder, node));
            Mistake::Wrong { path, expected: trail.expected(), help, how }
        }
    };
    vec![mistake]
}

/// The keys that have no meaning in a map, each with what to do about it.
fn unknown(
    schema: &Json,
    trail: &Trail<'_>,
    node: Option<&Node>,
    above: &[String],
    keys: &[String],
    path: &str,
) -> Vec<Mistake> {
    let legal = trail.legal();
    let (taken, free): (Vec<&str>, Vec<&str>) =
        legal.iter().map(String::as_str).partition(|name| node.is_some_and(|node| node.get(name).is_some()));
    let mut foreign = false;
    let mut mistakes = Vec::new();
    for key in keys {
        let below = trail.below(schema, key);
        let (help, meant) = if let Some(instead) = trail.instead(key) {
            (Some(instead.to_owned()), mentioned(instead, &legal))
        } else if above.iter().any(|name| name == key) {
            (Some(format!("`{key}` belongs one level up")), Vec::new())
        } else if !below.is_empty() {
            (Some(format!("`{key}` belongs one level down, under {}", listed(&below, "or"))), below)
        } else if let Some(name) = suggest(key, free.iter().copied()) {
            (Some(format!("did you mean `{name}`?")), vec![name.to_owned()])
        } else if let Some(name) = suggest(key, taken.iter().copied()) {
            (Some(format!("`{name}` stands here already")), Vec::new())
        } else if let Some(instead) = trail.instead("*") {
            // It is about all such keys together.
            if std::mem::replace(&mut foreign, true) {
                continue;
            }
            (Some(instead.to_owned()), mentioned(instead, &legal))
        } else if let Some(name) = suggest(key, above.iter().map(String::as_str)) {
            (Some(format!("`{name}` belongs one level up")), Vec::new())
        } else {
            let free: Vec<String> = free.iter().map(|name| (*name).to_owned()).collect();
            ((!free.is_empty()).then(|| format!("known here: {}", listed(&free, "and"))), Vec::new())
        };
        mistakes.push(Mistake::Unknown { path: path.to_owned(), key: key.clone(), help, meant });
    }
    mistakes
}

/// The names that a help has in backticks.
fn mentioned(help: &str, names: &[String]) -> Vec<String> {
    names.iter().filter(|name| mentions(help, name)).cloned().collect()
}

/// Whether a help has a name in backticks, alone or as a key.
pub(super) fn mentions(help: &str, name: &str) -> bool {
    [format!("`{name}`"), format!("`{name}:")].iter().any(|quoted| help.contains(quoted))
}

/// The mistakes in the alternative that was most probably meant: the one whose type the value has.
fn of_branches(
    schema: &Json,
    context: &[Vec<ValidationError<'static>>],
    subject: &Subject<'_>,
    path: String,
    trail: &Trail<'_>,
) -> Vec<Mistake> {
    let branches: Vec<Vec<Mistake>> =
        context.iter().map(|errors| errors.iter().flat_map(|error| of(schema, error, subject)).collect()).collect();
    if branches.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let missing = |branch: &Vec<Mistake>| match branch.as_slice() {
        [Mistake::Missing { path: at, property, step: false, .. }, ..] if *at == path => Some(property.clone()),
        _ => None,
    };
    if let Some(mut properties) = branches.iter().map(missing).collect::<Option<Vec<String>>>() {
        properties.dedup();
        return match (properties.as_slice(), branches.into_iter().next()) {
            ([_], Some(first)) => first.into_iter().take(1).collect(),
            _ => vec![Mistake::MissingOne { path, properties }],
        };
    }
    let fits = |errors: &&Vec<ValidationError<'static>>| {
        !errors.iter().any(|error| error.instance_path().as_str() == path && matches!(error.kind(), Kind::Type { .. }))
    };
    let fitting = context.iter().zip(branches).filter(|(errors, _)| fits(errors)).map(|(_, branch)| branch);
    let best = fitting.min_by_key(Vec::len);
    match best {
        // It is not the value itself that is wrong, but something inside.
        Some(best)
            if best.iter().any(|mistake| mistake.path() != path || !matches!(mistake, Mistake::Wrong { .. })) =>
        {
            best
        }
        _ => {
            let allowed = subject.expressions || trail.holder.to_string().contains("#/$defs/expression");
            let bare = allowed && is_bare(subject.node.at(&path), trail.through("condition"));
            let how = if bare { How::Bare } else { How::Sort };
            let help = subject.node.at(&path).and_then(|node| repair::of(schema, trail.holder, node));
            vec![Mistake::Wrong { path, expected: trail.expected(), help, how }]
        }
    }
}

/// Whether a text is an expression that lacks its `${ }`.
fn is_bare(node: Option<&Node>, condition: bool) -> bool {
    let Some(text) = node.and_then(Node::as_str) else { return false };
    let text = text.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let after_name = text.trim_start_matches(is_name);
    let named = after_name.len() < text.len() && text.starts_with(|c: char| c.is_ascii_alphabetic());
    let member = after_name.strip_prefix('.').is_some_and(|rest| rest.starts_with(is_name));
    let path = named && (member || ["?.", "[", "("].iter().any(|next| after_name.starts_with(next)));
    let operators = ["==", "!=", "<", ">", "??"];
    let words = ["and", "or", "not", "in", "if"];
    let worded = condition && words.iter().any(|word| text.split(' ').any(|part| part == *word));
    let computed = worded || operators.iter().any(|operator| text.contains(operator));
    // A word alone is an expression only where nothing but an expression would do; the words that other YAML readers
    // take for a bool are meant as one.
    let bools = ["yes", "no", "on", "off", "y", "n", "true", "false"];
    path || computed || condition && named && after_name.is_empty() && !bools.contains(&text.to_lowercase().as_str())
}
