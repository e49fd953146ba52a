//! Rooms: how full the slots are and how far the paces have come, in memory, and which lanes wait for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

use wf_dsl::Time;

use super::gate::{Gate, LimitId, Pace, Slot};

/// A lane that waits: by priority, then by the number of its turn.
pub(super) type Waiting = (u8, u64, LaneId);

/// A lane of the queue: its workflow and its gate's number.
pub(super) type LaneId = (u16, u64);

/// What lanes wait for. A room is forgotten when it is empty and nobody waits for it.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    slots: HashMap<LimitId, SlotRoom>,
    paces: HashMap<LimitId, PaceRoom>,
    /// When each pace that is waited for lets the next one through.
    due: BTreeSet<(u64, LimitId)>,
    /// How many paces there are when they are looked through next.
    tidy_at: usize,
}

/// Fewer paces are not looked through.
const PACES_MIN: usize = 1_024;

#[derive(Debug, Default)]
struct SlotRoom {
    taken: u32,
    /// By how many places there are for each: workflows that share a slot may not agree on that.
    waiting: BTreeMap<u32, BTreeSet<Waiting>>,
}

impl SlotRoom {
    fn withdraw(&mut self, limit: u32, lane: &Waiting) {
        if let Some(waiting) = self.waiting.get_mut(&limit) {
            waiting.remove(lane);
            if waiting.is_empty() {
                self.waiting.remove(&limit);
            }
        }
    }

    /// The lane that is next of those for which there is room.
    fn pop(&mut self) -> Option<Waiting> {
        let with_room = self.waiting.range((Excluded(self.taken), Unbounded));
        let (lane, limit) = with_room.filter_map(|(limit, waiting)| Some((*waiting.first()?, *limit))).min()?;
        self.withdraw(limit, &lane);
        Some(lane)
    }
}

#[derive(Debug)]
struct PaceRoom {
    pace: Pace,
    /// The theoretical time of the next arrival, in microseconds.
    arrival_us: u64,
    waiting: BTreeSet<Waiting>,
}

fn micros(time: Time) -> u64 {
    u64::try_from(time.0).unwrap_or(0).saturating_mul(1_000)
}

impl Rooms {
    /// Whether a pace has been looked up in the store.
    pub(super) fn knows(&self, pace: &Pace) -> bool {
        self.paces.contains_key(&pace.of)
    }

    /// Takes note of how far a pace had come.
    pub(super) fn learn(&mut self, pace: Pace, arrival_us: u64) {
        self.paces.entry(pace.of).or_insert_with(|| PaceRoom { pace, arrival_us, waiting: BTreeSet::new() });
    }

    /// Takes a place in everything that a gate asks for; gives how far its pace has come then. If something has no
    /// room, nothing is taken and the lane waits for that.
    pub(super) fn enter(&mut self, gate: &Gate, lane: Waiting, now: Time) -> Option<Option<u64>> {
        let full = |slot: &&Slot| self.slots.get(&slot.of).is_some_and(|room| room.taken >= slot.limit);
        if let Some(slot) = gate.slots.iter().find(full) {
            let Slot { of, limit } = *slot;
            self.slots.entry(of).or_default().waiting.entry(limit).or_default().insert(lane);
            return None;
        }
        let mut arrival = None;
        if let Some(pace) = &gate.pace {
            let room = self.paces.entry(pace.of).or_insert_with(|| PaceRoom {
                pace: *pace,
                arrival_us: 0,
                waiting: BTreeSet::new(),
            });
            let next = pace.next_us(room.arrival_us);
            if next > micros(now) {
                room.pace = *pace;
                room.waiting.insert(lane);
                self.due.insert((next, pace.of));
                return None;
            }
            room.arrival_us = pace.after_claim(room.arrival_us, micros(now));
            arrival = Some(room.arrival_us);
        }
        for slot in &gate.slots {
            self.slots.entry(slot.of).or_default().taken += 1;
        }
        Some(arrival)
    }

    /// Forgets that a lane with this gate waits.
    pub(super) fn withdraw(&mut self, gate: &Gate, lane: &Waiting) {
        for slot in &gate.slots {
            if let Some(room) = self.slots.get_mut(&slot.of) {
                room.withdraw(slot.limit, lane);
            }
        }
        if let Some(room) = gate.pace.as_ref().and_then(|pace| self.paces.get_mut(&pace.of)) {
            room.waiting.remove(lane);
        }
    }

    /// Gives back slots; gives the lanes that are next for them.
    pub(super) fn leave(&mut self, slots: &[LimitId]) -> Vec<Waiting> {
        let mut next = Vec::new();
        for of in slots {
            let Some(room) = self.slots.get_mut(of) else { continue };
            room.taken = room.taken.saturating_sub(1);
            next.extend(room.pop());
            if room.taken == 0 && room.waiting.is_empty() {
                self.slots.remove(of);
            }
        }
        next
    }

    /// The lanes that are next for what a gate asks for and what has room: somebody has just looked at it.
    pub(super) fn next_with_room(&mut self, gate: &Gate) -> Vec<Waiting> {
        if let Some(pace) = &gate.pace
            && let Some(room) = self.paces.get(&pace.of)
            && !room.waiting.is_empty()
        {
            self.due.insert((room.pace.next_us(room.arrival_us), pace.of));
        }
        gate.slots.iter().filter_map(|slot| self.slots.get_mut(&slot.of)?.pop()).collect()
    }

    /// For each pace that lets one through by now, the lane that is next.
    pub(super) fn next_due(&mut self, now: Time) -> Vec<Waiting> {
        let mut freed = Vec::new();
        while let Some((at, of)) = self.due.first().copied()
            && at <= micros(now)
        {
            self.due.pop_first();
            let Some(room) = self.paces.get_mut(&of) else { continue };
            freed.extend(room.waiting.pop_first());
        }
        freed
    }

    /// When the next pace lets somebody through.
    pub(super) fn due(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| Time(i64::try_from(at.div_ceil(1_000)).unwrap_or(i64::MAX)))
    }

    /// Forgets paces that are over and that nobody waits for, when there are many.
    pub(super) fn tidy(&mut self, now: Time) {
        if self.paces.len() >= self.tidy_at.max(PACES_MIN) {
            self.paces.retain(|_, room| !room.waiting.is_empty() || room.arrival_us > micros(now));
            self.tidy_at = 2 * self.paces.len();
        }
    }
}
