//! `wf::maybe_null`: a value that may be null where null is not allowed.

use super::ty;
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::types::Type;

/// A value that may be null; `instead` is what to write.
pub(super) fn found(
    span: Span,
    written: &str,
    found: &Type,
    declared: Option<Span>,
    why: &str,
    instead: &str,
) -> Diagnostic {
    if *found == Type::Null {
        return always(span, written);
    }
    let message = format!("`{written}` may be null, and {why}");
    let diagnostic = Diagnostic::error(Code::MAYBE_NULL, span, message).label(ty::words(found));
    let diagnostic = match declared {
        Some(span) if span != Span::NOWHERE => diagnostic.related(span, "declared as optional here"),
        _ => diagnostic,
    };
    diagnostic.help(format!("write `{instead}`, or test `{written} != null` in an `if`"))
}

/// A value that is always null.
pub(super) fn always(span: Span, written: &str) -> Diagnostic {
    Diagnostic::error(Code::MAYBE_NULL, span, format!("`{written}` is always null here"))
}
