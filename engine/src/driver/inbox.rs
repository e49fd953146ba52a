//! The inbox: what a waiting run finds in the event log, and who is told of an event.
//!
//! A wait has its rows before the run looks at the log. So an event is either there when the run looks, or whoever
//! delivers it finds the row; nothing is in between. Delivering is a hint: the run that was woken looks itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wf_dsl::{PlanHash, Time};

use super::active::{Active, Hint};
use super::load;
use super::{Done, Driver};
use crate::error::Error;
use crate::ids::{EventId, FrameId, Position, RunId};
use crate::planted::{Bug, planted};
use crate::rows::{self, Unreadable};
use crate::run::{Awaited, AwaitedEvent, Candidate, Fact, Inbox, Input, Place, Record, Tie};
use crate::store::{Commit, CommitError, InboxKey, Key, Receipt, Row, Store, Table, Write};

/// Events that are looked at together, for each key that a run waits for.
const LOOK_PAGE: usize = 64;
/// Waits that are told of an event in one commit.
const DELIVER_PAGE: usize = 256;
/// The names of the meta rows that hold which events are to be delivered yet.
const TO_DELIVER: &str = "deliver/";

/// An event that waits are told of, or the end of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Delivery {
    /// The event; of a run that has ended the one that it was born of.
    pub(super) event: EventId,
    /// The run that has ended, if that is what is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<RunId>,
    /// The keys whose waits have not all been told.
    pub(super) keys: Vec<InboxKey>,
    /// The wait after the last one that was told, of the last of the keys.
    #[serde(skip)]
    pub(super) from: Option<Key>,
}

/// Some of those that wait for an event, and the places of their runs in the queue.
pub(super) struct Waiters {
    delivery: Delivery,
    found: Vec<(RunId, FrameId, Position)>,
}

/// What a run looks for.
struct Look {
    frames: Vec<(FrameId, u64)>,
    /// Keys, and up to where each has been looked at.
    keys: BTreeMap<InboxKey, Position>,
    /// Frames whose timer is due, and up to when an event comes before it.
    due: Vec<(FrameId, Time)>,
    /// Events up to here are behind.
    low: Position,
}

impl Delivery {
    /// The end of a run, for those who wait for it though they did not invoke it.
    pub(super) fn of_end(run: RunId) -> Self {
        Delivery { event: run.event, run: Some(run), keys: vec![super::commit::end_of(run)], from: None }
    }

    /// The row by which a process that begins anew finds what is to be delivered.
    pub(super) fn row(&self) -> Row {
        Row { key: self.key(), value: rows::to_bytes(self) }
    }

    fn key(&self) -> Key {
        match self.run {
            Some(run) => Key::meta(&format!("{TO_DELIVER}{run}")),
            None => Delivery::key_of(self.event),
        }
    }

    pub(super) fn key_of(event: EventId) -> Key {
        Key::meta(&format!("{TO_DELIVER}{event}"))
    }
}

impl Driver {
    // ── looking ─────────────────────────────────────────────────────────

    /// Lets a run look at the log for what these frames wait for.
    pub(super) fn look_at_log(&mut self, active: &mut Active, frames: impl IntoIterator<Item = FrameId>) {
        let run = &active.run;
        let low = run.position;
        let mut look = Look { frames: Vec::new(), keys: BTreeMap::new(), due: Vec::new(), low };
        let frames: BTreeSet<FrameId> = frames.into_iter().collect();
        for id in frames {
            let Some(frame) = run.frames.get(&id) else { continue };
            let Place::Wait { awaited, examined, began, .. } = &frame.place else { continue };
            look.frames.push((id, *began));
            for event in awaited.iter().filter_map(Awaited::event) {
                look.add(event, *examined);
            }
            if let Some(due) = frame.place.due().filter(|due| *due <= self.now) {
                look.due.push((id, due.max(frame.entered)));
            }
        }
        for event in run.head.cancel_on.iter().filter(|_| run.head.cancel.is_none()) {
            look.add(event, run.head.cancel_examined);
        }
        if look.keys.is_empty() && look.due.is_empty() {
            return;
        }
        let run = run.id;
        self.looks += 1;
        let number = self.looks;
        active.hints.insert(Hint::Inbox(number));
        let store = self.parts.store.clone();
        self.spawn(async move { Done::Looked(run, number, look.read(&*store).await.map(Box::new)) });
    }

