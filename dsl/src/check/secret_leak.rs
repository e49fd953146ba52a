//! `wf::secret_leak`: a secret flows into something that is shown or stored.

use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;

const WELCOME: &str = "secrets may go into connection settings, into `url`, `headers`, `query`, `json`, `form` and `body` of `http`, and into the key of `hmac_sha256`";

/// A secret in a field where it would be seen.
pub(super) fn flows(span: Span) -> Diagnostic {
    Diagnostic::error(Code::SECRET_LEAK, span, "a secret would be shown or stored here").help(WELCOME)
}

/// A secret that is taken apart, compared or handed to a function.
pub(super) fn read(span: Span) -> Diagnostic {
    Diagnostic::error(Code::SECRET_LEAK, span, "nothing can be read from a secret").help(WELCOME)
}
