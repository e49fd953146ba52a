//! A store in bad weather: answers that take their time and overtake each other, commits that fail, and crashes that
//! take back whatever was not synced.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use serde::Deserialize;
use tokio::sync::Notify;
use wf_engine::store::{
    Answer, Claims, Commit, CommitError, Decide, Fence, Health, Key, Receipt, Row, StoreError, Table, Write,
};
use wf_engine::{BoxFuture, Clock, MemoryStore, RunId, Store, Time};

use crate::bugs;
use crate::chance::Random;
use crate::pruned::{self, Pruned};

/// How long a process whose store takes no commits is left alone, at most, in milliseconds.
const PATIENCE_MS: usize = 3_000;
/// How often a store is asked for something while the clock stands still; an engine that asks more often turns in
/// circles, and would do so for good.
const ASKED_MAX: usize = 100_000;

/// What happens at one commit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process ends; the commit was not made.
    CrashBefore,
    /// The process ends; the commit was made, and nobody was told.
    CrashAfter,
    /// The commit is not made. From then on the store takes none.
    Refuse,
    /// Nobody knows whether the commit is made; it is if `made`. From then on the store takes none.
    Doubt { made: bool },
}

/// How long answers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// No time at all.
    AtOnce,
    /// A few rounds of the loop.
    Rounds,
    /// Milliseconds, some of them.
    Millis,
    /// Now and then a tenth of a second.
    Slow,
}

impl Pace {
    /// Whether answers take no time.
    pub(crate) fn is_prompt(self) -> bool {
        matches!(self, Pace::AtOnce | Pace::Rounds)
    }
}

/// The commits of all processes of a schedule, by number: they are counted through.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// How many commits were made.
    made: u64,
    /// Those up to here are synced.
    pub(crate) synced: u64,
    /// The commit of each row of records, by the number of its first record.
    pub(crate) rows: BTreeMap<(RunId, u64), Entry>,
    /// When commits were answered, and to which process.
    pub(crate) answered: BTreeMap<u64, (usize, Time)>,
    /// The process that is there.
    pub(crate) process: usize,
    /// The commit of each event, in the order of their positions.
    pub(crate) events: Vec<u64>,
    /// What became of starts, in order.
    pub(crate) starts: Vec<Start>,
    /// What retention took.
    pub(crate) pruned: Pruned,
    /// The latest time at which there was a commit.
    latest: Time,
}

/// A run that was born, or was to be.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) commit: u64,
    pub(crate) run: RunId,
    /// When it was accepted or dropped.
    pub(crate) at: Time,
    pub(crate) dropped: Option<Dropped>,
    /// No commit before it was later than this.
    pub(crate) latest: Time,
}

impl Start {
    /// The rule that dropped it.
    pub(crate) fn why(&self) -> Option<&str> {
        self.dropped.as_ref().map(|dropped| dropped.why.as_str())
    }
}

/// Why there is no run.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dropped {
    pub(crate) why: String,
    #[serde(default)]
    pub(crate) run: Option<RunId>,
}

/// A row of records that was committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) commit: u64,
    /// When the commit was asked for, and by which process.
    pub(crate) at: Time,
    pub(crate) process: usize,
}

impl Ledger {
    fn enter(&mut self, commit: &Commit, at: Time) -> u64 {
        self.made += 1;
        let entry = Entry { commit: self.made, at, process: self.process };
        self.latest = self.latest.max(at);
        self.enter_starts(commit, at);
        self.events.extend(commit.events.iter().map(|_| self.made));
        for born in &commit.runs {
            self.rows.insert((born.run, 0), entry);
        }
        for write in &commit.writes {
            if let Write::Append { run, first, .. } = write {
                self.rows.insert((*run, *first), entry);
            }
        }
        self.made
    }

