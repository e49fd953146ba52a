//! What the parser stumbled over, in our words.

use granit_parser::{ErrorKind, ScanError};

use super::NESTING_MAX;
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Span};

/// A parser's error as a finding; the parser began at `start`.
pub(super) fn explain(error: &ScanError, file: FileId, text: &str, start: usize) -> Diagnostic {
    let at = floor(text, start + error.marker().byte_offset().unwrap_or_default());
    let place = visible(text, at, file);
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        return too_deep(place);
    }
    let message = message(error.kind());
    let place = if message == TAB { tab_from(text, at, file).unwrap_or(place) } else { place };
    let finding = Diagnostic::error(Code::YAML, place, message);
    match help(error.kind(), text, at) {
        Some(help) => finding.help(help),
        None => finding,
    }
}

/// What only the parser of values objects to.
pub(super) fn explain_value(error: &serde_yaml::Error, file: FileId, text: &str, start: usize) -> Diagnostic {
    let at = floor(text, error.location().map_or(start, |location| start + location.index()));
    let place = visible(text, at, file);
    if text[place.start..place.end].starts_with('\t') {
        return Diagnostic::error(Code::YAML, place, TAB).help("indent with spaces");
    }
    if line(text, at).starts_with('%') {
        let message = "directives such as `%YAML` are not part of the language";
        return Diagnostic::error(Code::YAML, place, message).help("remove the line");
    }
    let message = "the two YAML parsers of wf read this differently";
    Diagnostic::error(Code::YAML, place, message).label(error.to_string()).help("write it in a simpler way")
}

/// The nesting is over its limit.
pub(super) fn too_deep(span: Span) -> Diagnostic {
    let message = format!("lists and maps stand in each other more than {NESTING_MAX} deep");
    Diagnostic::error(Code::YAML, span, message).help("move the inner part to a workflow of its own and `invoke` it")
}

const TAB: &str = "a tab cannot stand here";

fn message(kind: &ErrorKind) -> String {
    let phrase = match kind {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => "a `:` cannot stand here",
        ErrorKind::MappingKeyNotAllowed => "a key cannot stand here",
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => "a key without its `:`",
        ErrorKind::ExpectedBlockMappingKey => "a key was expected here",
        ErrorKind::InvalidIndentation | ErrorKind::InvalidBlockScalarIndent | ErrorKind::InvalidFlowScalarIndent => {
            "the indentation does not fit the lines above"
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => TAB,
        ErrorKind::UnclosedQuotedScalar => "this quote is never closed",
        ErrorKind::InvalidQuotedScalarIndent => "a quoted text goes on here, and is not indented",
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => "a `[` or `{` is never closed",
        ErrorKind::ExpectedFlowMappingSeparator => "a `,` or `}` was expected here",
        ErrorKind::ExpectedFlowSequenceSeparator => "a `,` or `]` was expected here",
        ErrorKind::MisplacedFlowCollectionEnd => "a bracket that was never opened",
        ErrorKind::BlockSequenceEntryNotAllowed | ErrorKind::BlockEntryInFlowCollection => "a list cannot start here",
        ErrorKind::ExpectedBlockSequenceEntry => "a `-` was expected here",
        ErrorKind::UnknownAnchor => "no value with this name stands above",
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            "text after the closing quote"
        }
        ErrorKind::UnknownQuotedScalarEscape => "this escape is not known",
        ErrorKind::UnexpectedCharacter { .. } => "a text cannot start with this character",
        // The rest is rare; the parser's own words, cut to a phrase.
        other => return format!("not YAML: {}", other.to_string().trim_end_matches('.').to_lowercase()),
    };
    phrase.to_owned()
}

fn help(kind: &ErrorKind, text: &str, at: usize) -> Option<&'static str> {
    let line = line(text, at);
    Some(match kind {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement | ErrorKind::ExpectedBlockMappingKey
            if line.contains("${") =>
        {
            "quote the whole value: YAML takes `: ` for a key and ` #` for a comment, inside of `${ }` too"
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement if goes_on(text, at) => {
            "the line above has no `:` and no quotes"
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            "quote a text that contains `: `, or check the indentation"
        }
        ErrorKind::ExpectedBlockSequenceEntry => "start an item with `- `, or indent its keys like the first one",
        ErrorKind::InvalidQuotedScalarIndent | ErrorKind::UnclosedQuotedScalar => "close the quote",
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator if line.contains("${") => {
            "quote an expression inside of `[ ]` and `{ }`"
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            "close the bracket, or quote a text that contains `: ` or a bracket"
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => "indent with spaces",
        ErrorKind::UnknownAnchor => {
            "an alias `*name` needs a value with `&name` further up; quote a text that starts with `*`"
        }
        ErrorKind::UnknownQuotedScalarEscape => "use single quotes for text with backslashes",
        ErrorKind::UnexpectedCharacter { .. } => "quote a text that starts with this character",
        _ => return None,
    })
}

/// Whether the line above is plain text without a key, of which this line is a part.
fn goes_on(text: &str, at: usize) -> bool {
    let start = text[..at].rfind('\n').unwrap_or_default();
    let above = text[..start].lines().next_back().unwrap_or_default().trim();
    !above.is_empty() && !above.contains(':') && !above.starts_with(['-', '#', '"', '\''])
}

/// The character boundary at or before a byte.
pub(super) fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

/// The character at a byte; at the end of a line or of the file, the last one that can be seen.
fn visible(text: &str, at: usize, file: FileId) -> Span {
    match text[at..].chars().next() {
        Some(char) if char != '\n' && char != '\r' => Span { file, start: at, end: at + char.len_utf8() },
        _ => {
            let seen = text[..at].trim_end();
            let start = seen.char_indices().next_back().map_or(0, |(start, _)| start);
            Span { file, start, end: seen.len() }
        }
    }
}

/// The first tab at a place or in the indentation of a later line: of a text that goes on there, the parser names the
/// start.
fn tab_from(text: &str, at: usize, file: FileId) -> Option<Span> {
    let in_indentation = |tab: &usize| *tab == at || text[..*tab].trim_end_matches([' ', '\t']).ends_with('\n');
    let start = text[at..].match_indices('\t').map(|(tab, _)| at + tab).find(in_indentation)?;
    Some(Span { file, start, end: start + 1 })
}

/// The line around a byte.
fn line(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = text[at..].find('\n').map_or(text.len(), |len| at + len);
    &text[start..end]
}
