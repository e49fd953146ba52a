//! Journals that are trimmed at their old end.

use serde_json::json;
use wf_engine::run::Fact;
use wf_engine::store::{Key, Table, Turn};
use wf_engine::{Engine, Event, History, MemoryStore, RunId, RunReport, Store};

use crate::case::Case;
use crate::kinds::Calls;
use crate::virtual_time::VirtualClock;

/// Naps and works again and again, in a loop and in iterations, with a large output that is soon replaced.
const LONG: &str = "workflow: flow\ntriggers: [{event: go}]\nevents: {go: {data: {n: int}}}\nvars: {left: '${ event.data.n }'}\n\
    steps: [{id: a, test.call: {bytes: 5000}, returns: string}, {id: nap, sleep: 1m}, \
    {id: each, for_each: {in: '${ [1, 2] }', as: n, key: '${ n }', steps: [{id: b, test.call: {gives: {n: '${ n }'}}}]}}, \
    {id: count, set: {left: '${ vars.left - 1 }'}}, \
    {id: more, switch: [{when: '${ vars.left > 0 }', next: a}, {when: true}]}, \
    {id: done, finish: '${ steps.a.length() }'}]";

async fn engine(store: &MemoryStore, history: History) -> Engine {
    let case = Case::of("history", LONG);
    let clock = VirtualClock::starting_at(case.begin());
    case.engine(&Calls::default()).clock(clock).store(store.clone()).history(history).build().await.unwrap()
}

async fn run(history: History, n: u32) -> (MemoryStore, RunId, RunReport, Engine) {
    let store = MemoryStore::new();
    let engine = engine(&store, history).await;
    let sent = engine.send(Event::new("go", json!({"n": n}))).await.unwrap();
    let run = sent.runs[0];
    let report = engine.wait(run).await.unwrap();
    engine.quiet().await.unwrap();
    (store, run, report, engine)
}

/// The records of a journal, and their bytes.
async fn journal(store: &MemoryStore, run: RunId) -> (u64, u64) {
    let rows = store.scan(Key::journal_of(run), false, usize::MAX).await.unwrap();
    let turns = rows.iter().map(|row| Turn::read(&row.value).unwrap());
    turns.fold((0, 0), |(records, bytes), turn| (records + u64::from(turn.count), bytes + turn.records.len() as u64))
}

#[tokio::test(start_paused = true)]
async fn a_journal_within_its_bounds_is_whole() {
    let (store, run, report, engine) = run(History::default(), 30).await;
    assert_eq!(report.dropped, 0);
    let all = engine.records(run).await.unwrap();
    let (records, bytes) = journal(&store, run).await;
    assert!(all.len() as u64 > records, "those of the birth stand in the head");
    assert!(matches!(all[0].fact, Fact::Started { .. }));
    // The same run again, with bounds that it just keeps and with ones that it does not.
    for (history, is_trimmed) in [
        (History { records, bytes }, false),
        (History { records: records - 1, bytes }, true),
        (History { records, bytes: bytes - 1 }, true),
    ] {
        let (_, _, report, _) = self::run(history, 30).await;
        assert_eq!(report.dropped > 0, is_trimmed, "{history:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_oldest_records_go_and_the_birth_stays() {
    let history = History { records: 200, bytes: u64::MAX };
    let (store, run, report, engine) = run(history, 100).await;
    assert_eq!(report.output, json!(4998));
    let (records, _) = journal(&store, run).await;
    assert!((150..=200 + 50).contains(&records), "{records}");
    assert!(report.dropped > 500, "{}", report.dropped);
    let all = engine.records(run).await.unwrap();
    assert!(matches!(all[0].fact, Fact::Started { .. }));
    assert!(matches!(all.last().unwrap().fact, Fact::RunEnded { .. }));
    assert_eq!(report.steps.last().unwrap().id, "done");
    // Large values go with the last record that names them.
    let chunks = store.scan(Key::all(Table::Chunk), false, usize::MAX).await.unwrap().len();
    assert!((1..60).contains(&chunks), "{chunks} of 100");
}

#[tokio::test(start_paused = true)]
async fn a_run_with_a_trimmed_journal_goes_on_after_a_restart() {
    let history = History { records: 50, bytes: u64::MAX };
    let store = MemoryStore::new();
    let first = engine(&store, history).await;
    let sent = first.send(Event::new("go", json!({"n": 40}))).await.unwrap();
    let run = sent.runs[0];
    while first.report(run).await.unwrap().dropped == 0 {
        tokio::time::sleep_until(tokio::time::Instant::now() + std::time::Duration::from_secs(30)).await;
    }
    drop(first);
    let store = MemoryStore::from_rows(store.rows()).unwrap();
    let second = engine(&store, history).await;
    assert_eq!(second.wait(run).await.unwrap().output, json!(4998));
    assert!(journal(&store, run).await.0 < 100);
}
