//! The store on disk: sled behind a committer.

use std::future::ready;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use wf_dsl::Time;

use super::claimer::Wanted;
use super::committer::{Committer, Place, Shared, locked};
use super::copy::{Copied, CopyTo};
use super::folder::{Folder, OpenError};
use super::group::{Base, log_end};
use super::pending::Pending;
use super::queue::Queue;
use super::stored::Stored;
use super::tree::Tree;
use super::wal::Wal;
use super::{
    Answer, Claims, Commit, CommitError, Decide, Fence, Health, Key, Receipt, Row, Store, StoreError, Table, claimer,
    mover,
};
use crate::ids::RunId;
use crate::kind::BoxFuture;

/// What a commit that was acknowledged survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: one `fdatasync` per group of commits.
    #[default]
    Power,
    /// A killed process, not a power cut: the system writes it out in its own time.
    Process,
}

/// How a [`SledStore`] is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SledOptions {
    /// How much of the store is kept in memory, in bytes: 256 MiB unless told. Too little makes bulk writes need more
    /// memory, not less.
    pub cache_bytes: u64,
    /// What an acknowledged commit survives.
    pub durability: Durability,
}

impl Default for SledOptions {
    fn default() -> Self {
        SledOptions { cache_bytes: 256 << 20, durability: Durability::default() }
    }
}

/// A store in a folder that one process uses at a time.
///
/// Reads block for as long as the disk takes. Dropping the store waits for the commits in line and frees the folder.
/// After a failed write it takes no more commits ([`Store::health`]) until it is opened again: by another process, if it
/// was the file of the tree that could not be synced.
#[derive(Debug)]
pub struct SledStore {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// There until the store is closed.
    claimer: Option<mpsc::Sender<Wanted>>,
    /// Given back last, when sled has closed its files.
    folder: Arc<Folder>,
}

impl SledStore {
    /// Whether there is a store in `dir`.
    pub fn is_at(dir: impl AsRef<Path>) -> bool {
        super::folder::is_at(dir.as_ref())
    }

    /// Opens the store in `dir`, and makes it if there is none.
    ///
    /// # Errors
    /// See [`OpenError`]; the store is as it was.
    pub fn open(dir: impl AsRef<Path>, options: SledOptions) -> Result<Self, OpenError> {
        let dir = dir.as_ref();
        let folder = Arc::new(Folder::take(dir)?);
        let current = folder.current(|fresh| {
            Wal::make(fresh).map_err(OpenError::io(fresh))?;
            Tree::make(fresh, &options)
        })?;
        let tree = Tree::open(&current, &options)?;
        let (wal, missing) = Wal::open(&current, options.durability)?;
        let stored = Stored::new(tree, Pending::after(wal.last(), missing));
        let unreadable = |error: StoreError| OpenError::damaged(dir, error.to_string());
        let end = log_end(&stored).map_err(unreadable)?;
        let queue = Queue::open(&|range, most| stored.scan(range, false, most)).map_err(unreadable)?;
        let shared = Arc::new(Shared::new(stored, queue));
        let committer = Committer::new(shared.clone(), wal, end, Place { folder: folder.clone(), current, options });
        let mover = shared.clone();
        let mover = spawn("wf-mover", move || mover::run(&mover)).map_err(OpenError::io(dir))?;
        let committer = spawn("wf-committer", || committer.run()).map_err(OpenError::io(dir))?;
        let (claimer, wanted) = mpsc::channel();
        let of_claims = shared.clone();
        let claims = spawn("wf-claimer", move || claimer::run(&of_claims, &wanted)).map_err(OpenError::io(dir))?;
        Ok(SledStore { shared, threads: vec![committer, mover, claims], claimer: Some(claimer), folder })
    }
}

impl SledStore {
    /// The rows of a range, for tools that read all of them.
    pub(super) fn rows(&self, mut range: Range<Key>) -> impl Iterator<Item = Row> {
        const PAGE: usize = 1_000;
        let mut page = Vec::new().into_iter();
        std::iter::from_fn(move || {
            if page.as_slice().is_empty() {
                let rows = self.shared.stored.scan(range.clone(), false, PAGE).unwrap_or_default();
                range.start = rows.last().map_or(range.end.clone(), |last| last.key.next());
                page = rows.into_iter();
            }
            page.next()
        })
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.shared.close();
        self.claimer.take();
        // The last owner may be a waiter that the committer itself wakes; it cannot wait for its own end.
        let mine = std::thread::current().id();
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != mine) {
            thread.join().ok();
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}

/// What the caller is told if the committer is gone, which it never is before the store.
fn gone() -> CommitError {
    CommitError::Unknown(StoreError::new("the store was closed"))
}

impl Store for SledStore {
    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<Receipt, CommitError>> {
        let outcome = self.shared.commit(commit);
        Box::pin(async { outcome.await.unwrap_or_else(|_| Err(gone())).map(|(receipt, _)| receipt) })
    }

    fn decide(&self, keys: Vec<Key>, decide: Decide) -> BoxFuture<'static, Result<(Receipt, Answer), CommitError>> {
        let outcome: oneshot::Receiver<_> = self.shared.decide(keys, decide);
        Box::pin(async { outcome.await.unwrap_or_else(|_| Err(gone())) })
    }

    fn claim(
        &self,
        _worker: u64,
        most: usize,
        now: Time,
        _lease: Duration,
    ) -> BoxFuture<'static, Result<Claims, StoreError>> {
        let (answer, claims) = oneshot::channel();
        // Without the thread nobody answers, which is an answer.
        drop(self.claimer.as_ref().map(|claimer| claimer.send(Wanted { most, now, answer })));
        Box::pin(async { claims.await.unwrap_or_else(|_| Err(StoreError::new("the store was closed"))) })
    }

    fn release(&self, held: &[(RunId, Fence)]) {
        let stored = &self.shared.stored;
        let read = |range, most| stored.scan(range, false, most);
        let mut queue = locked(&self.shared.queue);
        let given = held.iter().filter(|(run, _)| queue.release(*run, &read)).count();
        drop(queue);
        if given > 0 {
            self.shared.changes.ring([Table::Queue]);
        }
    }

    fn renew(&self, held: &[(RunId, Fence)], _lease: Duration) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>> {
        let queue = locked(&self.shared.queue);
        let lost = held.iter().map(|(run, _)| *run).filter(|run| !queue.holds(*run)).collect();
        Box::pin(ready(Ok(lost)))
    }

    fn backlog(&self) -> u64 {
        let stored = &self.shared.stored;
        locked(&self.shared.queue).backlog(&|range, most| stored.scan(range, false, most))
    }

    fn get(&self, keys: &[Key]) -> BoxFuture<'static, Result<Vec<Option<Row>>, StoreError>> {
        let row = |key: &Key| Ok(self.shared.stored.get(key)?.map(|value| Row { key: key.clone(), value }));
        Box::pin(ready(keys.iter().map(row).collect()))
    }

    fn scan(
        &self,
        range: Range<Key>,
        newest_first: bool,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>, StoreError>> {
        Box::pin(ready(self.shared.stored.scan(range, newest_first, most)))
    }

    fn changed(&self, tables: &[Table]) -> BoxFuture<'static, ()> {
        self.shared.changes.listen(tables)
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn copy(&self, to: CopyTo) -> BoxFuture<'static, Result<Copied, StoreError>> {
        let copied = self.shared.copy(to);
        Box::pin(async { copied.await.unwrap_or_else(|_| Err(StoreError::new("the store was closed"))) })
    }

    fn disk_bytes(&self) -> Option<u64> {
        self.folder.disk_bytes()
    }
}
