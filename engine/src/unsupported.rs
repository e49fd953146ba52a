//! What the language has and this engine does not execute yet. Nothing is ever read and ignored.

use wf_dsl::{Limits, Span, Workflow};

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
    let Some(limits) = &workflow.limits else { return Vec::new() };
    let Limits { debounce, batch, .. } = &limits.value;
    let rules = [("`debounce`", debounce.is_some()), ("`batch`", batch.is_some())];
    rules.into_iter().filter(|(_, there)| *there).map(|(what, _)| Unsupported { what, span: limits.span }).collect()
}
