//! Group commit: one thread owns the writing, and every commit that arrives while it waits for the disk joins the next
//! group.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::oneshot;
use wf_dsl::Time;

use super::changes::Changes;
use super::copy::{Copied, Copy, CopyTo, Successor};
use super::folder::{Folder, OpenError, remove_folder};
use super::group::{Base, Changed, Group};
use super::queue::Queue;
use super::stored::Stored;
use super::tree::{Tree, disk_error};
use super::versions::Versions;
use super::wal::{Values, Wal};
use super::{
    Answer, Claim, Claims, Commit, CommitError, Decide, Head, Health, Key, Receipt, Row, SledOptions, StoreError, Table,
};
use crate::ids::{Position, RunId};

/// Most commits of a group.
const GROUP_COMMITS_MAX: usize = 256;
/// How many runs are claimed while the queue is locked.
const CLAIMS_PAGE: usize = 16;
/// A group takes no further commit when it holds this many bytes.
const GROUP_BYTES: usize = 1 << 20;

/// What is shared between the committer's thread and the callers.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) stored: Stored,
    pub(super) queue: Mutex<Queue>,
    /// Changes only while the queue is locked, so that what a claim reads and what is noted here are of one moment.
    versions: Mutex<Versions>,
    pub(super) changes: Changes,
    /// Why the store takes no more commits.
    failed: RwLock<Option<StoreError>>,
    jobs: Mutex<Jobs>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    copies: VecDeque<CopyJob>,
    closed: bool,
}

type Outcome = Result<(Receipt, Answer), CommitError>;

/// A commit on its way, and who waits for it.
struct Job {
    work: Work,
    answer: oneshot::Sender<Outcome>,
}

/// A copy that is wanted, and who waits for it.
struct CopyJob {
    to: CopyTo,
    answer: oneshot::Sender<Result<Copied, StoreError>>,
}

impl std::fmt::Debug for CopyJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyJob").field("to", &self.to).finish_non_exhaustive()
    }
}