    fn enter_starts(&mut self, commit: &Commit, at: Time) {
        let dropped = commit.writes.iter().filter_map(|write| match write {
            Write::Put(row) => {
                let (_, run) = row.key.as_dropped()?;
                Some((run, serde_json::from_slice(&row.value[1..]).expect("a drop is JSON")))
            }
            _ => None,
        });
        let dropped: BTreeMap<RunId, Dropped> = dropped.collect();
        // What stands for an invoked run that was dropped is no start of its own.
        let born = commit.runs.iter().map(|born| born.run).filter(|run| !dropped.contains_key(run));
        let mut starts: Vec<_> = born.map(|run| (run, None)).collect();
        starts.extend(dropped.into_iter().map(|(run, dropped)| (run, Some(dropped))));
        starts.sort_by_key(|(run, _)| commit.events.iter().position(|event| event.id == run.event));
        let (commit, latest) = (self.made, self.latest);
        self.starts.extend(starts.into_iter().map(|(run, dropped)| Start { commit, run, at, dropped, latest }));
    }

    /// What was made after this commit is gone.
    fn forget_after(&mut self, last: u64) {
        self.rows.retain(|_, entry| entry.commit <= last);
        self.answered.retain(|commit, _| *commit <= last);
        self.events.retain(|commit| *commit <= last);
        self.starts.retain(|start| start.commit <= last);
        self.pruned.forget_after(last);
        self.synced = last;
    }

    /// The commit that holds a record of a run.
    pub(crate) fn of_record(&self, run: RunId, number: u64) -> Option<Entry> {
        self.rows.range((run, 0)..=(run, number)).next_back().map(|(_, entry)| *entry)
    }
}

/// The store as one process sees it.
#[derive(Clone)]
pub(crate) struct SimStore {
    inner: MemoryStore,
    clock: Arc<dyn Clock>,
    ledger: Arc<Mutex<Ledger>>,
    state: Arc<Mutex<State>>,
    died: Arc<Notify>,
}

struct State {
    random: Random,
    pace: Pace,
    fault: Option<(usize, Fault)>,
    /// Commits and refusals so far.
    writes: usize,
    /// How often it was asked for something at an instant, which is the latest.
    asked: (Time, usize),
    dead: bool,
    broken: bool,
    broken_at: Option<Time>,
    /// The rows at the start of the process, and the commits since then: what a crash leaves is made of these.
    base: Vec<Row>,
    commits: Vec<(u64, Commit)>,
}

impl SimStore {
    pub(crate) fn new(
        rows: Vec<Row>,
        clock: Arc<dyn Clock>,
        ledger: Arc<Mutex<Ledger>>,
        pace: Pace,
        fault: Option<(usize, Fault)>,
        random: Random,
    ) -> Self {
        let inner = MemoryStore::from_rows(rows.clone()).expect("what was written can be read");
        let state = State {
            random,
            pace,
            fault,
            writes: 0,
            asked: (Time(0), 0),
            dead: false,
            broken: false,
            broken_at: None,
            base: rows,
            commits: Vec::new(),
        };
        SimStore { inner, clock, ledger, state: Arc::new(Mutex::new(state)), died: Arc::default() }
    }

    /// Resolves when the process is to end.
    pub(crate) async fn died(&self) {
        self.died.notified().await;
    }

    /// How many commits were asked for.
    pub(crate) fn writes(&self) -> usize {
        self.state().writes
    }

