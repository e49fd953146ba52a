//! What must hold of limits: of slots, keys and paces, as the world outside sees them.

use std::collections::{BTreeMap, BTreeSet};

use wf_dsl::{Plan, Time};
use wf_engine::limits::Terms;
use wf_engine::run::Fact;
use wf_engine::store::{Key, Table};
use wf_engine::{Position, RunId};

use crate::invariants::{SLOW_MAX, Seen};

/// A run that has begun under limits.
struct Begun<'a> {
    run: RunId,
    terms: &'a Terms,
    position: Position,
    at: Time,
    /// The commits of its beginning and of its end, if it has one.
    from: u64,
    until: Option<u64>,
}

pub(crate) fn check(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let mut begun: Vec<Begun<'_>> = seen.runs.keys().filter_map(|run| begun(seen, *run)).collect();
    begun.sort_by_key(|begun| begun.from);
    slots(seen, wrong);
    unique(&begun, wrong);
    order(&begun, wrong);
    paces(seen, &begun, wrong);
    for Begun { run, terms, at, .. } in &begun {
        if terms.start_by.is_some_and(|start_by| *at >= start_by) {
            wrong.push(format!("run {run} began at {at}, too late: {terms:?}"));
        }
    }
}

fn begun<'a>(seen: &'a Seen<'_>, run: RunId) -> Option<Begun<'a>> {
    let history = seen.world.histories.iter().find(|history| history.id == run)?;
    let commit = |at: usize| seen.world.ledger.of_record(run, at as u64).map(|entry| entry.commit);
    let started = history.records.iter().position(|record| matches!(record.fact, Fact::Started { .. }))?;
    let ended = history.records.iter().rposition(|record| matches!(record.fact, Fact::RunEnded { .. }));
    Some(Begun {
        run,
        terms: seen.runs[&run].run.head.terms.as_deref()?,
        position: seen.positions.get(&run).copied()?,
        at: history.records[started].at,
        from: commit(started)?,
        until: ended.and_then(commit),
    })
}

/// Never do more runs execute than there are slots. Whoever makes an attempt executes.
fn slots(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let mut changes: BTreeMap<_, Vec<(usize, Time, bool, RunId)>> = BTreeMap::new();
    for call in &seen.world.calls {
        let terms = seen.runs.get(&call.run).and_then(|told| told.run.head.terms.as_ref());
        let ended = call.ended.unwrap_or(Time(i64::MAX));
        for slot in terms.iter().flat_map(|terms| &terms.gate.slots).filter(|_| call.at < ended) {
            let changes = changes.entry((slot.of.0, slot.limit)).or_default();
            changes.extend([(call.process, call.at, true, call.run), (call.process, ended, false, call.run)]);
        }
    }
    for ((_, limit), mut changes) in changes {
        changes.sort_unstable();
        let mut working: BTreeMap<RunId, usize> = BTreeMap::new();
        let mut process = None;
        for (of, at, begins, run) in changes {
            if process.replace(of) != Some(of) {
                working.clear();
            }
            let count = working.entry(run).or_default();
            *count = if begins { *count + 1 } else { count.saturating_sub(1) };
            working.retain(|_, count| *count > 0);
            if working.len() > limit as usize {
                wrong.push(format!("at {at}, {:?} execute, for whom there are {limit} slots", working.keys()));
                break;
            }
        }
    }
}

/// Of the runs with one key, one begins after the other has ended.
fn unique(begun: &[Begun<'_>], wrong: &mut Vec<String>) {
    let mut last = BTreeMap::new();
    for next in begun {
        let Some(key) = next.terms.unique else { continue };
        let Some(before): Option<&Begun<'_>> = last.insert(key.0, next) else { continue };
        if before.until.is_none_or(|until| until >= next.from) {
            wrong.push(format!("run {} began while {}, which has the same key, was open", next.run, before.run));
        }
    }
}

/// Where one goes after the other, those of one lane and priority go in the order in which they came.
fn order(begun: &[Begun<'_>], wrong: &mut Vec<String>) {
    let mut last: BTreeMap<_, &Begun<'_>> = BTreeMap::new();
    let in_turn =
        |next: &&Begun<'_>| next.terms.gate.slots.iter().any(|slot| slot.limit == 1) && next.terms.unique.is_none();
    for next in begun.iter().filter(in_turn) {
        let lane = (next.run.workflow, next.terms.gate.lane(), next.terms.priority);
        if let Some(before) = last.insert(lane, next)
            && next.position < before.position
        {
            wrong.push(format!("run {} began before {}, which had come before it", before.run, next.run));
        }
    }
}

/// Beginnings keep their pace: of those of one key, no more than `burst` and one for each interval.
fn paces(seen: &Seen<'_>, begun: &[Begun<'_>], wrong: &mut Vec<String>) {
    let slack = if seen.world.is_prompt { 0 } else { SLOW_MAX };
    let mut by_pace: BTreeMap<_, Vec<&Begun<'_>>> = BTreeMap::new();
    for begun in begun {
        if let Some(pace) = begun.terms.gate.pace {
            by_pace.entry((pace.of.0, pace.every_us, pace.burst)).or_default().push(begun);
        }
    }
    for ((_, every_us, burst), begun) in by_pace {
        for (number, first) in begun.iter().enumerate() {
            for (between, last) in (1_u64..).zip(&begun[number + 1..]) {
                let intervals = (between + 1).saturating_sub(u64::from(burst));
                // The pace is kept in microseconds, and begins are noted in milliseconds.
                let least = i64::try_from(intervals * every_us / 1_000).unwrap_or(i64::MAX) - 1;
                if last.at.0 - first.at.0 + slack < least {
                    wrong.push(format!(
                        "{between} runs after {} began within {} ms",
                        first.run,
                        last.at.0 - first.at.0
                    ));
                    return;
                }
            }
        }
    }
}

/// The starts that limits kept from happening.
pub(crate) fn dropped(seen: &Seen<'_>) -> BTreeSet<RunId> {
    seen.rows.keys(Table::Dropped, Key::as_dropped).into_iter().map(|(_, run)| run).collect()
}

/// Whether events of a workflow are gathered, so that they start runs later.
pub(crate) fn gathers(plan: &Plan) -> bool {
    plan.workflow.limits.as_ref().is_some_and(|limits| limits.value.debounce.is_some() || limits.value.batch.is_some())
}
