//! `wf::uncorrelated_wait`: a `wait` that takes anybody's event.

use super::{Context, roots, ty};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::plan::{Body, EventMatch, WaitGuard};
use crate::types::Type;

/// Checks every event that is waited for, those of `cancel_on` included.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    let data = cx.event_data_type();
    let Type::Object(own) = ty::non_null(data) else { return };
    let waits = cx.workflow.steps.iter().flat_map(|step| match &step.body {
        Body::Wait(alternatives) => alternatives
            .iter()
            .filter_map(|alternative| match &alternative.guard {
                WaitGuard::Event(wait) => Some(wait),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    });
    for wait in cx.workflow.cancel_on.iter().chain(waits) {
        let EventMatch { event, matches, filter, .. } = wait;
        if !matches.is_empty() || filter.is_some() {
            continue;
        }
        let Some(Type::Object(fields)) = roots::event_data(cx.project, &event.value) else { continue };
        let Some(id) = fields.keys().find(|name| is_id(name) && own.contains_key(*name)) else { continue };
        let message = format!("this takes the `{}` of anybody, whatever its `{id}`", event.value);
        found.push(
            Diagnostic::warning(Code::UNCORRELATED_WAIT, event.span, message)
                .help(format!("add `match: {{{id}: \"${{ event.data.{id} }}\"}}`")),
        );
    }
}

fn is_id(name: &str) -> bool {
    name == "id" || name.ends_with("_id") || name.ends_with("Id") || name.ends_with("ID")
}
