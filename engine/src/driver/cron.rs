//! Cron: each tick of each schedule becomes one event, once, whoever notices it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wf_dsl::{CatchUp, Object, Overlap, Schedule, Time, Trigger, Value};

use super::birth::Births;
use super::offer::{Ruled, decide_with, offers_of, tell};
use super::{Done, Driver, load};
use crate::definition::Definition;
use crate::error::Error;
use crate::ids::{EventId, RunId};
use crate::planted::{Bug, planted};
use crate::rows::{EventRow, from_bytes, to_bytes};
use crate::store::{Commit, CommitError, Key, Receipt, Row, Write};

/// Ticks that wait at most for an earlier run of their schedule to end; more are dropped, and the log says so.
pub const WAITING_TICKS_MAX: usize = 1_000;
/// How far back to look for the last tick of a schedule, in milliseconds: an hour, a day, a month, five years.
const LOOK_BACK: [i64; 4] = [3_600_000, 86_400_000, 32 * 86_400_000, 5 * 366 * 86_400_000];
/// The name of the event that a tick becomes.
pub(crate) const EVENT: &str = "wf.cron";
/// The field of that event that says which instant the tick stands for.
pub(super) const SCHEDULED_AT: &str = "scheduled_at";

/// One schedule of one workflow.
#[derive(Debug, Clone)]
pub(super) struct Line {
    schedule: Arc<Schedule>,
    definition: Arc<Definition>,
    number: u16,
    overlap: Overlap,
    catch_up: CatchUp,
}

/// Where a schedule stands, in its row.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The last tick that was taken.
    last: Time,
    /// The run that the schedule started last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    /// Ticks that wait for that run to end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Time>,
}

/// A tick that was offered to the store.
pub(super) struct Tick {
    id: u32,
    at: Time,
    line: Line,
    /// What the store said, and the run that the tick started.
    taken: Result<(Receipt, Option<Box<Births>>), CommitError>,
}

/// What stands in the way of a schedule's next run.
pub(super) struct Looked {
    id: u32,
    line: Line,
    /// The tick that is due; none if those that wait are looked at.
    tick: Option<Time>,
    /// Where the schedule stands, and whether its last run is open.
    found: Result<(Cursor, bool), Error>,
}

/// What the event of a tick says.
pub(super) fn event_data(tick: Time) -> Value {
    Value::Object(Arc::new(Object::from_iter([(SCHEDULED_AT.to_owned(), Value::Time(tick))])))
}

