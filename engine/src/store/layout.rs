//! How the rows look that the store itself reads: heads, journal rows, and values that are cut into chunks.

use super::{CHUNK_BYTES, Key, Row, StoreError};
use crate::ids::Position;

/// The version byte that begins the value of every row.
pub const ROW_VERSION: u8 = 1;

const HEAD_PREFIX: usize = 1 + 8 + 8;
const JOURNAL_PREFIX: usize = 1 + 4;

/// The value of a head row: `[version byte][position: 8 bytes][records: 8 bytes][JSON]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The position of the event that the run was born of: its order in the queue, the start of its inbox cursors.
    pub position: Position,
    /// How many records the run had when the row was written. Only the last journal row can say more.
    pub records: u64,
    /// What the engine keeps.
    pub json: &'a [u8],
}

impl<'a> Head<'a> {
    /// Takes the value of a head row apart; none if it is not one.
    pub fn read(value: &'a [u8]) -> Option<Self> {
        let (prefix, json) = value.split_at_checked(HEAD_PREFIX)?;
        (prefix[0] == ROW_VERSION).then_some(())?;
        let number = |at: usize| prefix[at..at + 8].try_into().map(u64::from_be_bytes).ok();
        Some(Head { position: Position(number(1)?), records: number(9)?, json })
    }

    /// The value of the row.
    pub fn write(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(HEAD_PREFIX + self.json.len());
        value.push(ROW_VERSION);
        value.extend_from_slice(&self.position.0.to_be_bytes());
        value.extend_from_slice(&self.records.to_be_bytes());
        value.extend_from_slice(self.json);
        value
    }
}

/// The value of a journal row: `[version byte][count: 4 bytes][records]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn<'a> {
    /// How many records the row holds.
    pub count: u32,
    /// The records, as [`Write::Append`](super::Write::Append) gave them.
    pub records: &'a [u8],
}

impl<'a> Turn<'a> {
    /// Takes the value of a journal row apart; none if it is not one.
    pub fn read(value: &'a [u8]) -> Option<Self> {
        let (prefix, records) = value.split_at_checked(JOURNAL_PREFIX)?;
        (prefix[0] == ROW_VERSION).then_some(())?;
        let count = u32::from_be_bytes(prefix[1..].try_into().ok()?);
        Some(Turn { count, records })
    }

    /// The value of the row.
    pub fn write(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(JOURNAL_PREFIX + self.records.len());
        value.push(ROW_VERSION);
        value.extend_from_slice(&self.count.to_be_bytes());
        value.extend_from_slice(self.records);
        value
    }
}

/// The value of a meta row that is a number.
pub(super) fn number(number: u64) -> Vec<u8> {
    let mut value = vec![ROW_VERSION];
    value.extend_from_slice(number.to_string().as_bytes());
    value
}

/// Reads what [`number`] wrote.
pub(crate) fn read_number(value: &[u8]) -> Option<u64> {
    let (version, digits) = value.split_first()?;
    (*version == ROW_VERSION).then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

/// Cuts a value into pieces of [`CHUNK_BYTES`]. The last piece is the only shorter one, and may be empty, so that
/// [`join`] sees whether one is missing.
///
/// ```
/// use wf_engine::store::{CHUNK_BYTES, join, split};
///
/// let value = vec![7; 2 * CHUNK_BYTES];
/// let pieces: Vec<&[u8]> = split(&value).collect();
/// assert_eq!(pieces.len(), 3);
/// assert_eq!(join(pieces.iter().copied()).as_ref(), Some(&value));
/// assert_eq!(join(pieces[..2].iter().copied()), None);
/// ```
pub fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let pieces = value.len() / CHUNK_BYTES + 1;
    (0..pieces).map(|n| &value[n * CHUNK_BYTES..value.len().min((n + 1) * CHUNK_BYTES)])
}

/// Puts together what [`split`] cut; none if the end is missing or there is something behind it.
pub fn join<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    let mut ended = false;
    for piece in pieces {
        if ended {
            return None;
        }
        value.extend_from_slice(piece);
        ended = piece.len() < CHUNK_BYTES;
    }
    ended.then_some(value)
}

/// The rows of an event: its value in pieces, under its position.
pub(super) fn event_rows(position: Position, value: &[u8]) -> impl Iterator<Item = Row> {
    (0..=u16::MAX).zip(split(value)).map(move |(n, piece)| Row { key: Key::event(position, n), value: piece.to_vec() })
}

/// The events in rows that a scan of the table gave in key order, with their positions.
///
/// An event whose last rows are not among them is left out: a scan that gave as many rows as it was asked for goes on
/// at the last position that this gave, plus one.
///
/// # Errors
/// A row that is not an event's, or an event with a piece missing in the middle.
pub fn events(rows: &[Row]) -> Result<Vec<(Position, Vec<u8>)>, StoreError> {
    let mut events = Vec::new();
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let damaged = || StoreError::new(format!("row {:?} is damaged", first.key));
        let (position, _) = first.key.as_event().ok_or_else(damaged)?;
        let of_event = |row: &&Row| row.key.as_event().is_some_and(|(at, _)| at == position);
        let (rows, behind) = rest.split_at(rest.iter().take_while(of_event).count());
        let in_order = rows.iter().zip(0..).all(|(row, n)| row.key.as_event() == Some((position, n)));
        match join(rows.iter().map(|row| row.value.as_slice())) {
            Some(value) if in_order => events.push((position, value)),
            None if in_order && behind.is_empty() => {}
            _ => return Err(damaged()),
        }
        rest = behind;
    }
    Ok(events)
}
