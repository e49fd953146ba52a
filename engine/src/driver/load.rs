//! Loading: a run put together from its rows, as it stood after its last durable record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::value::RawValue;
use wf_dsl::{Plan, PlanHash, Time, Value};

use super::history::JournalSize;
use crate::definition::Definition;
use crate::error::Error;
use crate::ids::{FrameId, Position, RunId};
use crate::registry::Registry;
use crate::rows::{self, EventRow, Unreadable};
use crate::run::{Blob, Frame, Run};
use crate::store::{CHUNK_BYTES, Claim, Key, Row, Store, Turn};

/// The most rows of one read.
const PAGE: usize = 1_000;

/// A run as it was read.
pub(crate) struct Loaded {
    pub(crate) run: Run,
    pub(crate) definition: Arc<Definition>,
    /// The records of its birth, kept in its head.
    pub(crate) birth: Box<RawValue>,
    /// The version at which its head and frame rows were written.
    pub(crate) snapshot: u64,
    /// How long its journal is.
    pub(crate) journal: JournalSize,
    /// The timer rows that were written then.
    pub(crate) timers: BTreeMap<FrameId, Time>,
    /// Its rows for what it waited for then.
    pub(crate) waits: BTreeSet<Key>,
    /// The run at the origin of the chain that led to it.
    pub(crate) origin: Option<RunId>,
    /// It came of an event about a run.
    pub(crate) quiet: bool,
}

/// The rows of a run, all of one moment.
struct RunRows {
    head: Row,
    /// What the head holds, and each frame.
    head_json: Vec<u8>,
    frames: BTreeMap<FrameId, (Key, Vec<u8>)>,
    /// The records since the head was written.
    records: Vec<crate::run::Record>,
    /// How long those are.
    behind: JournalSize,
}

/// What is known of a run before it is read.
#[derive(Default)]
pub(crate) struct Known {
    /// It has not begun.
    is_new: bool,
    rows: Vec<Row>,
}

impl Known {
    /// What a claim tells.
    pub(crate) fn from_claim(claim: &mut Claim) -> Self {
        Known { is_new: claim.fence.version == 0, rows: std::mem::take(&mut claim.rows) }
    }

    /// A row that is known or read. What is known is old the second time.
    async fn one(&mut self, store: &dyn Store, key: Key) -> Result<Option<Row>, Error> {
        match self.rows.iter().position(|row| row.key == key) {
            Some(at) => Ok(Some(self.rows.swap_remove(at))),
            None => one(store, key).await,
        }
    }
}

/// Reads the rows of a run; none if there is no such run.
async fn read_rows(store: &dyn Store, id: RunId, known: &mut Known) -> Result<Option<RunRows>, Error> {
    let Some(mut head) = known.one(store, Key::head(id)).await? else { return Ok(None) };
    loop {
        let crate::store::Head { records: snapshot, json, .. } = rows::split_head(&head)?;
        let head_json = unspill(store, id, FrameId::ROOT, json.to_vec()).await;
        let (records, behind) = match snapshot {
            0 if !known.is_new => journal_from(store, id, snapshot).await?,
            _ => Default::default(),
        };
        if snapshot == 0 && records.is_empty() {
            // There is nothing else of a run that has not begun. There may be a million of them in the queue.
            return Ok(Some(RunRows { head_json: head_json?, frames: BTreeMap::new(), records, behind, head }));
        }
        let frames = read_frames(store, id).await;
        let behind = journal_from(store, id, snapshot).await;
        // Head and frames are written together. Whoever reads them while the run goes on may see a part of each.
        match one(store, Key::head(id)).await? {
            Some(again) if again.value != head.value => head = again,
            Some(_) => {
                let (records, behind) = behind?;
                return Ok(Some(RunRows { head_json: head_json?, frames: frames?, records, behind, head }));
            }
            None => return Ok(None),
        }
    }
}

async fn read_frames(store: &dyn Store, id: RunId) -> Result<BTreeMap<FrameId, (Key, Vec<u8>)>, Error> {
    let mut frames = BTreeMap::new();
    for row in scan(store, Key::frame(id, FrameId(0))..Key::frame(id, FrameId(u32::MAX))).await? {
        let frame = frame_of(&row.key)?;
        let json = row.value.get(1..).unwrap_or_default().to_vec();
        frames.insert(frame, (row.key, unspill(store, id, frame, json).await?));
    }
    Ok(frames)
}

/// Reads a run; none if there is no such run.
pub(crate) async fn load(store: &dyn Store, registry: &Registry, id: RunId) -> Result<Option<Box<Loaded>>, Error> {
    load_known(store, registry, id, Known::default()).await
}

