//! What retention takes: it is kept aside, so that the checks see everything that ever was, and must have been of no use.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use wf_dsl::Time;
use wf_engine::run::Status;
use wf_engine::store::{Key, Row, Table};
use wf_engine::{MemoryStore, Period, Position, RunId, Store};

use crate::invariants::Seen;

/// How long after its time nothing may be left that nobody needs, in milliseconds: passes are an hour apart.
pub(crate) const LEFT_MAX: i64 = 2 * 3_600_000;

/// What was taken out of the store, by all processes of a schedule.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    /// The rows. What a crash put back is in the store as well.
    rows: BTreeMap<Key, Vec<u8>>,
    runs: Vec<Gone<RunId>>,
    events: Vec<Gone<Position>>,
}

/// Something that was taken.
#[derive(Debug)]
struct Gone<T> {
    what: T,
    commit: u64,
    at: Time,
}

/// The rows that are there no more when these are deleted, as far as they tell of what was: of runs, of events, and of
/// starts that were dropped. A run goes with its head.
pub(crate) fn gone_with(store: &MemoryStore, deleted: &[Key]) -> Vec<Row> {
    let mut gone = Vec::new();
    for run in deleted.iter().filter_map(Key::as_head) {
        for range in [Key::journal_of(run), Key::chunks_of(run)] {
            let rows = store.scan(range, false, usize::MAX).now_or_never().expect("the model answers at once");
            gone.extend(rows.expect("a model can be read"));
        }
    }
    let tables = [Table::Head, Table::Ended, Table::Event, Table::Inbox, Table::Dropped];
    let keys = deleted.iter().filter(|key| key.table().is_some_and(|table| tables.contains(&table)));
    let keys: Vec<Key> = keys.cloned().collect();
    let rows = store.get(&keys).now_or_never().expect("the model answers at once").expect("a model can be read");
    gone.extend(rows.into_iter().flatten());
    gone
}

impl Pruned {
    /// Takes note of a commit that took these rows.
    pub(crate) fn enter(&mut self, commit: u64, at: Time, rows: Vec<Row>) {
        for Row { key, value } in rows {
            self.runs.extend(key.as_head().map(|what| Gone { what, commit, at }));
            let first = key.as_event().filter(|(_, chunk)| *chunk == 0);
            self.events.extend(first.map(|(what, _)| Gone { what, commit, at }));
            self.rows.insert(key, value);
        }
    }

    /// What was made after this commit is gone.
    pub(crate) fn forget_after(&mut self, last: u64) {
        self.runs.retain(|gone| gone.commit <= last);
        self.events.retain(|gone| gone.commit <= last);
    }

    /// A store with everything that ever was.
    pub(crate) fn added_to(&self, store: &MemoryStore) -> MemoryStore {
        let mut rows = self.rows.clone();
        rows.extend(store.rows().into_iter().map(|row| (row.key, row.value)));
        let rows = rows.into_iter().map(|(key, value)| Row { key, value });
        MemoryStore::from_rows(rows).expect("what was written can be read")
    }
}

/// What went was old and of no use, and what is old and of no use went.
pub(crate) fn check(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let Some(kept) = seen.world.retention else { return };
    let pruned = &seen.world.ledger.pruned;
    let gone: BTreeMap<RunId, u64> = pruned.runs.iter().map(|gone| (gone.what, gone.commit)).collect();
    for Gone { what: run, commit, at } in &pruned.runs {
        let head = &seen.runs[run].run.head;
        // What was invoked goes with the run that invoked it, which may have ended long before.
        let kept = if head.parent.is_some() { 0 } else { kept.0 };
        if head.ended.is_none_or(|ended| ended.0 + kept > at.0) {
            wrong.push(format!("run {run}, which ended at {:?}, was gone at {at}, before its time", head.ended));
        }
        let is_needed = match &head.parent {
            Some(parent) => gone.get(&parent.run).is_none_or(|before| before > commit),
            None => head.status == Status::Failed,
        };
        if is_needed {
            wrong.push(format!("run {run} has gone, which was a dead letter or belonged to a run that was there"));
        }
    }
    for Gone { what: position, commit, at } in &pruned.events {
        let event = &seen.events[position];
        if event.received.0 + kept.0 > at.0 {
            wrong.push(format!("the event {} of {} was gone at {at}, before its time", event.id, event.received));
        }
        let mut runs = seen.runs.keys().filter(|run| run.event == event.id);
        if let Some(run) = runs.find(|run| gone.get(run).is_none_or(|before| before > commit)) {
            wrong.push(format!("the event {} has gone, of which run {run} was born", event.id));
        }
    }
    left(seen, kept, &gone.into_keys().collect(), wrong);
}

/// Nothing is left of what nobody needs, if there was time for it to go.
fn left(seen: &Seen<'_>, kept: Period, gone: &BTreeSet<RunId>, wrong: &mut Vec<String>) {
    let until = seen.world.now.0 - kept.0 - LEFT_MAX;
    let is_there = |run: &RunId| !gone.contains(run);
    for (id, told) in seen.runs.iter().filter(|(id, _)| seen.world.has_waited && is_there(id)) {
        let head = &told.run.head;
        let is_needed = match &head.parent {
            Some(parent) => is_there(&parent.run),
            None => head.status == Status::Failed,
        };
        let steps = &seen.plan(*id).workflow.steps;
        // Others may ask for the output of a key for longer.
        let lends = steps.iter().any(|step| step.idempotency_key.is_some());
        if head.ended.is_some_and(|ended| ended.0 < until) && !is_needed && !lends {
            wrong.push(format!("run {id} is still there, though it ended at {:?}", head.ended));
        }
    }
}
