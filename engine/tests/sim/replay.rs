//! What the records of a run say, told again from the first one on, beside what the world outside saw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wf_dsl::{Body, Time, WaitGuard};
use wf_engine::run::{Awaited, Fact, Place, Record, Run};
use wf_engine::{EventId, FrameId, KEY_RETENTION, Position, RunId};

use crate::invariants::{LATE_MAX, SLOW_MAX, Seen, is_forced};
use crate::journal::History;
use crate::witness::Call;

/// A step of a frame.
type Place2 = (FrameId, Arc<str>);

/// A run, and what is worth knowing of how it came about.
pub(crate) struct Told {
    pub(crate) run: Run,
    /// The events that it sent.
    pub(crate) sent: Vec<EventId>,
    /// It may send events under ids of its own, which may have been there before.
    pub(crate) sends_once: bool,
    /// In which process and when it was cancelled, as its records say.
    pub(crate) cancelled: Option<(usize, Time)>,
    /// The attempts that are on record.
    starts: Vec<Start>,
    /// From when to when it executed.
    pub(crate) busy: Vec<(Time, Option<Time>)>,
    /// When something was recorded last.
    pub(crate) last: Time,
    /// When steps succeeded under explicit keys.
    successes: Vec<(Arc<str>, String, Time)>,
}

/// The record of an attempt.
struct Start {
    effect: String,
    attempt: u32,
    /// The number of the record, and of the one that ended the attempt.
    record: u64,
    closed: Option<u64>,
}

/// What is followed from record to record.
#[derive(Default)]
struct Following {
    /// The record that began the present visit of each step.
    visits: BTreeMap<Place2, u64>,
    finished: BTreeSet<Place2>,
    /// Failures by step and policy in the present visit.
    failures: BTreeMap<(Place2, u32), u32>,
    /// The visit that each key belongs to, and the other way round.
    visit_of: BTreeMap<String, (Place2, u64)>,
    key_of: BTreeMap<(Place2, u64), String>,
    /// What each frame sleeps or backs off for, and the process that recorded it.
    due: BTreeMap<FrameId, (Time, usize)>,
    waits: BTreeMap<FrameId, Wait>,
    /// Attempts in flight: indexes of `starts`, and their frames.
    open: Vec<(usize, FrameId)>,
}

/// A wait that has begun.
struct Wait {
    step: Arc<str>,
    awaited: Vec<Awaited>,
    entered: Time,
}

/// Tells a run's history, and adds what is wrong with it.
pub(crate) fn tell(seen: &Seen<'_>, history: &History, wrong: &mut Vec<String>) -> Told {
    let id = history.id;
    let plan = seen.plan(id);
    let sends_once = plan.workflow.steps.iter().any(|step| matches!(&step.body, Body::SendEvent { id: Some(_), .. }));
    let mut told = Told {
        run: history.newborn(),
        sent: Vec::new(),
        sends_once,
        cancelled: None,
        busy: Vec::new(),
        last: history.records.last().map_or(Time(0), |record| record.at),
        starts: Vec::new(),
        successes: Vec::new(),
    };
    told.run.position = seen.positions.get(&id).copied().unwrap_or(Position(0));
    let mut following = Following::default();
    for (number, record) in (0..).zip(&history.records) {
        let Some(entry) = seen.world.ledger.of_record(id, number) else {
            wrong.push(format!("record {number} of run {id} was in no commit"));
            continue;
        };
        if record.at > entry.at {
            wrong.push(format!("record {number} of run {id} is from {}, but it was {}", record.at, entry.at));
        }
        let limited = is_limited(&told.run, record.frame);
        if let Some((due, process)) = following.due.remove(&record.frame) {
            let span = LATE_MAX + SLOW_MAX;
            let is_late = record.at.0 > due.0 + span && seen.was_up(process..=entry.process, due, span);
            if is_late && !is_forced(&record.fact) && !limited {
                wrong.push(format!("run {id} went on at {}, though it was due at {due}: {:?}", record.at, record.fact));
            }
        }
        if let Fact::WaitEnded { case, cursor, .. } = &record.fact
            && let Some(wait) = following.waits.get(&record.frame).filter(|_| !limited)
        {
            check_wait(seen, &told.run, wait, Some((*case, *cursor, entry.commit)), wrong);
        }
        let under_key = match told.run.frames.get(&record.frame).map(|frame| &frame.place) {
            Some(Place::Attempt { key: Some(key), .. }) => Some(key.clone()),
            _ => None,
        };
        if let (Some(key), Fact::Finished { step, .. }) = (under_key, &record.fact) {
            told.successes.push((step.clone(), key, record.at));
        }
        told.run.apply(record);
        let is_busy = told.run.has_begun() && !told.run.is_ended() && !told.run.is_parked();
        let open = told.busy.last_mut().filter(|(_, until)| until.is_none());
        match (open, is_busy) {
            (None, true) => told.busy.push((record.at, None)),
            (Some((_, until)), false) => *until = Some(record.at),
            _ => {}
        }
        following.follow(seen, &mut told, number, record, wrong);
        if let Fact::CancelRequested { .. } = &record.fact {
            told.cancelled = told.cancelled.or(Some((entry.process, record.at)));
        }
        if let Fact::Slept { until: due, .. } | Fact::AttemptFailed { retry_at: due, .. } = &record.fact {
            following.due.insert(record.frame, (*due, entry.process));
        }
    }
    for (frame, wait) in following.waits {
        let waits = matches!(told.run.frames.get(&frame).map(|frame| &frame.place), Some(Place::Wait { .. }));
        if waits && seen.world.quiet && !is_limited(&told.run, frame) && !told.run.is_ended() {
            check_wait(seen, &told.run, &wait, None, wrong);
        }
    }
    told
}

