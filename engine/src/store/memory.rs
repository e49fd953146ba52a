//! The model of a store: rows in a map. Tests, simulations and `wf test` run on it.

use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::changes::Changes;
use super::group::{Base, Changed, Group, log_end};
use super::queue::Queue;
use super::{Answer, Claims, Commit, CommitError, Decide, Fence, Health, Key, Receipt, Row, Store, StoreError, Table};
use crate::ids::{Position, RunId};
use crate::kind::BoxFuture;
use wf_dsl::Time;

/// A store in memory: everything is gone when it is dropped, except what [`MemoryStore::rows`] gave. A cheap clone;
/// clones share the rows.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    changes: Arc<Changes>,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Key, Vec<u8>>,
    end: Position,
    queue: Queue,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        MemoryStore::default()
    }

    /// A store with these rows, as if it had been reopened: nothing is claimed.
    ///
    /// # Errors
    /// A row that cannot be read.
    pub fn from_rows(rows: impl IntoIterator<Item = Row>) -> Result<Self, StoreError> {
        let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.key, row.value)).collect();
        let end = log_end(&rows)?;
        let queue = Queue::open(&|range, most| Ok(page(&rows, range, most)))?;
        Ok(MemoryStore { state: Arc::new(Mutex::new(State { rows, end, queue })), changes: Arc::default() })
    }

    /// A copy of all rows, in the order of their keys.
    pub fn rows(&self) -> Vec<Row> {
        self.state().rows.iter().map(|(key, value)| Row { key: key.clone(), value: value.clone() }).collect()
    }

    /// A commit never unwinds half done, so that the state is good whatever happened to a thread that held it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T>(
        &self,
        stage: impl FnOnce(&mut Group<'_, BTreeMap<Key, Vec<u8>>>) -> Result<T, CommitError>,
    ) -> Result<T, CommitError> {
        let mut state = self.state();
        let mut group = Group::new(&state.rows, state.end);
        let answer = stage(&mut group)?;
        let changed = group.finish();
        let tables: Vec<Table> = changed.rows.keys().filter_map(Key::table).collect();
        state.apply(changed);
        drop(state);
        self.changes.ring(tables);
        Ok(answer)
    }
}

impl State {
    fn apply(&mut self, changed: Changed) {
        changed.claimed.into_iter().for_each(|run| self.queue.take(run));
        let queued = changed.rows.iter().filter(|(key, _)| Queue::concerns(key));
        self.queue.changed(queued.map(|(key, value)| (key, value.as_deref())));
        self.end = changed.end;
        for (key, value) in changed.rows {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }
}

impl Base for BTreeMap<Key, Vec<u8>> {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.get(key).cloned())
    }

    fn last(&self, range: Range<Key>) -> Result<Option<Row>, StoreError> {
        Ok(within(self, range).next_back().map(|(key, value)| Row { key: key.clone(), value: value.clone() }))
    }
}

/// The rows of a range; none if its end lies before its start, where the map would panic.
fn within(rows: &BTreeMap<Key, Vec<u8>>, range: Range<Key>) -> impl DoubleEndedIterator<Item = (&Key, &Vec<u8>)> {
    (range.start < range.end).then(|| rows.range(range)).into_iter().flatten()
}

fn page(rows: &BTreeMap<Key, Vec<u8>>, range: Range<Key>, most: usize) -> Vec<Row> {
    within(rows, range).take(most).map(|(key, value)| Row { key: key.clone(), value: value.clone() }).collect()
}

impl Store for MemoryStore {
    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<Receipt, CommitError>> {
        Box::pin(ready(self.write(|group| group.commit(commit))))
    }

    fn decide(&self, keys: Vec<Key>, decide: Decide) -> BoxFuture<'static, Result<(Receipt, Answer), CommitError>> {
        Box::pin(ready(self.write(|group| group.decide(keys, &decide))))
    }

    fn claim(
        &self,
        _worker: u64,
        most: usize,
        now: Time,
        _lease: Duration,
    ) -> BoxFuture<'static, Result<Claims, StoreError>> {
        let State { rows, queue, .. } = &mut *self.state();
        let claims = queue.claims(most, now, &|range, most| Ok(page(rows, range, most)), &|run| rows.look_at(run));
        Box::pin(ready(claims))
    }

    fn release(&self, held: &[(RunId, Fence)]) {
        let State { rows, queue, .. } = &mut *self.state();
        let read = |range, most| Ok(page(rows, range, most));
        let given = held.iter().filter(|(run, _)| queue.release(*run, &read)).count();
        if given > 0 {
            self.changes.ring([Table::Queue]);
        }
    }

    fn renew(&self, held: &[(RunId, Fence)], _lease: Duration) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>> {
        let state = self.state();
        let lost = held.iter().map(|(run, _)| *run).filter(|run| !state.queue.holds(*run)).collect();
        Box::pin(ready(Ok(lost)))
    }

    fn backlog(&self) -> u64 {
        let State { rows, queue, .. } = &mut *self.state();
        queue.backlog(&|range, most| Ok(page(rows, range, most)))
    }

    fn get(&self, keys: &[Key]) -> BoxFuture<'static, Result<Vec<Option<Row>>, StoreError>> {
        let state = self.state();
        let row = |key: &Key| state.rows.get(key).map(|value| Row { key: key.clone(), value: value.clone() });
        Box::pin(ready(Ok(keys.iter().map(row).collect())))
    }

    fn scan(
        &self,
        range: Range<Key>,
        newest_first: bool,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>, StoreError>> {
        let state = self.state();
        let row = |(key, value): (&Key, &Vec<u8>)| Row { key: key.clone(), value: value.clone() };
        let rows = within(&state.rows, range);
        let rows =
            if newest_first { rows.rev().map(row).take(most).collect() } else { rows.map(row).take(most).collect() };
        Box::pin(ready(Ok(rows)))
    }

    fn changed(&self, tables: &[Table]) -> BoxFuture<'static, ()> {
        self.changes.listen(tables)
    }

    fn health(&self) -> Health {
        Health::Ready
    }
}
