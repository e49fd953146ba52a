//! Lanes: the rows of a part of the queue, of which only the front is in memory.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::gate::Gate;
use super::rooms::{LaneId, Waiting};
use super::{Key, ROW_VERSION, Ready, Row, StoreError, Table};

/// How many rows of a workflow's open lane are read at a time, and half of what is kept of them.
const OPEN_PAGE: usize = 256;
/// The same for each gated lane: there may be a hundred thousand.
const GATED_PAGE: usize = 16;
/// How many gated lanes are looked up at a time.
const LANES_PAGE: usize = 256;

/// Reads rows of the store: at most so many, in order.
pub(super) type ReadRows<'a> = &'a dyn Fn(Range<Key>, usize) -> Result<Vec<Row>, StoreError>;

/// The front of a lane.
#[derive(Debug)]
pub(super) struct Lane {
    of: LaneOf,
    /// Rows that may be claimed, all of them before what was not read.
    front: BTreeSet<Key>,
    /// From here on nothing was read; none when the end was reached.
    unread: Option<Key>,
}

/// Which rows a lane has. There may be a million lanes: their keys are made when they are needed.
#[derive(Clone, Copy, Debug)]
enum LaneOf {
    Open(u16),
    Gated(LaneId),
}

impl LaneOf {
    fn rows(self) -> Range<Key> {
        match self {
            LaneOf::Open(workflow) => Key::queue_of(workflow),
            LaneOf::Gated((workflow, lane)) => Key::gated_lane(workflow, lane),
        }
    }

    fn page(self) -> usize {
        match self {
            LaneOf::Open(_) => OPEN_PAGE,
            LaneOf::Gated(_) => GATED_PAGE,
        }
    }
}

impl Lane {
    /// The lane of a workflow's runs that no gate holds; nothing of it was read if it may have rows.
    pub(super) fn open(workflow: u16, may_have_rows: bool) -> Self {
        Lane::new(LaneOf::Open(workflow), may_have_rows)
    }

    fn new(of: LaneOf, may_have_rows: bool) -> Self {
        Lane { of, front: BTreeSet::new(), unread: may_have_rows.then(|| of.rows().start) }
    }

    /// The first row, which is read if none is in memory.
    pub(super) fn first(&mut self, read: ReadRows<'_>) -> Result<Option<Key>, StoreError> {
        while self.front.is_empty()
            && let Some(unread) = &mut self.unread
        {
            let rows = read(unread.clone()..self.of.rows().end, self.of.page())?;
            match rows.last() {
                Some(last) if rows.len() == self.of.page() => *unread = last.key.next(),
                _ => self.unread = None,
            }
            self.front.extend(rows.into_iter().map(|row| row.key));
        }
        Ok(self.front.first().cloned())
    }

    /// Takes note of a row.
    pub(super) fn insert(&mut self, key: Key) {
        if self.unread.as_ref().is_some_and(|unread| key >= *unread) {
            return; // it will be read
        }
        self.front.insert(key);
        if self.front.len() > 2 * self.of.page() {
            self.unread = self.front.pop_last();
        }
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, key: &Key) {
        self.front.remove(key);
    }
}

/// The gated lanes of one workflow.
#[derive(Debug)]
pub(super) struct GatedLanes {
    workflow: u16,
    lanes: HashMap<u64, GatedLane>,
    /// Those that wait for nothing that is known: by priority, then by turn.
    ready: BTreeSet<(u8, u64, u64)>,
    /// Lanes from here on were not looked up yet.
    unread: Option<Range<Key>>,
}

#[derive(Debug)]
struct GatedLane {
    gate: Gate,
    rows: Lane,
    /// Its place among those that are ready; none while it waits for a room.
    ready: Option<(u8, u64)>,
    /// Its place among those that wait for a room.
    waits: Option<(u8, u64)>,
}

impl GatedLanes {
    pub(super) fn new(workflow: u16, may_have_rows: bool) -> Self {
        let unread = may_have_rows.then(|| Key::gated_of(workflow));
        GatedLanes { workflow, lanes: HashMap::new(), ready: BTreeSet::new(), unread }
    }

