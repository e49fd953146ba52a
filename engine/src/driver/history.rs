//! History: the journal of a run that goes on for years is trimmed at its old end. State is not in it.

use std::collections::BTreeSet;

use super::active::Active;
use super::{Done, Driver, load};
use crate::error::Error;
use crate::ids::RunId;
use crate::rows::{self, Unreadable};
use crate::run::{Blob, Record};
use crate::store::{Commit, Key, Row, Store, Turn, Write};

/// The most records that a run's journal keeps, give or take those of a commit.
pub const HISTORY_RECORDS_MAX: u64 = 10_000;
/// The most bytes that a run's journal keeps, give or take those of a commit.
pub const HISTORY_BYTES_MAX: u64 = 10_000_000;
/// Rows that one commit deletes.
const ROWS: usize = 500;

/// How much of what happened to a run is kept. The records of its birth stay, and those that recovery needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Records: [`HISTORY_RECORDS_MAX`] unless told.
    pub records: u64,
    /// Bytes of records: [`HISTORY_BYTES_MAX`] unless told.
    pub bytes: u64,
}

impl Default for History {
    fn default() -> Self {
        History { records: HISTORY_RECORDS_MAX, bytes: HISTORY_BYTES_MAX }
    }
}

impl History {
    /// What is left of a journal that is trimmed, so that it is not trimmed again at once.
    fn rest(&self) -> History {
        History { records: self.records / 10 * 9, bytes: self.bytes / 10 * 9 }
    }

    fn has_room_for(&self, size: JournalSize) -> bool {
        size.records <= self.records && size.bytes <= self.bytes
    }
}

/// How long a run's journal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct JournalSize {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl JournalSize {
    /// Adds the rows of some writes.
    pub(super) fn add(&mut self, writes: &[Write]) {
        for write in writes {
            if let Write::Append { count, records, .. } = write {
                self.records += u64::from(*count);
                self.bytes += records.len() as u64;
            }
        }
    }
}

/// The journal row, its first record's number, and what it adds to the journal.
fn read(row: &Row) -> Result<(u64, JournalSize, Turn<'_>), Unreadable> {
    let turn = Turn::read(&row.value).zip(row.key.as_journal());
    let (turn, (_, first)) = turn.ok_or_else(|| Unreadable::new(&row.key, "it is not a turn of this format"))?;
    let size = JournalSize { records: u64::from(turn.count), bytes: turn.records.len() as u64 };
    Ok((u64::from(first), size, turn))
}

impl Driver {
    /// Trims a journal that has grown too long, now that its head counts its records.
    pub(super) fn trim(&mut self, id: RunId) {
        let history = self.parts.history;
        let Some(active) = self.active.get_mut(&id) else { return };
        if active.trimming || history.has_room_for(active.journal) {
            return;
        }
        active.trimming = true;
        let (below, kept) = (active.snapshot, kept_blobs(active));
        let store = self.parts.store.clone();
        self.spawn(async move { Done::Trimmed(id, trim(&*store, id, below, history.rest(), kept).await) });
    }

    pub(super) fn trimmed(&mut self, id: RunId, dropped: Result<JournalSize, Error>) {
        let Some(active) = self.active.get_mut(&id) else { return };
        active.trimming = false;
        match dropped {
            Ok(dropped) => {
                active.journal.records = active.journal.records.saturating_sub(dropped.records);
                active.journal.bytes = active.journal.bytes.saturating_sub(dropped.bytes);
            }
            Err(error) => tracing::warn!(run = %id, %error, "the oldest records of a run could not be dropped"),
        }
        self.step(id);
    }
}

/// The large values that must outlive the records that wrote them; none if nobody can say.
fn kept_blobs(active: &mut Active) -> Option<BTreeSet<u32>> {
    // Later holders of an explicit key read the output of the first.
    if active.definition.plan.workflow.steps.iter().any(|step| step.idempotency_key.is_some()) {
        return None;
    }
    let mut kept = BTreeSet::new();
    active.run.each_stored(&mut |stored| kept.extend(stored.blob.map(|blob| blob.first)));
    Some(kept)
}

/// Drops the oldest rows of a journal, all of them before record `below`, with the large values that only they hold.
async fn trim(
    store: &dyn Store,
    run: RunId,
    below: u64,
    rest: History,
    kept: Option<BTreeSet<u32>>,
) -> Result<JournalSize, Error> {
    let rows = load::scan(store, Key::journal(run, 0)..Key::journal(run, u32::MAX)).await?;
    let mut left = JournalSize::default();
    for row in &rows {
        let (_, size, _) = read(row)?;
        left.records += size.records;
        left.bytes += size.bytes;
    }
    let mut dropped = JournalSize::default();
    let mut old = 0;
    for row in &rows {
        let (first, size, _) = read(row)?;
        if rest.has_room_for(left) || first + size.records > below {
            break;
        }
        old += 1;
        left.records -= size.records;
        left.bytes -= size.bytes;
        dropped.records += size.records;
        dropped.bytes += size.bytes;
    }
    let (old, young) = rows.split_at(old);
    let mut gone: Vec<Key> = old.iter().map(|row| row.key.clone()).collect();
    if let Some(mut kept) = kept {
        let blobs = blobs(old)?;
        if !blobs.is_empty() {
            kept.extend(self::blobs(young)?.iter().map(|blob| blob.first));
        }
        let blobs = blobs.into_iter().filter(|blob| !kept.contains(&blob.first));
        gone.extend(blobs.flat_map(|blob| rows::chunk_keys(run, blob.first, blob.bytes)));
    }
    for keys in gone.chunks(ROWS) {
        let writes = keys.iter().cloned().map(Write::Delete).collect();
        store.commit(Commit { writes, ..Commit::default() }).await?;
    }
    Ok(dropped)
}

/// The large values that the records of these rows have.
fn blobs(rows: &[Row]) -> Result<Vec<Blob>, Unreadable> {
    const MARK: &[u8] = b"\"$blob\"";
    let mut blobs = Vec::new();
    for row in rows {
        let (_, _, turn) = read(row)?;
        if turn.records.windows(MARK.len()).any(|bytes| bytes == MARK) {
            let records: Vec<Record> = rows::read_records(&row.key, turn.records)?;
            records.iter().for_each(|record| record.fact.each_stored(&mut |stored| blobs.extend(stored.blob)));
        }
    }
    Ok(blobs)
}
