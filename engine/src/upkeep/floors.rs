//! Floors: the lowest position of the log from which an open run may still look, for each signature.

use std::collections::BTreeMap;
use std::ops::Range;

use super::retention::PAGE;
use crate::driver::{load, position};
use crate::error::Error;
use crate::ids::{FrameId, Position};
use crate::registry::Registry;
use crate::rows;
use crate::run::{Frame, Signature, Status};
use crate::store::{InboxKey, Key, Row, Store, Table};

/// The first event that is gathered for a run: that will be born of it or of one behind it, and may look from there.
pub(super) async fn first_gathered(store: &dyn Store) -> Result<Option<Position>, Error> {
    let mut first = None;
    let mut range = Key::all(Table::Gathered);
    loop {
        let page = store.scan(range.clone(), false, PAGE).await?;
        for row in &page {
            let position = position(row)?;
            first = Some(first.map_or(position, |first: Position| first.min(position)));
        }
        match page.last() {
            Some(last) if page.len() == PAGE => range.start = last.key.next(),
            _ => return Ok(first),
        }
        tokio::task::yield_now().await;
    }
}

/// Events below its floor are behind every open run.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    by_signature: BTreeMap<u32, Position>,
    /// A run could not be read: nobody knows what it waits for.
    unknown: bool,
}

impl Floors {
    /// Reads the heads of all runs, page by page. A run that is born meanwhile looks at later events only.
    pub(crate) async fn read(store: &dyn Store, registry: &Registry) -> Result<Floors, Error> {
        let mut floors = Floors::default();
        let mut range = Key::all(Table::Head);
        loop {
            let page = store.scan(range.clone(), false, PAGE).await?;
            for head in &page {
                if let Err(error) = floors.add(store, registry, head).await {
                    tracing::warn!(head = ?head.key, %error, "a run cannot be read, so that events are kept for it");
                    floors.unknown = true;
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => range.start = last.key.next(),
                _ => return Ok(floors),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn add(&mut self, store: &dyn Store, registry: &Registry, head: &Row) -> Result<(), Error> {
        let Some(run) = head.key.as_head() else { return Ok(()) };
        let read = load::head(store, run, head).await?;
        if read.head.status != Status::Open {
            return Ok(());
        }
        let definition = load::definition(store, registry, read.head.plan.0).await?;
        let workflow = &definition.plan.workflow;
        if Signature::declared(workflow).next().is_none() {
            return Ok(());
        }
        let mut cursor = read.root.cursor;
        if read.head.next_frame > 1 {
            let frames: Range<Key> = Key::frame(run, FrameId(0))..Key::frame(run, FrameId(u32::MAX));
            for row in load::scan(store, frames).await? {
                let json = row.value.get(1..).unwrap_or_default().to_vec();
                let json = load::unspill(store, run, load::frame_of(&row.key)?, json).await?;
                let frame: Frame =
                    serde_json::from_slice(&json).map_err(|error| rows::Unreadable::new(&row.key, error))?;
                cursor = cursor.min(frame.cursor);
            }
        }
        let birth = rows::split_head(head)?.position;
        let cancelled_by = read.head.cancel_examined.max(birth);
        for (signature, floor) in Signature::lowest(workflow, birth, cursor.max(birth), cancelled_by) {
            let known = self.by_signature.entry(signature).or_insert(floor);
            *known = floor.min(*known);
        }
        Ok(())
    }

    /// Whether an open run may look for what stands there.
    pub(crate) fn may_need(&self, key: InboxKey, position: Position) -> bool {
        self.unknown || self.by_signature.get(&key.signature).is_some_and(|floor| *floor <= position)
    }
}