    /// The rows, looked at from outside and without delay.
    pub(crate) fn rows(&self) -> &MemoryStore {
        &self.inner
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn die(&self) {
        self.state().dead = true;
        self.died.notify_one();
    }

    /// From now on there are no commits, until somebody ends the process.
    fn break_down(&self) {
        let patience = {
            let mut state = self.state();
            state.broken = true;
            state.broken_at = Some(self.clock.now());
            Duration::from_millis(state.random.below(PATIENCE_MS) as u64)
        };
        let store = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(tokio::time::Instant::now() + patience).await;
            store.die();
        });
    }

    /// When the store stopped taking commits.
    pub(crate) fn broken_at(&self) -> Option<Time> {
        self.state().broken_at
    }

    /// What the next process finds: everything that was answered, and of what came after it as much as chance has
    /// written out.
    pub(crate) fn crash(&self) -> Vec<Row> {
        self.state().dead = true;
        let mut ledger = self.ledger.lock().unwrap();
        let mut state = self.state();
        let safe = state.commits.iter().filter(|(number, _)| *number <= ledger.synced).count();
        let open = state.commits.len() - safe;
        let kept = safe + state.random.below(open + 1);
        let last = state.commits[..kept].last().map_or(ledger.synced, |(number, _)| *number);
        ledger.forget_after(last);
        if kept == state.commits.len() {
            return self.inner.rows();
        }
        let rebuilt = MemoryStore::from_rows(state.base.clone()).expect("what was written can be read");
        for (_, commit) in &state.commits[..kept] {
            let made = rebuilt.commit(commit.clone()).now_or_never().expect("the model answers at once");
            made.expect("what was committed once can be committed again");
        }
        rebuilt.rows()
    }

    /// Makes a write, which gives its answer and the commit that it came to.
    fn write<T: Send + 'static>(
        &self,
        doomed: &[Key],
        make: impl FnOnce() -> (Result<T, CommitError>, Commit),
    ) -> BoxFuture<'static, Result<T, CommitError>> {
        let fault = {
            let mut state = self.state();
            if state.dead {
                return Box::pin(std::future::pending());
            }
            let number = state.writes;
            state.writes += 1;
            state.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault)
        };
        match fault {
            Some(Fault::CrashBefore) => {
                self.die();
                return Box::pin(std::future::pending());
            }
            Some(Fault::Refuse | Fault::Doubt { made: false }) => self.break_down(),
            _ => {}
        }
        let refused = StoreError::new("as the schedule says");
        if self.state().broken {
            let error = match fault {
                Some(Fault::Doubt { .. }) => CommitError::Unknown(refused),
                _ => CommitError::NotCommitted(refused),
            };
            return self.later(Err(error), None);
        }
        let gone = pruned::gone_with(&self.inner, doomed);
        let (answer, commit) = make();
        if answer.is_err() {
            return self.later(answer, None);
        }
        let now = self.clock.now();
        let number = {
            let mut ledger = self.ledger.lock().unwrap();
            let number = ledger.enter(&commit, now);
            ledger.pruned.enter(number, now, gone);
            number
        };
        self.state().commits.push((number, commit));
        match fault {
            Some(Fault::CrashAfter) => {
                self.die();
                Box::pin(std::future::pending())
            }
            Some(Fault::Doubt { .. }) => {
                self.break_down();
                self.later(Err(CommitError::Unknown(refused)), None)
            }
            _ => self.later(answer, Some(number)),
        }
    }

    /// An answer that takes its time; then the commit is synced, and all before it.
    fn later<T: Send + 'static>(&self, answer: T, commit: Option<u64>) -> BoxFuture<'static, T> {
        let delay = self.delay();
        let store = self.clone();
        let synced = async move {
            delay.pass().await;
            if store.state().dead {
                std::future::pending::<()>().await;
            }
            let Some(commit) = commit else { return };
            let mut ledger = store.ledger.lock().unwrap();
            ledger.synced = ledger.synced.max(commit);
            let process = ledger.process;
            ledger.answered.insert(commit, (process, store.clock.now()));
        };
        if bugs::acks_before_sync() && commit.is_some() {
            tokio::spawn(synced);
            return Box::pin(std::future::ready(answer));
        }
        Box::pin(async move {
            synced.await;
            answer
        })
    }

    /// A read, which is made now or when its time has passed.
    fn read<T: Send + 'static>(
        &self,
        make: impl FnOnce(&MemoryStore) -> BoxFuture<'static, T> + Send + 'static,
    ) -> BoxFuture<'static, T> {
        if self.state().dead {
            return Box::pin(std::future::pending());
        }
        let delay = self.delay();
        let is_stale = self.state().random.below(2) == 0;
        let store = self.clone();
        if is_stale {
            let answer = make(&self.inner);
            return Box::pin(async move {
                delay.pass().await;
                answer.await
            });
        }
        Box::pin(async move {
            delay.pass().await;
            make(&store.inner).await
        })
    }

    fn delay(&self) -> Delay {
        let mut state = self.state();
        let now = self.clock.now();
        state.asked = if state.asked.0 == now { (now, state.asked.1 + 1) } else { (now, 1) };
        assert!(state.asked.1 <= ASKED_MAX, "the engine turns in circles at {now}");
        let pace = state.pace;
        let random = &mut state.random;
        let millis = match pace {
            Pace::AtOnce => return Delay::Rounds(0),
            Pace::Rounds => return Delay::Rounds(random.below(5)),
            Pace::Millis if random.below(2) == 0 => return Delay::Rounds(random.below(3)),
            Pace::Millis => random.below(6),
            Pace::Slow if random.below(20) == 0 => random.below(100),
            Pace::Slow => random.below(20),
        };
        Delay::Millis(millis as u64)
    }
}

