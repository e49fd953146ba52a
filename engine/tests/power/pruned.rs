//! A store in which many runs have ended is small again when they are forgotten.

use serde_json::json;
use tempfile::TempDir;
use wf_engine::store::Key;
use wf_engine::store::{CopyTo, Durability, OpenError, Store, Table};
use wf_engine::{Engine, Event, Period, Retention, SledOptions, SledStore};

use crate::campaign::rounds;
use crate::watch::store_in;

/// One in so many runs sleeps; the others have ended.
const SLEEPERS: usize = 10;
/// Events that are sent together.
const TOGETHER: usize = 500;

const WORKFLOWS: [(&str, &str); 2] = [
    (
        "quick.yaml",
        "workflow: quick\ntriggers: [{event: quick}]\nevents: {quick: {external: true, data: {n: int}}}\n\
                    steps: [{id: done, finish: '${ event.data.n }'}]\n",
    ),
    (
        "slow.yaml",
        "workflow: slow\ntriggers: [{event: slow}]\nevents: {slow: {external: true, data: {n: int}}}\n\
                   steps: [{id: nap, sleep: 30d}]\n",
    ),
];

pub(crate) fn pruned_runs_leave_little_on_the_disk() -> String {
    let dir = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let runs = rounds("pruned-runs");
    let full = runtime.block_on(fill(&dir, runs, 1));
    let (live, disk, left) = runtime.block_on(prune(&dir));
    assert_eq!(left, runs.div_ceil(SLEEPERS));
    // What sled makes of rows is more than their bytes: the measure is a store that never had anything else.
    let alone = TempDir::new().unwrap();
    let alone = runtime.block_on(fill(&alone, runs, SLEEPERS));
    assert!(disk <= 2 * alone, "{live} bytes of live rows take {disk}, and {alone} where they are alone");
    assert!(2 * disk < full, "{disk} bytes of {full} are left");
    format!(
        "{runs} runs took {} MiB; {left} of them are left, with {} MiB, and take {} MiB",
        full >> 20,
        live >> 20,
        disk >> 20
    )
}

fn open(dir: &TempDir) -> SledStore {
    let options = SledOptions { durability: Durability::Process, ..SledOptions::default() };
    loop {
        match SledStore::open(store_in(dir), options.clone()) {
            // The engine's loop lets go of it in its own time.
            Err(OpenError::Locked { .. }) => std::thread::sleep(std::time::Duration::from_millis(10)),
            opened => return opened.expect("a store"),
        }
    }
}

/// Starts every run, or those whose number `each` divides; those that end have ended then. Gives what they take on the
/// disk.
async fn fill(dir: &TempDir, runs: usize, each: usize) -> u64 {
    let mut builder = Engine::builder().store(open(dir)).retention(None);
    for (path, text) in WORKFLOWS {
        builder = builder.file(path, text);
    }
    let engine = builder.build().await.expect("an engine");
    for from in (0..runs).step_by(TOGETHER) {
        let numbers = from..runs.min(from + TOGETHER);
        let name = |n: usize| if n.is_multiple_of(SLEEPERS) { "slow" } else { "quick" };
        let sent =
            numbers.filter(|n| n.is_multiple_of(each)).map(|n| engine.send(Event::new(name(n), json!({ "n": n }))));
        for sent in futures_util::future::join_all(sent).await {
            sent.expect("an event that is taken");
        }
    }
    engine.shutdown().await;
    drop(engine);
    open(dir).disk_bytes().expect("a store on the disk")
}

/// Forgets what has ended. Gives what is live, what that takes on the disk, and how many runs there are.
async fn prune(dir: &TempDir) -> (u64, u64, usize) {
    let all = Retention { runs: Period(0), events: Period(0) };
    Engine::builder().store(open(dir)).retention(all).prune().await.expect("a pass");
    let store = open(dir);
    let copied = store.copy(CopyTo::Place).await.expect("a compaction");
    let heads = store.scan(Key::all(Table::Head), false, usize::MAX).await.expect("the heads");
    (copied.bytes, store.disk_bytes().expect("a store on the disk"), heads.len())
}
