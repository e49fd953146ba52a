//! `wf::deadline`: a constant deadline or timeout that cannot work.

use super::flow::around;
use super::{Context, constant};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::form::Form;
use crate::node::Node;
use crate::plan::{Body, Delay, Retry, Step, WaitGuard};
use crate::source::Span;
use crate::time::{Period, Time};

/// Checks what is constant of timeouts, deadlines and retries.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    if let Some(timeout) = &cx.workflow.timeout {
        positive(timeout, "timeout", found);
    }
    if let Some(within) = cx.workflow.limits.as_ref().and_then(|limits| limits.value.start_within.as_ref()) {
        positive(within, "start_within", found);
    }
    if let Some(limits) = cx.tree.and_then(|tree| tree.get("limits")) {
        windows(limits, found);
    }
    for (form, key) in instants(cx) {
        past(cx, form, key, found);
    }
    for step in &cx.workflow.steps {
        let own = step.timeout.as_ref().filter(|timeout| step.span.contains(timeout.span()));
        if let Some(timeout) = own {
            positive(timeout, "timeout", found);
        }
        if let Body::Wait(alternatives) = &step.body {
            for alternative in alternatives {
                if let WaitGuard::After(Some(after)) = &alternative.guard {
                    positive(after, "after", found);
                }
            }
        }
        retries(cx, step, found);
    }
}

/// The earliest constant time to come that a step waits for.
pub(super) fn next(cx: &Context<'_>) -> Option<Time> {
    let times = instants(cx).filter_map(|(form, _)| constant::value(form)?.as_time());
    times.filter(|time| cx.project.read_at.is_none_or(|now| now <= *time)).min()
}

/// The times that steps wait for, with the keys that they stand at.
fn instants<'p>(cx: &Context<'p>) -> impl Iterator<Item = (&'p Form, &'static str)> {
    cx.workflow.steps.iter().flat_map(|step| match &step.body {
        Body::SleepUntil { time, .. } => vec![(time, "sleep_until")],
        Body::Wait(alternatives) => {
            let untils = alternatives.iter().filter_map(|alternative| match &alternative.guard {
                WaitGuard::Until(until) => Some((until, "until")),
                WaitGuard::After(_) | WaitGuard::Event(_) => None,
            });
            untils.collect()
        }
        _ => Vec::new(),
    })
}

/// Reports a length of time that is not longer than zero.
pub(super) fn positive(form: &Form, key: &str, found: &mut Findings) {
    let length = constant::value(form).and_then(|value| value.as_period());
    if length.is_some_and(|length| length <= Period::ZERO) {
        found.push(not_longer_than_zero(form.span(), key));
    }
}

/// The lengths of limits are longer than zero, and a `debounce` is given the time of silence that it waits for.
fn windows(limits: &Node, found: &mut Findings) {
    let length = |rule: &str, key: &str| {
        let node = limits.get(rule)?.get(key)?;
        Some((node, node.as_str()?.parse::<Period>().ok()?))
    };
    for (rule, key) in WINDOWS {
        if let Some((node, Period::ZERO)) = length(rule, key) {
            found.push(not_longer_than_zero(node.span, key));
        }
    }
    if let (Some((quiet, silence)), Some((most, wait))) = (length("debounce", "quiet"), length("debounce", "max_wait"))
        && Period::ZERO < wait
        && wait < silence
    {
        found.push(
            Diagnostic::error(Code::DEADLINE, most.span, "`max_wait` is shorter than `quiet`, which never counts then")
                .related(quiet.span, "this is longer")
                .help("make `max_wait` some times as long as `quiet`"),
        );
    }
}

/// The lengths that limits are given.
const WINDOWS: [(&str, &str); 6] = [
    ("throttle", "per"),
    ("rate_limit", "per"),
    ("debounce", "quiet"),
    ("debounce", "max_wait"),
    ("batch", "within"),
    ("idempotency", "within"),
];

fn not_longer_than_zero(span: Span, key: &str) -> Diagnostic {
    Diagnostic::error(Code::DEADLINE, span, format!("`{key}` is not longer than zero"))
        .help("write a length such as `30s`")
}

fn past(cx: &Context<'_>, form: &Form, key: &str, found: &mut Findings) {
    let time = constant::value(form).and_then(|value| value.as_time());
    if let (Some(time), Some(now)) = (time, cx.project.read_at)
        && time < now
    {
        let message = format!("this time is past: `{key}` would end at once, always");
        let help = "take the time from an event, or use a `cron` trigger for what comes again";
        found.push(Diagnostic::error(Code::DEADLINE, form.span(), message).help(help));
    }
}

/// The delays of a step's retries must fit into the blocks around it, or the last attempts never happen.
fn retries(cx: &Context<'_>, step: &Step, found: &mut Findings) {
    let Some(span) = step.retry_span else { return };
    let Some(total) = step.retry.iter().filter_map(total).max() else { return };
    let blocks = around(cx.workflow, step.list).filter_map(|outer| {
        let outer = cx.workflow.step(outer);
        Some((outer.timeout.as_ref()?, format!("`{}`", outer.id)))
    });
    let whole = cx.workflow.timeout.iter().map(|timeout| (timeout, "the workflow".to_owned()));
    // A block that repeats itself does so within its own timeout.
    let own = (!matches!(step.body, Body::Effect(_) | Body::Invoke { .. } | Body::SendEvent { .. }))
        .then_some(step.timeout.as_ref())
        .flatten()
        .map(|timeout| (timeout, format!("`{}`", step.id)));
    for (timeout, what) in own.into_iter().chain(blocks).chain(whole) {
        let Some(limit) = constant::value(timeout).and_then(|value| value.as_period()) else { continue };
        if total > limit {
            let message = format!(
                "the delays of these retries are {} in all, and {what} has only {}",
                total.compact(),
                limit.compact()
            );
            found.push(
                Diagnostic::error(Code::DEADLINE, span, message)
                    .related(timeout.span(), "this ends first")
                    .help("fewer or shorter delays, or a longer timeout"),
            );
            return;
        }
    }
}

/// The sum of a policy's delays; none if it has no fixed one.
fn total(retry: &Retry) -> Option<Period> {
    // What jitter draws may be anything down to zero.
    if retry.jitter {
        return None;
    }
    let cut = |millis: f64| retry.max_delay.map_or(millis, |most| millis.min(most.0 as f64));
    let sum = match &retry.delay {
        Delay::List(delays) => delays.iter().map(|delay| cut(delay.0 as f64)).sum(),
        Delay::Exponential { first, factor } => {
            let mut next = first.0 as f64;
            let mut sum = 0.0;
            // Beyond some hundred attempts the sum no longer matters.
            for _ in 1..retry.max_attempts?.min(ATTEMPTS_COUNTED_MAX) {
                sum += cut(next);
                next *= factor;
            }
            sum
        }
    };
    let sum = retry.max_elapsed.map_or(sum, |most| f64::min(sum, most.0 as f64));
    Some(Period(sum.min(i64::MAX as f64) as i64))
}

/// How many attempts are added up.
const ATTEMPTS_COUNTED_MAX: u32 = 1000;
