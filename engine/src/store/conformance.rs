//! What every [`Store`] must do, as checks that panic. For the tests of implementations.
//!
//! ```
//! # use std::sync::Arc;
//! use wf_engine::store::{MemoryStore, Store, conformance};
//!
//! struct Model;
//!
//! impl conformance::Subject for Model {
//!     fn fresh(&self) -> Arc<dyn Store> {
//!         Arc::new(MemoryStore::new())
//!     }
//!     # fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> { store }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let (name, case) = conformance::CASES[0];
//! println!("{name}");
//! case(&Model).await;
//! # });
//! ```

mod gates;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use wf_dsl::Time;

use super::{
    Answer, BornOf, CHUNK_BYTES, COMMIT_BYTES_MAX, COMMIT_ROWS_MAX, Claims, Commit, CommitError, Fence, Gate, Guard,
    Head, InboxKey, Key, NewEvent, NewRun, ROW_BYTES_MAX, ROW_VERSION, Ready, Row, Store, Table, Turn, Write, events,
    join, split,
};
use crate::ids::{EventId, FrameId, Position, RunId};
use crate::kind::BoxFuture;

/// An implementation under test.
pub trait Subject: Sync {
    /// An empty store.
    fn fresh(&self) -> Arc<dyn Store>;

    /// The same store after its process ended and began anew. It gets the last reference.
    fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store>;
}

/// A check; it panics if the store does not do what it should.
pub type Case = for<'a> fn(&'a dyn Subject) -> BoxFuture<'a, ()>;

/// All checks with their names.
pub const CASES: &[(&str, Case)] = &[
    ("a commit is whole or not there", |subject| Box::pin(whole_or_not(subject))),
    ("guards look at the run", |subject| Box::pin(run_guards(subject))),
    ("guards look at the inbox", |subject| Box::pin(inbox_guards(subject))),
    ("a run is born once", |subject| Box::pin(born_once(subject))),
    ("heads and journals count records", |subject| Box::pin(versions(subject))),
    ("limits are exact", |subject| Box::pin(limits(subject))),
    ("positions are in commit order", |subject| Box::pin(positions(subject))),
    ("a row holds the position of an event", |subject| Box::pin(noted(subject))),
    ("positions never come again", |subject| Box::pin(positions_stay_used(subject))),
    ("events of any size come back", |subject| Box::pin(event_sizes(subject))),
    ("values of any size come back", |subject| Box::pin(value_sizes(subject))),
    ("scans go both ways", |subject| Box::pin(scans(subject))),
    ("rules see what was written before", |subject| Box::pin(rules(subject))),
    ("claims follow workflow, priority and order", |subject| Box::pin(queue_order(subject))),
    ("a claimed run is given out once", |subject| Box::pin(claims(subject))),
    ("a long queue is claimed to its end", |subject| Box::pin(long_queue(subject))),
    ("slots are taken and given back", |subject| Box::pin(gates::slots_are_taken(subject))),
    ("two slots are taken together or not at all", |subject| Box::pin(gates::two_slots(subject))),
    ("a slot that workflows count differently is given to whom it fits", |subject| {
        Box::pin(gates::unlike_slots(subject))
    }),
    ("who gives up its turn gives it to another workflow, too", |subject| Box::pin(gates::given_up(subject))),
    ("a pace spaces claims, also after reopening", |subject| Box::pin(gates::paces(subject))),
    ("no lane starves another", |subject| Box::pin(gates::fairness(subject))),
    ("a paused workflow begins nothing", |subject| Box::pin(gates::pauses(subject))),
    ("the backlog is what waits for its beginning", |subject| Box::pin(gates::backlog(subject))),
    ("a cancelled run holds up nobody", |subject| Box::pin(gates::cancelled_in_line(subject))),
    ("many lanes are claimed to their end", |subject| Box::pin(gates::many_lanes(subject))),
    ("a number is only raised", |subject| Box::pin(gates::raised(subject))),
    ("changes are announced", |subject| Box::pin(changes(subject))),
    ("nobody need wait for a commit", |subject| Box::pin(unwatched_commits(subject))),
    ("a reopened store is the same", |subject| Box::pin(reopened(subject))),
];

/// An event id that is different at every call.
fn event_id() -> EventId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = [0; 12];
    id[4..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    EventId(id)
}