    pub(super) fn looked(&mut self, run: RunId, number: u64, inbox: Result<Box<Inbox>, Error>) {
        let Some(active) = self.active.get_mut(&run) else { return };
        active.hints.remove(&Hint::Inbox(number));
        match inbox {
            Ok(inbox) => active.inputs.push_back(Input::Inbox(inbox)),
            Err(error) => tracing::error!(run = %run, %error, "the event log cannot be read"),
        }
        self.step(run);
    }

    // ── delivering ──────────────────────────────────────────────────────

    /// Finds the deliveries that a process that ended has left, and the plans whose runs may wait: those of all times.
    pub(super) async fn recover_deliveries(&mut self) -> Result<(), Error> {
        let store = self.parts.store.clone();
        let plans = load::scan(&*store, Key::all(Table::Plan)).await?;
        let hashes: BTreeSet<PlanHash> = plans.iter().filter_map(|row| row.key.as_plan()).map(PlanHash).collect();
        for hash in hashes {
            if let Err(error) = load::definition(&*store, &self.parts.registry, hash).await {
                tracing::error!(plan = %hash, %error, "no event reaches the runs of a plan that cannot be read");
            }
        }
        for row in load::scan(&*store, Key::meta(TO_DELIVER).and_below()).await? {
            self.deliver(rows::from_bytes(&row.key, &row.value)?);
        }
        Ok(())
    }

    /// Tells those that wait for an event, which is durable, page by page.
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        let store = self.parts.store.clone();
        self.spawn(async move { Done::Waiters(waiters(&*store, delivery).await.map(Box::new)) });
    }

    /// Their runs get places in the queue: this is what a crash does not take away.
    pub(super) fn tell_waiters(&mut self, waiters: Result<Box<Waiters>, Error>) {
        let Waiters { delivery, found } = match waiters {
            Ok(waiters) => *waiters,
            Err(error) => return tracing::error!(%error, "those who wait for an event cannot be told"),
        };
        let mut commit = Commit::default();
        let mut seen = BTreeSet::new();
        for (run, frame, order) in found.into_iter().take(if planted(Bug::WakeOne) { 1 } else { usize::MAX }) {
            if seen.insert(run) {
                commit.writes.push(Write::wake(run, order));
            }
            // A commit of its own that is under way is before this one; it parks only after it has looked again.
            if self.active.contains_key(&run) || self.loading.contains_key(&run) {
                match delivery.run {
                    None => self.hint(run, Some(Input::Look { frame: Some(frame) })),
                    Some(ended) => {
                        self.look_at(run, frame, ended, Tie::Referred);
                        self.hint(run, None);
                    }
                }
            }
        }
        if delivery.keys.is_empty() {
            commit.writes.push(Write::Delete(delivery.key()));
        }
        let committed = self.parts.store.commit(commit);
        self.spawn(async move { Done::Delivered(delivery, committed.await) });
    }

    fn hint(&mut self, run: RunId, input: Option<Input>) {
        if let Some(active) = self.active.get_mut(&run) {
            active.queued = true;
            active.inputs.extend(input);
            return self.step(run);
        }
        self.wake(run, input.into_iter().collect(), true);
    }

    pub(super) fn delivered(&mut self, delivery: Delivery, result: Result<Receipt, CommitError>) {
        self.queue_changed = true;
        match result {
            Ok(_) if delivery.keys.is_empty() => {}
            Ok(_) => self.deliver(delivery),
            Err(error) => tracing::error!(event = %delivery.event, %error, "the event was not delivered to all"),
        }
    }
}

impl Look {
    fn add(&mut self, event: &AwaitedEvent, examined: Position) {
        let from = event.after.max(examined).max(self.low);
        let known = self.keys.entry(event.key).or_insert(from);
        *known = from.min(*known);
    }

