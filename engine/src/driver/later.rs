//! Events that get their place in the log later: those with a delay or a `ts` to come, and those that a step sends
//! under an id of its own, which may have been sent before. Until then they stand in the row of a timer.

use wf_dsl::{Time, Value};

use super::birth::{Births, SeenBefore};
use super::{Done, Driver, load};
use crate::error::Error;
use crate::ids::{FrameId, RunId};
use crate::registry::Registry;
use crate::rows::{self, EventRow};
use crate::send::Receipt as Sent;
use crate::store::{CHUNK_BYTES, Commit, Due, Key, Row, Store, Write};

/// The frame of a timer that is not a run's but an event's: its run id is the event's id.
pub(crate) const DELAYED_EVENT: FrameId = FrameId(u32::MAX);

/// An event that was read from the row of its timer.
pub(super) struct Later {
    row: EventRow,
    /// The rows that hold it: of the timer, and of its chunks.
    timer: Row,
    chunks: Vec<Key>,
    /// Of a run that is to be repeated: the events that were gathered for it.
    gathered: Option<Vec<Value>>,
}

/// When an event is looked at next.
fn due(row: &EventRow, at: Time) -> Due {
    Due { at, run: RunId { event: row.id, workflow: 0, nth: 0 }, frame: DELAYED_EVENT }
}

/// The rows of an event that waits until `at`.
pub(crate) fn postponed(row: &EventRow, at: Time) -> (Due, Vec<Write>) {
    let due = due(row, at);
    let mut value = row.to_bytes();
    let mut writes = Vec::new();
    if value.len() > CHUNK_BYTES {
        writes.extend(rows::chunks(due.run, 0, &value).map(Write::Put));
        value = rows::to_bytes(&u32::try_from(value.len()).expect("events are bounded"));
    }
    writes.push(Write::Put(Row { key: Key::timer(due), value }));
    (due, writes)
}

async fn read(store: &dyn Store, registry: &Registry, due: Due) -> Result<Option<Box<Later>>, Error> {
    // Without a row it was sent before the process ended.
    let Some(timer) = load::one(store, Key::timer(due)).await? else { return Ok(None) };
    let (mut chunks, mut value) = (Vec::new(), timer.value.clone());
    if let Ok(bytes) = rows::from_bytes::<u32>(&timer.key, &timer.value) {
        chunks = rows::chunk_keys(due.run, 0, bytes).collect();
        value = load::chunks(store, chunks.clone()).await?;
    }
    let row = EventRow::read(&timer.key, &value)?;
    let repeated = row.replay_of.zip(row.only).map(|(event, workflow)| RunId { event, workflow, nth: 0 });
    let mut gathered = None;
    if let Some(run) = repeated {
        // A person may have dropped the run meanwhile.
        let loaded = load::load(store, registry, run).await?;
        let events = loaded.and_then(|loaded| loaded.run.head.events);
        gathered = events.and_then(|events| Some(Vec::clone(events.value.as_list()?)));
    }
    Ok(Some(Box::new(Later { row, timer, chunks, gathered })))
}

impl Driver {
    /// The time of an event has come: its row is read.
    pub(super) fn send_delayed(&mut self, due: Due) {
        let (store, registry) = (self.parts.store.clone(), self.parts.registry.clone());
        self.spawn(async move { Done::DelayRead(read(&*store, &registry, due).await) });
    }

    /// An event that was read enters the log, or goes on waiting now that its id is known to be new.
    pub(super) fn delay_read(&mut self, read: Result<Option<Box<Later>>, Error>) {
        let Later { row, timer, chunks, gathered } = match read {
            Ok(Some(later)) => *later,
            Ok(None) => return,
            Err(error) => return tracing::error!(%error, "an event that was sent for later cannot be read"),
        };
        let only = match row.only.map(|number| self.parts.registry.name_of(number)) {
            // An engine that has the workflow will find it.
            Some(None) => return tracing::warn!(event = %row.id, "a start waits for an engine that has its workflow"),
            Some(name) => name,
            None => None,
        };
        let now = self.now;
        let row = EventRow { received: now, ..row };
        let sent = Sent { id: row.id.to_string(), event: row.id, runs: Vec::new(), gathered: false, duplicate: false };
        let mut commit = Commit { writes: vec![Write::Delete(timer.key)], ..Commit::default() };
        let forget: Vec<Write> = commit.writes.iter().cloned().chain(chunks.into_iter().map(Write::Delete)).collect();
        let mut births = Births::of(Vec::new(), sent, None);
        if row.ts > now {
            let due = due(&row, row.ts);
            commit.writes.push(Write::Put(Row { key: Key::timer(due), value: timer.value }));
            births.later = Some(due);
        } else {
            commit.writes.clone_from(&forget);
            (births.births, births.delivery) = self.births(&mut commit, &row, only.as_deref(), gathered);
        }
        self.keep_clock(&mut commit, now);
        let otherwise = Commit { writes: forget, ..Commit::default() };
        match row.sender_id {
            Some(id) => self.send_once(&id, commit, SeenBefore { event: row.id, otherwise }, births, now),
            None => self.give_birth(commit, births),
        }
    }
}
