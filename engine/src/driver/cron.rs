//! Cron: each tick of each schedule becomes one event, once, whoever notices it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wf_dsl::{CatchUp, Object, Overlap, Schedule, Time, Trigger, Value};

use super::birth::Births;
use super::{Done, Driver, load};
use crate::definition::Definition;
use crate::error::Error;
use crate::ids::{EventId, RunId};
use crate::rows::{EventRow, from_bytes, to_bytes};
use crate::store::{Commit, CommitError, Key, Receipt, Row, Write};

/// Ticks that are caught up at once after a time when nobody was there.
pub const CATCH_UP_MAX: usize = 10_000;
/// The name of the event that a tick becomes.
pub(super) const EVENT: &str = "wf.cron";
/// The field of that event that says which instant the tick stands for.
const SCHEDULED_AT: &str = "scheduled_at";

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
struct Cursor {
    /// The last tick that was taken.
    last: Time,
    /// The run that it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
}

/// A tick that was offered to the store.
pub(super) struct Tick {
    births: Option<Box<Births>>,
    receipt: Receipt,
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
                let Ok(schedule) = Schedule::parse(&cron.value, &timezone.value) else { continue };
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
            self.plan_ticks(id, line, cursor.last, now);
        }
        Ok(())
    }

    /// Lines up the ticks after `last`: those that were missed as the schedule says, then the next one.
    fn plan_ticks(&mut self, id: u32, line: Line, last: Time, now: Time) {
        let missed: Vec<Time> = std::iter::successors(line.schedule.after(last), |tick| line.schedule.after(*tick))
            .take_while(|tick| *tick <= now)
            .take(CATCH_UP_MAX)
            .collect();
        let next = line.schedule.after(missed.last().copied().unwrap_or(last).max(now));
        let taken: &[Time] = match line.catch_up {
            CatchUp::None => &[],
            CatchUp::Last => missed.last().map(std::slice::from_ref).unwrap_or_default(),
            CatchUp::All => &missed,
        };
        for tick in taken.iter().copied().chain(next) {
            self.cron.insert((tick, id), line.clone());
        }
    }

    /// Takes the ticks that are due.
    pub(super) fn tick(&mut self) {
        let now = self.now;
        while let Some((&(tick, id), _)) = self.cron.first_key_value()
            && tick <= now
        {
            let Some(line) = self.cron.remove(&(tick, id)) else { return };
            let planned = self.cron.keys().any(|(_, other)| *other == id);
            if !planned && let Some(next) = line.schedule.after(tick.max(now)) {
                self.cron.insert((next, id), line.clone());
            }
            self.offer(id, tick, line);
        }
    }

    /// Offers a tick to the store, unless an earlier run is open and the schedule does not allow two.
    fn offer(&mut self, id: u32, tick: Time, line: Line) {
        if line.overlap == Overlap::Allow {
            return self.take_tick(id, tick, &line);
        }
        let (store, registry) = (self.parts.store.clone(), self.parts.registry.clone());
        self.spawn(async move {
            let open = async {
                let key = Key::cron(id);
                let Some(row) = load::one(&*store, key.clone()).await? else { return Ok(None) };
                let Some(run) = from_bytes::<Cursor>(&key, &row.value)?.run else { return Ok(None) };
                let loaded = load::load(&*store, &registry, run).await?;
                Ok(loaded.filter(|loaded| !loaded.run.is_ended()).map(|_| run))
            };
            Done::TickLooked(id, tick, Box::new(line), open.await)
        });
    }

    pub(super) fn tick_looked(&mut self, id: u32, tick: Time, line: Line, open: Result<Option<RunId>, Error>) {
        match open {
            Ok(None) => self.take_tick(id, tick, &line),
            Ok(Some(_)) if line.overlap == Overlap::Skip => {
                tracing::info!(tick = %tick, "the tick was skipped: an earlier run is open");
                self.decide_tick(id, tick, Commit::default(), None);
            }
            Ok(Some(run)) => self.after_end.entry(run).or_default().push((id, tick, line)),
            Err(error) => tracing::error!(%error, "a schedule's last run cannot be read; its tick was not taken"),
        }
    }

    /// Ticks that waited for this run's end are offered again.
    pub(super) fn offer_waiting(&mut self, run: RunId) {
        for (id, tick, line) in self.after_end.remove(&run).unwrap_or_default() {
            self.offer(id, tick, line);
        }
    }

    fn take_tick(&mut self, id: u32, tick: Time, line: &Line) {
        let now = self.now;
        let digest = Sha256::new().chain_update(id.to_be_bytes()).chain_update(tick.0.to_be_bytes()).finalize();
        let mut event = [0; 12];
        event[..6].copy_from_slice(&tick.0.max(0).to_be_bytes()[2..]);
        event[6..].copy_from_slice(&digest[..6]);
        let row = EventRow {
            id: EventId(event),
            sender_id: None,
            name: EVENT.to_owned(),
            ts: tick,
            received: now,
            data: event_data(tick),
            sent_by: None,
            origin: None,
        };
        let mut commit = Commit::default();
        let births = self.tick_births(&mut commit, &row, line.number, line.definition.clone());
        self.keep_clock(&mut commit, now);
        self.decide_tick(id, tick, commit, Some(births));
    }

    fn decide_tick(&mut self, id: u32, tick: Time, commit: Commit, births: Option<Box<Births>>) {
        let key = Key::cron(id);
        let run = births.as_ref().and_then(|births| births.first_run());
        let decided = self.parts.store.decide(
            vec![key.clone()],
            Box::new(move |rows| {
                let row = rows.get(&key).and_then(Option::as_ref);
                let cursor = row.and_then(|row| from_bytes::<Cursor>(&key, &row.value).ok()).unwrap_or_default();
                if cursor.last >= tick {
                    return (Commit::default(), serde_json::Value::Bool(false));
                }
                let mut commit = commit.clone();
                let cursor = Cursor { last: tick, run: run.or(cursor.run) };
                commit.writes.push(Write::Put(Row { key: key.clone(), value: to_bytes(&cursor) }));
                (commit, serde_json::Value::Bool(true))
            }),
        );
        self.spawn(async move {
            Done::Ticked(decided.await.map(|(receipt, taken)| Tick {
                births: births.filter(|_| taken == serde_json::Value::Bool(true)),
                receipt,
            }))
        });
    }

    pub(super) fn ticked(&mut self, tick: Result<Tick, CommitError>) {
        match tick {
            Ok(Tick { births: Some(births), receipt }) => self.born(*births, Ok(receipt)),
            Ok(Tick { births: None, .. }) => {}
            Err(error) => tracing::error!(%error, "a tick was not recorded; it is caught up at the next start"),
        }
    }
}
