//! How runs, records and events are written in rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wf_dsl::{Time, Type, Value};

use crate::driver::history::JournalSize;
use crate::ids::{EventId, FrameId, Position, RunId};
use crate::run::{BLOB_BYTES, Fact, Frame, Head, Place, Record, Run, Stored, Trigger, is_default};
use crate::store::{self, CHUNK_BYTES, Key, ROW_VERSION, Row, Write};

/// Longer JSON of a head or a frame is cut into chunk rows.
const ROW_JSON_MAX: usize = CHUNK_BYTES;
/// Chunk numbers from here on belong to the heads and frames that are too long for their rows.
const SPILL: u32 = 1 << 31;
/// Chunks that are set aside for each of those.
const SPILL_CHUNKS: u32 = 1_024;

/// A row that is not what it should be.
#[derive(Clone, Debug, thiserror::Error)]
#[error("row {key:?} cannot be read: {why}")]
pub struct Unreadable {
    key: Key,
    why: String,
}

impl Unreadable {
    pub(crate) fn new(key: &Key, why: impl ToString) -> Self {
        Unreadable { key: key.clone(), why: why.to_string() }
    }
}

/// An event as its row holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventRow {
    pub(crate) id: EventId,
    /// The id that the sender gave, which is the one that it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sender_id: Option<String>,
    pub(crate) name: String,
    pub(crate) ts: Time,
    pub(crate) received: Time,
    /// The data as it came, or as the sending step's expressions gave it.
    pub(crate) data: Value,
    /// The run that sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sent_by: Option<RunId>,
    /// The event that it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replay_of: Option<EventId>,
    /// The first run of the chain of runs and events that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<RunId>,
    /// It tells of the end of a run, or came of an event that does: the end of a run that it starts is not told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) quiet: bool,
    /// It is for the runs that it starts only: no wait finds it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) alone: bool,
    /// The number of the one workflow that it starts, whatever the triggers of others say: somebody asked for a run of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) only: Option<u16>,
}

impl EventRow {
    /// An event from outside, received when it happened.
    pub(crate) fn new(id: EventId, name: String, data: Value, at: Time) -> Self {
        let (sender_id, sent_by, replay_of, origin) = (None, None, None, None);
        let quiet = name.starts_with(crate::driver::RUN_EVENTS);
        let (alone, only) = (false, None);
        EventRow { id, sender_id, name, ts: at, received: at, data, sent_by, replay_of, origin, quiet, alone, only }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }

    pub(crate) fn read(key: &Key, bytes: &[u8]) -> Result<Self, Unreadable> {
        from_bytes(key, bytes)
    }

    /// The event as its runs see it: the data typed as the pinned plan says.
    pub(crate) fn trigger(&self, ty: Option<&Type>) -> Trigger {
        let typed = ty.and_then(|ty| ty.accept(&self.data.to_json()).ok());
        Trigger {
            id: self.sender_id.clone().unwrap_or_else(|| self.id.to_string()),
            name: self.name.clone(),
            ts: self.ts,
            data: typed.unwrap_or_else(|| self.data.clone()),
        }
    }
}

/// A value's bytes: the format, then JSON.
pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![ROW_VERSION];
    serde_json::to_writer(&mut bytes, value).expect("what rows hold is JSON");
    bytes
}

/// Reads what [`to_bytes`] wrote.
pub(crate) fn from_bytes<'de, T: Deserialize<'de>>(key: &Key, bytes: &'de [u8]) -> Result<T, Unreadable> {
    match bytes.split_first() {
        Some((&ROW_VERSION, json)) => serde_json::from_slice(json).map_err(|error| Unreadable::new(key, error)),
        Some((format, _)) => {
            Err(Unreadable::new(key, format!("its format is {format}, this program knows {ROW_VERSION}")))
        }
        None => Err(Unreadable::new(key, "it is empty")),
    }
}