fn run_id() -> RunId {
    RunId { event: event_id(), workflow: 1, nth: 0 }
}

fn event(row: impl Into<Vec<u8>>, inbox: &[InboxKey]) -> NewEvent {
    NewEvent { id: event_id(), row: row.into(), inbox: inbox.to_vec() }
}

fn born(run: RunId, ready: Option<Ready>) -> NewRun {
    let born_of = BornOf::Before(Position(0));
    NewRun {
        run,
        born_of,
        head: b"{}".to_vec(),
        version: 1,
        ready,
        gate: Gate::default(),
        behind: None,
        claimed: false,
    }
}

fn put(key: Key, value: &[u8]) -> Write {
    Write::Put(Row { key, value: value.to_vec() })
}

fn append(run: RunId, first: u64, count: u32) -> Write {
    Write::Append { run, first, count, records: format!("[{first}]").into_bytes() }
}

fn head(run: RunId, position: u64, records: u64) -> Write {
    put(Key::head(run), &Head { position: Position(position), records, json: b"{}" }.write())
}

fn writes(writes: impl Into<Vec<Write>>) -> Commit {
    Commit { writes: writes.into(), ..Commit::default() }
}

fn guarded(run: RunId, version: u64, epoch: u64) -> Commit {
    let guards = vec![Guard::Run { run, fence: Fence { version, epoch } }];
    Commit { guards, writes: vec![put(Key::meta("written"), b"\x01")], ..Commit::default() }
}

/// The commit must be accepted.
async fn accept(store: &dyn Store, commit: Commit) -> super::Receipt {
    store.commit(commit).await.expect("a good commit")
}

async fn value(store: &dyn Store, key: Key) -> Option<Vec<u8>> {
    let mut rows = store.get(&[key]).await.expect("a readable store");
    rows.pop().expect("one answer for one key").map(|row| row.value)
}

async fn all_rows(store: &dyn Store) -> Vec<Row> {
    let everything = Key::from_bytes([0])..Key::from_bytes([0xff]);
    store.scan(everything, false, usize::MAX).await.expect("a readable store")
}

async fn claim(store: &dyn Store, most: usize) -> Vec<RunId> {
    claims_at(store, most, Time(0)).await.runs.into_iter().map(|claim| claim.run).collect()
}

async fn claims_at(store: &dyn Store, most: usize, now: Time) -> Claims {
    store.claim(1, most, now, Duration::from_secs(60)).await.expect("a readable store")
}

fn give_back(store: &dyn Store, runs: &[RunId]) {
    let held: Vec<_> = runs.iter().map(|run| (*run, Fence::default())).collect();
    store.release(&held);
}

async fn whole_or_not(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let run = run_id();
    let inbox = InboxKey { signature: 16, matched: 1 };
    let mut commit = Commit {
        guards: vec![],
        events: vec![event("\x01{}", &[inbox])],
        runs: vec![NewRun { born_of: BornOf::Here(0), ..born(run, Some(Ready { workflow: 1, priority: 5 })) }],
        writes: vec![append(run, 1, 2), put(Key::meta("a"), b"\x01a"), Write::Delete(Key::meta("b"))],
    };
    accept(store, writes([put(Key::meta("b"), b"\x01b")])).await;
    let before = all_rows(store).await;

    let mut refused = commit.clone();
    refused.guards.push(Guard::Run { run: run_id(), fence: Fence::default() });
    assert!(matches!(store.commit(refused).await, Err(CommitError::Fenced(_))));
    let mut refused = commit.clone();
    refused.writes.push(append(run, 7, 1));
    assert!(matches!(store.commit(refused).await, Err(CommitError::Fenced(_))));
    assert_eq!(all_rows(store).await, before, "a refused commit leaves nothing");

    commit.writes.push(put(Key::meta("a"), b"\x01later"));
    let receipt = accept(store, commit).await;
    assert_eq!((receipt.at, receipt.events.as_slice()), (Position(1), [Position(1)].as_slice()));
    assert_eq!(value(store, Key::event(Position(1), 0)).await.as_deref(), Some(&b"\x01{}"[..]));
    assert_eq!(value(store, Key::inbox(inbox, Position(1))).await, Some(vec![]));
    let queued = Key::queue(Ready { workflow: 1, priority: 5 }, Position(1), run);
    assert_eq!(value(store, queued).await, Some(vec![]));
    assert_eq!(value(store, Key::meta("a")).await.as_deref(), Some(&b"\x01later"[..]), "the later write counts");
    assert_eq!(value(store, Key::meta("b")).await, None);
    let journal = value(store, Key::journal(run, 1)).await.expect("a journal row");
    assert_eq!(Turn::read(&journal), Some(Turn { count: 2, records: b"[1]" }));
    accept(store, Commit::default()).await;
}

