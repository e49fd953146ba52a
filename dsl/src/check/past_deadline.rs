//! `wf::past_deadline`: a `sleep_until` that may be past already.

use super::flow::conditions_around;
use super::{Context, constant, facts};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::expr::ast::{Operator, Term, TermKind};
use crate::form::Form;
use crate::plan::Body;

/// Checks every `sleep_until` of a time before one that came with an event.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    for step in &cx.workflow.steps {
        let Body::SleepUntil { time: Form::Expr(expr), if_past_written: false, .. } = &step.body else { continue };
        let Some(time) = event_time(expr.term()) else { continue };
        let guarded = |form: &Form| compares_with_now(form, &time) || found.has_error_in(form.span());
        if found.has_error_in(expr.span()) || conditions_around(cx.workflow, step).into_iter().any(guarded) {
            continue;
        }
        let message = format!("this may be past already when `{}` is reached, and the run goes on at once", step.id);
        found.push(
            Diagnostic::warning(Code::PAST_DEADLINE, expr.span(), message)
                .help(format!("add `if: ${{ {} > now() }}`, or say `if_past: continue`", expr.text().trim())),
        );
    }
}

/// The event's time from which something is taken away.
fn event_time(term: &Term) -> Option<String> {
    let TermKind::Arithmetic(first, rest) = &term.kind else { return None };
    let path = facts::path(first).filter(|path| path.starts_with("event."))?;
    rest.iter().any(|(operator, _)| *operator == Operator::Subtract).then_some(path)
}

/// Whether a condition compares the time with now.
fn compares_with_now(form: &Form, time: &str) -> bool {
    let Form::Expr(expr) = form else { return false };
    let mut compares = false;
    expr.term().walk(&mut |term| {
        if let TermKind::Compare(_, sides) = &term.kind {
            let reads = |side: &Term| {
                let mut reads = false;
                side.walk(&mut |term| reads |= facts::path(term).is_some_and(|path| path == time));
                reads
            };
            let [left, right] = &**sides;
            compares |= reads(left) && constant::asks_for_now(right) || reads(right) && constant::asks_for_now(left);
        }
    });
    compares
}