/// Reads what is not known of a run.
pub(crate) async fn load_known(
    store: &dyn Store,
    registry: &Registry,
    id: RunId,
    mut known: Known,
) -> Result<Option<Box<Loaded>>, Error> {
    let Some(RunRows { head, head_json, frames, records, behind }) = read_rows(store, id, &mut known).await? else {
        return Ok(None);
    };
    let crate::store::Head { position, records: snapshot, .. } = rows::split_head(&head)?;
    let read = rows::read_head(&head.key, &head_json)?;
    let definition = definition(store, registry, read.head.plan.0).await?;
    let frame = |(id, (key, json)): (FrameId, (Key, Vec<u8>))| {
        let frame: Frame = serde_json::from_slice(&json).map_err(|error| Unreadable::new(&key, error))?;
        Ok::<_, Unreadable>((id, frame))
    };
    let frames = frames.into_iter().map(frame).collect::<Result<_, _>>()?;
    let event = event_known(store, position, &mut known).await?;
    let ty =
        definition.plan.events.get(&event.name).map(|event| &event.data).or(definition.plan.workflow.input.as_ref());
    let JournalSize { records: before, bytes } = read.journal;
    let journal = JournalSize { records: before + behind.records, bytes: bytes + behind.bytes };
    let (trigger, birth) = (Arc::new(event.trigger(ty)), read.birth.clone());
    let mut run = rows::assemble(id, trigger, position, snapshot, read, frames);
    let timers = run.timers().collect();
    let mut waits: BTreeSet<Key> = super::commit::waits_of(&run).collect();
    for record in &records {
        run.apply(record);
        if super::inbox::is_wait(&record.fact) {
            // A wait has its rows before the frame has.
            waits.extend(super::commit::told_waits_of(&run, Some(&BTreeSet::from([record.frame]))));
        }
    }
    fill_blobs(store, &mut run).await?;
    run.weigh();
    Ok(Some(Box::new(Loaded {
        run,
        definition,
        birth,
        snapshot,
        journal,
        timers,
        waits,
        origin: event.origin,
        quiet: event.quiet,
    })))
}

/// What a head row holds.
pub(crate) async fn head(store: &dyn Store, id: RunId, row: &Row) -> Result<rows::ReadHead, Error> {
    let crate::store::Head { json, .. } = rows::split_head(row)?;
    let json = unspill(store, id, FrameId::ROOT, json.to_vec()).await?;
    Ok(rows::read_head(&row.key, &json)?)
}

/// The records of a run's journal from number `from` on, none of which may be missing, and how long they are.
async fn journal_from(
    store: &dyn Store,
    id: RunId,
    from: u64,
) -> Result<(Vec<crate::run::Record>, JournalSize), Error> {
    let (records, size, first) = journal(store, id, from).await?;
    if first.is_some_and(|first| first != from) {
        return Err(Unreadable::new(&Key::head(id), format!("its journal lacks record {from}")).into());
    }
    Ok((records, size))
}

/// The records of a run's journal from number `from` on, how long they are, and the number of the first.
pub(crate) async fn journal(
    store: &dyn Store,
    id: RunId,
    from: u64,
) -> Result<(Vec<crate::run::Record>, JournalSize, Option<u64>), Error> {
    let first = u32::try_from(from).unwrap_or(u32::MAX);
    let (mut records, mut size, mut begins) = (Vec::new(), JournalSize::default(), None);
    for row in scan(store, Key::journal(id, first)..Key::journal(id, u32::MAX)).await? {
        let turn =
            Turn::read(&row.value).ok_or_else(|| Unreadable::new(&row.key, "it is not a turn of this format"))?;
        let number = row.key.as_journal().map(|(_, number)| u64::from(number));
        let begins = *begins.get_or_insert(number.unwrap_or(from));
        if number != Some(begins + size.records) {
            return Err(Unreadable::new(&row.key, "the records before it are missing").into());
        }
        size.records += u64::from(turn.count);
        size.bytes += turn.records.len() as u64;
        records.extend(rows::read_records(&row.key, turn.records)?);
    }
    Ok((records, size, begins))
}

/// The event at a position.
pub(crate) async fn event(store: &dyn Store, position: Position) -> Result<EventRow, Error> {
    event_known(store, position, &mut Known::default()).await
}

async fn event_known(store: &dyn Store, position: Position, known: &mut Known) -> Result<EventRow, Error> {
    let first = Key::event(position, 0);
    let mut parts: Vec<Row> = known.one(store, first.clone()).await?.into_iter().collect();
    if parts.iter().any(|part| part.value.len() >= CHUNK_BYTES) {
        parts.extend(scan(store, Key::event(position, 1)..Key::event(position, u16::MAX)).await?);
    }
    let bytes = crate::store::join(parts.iter().map(|row| row.value.as_slice()));
    match bytes {
        Some(bytes) => Ok(EventRow::read(&first, &bytes)?),
        None => Err(Unreadable::new(&first, "it is missing").into()),
    }
}