/// Whether a frame may have to wait for a slot, of its run or of a `for_each`.
fn is_limited(run: &Run, frame: FrameId) -> bool {
    let gated = run.head.terms.as_ref().is_some_and(|terms| !terms.gate.slots.is_empty());
    gated
        || run.with_parents(frame).skip(1).any(|frame| match &frame.place {
            Place::Fork { fork, .. } => fork.limit.is_none_or(|limit| limit < fork.total),
            _ => false,
        })
}

impl Following {
    fn follow(&mut self, seen: &Seen<'_>, told: &mut Told, number: u64, record: &Record, wrong: &mut Vec<String>) {
        let (id, frame) = (told.run.id, record.frame);
        match &record.fact {
            Fact::Entered { step, forget, .. } => {
                for step in forget.iter().chain([step]) {
                    let place = (frame, step.clone());
                    self.finished.remove(&place);
                    self.failures.retain(|(of, _), _| *of != place);
                }
                self.visits.insert((frame, step.clone()), number);
            }
            Fact::AttemptStarted { step, attempt, .. } => {
                let place = (frame, step.clone());
                if self.finished.contains(&place) {
                    wrong.push(format!("run {id} tries `{step}` again after it has succeeded, in record {number}"));
                }
                let visit = (place.clone(), self.visits.get(&place).copied().unwrap_or_default());
                let effect = told.run.automatic_key(frame, step);
                let known = self.key_of.entry(visit.clone()).or_insert_with(|| effect.clone());
                if *known != effect {
                    wrong.push(format!("`{step}` of run {id} has the keys {known} and {effect} in one visit"));
                }
                let of = self.visit_of.entry(effect.clone()).or_insert_with(|| visit.clone());
                if *of != visit {
                    wrong.push(format!("`{step}` of run {id} has the key {effect} in two visits"));
                }
                self.open.push((told.starts.len(), frame));
                told.starts.push(Start { effect, attempt: *attempt, record: number, closed: None });
            }
            Fact::AttemptFailed { step, policy, .. } => {
                let count = self.failures.entry(((frame, step.clone()), *policy)).or_default();
                *count += 1;
                let workflow = &seen.plan(id).workflow;
                let step = workflow.find(step).map(|step| workflow.step(step));
                let most = step.and_then(|step| step.retry.get(*policy as usize)?.max_attempts);
                if most.is_some_and(|most| *count >= most) {
                    wrong.push(format!("run {id} goes on after {count} failures, in record {number}: {record:?}"));
                }
            }
            Fact::Finished { step, .. } if !self.finished.insert((frame, step.clone())) => {
                wrong.push(format!("`{step}` of run {id} has finished twice in one visit, in record {number}"));
            }
            Fact::Waited { step, awaited } => {
                let entered = told.run.frame(frame).entered;
                self.waits.insert(frame, Wait { step: step.clone(), awaited: awaited.clone(), entered });
            }
            Fact::WaitEnded { .. } | Fact::Abandoned { .. } => drop(self.waits.remove(&frame)),
            Fact::Sent { id, .. } => told.sent.push(*id),
            _ => {}
        }
        self.open.retain(|(start, frame)| {
            let start = &mut told.starts[*start];
            let place = told.run.frames.get(frame).map(|frame| &frame.place);
            let goes_on = matches!(place, Some(Place::Attempt { since, .. }) if *since == start.record);
            start.closed = (!goes_on || told.run.is_ended()).then_some(number);
            start.closed.is_none()
        });
    }
}