async fn run_guards(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let run = run_id();
    let fenced = async |commit| matches!(store.commit(commit).await, Err(CommitError::Fenced(by)) if by == run);
    assert!(fenced(guarded(run, 0, 0)).await, "a run that is not there has no version");
    accept(store, Commit { runs: vec![born(run, None)], ..Commit::default() }).await;
    assert!(fenced(guarded(run, 0, 0)).await);
    assert!(fenced(guarded(run, 2, 0)).await);
    assert!(fenced(guarded(run, 1, 1)).await, "another owner");
    assert_eq!(value(store, Key::meta("written")).await, None);
    accept(store, guarded(run, 1, 0)).await;

    // Both were decided on version 1: one of them is too late, however close they are.
    let mut next = guarded(run, 1, 0);
    next.writes.push(append(run, 1, 3));
    let (one, other) = (store.commit(next.clone()), store.commit(next));
    assert!(one.await.is_ok());
    assert!(matches!(other.await, Err(CommitError::Fenced(by)) if by == run));
    accept(store, guarded(run, 4, 0)).await;
}

async fn inbox_guards(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let inbox = InboxKey { signature: 16, matched: 7 };
    let other = InboxKey { signature: 16, matched: 8 };
    let none_since =
        |inbox, after| Commit { guards: vec![Guard::NoneSince { inbox, after: Position(after) }], ..Commit::default() };
    accept(store, none_since(inbox, 0)).await;
    accept(store, Commit { events: vec![event("1", &[other]), event("2", &[inbox])], ..Commit::default() }).await;
    for after in [0, 1] {
        let refused = store.commit(none_since(inbox, after)).await;
        assert!(matches!(refused, Err(CommitError::Stale(by)) if by == inbox), "an event came after {after}");
    }
    accept(store, none_since(inbox, 2)).await;
    accept(store, none_since(inbox, u64::MAX)).await;
    accept(store, none_since(other, 1)).await;

    // The event is accepted before the run can park, though neither is durable yet.
    let arrival = store.commit(Commit { events: vec![event("3", &[inbox])], ..Commit::default() });
    let parking = store.commit(none_since(inbox, 2));
    arrival.await.expect("a good commit");
    assert!(matches!(parking.await, Err(CommitError::Stale(_))));

    // Inbox rows that are gone are no events.
    let gone = writes([Write::Delete(Key::inbox(inbox, Position(3))), Write::Delete(Key::inbox(inbox, Position(2)))]);
    let (gone, parking) = (store.commit(gone), store.commit(none_since(inbox, 0)));
    gone.await.expect("a good commit");
    parking.await.expect("no event is left");
}

async fn born_once(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let run = run_id();
    let birth = Commit { runs: vec![born(run, None)], ..Commit::default() };
    let exists = |outcome| matches!(outcome, Err(CommitError::Exists(by)) if by == run);
    let twice = Commit { runs: vec![born(run, None), born(run, None)], ..Commit::default() };
    assert!(exists(store.commit(twice).await));
    let (first, second) = (store.commit(birth.clone()), store.commit(birth.clone()));
    first.await.expect("a birth");
    assert!(exists(second.await));
    assert!(exists(store.commit(birth.clone()).await));

    // A run that was pruned is unknown again.
    accept(store, writes([Write::Delete(Key::head(run))])).await;
    assert!(matches!(store.commit(guarded(run, 1, 0)).await, Err(CommitError::Fenced(_))));
    accept(store, birth).await;
}

