//! A first look at an expression's text: its limits and its strings, before the grammar is used.

use super::ast::At;
use super::parse::Wrong;

/// How long an expression may be, in bytes.
pub const EXPR_BYTES_MAX: usize = 16 * 1024;

/// How deep brackets and `if` may nest in an expression.
pub const EXPR_DEPTH_MAX: usize = 64;

/// Checks length, nesting and strings. What this accepts the parser can walk without exhausting the stack.
pub(super) fn check(text: &str) -> Result<(), Wrong> {
    if text.len() > EXPR_BYTES_MAX {
        let at = place(0, text.len());
        return Err(Wrong::new(at, format!("the expression is longer than {EXPR_BYTES_MAX} bytes"))
            .help("compute a part of it in a step or variable before"));
    }
    let bytes = text.as_bytes();
    // For each open bracket, how many `if` began inside it.
    let mut ifs = vec![0usize];
    let mut depth = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let mut end = at + 1;
        match byte {
            b'"' | b'\'' => end = string_end(text, at)?,
            b'(' | b'[' | b'{' => {
                ifs.push(0);
                depth += 1;
            }
            b')' | b']' | b'}' if ifs.len() > 1 => {
                depth -= 1 + ifs.pop().unwrap_or(0);
            }
            b',' => depth -= ifs.last_mut().map_or(0, std::mem::take),
            _ if is_word(byte) => {
                end = bytes[at..].iter().position(|byte| !is_word(*byte)).map_or(bytes.len(), |length| at + length);
                if &text[at..end] == "if" {
                    depth += 1;
                    if let Some(count) = ifs.last_mut() {
                        *count += 1;
                    }
                }
            }
            _ => {}
        }
        if depth > EXPR_DEPTH_MAX {
            return Err(Wrong::new(
                place(at, end),
                format!("the expression nests deeper than {EXPR_DEPTH_MAX} levels"),
            )
            .help("compute a part of it in a step or variable before"));
        }
        at = end;
    }
    Ok(())
}

/// The byte after a string that starts at `start` with its quote.
fn string_end(text: &str, start: usize) -> Result<usize, Wrong> {
    let bytes = text.as_bytes();
    let quote = bytes[start];
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        if byte == quote {
            return Ok(at + 1);
        }
        at += if byte == b'\\' { escape_length(text, at)? } else { 1 };
    }
    let quote = char::from(quote);
    Err(Wrong::new(place(start, text.len()), "the string is never closed").help(format!("end it with `{quote}`")))
}

fn escape_length(text: &str, at: usize) -> Result<usize, Wrong> {
    let escaped = text[at + 1..].chars().next();
    match escaped {
        Some('"' | '\'' | '\\' | 'n' | 't' | 'r') => Ok(2),
        Some('u') => {
            let digits = text.as_bytes().get(at + 2..at + 6);
            if digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                return Ok(6);
            }
            Err(Wrong::new(place(at, at + 2), "`\\u` needs four hexadecimal digits").help("such as `\\u00e9`"))
        }
        Some(other) => {
            let end = at + 1 + other.len_utf8();
            Err(Wrong::new(place(at, end), format!("unknown escape `\\{other}`"))
                .help(format!("for a backslash write `\\\\`: `\\\\{other}`")))
        }
        // The string is not closed either; its caller says so.
        None => Ok(1),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A place of at most [`EXPR_BYTES_MAX`] bytes; longer texts are cut there.
pub(super) fn place(start: usize, end: usize) -> At {
    let short = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    At { start: short(start), end: short(end) }
}

/// The byte at which an expression that starts at the beginning of `text` is closed by its `}`; none if it never is.
///
/// Braces of objects and everything inside strings belong to the expression.
pub(crate) fn closing_brace(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open = 0usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                // An unclosed string is reported by the parser if the rest of the text closes the expression.
                let mut end = at + 1;
                while bytes.get(end).is_some_and(|inside| *inside != byte) {
                    end += if bytes[end] == b'\\' { 2 } else { 1 };
                }
                if end >= bytes.len() {
                    return bytes[at..].iter().position(|byte| *byte == b'}').map(|offset| at + offset);
                }
                at = end;
            }
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}
