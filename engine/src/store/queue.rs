//! Which runnable run is next, and which are taken: in memory, over the rows of the queue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

use wf_dsl::Time;

use super::backlog::Backlog;
use super::gate::{LimitId, PACE_RULE};
use super::lanes::{GatedLanes, Lane, ReadRows, workflows_in};
use super::layout::read_number;
use super::rooms::{Rooms, Waiting};
use super::{Claim, Claims, Fence, Key, Ready, Row, StoreError, Table};
use crate::ids::RunId;

/// The queue's front and the claims. Of each lane it holds two pages at most, however long the lane is, and reads each
/// row once; rows that arrive before what was read are told to it by [`Queue::changed`].
///
/// Claims end with the process, as does the one worker that can hold them, and with them the slots that they occupy.
#[derive(Debug, Default)]
pub(super) struct Queue {
    workflows: BTreeMap<u16, Lanes>,
    /// The workflow that was served last; the next one has its turn.
    served: u16,
    claims: HashMap<RunId, Held>,
    rooms: Rooms,
    /// Workflows whose runs do not begin.
    paused: BTreeSet<u16>,
    /// Lanes that stand still because their workflow is paused.
    standing: Vec<Waiting>,
    /// A lane has got its turn, maybe one of a workflow that was just looked at.
    roused: bool,
    /// Numbers the turns of lanes.
    turns: u64,
    backlog: Backlog,
}

/// What one workflow has in the queue.
#[derive(Debug)]
struct Lanes {
    open: Lane,
    gated: GatedLanes,
}

/// A claimed run.
#[derive(Debug, Default)]
struct Held {
    /// Its rows in the queue: none once it is parked or has ended.
    rows: BTreeSet<Key>,
    /// What it occupies.
    slots: Vec<LimitId>,
}

/// How many lanes that have no room one look at the queue passes over, so that it does not take long.
const LOOKED_AT_MAX: usize = 1_024;

/// One look at the queue.
struct Glance<'a> {
    now: Time,
    /// How many lanes without room it may still pass over.
    left: usize,
    read: ReadRows<'a>,
}

/// What one look at the queue gave.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    pub(super) runs: Vec<Taken>,
    /// It was given up before the end: another look may give more.
    pub(super) more: bool,
}

/// A run that was taken out of the queue.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) run: RunId,
    pub(super) row: Key,
    /// It came through a gate.
    pub(super) passed: bool,
    /// How far its pace has come.
    pub(super) pace: Option<(LimitId, u64)>,
}

impl Queue {
    /// A queue over the rows that a store has at its start.
    pub(super) fn open(read: ReadRows<'_>) -> Result<Self, StoreError> {
        let mut queue = Queue { turns: u64::MAX / 2, ..Queue::default() };
        let open = workflows_in(Table::Queue, read)?;
        let gated = workflows_in(Table::Gated, read)?;
        for workflow in open.iter().chain(&gated).copied() {
            let lanes = Lanes {
                open: Lane::open(workflow, open.contains(&workflow)),
                gated: GatedLanes::new(workflow, gated.contains(&workflow)),
            };
            queue.workflows.insert(workflow, lanes);
        }
        let paused = read(Key::all_paused(), usize::from(u16::MAX))?;
        queue.paused = paused.iter().filter_map(|row| row.key.as_paused()).collect();
        Ok(queue)
    }

    /// Takes at most `most` runs: one workflow after the other, in each one lane after the other, by priority and order.
    fn claim(&mut self, most: usize, now: Time, read: ReadRows<'_>) -> Result<Claimed, StoreError> {
        self.rooms.tidy(now);
        let mut claimed = Claimed::default();
        let mut glance = Glance { now, left: LOOKED_AT_MAX, read };
        let (mut idle, mut looked_at) = (0, self.served);
        while claimed.runs.len() < most && idle < self.workflows.len() && glance.left > 0 {
            let behind = self.workflows.range((Excluded(looked_at), Unbounded)).next();
            let Some((&workflow, _)) = behind.or_else(|| self.workflows.iter().next()) else { break };
            looked_at = workflow;
            idle += 1;
            self.roused = false;
            if let Some(run) = self.pop(workflow, &mut glance)? {
                claimed.runs.push(run);
                (idle, self.served) = (0, workflow);
            } else if self.roused {
                idle = 0;
            }
        }
        claimed.more = glance.left == 0;
        Ok(claimed)
    }

