//! From the text of a file to a [`Node`] tree.
//!
//! Two parsers read the text. The first makes events with exact places: it finds everything that wf refuses, and
//! counts against the limits before anything is expanded. The second decides what the values are. Where the two
//! see different structures the file is refused.

mod marks;
mod syntax;
mod values;
mod write;

use std::sync::Arc;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::Node;
use crate::source::{FileId, Span};

pub use write::yaml_text;

/// The size of a file, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// How many lists and maps may stand in each other, aliases expanded.
pub const NESTING_MAX: usize = 64;

/// How many aliases (`*name`) a file may have.
pub const ALIASES_MAX: usize = 100;

/// How many values a file may have, aliases expanded.
pub const NODES_MAX: usize = 100_000;

/// What came of reading a file.
pub(crate) struct Document {
    /// The text to show.
    pub(crate) text: Arc<str>,
    /// The text is what the bytes say, all of it.
    pub(crate) whole: bool,
    /// The tree; none if the file could not be read at all, which the findings explain.
    pub(crate) tree: Option<Node>,
    /// What was wrong with the YAML. With a tree, parts of it were left out.
    pub(crate) found: Findings,
}

/// Reads a file. An empty one has no tree and no findings.
pub(crate) fn read(file: FileId, bytes: &[u8]) -> Document {
    let refused = |shown: String, finding: Diagnostic| {
        let mut found = Findings::default();
        found.push(finding);
        Document { text: shown.into(), whole: false, tree: None, found }
    };
    if bytes.len() > FILE_BYTES_MAX {
        // The start is enough to show; the whole might be anything of any size.
        let shown = &bytes[..bytes.len().min(FIRST_LINE_BYTES_MAX)];
        let first_line = String::from_utf8_lossy(shown).lines().next().unwrap_or_default().to_owned();
        let message = format!("the file has {} bytes; the limit is {FILE_BYTES_MAX}", bytes.len());
        let finding = Diagnostic::error(Code::YAML, Span { file, start: 0, end: 0 }, message);
        return refused(first_line, finding.help("split it: one workflow per file"));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            // The text before the first wrong byte stays as it is, so the place holds in the repaired text too.
            let start = error.valid_up_to();
            let place = Span { file, start, end: start + char::REPLACEMENT_CHARACTER.len_utf8() };
            let finding =
                Diagnostic::error(Code::YAML, place, "the file is not UTF-8").label("this byte cannot stand here");
            return refused(String::from_utf8_lossy(bytes).into_owned(), finding.help("save the file as UTF-8"));
        }
    };
    let mut found = Findings::default();
    let tree = parse(file, text, &mut found);
    Document { text: text.into(), whole: true, tree, found }
}

/// Reads the YAML that a file holds from `start` on, up to the end of `text`.
pub(crate) fn part(file: FileId, text: &str, start: usize, found: &mut Findings) -> Option<Node> {
    let marks = marks::mark(file, text, start, found)?;
    values::read(file, text, start, &marks, found)
}

/// How much of a file that is too large is kept to be shown.
const FIRST_LINE_BYTES_MAX: usize = 256;

const BYTE_ORDER_MARK: char = '\u{feff}';

fn parse(file: FileId, text: &str, found: &mut Findings) -> Option<Node> {
    if let Some(start) = text.find('\0') {
        let place = Span { file, start, end: start + 1 };
        found.push(Diagnostic::error(Code::YAML, place, "the file contains a NUL character"));
        return None;
    }
    let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
    part(file, text, start, found)
}
