//! The loads by which the engine is measured, on the sled store with a sync of the disk before every acknowledgement.
//! Run it alone: `cargo bench --bench engine`, or one of them: `cargo bench --bench engine -- W2`.
//!
//! Each load runs in a process of its own, so that its peak memory is its own. The disk's rate stands beside it: an
//! append and an `fdatasync`, again and again, in the same process just before.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use wf_dsl::{Catalog, InputFile, Project, ProjectInput};
use wf_engine::run::Fact;
use wf_engine::{Engine, Event, Notice, Observer, SledOptions, SledStore, StepContext, StepError, kind};

/// Steps of the one long run.
const LONG_STEPS: usize = 1_000;
/// Steps of a run whose journal has 10,000 records.
const JOURNAL_STEPS: usize = 3_300;
/// Runs that are sent at once, and the steps of each.
const SHORT_RUNS: usize = 2_000;
const SHORT_STEPS: usize = 5;
/// Runs that go to sleep, and how many senders send them.
const SLEEPERS: usize = 100_000;
const SENDERS: usize = 256;
/// Events that are sent to an idle engine, one after the other.
const LONELY_EVENTS: usize = 1_000;
/// Files that are validated, and the steps of each.
const FILES: usize = 300;
const FILE_STEPS: usize = 30;

/// Events that are delivered to one of many waiting runs, one after the other.
const DELIVERIES: usize = 300;
/// Runs that are sent at once to a workflow with limits.
const LIMITED_RUNS: usize = 20_000;
/// How many queued runs are drained while the time is taken.
const BACKLOG_DRAINED: usize = 20_000;
/// The parts that are killed when they have told their result, so that the next one finds what they left.
const STAYS: [&str; 2] = ["W3", "L4"];

/// As in the command: the system's allocator takes a third of the time of an engine on two cores.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["part", name, dir] => part(name, Path::new(dir)),
        chosen => table(chosen),
    }
}

