//! What must hold of a store whenever nobody writes to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value as Json, json};
use wf_engine::limits::Terms;
use wf_engine::run::{Caller, Fact, Hash, Place, Record, Run, Stored, Trigger};
use wf_engine::store::{Due, Head, Key, Row, Table, Turn};
use wf_engine::{FrameId, MemoryStore, RunId, Time};

/// The head's row: what it stands for is compared as JSON, as it was written.
#[derive(Deserialize)]
struct HeadRow {
    head: Json,
    root: Json,
    birth: Vec<(i64, u32, Fact)>,
}

/// What is kept of a run.
pub(crate) struct History {
    pub(crate) id: RunId,
    /// All records, from its birth on.
    pub(crate) records: Vec<Record>,
    plan: Hash,
    started: Time,
    parent: Option<Caller>,
    terms: Option<Terms>,
    events: Option<Stored>,
}

impl History {
    /// The run without any of its records.
    pub(crate) fn newborn(&self) -> Run {
        let data = wf_engine::Value::Null;
        let trigger = Trigger { id: String::new(), name: String::new(), ts: self.started, data };
        let mut run = Run::new(self.id, self.plan.0, Arc::new(trigger), self.parent.clone(), self.started);
        self.terms.iter().cloned().for_each(|terms| run.accept(terms));
        self.events.iter().cloned().for_each(|events| run.gather(events));
        run
    }
}

/// The rows of a store by key.
struct Rows(BTreeMap<Key, Vec<u8>>);

impl Rows {
    fn of(&self, table: Table) -> impl Iterator<Item = Row> + '_ {
        self.0.range(Key::all(table)).map(|(key, value)| Row { key: key.clone(), value: value.clone() })
    }

    /// The JSON of a head or a frame; long ones stand in chunks.
    fn json(&self, run: RunId, frame: u32, json: &[u8]) -> Json {
        let value: Json = serde_json::from_slice(json).unwrap();
        let Some(bytes) = value.get("spilled").and_then(Json::as_u64) else { return value };
        let first = (1u32 << 31) + frame * 1_024;
        let chunks = self.0.range(Key::chunk(run, first)..).map(|(_, value)| value.as_slice());
        let text: Vec<u8> = chunks.flatten().copied().take(usize::try_from(bytes).unwrap()).collect();
        serde_json::from_slice(&text).unwrap()
    }
}

/// Folding a run's records gives what stands in its head and its frames; and every open run has a row that brings it
/// on, while a run that has ended has none. Gives what is kept of all runs.
pub(crate) fn check(case: &str, store: &MemoryStore) -> Vec<History> {
    let rows = Rows(store.rows().into_iter().map(|row| (row.key, row.value)).collect());
    let mut open = BTreeSet::new();
    let mut histories = Vec::new();
    for row in rows.of(Table::Head) {
        let id = row.key.as_head().unwrap();
        let history = check_run(case, &rows, id, &row);
        if !history.records.iter().any(|record| matches!(record.fact, Fact::RunEnded { .. })) {
            open.insert(id);
        }
        histories.push(history);
    }
    let mut bringing = BTreeSet::new();
    for row in rows.of(Table::Queue).chain(rows.of(Table::Gated)) {
        bringing.insert(row.key.queued().unwrap().1);
    }
    for row in rows.of(Table::Line) {
        bringing.insert(row.key.as_line().unwrap().2);
    }
    for row in rows.of(Table::Timer) {
        // The timer of an event that was sent with a delay belongs to no run.
        bringing.extend(row.key.as_timer().filter(Due::is_of_run).map(|due| due.run));
    }
    for row in rows.of(Table::Wait) {
        bringing.insert(row.key.as_wait().unwrap().0);
    }
    let lost: Vec<_> = open.difference(&bringing).collect();
    assert!(lost.is_empty(), "{case}: nothing brings these runs on: {lost:?}");
    histories
}

/// What is left behind in a store in which everything has come to rest and all runs have ended.
pub(crate) fn leftovers(store: &MemoryStore) -> Vec<Key> {
    let left = [
        Table::Queue,
        Table::Gated,
        Table::Line,
        Table::Timer,
        Table::Wait,
        Table::Cancel,
        Table::Frame,
        Table::Gathered,
    ];
    let rows = store.rows().into_iter().map(|row| row.key);
    rows.filter(|key| key.table().is_some_and(|table| left.contains(&table))).collect()
}

