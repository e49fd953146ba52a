//! What became of starts: `idempotency`, `rate_limit` and `unique` let those through that they had to, and no others.
//!
//! Starts are followed in the order of their commits, as spec/limits.md has it. Where the clock was set back, what a rule
//! remembers may be gone or not.

use std::collections::BTreeMap;

use wf_dsl::{Form, Limits, OnConflict, Scope, Time, Value};
use wf_engine::RunId;
use wf_engine::run::{Fact, Trigger};

use crate::invariants::Seen;
use crate::limits::gathers;
use crate::store::Start;

/// What a rule counts: the workflow, the rule and the key.
type Counted = (u16, &'static str, String);

/// What is remembered of the starts so far.
#[derive(Default)]
struct Memory {
    /// The run that each key of `idempotency` has started last, and until when that counts.
    named: BTreeMap<Counted, (RunId, Time)>,
    /// When starts passed a `rate_limit`.
    passed: BTreeMap<Counted, Vec<Time>>,
    /// The runs under each key of `unique`.
    born: BTreeMap<Counted, Vec<RunId>>,
}

/// The scope in which keys are read: the event alone.
struct OfEvent {
    event: Value,
    now: Time,
}

impl Scope for OfEvent {
    fn root(&self, name: &str) -> Option<Value> {
        (name == "event").then(|| self.event.clone())
    }

    fn step(&self, _id: &str) -> Option<Value> {
        None
    }

    fn var(&self, _name: &str) -> Option<Value> {
        None
    }

    fn secret(&self, _name: &str) -> Option<Value> {
        None
    }

    fn now(&self) -> Time {
        self.now
    }

    fn chance(&self) -> [u8; 32] {
        [0; 32]
    }
}

pub(crate) fn check(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let mut memory = Memory::default();
    for start in &seen.world.ledger.starts {
        if let Err(what) = memory.follow(seen, start) {
            wrong.push(format!("the start of run {} {what}: {:?}", start.run, start.dropped));
        }
    }
}

impl Memory {
    fn follow(&mut self, seen: &Seen<'_>, start: &Start) -> Result<(), String> {
        let plan = seen.plan(start.run);
        let Some(limits) = plan.workflow.limits.as_ref().map(|limits| &limits.value) else { return Ok(()) };
        let why = start.why();
        if why == Some("key") {
            return Ok(());
        }
        // What is gathered was judged when its events came.
        if !gathers(plan) {
            self.idempotency(seen, limits, start)?;
            if why != Some("idempotency") {
                self.rate(seen, limits, start)?;
            }
        }
        if !matches!(why, Some("idempotency" | "rate_limit")) {
            self.unique(seen, limits, start)?;
        }
        Ok(())
    }

    fn idempotency(&mut self, seen: &Seen<'_>, limits: &Limits, start: &Start) -> Result<(), String> {
        let (at, is_dropped) = (start.at, start.why() == Some("idempotency"));
        let Some(rule) = &limits.idempotency else {
            return told(is_dropped, "was dropped by a rule that is not there");
        };
        let of = counted(seen, start, "idempotency", Some(&rule.key));
        let before = self.named.get(&of);
        if is_dropped {
            let names = start.dropped.as_ref().and_then(|dropped| dropped.run);
            let is_right = before.is_some_and(|(run, until)| *until > at && names == Some(*run));
            return told(!is_right, &format!("was dropped, and {before:?} is remembered at {at}"));
        }
        told(
            before.is_some_and(|(_, until)| *until > at.max(start.latest)),
            &format!("passed, though {before:?} is remembered at {at}"),
        )?;
        if start.dropped.is_none() {
            self.named.insert(of, (start.run, Time(at.0 + rule.within.0)));
        }
        Ok(())
    }

    fn rate(&mut self, seen: &Seen<'_>, limits: &Limits, start: &Start) -> Result<(), String> {
        let (at, is_dropped) = (start.at, start.why() == Some("rate_limit"));
        let Some(rule) = &limits.rate_limit else {
            return told(is_dropped, "was dropped by a rule that is not there");
        };
        let passed = self.passed.entry(counted(seen, start, "rate_limit", rule.key.as_ref())).or_default();
        let within = |now: Time| passed.iter().filter(|time| now.0 - time.0 < rule.per.0).count();
        let (most, least) = (within(at), within(at.max(start.latest)));
        if is_dropped {
            return told(most < rule.limit as usize, &format!("was dropped, after {most} in the window to {at}"));
        }
        told(least >= rule.limit as usize, &format!("passed, after {least} in the window to {at}"))?;
        passed.push(at);
        Ok(())
    }

    fn unique(&mut self, seen: &Seen<'_>, limits: &Limits, start: &Start) -> Result<(), String> {
        let dropped = start.dropped.as_ref().filter(|dropped| dropped.why == "unique");
        let Some(rule) = limits.unique.as_ref() else {
            return told(dropped.is_some(), "was dropped by a rule that is not there");
        };
        let born = self.born.entry(counted(seen, start, "unique", Some(&rule.key))).or_default();
        let open = born.iter().copied().find(|run| end_of(seen, *run).is_none_or(|end| end > start.commit));
        let skips = rule.on_conflict == OnConflict::Skip;
        match dropped {
            Some(dropped) => {
                told(!skips || open.is_none() || dropped.run != open, &format!("was dropped for {open:?}"))
            }
            None => {
                let is_wrong = skips && open.is_some();
                born.push(start.run);
                told(is_wrong, &format!("passed, though {open:?} was open"))
            }
        }
    }
}

fn told(is_wrong: bool, what: &str) -> Result<(), String> {
    if is_wrong { Err(what.to_owned()) } else { Ok(()) }
}

/// The commit that ended a run.
fn end_of(seen: &Seen<'_>, run: RunId) -> Option<u64> {
    let history = seen.world.histories.iter().find(|history| history.id == run)?;
    let ended = history.records.iter().rposition(|record| matches!(record.fact, Fact::RunEnded { .. }))?;
    seen.world.ledger.of_record(run, ended as u64).map(|entry| entry.commit)
}

fn counted(seen: &Seen<'_>, start: &Start, rule: &'static str, key: Option<&Form>) -> Counted {
    let run = start.run;
    let plan = seen.plan(run);
    let event = seen.events.values().find(|event| event.id == run.event).expect("every start has its event");
    let ty = plan.events.get(&event.name).map(|event| &event.data).or(plan.workflow.input.as_ref());
    let data = ty.and_then(|ty| ty.accept(&event.data).ok()).unwrap_or_else(|| Value::from_json(&event.data));
    let id = event.sender_id.clone().unwrap_or_else(|| event.id.to_string());
    let trigger = Trigger { id, name: event.name.clone(), ts: event.ts, data };
    let scope = OfEvent { event: trigger.value(), now: start.at };
    let key = key.map(|key| key.fill(&scope).expect("a key that did not fail").canonical());
    (run.workflow, rule, key.unwrap_or_default())
}
