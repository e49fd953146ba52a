//! `wf::impossible_comparison`: a comparison that is always the same by type.

use super::ty;
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::types::Type;

/// A comparison with null of something that is never null.
pub(super) fn with_null(span: Span, written: &str, found: &Type, always: bool, declared: Option<Span>) -> Diagnostic {
    let message = format!("this is always {always}: `{written}` is never null");
    let diagnostic = Diagnostic::warning(Code::IMPOSSIBLE_COMPARISON, span, message).label(ty::words(found));
    match declared {
        Some(declared) if declared != Span::NOWHERE => diagnostic
            .related(declared, "declared here")
            .help("drop the comparison, or declare the key as optional with a `?`"),
        _ => diagnostic.help("drop the comparison"),
    }
}