/// The records of a run, from its birth on.
fn all_records(rows: &Rows, id: RunId, birth: Vec<(i64, u32, Fact)>) -> Vec<Record> {
    let mut facts = birth;
    for (_, value) in rows.0.range(Key::journal_of(id)) {
        let turn = Turn::read(value).unwrap();
        let read: Vec<(i64, u32, Fact)> = serde_json::from_slice(turn.records).unwrap();
        assert_eq!(read.len(), turn.count as usize);
        facts.extend(read);
    }
    for (_, _, fact) in &mut facts {
        // The state that a retry goes back to is all that a fold needs of large values.
        if let Fact::Retried { state, .. } = fact
            && let Some(blob) = state.blob
        {
            let chunks = rows.0.range(Key::chunk(id, blob.first)..).flat_map(|(_, value)| value.iter().copied());
            let json: Vec<u8> = chunks.take(blob.bytes as usize).collect();
            state.value = serde_json::from_slice(&json).unwrap();
        }
    }
    let record = |(at, frame, fact)| Record { at: Time(at), frame: FrameId(frame), fact };
    facts.into_iter().map(record).collect()
}

fn check_run(case: &str, rows: &Rows, id: RunId, row: &Row) -> History {
    let head = Head::read(&row.value).unwrap();
    let HeadRow { head: kept, root, birth } = serde_json::from_value(rows.json(id, 0, head.json)).unwrap();
    let records = all_records(rows, id, birth);
    let plan: Hash = serde_json::from_value(kept["plan"].clone()).unwrap();
    let started = Time(kept["started"].as_i64().unwrap());
    let parent: Option<Caller> = kept.get("parent").map(|parent| serde_json::from_value(parent.clone()).unwrap());
    let terms: Option<Terms> = kept.get("terms").map(|terms| serde_json::from_value(terms.clone()).unwrap());
    let events: Option<Stored> = kept.get("events").map(|events| serde_json::from_value(events.clone()).unwrap());
    let history = History { id, records, plan, started, parent, terms, events };
    let (records, mut replay) = (&history.records, history.newborn());
    let (before, after) = records.split_at(usize::try_from(head.records).unwrap());
    before.iter().for_each(|record| replay.apply(record));
    assert_eq!(json!(replay.head), kept, "{case}: the head of {id}");
    assert_eq!(json!(replay.frame(FrameId::ROOT)), root, "{case}: the root of {id}");
    let prefix = Key::frame(id, FrameId(0))..Key::frame(id, FrameId(u32::MAX));
    let mut frames = BTreeMap::new();
    for (key, value) in rows.0.range(prefix) {
        let number = u32::from_be_bytes(key.as_bytes()[17..21].try_into().unwrap());
        frames.insert(number, rows.json(id, number, &value[1..]));
    }
    let replayed: BTreeMap<u32, Json> =
        replay.frames.iter().filter(|(id, _)| id.0 != 0).map(|(id, frame)| (id.0, json!(frame))).collect();
    // What has been joined goes page by page, so that rows of it may be there for a while.
    frames.retain(|frame, _| replayed.contains_key(frame));
    assert_eq!(replayed, frames, "{case}: the frames of {id}");
    check_times(case, records);
    after.iter().for_each(|record| replay.apply(record));
    // A run that a person retries goes on behind its end.
    let again = records.iter().rposition(|record| matches!(record.fact, Fact::Retried { .. })).unwrap_or(0);
    let ends = records[again..].iter().filter(|record| matches!(record.fact, Fact::RunEnded { .. })).count();
    assert!(ends <= 1, "{case}: {id} ended {ends} times");
    let last = records.last().is_some_and(|record| matches!(record.fact, Fact::RunEnded { .. }));
    assert!(ends == 0 || last, "{case}: {id} went on after its end");
    assert!(
        replay.frames.values().all(|frame| !matches!(frame.place, Place::Key { taken: true, .. }) || ends == 0),
        "{case}: {id} ended while it waited"
    );
    history
}

/// No timer is early: what sleeps or waits for its next attempt moves when its time has come, or is given up.
fn check_times(case: &str, records: &[Record]) {
    let mut due: BTreeMap<FrameId, Time> = BTreeMap::new();
    for record in records {
        if matches!(record.fact, Fact::Retried { .. }) {
            due.clear();
        }
        // These say something of the run, and move no frame.
        if matches!(record.fact, Fact::CancelExamined { .. } | Fact::CancelRequested { .. } | Fact::GivenUp { .. }) {
            continue;
        }
        if let Some(due) = due.remove(&record.frame) {
            let forced = matches!(record.fact, Fact::Abandoned { .. } | Fact::Ended { .. } | Fact::RunEnded { .. });
            assert!(forced || record.at >= due, "{case}: due at {due}, but {record:?}");
        }
        if let Fact::Slept { until: at, .. } | Fact::AttemptFailed { retry_at: at, .. } = &record.fact {
            due.insert(record.frame, *at);
        }
    }
}
