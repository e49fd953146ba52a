//! What the language has and this engine does not execute yet. Nothing is ever read and ignored.

use wf_dsl::{Span, Workflow};

/// A construct that is refused, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The construct, as the file writes it.
    pub what: &'static str,
    /// Its place.
    pub span: Span,
}

/// The constructs of a workflow that this engine does not execute, in the order of the file.
pub fn unsupported(workflow: &Workflow) -> Vec<Unsupported> {
    workflow.limits.iter().map(|limits| Unsupported { what: "`limits`", span: limits.span }).collect()
}