enum Work {
    Commit(Commit),
    Decide(Vec<Key>, Decide),
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(stored: Stored, queue: Queue) -> Self {
        Shared {
            stored,
            queue: Mutex::new(queue),
            versions: Mutex::default(),
            changes: Changes::default(),
            failed: RwLock::default(),
            jobs: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    /// Claims runs, a few at a time, so that nobody waits long for the queue.
    pub(super) fn claims(&self, most: usize, now: Time) -> Result<Claims, StoreError> {
        let mut claims = Claims::default();
        loop {
            let wanted = CLAIMS_PAGE.min(most - claims.runs.len());
            let page = match self.claims_page(wanted, now) {
                Ok(page) => page,
                Err(error) if claims.runs.is_empty() => return Err(error),
                Err(_) => return Ok(Claims { more: true, ..claims }), // who asks for more is told
            };
            let is_last = page.more || page.runs.len() < wanted || claims.runs.len() + wanted == most;
            (claims.more, claims.due) = (page.more, page.due);
            claims.runs.extend(page.runs);
            if is_last {
                return Ok(claims);
            }
        }
    }

    /// What is read of the runs here need not be read again when they are loaded and committed to.
    fn claims_page(&self, most: usize, now: Time) -> Result<Claims, StoreError> {
        let stored = &self.stored;
        let read = |range, most| stored.scan(range, false, most);
        let look_at = |run| {
            if let Some(version) = locked(&self.versions).get(run) {
                return Ok((version, None));
            }
            let (version, head) = stored.look_at(run)?;
            locked(&self.versions).note(head.as_ref().map(|_| (run, Some(version))));
            Ok((version, head))
        };
        let mut claims = locked(&self.queue).claims(most, now, &read, &look_at)?;
        for Claim { fence, rows, .. } in &mut claims.runs {
            let Some(head) = rows.first().filter(|_| fence.version == 0) else { continue };
            let event = Head::read(&head.value).map(|head| Key::event(head.position, 0));
            // Whoever needs it and does not find it here looks for it, and says what is wrong.
            let value = event.as_ref().and_then(|event| stored.get(event).ok().flatten());
            rows.extend(event.zip(value).map(|(key, value)| Row { key, value }));
        }
        Ok(claims)
    }

    /// Hands in a commit. It is in line when this returns.
    pub(super) fn commit(&self, commit: Commit) -> oneshot::Receiver<Outcome> {
        self.hand_in(Work::Commit(commit))
    }

    /// Hands in a rule. It is in line when this returns.
    pub(super) fn decide(&self, keys: Vec<Key>, decide: Decide) -> oneshot::Receiver<Outcome> {
        self.hand_in(Work::Decide(keys, decide))
    }

    fn hand_in(&self, work: Work) -> oneshot::Receiver<Outcome> {
        let (answer, outcome) = oneshot::channel();
        let mut jobs = locked(&self.jobs);
        jobs.waiting.push_back(Job { work, answer });
        drop(jobs);
        self.arrived.notify_one();
        outcome
    }

    /// Hands in a copy. Copies are made one after the other.
    pub(super) fn copy(&self, to: CopyTo) -> oneshot::Receiver<Result<Copied, StoreError>> {
        let (answer, copied) = oneshot::channel();
        locked(&self.jobs).copies.push_back(CopyJob { to, answer });
        self.arrived.notify_one();
        copied
    }

    /// Lets the committer end when it has done what is in line.
    pub(super) fn close(&self) {
        locked(&self.jobs).closed = true;
        self.arrived.notify_one();
    }

    pub(super) fn health(&self) -> Health {
        match self.failure() {
            None => Health::Ready,
            Some(error) => Health::ReadOnly { why: describe(&error) },
        }
    }

    /// From now on the store takes no more commits.
    pub(super) fn fail(&self, error: &StoreError) {
        tracing::error!(error = describe(error), "the store takes no more commits until it is reopened");
        *self.failed.write().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    }

    fn failure(&self) -> Option<StoreError> {
        self.failed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// None of our locks is held while something can unwind that leaves what it guards half done.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error with its cause, in one line.
fn describe(error: &StoreError) -> String {
    match &error.source {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The thread that writes. It ends when it was told to, after the last commit in line.
pub(super) struct Committer {
    shared: Arc<Shared>,
    wal: Wal,
    end: Position,
    place: Place,
    copy: Option<(Copy, oneshot::Sender<Result<Copied, StoreError>>)>,
}

/// Where the store is.
pub(super) struct Place {
    pub(super) folder: Arc<Folder>,
    /// The sub-folder that counts.
    pub(super) current: PathBuf,
    pub(super) options: SledOptions,
}

/// The rows below a group, and the versions that need no look at them.
struct Below<'a> {
    stored: &'a Stored,
    versions: &'a Mutex<Versions>,
}

impl Base for Below<'_> {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.stored.get(key)
    }

    fn last(&self, range: std::ops::Range<Key>) -> Result<Option<Row>, StoreError> {
        self.stored.last(range)
    }

    fn version(&self, run: RunId) -> Result<Option<u64>, StoreError> {
        let known = locked(self.versions).get(run);
        known.map_or_else(|| self.stored.version(run), |version| Ok(Some(version)))
    }
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, wal: Wal, end: Position, place: Place) -> Self {
        Committer { shared, wal, end, place, copy: None }
    }

    pub(super) fn run(mut self) {
        let mut waiting = VecDeque::new();
        while self.wait(&mut waiting) {
            let mut answers = Vec::new();
            let group = catch_unwind(AssertUnwindSafe(|| self.group(&mut waiting, &mut answers)));
            let done = group.unwrap_or_else(|_| Err(StoreError::new("the committer panicked")));
            if let (Err(error), None) = (&done, self.shared.failure()) {
                self.shared.fail(error);
            }
            for (answer, outcome) in answers {
                // A receiver that is gone has lost interest; the commit counts all the same.
                answer.send(in_light_of(&done, outcome)).ok();
            }
            let done = done.and_then(|()| {
                self.go_on_copying();
                self.shared.failure().map_or(Ok(()), Err)
            });
            if let Err(error) = done {
                self.give_up_copy(&error);
                self.shared.stored.pending.close();
                return self.refuse(waiting, &error);
            }
        }
        self.give_up_copy(&StoreError::new("the store was closed"));
        self.close();
    }

    /// Puts everything into the tree, and says so in the log, so that the next opening finds nothing to do.
    fn close(mut self) {
        let pending = &self.shared.stored.pending;
        pending.close();
        let nothing = Values::new();
        if pending.wait_for(self.wal.last()) && self.wal.fits(&nothing) {
            // If it fails, the log's records are put into the tree once more.
            self.wal.append(&nothing).ok();
        }
    }

    /// Waits for work; false when there is none and will be none. A copy is work until the store is closed.
    fn wait(&self, waiting: &mut VecDeque<Job>) -> bool {
        let is_copying = self.copy.is_some();
        let idle = |jobs: &mut Jobs| {
            waiting.is_empty() && jobs.waiting.is_empty() && jobs.copies.is_empty() && !is_copying && !jobs.closed
        };
        let jobs = self.shared.arrived.wait_while(locked(&self.shared.jobs), idle);
        let mut jobs = jobs.unwrap_or_else(PoisonError::into_inner);
        waiting.append(&mut jobs.waiting);
        !waiting.is_empty() || !jobs.closed
    }

    // ── copies ──────────────────────────────────────────────────────────

    /// Begins a copy that is wanted, or copies a page. What goes wrong with a copy is no failure of the store.
    fn go_on_copying(&mut self) {
        let Some((mut copy, answer)) = self.copy.take() else {
            let Some(CopyJob { to, answer }) = locked(&self.shared.jobs).copies.pop_front() else { return };
            match guarded(|| Copy::begin(&self.place.folder, to, &self.place.options).map_err(open_error)) {
                Ok(copy) => self.copy = Some((copy, answer)),
                Err(error) => drop(answer.send(Err(error))),
            }
            return;
        };
        match guarded(|| copy.page(&self.shared.stored)) {
            Ok(false) => self.copy = Some((copy, answer)),
            Ok(true) => {
                let finished = guarded(|| copy.finish().map_err(open_error));
                let done = finished.and_then(|(copied, successor)| {
                    successor.map_or(Ok(()), |successor| self.succeed(successor))?;
                    Ok(copied)
                });
                // Whoever wanted it may have lost interest.
                answer.send(done).ok();
            }
            Err(error) => {
                copy.abandon();
                answer.send(Err(error)).ok();
            }
        }
    }

    /// A copy takes the place of the store, between two groups.
    fn succeed(&mut self, Successor { tree, mut wal, path }: Successor) -> Result<(), StoreError> {
        let Shared { stored, .. } = &*self.shared;
        if !stored.pending.wait_for(self.wal.last()) {
            return Err(self.shared.failure().unwrap_or_else(|| StoreError::new("the tree takes no more rows")));
        }
        if let Err(error) = self.place.folder.promote(&path) {
            // Nobody can say which of the two the next process will find.
            let error = disk_error(error.into());
            self.shared.fail(&error);
            return Err(error);
        }
        wal.go_on_from(self.wal.last());
        self.wal = wal;
        let old = stored.replace(tree);
        let old_path = std::mem::replace(&mut self.place.current, path);
        retire(old, &old_path);
        Ok(())
    }

    fn give_up_copy(&mut self, error: &StoreError) {
        if let Some((copy, answer)) = self.copy.take() {
            copy.abandon();
            answer.send(Err(error.clone())).ok();
        }
        for CopyJob { answer, .. } in locked(&self.shared.jobs).copies.drain(..) {
            answer.send(Err(error.clone())).ok();
        }
    }

    /// Makes one group of what waits, and makes it durable.
    fn group(
        &mut self,
        waiting: &mut VecDeque<Job>,
        answers: &mut Vec<(oneshot::Sender<Outcome>, Outcome)>,
    ) -> Result<(), StoreError> {
        if let Some(error) = self.shared.failure() {
            return Err(error);
        }
        let Shared { stored, queue, versions: known, changes, .. } = &*self.shared;
        let below = Below { stored, versions: known };
        let mut group = Group::new(&below, self.end);
        while answers.len() < GROUP_COMMITS_MAX && group.bytes() < GROUP_BYTES {
            let Some(Job { work, answer }) = waiting.pop_front() else { break };
            let outcome = match work {
                Work::Commit(commit) => group.commit(commit).map(|receipt| (receipt, Answer::Null)),
                Work::Decide(keys, decide) => group.decide(keys, &decide),
            };
            answers.push((answer, outcome));
        }
        let Changed { end, rows, versions, claimed } = group.finish();
        if rows.is_empty() {
            claimed.into_iter().for_each(|run| locked(queue).take(run));
            return Ok(());
        }
        let queued = rows.iter().filter(|(key, _)| Queue::concerns(key));
        let queued: Vec<_> = queued.map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut tables: Vec<Table> = rows.keys().filter_map(Key::table).collect();
        tables.dedup(); // keys are in order, so that each table is there once
        if !self.wal.fits(&rows) {
            if !stored.pending.wait_for(self.wal.last_of_other()) {
                return Err(self.shared.failure().unwrap_or_else(|| StoreError::new("the tree takes no more rows")));
            }
            self.wal.turn().map_err(|error| disk_error(error.into()))?;
            stored.pending.hurry(self.wal.last_of_other());
        }
        let number = self.wal.append(&rows).map_err(|error| disk_error(error.into()))?;
        if let Some((copy, _)) = &mut self.copy {
            copy.follow(&rows);
        }
        self.end = end;
        // Nobody may claim a run between the moment it can be read and the moment it is known to be claimed from birth.
        let mut queue = locked(queue);
        locked(known).note(versions);
        stored.pending.add(number, rows);
        claimed.into_iter().for_each(|run| queue.take(run));
        queue.changed(queued.iter().map(|(key, value)| (key, value.as_deref())));
        drop(queue);
        changes.ring(tables);
        Ok(())
    }

    /// Answers everything that comes until the end with an error.
    fn refuse(mut self, mut waiting: VecDeque<Job>, error: &StoreError) {
        loop {
            for Job { answer, .. } in waiting.drain(..) {
                answer.send(Err(CommitError::NotCommitted(error.clone()))).ok();
            }
            self.give_up_copy(error);
            if !self.wait(&mut waiting) {
                return;
            }
        }
    }
}

/// Closes a tree that another one has replaced, and removes it. If somebody still reads it, the next start does.
fn retire(mut tree: Arc<Tree>, path: &Path) {
    for _ in 0..READERS_MS_MAX {
        match Arc::try_unwrap(tree) {
            Ok(tree) => {
                drop(tree);
                if let Err(error) = remove_folder(path) {
                    tracing::warn!(path = %path.display(), %error, "what was compacted stays until the next start");
                }
                return;
            }
            Err(read) => tree = read,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How long the last readers of a tree may take, in milliseconds.
const READERS_MS_MAX: u32 = 1_000;

/// sled may panic where the disk fails.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|_| Err(StoreError::new("sled panicked")))
}

fn open_error(error: OpenError) -> StoreError {
    let why = error.to_string();
    StoreError { why, source: Some(Arc::new(error)) }
}

/// What a caller is told, given how its group ended.
fn in_light_of(group: &Result<(), StoreError>, outcome: Outcome) -> Outcome {
    match (group, outcome) {
        (Err(error), Ok(_)) => Err(CommitError::Unknown(error.clone())),
        // It was refused because of commits that are in doubt now.
        (Err(error), Err(_)) => Err(CommitError::NotCommitted(error.clone())),
        (Ok(()), outcome) => outcome,
    }
}
