//! Terms: what a workflow's limits said of an event when it was accepted, frozen with the run.

use serde::{Deserialize, Serialize};
use wf_dsl::{EvalError, Form, Limits, OnConflict, Time, Value};

use crate::planted::{Bug, planted};
use crate::run::EventScope;
use crate::store::{Gate, LimitId, Pace, Ready, Slot};

/// The greatest priority, and the smallest with its sign changed; beyond, it counts as the nearest.
pub const PRIORITY_MAX: i64 = 100;
/// Where a run of priority 0 stands in the queue: smaller goes first, and [`Ready::WOKEN`] before all.
const MIDDLE: i64 = 1 + PRIORITY_MAX;

/// The terms on which a run was accepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Its place in the queue before it begins: smaller goes first.
    pub priority: u8,
    /// What it must pass to begin.
    #[serde(default, skip_serializing_if = "Gate::is_open")]
    pub gate: Gate,
    /// The key of `unique` under which it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<LimitId>,
    /// It may have to wait for the end of another run of that key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
    /// A key of `idempotency` names it to starts that come later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remembered: bool,
    /// When it is too late to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_by: Option<Time>,
}

impl Terms {
    /// Evaluates the keys of limits in the scope of an event.
    ///
    /// # Errors
    /// An expression that fails.
    pub(crate) fn of(workflow: u16, limits: &Limits, scope: &EventScope<'_>) -> Result<Self, EvalError> {
        let slots = limits.concurrency.iter().enumerate().map(|(n, rule)| {
            // Both rules of a workflow may have the same key; those of a project are one, whichever workflow has them.
            let of = match rule.project {
                true => project_id("concurrency", rule.key.as_ref(), scope)?,
                false => key_id(["concurrency 1", "concurrency 2"][n.min(1)], workflow, rule.key.as_ref(), scope)?,
            };
            Ok(Slot { of, limit: rule.limit })
        });
        let slots = one_of_each(slots.collect::<Result<_, EvalError>>()?);
        let pace = match &limits.throttle {
            Some(rule) => Some(Pace {
                of: key_id("throttle", workflow, rule.key.as_ref(), scope)?,
                every_us: every_us(rule.per.0, rule.limit),
                burst: rule.burst,
            }),
            None => None,
        };
        let priority = match limits.priority.as_ref().map(|form| form.fill(scope)).transpose()? {
            Some(Value::Int(priority)) => priority,
            _ => 0,
        };
        let start_by = match limits.start_within.as_ref().map(|form| form.fill(scope)).transpose()? {
            Some(Value::Period(within)) => Some(Time(scope.now.0.saturating_add(within.0.max(0)))),
            _ => None,
        };
        let priority = u8::try_from(MIDDLE - priority.clamp(-PRIORITY_MAX, PRIORITY_MAX)).expect("between 1 and 201");
        let unique = limits.unique.as_ref();
        let waits = unique.is_some_and(|rule| rule.on_conflict != OnConflict::Skip);
        let unique = unique.map(|rule| key_id("unique", workflow, Some(&rule.key), scope)).transpose()?;
        let remembered = limits.idempotency.is_some();
        Ok(Terms { priority, gate: Gate { slots, pace }, unique, waits, remembered, start_by })
    }

    /// The same for a run that has to stand in line whatever its limits say: its workflow is paused.
    pub(crate) fn held(self) -> Self {
        let priority = if self.priority == Ready::WOKEN { MIDDLE as u8 } else { self.priority };
        Terms { priority, waits: true, ..self }
    }

    /// Whether a run has to stand in line before it begins.
    pub(crate) fn queues(&self) -> bool {
        !self.gate.is_open() || self.waits || i64::from(self.priority) != MIDDLE
    }

    /// Whether limits may name the run to whoever invokes its workflow: its end is told to those who wait for it then.
    pub(crate) fn is_named(&self) -> bool {
        self.unique.is_some() || self.remembered
    }

    /// What the run must pass to go on after it was parked.
    pub(crate) fn gate_of_woken(&self) -> Gate {
        Gate { slots: self.gate.slots.clone(), pace: None }
    }

    /// What holds for a run that has failed and is to go on: its slots. Its start was judged, and its key of `unique` is
    /// with others.
    pub(crate) fn of_retried(&self) -> Terms {
        let (gate, remembered) = (self.gate_of_woken(), self.remembered);
        Terms { gate, priority: self.priority, remembered, ..Terms::default() }
    }

    /// Where the run stands before it begins.
    pub(crate) fn ready(&self, workflow: u16) -> Ready {
        let priority = if planted(Bug::PriorityReversed) { 2 * MIDDLE as u8 - self.priority } else { self.priority };
        Ready { workflow, priority }
    }
}

/// Two rules that count the same thing are one: a run is one run.
fn one_of_each(slots: Vec<Slot>) -> Vec<Slot> {
    let mut each: Vec<Slot> = Vec::with_capacity(slots.len());
    for slot in slots {
        match each.iter_mut().find(|other| other.of == slot.of) {
            Some(other) => other.limit = other.limit.min(slot.limit),
            None => each.push(slot),
        }
    }
    each
}

/// What a rule of a workflow counts, given the value of its key.
pub(super) fn key_id(
    rule: &str,
    workflow: u16,
    key: Option<&Form>,
    scope: &EventScope<'_>,
) -> Result<LimitId, EvalError> {
    Ok(LimitId::of(&[rule.as_bytes(), &workflow.to_be_bytes(), text(key, scope)?.as_bytes()]))
}

/// What a rule of all workflows counts.
fn project_id(rule: &str, key: Option<&Form>, scope: &EventScope<'_>) -> Result<LimitId, EvalError> {
    Ok(LimitId::of(&[rule.as_bytes(), text(key, scope)?.as_bytes()]))
}

fn text(key: Option<&Form>, scope: &EventScope<'_>) -> Result<String, EvalError> {
    key.map_or(Ok(String::new()), |key| Ok(key.fill(scope)?.canonical()))
}

/// The interval of a throttle, in microseconds: at least one.
fn every_us(per_ms: i64, limit: u32) -> u64 {
    let per_us = u64::try_from(per_ms).unwrap_or(0).saturating_mul(1_000);
    (per_us / u64::from(limit.max(1))).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_period_divided_by_the_limit() {
        assert_eq!(every_us(60_000, 50), 1_200_000);
        assert_eq!(every_us(1, 1_000_000), 1);
        assert_eq!(every_us(60_000, 7), 8_571_428);
    }

    #[test]
    fn a_run_takes_one_slot_of_each_thing_that_is_counted() {
        let slot = |n, limit| Slot { of: LimitId([n; 16]), limit };
        assert_eq!(one_of_each(vec![slot(1, 2), slot(2, 2)]), [slot(1, 2), slot(2, 2)]);
        assert_eq!(one_of_each(vec![slot(1, 3), slot(1, 2)]), [slot(1, 2)]);
    }

    fn free() -> Terms {
        Terms { priority: MIDDLE as u8, ..Terms::default() }
    }

    #[test]
    fn only_what_asks_for_something_stands_in_line() {
        assert!(!free().queues());
        assert!(Terms { priority: 1, ..free() }.queues());
        let slot = Slot { of: LimitId([0; 16]), limit: 1 };
        assert!(Terms { gate: Gate { slots: vec![slot], pace: None }, ..free() }.queues());
    }
}
