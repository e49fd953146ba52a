//! A store that stops at a write, as if the process had ended there.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use wf_dsl::Time;
use wf_engine::store::{
    Answer, Claims, Commit, CommitError, Decide, Fence, Health, Key, Receipt, Row, StoreError, Table,
};
use wf_engine::{BoxFuture, MemoryStore, RunId, Store};

/// Where the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    /// At which write, from 0.
    pub(crate) at: usize,
    /// The write is made, but nobody is told.
    pub(crate) written: bool,
}

/// A store whose writes are counted, and which stops for good at one of them.
#[derive(Clone)]
pub(crate) struct Faulty {
    inner: MemoryStore,
    crash: Option<Crash>,
    /// How often a commit lets others go first, at most, before it answers.
    lag: usize,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    writes: AtomicUsize,
    dead: AtomicBool,
    died: Notify,
}

impl Faulty {
    pub(crate) fn new(inner: MemoryStore, crash: Option<Crash>, lag: usize) -> Self {
        Faulty { inner, crash, lag, state: Arc::default() }
    }

    /// How many writes were asked for.
    pub(crate) fn writes(&self) -> usize {
        self.state.writes.load(Ordering::Relaxed)
    }

    /// Resolves when the store has stopped.
    pub(crate) async fn died(&self) {
        self.state.died.notified().await;
    }

    fn is_dead(&self) -> bool {
        self.state.dead.load(Ordering::Relaxed)
    }

    fn write<T: Send + 'static>(&self, make: impl FnOnce() -> BoxFuture<'static, T>) -> BoxFuture<'static, T> {
        let number = self.state.writes.fetch_add(1, Ordering::Relaxed);
        let crash = self.crash.filter(|crash| crash.at == number);
        if self.is_dead() || crash.is_some_and(|crash| !crash.written) {
            self.die();
            return Box::pin(std::future::pending());
        }
        let made = make();
        if crash.is_some() {
            self.die();
            return Box::pin(std::future::pending());
        }
        let lag = number * 7 % (self.lag + 1);
        Box::pin(async move {
            for _ in 0..lag {
                tokio::task::yield_now().await;
            }
            made.await
        })
    }

    fn read<T: Send + 'static>(&self, make: impl FnOnce() -> BoxFuture<'static, T>) -> BoxFuture<'static, T> {
        if self.is_dead() { Box::pin(std::future::pending()) } else { make() }
    }

    fn die(&self) {
        self.state.dead.store(true, Ordering::Relaxed);
        self.state.died.notify_one();
    }
}

impl Store for Faulty {
    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<Receipt, CommitError>> {
        self.write(|| self.inner.commit(commit))
    }

    fn decide(&self, keys: Vec<Key>, decide: Decide) -> BoxFuture<'static, Result<(Receipt, Answer), CommitError>> {
        self.write(|| self.inner.decide(keys, decide))
    }

    fn claim(
        &self,
        worker: u64,
        most: usize,
        now: Time,
        lease: Duration,
    ) -> BoxFuture<'static, Result<Claims, StoreError>> {
        self.read(|| self.inner.claim(worker, most, now, lease))
    }

    fn release(&self, held: &[(RunId, Fence)]) {
        self.inner.release(held);
    }

    fn renew(&self, held: &[(RunId, Fence)], lease: Duration) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>> {
        self.read(|| self.inner.renew(held, lease))
    }

    fn backlog(&self) -> u64 {
        self.inner.backlog()
    }

    fn get(&self, keys: &[Key]) -> BoxFuture<'static, Result<Vec<Option<Row>>, StoreError>> {
        self.read(|| self.inner.get(keys))
    }

    fn scan(
        &self,
        range: Range<Key>,
        newest_first: bool,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>, StoreError>> {
        self.read(|| self.inner.scan(range, newest_first, most))
    }

    fn changed(&self, tables: &[Table]) -> BoxFuture<'static, ()> {
        self.inner.changed(tables)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}