/// The whole table, or the chosen lines of it.
fn table(chosen: &[&str]) {
    println!("{:<4} {:<42} {:>24} {:>16} {:>12} {:>9}", "", "work", "measured", "to reach", "fdatasync/s", "peak RSS");
    for (name, work, reach) in [
        ("W1", "1 run, 1,000 steps one after another", "4,000 steps/s"),
        ("W2", "2,000 runs of 5 steps, all at once", "60,000 steps/s"),
        ("W3", "100,000 runs that go to sleep", "3.5 s, 130 MB"),
        ("W3b", "... and ready for work after kill -9", "0.5 s"),
        ("W4", "idle: from send to the first step", "p50 0.5 p99 2 ms"),
        ("J1", "a journal of 10,000 records is read", "20 ms"),
        ("D1", "an event for one of 1,000 waiting runs", ""),
        ("D2", "an event for one of 1,000,000", "2 x D1"),
        ("L0", "20,000 runs of 5 steps without limits", ""),
        ("L1", "... with concurrency, 10 keys", "0.75 x L0"),
        ("L2", "... with concurrency, 100,000 keys", "0.75 x L0"),
        ("L3", "1,000 queued runs of a step are drained", ""),
        ("L4", "1,000,000 are", "0.8 x L3"),
        ("L4b", "... and ready for work after kill -9", "3 s, 512 MB"),
        ("W5", "wf validate, 300 files of 30 steps", "1 s"),
    ] {
        if !chosen.is_empty() && !chosen.iter().any(|chosen| name.starts_with(chosen)) {
            continue;
        }
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("engine-{}", &name[..2]));
        if name.len() == 2 {
            // Nothing is there the first time.
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["part", name, &dir.display().to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line: Vec<String> = lines.next().expect("a part tells a result").split('\t').map(str::to_owned).collect();
        if STAYS.contains(&name) {
            child.kill().unwrap();
        }
        child.wait().unwrap();
        let [measured, syncs, peak] = line.try_into().expect("three columns");
        println!("{name:<4} {work:<42} {measured:>24} {reach:>16} {syncs:>12} {peak:>9}");
    }
}

/// One line of the table, in a process of its own.
fn part(name: &str, dir: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
    let syncs = if matches!(name, "W3b" | "W5" | "L4b") { 0 } else { sync_rate(&dir.join("floor")) };
    let measured = match name {
        "W1" => runtime.block_on(long_run(dir)),
        "W2" => runtime.block_on(short_runs(dir)),
        "W3" => runtime.block_on(sleepers(dir)),
        "W3b" => runtime.block_on(wakes(dir)),
        "W4" => runtime.block_on(lonely_events(dir)),
        "J1" => runtime.block_on(long_journal(dir)),
        "D1" => runtime.block_on(delivery(dir, 1_000)),
        "D2" => runtime.block_on(delivery(dir, 1_000_000)),
        "L0" => runtime.block_on(limited(dir, None)),
        "L1" => runtime.block_on(limited(dir, Some(10))),
        "L2" => runtime.block_on(limited(dir, Some(100_000))),
        "L3" => runtime.block_on(backlog(dir, 1_000)),
        "L4" => runtime.block_on(backlog(dir, 1_000_000)),
        "L4b" => runtime.block_on(ready_with_backlog(dir)),
        _ => validate(),
    };
    println!("{measured}\t{syncs}\t{} MB", peak_memory() >> 10);
    std::io::stdout().flush().unwrap();
    if STAYS.contains(&name) {
        std::thread::sleep(Duration::MAX); // until it is killed
    }
}

/// How often in a second the disk makes an append durable.
fn sync_rate(path: &Path) -> u64 {
    let mut file = File::create(path).unwrap();
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < Duration::from_secs(1) {
        file.write_all(&[7; 300]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    count
}

/// The peak of the resident memory, in KiB.
fn peak_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What a folder's files take on the disk, in MiB.
fn disk_mib(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let blocks = |dir: &Path| -> u64 {
        let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
        entries.map(|entry| if entry.path().is_dir() { 0 } else { entry.metadata().unwrap().blocks() }).sum()
    };
    let inside = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    ((blocks(dir) + inside.map(|dir| blocks(&dir)).sum::<u64>()) * 512) >> 20
}

/// A workflow of so many steps that do nothing.
fn workflow(name: &str, steps: usize) -> String {
    let steps: String = (0..steps).map(|step| format!("  - id: s{step}\n    bench.noop: {{}}\n")).collect();
    format!(
        "workflow: {name}\ntriggers: [{{event: {name}.go}}]\nevents: {{{name}.go: {{data: {{number?: int}}}}}}\nsteps:\n{steps}"
    )
}

const SLEEPER: &str = "workflow: sleeper\ntriggers: [{event: sleeper.go}]\nevents: {sleeper.go: {data: {number: int}}}\nsteps: [{id: nap, sleep: 1h}]\n";

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

/// Counts the runs that have ended.
#[derive(Default)]
struct Ends {
    count: AtomicUsize,
    changed: Notify,
}

impl Ends {
    async fn wait_for(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            if self.count.load(Ordering::Acquire) >= count {
                return;
            }
            changed.await;
        }
    }
}

struct Watch(Arc<Ends>);

impl Observer for Watch {
    fn observe(&self, notice: &Notice<'_>) {
        if notice.records.iter().any(|record| matches!(record.fact, Fact::RunEnded { .. })) {
            self.0.count.fetch_add(1, Ordering::AcqRel);
            self.0.changed.notify_one();
        }
    }
}

/// An engine on a store in `dir`, with a kind that does nothing but tell when it starts.
async fn engine(dir: &Path, files: &[String]) -> (Engine, Arc<Ends>, mpsc::UnboundedReceiver<Instant>) {
    let ends = Arc::new(Ends::default());
    let (starts, started) = mpsc::unbounded_channel();
    let noop = kind("bench.noop", move |_: StepContext, _: Nothing| {
        starts.send(Instant::now()).ok();
        async { Ok::<(), StepError>(()) }
    });
    let store = SledStore::open(dir.join("store"), SledOptions::default()).unwrap();
    let mut builder = Engine::builder().store(store).kind(noop).observer(Watch(ends.clone()));
    for (index, file) in files.iter().enumerate() {
        builder = builder.file(format!("{index}.yaml"), file.as_str());
    }
    (builder.build().await.unwrap(), ends, started)
}

async fn long_run(dir: &Path) -> String {
    let (engine, ends, _starts) = engine(dir, &[workflow("long", LONG_STEPS)]).await;
    let before = Instant::now();
    engine.send(Event::new("long.go", json!({}))).await.unwrap();
    ends.wait_for(1).await;
    format!("{:.0} steps/s", LONG_STEPS as f64 / before.elapsed().as_secs_f64())
}

/// Reads all records of a run that has ended, once it has been read before.
async fn long_journal(dir: &Path) -> String {
    let (engine, ends, _starts) = engine(dir, &[workflow("journal", JOURNAL_STEPS)]).await;
    let sent = engine.send(Event::new("journal.go", json!({}))).await.unwrap();
    ends.wait_for(1).await;
    let mut took = Duration::MAX;
    for _ in 0..5 {
        let before = Instant::now();
        let records = engine.records(sent.runs[0]).await.unwrap().len();
        took = took.min(before.elapsed());
        assert!((9_000..=11_000).contains(&records), "{records} records");
    }
    format!("{:.1} ms", took.as_secs_f64() * 1_000.0)
}

async fn short_runs(dir: &Path) -> String {
    let (engine, ends, _starts) = engine(dir, &[workflow("short", SHORT_STEPS)]).await;
    let before = Instant::now();
    let mut sends = JoinSet::new();
    for number in 0..SHORT_RUNS {
        let engine = engine.clone();
        sends.spawn(async move { engine.send(Event::new("short.go", json!({"number": number}))).await.unwrap() });
    }
    ends.wait_for(SHORT_RUNS).await;
    let took = before.elapsed();
    sends.join_all().await;
    format!("{:.0} steps/s", (SHORT_RUNS * SHORT_STEPS) as f64 / took.as_secs_f64())
}

async fn sleepers(dir: &Path) -> String {
    let (engine, _ends, _starts) = engine(dir, &[SLEEPER.to_owned()]).await;
    let before = Instant::now();
    send_all(&engine, "sleeper.go", SLEEPERS).await;
    let took = before.elapsed();
    // sled writes on in the background.
    tokio::time::sleep(Duration::from_secs(2)).await;
    format!("{:.2} s, {} MB on disk", took.as_secs_f64(), disk_mib(&dir.join("store")))
}

/// After the process with the sleepers was killed.
async fn wakes(dir: &Path) -> String {
    let before = Instant::now();
    let (engine, ends, _starts) = engine(dir, &[SLEEPER.to_owned(), workflow("short", SHORT_STEPS)]).await;
    engine.send(Event::new("short.go", json!({}))).await.unwrap();
    ends.wait_for(1).await;
    format!("{:.2} s", before.elapsed().as_secs_f64())
}

async fn lonely_events(dir: &Path) -> String {
    let (engine, ends, mut starts) = engine(dir, &[workflow("short", 1)]).await;
    let mut times = Vec::with_capacity(LONELY_EVENTS);
    for number in 1..=LONELY_EVENTS {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let before = Instant::now();
        engine.send(Event::new("short.go", json!({}))).await.unwrap();
        times.push(starts.recv().await.unwrap() - before);
        ends.wait_for(number).await;
    }
    times.sort();
    let millis = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e3;
    format!("p50 {:.2} ms, p99 {:.2} ms", millis(50), millis(99))
}

/// Sends `events` numbered events, from many senders at once.
async fn send_all(engine: &Engine, name: &'static str, events: usize) {
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let engine = engine.clone();
        senders.spawn(async move {
            for number in (sender..events).step_by(SENDERS) {
                engine.send(Event::new(name, json!({"number": number}))).await.unwrap();
            }
        });
    }
    senders.join_all().await;
}

const WAITER: &str = "workflow: waiter\ntriggers: [{event: waiter.go}]\nevents: {waiter.go: {data: {number: int}}, told: {data: {number: int}}}\nsteps: [{id: listen, wait: [{event: told, match: {number: '${ event.data.number }'}}, {after: 720h}]}]\n";

/// From an event to the end of the one run that waits for it among many.
async fn delivery(dir: &Path, waits: usize) -> String {
    let (engine, ends, _starts) = engine(dir, &[WAITER.to_owned()]).await;
    send_all(&engine, "waiter.go", waits).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut times = Vec::with_capacity(DELIVERIES);
    for nth in 0..DELIVERIES {
        let number = nth * (waits / DELIVERIES);
        let before = Instant::now();
        engine.send(Event::new("told", json!({"number": number}))).await.unwrap();
        ends.wait_for(nth + 1).await;
        times.push(before.elapsed());
    }
    times.sort();
    format!("p50 {:.2} ms", times[times.len() / 2].as_secs_f64() * 1e3)
}

/// Short runs of a workflow with `concurrency`, under so many keys; without the limit if there are none.
async fn limited(dir: &Path, keys: Option<usize>) -> String {
    let limits = keys
        .map(|keys| format!("limits: {{concurrency: {{limit: 1000, key: '${{ event.data.number % {keys} }}'}}}}\n"));
    let file = workflow("short", SHORT_STEPS).replace("number?: int", "number: int") + &limits.unwrap_or_default();
    let (engine, ends, _starts) = engine(dir, &[file]).await;
    let before = Instant::now();
    send_all(&engine, "short.go", LIMITED_RUNS).await;
    ends.wait_for(LIMITED_RUNS).await;
    format!("{:.0} steps/s", (LIMITED_RUNS * SHORT_STEPS) as f64 / before.elapsed().as_secs_f64())
}

fn queued() -> String {
    let limits = "limits: {concurrency: {limit: 1000, key: '${ event.data.number % 10 }'}}\n";
    workflow("short", 1).replace("number?: int", "number: int") + limits
}

/// A queue that grew while its workflow was paused is drained; the rate of the first ones. A short one is filled and
/// drained until as many were.
async fn backlog(dir: &Path, runs: usize) -> String {
    let (engine, ends, _starts) = engine(dir, &[queued()]).await;
    let mut took = Duration::ZERO;
    let mut drained = 0;
    while drained < BACKLOG_DRAINED {
        engine.operator().pause_workflow("short").await.unwrap();
        send_all(&engine, "short.go", runs).await;
        tokio::time::sleep(Duration::from_secs(if runs > BACKLOG_DRAINED { 2 } else { 0 })).await;
        let before = Instant::now();
        engine.operator().resume_workflow("short").await.unwrap();
        drained += runs.min(BACKLOG_DRAINED);
        ends.wait_for(drained).await;
        took += before.elapsed();
    }
    if runs > BACKLOG_DRAINED {
        engine.operator().pause_workflow("short").await.unwrap();
    }
    format!("{:.0} runs/s", drained as f64 / took.as_secs_f64())
}

/// After the process with the backlog was killed: from nothing to the end of a run that is sent then.
async fn ready_with_backlog(dir: &Path) -> String {
    let before = Instant::now();
    let (engine, ends, _starts) = engine(dir, &[queued(), workflow("other", SHORT_STEPS)]).await;
    engine.send(Event::new("other.go", json!({}))).await.unwrap();
    ends.wait_for(1).await;
    format!("{:.2} s", before.elapsed().as_secs_f64())
}

fn validate() -> String {
    let file = |number: usize| {
        let steps: String = (0..FILE_STEPS)
            .map(|step| {
                format!(
                    "  - id: s{step}\n    if: ${{ event.data.count > {step} }}\n    set:\n      total: ${{ vars.total + event.data.count }}\n      text: \"${{ event.data.name }} number {step}\"\n"
                )
            })
            .collect();
        format!(
            "workflow: flow_{number}\ntriggers: [{{event: e{number}.go}}]\nevents:\n  e{number}.go:\n    data: {{name: string, count: int}}\nvars: {{total: 0, text: \"\"}}\nsteps:\n{steps}"
        )
    };
    let files =
        (0..FILES).map(|number| InputFile { path: format!("{number}.yaml"), bytes: file(number).into(), named: true });
    let input = ProjectInput { files: files.collect(), ..ProjectInput::default() };
    let before = Instant::now();
    let project = Project::read(input, &Catalog::default());
    let took = before.elapsed();
    assert!(!project.findings.has_errors(), "the files are right: {:#?}", project.findings.iter().next());
    format!("{:.2} s", took.as_secs_f64())
}