#[derive(Serialize)]
struct HeadOut<'a> {
    head: &'a Head,
    root: &'a Frame,
    birth: &'a RawValue,
    #[serde(skip_serializing_if = "is_default")]
    journal: JournalSize,
}

#[derive(Deserialize)]
struct HeadIn {
    head: Head,
    root: Frame,
    #[serde(default)]
    birth: Option<Box<RawValue>>,
    #[serde(default)]
    journal: JournalSize,
}

/// A long value that stands in chunk rows.
#[derive(Serialize, Deserialize)]
struct Spilled {
    spilled: u32,
}

/// The JSON of a run's head, with the records of its birth and how long its journal is.
pub(crate) fn head_json(run: &Run, birth: &RawValue, journal: JournalSize) -> Vec<u8> {
    let root = run.frame(FrameId::ROOT);
    serde_json::to_vec(&HeadOut { head: &run.head, root, birth, journal }).expect("a head is JSON")
}

/// The records of a birth as they are kept in the head.
pub(crate) fn birth_json(records: &[Record]) -> Box<RawValue> {
    let rows: Vec<_> = records.iter().map(triple).collect();
    serde_json::value::to_raw_value(&rows).expect("records are JSON")
}

/// The JSON for the row of the `frame`: itself, or a reference to chunk rows that are added to `writes`.
pub(crate) fn spill(run: RunId, frame: FrameId, json: Vec<u8>, writes: &mut Vec<Write>) -> Vec<u8> {
    if json.len() <= ROW_JSON_MAX {
        return json;
    }
    let first = spilled_at(frame);
    writes.extend(chunks(run, first, &json).map(Write::Put));
    let spilled = u32::try_from(json.len()).expect("states are bounded");
    serde_json::to_vec(&Spilled { spilled }).expect("a number is JSON")
}

/// The chunk rows of a long text.
pub(crate) fn chunks(run: RunId, first: u32, bytes: &[u8]) -> impl Iterator<Item = Row> {
    (first..)
        .zip(bytes.chunks(CHUNK_BYTES))
        .map(move |(n, chunk)| Row { key: Key::chunk(run, n), value: chunk.to_vec() })
}

/// Gives a run that is being born the events that start it; the chunk rows of a long list are to be put.
pub(crate) fn gather(run: &mut Run, events: Value) -> impl Iterator<Item = Row> + use<> {
    let (events, blob) = Stored::cut(events, BLOB_BYTES, run.head.next_chunk);
    run.gather(events);
    let id = run.id;
    let rows = blob.map(|(blob, json)| chunks(id, blob.first, &json).collect::<Vec<_>>());
    rows.into_iter().flatten()
}

/// The keys of the chunk rows of a text of `bytes` bytes.
pub(crate) fn chunk_keys(run: RunId, first: u32, bytes: u32) -> impl Iterator<Item = Key> {
    (first..first + bytes.div_ceil(CHUNK_BYTES as u32)).map(move |n| Key::chunk(run, n))
}

/// The rows of a run beside its head and its journal: its frames and its chunks.
pub(crate) fn pieces_of(run: RunId) -> [std::ops::Range<Key>; 2] {
    let (frame, chunk) = (Key::frame(run, FrameId(0)), Key::chunk(run, 0));
    [frame..Key::frame(run, FrameId(u32::MAX)).next(), chunk..Key::chunk(run, u32::MAX).next()]
}

/// The chunk rows that a head or frame row refers to, if it does.
pub(crate) fn spilled_keys(run: RunId, frame: FrameId, json: &[u8]) -> Option<Vec<Key>> {
    let Spilled { spilled } = serde_json::from_slice(json).ok()?;
    Some(chunk_keys(run, spilled_at(frame), spilled).collect())
}

/// Where the chunks of a long head or frame begin. The frames that a run has at once have numbers near each other, so
/// that none of them share a place though numbers come round; the root has its own.
fn spilled_at(frame: FrameId) -> u32 {
    const PLACES: u32 = SPILL / SPILL_CHUNKS - 1;
    let place = frame.0.checked_sub(1).map_or(0, |frame| 1 + frame % PLACES);
    SPILL + place * SPILL_CHUNKS
}