    /// What [`Store::claim`](super::Store::claim) gives.
    pub(super) fn claims(
        &mut self,
        most: usize,
        now: Time,
        read: ReadRows<'_>,
        look_at: &dyn Fn(RunId) -> Result<(u64, Option<Row>), StoreError>,
    ) -> Result<Claims, StoreError> {
        let Claimed { runs, more } = self.claim(most, now, read)?;
        let claim = |Taken { run, row, passed, pace }| {
            let (version, head) = look_at(run)?;
            Ok(Claim { run, fence: Fence { version, epoch: 0 }, row, passed, pace, rows: head.into_iter().collect() })
        };
        let runs = runs.into_iter().map(claim).collect::<Result<_, StoreError>>()?;
        Ok(Claims { runs, more, due: self.rooms.due() })
    }

    /// Takes the next run of a workflow.
    fn pop(&mut self, workflow: u16, glance: &mut Glance<'_>) -> Result<Option<Taken>, StoreError> {
        let Some(lanes) = self.workflows.get_mut(&workflow) else { return Ok(None) };
        while let Some(key) = lanes.open.first(glance.read)? {
            let is_new = key.as_queue().is_some_and(|(ready, ..)| !ready.is_woken());
            if is_new && self.paused.contains(&workflow) {
                break;
            }
            lanes.open.remove(&key);
            self.backlog.take(&key);
            let Some((_, _, run)) = key.as_queue() else { continue };
            let fresh = !self.claims.contains_key(&run);
            self.claims.entry(run).or_default().rows.insert(key.clone());
            if fresh {
                return Ok(Some(Taken { run, row: key, passed: false, pace: None }));
            }
        }
        self.pop_gated(workflow, glance)
    }

    fn pop_gated(&mut self, workflow: u16, glance: &mut Glance<'_>) -> Result<Option<Taken>, StoreError> {
        let Glance { now, read, .. } = *glance;
        while glance.left > 0 {
            let due = self.rooms.next_due(now);
            self.make_ready(due);
            let Some(lanes) = self.workflows.get_mut(&workflow) else { break };
            let Some((waiting, key, gate)) = lanes.gated.next(read)? else { break };
            let (priority, turn, (_, lane)) = waiting;
            let Some((key, (ready, .., run))) = key.and_then(|key| Some((key.clone(), key.as_gated()?))) else {
                // Its last run was cancelled while it waited: what it was let through for is for others.
                let next = self.rooms.next_with_room(&gate);
                self.make_ready(next);
                continue;
            };
            if priority < ready.priority {
                // The row that it was to have its turn for is gone, and others may be before the one that is next.
                lanes.gated.make_ready(lane, ready.priority, turn);
                let next = self.rooms.next_with_room(&gate);
                self.make_ready(next);
                glance.left -= 1;
                continue;
            }
            let waiting = (ready.priority, turn, (workflow, lane));
            self.turns += 1;
            if self.paused.contains(&workflow) && !ready.is_woken() {
                self.standing.push(waiting);
                continue;
            }
            if self.claims.contains_key(&run) {
                lanes.gated.remove(&key);
                self.backlog.take(&key);
                self.claims.entry(run).or_default().rows.insert(key);
                lanes.gated.make_ready(lane, ready.priority, turn);
                continue;
            }
            if let Some(pace) = gate.pace.filter(|pace| !self.rooms.knows(pace)) {
                let row = Key::limit(PACE_RULE, pace.of);
                let row = read(row.clone()..row.next(), 1)?.pop();
                self.rooms.learn(pace, row.and_then(|row| read_number(&row.value)).unwrap_or(0));
            }
            let entered = self.rooms.enter(&gate, waiting, now);
            if entered.is_some() {
                lanes.gated.remove(&key);
                self.backlog.take(&key);
                lanes.gated.make_ready(lane, ready.priority, self.turns);
                let slots: Vec<LimitId> = gate.slots.iter().map(|slot| slot.of).collect();
                self.claims.insert(run, Held { rows: BTreeSet::from([key.clone()]), slots });
            } else {
                lanes.gated.wait(lane, ready.priority, turn);
                glance.left -= 1;
            }
            // Whoever waits for something of this gate that has room is next to look.
            let next = self.rooms.next_with_room(&gate);
            self.make_ready(next);
            if let Some(arrival) = entered {
                let pace = gate.pace.zip(arrival).map(|(pace, arrival)| (pace.of, arrival));
                return Ok(Some(Taken { run, row: key, passed: true, pace }));
            }
        }
        Ok(None)
    }