/// The number of a schedule in the store: of its workflow, its pattern and its zone.
fn number_of(workflow: &str, pattern: &str, timezone: &str) -> u32 {
    let mut hash = Sha256::new();
    for part in [workflow, pattern, timezone] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

impl Driver {
    /// Finds out where each schedule stands, and which ticks were missed.
    pub(super) async fn recover_cron(&mut self) -> Result<(), Error> {
        let now = self.now;
        let store = self.parts.store.clone();
        let mut lines = Vec::new();
        for (number, definition) in self.parts.registry.iter() {
            let workflow = &definition.plan.workflow;
            for trigger in &workflow.triggers {
                let Trigger::Cron { cron, timezone, overlap, catch_up } = trigger else { continue };
                let zone = if planted(Bug::CronInUtc) { "UTC" } else { &timezone.value };
                let Ok(schedule) = Schedule::parse(&cron.value, zone) else { continue };
                let id = number_of(&workflow.name.value, &cron.value, &timezone.value);
                let line = Line {
                    schedule: Arc::new(schedule),
                    definition: definition.clone(),
                    number,
                    overlap: *overlap,
                    catch_up: *catch_up,
                };
                lines.push((id, line));
            }
        }
        for (id, line) in lines {
            let key = Key::cron(id);
            let cursor = match load::one(&*store, key.clone()).await? {
                Some(row) => from_bytes::<Cursor>(&key, &row.value)?,
                None => {
                    // A schedule that is new begins now: it has missed nothing.
                    let cursor = Cursor { last: now, ..Cursor::default() };
                    let put = Write::Put(Row { key, value: to_bytes(&cursor) });
                    store.commit(Commit { writes: vec![put], ..Commit::default() }).await?;
                    cursor
                }
            };
            if !cursor.waiting.is_empty() {
                self.look(id, line.clone(), None);
            }
            self.plan_missed(id, line, cursor.last, now);
        }
        Ok(())
    }

    /// Lines up the first tick after `last`, when nobody was there from then on until now.
    fn plan_missed(&mut self, id: u32, line: Line, last: Time, now: Time) {
        let tick = match line.catch_up {
            CatchUp::None => line.schedule.after(now),
            CatchUp::Last => last_tick(&line.schedule, last, now).or_else(|| line.schedule.after(now)),
            // The others follow one by one.
            CatchUp::All => line.schedule.after(last),
        };
        if let Some(tick) = tick {
            self.cron.insert((tick, id), line);
        }
    }

    /// Lines up the tick after one that was taken.
    fn plan_next(&mut self, id: u32, line: Line, taken: Time) {
        let now = self.now;
        let next = match line.catch_up {
            CatchUp::All => line.schedule.after(taken),
            // While the loop was busy, or the machine asleep, more than one may have come.
            _ => last_tick(&line.schedule, taken, now).or_else(|| line.schedule.after(taken.max(now))),
        };
        if let Some(next) = next {
            self.cron.insert((next, id), line);
        }
    }

    /// Takes the ticks that are due, of each schedule one: the next one is lined up when it is settled.
    pub(super) fn tick(&mut self) {
        while let Some(first) = self.cron.first_entry()
            && first.key().0 <= self.now
        {
            let ((tick, id), line) = first.remove_entry();
            match line.overlap {
                Overlap::Allow => self.take_tick(id, tick, line, Rule::After),
                Overlap::Skip => self.look(id, line, Some(tick)),
                Overlap::Queue => self.decide_tick(id, tick, line, Rule::Queue, Commit::default(), None),
            }
        }
    }

    /// Finds out whether the last run of a schedule is open.
    fn look(&mut self, id: u32, line: Line, tick: Option<Time>) {
        let (store, registry) = (self.parts.store.clone(), self.parts.registry.clone());
        self.spawn(async move {
            let look = async {
                let key = Key::cron(id);
                let cursor = match load::one(&*store, key.clone()).await? {
                    Some(row) => from_bytes::<Cursor>(&key, &row.value)?,
                    None => Cursor::default(),
                };
                let open = match cursor.run {
                    Some(run) => load::load(&*store, &registry, run).await?.is_some_and(|it| !it.run.is_ended()),
                    None => false,
                };
                Ok((cursor, open))
            };
            Done::TickLooked(Box::new(Looked { id, line, tick, found: look.await }))
        });
    }

    pub(super) fn tick_looked(&mut self, looked: Looked) {
        let Looked { id, line, tick, found } = looked;
        match (found, tick) {
            (Ok((_, true)), Some(tick)) => {
                tracing::info!(tick = %tick, "the tick was skipped: an earlier run is open");
                self.decide_tick(id, tick, line, Rule::After, Commit::default(), None);
            }
            (Ok((_, false)), Some(tick)) => self.take_tick(id, tick, line, Rule::After),
            (Ok((cursor, true)), None) => {
                let Some(run) = cursor.run else { return };
                let lines = self.after_end.entry(run).or_default();
                if lines.iter().all(|(other, _)| *other != id) {
                    lines.push((id, line.clone()));
                    // It may have ended after it was read and before this: from now on its end is told here.
                    self.look(id, line, None);
                }
            }
            (Ok((cursor, false)), None) => {
                if let Some(tick) = cursor.waiting.first() {
                    self.take_tick(id, *tick, line, Rule::Waiting { after: cursor.run });
                }
            }
            (Err(error), tick) => {
                tracing::error!(%error, "a schedule's last run cannot be read; its tick was not taken");
                if let Some(tick) = tick {
                    self.plan_next(id, line, tick);
                }
            }
        }
    }

    /// A run has ended, which ticks may have waited for.
    pub(super) fn offer_waiting(&mut self, run: RunId) {
        for (id, line) in self.after_end.remove(&run).unwrap_or_default() {
            self.look(id, line, None);
        }
    }

    fn take_tick(&mut self, id: u32, tick: Time, line: Line, rule: Rule) {
        let now = self.now;
        let digest = Sha256::new().chain_update(id.to_be_bytes()).chain_update(tick.0.to_be_bytes()).finalize();
        let mut event = [0; 12];
        event[..6].copy_from_slice(&tick.0.max(0).to_be_bytes()[2..]);
        event[6..].copy_from_slice(&digest[..6]);
        let row = EventRow {
            ts: tick,
            alone: true,
            ..EventRow::new(EventId(event), EVENT.to_owned(), event_data(tick), now)
        };
        let mut commit = Commit::default();
        let births = self.tick_births(&mut commit, &row, line.number, line.definition.clone());
        self.keep_clock(&mut commit, now);
        self.decide_tick(id, tick, line, rule, commit, Some(births));
    }

    fn decide_tick(
        &mut self,
        id: u32,
        tick: Time,
        line: Line,
        rule: Rule,
        commit: Commit,
        mut births: Option<Box<Births>>,
    ) {
        let run = births.as_ref().and_then(|births| births.first_run());
        let offers = births.as_mut().map(|births| offers_of(&mut births.births)).unwrap_or_default();
        let decided = decide_with(&self.parts.store, vec![Key::cron(id)], offers, commit, move |rows, commit| {
            let key = Key::cron(id);
            let row = rows.get(&key).and_then(Option::as_ref);
            let cursor = row.and_then(|row| from_bytes::<Cursor>(&key, &row.value).ok()).unwrap_or_default();
            let taken = rule.take(cursor, tick, run);
            match &taken {
                Some(cursor) => commit.writes.push(Write::Put(Row { key, value: to_bytes(cursor) })),
                None => *commit = Commit::default(),
            }
            Ruled { answer: taken.is_some().into(), goes_on: taken.is_some() }
        });
        let waited = matches!(rule, Rule::Waiting { .. });
        self.spawn(async move {
            let taken = decided.await.map(|(receipt, taken, verdicts)| {
                let mut births = births.filter(|_| taken == serde_json::Value::Bool(true));
                births.iter_mut().for_each(|births| tell(&mut births.births, verdicts.clone()));
                (receipt, births)
            });
            Done::Ticked(Box::new(Tick { id, at: tick, line, taken }), waited)
        });
    }

    pub(super) fn ticked(&mut self, tick: Tick, waited: bool) {
        let Tick { id, at, line, taken } = tick;
        let queued = line.overlap == Overlap::Queue;
        match taken {
            Ok((receipt, births)) => {
                if let Some(births) = births {
                    self.born(*births, Ok(receipt));
                }
                if queued {
                    self.look(id, line.clone(), None);
                }
            }
            Err(error) => tracing::error!(%error, "a tick was not recorded; it is caught up at the next start"),
        }
        if !waited {
            self.plan_next(id, line, at);
        }
    }
}

/// How a tick is taken.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// It comes after the last one.
    After,
    /// The same, and it waits behind others.
    Queue,
    /// It is the first that waits, and the run before it has ended.
    Waiting { after: Option<RunId> },
}

