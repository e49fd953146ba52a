//! Scalars that a field may hold: durations, instants, conditions, names.

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::form::Form;
use crate::node::{Node, Tree};
use crate::source::{Span, Spanned};
use crate::time::{Date, Period, Time};
use crate::value::Value;

/// Words of the expression language, which no name can be.
const KEYWORDS: [&str; 10] = ["and", "or", "not", "in", "if", "then", "else", "true", "false", "null"];

/// Why a text cannot be a name that expressions use.
pub(super) enum BadName {
    /// A letter, then letters, digits and `_`.
    Form,
    /// It is a word of the language.
    Keyword,
}

/// Whether expressions can use a name.
pub(super) fn check_name(text: &str) -> Result<(), BadName> {
    let mut chars = text.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic());
    if !first || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(BadName::Form);
    }
    if KEYWORDS.contains(&text) { Err(BadName::Keyword) } else { Ok(()) }
}

/// Whether a text is lower-case words with `_` between them.
pub(super) fn is_snake_case(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
    starts && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The nearest snake_case to a text, for helps.
pub(super) fn snake_case(text: &str) -> String {
    let mut snake = String::new();
    for c in text.chars() {
        if c.is_ascii_uppercase() && snake.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) {
            snake.push('_');
        }
        let next = if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        if next != '_' || !snake.is_empty() && !snake.ends_with('_') {
            snake.push(next);
        }
    }
    let snake = snake.trim_end_matches('_');
    if snake.starts_with(|c: char| c.is_ascii_digit()) { format!("step_{snake}") } else { snake.to_owned() }
}

/// The text of a field in which nothing is evaluated. None if it holds an expression, which is reported, or is no text.
pub(super) fn text(node: &Node, found: &mut Findings) -> Option<Spanned<String>> {
    Form::literal_text(node, found).map(|text| Spanned::new(text, node.span))
}

/// A duration that is written out. None if it is no duration, which is reported unless it is no text.
pub(super) fn period(node: &Node, found: &mut Findings) -> Option<Period> {
    let text = text(node, found)?;
    match text.value.parse::<Period>() {
        Ok(period) if period < Period::ZERO => {
            found.push(Diagnostic::error(Code::LITERAL, node.span, format!("`{}` points back in time", text.value)));
            None
        }
        Ok(period) => Some(period),
        Err(error) => {
            found.push(bad_period(&text.value, node.span, &error.to_string()));
            None
        }
    }
}

/// A duration, written out or as an expression. A literal becomes a [`Value::Period`].
pub(crate) fn duration(node: &Node, found: &mut Findings) -> Option<Form> {
    let form = Form::parse(scalar(node)?, found);
    let Form::Literal(literal, span) = &form else { return Some(form) };
    let text = literal.as_str()?;
    match text.parse::<Period>() {
        Ok(period) => Some(Form::Literal(Value::Period(period), *span)),
        Err(error) => {
            found.push(if is_path(text) {
                bare(text, *span, "a duration")
            } else {
                bad_period(text, *span, &error.to_string())
            });
            None
        }
    }
}

/// An instant, written out or as an expression. A literal becomes a [`Value::Time`].
pub(super) fn instant(node: &Node, found: &mut Findings) -> Option<Form> {
    let form = Form::parse(scalar(node)?, found);
    let Form::Literal(literal, span) = &form else { return Some(form) };
    let text = literal.as_str()?;
    match text.parse::<Time>() {
        Ok(time) => Some(Form::Literal(Value::Time(time), *span)),
        Err(_) if is_path(text) => {
            found.push(bare(text, *span, "a timestamp"));
            None
        }
        Err(error) => {
            let finding = Diagnostic::error(Code::LITERAL, *span, format!("`{text}` is not a timestamp"));
            found.push(finding.help(instant_help(text, &error.to_string())));
            None
        }
    }
}

/// A value that is no list and no map, whose shape has been reported.
fn scalar(node: &Node) -> Option<&Node> {
    (!matches!(node.tree, Tree::List(_) | Tree::Map(_))).then_some(node)
}

/// A condition: a bool or an expression, but no text around one.
pub(super) fn condition(node: &Node, found: &mut Findings) -> Option<Form> {
    let form = Form::parse(node, found);
    match (&node.tree, &form) {
        (Tree::Bool(_), _) | (_, Form::Expr(_)) => Some(form),
        (_, Form::Text(_, span)) => {
            let finding =
                Diagnostic::error(Code::TYPE_MISMATCH, *span, "text around an expression is text, not a bool");
            found.push(finding.help("write the whole condition inside of one `${ }`"));
            None
        }
        _ => None,
    }
}

/// A path such as `event.data.x`, which lacks its `${ }`.
fn is_path(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let named = rest.len() < text.len() && text.starts_with(|c: char| c.is_ascii_alphabetic());
    let after = rest.strip_prefix("?.").or(rest.strip_prefix('.'));
    named && after.is_some_and(|after| after.starts_with(|c: char| c.is_ascii_alphabetic()))
}

fn bare(text: &str, span: Span, expected: &str) -> Diagnostic {
    Diagnostic::error(Code::TYPE_MISMATCH, span, format!("{expected} is needed, and this is text"))
        .label("without `${ }` this is not evaluated")
        .help(format!("write `${{ {text} }}`"))
}

fn bad_period(text: &str, span: Span, help: &str) -> Diagnostic {
    let finding = Diagnostic::error(Code::LITERAL, span, format!("`{text}` is not a duration"));
    match meant_period(text) {
        Some(period) => finding.help(format!("write `{}`", period.compact())),
        None => finding.help(help),
    }
}

/// The duration that a text such as `90 seconds`, `1h 30m` or `1.5h` means.
fn meant_period(text: &str) -> Option<Period> {
    let mut rest = text.trim().to_lowercase();
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let count: f64 = rest[..digits].parse().ok()?;
        let word = rest[digits..].trim_start();
        let letters = word.len() - word.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let millis = match &word[..letters] {
            "ms" | "millis" | "millisecond" | "milliseconds" => 1.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
            "d" | "day" | "days" => 86_400_000.0,
            "w" | "week" | "weeks" => 604_800_000.0,
            _ => return None,
        };
        total += count * millis;
        rest = word[letters..].trim_start_matches([' ', ',']).to_owned();
    }
    // Up to this the float is exact, so that the advice means what was written.
    (total.fract() == 0.0 && (1.0..1e15).contains(&total)).then_some(Period(total as i64))
}

/// What to write instead of a text that is no timestamp.
fn instant_help(text: &str, otherwise: &str) -> String {
    match text.parse::<Date>() {
        Ok(date) => format!("write `{date}T00:00:00Z`, or another time of that day"),
        Err(_) => otherwise.to_owned(),
    }
}
