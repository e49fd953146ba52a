//! The event log, newest first.

use serde_json::Value as Json;
use wf_dsl::Time;

use super::{Gathered, Operator, PAGE, Page};
use crate::driver::load;
use crate::error::{Error, ErrorKind};
use crate::ids::{EventId, Position, RunId};
use crate::rows::EventRow;
use crate::store::{Key, Table};

/// Which events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventFilter {
    /// Those of this name.
    pub name: Option<String>,
    /// Those that were received at this time or later.
    pub since: Option<Time>,
    /// Those that were received before this time.
    pub until: Option<Time>,
}

/// An event of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedEvent {
    /// Its place in the log.
    pub position: Position,
    /// The engine's own id of it.
    pub event: EventId,
    /// The id that its sender was answered.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it happened, as its sender says.
    pub ts: Time,
    /// When it was received.
    pub received: Time,
    /// Its data.
    pub data: Json,
    /// The run that sent it.
    pub sent_by: Option<RunId>,
    /// The event that it repeats.
    pub replay_of: Option<EventId>,
    /// The runs that it started.
    pub runs: Vec<RunId>,
    /// What it is gathered for.
    pub gathered: Vec<Gathered>,
}

impl Operator {
    /// At most `most` events, newest first, before `before`.
    ///
    /// # Errors
    /// Whatever the store answers.
    pub async fn events(
        &self,
        filter: &EventFilter,
        before: Option<Position>,
        most: usize,
    ) -> Result<Page<LoggedEvent, Position>, Error> {
        let mut page = Page { items: Vec::new(), next: None };
        let mut log = Backwards::from(before);
        while let Some((position, row)) = log.next(self).await? {
            if filter.since.is_some_and(|since| row.received < since) {
                break;
            }
            let is_wanted = filter.name.as_ref().is_none_or(|name| *name == row.name)
                && filter.until.is_none_or(|until| row.received < until);
            if !is_wanted {
                continue;
            }
            if page.items.len() == most {
                page.next = page.items.last().map(|event: &LoggedEvent| event.position);
                break;
            }
            page.items.push(self.logged(position, row).await?);
        }
        if let (Some(newest), Some(oldest)) = (page.items.first(), page.items.last()) {
            let mut gathered = self.gathered((oldest.position, newest.position)).await?;
            for event in &mut page.items {
                event.gathered = gathered.remove(&event.position).unwrap_or_default();
            }
        }
        Ok(page)
    }

    /// The event with this id: the engine's own, or the one that its sender was answered; of several, the newest.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the log has none, and whatever the store answers.
    pub async fn event(&self, id: &str) -> Result<LoggedEvent, Error> {
        let (position, row) = self.event_row(id).await?;
        let mut event = self.logged(position, row).await?;
        event.gathered = self.gathered((position, position)).await?.remove(&position).unwrap_or_default();
        Ok(event)
    }

    pub(super) async fn event_row(&self, id: &str) -> Result<(Position, EventRow), Error> {
        let own: Option<EventId> = id.parse().ok();
        let mut log = Backwards::from(None);
        while let Some((position, row)) = log.next(self).await? {
            if Some(row.id) == own || row.sender_id.as_deref() == Some(id) {
                return Ok((position, row));
            }
        }
        Err(Error::new(ErrorKind::NotFound, format!("there is no event `{id}`")))
    }

    async fn logged(&self, position: Position, row: EventRow) -> Result<LoggedEvent, Error> {
        let runs: Vec<RunId> = self.workflows().await?.into_keys().map(|workflow| run_of(row.id, workflow)).collect();
        let heads: Vec<Key> = runs.iter().map(|run| Key::head(*run)).collect();
        let found = self.store.get(&heads).await?;
        Ok(LoggedEvent {
            position,
            event: row.id,
            id: row.sender_id.unwrap_or_else(|| row.id.to_string()),
            name: row.name,
            ts: row.ts,
            received: row.received,
            data: row.data.to_json(),
            sent_by: row.sent_by,
            replay_of: row.replay_of,
            runs: runs.into_iter().zip(found).filter_map(|(run, head)| head.map(|_| run)).collect(),
            gathered: Vec::new(),
        })
    }
}

/// The run of a workflow that an event starts.
pub(super) fn run_of(event: EventId, workflow: u16) -> RunId {
    RunId { event, workflow, nth: 0 }
}

/// The log from its end on, in pages.
pub(super) struct Backwards {
    range: std::ops::Range<Key>,
    page: std::vec::IntoIter<(Position, EventRow)>,
    at_end: bool,
}

impl Backwards {
    pub(super) fn from(before: Option<Position>) -> Self {
        let mut range = Key::all(Table::Event);
        if let Some(before) = before {
            range.end = Key::event(before, 0);
        }
        Backwards { range, page: Vec::new().into_iter(), at_end: false }
    }

    pub(super) async fn next(&mut self, operator: &Operator) -> Result<Option<(Position, EventRow)>, Error> {
        while !self.at_end {
            if let Some(event) = self.page.next() {
                return Ok(Some(event));
            }
            let rows = operator.store.scan(self.range.clone(), true, PAGE).await?;
            self.at_end = rows.len() < PAGE;
            if let Some(last) = rows.last() {
                self.range.end = last.key.clone();
            }
            let mut page = Vec::with_capacity(rows.len());
            for row in rows {
                // A long event has several rows; the first of them has its number.
                if let Some((position, 0)) = row.key.as_event() {
                    page.push((position, load::event(&*operator.store, position).await?));
                }
            }
            self.page = page.into_iter();
            if self.at_end {
                break;
            }
        }
        Ok(self.page.next())
    }
}