/// No event was overlooked: none that came before what ended the wait, or at all if nothing has.
fn check_wait(seen: &Seen<'_>, run: &Run, wait: &Wait, ended: Option<(u32, Position, u64)>, wrong: &mut Vec<String>) {
    let workflow = &seen.plan(run.id).workflow;
    let Some(step) = workflow.find(&wait.step).map(|step| workflow.step(step)) else { return };
    let Body::Wait(alternatives) = &step.body else { return };
    let due = wait.awaited.iter().filter_map(Awaited::due).min();
    let by_event = ended
        .is_some_and(|(case, ..)| wait.awaited.get(case as usize).is_some_and(|awaited| awaited.event().is_some()));
    for (awaited, alternative) in wait.awaited.iter().zip(alternatives) {
        let (Some(event), WaitGuard::Event(guard)) = (awaited.event(), &alternative.guard) else { continue };
        if guard.filter.is_some() {
            continue;
        }
        for position in seen.inbox.get(&event.key).into_iter().flatten() {
            let Some(candidate) = seen.events.get(position) else { continue };
            let counts = candidate.name == event.event
                && *position > event.after.max(run.position)
                && event.since.is_none_or(|since| candidate.received >= since)
                // What arrives in the instant in which the wait times out may come too late.
                && due.is_none_or(|due| candidate.received < due.max(wait.entered));
            let overlooked = match ended {
                None => true,
                Some((_, cursor, _)) if by_event => *position < cursor,
                Some((.., commit)) => {
                    let arrived = seen.world.ledger.events.get(position.0 as usize - 1);
                    arrived.is_some_and(|arrived| *arrived < commit)
                }
            };
            if counts && overlooked {
                let how = ended.map(|(case, cursor, _)| format!("case {case}, cursor {}", cursor.0));
                wrong.push(format!(
                    "`{}` of run {} has not seen the event {} at {}; it ended by {how:?}",
                    wait.step, run.id, event.event, position.0
                ));
            }
        }
    }
}

/// No effect without a record before it, and none that goes on when it was given up; the key is that of its visit.
pub(crate) fn calls(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let ledger = &seen.world.ledger;
    let mut counts: BTreeMap<(RunId, &str, u32), usize> = BTreeMap::new();
    for call in &seen.world.calls {
        let Some(told) = seen.runs.get(&call.run) else {
            wrong.push(format!("`{}` was called for run {}, of which nothing is known", call.step, call.run));
            continue;
        };
        let before = counts.entry((call.run, &call.effect, call.attempt)).or_default();
        *before += 1;
        let recorded: Vec<&Start> = told
            .starts
            .iter()
            .filter(|start| start.effect == call.effect && start.attempt == call.attempt)
            .filter(|start| ledger.of_record(call.run, start.record).is_some_and(|entry| entry.commit <= call.synced))
            .collect();
        if recorded.len() < *before {
            wrong.push(format!(
                "attempt {} of `{}` of run {} began at {} without a record of it",
                call.attempt, call.step, call.run, call.at
            ));
            continue;
        }
        let closed = recorded.last().and_then(|start| start.closed);
        let given_up = closed.and_then(|record| {
            let entry = ledger.of_record(call.run, record)?;
            ledger.answered.get(&entry.commit).copied()
        });
        if let Some((process, given_up)) = given_up
            && process == call.process
            && went_on_after(call, given_up)
        {
            wrong.push(format!(
                "attempt {} of `{}` of run {} went on after {given_up}, when it was over",
                call.attempt, call.step, call.run
            ));
        }
    }
}

fn went_on_after(call: &Call, given_up: Time) -> bool {
    // The loop is told of the commit in the same instant.
    call.ended.is_some_and(|ended| ended > given_up) && call.at <= given_up
}

/// Under one explicit key a step succeeds once, as long as the key is remembered.
pub(crate) fn explicit_keys(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let mut by_key: BTreeMap<(&str, &str, &str), Vec<Time>> = BTreeMap::new();
    for (id, told) in &seen.runs {
        for (step, key, at) in &told.successes {
            by_key.entry((&seen.workflows[&id.workflow], step, key)).or_default().push(*at);
        }
    }
    for ((workflow, step, key), mut times) in by_key {
        times.sort();
        for (earlier, later) in times.iter().zip(times.iter().skip(1)) {
            if later.0 - earlier.0 < KEY_RETENTION.0 {
                wrong.push(format!("`{step}` of `{workflow}` succeeded twice under `{key}`, at {earlier} and {later}"));
            }
        }
    }
}
