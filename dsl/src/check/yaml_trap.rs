//! `wf::yaml_trap`: a value that other YAML readers take for something else.

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::{Node, Tree};

/// What YAML 1.1 takes for bools, in lower case.
const BOOLS: [&str; 6] = ["yes", "no", "on", "off", "y", "n"];

/// Looks at every scalar of a file that is written without quotes. `text` is the file's.
pub(crate) fn check(text: &str, tree: &Node, found: &mut Findings) {
    match &tree.tree {
        Tree::List(items) => items.iter().for_each(|item| check(text, item, found)),
        Tree::Map(entries) => entries.iter().for_each(|entry| check(text, &entry.value, found)),
        Tree::String(value) if tree.plain => say(tree, value, found),
        Tree::Int(_) => {
            if let Some(written) = text.get(tree.span.start..tree.span.end) {
                say(tree, written, found);
            }
        }
        _ => {}
    }
}

fn say(node: &Node, text: &str, found: &mut Findings) {
    let Some(meaning) = meaning(text) else { return };
    let message = format!("`{text}` without quotes is {meaning} for other YAML readers");
    let help = format!("write `\"{text}\"`");
    found.push(Diagnostic::warning(Code::YAML_TRAP, node.span, message).help(help));
}

fn meaning(text: &str) -> Option<&'static str> {
    // Nothing longer is meant here, and most texts are longer.
    if text.len() > 10 {
        return None;
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if BOOLS.contains(&text.to_lowercase().as_str()) {
        return Some("a bool");
    }
    if text.len() > 1 && text.starts_with('0') && digits(text) {
        return Some("an octal number");
    }
    if text.contains(':') && text.split(':').all(digits) {
        return Some("a number to the base 60");
    }
    let date: Vec<&str> = text.split('-').collect();
    if let [year, month, day] = date[..]
        && (year.len(), month.len(), day.len()) == (4, 2, 2)
        && date.iter().all(|part| digits(part))
    {
        return Some("a timestamp");
    }
    None
}
