//! Stores do what the trait says: one suite for every implementation, and the model is what the others are compared to.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;
use tempfile::TempDir;
use wf_dsl::Time;
use wf_engine::store::conformance::{CASES, Subject};
use wf_engine::store::{
    Answer, BornOf, Commit, CopyTo, Durability, Fence, Gate, Guard, Head, InboxKey, Key, LimitId, MemoryStore,
    NewEvent, NewRun, Pace, ROW_BYTES_MAX, Ready, Row, Rows, Slot, Store, Table, Turn, Write,
};
use wf_engine::{EventId, Position, RunId, SledOptions, SledStore};

#[path = "../../tests/support/campaign.rs"]
mod campaign;

struct Model;

impl Subject for Model {
    fn fresh(&self) -> Arc<dyn Store> {
        Arc::new(MemoryStore::new())
    }

    fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(MemoryStore::from_rows(rows(&*store)).unwrap())
    }
}

/// Every fresh store in a folder of its own; the name of the last one is a number.
struct OnDisk {
    dir: TempDir,
    stores: AtomicU32,
}

impl OnDisk {
    fn new() -> Self {
        OnDisk { dir: TempDir::new().unwrap(), stores: AtomicU32::new(0) }
    }

    fn open(&self, number: u32) -> Arc<dyn Store> {
        // What a power cut takes is a matter for `power.rs`; without syncs this takes seconds, not minutes.
        let options = SledOptions { durability: Durability::Process, ..SledOptions::default() };
        Arc::new(SledStore::open(self.dir.path().join(number.to_string()), options).unwrap())
    }
}

