//! From a validator's errors to mistakes as an author makes them.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value as Json;

use super::Subject;
use super::trail::Trail;
use crate::suggest::suggest;

/// One mistake. Paths are JSON pointers into the value that was checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mistake {
    /// A field is missing; `expected` is what it would hold.
    Missing { path: String, property: String, step: bool, expected: Option<String> },
    /// One of several fields is missing.
    MissingOne { path: String, properties: Vec<String> },
    /// Several fields that exclude each other.
    TooMany { path: String, properties: Vec<String> },
    /// A key that has no meaning there. `below`: the key next to it under which it would have one.
    Unknown { path: String, key: String, legal: Vec<String>, above: Vec<String>, below: Vec<String> },
    /// A value of the wrong shape. `bare`: an expression without `${ }`.
    Wrong { path: String, expected: String, options: Vec<String>, bare: bool },
    /// Anything else.
    Other { path: String, message: String },
}

impl Mistake {
    /// The path and the legal key that an unknown key was most probably meant to be.
    pub(super) fn misspelt(&self) -> Option<(String, String)> {
        match self {
            Mistake::Unknown { path, key, legal, .. } => {
                Some((path.clone(), suggest(key, legal.iter().map(String::as_str))?.to_owned()))
            }
            _ => None,
        }
    }

    /// Whether this reports one of these keys as missing.
    pub(super) fn is_missing(&self, meant: &[(String, String)]) -> bool {
        match self {
            Mistake::Missing { path, property, .. } => meant.iter().any(|(at, key)| at == path && key == property),
            Mistake::MissingOne { path, properties } => {
                meant.iter().any(|(at, key)| at == path && properties.contains(key))
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
    let expression = node.is_some_and(crate::node::Node::has_expression);
    if subject.expressions && expression && !path.is_empty() {
        return Vec::new();
    }
    let trail = Trail::follow(schema, error.evaluation_path().as_str());
    let mistake = match error.kind() {
        Kind::Required { property } => {
            let property = property.as_str().unwrap_or_default().to_owned();
            let expected = trail.field(schema, &property);
            Mistake::Missing { path, property, step: trail.through("step"), expected }
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let (mut legal, mut above) = (trail.legal(), trail.above());
            // What stands there already was not meant a second time.
            legal.retain(|name| node.is_none_or(|node| node.get(name).is_none()));
            if above.is_empty() {
                above = subject.above.iter().map(|name| (*name).to_owned()).collect();
            }
            let unknown = |key: &String| Mistake::Unknown {
                path: path.clone(),
                key: key.clone(),
                legal: legal.clone(),
                above: above.clone(),
                below: trail.below(schema, key),
            };
            return unexpected.iter().map(unknown).collect();
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
                Mistake::Wrong { path, expected: trail.expected(), options: Vec::new(), bare: false }
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
            let options = match trail.holder.get("enum").and_then(Json::as_array) {
                Some(options) => options.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
                None => Vec::new(),
            };
            let allowed = subject.expressions || trail.through("expression");
            let bare = allowed && is_bare(node, trail.through("condition"));
            Mistake::Wrong { path, expected: trail.expected(), options, bare }
        }
    };
    vec![mistake]
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
        best => {
            let allowed = subject.expressions || trail.holder.to_string().contains("#/$defs/expression");
            let bare = allowed && is_bare(subject.node.at(&path), trail.through("condition"));
            let options = match best.as_deref() {
                Some([Mistake::Wrong { options, .. }]) => options.clone(),
                _ => Vec::new(),
            };
            vec![Mistake::Wrong { path, expected: trail.expected(), options, bare }]
        }
    }
}

/// Whether a text is an expression that lacks its `${ }`.
fn is_bare(node: Option<&crate::node::Node>, condition: bool) -> bool {
    let Some(text) = node.and_then(crate::node::Node::as_str) else { return false };
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