async fn versions(subject: &dyn Subject) {
    let store = subject.fresh();
    let run = run_id();
    let mut birth = born(run, None);
    birth.version = 3;
    birth.born_of = BornOf::Here(1);
    let arrivals = vec![event("1", &[]), event("2", &[])];
    accept(&*store, Commit { events: arrivals, runs: vec![birth], ..Commit::default() }).await;
    let row = value(&*store, Key::head(run)).await.expect("a head");
    let first = Head { position: Position(2), records: 3, json: b"{}" };
    assert_eq!(Head::read(&row), Some(first), "born of the second event");

    let later = run_id();
    let mut birth = born(later, None);
    birth.born_of = BornOf::Before(Position(1));
    accept(&*store, Commit { runs: vec![birth.clone()], ..Commit::default() }).await;
    let row = value(&*store, Key::head(later)).await.expect("a head");
    assert_eq!(Head::read(&row).map(|head| head.position), Some(Position(1)), "born of an earlier event");
    birth.run = run_id();
    birth.born_of = BornOf::Here(0);
    let unborn = store.commit(Commit { runs: vec![birth], ..Commit::default() }).await;
    assert!(matches!(unborn, Err(CommitError::NotCommitted(_))), "there is no such event");

    let fenced = async |write: Write| matches!(store.commit(writes([write])).await, Err(CommitError::Fenced(_)));
    assert!(fenced(append(run, 2, 1)).await && fenced(append(run, 4, 1)).await);
    assert!(fenced(append(run_id(), 0, 1)).await, "no such run");
    let nothing = store.commit(writes([append(run, 3, 0)])).await;
    assert!(matches!(nothing, Err(CommitError::NotCommitted(_))), "its row would be taken for the next one's");
    assert!(fenced(head(run, 2, 2)).await && fenced(head(run, 2, 4)).await);
    assert!(fenced(head(run_id(), 2, 0)).await, "heads are written by births");
    accept(&*store, writes([append(run, 3, 2), append(run, 5, 1), head(run, 2, 6)])).await;
    accept(&*store, guarded(run, 6, 0)).await;
    accept(&*store, writes([append(run, 6, 4)])).await;
    assert!(matches!(
        store.commit(writes([put(Key::head(run), b"\x01short")])).await,
        Err(CommitError::NotCommitted(_))
    ));

    // A version can be read back from the rows, by the last journal row or by the head alone.
    let store = subject.reopen(store);
    accept(&*store, guarded(run, 10, 0)).await;
    accept(&*store, guarded(later, 1, 0)).await;
    accept(&*store, writes([head(run, 2, 10)])).await;
    let journal = store.scan(Key::journal_of(run), false, 10).await.expect("a readable store");
    assert_eq!(journal.len(), 3, "one row per append");
    accept(&*store, writes(journal.into_iter().map(|row| Write::Delete(row.key)).collect::<Vec<_>>())).await;
    let store = subject.reopen(store);
    accept(&*store, guarded(run, 10, 0)).await;
}

async fn limits(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let run = run_id();
    let too_large = async |commit: Commit| matches!(store.commit(commit).await, Err(CommitError::TooLarge));
    let rows = |table: fn(u32) -> Key, count: usize, size: usize| {
        writes((0..).map(table).take(count).map(|key| put(key, &vec![7; size])).collect::<Vec<_>>())
    };
    let frames: fn(u32) -> Key = |n| Key::frame(RunId::from_bytes([9; 16]), FrameId(n));
    accept(store, rows(frames, COMMIT_ROWS_MAX, 1)).await;
    assert!(too_large(rows(frames, COMMIT_ROWS_MAX + 1, 1)).await);
    let dedupe: fn(u32) -> Key = |n| Key::dedupe(1, &u128::from(n).to_be_bytes());
    accept(store, rows(dedupe, COMMIT_ROWS_MAX + 1, 1)).await;

    accept(store, rows(frames, 1, ROW_BYTES_MAX)).await;
    assert!(too_large(rows(frames, 1, ROW_BYTES_MAX + 1)).await);
    let mut birth = born(run, None);
    birth.head = vec![b' '; ROW_BYTES_MAX + 1];
    assert!(too_large(Commit { runs: vec![birth], ..Commit::default() }).await);

    let every = COMMIT_BYTES_MAX / 200 - 32;
    accept(store, rows(frames, 200, every)).await;
    let mut over = rows(frames, 200, every);
    over.writes.push(Write::Delete(Key::meta("x")));
    assert!(too_large(over).await);
    let many = vec![event(vec![1; CHUNK_BYTES], &[]); 200];
    accept(store, Commit { events: many.clone(), ..Commit::default() }).await;
    let too_many = vec![event(vec![1; CHUNK_BYTES], &[]); 256];
    assert!(too_large(Commit { events: too_many, ..Commit::default() }).await);
    assert!(all_rows(store).await.iter().all(|row| row.value.len() <= ROW_BYTES_MAX));
}