impl Subject for OnDisk {
    fn fresh(&self) -> Arc<dyn Store> {
        self.open(self.stores.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        drop(store);
        self.open(self.stores.load(Ordering::Relaxed))
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn everything() -> Range<Key> {
    Key::from_bytes([0])..Key::from_bytes([0xff])
}

/// All rows; reads of the stores here never wait.
fn rows(store: &dyn Store) -> Vec<Row> {
    store.scan(everything(), false, usize::MAX).now_or_never().expect("reads do not wait").unwrap()
}

fn conforms(subject: &dyn Subject) {
    for (name, case) in CASES {
        eprintln!("{name}"); // shown when it fails
        block_on(case(subject));
    }
}

#[test]
fn the_model_conforms() {
    conforms(&Model);
}

#[test]
fn sled_conforms() {
    conforms(&OnDisk::new());
}

#[test]
fn the_largest_rows_stay_in_the_file_that_is_synced() {
    let disk = OnDisk::new();
    let store = disk.fresh();
    let outside = disk.dir.path().join("1/store-0001/blobs");
    let mut chance = 1u32;
    for _ in 0..60 {
        let writes = (0..40).map(|_| {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = Key::cron(chance >> 24);
            let value = vec![chance as u8; ROW_BYTES_MAX];
            if chance & 0x800 == 0 { Write::Put(Row { key, value }) } else { Write::Delete(key) }
        });
        block_on(store.commit(Commit { writes: writes.collect(), ..Commit::default() })).unwrap();
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    }
    assert!(rows(&*store).len() > 50);
}

/// One of few keys, versions and the like, so that commits meet.
#[derive(Clone, Debug)]
enum Act {
    Guard { run: Index, ahead: u64 },
    NoneSince { inbox: u64, after: u64 },
    Event { size: usize, inbox: Vec<u64> },
    Birth { run: Index, ready: Option<(u16, u8)>, claimed: bool },
    Append { run: Index, ahead: u64, count: u32 },
    Head { run: Index, ahead: u64 },
    Queue { run: Index, workflow: u16, priority: u8, order: u64 },
    Put { key: u32, value: u8 },
    Delete(Index),
}

#[derive(Clone, Debug)]
enum Move {
    /// Commits that are all under way before the first one is awaited.
    Commits(Vec<Vec<Act>>),
    /// Rules that are under way together; each counts up, unless the count has reached its limit.
    Decides(Vec<u8>),
    Claim(usize),
    Release(Vec<Index>),
    /// A compaction that is under way while these are committed.
    Compact(Vec<Vec<Act>>),
    Reopen,
}

fn acts() -> impl Strategy<Value = Act> {
    // Mostly what the run really has, so that most commits are good.
    let ahead = || prop_oneof![9 => Just(0u64), 1 => 1..3u64];
    prop_oneof![
        2 => (any::<Index>(), ahead()).prop_map(|(run, ahead)| Act::Guard { run, ahead }),
        1 => (0..2u64, 0..40u64).prop_map(|(inbox, after)| Act::NoneSince { inbox, after }),
        3 => (0..70_000usize, vec(0..2u64, 0..2)).prop_map(|(size, inbox)| Act::Event { size, inbox }),
        3 => (any::<Index>(), proptest::option::of((0..3u16, 0..3u8)), any::<bool>())
            .prop_map(|(run, ready, claimed)| Act::Birth { run, ready, claimed }),
        4 => (any::<Index>(), ahead(), 0..4u32).prop_map(|(run, ahead, count)| Act::Append { run, ahead, count }),
        2 => (any::<Index>(), ahead()).prop_map(|(run, ahead)| Act::Head { run, ahead }),
        2 => (any::<Index>(), 0..3u16, 0..3u8, 0..20u64)
            .prop_map(|(run, workflow, priority, order)| Act::Queue { run, workflow, priority, order }),
        3 => (0..5u32, any::<u8>()).prop_map(|(key, value)| Act::Put { key, value }),
        5 => any::<Index>().prop_map(Act::Delete),
    ]
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => vec(vec(acts(), 1..5), 1..12).prop_map(Move::Commits),
        1 => vec(any::<u8>(), 1..5).prop_map(Move::Decides),
        3 => (0..6usize).prop_map(Move::Claim),
        2 => vec(any::<Index>(), 0..4).prop_map(Move::Release),
        1 => vec(vec(acts(), 1..5), 0..12).prop_map(Move::Compact),
        1 => Just(Move::Reopen),
    ]
}

const RUNS: usize = 6;

fn run(index: Index) -> RunId {
    let nth = u16::try_from(index.index(RUNS)).unwrap();
    RunId { event: EventId([1; 12]), workflow: 1, nth }
}

/// One gate in three is open, one has slots, one a pace too.
fn gate(number: u8) -> Gate {
    let slot = |key: u8, limit| Slot { of: LimitId([key; 16]), limit };
    let pace = Pace { of: LimitId([9; 16]), every_us: 10_000, burst: 2 };
    match number % 3 {
        0 => Gate::default(),
        1 => Gate { slots: vec![slot(1, 2), slot(number % 2, 1)], pace: None },
        _ => Gate { slots: vec![slot(1, 2)], pace: Some(pace) },
    }
}

fn inbox(matched: u64) -> InboxKey {
    InboxKey { signature: 16, matched }
}

/// A run's version as the model's rows have it.
fn version(rows: &[Row], run: RunId) -> u64 {
    let of = |row: &Row| match row.key.table() {
        Some(Table::Head) if row.key == Key::head(run) => Head::read(&row.value).unwrap().records,
        Some(Table::Journal) if Key::journal_of(run).contains(&row.key) => {
            u64::from(row.key.as_journal().unwrap().1) + u64::from(Turn::read(&row.value).unwrap().count)
        }
        _ => 0,
    };
    rows.iter().map(of).max().unwrap_or(0)
}

/// The commit that these acts stand for, where the model has these rows.
fn commit(acts: Vec<Act>, rows: &[Row]) -> Commit {
    let mut commit = Commit::default();
    for act in acts {
        match act {
            Act::Guard { run: index, ahead } => {
                let fence = Fence { version: version(rows, run(index)) + ahead, epoch: 0 };
                commit.guards.push(Guard::Run { run: run(index), fence });
            }
            Act::NoneSince { inbox: matched, after } => {
                commit.guards.push(Guard::NoneSince { inbox: inbox(matched), after: Position(after) });
            }
            Act::Event { size, inbox: matched } => {
                let inbox = matched.into_iter().map(inbox).collect();
                commit.events.push(NewEvent { id: EventId([2; 12]), row: vec![1; size], inbox });
            }
            Act::Birth { run: index, ready, claimed } => {
                let ready = ready.map(|(workflow, priority)| Ready { workflow, priority });
                let born_of = BornOf::Before(Position(3));
                let head = b"born".to_vec();
                commit.runs.push(NewRun {
                    run: run(index),
                    born_of,
                    head,
                    version: 2,
                    ready,
                    gate: Gate::default(),
                    behind: None,
                    claimed,
                });
            }
            Act::Append { run: index, ahead, count } => {
                let first = version(rows, run(index)) + ahead;
                let records = vec![7; count as usize];
                commit.writes.push(Write::Append { run: run(index), first, count, records });
            }
            Act::Head { run: index, ahead } => {
                let head = Head { position: Position(4), records: version(rows, run(index)) + ahead, json: b"later" };
                commit.writes.push(Write::Put(Row { key: Key::head(run(index)), value: head.write() }));
            }
            Act::Queue { run: index, workflow, priority, order } => {
                let ready = Ready { workflow, priority };
                let gate = gate(priority);
                commit.writes.push(Write::Queue { run: run(index), ready, order: Position(order), gate });
            }
            Act::Put { key, value } => {
                commit.writes.push(Write::Put(Row { key: Key::cron(key), value: vec![1, value] }));
            }
            Act::Delete(index) => {
                // A run's journal goes with its head: see `Write::Delete`.
                let may_go = |row: &&Row| !matches!(row.key.table(), Some(Table::Journal | Table::Meta));
                let keys: Vec<_> = rows.iter().filter(may_go).map(|row| &row.key).collect();
                if keys.is_empty() {
                    continue;
                }
                let key = keys[index.index(keys.len())].clone();
                if let Some(run) = key.as_head() {
                    commit.guards.push(Guard::Run { run, fence: Fence { version: version(rows, run), epoch: 0 } });
                    commit.writes.retain(|write| !matches!(write, Write::Append { run: by, .. } if *by == run));
                    let journal = rows.iter().filter(|row| Key::journal_of(run).contains(&row.key));
                    commit.writes.extend(journal.map(|row| Write::Delete(row.key.clone())));
                }
                commit.writes.push(Write::Delete(key));
            }
        }
    }
    commit
}

/// Gives the same commits to both stores, all under way at once in the one on disk, and compares what becomes of them.
/// Each is made from the rows that the model has by then: a head that goes takes its whole journal along.
fn commit_to_both(model: &dyn Store, subject: &dyn Store, commits: Vec<Vec<Act>>) {
    let both = commits.into_iter().map(|acts| {
        let commit = commit(acts, &rows(model));
        (format!("{commit:.200?}"), subject.commit(commit.clone()), block_on(model.commit(commit)))
    });
    let both: Vec<_> = both.collect();
    for (shown, pending, expected) in both {
        assert_eq!(format!("{:?}", block_on(pending)), format!("{expected:?}"), "{shown}");
    }
}

fn count_in_both(model: &dyn Store, subject: &dyn Store, limits: Vec<u8>) {
    let count = |store: &dyn Store, limit: u8| {
        let rule = move |rows: &Rows| {
            let count = rows[&Key::cron(0)].as_ref().map_or(0, |row| row.value[1]);
            let writes = vec![Write::Put(Row { key: Key::cron(0), value: vec![1, count.saturating_add(1)] })];
            let commit = if count < limit { Commit { writes, ..Commit::default() } } else { Commit::default() };
            (commit, Answer::from(count))
        };
        store.decide(vec![Key::cron(0)], Box::new(rule))
    };
    let pending: Vec<_> = limits.iter().map(|limit| count(subject, *limit)).collect();
    for (limit, pending) in limits.into_iter().zip(pending) {
        assert_eq!(block_on(pending).unwrap(), block_on(count(model, limit)).unwrap());
    }
}

fn follows_the_model(moves: Vec<Move>, disk: &OnDisk) {
    let mut model = Model.fresh();
    let mut subject = disk.fresh();
    let mut held: Vec<(RunId, Fence)> = Vec::new();
    let mut now = Time(0);
    for next in moves {
        match next {
            Move::Commits(commits) => {
                commit_to_both(&*model, &*subject, commits);
            }
            Move::Compact(commits) => {
                let copied = subject.copy(CopyTo::Place);
                commit_to_both(&*model, &*subject, commits);
                block_on(copied).unwrap();
            }
            Move::Decides(limits) => count_in_both(&*model, &*subject, limits),
            Move::Claim(most) => {
                now.0 += 7;
                let claim = |store: &dyn Store| {
                    let mut claims = block_on(store.claim(1, most, now, Duration::from_secs(9))).unwrap();
                    // Which rows it reads on the way is its own affair, but they are its rows.
                    for row in claims.runs.iter_mut().flat_map(|claim| claim.rows.drain(..)) {
                        assert_eq!(block_on(store.get(std::slice::from_ref(&row.key))).unwrap(), [Some(row)]);
                    }
                    claims
                };
                let claimed = claim(&*subject);
                assert_eq!(claimed, claim(&*model));
                held.extend(claimed.runs.into_iter().map(|claim| (claim.run, claim.fence)));
            }
            Move::Release(indexes) => {
                for index in indexes {
                    if !held.is_empty() {
                        let back = held.swap_remove(index.index(held.len()));
                        model.release(&[back]);
                        subject.release(&[back]);
                    }
                }
            }
            Move::Reopen => {
                (model, subject) = (Model.reopen(model), disk.reopen(subject));
                held.clear();
            }
        }
    }
    // The stores note down the format and the log's end in their own ways.
    let noted = |row: &Row| row.key.table() == Some(Table::Meta);
    let [subject, model] = [subject, model].map(|store| rows(&*store).into_iter().filter(|row| !noted(row)));
    assert!(subject.eq(model), "the rows differ");
}

/// Writes and deletes rows until the disk holds much that is dead.
fn churn(store: &dyn Store, rows: u32) {
    for round in 0..12u8 {
        for from in (0..rows).step_by(100) {
            let put = |key| Write::Put(Row { key: Key::cron(key), value: vec![round; 2_000] });
            let writes =
                (from..from + 100).map(|key| if key % 10 == 0 { put(key) } else { Write::Delete(Key::cron(key)) });
            let all = (from..from + 100).map(put).collect();
            block_on(store.commit(Commit { writes: all, ..Commit::default() })).unwrap();
            block_on(store.commit(Commit { writes: writes.collect(), ..Commit::default() })).unwrap();
        }
    }
}

#[test]
fn compaction_leaves_little_on_the_disk() {
    let disk = OnDisk::new();
    let store = disk.fresh();
    churn(&*store, 5_000);
    let before = (rows(&*store), store.disk_bytes().unwrap());
    let copied = block_on(store.copy(CopyTo::Place)).unwrap();
    assert!(before.0 == rows(&*store), "the rows are the same");
    assert_eq!(copied.rows as usize, before.0.len());
    let after = store.disk_bytes().unwrap();
    assert!(after < before.1 / 3, "{} bytes became {after}", before.1);
    // Two files of the log, and one of sled of at least one segment, are there whatever the rows.
    assert!(after < 2 * copied.bytes + (10 << 20), "{after} bytes for {}", copied.bytes);
    let names: Vec<_> =
        std::fs::read_dir(disk.dir.path().join("1")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        names.iter().any(|name| name == "store-0002") && !names.iter().any(|name| name == "store-0001"),
        "{names:?}"
    );
    let store = disk.reopen(store);
    assert!(before.0 == rows(&*store));
}

#[test]
fn a_backup_is_a_store() {
    let disk = OnDisk::new();
    let store = disk.fresh();
    churn(&*store, 500);
    let to = disk.dir.path().join("backups/monday");
    let copied = block_on(store.copy(CopyTo::Folder(to.clone()))).unwrap();
    assert_eq!(copied.rows as usize, rows(&*store).len());
    churn(&*store, 100);
    let again = block_on(store.copy(CopyTo::Folder(to.clone()))).unwrap_err();
    assert!(again.to_string().ends_with("is not empty"), "{again}");
    let backup = SledStore::open(&to, SledOptions::default()).unwrap();
    assert_eq!(rows(&backup).len(), copied.rows as usize);
    block_on(backup.commit(Commit { writes: vec![Write::Delete(Key::cron(0))], ..Commit::default() })).unwrap();
    assert_eq!(rows(&*store).len(), copied.rows as usize, "they have nothing to do with each other");
    let busy = block_on(store.copy(CopyTo::Folder(to))).unwrap_err();
    assert!(busy.to_string().contains("in use"), "{busy}");
}

#[test]
fn what_an_interrupted_copy_left_is_removed_at_the_next_start() {
    let disk = OnDisk::new();
    let store = disk.fresh();
    churn(&*store, 100);
    let before = rows(&*store);
    for left in ["store-0002", "store-0017", "unfinished"] {
        std::fs::create_dir(disk.dir.path().join("1").join(left)).unwrap();
        std::fs::write(disk.dir.path().join("1").join(left).join("db"), "half").unwrap();
    }
    let store = disk.reopen(store);
    assert!(before == rows(&*store));
    let folders =
        std::fs::read_dir(disk.dir.path().join("1")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), 1);
}

#[test]
fn a_store_that_is_closed_ends_its_copy() {
    let disk = OnDisk::new();
    let store = disk.fresh();
    churn(&*store, 3_000);
    let copied = store.copy(CopyTo::Folder(disk.dir.path().join("late")));
    drop(store);
    let copied = block_on(copied);
    assert!(copied.is_err_and(|error| error.to_string() == "the store was closed"));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: campaign::rounds("store-model") as u32,
        rng_seed: RngSeed::Fixed(48),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn sled_follows_the_model(moves in vec(moves(), 1..25)) {
        follows_the_model(moves, &OnDisk::new());
    }
}
