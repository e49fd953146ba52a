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
    let mut found = Vec::new();
    let mut refuse = |what, span| found.push(Unsupported { what, span });
    if let Some(limits) = &workflow.limits {
        refuse("`limits`", limits.span);
    }
    if let Some(cancel) = workflow.cancel_on.first() {
        refuse("`cancel_on`", cancel.event.span);
    }
    if workflow.finally.is_some() {
        refuse("`finally`", workflow.name.span);
    }
    for step in &workflow.steps {
        if step.undo.is_some() {
            refuse("`undo`", step.id_span);
        }
        if step.finally.is_some() {
            refuse("`finally`", step.id_span);
        }
    }
    found
}