    fn make_ready(&mut self, lanes: Vec<Waiting>) {
        for (priority, turn, (workflow, lane)) in lanes {
            if let Some(lanes) = self.workflows.get_mut(&workflow) {
                lanes.gated.make_ready(lane, priority, turn);
                self.roused = true;
            }
        }
    }

    /// Marks a run as taken by whoever made it.
    pub(super) fn take(&mut self, run: RunId) {
        self.claims.entry(run).or_default();
    }

    /// Whether a row means something to the queue.
    pub(super) fn concerns(key: &Key) -> bool {
        match key.as_bytes().first() {
            Some(&letter) if [Table::Queue, Table::Gated, Table::Line].iter().any(|table| *table as u8 == letter) => {
                true
            }
            Some(&letter) => letter == Table::Meta as u8 && key.as_paused().is_some(),
            None => false,
        }
    }

    /// Takes note of rows that [concern](Queue::concerns) it, and that were put or deleted.
    pub(super) fn changed<'a>(&mut self, rows: impl Iterator<Item = (&'a Key, Option<&'a [u8]>)>) {
        for (key, value) in rows {
            if let Some(workflow) = key.as_paused() {
                self.pause(workflow, value.is_some());
                continue;
            }
            let Some((Ready { workflow, .. }, run)) = key.queued() else {
                // It stands behind another run.
                if value.is_some() {
                    self.backlog.add(key)
                } else {
                    self.backlog.take(key)
                }
                continue;
            };
            match (self.claims.get_mut(&run), value) {
                (Some(claim), Some(_)) => {
                    claim.rows.insert(key.clone());
                }
                (Some(claim), None) => {
                    claim.rows.remove(key);
                }
                (None, Some(value)) => self.insert(workflow, key.clone(), value),
                (None, None) => {
                    self.backlog.take(key);
                    if let Some(lanes) = self.workflows.get_mut(&workflow) {
                        lanes.open.remove(key);
                        lanes.gated.remove(key);
                    }
                }
            }
        }
    }

    fn insert(&mut self, workflow: u16, key: Key, value: &[u8]) {
        self.turns += 1;
        self.backlog.add(&key);
        let none = || Lanes { open: Lane::open(workflow, false), gated: GatedLanes::new(workflow, false) };
        let lanes = self.workflows.entry(workflow).or_insert_with(none);
        match key.as_gated() {
            Some((ready, lane, ..)) => {
                if let Some((gate, waited)) = lanes.gated.insert(key, value, self.turns) {
                    self.rooms.withdraw(&gate, &waited);
                }
                // What stands still because its workflow is paused does not hold up a run that has begun.
                let stands = self.standing.iter().position(|(.., stands)| *stands == (workflow, lane));
                if let Some(at) = stands.filter(|_| ready.is_woken()) {
                    self.standing.swap_remove(at);
                    lanes.gated.make_ready(lane, ready.priority, self.turns);
                }
            }
            None => lanes.open.insert(key),
        }
    }

    fn pause(&mut self, workflow: u16, paused: bool) {
        if paused {
            self.paused.insert(workflow);
        } else if self.paused.remove(&workflow) {
            let (again, still): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.standing).into_iter().partition(|(.., (of, _))| *of == workflow);
            self.standing = still;
            // Better rows may have come meanwhile: where each lane belongs is seen when it is looked at.
            self.make_ready(again.into_iter().map(|(_, turn, lane)| (Ready::WOKEN, turn, lane)).collect());
        }
    }

    /// Gives a run back; true if anything can be claimed because of it.
    pub(super) fn release(&mut self, run: RunId, read: ReadRows<'_>) -> bool {
        let Some(Held { rows, slots }) = self.claims.remove(&run) else { return false };
        let changed = !rows.is_empty() || !slots.is_empty();
        for key in rows {
            let Some((Ready { workflow, .. }, _)) = key.queued() else { continue };
            let value = read(key.clone()..key.next(), 1).ok().and_then(|mut rows| rows.pop()).map(|row| row.value);
            self.insert(workflow, key, &value.unwrap_or_default());
        }
        let next = self.rooms.leave(&slots);
        self.make_ready(next);
        changed
    }

    /// What [`Store::backlog`](super::Store::backlog) gives.
    pub(super) fn backlog(&mut self, read: ReadRows<'_>) -> u64 {
        let claims = &self.claims;
        let is_taken = |key: &Key| key.queued().is_some_and(|(_, run)| claims.contains_key(&run));
        self.backlog.look(read, is_taken).unwrap_or(0)
    }

    /// Whether a run is taken.
    pub(super) fn holds(&self, run: RunId) -> bool {
        self.claims.contains_key(&run)
    }
}