/// The first event at a position or behind it, up to another one.
pub(crate) async fn event_from(
    store: &dyn Store,
    from: Position,
    to: Position,
) -> Result<Option<(Position, EventRow)>, Error> {
    let first = store.scan(Key::event(from, 0)..Key::event(to, u16::MAX), false, 1).await?;
    match first.first().and_then(|row| row.key.as_event()) {
        Some((position, _)) => Ok(Some((position, event(store, position).await?))),
        None => Ok(None),
    }
}

/// The definition with this hash, from the registry or from the store.
pub(crate) async fn definition(
    store: &dyn Store,
    registry: &Registry,
    hash: PlanHash,
) -> Result<Arc<Definition>, Error> {
    if let Some(definition) = registry.pinned(&hash) {
        return Ok(definition);
    }
    let first = Key::plan(&hash.0, 0);
    let parts = scan(store, first.clone()..Key::plan(&hash.0, u16::MAX)).await?;
    let bytes: Vec<u8> = parts.into_iter().flat_map(|row| row.value).collect();
    let text = String::from_utf8(bytes).map_err(|error| Unreadable::new(&first, error))?;
    let plan = Plan::load(&text).map_err(|error| Unreadable::new(&first, error))?;
    let definition = Arc::new(Definition::new(Arc::new(plan)));
    registry.pin(definition.clone());
    Ok(definition)
}

pub(crate) async fn one(store: &dyn Store, key: Key) -> Result<Option<Row>, Error> {
    Ok(store.get(&[key]).await?.pop().flatten())
}

/// All rows of a range, read in pages.
pub(crate) async fn scan(store: &dyn Store, mut range: std::ops::Range<Key>) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    loop {
        let page = store.scan(range.clone(), false, PAGE).await?;
        let full = page.len() == PAGE;
        rows.extend(page);
        match rows.last() {
            Some(last) if full => range.start = last.key.next(),
            _ => return Ok(rows),
        }
    }
}

/// The JSON of a head or a frame, which may stand in chunk rows.
pub(crate) async fn unspill(store: &dyn Store, run: RunId, frame: FrameId, json: Vec<u8>) -> Result<Vec<u8>, Error> {
    match rows::spilled_keys(run, frame, &json) {
        Some(keys) => chunks(store, keys).await,
        None => Ok(json),
    }
}

/// The bytes of chunk rows.
pub(crate) async fn chunks(store: &dyn Store, keys: Vec<Key>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    for (key, row) in keys.iter().zip(store.get(&keys).await?) {
        let row = row.ok_or_else(|| Unreadable::new(key, "it is missing"))?;
        bytes.extend_from_slice(&row.value);
    }
    Ok(bytes)
}

/// The frame of a row of [`Table::Frame`](crate::store::Table::Frame).
pub(crate) fn frame_of(key: &Key) -> Result<FrameId, Unreadable> {
    let bytes: Option<[u8; 4]> = key.as_bytes().get(17..21).and_then(|bytes| bytes.try_into().ok());
    bytes.map(|bytes| FrameId(u32::from_be_bytes(bytes))).ok_or_else(|| Unreadable::new(key, "its key is too short"))
}

/// Reads the large values that the state refers to.
async fn fill_blobs(store: &dyn Store, run: &mut Run) -> Result<(), Error> {
    let id = run.id;
    let mut wanted = BTreeSet::new();
    run.each_stored(&mut |stored| {
        if let Some(blob) = stored.blob {
            wanted.insert((blob.first, blob.bytes));
        }
    });
    let mut values = BTreeMap::new();
    for (first, bytes) in wanted {
        values.insert(first, blob(store, id, Blob { first, bytes }).await?);
    }
    run.each_stored(&mut |stored| {
        if let Some(value) = stored.blob.and_then(|blob| values.get(&blob.first)) {
            stored.value = value.clone();
        }
    });
    Ok(())
}

/// Reads a large value.
pub(crate) async fn blob(store: &dyn Store, id: RunId, blob: Blob) -> Result<Value, Error> {
    let keys: Vec<Key> = rows::chunk_keys(id, blob.first, blob.bytes).collect();
    let json = chunks(store, keys).await?;
    Ok(serde_json::from_slice(&json).map_err(|error| Unreadable::new(&Key::chunk(id, blob.first), error))?)
}