async fn positions(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let commit = |n: usize| Commit { events: vec![event("\x01{}", &[]); n], ..Commit::default() };
    let under_way: Vec<_> = (0..40).map(|n| store.commit(commit(n % 3))).collect();
    let mut end = 0;
    for (n, pending) in under_way.into_iter().enumerate() {
        let receipt = pending.await.expect("a good commit");
        let expected: Vec<_> = (end + 1..).take(n % 3).map(Position).collect();
        assert_eq!(receipt.events, expected, "commit {n}: in the order of the calls, without gaps");
        end += expected.len() as u64;
        assert_eq!(receipt.at, Position(end));
    }
    let refused = Commit { guards: guarded(run_id(), 0, 0).guards, ..commit(2) };
    assert!(store.commit(refused).await.is_err());
    let receipt = accept(store, commit(1)).await;
    assert_eq!(receipt.at, Position(end + 1), "a refused commit uses up no position");
}

async fn noted(subject: &dyn Subject) {
    let store = &*subject.fresh();
    accept(store, Commit { events: vec![event("a", &[])], ..Commit::default() }).await;
    let first = run_id();
    let note = |n, event| Write::Note { key: Key::gathered(first, n), event };
    let events = vec![event("b", &[]), event("c", &[])];
    let early = Commit { events: events.clone(), ..writes([note(0, 2)]) };
    assert!(matches!(store.commit(early).await, Err(CommitError::NotCommitted(_))), "it has two events");
    let commit = Commit { events: events.clone(), ..writes([note(0, 0), note(1, 1), note(2, 1)]) };
    accept(store, commit).await;
    accept(store, Commit { events, ..writes([note(2, 0)]) }).await;
    let rows = store.scan(Key::gathered_of(first), false, 10).await.expect("a readable store");
    let noted: Vec<_> = rows.iter().map(|row| (row.key.as_gathered(), super::read_number(&row.value))).collect();
    assert_eq!(noted, [(0, 2), (1, 3), (2, 4)].map(|(n, at)| (Some((first, n)), Some(at))));
    // A batch of any length is taken away with what else its run writes.
    let most = u32::try_from(2 * COMMIT_ROWS_MAX).expect("it is small");
    accept(store, writes((0..most).map(|n| Write::Delete(Key::gathered(first, n))).collect::<Vec<_>>())).await;
    assert_eq!(store.scan(Key::gathered_of(first), false, 10).await.expect("a readable store"), []);
}

async fn positions_stay_used(subject: &dyn Subject) {
    let mut store = subject.fresh();
    let one = || Commit { events: vec![event("\x01{}", &[])], ..Commit::default() };
    accept(&*store, Commit { events: vec![event("\x01{}", &[]); 5], ..Commit::default() }).await;
    let forget = |from: u64, to: u64| {
        writes((from..=to).map(|at| Write::Delete(Key::event(Position(at), 0))).collect::<Vec<_>>())
    };
    accept(&*store, forget(2, 5)).await;
    store = subject.reopen(store);
    assert_eq!(accept(&*store, one()).await.at, Position(6));
    store = subject.reopen(store);
    assert_eq!(accept(&*store, one()).await.at, Position(7));
    let mut last = forget(1, 7);
    last.events.push(event("\x01{}", &[]));
    last.writes.push(Write::Delete(Key::event(Position(8), 0)));
    accept(&*store, last).await;
    store = subject.reopen(store);
    assert_eq!(accept(&*store, one()).await.at, Position(9));
}

/// Sizes around every limit that a value may meet.
const SIZES: [usize; 11] = [
    0,
    1,
    CHUNK_BYTES - 1,
    CHUNK_BYTES,
    CHUNK_BYTES + 1,
    2 * CHUNK_BYTES - 1,
    63 << 10,
    64 << 10,
    65 << 10,
    1 << 20,
    3 << 20,
];