    async fn read(self, store: &dyn Store) -> Result<Inbox, Error> {
        let mut found: BTreeMap<Position, Vec<InboxKey>> = BTreeMap::new();
        let mut horizon = Position(u64::MAX);
        for (key, from) in self.keys {
            let page = store.scan(Key::inbox_after(key, from), false, LOOK_PAGE).await?;
            for row in &page {
                found.entry(position(row)?).or_default().push(key);
            }
            if let Some(last) = page.last().filter(|_| page.len() == LOOK_PAGE) {
                horizon = horizon.min(position(last)?);
            }
        }
        let mut inbox = Inbox { frames: self.frames, more: horizon.0 != u64::MAX, ..Inbox::default() };
        for (position, keys) in found.into_iter().take_while(|(position, _)| *position <= horizon) {
            let event = load::event(store, position).await?;
            inbox.events.push(Candidate {
                position,
                keys,
                id: event.sender_id.unwrap_or_else(|| event.id.to_string()),
                name: event.name,
                ts: event.ts,
                received: event.received,
                data: event.data,
            });
        }
        for (frame, until) in self.due {
            inbox.behind.push((frame, end_at(store, self.low, until).await?));
        }
        Ok(inbox)
    }
}

/// Where the log stood at an instant: the last event that was received no later.
async fn end_at(store: &dyn Store, low: Position, until: Time) -> Result<Position, Error> {
    let last = store.scan(Key::all(Table::Event), true, 1).await?;
    let last = last.first().and_then(|row| row.key.as_event()).map_or(low, |(position, _)| position);
    let (mut low, mut high) = (low, last);
    let mut middle = high;
    while low < high {
        // Events that nobody needs may be gone.
        match load::event_from(store, middle, high).await? {
            Some((found, event)) if event.received <= until => low = found,
            _ => high = Position(middle.0 - 1),
        }
        middle = Position(low.0 + (high.0 - low.0).div_ceil(2));
    }
    Ok(low)
}

fn position(row: &Row) -> Result<Position, Unreadable> {
    row.key.as_inbox().map(|(_, position)| position).ok_or_else(|| Unreadable::new(&row.key, "its key is too short"))
}

async fn waiters(store: &dyn Store, mut delivery: Delivery) -> Result<Waiters, Error> {
    let mut waits = Vec::new();
    while let Some(key) = delivery.keys.last().copied() {
        let mut range = Key::waits_for(key);
        if let Some(from) = delivery.from.take() {
            range.start = from;
        }
        let most = DELIVER_PAGE - waits.len();
        let page = store.scan(range, false, most).await?;
        waits.extend(page.iter().filter_map(|row| row.key.as_wait()));
        match page.last() {
            Some(last) if page.len() == most => {
                delivery.from = Some(last.key.next());
                break;
            }
            _ => drop(delivery.keys.pop()),
        }
    }
    let heads: Vec<Key> = waits.iter().map(|(run, _)| Key::head(*run)).collect();
    let mut found = Vec::with_capacity(waits.len());
    for ((run, frame), head) in waits.into_iter().zip(store.get(&heads).await?) {
        // One whose head is gone waits for nothing.
        let Some(head) = head else { continue };
        found.push((run, frame, rows::split_head(&head)?.position));
    }
    Ok(Waiters { delivery, found })
}

/// Whether a wait that is told begins with it.
pub(super) fn is_wait(fact: &Fact) -> bool {
    matches!(fact, Fact::Waited { .. } | Fact::Started { .. } | Fact::Referred { .. })
}

/// Writes the rows of waits that have just begun: they are there before the run looks at the log, not only when it
/// parks.
pub(super) fn arm(commit: &mut Commit, active: &mut Active, records: &[Record]) {
    let begun = records.iter().filter(|record| is_wait(&record.fact));
    let frames: BTreeSet<FrameId> = begun.map(|record| record.frame).collect();
    if frames.is_empty() {
        return;
    }
    for key in super::commit::told_waits_of(&active.run, Some(&frames)) {
        if active.waits.insert(key.clone()) {
            commit.writes.push(Write::Put(Row { key, value: vec![crate::store::ROW_VERSION] }));
        }
    }
}
