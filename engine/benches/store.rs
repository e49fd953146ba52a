//! How fast the store makes commits durable, beside what the disk itself can do. Run it alone: `cargo bench -p
//! wf-engine --bench store`.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wf_engine::store::{BornOf, Commit, Gate, Key, NewEvent, NewRun, Ready, Row, Store, Table, Write};
use wf_engine::{EventId, Position, RunId, SledOptions, SledStore};

/// About what one step of a run writes.
const RECORD: usize = 300;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let dir = tempfile::tempdir_in(".").unwrap();
    let floor = floor(&dir.path().join("floor"));
    println!("append and fdatasync            {floor:9.0} /s");
    let (rate, took) = runtime.block_on(sleepers(&dir));
    println!("births of 3 rows, 256 in flight {rate:9.0} /s  100,000 in {took:.1?}");
    println!("peak memory {} MB", peak_memory() >> 10);
    let started = Instant::now();
    let store = SledStore::open(dir.path().join("sleepers"), SledOptions::default()).unwrap();
    println!("reopened in {:.1?}", started.elapsed());
    drop(store);
    println!("on disk {} MB", size(&dir.path().join("sleepers")) >> 20);
    for flight in [1, 4, 64, 256] {
        let rate = runtime.block_on(steps(&dir, flight));
        println!("steps, {flight:3} in flight            {rate:9.0} /s  {:5.2} of the floor", rate / floor);
    }
}

/// How often the disk makes an append durable.
fn floor(path: &Path) -> f64 {
    let mut file = File::create(path).unwrap();
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < Duration::from_secs(1) {
        file.write_all(&[7; RECORD]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

fn run(n: u64) -> RunId {
    let mut event = [0; 12];
    event[4..].copy_from_slice(&n.to_be_bytes());
    RunId { event: EventId(event), workflow: 1, nth: 0 }
}

fn birth(n: u64, ready: Option<Ready>) -> Commit {
    let event = NewEvent { id: run(n).event, row: vec![b'e'; RECORD], inbox: vec![] };
    let born_of = BornOf::Here(0);
    let born = NewRun {
        run: run(n),
        born_of,
        head: vec![b'h'; RECORD],
        version: 2,
        ready,
        gate: Gate::default(),
        behind: None,
        claimed: true,
    };
    Commit { events: vec![event], runs: vec![born], ..Commit::default() }
}

/// Steps of as many runs as may be in flight, each one journal row that waits for the one before it.
async fn steps(dir: &TempDir, flight: u64) -> f64 {
    let store = SledStore::open(dir.path().join(flight.to_string()), SledOptions::default()).unwrap();
    let store: &'static SledStore = Box::leak(Box::new(store));
    for n in 0..flight {
        store.commit(birth(n, Some(Ready { workflow: 1, priority: 5 }))).await.unwrap();
    }
    let each = (20_000 / flight).clamp(300, 8_000);
    let started = Instant::now();
    let tasks: Vec<_> = (0..flight)
        .map(|n| {
            tokio::spawn(async move {
                for step in 0..each {
                    let records = vec![b'j'; RECORD];
                    let append = Write::Append { run: run(n), first: 2 + step, count: 1, records };
                    store.commit(Commit { writes: vec![append], ..Commit::default() }).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    (flight * each) as f64 / started.elapsed().as_secs_f64()
}

/// Runs that go to sleep at once: an event, a head, a timer.
async fn sleepers(dir: &TempDir) -> (f64, Duration) {
    let store = SledStore::open(dir.path().join("sleepers"), SledOptions::default()).unwrap();
    let started = Instant::now();
    let mut pending = std::collections::VecDeque::new();
    for n in 0..100_000 {
        let mut commit = birth(n, None);
        commit.runs[0].claimed = false;
        let due = wf_engine::store::Due {
            at: wf_engine::Time(1_700_000_000_000 + n as i64),
            run: run(n),
            frame: wf_engine::FrameId::ROOT,
        };
        commit.writes.push(Write::Put(Row { key: Key::timer(due), value: vec![1, b'1'] }));
        pending.push_back(store.commit(commit));
        if pending.len() >= 256 {
            pending.pop_front().unwrap().await.unwrap();
        }
    }
    for commit in pending {
        commit.await.unwrap();
    }
    let took = started.elapsed();
    let timers = store.scan(Key::all(Table::Timer), false, 200_000).await.unwrap().len();
    assert_eq!((timers, store.commit(Commit::default()).await.unwrap().at), (100_000, Position(100_000)));
    (300_000.0 / took.as_secs_f64(), took)
}

/// The most memory that this process had, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn size(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { size(&entry.path()) } else { metadata.blocks() * 512 }
        })
        .sum()
}