/// How long one answer takes.
#[derive(Clone, Copy, Debug)]
enum Delay {
    Rounds(usize),
    Millis(u64),
}

impl Delay {
    async fn pass(self) {
        match self {
            Delay::Rounds(rounds) => {
                for _ in 0..rounds {
                    tokio::task::yield_now().await;
                }
            }
            Delay::Millis(millis) => {
                tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_millis(millis)).await;
            }
        }
    }
}

impl Store for SimStore {
    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<Receipt, CommitError>> {
        let deleted = commit.writes.iter().filter_map(|write| match write {
            Write::Delete(key) => Some(key.clone()),
            _ => None,
        });
        let deleted: Vec<Key> = deleted.collect();
        self.write(&deleted, || {
            let made = self.inner.commit(commit.clone()).now_or_never().expect("the model answers at once");
            (made, commit)
        })
    }

    fn decide(&self, keys: Vec<Key>, decide: Decide) -> BoxFuture<'static, Result<(Receipt, Answer), CommitError>> {
        self.write(&[], || {
            let decided = Arc::new(Mutex::new(Commit::default()));
            let seen = decided.clone();
            let watched: Decide = Box::new(move |rows| {
                let (commit, answer) = decide(rows);
                *seen.lock().unwrap() = commit.clone();
                (commit, answer)
            });
            let made = self.inner.decide(keys, watched).now_or_never().expect("the model answers at once");
            let commit = decided.lock().unwrap().clone();
            (made, commit)
        })
    }

    fn claim(
        &self,
        worker: u64,
        most: usize,
        now: Time,
        lease: Duration,
    ) -> BoxFuture<'static, Result<Claims, StoreError>> {
        self.read(move |store| store.claim(worker, most, now, lease))
    }

    fn release(&self, held: &[(RunId, Fence)]) {
        self.inner.release(held);
    }

    fn renew(&self, held: &[(RunId, Fence)], lease: Duration) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>> {
        let held = held.to_vec();
        self.read(move |store| store.renew(&held, lease))
    }

    fn backlog(&self) -> u64 {
        self.inner.backlog()
    }

    fn get(&self, keys: &[Key]) -> BoxFuture<'static, Result<Vec<Option<Row>>, StoreError>> {
        let keys = keys.to_vec();
        self.read(move |store| store.get(&keys))
    }

    fn scan(
        &self,
        range: Range<Key>,
        newest_first: bool,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>, StoreError>> {
        self.read(move |store| store.scan(range, newest_first, most))
    }

    fn changed(&self, tables: &[Table]) -> BoxFuture<'static, ()> {
        self.inner.changed(tables)
    }

    fn health(&self) -> Health {
        match self.state().broken {
            true => Health::ReadOnly { why: "as the schedule says".to_owned() },
            false => Health::Ready,
        }
    }
}