/// The position, the version and the JSON of a head row.
pub(crate) fn split_head(row: &Row) -> Result<store::Head<'_>, Unreadable> {
    store::Head::read(&row.value).ok_or_else(|| Unreadable::new(&row.key, "it is not a head of this format"))
}

/// A head that was read: the state, the root frame, and the records of the birth.
pub(crate) struct ReadHead {
    pub(crate) head: Head,
    pub(crate) root: Frame,
    pub(crate) birth: Box<RawValue>,
    /// How long the journal was then.
    pub(crate) journal: JournalSize,
}

pub(crate) fn read_head(key: &Key, json: &[u8]) -> Result<ReadHead, Unreadable> {
    let read: HeadIn = serde_json::from_slice(json).map_err(|error| Unreadable::new(key, error))?;
    let birth = read.birth.unwrap_or_else(|| birth_json(&[]));
    Ok(ReadHead { head: read.head, root: read.root, birth, journal: read.journal })
}

fn triple(record: &Record) -> (i64, u32, &Fact) {
    (record.at.0, record.frame.0, &record.fact)
}

/// The journal rows for records, the first of which has the number `first`; each row stays below the size of a chunk.
pub(crate) fn journal_writes(run: RunId, first: u64, records: &[Record]) -> Vec<Write> {
    let mut writes = Vec::new();
    let mut row = Vec::new();
    let mut from = 0;
    for (at, record) in records.iter().enumerate() {
        let json = serde_json::to_vec(&triple(record)).expect("records are JSON");
        if !row.is_empty() && row.len() + json.len() > CHUNK_BYTES {
            writes.push(append(run, first, from, at, std::mem::take(&mut row)));
            from = at;
        }
        row.push(if row.is_empty() { b'[' } else { b',' });
        row.extend_from_slice(&json);
    }
    if !row.is_empty() {
        writes.push(append(run, first, from, records.len(), row));
    }
    writes
}

fn append(run: RunId, first: u64, from: usize, to: usize, mut records: Vec<u8>) -> Write {
    records.push(b']');
    let count = u32::try_from(to - from).expect("a turn is bounded");
    Write::Append { run, first: first + from as u64, count, records }
}

/// The records of a journal row's JSON.
pub(crate) fn read_records(key: &Key, json: &[u8]) -> Result<Vec<Record>, Unreadable> {
    let rows: Vec<(i64, u32, Fact)> = serde_json::from_slice(json).map_err(|error| Unreadable::new(key, error))?;
    Ok(rows.into_iter().map(|(at, frame, fact)| Record { at: Time(at), frame: FrameId(frame), fact }).collect())
}

/// A frame's JSON.
pub(crate) fn frame_json(frame: &Frame) -> Vec<u8> {
    serde_json::to_vec(frame).expect("a frame is JSON")
}

/// Puts a run together from its rows.
pub(crate) fn assemble(
    id: RunId,
    trigger: Arc<Trigger>,
    position: Position,
    version: u64,
    read: ReadHead,
    frames: BTreeMap<FrameId, Frame>,
) -> Run {
    let mut run = Run::new(id, read.head.plan.0, trigger, None, read.head.started);
    run.position = position;
    run.version = version;
    run.head = read.head;
    run.frames.insert(FrameId::ROOT, read.root);
    for (id, frame) in frames {
        // Rows of parts whose step has ended may be left; a part has a greater number than what it is a part of.
        let fork = frame.parent.as_ref().and_then(|parent| run.frames.get(&parent.frame)).map(|parent| &parent.place);
        match fork {
            Some(Place::Fork { fork, .. }) if (fork.base..fork.base + fork.total).contains(&id.0) => {
                run.frames.insert(id, frame);
            }
            _ => drop(run.gone.insert(id)),
        }
    }
    run
}
