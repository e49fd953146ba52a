//! What can be derived from a run is as it must be, whatever happened; and what is damaged is found and repaired.

use std::collections::BTreeSet;

use serde_json::json;
use wf_engine::store::{Key, Row, Table};
use wf_engine::{Engine, Event, Fault, MemoryStore, Store, check};

use crate::case::Case;
use crate::kinds::Calls;
use crate::virtual_time::VirtualClock;

const FLOWS: &str = "workflow: flow\ntriggers: [{event: go}]\n\
    events: {go: {external: true, data: {id: string}}, told: {external: true, data: {id: string}}}\n\
    steps: [{id: both, parallel: {branches: {nap: [{id: nap, sleep: 30d}], \
    hear: [{id: hear, wait: [{event: told, match: {id: '${ event.data.id }'}}, {after: 20d}]}]}}}]\n---\n\
    workflow: quick\ntriggers: [{event: quick}]\nevents: {quick: {external: true, data: {}}}\n\
    steps: [{id: a, test.call: {}}, {id: b, invoke: {workflow: child}}]\n---\n\
    workflow: child\nlimits: {unique: {key: all, on_conflict: skip}}\nsteps: [{id: a, sleep: 10d}]";

/// A store with runs that sleep, wait, call and have ended.
async fn store() -> MemoryStore {
    let (case, store) = (Case::of("checking", FLOWS), MemoryStore::new());
    let clock = VirtualClock::starting_at(case.begin());
    let engine: Engine = case.engine(&Calls::default()).clock(clock).store(store.clone()).build().await.unwrap();
    let short = engine.start("child", json!({})).await.unwrap();
    engine.cancel(short, "enough").await.unwrap();
    engine.wait(short).await.unwrap();
    // The second one waits for the run that the first one has invoked.
    for _ in 0..2 {
        engine.send(Event::new("quick", json!({}))).await.unwrap();
    }
    for id in ["x", "y"] {
        engine.send(Event::new("go", json!({"id": id}))).await.unwrap();
    }
    engine.send(Event::new("told", json!({"id": "z"}))).await.unwrap();
    tokio::time::sleep_until(tokio::time::Instant::now() + std::time::Duration::from_secs(1)).await;
    engine.shutdown().await;
    MemoryStore::from_rows(store.rows()).unwrap()
}

fn derived(row: &Row) -> bool {
    matches!(row.key.table(), Some(Table::Timer | Table::Wait | Table::Ended | Table::Queue | Table::Inbox))
}

#[tokio::test(start_paused = true)]
async fn a_sound_store_has_no_differences() {
    let checked = check(&store().await, false).await.unwrap();
    assert_eq!(checked.differences, []);
    assert_eq!((checked.runs, checked.events), (7, 8));
}

#[tokio::test(start_paused = true)]
async fn every_row_that_is_missing_is_found_and_written_again() {
    let all = store().await.rows();
    let rows: Vec<&Row> = all.iter().filter(|row| derived(row)).collect();
    let tables: BTreeSet<_> = rows.iter().filter_map(|row| row.key.table()).collect();
    assert_eq!(tables.len(), 4, "no run is in the queue, and of all others there is one: {tables:?}");
    for gone in rows {
        let left = all.iter().filter(|row| row.key != gone.key).cloned();
        let store = MemoryStore::from_rows(left).unwrap();
        let found = check(&store, true).await.unwrap().differences;
        assert_eq!(found.len(), 1, "{gone:?}: {found:?}");
        assert_eq!(found[0].what, Fault::Missing);
        assert_eq!(check(&store, false).await.unwrap().differences, []);
        assert_eq!(store.rows(), all);
    }
}

#[tokio::test(start_paused = true)]
async fn rows_of_nobody_are_found_and_deleted() {
    let all = store().await.rows();
    let strangers = all.iter().filter(|row| derived(row)).map(|row| {
        let mut key = row.key.as_bytes().to_vec();
        let at = if row.key.table() == Some(Table::Inbox) { key.len() - 1 } else { key.len() - 5 };
        key[at] ^= 0x55;
        Row { key: Key::from_bytes(key), value: row.value.clone() }
    });
    for stranger in strangers.filter(|row| row.key.table() != Some(Table::Ended)) {
        let store = MemoryStore::from_rows(all.iter().cloned().chain([stranger.clone()])).unwrap();
        let found = check(&store, true).await.unwrap().differences;
        assert_eq!(found.iter().map(|found| found.what).collect::<Vec<_>>(), [Fault::LeftOver], "{stranger:?}");
        assert_eq!(store.rows(), all);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lost_its_head_leaves_nothing_behind() {
    let store = store().await;
    let all = store.rows();
    let head = all.iter().find(|row| row.key.table() == Some(Table::Head)).unwrap().key.as_head().unwrap();
    let store = MemoryStore::from_rows(all.into_iter().filter(|row| row.key != Key::head(head))).unwrap();
    check(&store, true).await.unwrap();
    assert_eq!(check(&store, false).await.unwrap().differences, []);
    let left = store.scan(Key::journal_of(head), false, 10).await.unwrap();
    let ended = store.scan(Key::all(Table::Ended), false, 10).await.unwrap();
    assert!(left.is_empty() || !ended.is_empty(), "retention takes what has an end");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_said_and_left_alone() {
    let all = store().await.rows();
    let broken = all.iter().map(|row| match row.key.table() {
        Some(Table::Head) => Row { key: row.key.clone(), value: row.value[..20].to_vec() },
        _ => row.clone(),
    });
    let broken: Vec<Row> = broken.collect();
    let store = MemoryStore::from_rows(broken.clone()).unwrap();
    let found = check(&store, true).await.unwrap().differences;
    assert_eq!(found.len(), 7);
    assert!(found.iter().all(|found| (found.table, found.what) == ("run", Fault::Unreadable)), "{found:?}");
    assert_eq!(store.rows(), broken);
}
