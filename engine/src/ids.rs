//! Ids: what names an event, a run, a frame, and a place in the event log.

use std::fmt;
use std::str::FromStr;

/// A place in the event log; positions are in commit order and start at 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

/// A frame of a run: 0 is the root, the others are branches and iterations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct FrameId(pub u32);

impl FrameId {
    /// The frame that every run begins with.
    pub const ROOT: FrameId = FrameId(0);
    /// No run has frames from this one on: timers under them are not a run's.
    pub const RESERVED: FrameId = FrameId(u32::MAX - 15);
}

/// An event's id: 48 bits of milliseconds, then 48 bits of counter and chance, so that ids grow with time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub [u8; 12]);

impl EventId {
    /// An id that is made at this time, with a number that makes it its own.
    pub(crate) fn numbered(at: wf_dsl::Time, number: u64) -> Self {
        let mut id = [0; 12];
        id[..6].copy_from_slice(&at.0.max(0).to_be_bytes()[2..]);
        id[6..].copy_from_slice(&number.to_be_bytes()[2..]);
        EventId(id)
    }

    /// An id that nobody else makes.
    pub(crate) fn fresh(at: wf_dsl::Time) -> Self {
        EventId::numbered(at, chance())
    }

    /// When it was made, to the millisecond.
    pub fn at(&self) -> wf_dsl::Time {
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&self.0[..6]);
        wf_dsl::Time(i64::from_be_bytes(millis))
    }
}

/// Sixty-four bits that no other process has, where event ids begin to count.
pub(crate) fn chance() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// A run's id. A run is born of exactly one event, so "once per event and workflow" is uniqueness of this id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    /// The event that it was born of.
    pub event: EventId,
    /// The number of its workflow in the store.
    pub workflow: u16,
    /// Which of the runs that this event started in this workflow.
    pub nth: u16,
}

/// A text that is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected {digits} hexadecimal digits")]
pub struct ParseIdError {
    digits: usize,
}

impl RunId {
    /// The id as 16 bytes that sort by time.
    pub fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..12].copy_from_slice(&self.event.0);
        bytes[12..14].copy_from_slice(&self.workflow.to_be_bytes());
        bytes[14..].copy_from_slice(&self.nth.to_be_bytes());
        bytes
    }

    /// The id that [`RunId::bytes`] gave.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let mut event = [0; 12];
        event.copy_from_slice(&bytes[..12]);
        RunId {
            event: EventId(event),
            workflow: u16::from_be_bytes([bytes[12], bytes[13]]),
            nth: u16::from_be_bytes([bytes[14], bytes[15]]),
        }
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn read_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseIdError> {
    let wrong = ParseIdError { digits: 2 * N };
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong);
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| wrong)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong)?;
    }
    Ok(bytes)
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({self})")
    }
}

impl FromStr for EventId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        read_hex(text).map(EventId)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.bytes())
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

impl FromStr for RunId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        read_hex(text).map(RunId::from_bytes)
    }
}

/// Ids are hexadecimal text in JSON.
macro_rules! json_as_text {
    ($($id:ty),*) => {$(
        impl serde::Serialize for $id {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $id {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

json_as_text!(EventId, RunId);