impl Rule {
    /// Where the schedule stands after a tick, which may have started a run; none if the tick is not to be taken.
    fn take(self, cursor: Cursor, tick: Time, run: Option<RunId>) -> Option<Cursor> {
        let mut cursor = cursor;
        match self {
            Rule::After | Rule::Queue if cursor.last >= tick => return None,
            Rule::After => {
                cursor.last = tick;
                cursor.run = run.or(cursor.run);
            }
            Rule::Queue => {
                cursor.last = tick;
                if cursor.waiting.len() < WAITING_TICKS_MAX {
                    cursor.waiting.push(tick);
                } else {
                    tracing::warn!(tick = %tick, "the tick was dropped: {WAITING_TICKS_MAX} others wait");
                }
            }
            Rule::Waiting { after } => {
                if cursor.waiting.first() != Some(&tick) || cursor.run != after {
                    return None;
                }
                cursor.waiting.remove(0);
                cursor.run = run;
            }
        }
        Some(cursor)
    }
}

/// The last tick after `from` up to `now`, if there is one.
fn last_tick(schedule: &Schedule, from: Time, now: Time) -> Option<Time> {
    let earliest = schedule.after(from).filter(|tick| *tick <= now)?;
    let near = LOOK_BACK.iter().find_map(|back| {
        let start = Time(now.0.saturating_sub(*back)).max(from);
        schedule.after(start).filter(|tick| *tick <= now)
    });
    let first = near.unwrap_or(earliest);
    std::iter::successors(Some(first), |tick| schedule.after(*tick)).take_while(|tick| *tick <= now).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_tick_is_found_however_long_ago_the_first_one_was() {
        for (pattern, last) in [
            ("* * * * *", "2026-06-15T12:00:00Z"),
            ("30 * * * *", "2026-06-15T11:30:00Z"),
            ("0 8 * * *", "2026-06-15T08:00:00Z"),
            ("0 0 1 * *", "2026-06-01T00:00:00Z"),
            ("0 0 29 2 *", "2024-02-29T00:00:00Z"),
        ] {
            let schedule = Schedule::parse(pattern, "UTC").unwrap();
            let now = time("2026-06-15T12:00:30Z");
            assert_eq!(last_tick(&schedule, time("2020-01-01T00:00:00Z"), now), Some(time(last)), "{pattern}");
            assert_eq!(last_tick(&schedule, time(last), now), None, "{pattern}");
        }
    }

    #[test]
    fn no_more_ticks_wait_than_a_row_can_hold() {
        let mut cursor = Cursor::default();
        for n in 1..=WAITING_TICKS_MAX + 5 {
            cursor = Rule::Queue.take(cursor, Time(1_800_000_000_000 + n as i64), None).unwrap();
        }
        assert_eq!(cursor.waiting.len(), WAITING_TICKS_MAX);
        assert!(to_bytes(&cursor).len() <= crate::store::ROW_BYTES_MAX);
        assert!(Rule::Queue.take(cursor.clone(), cursor.last, None).is_none(), "a tick is taken once");
    }
}
