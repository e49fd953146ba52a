//! Stores that earlier versions have written: they open, are sound, and their runs come to their ends.
//!
//! A store is a file of rows under `tests/journals` of the repository; what becomes of its runs stands in the snapshot
//! beside it. With `WF_WRITE_JOURNAL=<name>` this writes such a file, as the version that it is built with has it. A file
//! that is there is never written again: what a released version has stored must be read forever.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value as Json, json};
use wf_engine::store::{Key, Row};
use wf_engine::{Event, MemoryStore};

use crate::case::Case;
use crate::kinds::Calls;
use crate::virtual_time::VirtualClock;

/// A run of every sort, so that the store holds a row of every sort.
const FLOWS: &str = "\
workflow: asleep\ntriggers: [{event: go}]\nevents: {go: {external: true, data: {id: string}}, \
told: {external: true, data: {id: string, text: string}}}\n\
steps: [{id: work, test.call: {bytes: 5000}, returns: string}, {id: nap, sleep: 3d}, \
{id: done, finish: '${ steps.work.length() }'}]\n---\n\
workflow: waiting\ntriggers: [{event: go}]\nsteps: [{id: hear, wait: [{event: told, match: {id: '${ event.data.id }'}, \
since: '${ event.ts }'}, {after: 9d}]}, {id: done, finish: '${ steps.hear.data }'}]\n---\n\
workflow: retrying\ntriggers: [{event: go}]\nsteps: [{id: work, test.call: {results: [test.busy, test.busy, ok], gives: 7}, \
retry: {delays: [1h, 2h, 3h]}}, {id: done, finish: '${ steps.work }'}]\n---\n\
workflow: looping\ntriggers: [{event: go}]\nvars: {sum: 0}\nsteps: [{id: each, for_each: {in: '${ [3, 1, 2] }', as: n, \
key: '${ n }', concurrency: 3, steps: [{id: nap, sleep: 90m}, {id: work, test.call: {gives: '${ n }'}}]}}, \
{id: done, finish: '${ steps.each.outputs }'}]\n---\n\
workflow: calling\ntriggers: [{event: go}]\nsteps: [{id: call, invoke: {workflow: called, with: {n: 4}}}, \
{id: done, finish: '${ steps.call }'}]\n---\n\
workflow: called\ninput: {n: int}\nsteps: [{id: nap, sleep: 2d}, {id: done, finish: '${ event.data.n + 1 }'}]\n---\n\
workflow: branching\ntriggers: [{event: go}]\nsteps: [{id: both, parallel: {branches: {slow: [{id: slow, sleep: 5d}], \
quick: [{id: quick, test.call: {gives: quick}, idempotency_key: '${ event.data.id }'}]}}}, \
{id: done, finish: '${ steps.quick }'}]\n---\n\
workflow: failed\ntriggers: [{event: go}]\nsteps: [{id: no, fail: {code: never.mind, message: as it should}}]\n---\n\
workflow: finished\ntriggers: [{event: go}]\nsteps: [{id: done, finish: '${ event.data }'}]";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/journals")
}

/// A row as a line: what is text stays text.
fn line(row: &Row) -> String {
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let text = row.value.iter().position(|byte| b"{[\"".contains(byte)).unwrap_or(row.value.len());
    let (front, text) = row.value.split_at(text);
    let (front, text) = match std::str::from_utf8(text) {
        Ok(text) => (front, text),
        Err(_) => (row.value.as_slice(), ""),
    };
    json!({"key": hex(row.key.as_bytes()), "front": hex(front), "text": text}).to_string()
}

fn row(line: &str) -> Row {
    let line: Json = serde_json::from_str(line).unwrap();
    let bytes = |field: &str| -> Vec<u8> {
        let hex = line[field].as_str().unwrap();
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let mut value = bytes("front");
    value.extend_from_slice(line["text"].as_str().unwrap().as_bytes());
    Row { key: Key::from_bytes(bytes("key")), value }
}

async fn pass(seconds: u64) {
    tokio::time::sleep_until(tokio::time::Instant::now() + std::time::Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn this_version_writes_rows_that_it_reads_again() {
    let (case, store) = (Case::of("journals", FLOWS), MemoryStore::new());
    let clock = VirtualClock::starting_at(case.begin());
    let engine = case.engine(&Calls::default()).clock(clock).store(store.clone()).build().await.unwrap();
    for id in ["a", "b"] {
        engine.send(Event { id: Some(id.into()), ..Event::new("go", json!({"id": id})) }).await.unwrap();
    }
    pass(4_000).await;
    engine.shutdown().await;
    let rows = store.rows();
    let text = rows.iter().fold(String::new(), |text, row| text + &line(row) + "\n");
    assert!(text.lines().map(row).eq(rows));
    if let Ok(name) = std::env::var("WF_WRITE_JOURNAL") {
        let file = folder().join(name).join("rows.jsonl");
        assert!(!file.exists(), "{} is there", file.display());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
}

// What follows needs a version that checks stores.

#[tokio::test(start_paused = true)]
async fn every_store_that_is_kept_opens_and_its_runs_end() {
    let mut kept: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    kept.retain(|path| path.is_dir());
    kept.sort();
    assert!(!kept.is_empty());
    for path in kept {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(path.join("rows.jsonl")).unwrap();
        let rows: Vec<Row> = text.lines().map(row).collect();
        let story = replay(name, rows).await;
        insta::with_settings!({ snapshot_path => path.clone(), prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!("replayed", story);
        });
    }
}

/// Lets the runs of a store go on, and says what became of them.
async fn replay(name: &str, rows: Vec<Row>) -> String {
    let store = MemoryStore::from_rows(rows).unwrap();
    assert_eq!(wf_engine::check(&store, false).await.unwrap().differences, [], "{name}");
    let case = Case::of("journals", FLOWS);
    let clock = VirtualClock::starting_at(wf_engine::Time(case.begin().0 + 4_000_000));
    // The plans are those of the store: its runs are pinned to them.
    let kinds = crate::kinds::all(&Calls::default());
    let builder = wf_engine::Engine::builder().kinds(kinds).retention(None);
    let engine = builder.clock(clock).store(store.clone()).plans(case.plans()).build().await.unwrap();
    let again = engine.send(Event { id: Some("a".into()), ..Event::new("go", json!({"id": "a"})) }).await.unwrap();
    assert!(again.duplicate, "{name}: an id is remembered");
    engine.send(Event::new("told", json!({"id": "a", "text": "hello"}))).await.unwrap();
    engine.quiet().await.unwrap();
    let mut story = String::new();
    for row in store.rows().iter().filter_map(|row| row.key.as_head()) {
        let report = engine.report(row).await.unwrap();
        let steps: Vec<String> = report.steps.iter().map(|step| format!("{} {}", step.id, step.status)).collect();
        let error = report.error.map(|error| error.code);
        let status = report.status.as_str();
        writeln!(story, "{}: {status} {} {error:?}: {}", report.workflow, report.output, steps.join(", ")).unwrap();
    }
    assert_eq!(wf_engine::check(&store, false).await.unwrap().differences, [], "{name}, replayed");
    story
}
