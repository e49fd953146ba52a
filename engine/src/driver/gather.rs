//! What `debounce` and `batch` have gathered starts its run when its time has come.

use std::sync::Arc;

use wf_dsl::{Time, Value};

use super::birth::{Beginning, Births};
use super::load;
use super::offer::{Ruled, decide_with, offers_of, tell};
use super::{Done, Driver};
use crate::definition::Definition;
use crate::error::Error;
use crate::ids::{Position, RunId};
use crate::limits::{self, Flush, GATHERED, Gathering};
use crate::registry::Registry;
use crate::rows::{EventRow, Unreadable};
use crate::run::signature;
use crate::send::Receipt as Sent;
use crate::store::{BornOf, Commit, CommitError, Due, Key, Receipt, Row, Store, read_number};

/// Events that were gathered, as they were read.
pub(super) struct Gathered {
    rows: Gathering,
    /// The definition that took the last one.
    definition: Arc<Definition>,
    /// In the order of the log; none if they are not due yet.
    events: Vec<(Position, EventRow)>,
}

async fn read(store: &dyn Store, registry: &Registry, due: Due, now: Time) -> Result<Option<Box<Gathered>>, Error> {
    // Without a row they have started their run.
    let Some(timer) = load::one(store, Key::timer(due)).await? else { return Ok(None) };
    let limit = load::one(store, Gathering::named_by(&timer)?).await?;
    let mut rows = Gathering::of(due, &timer, limit.as_ref(), now)?;
    let definition = load::definition(store, registry, rows.plan.0).await?;
    let mut events = Vec::new();
    if rows.is_due {
        rows.events = load::scan(store, Key::gathered_of(due.run)).await?;
        for row in &rows.events {
            let position = position(row)?;
            events.push((position, load::event(store, position).await?));
        }
    }
    Ok(Some(Box::new(Gathered { rows, definition, events })))
}

/// The position of an event that is gathered.
pub(crate) fn position(row: &Row) -> Result<Position, Unreadable> {
    read_number(&row.value).map(Position).ok_or_else(|| Unreadable::new(&row.key, "it is not a position"))
}

impl Driver {
    /// An event was gathered: its timer is known, or has moved.
    pub(super) fn gathered(&mut self, first: RunId, due: Option<Time>, before: Option<Time>) {
        let timer = |at: Time| Due { at, run: first, frame: GATHERED };
        before.into_iter().for_each(|at| self.timers.remove(timer(at)));
        due.into_iter().for_each(|at| self.timers.add(timer(at)));
    }

    /// The time of gathered events may have come: they are read.
    pub(super) fn flush(&mut self, due: Due) {
        self.flushing += 1;
        let (store, registry, now) = (self.parts.store.clone(), self.parts.registry.clone(), self.now);
        self.spawn(async move { Done::GatheredRead(due, read(&*store, &registry, due, now).await) });
    }

    /// Gathered events that were read start their run, unless they are not due or not all.
    pub(super) fn gathered_read(&mut self, due: Due, read: Result<Option<Box<Gathered>>, Error>) {
        self.flushing -= 1;
        let Gathered { rows, definition, events } = match read {
            Ok(Some(gathered)) => *gathered,
            Ok(None) => return,
            Err(error) => return tracing::error!(run = %due.run, %error, "gathered events cannot be read"),
        };
        let now = self.now;
        let mut commit = Commit::default();
        let event = events.last().map_or(due.run.event, |(_, row)| row.id);
        let sent = Sent { id: event.to_string(), event, runs: Vec::new(), gathered: false, duplicate: false };
        let mut births = Births::of(Vec::new(), sent, None);
        if let Some((position, row)) = events.last() {
            let plan = &definition.plan;
            let value = |(_, row): &(Position, EventRow)| -> Value {
                let ty = plan.events.get(&row.name).map(|event| &event.data).or_else(|| signature(plan));
                row.trigger(ty).value()
            };
            let beginning = Beginning {
                row,
                born_of: BornOf::Before(*position),
                run: RunId { event: row.id, ..due.run },
                caller: None,
                detached: false,
                gathered: Some(events.iter().map(value).collect()),
                definition,
            };
            births.births.push(self.birth(&mut commit, beginning));
        }
        self.keep_clock(&mut commit, now);
        let offers = offers_of(&mut births.births);
        let decided = decide_with(&self.parts.store, rows.keys(), offers, commit, move |known, commit| {
            let mut writes = Commit::default();
            let flushed = limits::flush(&rows, now, known, &mut writes);
            match flushed {
                Flush::Now => commit.writes.append(&mut writes.writes),
                _ => *commit = writes,
            }
            let answer = serde_json::to_value(flushed).expect("it is JSON");
            Ruled { answer, goes_on: flushed == Flush::Now }
        });
        self.flushing += 1;
        self.spawn(async move {
            let flushed = decided.await.map(|(receipt, answer, verdicts)| {
                tell(&mut births.births, verdicts);
                (receipt, serde_json::from_value(answer).unwrap_or(Flush::Gone))
            });
            Done::Flushed(due, births, flushed)
        });
    }

    pub(super) fn flushed(&mut self, due: Due, births: Births, result: Result<(Receipt, Flush), CommitError>) {
        self.flushing -= 1;
        match result {
            Ok((receipt, Flush::Now)) => self.born(births, Ok(receipt)),
            Ok((_, Flush::Later(at))) => self.timers.add(Due { at, ..due }),
            Ok((_, Flush::Again)) => self.flush(due),
            Ok((_, Flush::Gone)) => {}
            Err(error) => tracing::error!(run = %due.run, %error, "gathered events could not start their run"),
        }
    }
}