fn noise(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

async fn event_sizes(subject: &dyn Subject) {
    let mut store = subject.fresh();
    for size in SIZES {
        accept(&*store, Commit { events: vec![event(noise(size), &[])], ..Commit::default() }).await;
    }
    store = subject.reopen(store);
    let rows = store.scan(Key::all(Table::Event), false, usize::MAX).await.expect("a readable store");
    assert!(rows.iter().all(|row| row.value.len() <= CHUNK_BYTES));
    let read = events(&rows).expect("whole events");
    let expected: Vec<_> = (1..).map(Position).zip(SIZES.map(noise)).collect();
    assert!(read == expected, "all events, in order");

    let (last, rows) = rows.split_last().expect("rows");
    assert_eq!(events(rows).expect("whole events").len(), SIZES.len() - 1, "the last one is cut off");
    assert!(events(std::slice::from_ref(last)).is_err(), "a piece without its beginning");
}

async fn value_sizes(subject: &dyn Subject) {
    let mut store = subject.fresh();
    let run = run_id();
    let mut n = 0;
    for size in SIZES {
        let value = noise(size);
        let pieces: Vec<_> = (n..).zip(split(&value)).map(|(n, piece)| put(Key::chunk(run, n), piece)).collect();
        n += 1_000;
        accept(&*store, writes(pieces)).await;
    }
    store = subject.reopen(store);
    for (n, size) in (0..).step_by(1_000).zip(SIZES) {
        let range = Key::chunk(run, n)..Key::chunk(run, n + 1_000);
        let rows = store.scan(range, false, usize::MAX).await.expect("a readable store");
        let value = join(rows.iter().map(|row| row.value.as_slice()));
        assert!(value == Some(noise(size)), "a value of {size} bytes");
    }
}

async fn scans(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let key = |n| Key::cron(n);
    accept(store, writes((0..10).map(|n| put(key(n), &[ROW_VERSION, n as u8])).collect::<Vec<_>>())).await;
    accept(store, writes([put(Key::meta("m"), b"\x01"), put(Key::cancel(run_id()), b"\x01")])).await;
    let scan = async |range, newest_first, most| {
        let rows = store.scan(range, newest_first, most).await.expect("a readable store");
        rows.iter().map(|row| row.value[1]).collect::<Vec<u8>>()
    };
    let all = || Key::all(Table::Cron);
    assert_eq!(scan(all(), false, 100).await, (0..10).collect::<Vec<_>>());
    assert_eq!(scan(all(), true, 100).await, (0..10).rev().collect::<Vec<_>>());
    assert_eq!(scan(all(), false, 3).await, [0, 1, 2]);
    assert_eq!(scan(all(), true, 3).await, [9, 8, 7]);
    assert_eq!(scan(key(2)..key(5), false, 9).await, [2, 3, 4]);
    assert_eq!(scan(key(2)..key(5), true, 2).await, [4, 3]);
    assert_eq!(scan(key(2).next()..key(5).next(), false, 9).await, [3, 4, 5]);
    assert_eq!(scan(key(5)..key(5), false, 9).await, [0; 0]);
    assert_eq!(scan(key(5)..key(2), true, 9).await, [0; 0], "a range that ends before it starts is empty");
    assert_eq!(scan(all(), false, 0).await, [0; 0]);

    accept(store, writes([Write::Delete(key(4)), Write::Delete(key(77))])).await;
    assert_eq!(scan(key(3)..key(6), false, 9).await, [3, 5]);
    let keys = [key(8), key(4), key(0), key(8)];
    let rows = store.get(&keys).await.expect("a readable store");
    let found: Vec<_> = rows.iter().map(|row| row.as_ref().map(|row| row.value[1])).collect();
    assert_eq!(found, [Some(8), None, Some(0), Some(8)], "in the order of the keys");
    assert!(rows.iter().zip(&keys).all(|(row, key)| row.as_ref().is_none_or(|row| row.key == *key)));
}

async fn rules(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let counter = || Key::once(1, &[1; 16]);
    let increment = || {
        let rule = move |rows: &super::Rows| {
            let count = rows[&counter()].as_ref().map_or(0, |row| row.value[1]);
            (writes([put(counter(), &[ROW_VERSION, count + 1])]), Answer::from(count))
        };
        store.decide(vec![counter()], Box::new(rule))
    };
    let under_way: Vec<_> = (0..20).map(|_| increment()).collect();
    for (n, pending) in under_way.into_iter().enumerate() {
        let (_, answer) = pending.await.expect("a good rule");
        assert_eq!(answer, Answer::from(n), "each sees what those before it wrote");
    }
    let plain = store.commit(writes([put(counter(), &[ROW_VERSION, 99])]));
    let (_, answer) = increment().await.expect("a good rule");
    assert_eq!(answer, Answer::from(99), "plain commits too");
    plain.await.expect("a good commit");

    let before = store.commit(writes([put(Key::meta("before"), b"\x01")]));
    let panicking =
        store.decide(vec![counter()], Box::new(|rows| panic!("this rule panics on purpose: {}", rows.len())));
    let behind = increment();
    before.await.expect("a good commit");
    assert!(matches!(panicking.await, Err(CommitError::NotCommitted(_))));
    behind.await.expect("a panic in one rule is nothing to the others");
    assert_eq!(store.health(), super::Health::Ready);

    let fenced = |_: &super::Rows| (guarded(RunId::from_bytes([3; 16]), 1, 0), Answer::Null);
    assert!(matches!(store.decide(vec![], Box::new(fenced)).await, Err(CommitError::Fenced(_))));
    let nothing = |rows: &super::Rows| (Commit::default(), Answer::from(rows.len()));
    let (_, answer) = store.decide(vec![counter(), counter()], Box::new(nothing)).await.expect("a good rule");
    assert_eq!(answer, Answer::from(1));
}

/// A run in the queue.
async fn queued(store: &dyn Store, workflow: u16, priority: u8) -> RunId {
    let run = run_id();
    let ready = Ready { workflow, priority };
    let birth = NewRun { born_of: BornOf::Here(0), ..born(run, Some(ready)) };
    let commit = Commit { events: vec![event("\x01{}", &[])], runs: vec![birth], ..Commit::default() };
    accept(store, commit).await;
    run
}

async fn queue_order(subject: &dyn Subject) {
    let mut store = subject.fresh();
    let a = [queued(&*store, 1, 5).await, queued(&*store, 1, 5).await, queued(&*store, 1, 4).await];
    let b = [queued(&*store, 300, 9).await, queued(&*store, 300, 9).await];
    let c = [queued(&*store, 2, 0).await];
    for reopen in [false, true] {
        if reopen {
            store = subject.reopen(store);
        }
        let claimed = claim(&*store, 100).await;
        let of = |runs: &[RunId]| claimed.iter().copied().filter(|run| runs.contains(run)).collect::<Vec<_>>();
        assert_eq!(of(&a), [a[2], a[0], a[1]], "by priority, then by age");
        assert_eq!(of(&b), b);
        let mut first: Vec<_> = claimed[..3].to_vec();
        first.sort();
        let mut fair = [a[2], b[0], c[0]];
        fair.sort();
        assert_eq!(first, fair, "one of each workflow before the second of any");
        assert!(claim(&*store, 100).await.is_empty());
        give_back(&*store, &claimed);
    }
    // A queue of one workflow does not hide another that comes later, and a run can be put back at its old place.
    let late = queued(&*store, 7, 9).await;
    let mut claimed = Vec::new();
    while let [run] = claim(&*store, 1).await[..] {
        claimed.push(run);
    }
    assert_eq!(claimed.len(), 7);
    assert!(claimed[..4].contains(&late), "four workflows, so that it is among the first four");
    let back = Write::Queue {
        run: a[1],
        ready: Ready { workflow: 1, priority: 4 },
        order: Position(1),
        gate: Gate::default(),
    };
    accept(&*store, writes([back])).await;
    give_back(&*store, &claimed);
    let again = claim(&*store, 100).await;
    let again: Vec<_> = again.into_iter().filter(|run| a.contains(run)).collect();
    assert_eq!(again, [a[1], a[2], a[0]], "twice in the queue, claimed once");
}

async fn claims(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let ready = Ready { workflow: 1, priority: 5 };
    let run = run_id();
    let mut birth = born(run, Some(ready));
    birth.claimed = true;
    birth.version = 4;
    accept(store, Commit { runs: vec![birth], ..Commit::default() }).await;
    assert!(claim(store, 9).await.is_empty(), "claimed from birth");
    let held = [(run, Fence { version: 4, epoch: 0 })];
    let renew = async || store.renew(&held, Duration::from_secs(60)).await.expect("a readable store");
    assert_eq!(renew().await, []);
    store.release(&held);
    assert_eq!(renew().await, [run], "lost");
    let again = claims_at(store, 9, Time(0)).await.runs;
    assert_eq!(again.iter().map(|claim| (claim.run, claim.fence)).collect::<Vec<_>>(), held);

    // It parks while it is claimed: no longer in the queue, so that giving it back gives it to nobody.
    let place = Key::queue(ready, Position(0), run);
    accept(store, writes([append(run, 4, 1), Write::Delete(place)])).await;
    give_back(store, &[run]);
    assert!(claim(store, 9).await.is_empty());
    // It wakes while nobody holds it, and again while it is held.
    let wake = || writes([Write::Queue { run, ready, order: Position(0), gate: Gate::default() }]);
    accept(store, wake()).await;
    assert_eq!(claim(store, 9).await, [run]);
    accept(store, writes([Write::Delete(Key::queue(ready, Position(0), run))])).await;
    accept(store, wake()).await;
    assert!(claim(store, 9).await.is_empty(), "still held");
    give_back(store, &[run, run_id()]);
    assert_eq!(claim(store, 9).await, [run]);
    give_back(store, &[run]);
    accept(store, writes([Write::Delete(Key::queue(ready, Position(0), run))])).await;
    assert!(claim(store, 9).await.is_empty(), "ended before it was claimed");
    assert!(claim(store, 0).await.is_empty());
}

async fn long_queue(subject: &dyn Subject) {
    let mut store = subject.fresh();
    const RUNS: usize = 1_500;
    let mut runs = Vec::new();
    for _ in 0..RUNS / 100 {
        let births: Vec<_> = (0..100).map(|_| born(run_id(), Some(Ready { workflow: 3, priority: 5 }))).collect();
        runs.extend(births.iter().map(|birth| birth.run));
        accept(&*store, Commit { runs: births, ..Commit::default() }).await;
    }
    store = subject.reopen(store);
    let first = claim(&*store, 700).await;
    assert_eq!(first, runs[..700]);
    // One that goes before all others comes next though the queue is long, and those given back are not lost.
    let urgent = queued(&*store, 3, 0).await;
    give_back(&*store, &first[..600]);
    let next = claim(&*store, 601).await;
    assert_eq!(next[0], urgent);
    assert_eq!(next[1..], first[..600]);
    let mut rest = Vec::new();
    loop {
        let page = claim(&*store, 97).await;
        if page.is_empty() {
            break;
        }
        rest.extend(page);
    }
    assert_eq!(rest, runs[700..]);
}

async fn changes(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let queue = store.changed(&[Table::Queue]);
    let either = store.changed(&[Table::Timer, Table::Cancel]);
    let run = queued(store, 1, 1).await;
    queue.await;
    let mut either = either;
    assert!((&mut either).now_or_never().is_none(), "another table");
    accept(store, writes([put(Key::cancel(run), b"\x01")])).await;
    either.await;
    assert_eq!(claim(store, 1).await, [run]);
    let queue = store.changed(&[Table::Queue]);
    give_back(store, &[run]);
    queue.await;
}

async fn unwatched_commits(subject: &dyn Subject) {
    let mut store = subject.fresh();
    for n in 0..50 {
        drop(store.commit(writes([put(Key::cron(n), b"\x01")])));
    }
    accept(&*store, Commit::default()).await;
    for n in 50..100 {
        drop(store.commit(writes([put(Key::cron(n), b"\x01")])));
    }
    store = subject.reopen(store);
    assert_eq!(all_rows(&*store).await.iter().filter(|row| row.key.table() == Some(Table::Cron)).count(), 100);
}

async fn reopened(subject: &dyn Subject) {
    let mut store = subject.fresh();
    for round in 0..3 {
        for n in 0..50u32 {
            let run = run_id();
            let ready = (n % 2 == 0).then_some(Ready { workflow: 1, priority: round });
            let commit = Commit {
                events: vec![event(noise(n as usize * 100), &[InboxKey { signature: 16, matched: n.into() }])],
                runs: vec![born(run, ready)],
                writes: vec![append(run, 1, 1), put(Key::cron(n), &[ROW_VERSION, round])],
                ..Commit::default()
            };
            accept(&*store, commit).await;
        }
        let before = all_rows(&*store).await;
        store = subject.reopen(store);
        assert!(all_rows(&*store).await == before);
    }
    assert_eq!(claim(&*store, 1_000).await.len(), 75);
}
