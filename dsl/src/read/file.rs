//! What sort of file a file is: its first key says.

use crate::node::Node;
use crate::source::Spanned;
use crate::suggest::suggest;

/// A sort of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// `workflow:`
    Workflow,
    /// `events:`
    Events,
    /// `test:`
    Test,
    /// `project:`
    Project,
}

const SORTS: [(&str, Sort); 4] =
    [("workflow", Sort::Workflow), ("events", Sort::Events), ("test", Sort::Test), ("project", Sort::Project)];

/// What the first key says.
pub(crate) enum First<'a> {
    /// It is a file of ours.
    Ours(Sort),
    /// It is nearly one of our keys.
    Nearly(&'a Spanned<String>, &'static str),
    /// It is none of ours.
    Other(Option<&'a Spanned<String>>),
}

/// The sort of a tree.
pub(crate) fn sort(tree: &Node) -> First<'_> {
    let Some(first) = tree.entries().first() else { return First::Other(None) };
    match of_key(&first.key.value) {
        Some(sort) => First::Ours(sort),
        None => match suggest(&first.key.value, SORTS.iter().map(|(key, _)| *key)) {
            // Many words are near to `test`.
            Some("test") if tree.get("cases").is_none() => First::Other(Some(&first.key)),
            Some(key) => First::Nearly(&first.key, key),
            // Keys in another order are a mistake, not another sort of file.
            None if tree.get("workflow").is_some() && tree.get("steps").is_some() => {
                First::Nearly(&first.key, "workflow")
            }
            None => First::Other(Some(&first.key)),
        },
    }
}

/// Whether a file that could not be read is probably one of ours, by the first key that stands in the text.
pub(crate) fn is_probably_ours(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', '%', '-']));
    let Some(line) = first else { return false };
    let line = line.trim_start_matches(['\u{feff}', '{', '"', '\'', ' ']);
    let key: String = line.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let after = line[key.len()..].trim_start_matches(['"', '\'', ' ', '\t']);
    let near = || suggest(&key, SORTS.iter().map(|(key, _)| *key)).is_some_and(|near| near != "test");
    after.starts_with(':') && (of_key(&key).is_some() || near())
}

fn of_key(key: &str) -> Option<Sort> {
    SORTS.iter().find(|(ours, _)| *ours == key).map(|(_, sort)| *sort)
}