    /// Takes note of a row; `turn` numbers lanes that begin. If the lane waits for a room and the row goes before those
    /// that it waits for, it has its turn again; gives its gate and where it waited.
    pub(super) fn insert(&mut self, key: Key, value: &[u8], turn: u64) -> Option<(Gate, Waiting)> {
        let (ready, lane, ..) = key.as_gated()?;
        if self.unread.as_ref().is_some_and(|unread| key >= unread.start) {
            return None; // it will be read
        }
        let Some(found) = self.lanes.get_mut(&lane) else {
            let mut rows = Lane::new(LaneOf::Gated((self.workflow, lane)), false);
            rows.insert(key);
            let place = (ready.priority, turn);
            self.ready.insert((place.0, place.1, lane));
            self.lanes.insert(lane, GatedLane { gate: read_gate(value), rows, ready: Some(place), waits: None });
            return None;
        };
        found.rows.insert(key);
        if let Some((priority, turn)) = found.ready.filter(|(priority, _)| ready.priority < *priority) {
            self.ready.remove(&(priority, turn, lane));
            self.ready.insert((ready.priority, turn, lane));
            found.ready = Some((ready.priority, turn));
        }
        let (priority, turn) = found.waits.take_if(|(priority, _)| ready.priority < *priority)?;
        found.ready = Some((ready.priority, turn));
        self.ready.insert((ready.priority, turn, lane));
        Some((found.gate.clone(), (priority, turn, (self.workflow, lane))))
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some((_, lane, ..)) = key.as_gated()
            && let Some(found) = self.lanes.get_mut(&lane)
        {
            found.rows.remove(key);
        }
    }

    /// The lane whose turn it is, with its first row and its gate; without a row it is gone. Otherwise it is not ready
    /// any more: the caller says what becomes of it.
    pub(super) fn next(&mut self, read: ReadRows<'_>) -> Result<Option<(Waiting, Option<Key>, Gate)>, StoreError> {
        while self.ready.is_empty() {
            if !self.look_up(read)? {
                return Ok(None);
            }
        }
        let Some((priority, turn, lane)) = self.ready.pop_first() else { return Ok(None) };
        let Some(found) = self.lanes.get_mut(&lane) else { return Ok(None) };
        found.ready = None;
        let first = found.rows.first(read)?;
        let gate = found.gate.clone();
        if first.is_none() {
            self.lanes.remove(&lane);
        }
        Ok(Some(((priority, turn, (self.workflow, lane)), first, gate)))
    }

    /// Lets a lane have its turn again.
    pub(super) fn make_ready(&mut self, lane: u64, priority: u8, turn: u64) {
        if let Some(found) = self.lanes.get_mut(&lane)
            && found.ready.is_none()
        {
            found.ready = Some((priority, turn));
            found.waits = None;
            self.ready.insert((priority, turn, lane));
        }
    }

    /// Takes note that a lane waits for a room.
    pub(super) fn wait(&mut self, lane: u64, priority: u8, turn: u64) {
        if let Some(found) = self.lanes.get_mut(&lane) {
            found.waits = Some((priority, turn));
        }
    }

    /// Looks up the next lanes; false if there are none.
    fn look_up(&mut self, read: ReadRows<'_>) -> Result<bool, StoreError> {
        let mut found = false;
        for _ in 0..LANES_PAGE {
            let Some(unread) = &mut self.unread else { break };
            let Some(row) = read(unread.clone(), 1)?.pop() else {
                self.unread = None;
                break;
            };
            let Some((ready, lane, order, _)) = row.key.as_gated() else {
                unread.start = row.key.next();
                continue;
            };
            unread.start = Key::gated_lane(self.workflow, lane).end;
            let place = (ready.priority, order.0);
            let rows = Lane::new(LaneOf::Gated((self.workflow, lane)), true);
            self.lanes.insert(lane, GatedLane { gate: read_gate(&row.value), rows, ready: Some(place), waits: None });
            self.ready.insert((place.0, place.1, lane));
            found = true;
        }
        Ok(found)
    }
}

/// The workflows that have rows in a table of the queue.
pub(super) fn workflows_in(table: Table, read: ReadRows<'_>) -> Result<Vec<u16>, StoreError> {
    let mut workflows = Vec::new();
    let mut rest = Key::all(table);
    while let Some(first) = read(rest.clone(), 1)?.pop() {
        let Some((Ready { workflow, .. }, _)) = first.key.queued() else {
            rest.start = first.key.next();
            continue;
        };
        rest.start = match table {
            Table::Gated => Key::gated_of(workflow).end,
            _ => Key::queue_of(workflow).end,
        };
        workflows.push(workflow);
    }
    Ok(workflows)
}

/// The value of a row with a gate.
pub(super) fn gate_value(gate: &Gate) -> Vec<u8> {
    let mut value = vec![ROW_VERSION];
    serde_json::to_writer(&mut value, gate).expect("a gate is JSON");
    value
}

/// The gate of a row; open if it cannot be read, so that its run is not lost.
pub(crate) fn read_gate(value: &[u8]) -> Gate {
    value.get(1..).and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default()
}
