//! Which runnable run is next, and which are taken: in memory, over the rows of the queue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::Range;

use super::{Key, StoreError, Table};
use crate::ids::RunId;

/// How many rows of a workflow's queue are read at a time, and half of what is kept of them.
const PAGE: usize = 256;

/// Reads keys of the store: at most so many, in order.
pub(super) type ReadKeys<'a> = &'a dyn Fn(Range<Key>, usize) -> Result<Vec<Key>, StoreError>;

/// The queue's front and the claims. It holds at most two pages a workflow, however long the queue is, and reads each
/// row once; rows that arrive before what was read are told to it by [`Queue::changed`].
///
/// Claims end with the process, as does the one worker that can hold them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: BTreeMap<u16, Lane>,
    /// The workflow that was served last; the next one has its turn.
    served: u16,
    /// Claimed runs with their rows in the queue: they have none once they are parked or have ended.
    claims: HashMap<RunId, BTreeSet<Key>>,
}

/// The front of one workflow's queue.
#[derive(Debug)]
struct Lane {
    /// Rows that may be claimed, all of them before `read_to`.
    front: BTreeSet<Key>,
    /// What lies behind was not read; none when the end was reached.
    unread: Option<Range<Key>>,
}

impl Queue {
    /// A queue over the rows that a store has at its start.
    pub(super) fn open(read: ReadKeys<'_>) -> Result<Self, StoreError> {
        let mut queue = Queue::default();
        let mut rest = Key::all(Table::Queue);
        while let Some(first) = read(rest.clone(), 1)?.pop() {
            let Some((ready, ..)) = first.as_queue() else {
                rest.start = first.next();
                continue;
            };
            let lane = Key::queue_of(ready.workflow);
            rest.start = lane.end.clone();
            queue.lanes.insert(ready.workflow, Lane { front: BTreeSet::new(), unread: Some(lane) });
        }
        Ok(queue)
    }

    /// Takes at most `most` runs: one workflow after the other, in each by priority and order.
    pub(super) fn claim(&mut self, most: usize, read: ReadKeys<'_>) -> Result<Vec<RunId>, StoreError> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let behind = self.lanes.range((Excluded(self.served), Unbounded)).next();
            let Some((&workflow, _)) = behind.or_else(|| self.lanes.iter().next()) else { break };
            self.served = workflow;
            match self.pop(workflow, read)? {
                Some(run) => taken.push(run),
                None => {
                    self.lanes.remove(&workflow);
                }
            }
        }
        Ok(taken)
    }

    /// Takes the next run of a workflow.
    fn pop(&mut self, workflow: u16, read: ReadKeys<'_>) -> Result<Option<RunId>, StoreError> {
        let Some(lane) = self.lanes.get_mut(&workflow) else { return Ok(None) };
        loop {
            let Some(key) = lane.front.pop_first() else {
                if lane.read_page(read)? {
                    continue;
                }
                return Ok(None);
            };
            let Some((_, _, run)) = key.as_queue() else { continue };
            let mut fresh = false;
            self.claims
                .entry(run)
                .or_insert_with(|| {
                    fresh = true;
                    BTreeSet::new()
                })
                .insert(key);
            if fresh {
                return Ok(Some(run));
            }
        }
    }

    /// Marks a run as taken by whoever made it.
    pub(super) fn take(&mut self, run: RunId) {
        self.claims.entry(run).or_default();
    }

    /// Takes note of rows that were put (true) or deleted.
    pub(super) fn changed<'a>(&mut self, rows: impl Iterator<Item = (&'a Key, bool)>) {
        for (key, put) in rows {
            let Some((ready, _, run)) = key.as_queue() else { continue };
            match (self.claims.get_mut(&run), put) {
                (Some(keys), true) => {
                    keys.insert(key.clone());
                }
                (Some(keys), false) => {
                    keys.remove(key);
                }
                (None, true) => self.insert(ready.workflow, key.clone()),
                (None, false) => {
                    if let Some(lane) = self.lanes.get_mut(&ready.workflow) {
                        lane.front.remove(key);
                    }
                }
            }
        }
    }

    fn insert(&mut self, workflow: u16, key: Key) {
        let lane = self.lanes.entry(workflow).or_insert_with(|| Lane { front: BTreeSet::new(), unread: None });
        lane.insert(key, &Key::queue_of(workflow).end);
    }

    /// Gives a run back; true if it is still in the queue.
    pub(super) fn release(&mut self, run: RunId) -> bool {
        let keys = self.claims.remove(&run).unwrap_or_default();
        let queued = !keys.is_empty();
        for key in keys {
            if let Some((ready, ..)) = key.as_queue() {
                self.insert(ready.workflow, key);
            }
        }
        queued
    }

    /// Whether a run is taken.
    pub(super) fn holds(&self, run: RunId) -> bool {
        self.claims.contains_key(&run)
    }
}

impl Lane {
    /// Reads the next page; false if there is none.
    fn read_page(&mut self, read: ReadKeys<'_>) -> Result<bool, StoreError> {
        let Some(unread) = &mut self.unread else { return Ok(false) };
        let page = read(unread.clone(), PAGE)?;
        match page.last() {
            Some(last) if page.len() == PAGE => unread.start = last.next(),
            _ => self.unread = None,
        }
        self.front.extend(page);
        Ok(!self.front.is_empty())
    }

    fn insert(&mut self, key: Key, end: &Key) {
        if self.unread.as_ref().is_some_and(|unread| key >= unread.start) {
            return; // it will be read
        }
        self.front.insert(key);
        if self.front.len() > 2 * PAGE
            && let Some(last) = self.front.pop_last()
        {
            self.unread = Some(last..end.clone());
        }
    }
}
