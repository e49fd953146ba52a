//! What must hold of limits: of slots, keys and paces, as the world outside sees them.

use std::collections::{BTreeMap, BTreeSet};

use wf_dsl::{Plan, Time};
use wf_engine::limits::Terms;
use wf_engine::run::Fact;
use wf_engine::store::{Key, Table};
use wf_engine::{Position, RunId};

use crate::invariants::{LATE_MAX, SLOW_MAX, Seen};

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
    idle(seen, wrong);
    unique(&begun, wrong);
    order(seen, &begun, wrong);
    ranks(seen, &begun, wrong);
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

/// Never do more runs execute than there are slots. Whoever makes an attempt executes; what is cancelled needs none.
fn slots(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let mut changes: BTreeMap<_, Vec<(usize, Time, bool, RunId)>> = BTreeMap::new();
    for call in &seen.world.calls {
        let told = seen
            .runs
            .get(&call.run)
            .filter(|told| told.cancelled.is_none_or(|cancelled| (call.process, call.at) < cancelled));
        let terms = told.and_then(|told| told.run.head.terms.as_ref());
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

/// Nobody stands in the queue while there are slots for it: a run that has begun leaves its slots when it parks and ends.
fn idle(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let ups = &seen.world.ups;
    if ups.iter().zip(ups.iter().skip(1)).any(|(up, next)| next.from < up.until) {
        return; // the clock was set back
    }
    let mut busy: BTreeMap<_, Vec<(Time, Time)>> = BTreeMap::new();
    for told in seen.runs.values() {
        for slot in told.run.head.terms.iter().flat_map(|terms| &terms.gate.slots) {
            let spans = told.busy.iter().map(|(from, until)| (*from, until.unwrap_or(seen.world.now)));
            busy.entry(slot.of.0).or_default().extend(spans);
        }
    }
    for (id, told) in &seen.runs {
        let Some(terms) = told.run.head.terms.as_ref() else { continue };
        if terms.gate.slots.is_empty() || terms.gate.pace.is_some() || terms.unique.is_some() {
            continue;
        }
        let begun = told.busy.first().map(|(from, _)| *from);
        let until = begun.or(told.run.head.ended).unwrap_or(seen.world.now);
        for up in ups {
            let (from, until) = (told.run.head.started.max(up.from), until.min(up.until));
            if from >= until {
                continue;
            }
            // It is enough to look when something changes.
            let spans = || terms.gate.slots.iter().filter_map(|slot| Some((slot.limit, busy.get(&slot.of.0)?)));
            let changes = spans().flat_map(|(_, spans)| spans.iter().flat_map(|(from, until)| [*from, *until]));
            let mut instants: Vec<Time> = changes.filter(|at| from < *at && *at < until).chain([from, until]).collect();
            instants.sort_unstable();
            let mut free_since = None;
            for at in instants {
                let is_full = spans().any(|(limit, spans)| {
                    spans.iter().filter(|(from, until)| *from <= at && at < *until).count() >= limit as usize
                });
                let since = *free_since.get_or_insert(at);
                if at.0 - since.0 > LATE_MAX + SLOW_MAX {
                    wrong.push(format!("run {id} stood in the queue from {since} to {at}, though there were slots"));
                    return;
                }
                if is_full {
                    free_since = None;
                }
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

/// Where one goes after the other, those of one lane and priority go in the order in which they came. A run of events that
/// were gathered comes later than they did.
fn order(seen: &Seen<'_>, begun: &[Begun<'_>], wrong: &mut Vec<String>) {
    let mut last: BTreeMap<_, &Begun<'_>> = BTreeMap::new();
    let in_turn =
        |next: &&Begun<'_>| next.terms.gate.slots.iter().any(|slot| slot.limit == 1) && next.terms.unique.is_none();
    for next in begun.iter().filter(in_turn).filter(|next| !gathers(seen.plan(next.run))) {
        let lane = (next.run.workflow, next.terms.gate.lane(), next.terms.priority);
        if let Some(before) = last.insert(lane, next)
            && next.position < before.position
        {
            wrong.push(format!("run {} began before {}, which had come before it", before.run, next.run));
        }
    }
}

/// Where one goes after the other, none goes before one of a greater priority that was in the queue when it was claimed:
/// not before another one that had its slot began its last attempt.
fn ranks(seen: &Seen<'_>, begun: &[Begun<'_>], wrong: &mut Vec<String>) {
    let ledger = &seen.world.ledger;
    let born: BTreeMap<RunId, u64> = ledger.starts.iter().map(|start| (start.run, start.commit)).collect();
    let single = |terms: &Terms| terms.gate.slots.iter().find(|slot| slot.limit == 1).map(|slot| slot.of.0);
    let mut attempts: BTreeMap<_, Vec<(u64, RunId)>> = BTreeMap::new();
    for history in &seen.world.histories {
        let told = &seen.runs[&history.id];
        let slots = told.run.head.terms.iter().flat_map(|terms| &terms.gate.slots);
        for slot in slots.filter(|_| told.cancelled.is_none()) {
            let records = (0..).zip(&history.records);
            let starts = records.filter(|(_, record)| matches!(record.fact, Fact::AttemptStarted { .. }));
            let commits = starts.filter_map(|(number, _)| ledger.of_record(history.id, number));
            attempts.entry(slot.of.0).or_default().extend(commits.map(|entry| (entry.commit, history.id)));
        }
    }
    for (number, first) in begun.iter().enumerate() {
        let Some(slot) = single(first.terms).filter(|_| first.terms.unique.is_none()) else { continue };
        let before = attempts.get(&slot).into_iter().flatten();
        let before = before.filter(|(commit, run)| *commit < first.from && *run != first.run);
        let Some(claimed_after) = before.map(|(commit, _)| *commit).max() else { continue };
        let overtaken = begun[number + 1..].iter().find(|next| {
            next.run.workflow == first.run.workflow
                && next.terms.gate.lane() == first.terms.gate.lane()
                && next.terms.priority < first.terms.priority
                && born.get(&next.run).is_some_and(|born| *born < claimed_after)
        });
        if let Some(next) = overtaken {
            wrong.push(format!("run {} began before {}, which has a greater priority", first.run, next.run));
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
                // As many as a burst has need not be apart, nor even in order where the clock was set back.
                let intervals = (between + 1).saturating_sub(u64::from(burst));
                // The pace is kept in microseconds, and begins are noted in milliseconds.
                let least = i64::try_from(intervals * every_us / 1_000).unwrap_or(i64::MAX) - 1;
                // What the store knows of a pace may have gone when it was over, before the clock was set back.
                let is_forgotten = last.at < first.at && seen.world.retention.is_some();
                if last.at.0 - first.at.0 + slack < least && intervals > 0 && !is_forgotten {
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
