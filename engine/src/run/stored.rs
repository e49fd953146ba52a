//! Values as a run keeps them: small ones in place, large ones in chunk rows of their own.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wf_dsl::Value;

/// Values whose JSON is at least this long are kept in chunk rows, so that rewriting a run's rows does not rewrite them.
pub const BLOB_BYTES: usize = 4 << 10;

/// A value and, if it is large, where its bytes are.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The value; [`Value::Null`] until it is loaded.
    pub value: Value,
    /// Where a large one is.
    pub blob: Option<Blob>,
}

/// The chunk rows of a large value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// The number of the first chunk.
    pub first: u32,
    /// How many bytes of JSON.
    pub bytes: u32,
}

#[derive(Serialize, Deserialize)]
struct Reference {
    #[serde(rename = "$blob")]
    blob: Blob,
}

/// The JSON of a large value, and where it goes.
pub(crate) type Cut = (Blob, Arc<[u8]>);

impl Stored {
    /// How long it is, in bytes of JSON, give or take what its stored form adds.
    pub fn size(&self) -> usize {
        match self.blob {
            Some(blob) => blob.bytes as usize,
            None => self.value.size_within(BLOB_BYTES).unwrap_or(BLOB_BYTES),
        }
    }

    /// A value ready to be stored: if it is large, from `most` bytes on, its JSON is for chunk rows from `first` on.
    pub(crate) fn cut(value: Value, most: usize, first: u32) -> (Self, Option<Cut>) {
        if value.size_within(most).is_some() {
            return (Stored::small(value), None);
        }
        let json: Arc<[u8]> = serde_json::to_vec(&value).expect("values are JSON").into();
        let blob = Blob { first, bytes: u32::try_from(json.len()).expect("values are bounded") };
        (Stored { value, blob: Some(blob) }, Some((blob, json)))
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_null(&self) -> bool {
        self.blob.is_none() && self.value == Value::Null
    }

    /// A small value.
    pub fn small(value: Value) -> Self {
        Stored { value, blob: None }
    }
}

impl Default for Stored {
    fn default() -> Self {
        Stored::small(Value::Null)
    }
}

impl PartialEq for Stored {
    /// Compares large values by their place: a place is written once.
    fn eq(&self, other: &Self) -> bool {
        self.blob == other.blob && (self.blob.is_some() || self.value == other.value)
    }
}

impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.blob {
            Some(blob) => Reference { blob }.serialize(serializer),
            None => self.value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = serde_json::Value::deserialize(deserializer)?;
        if let Some(blob) = json.as_object().filter(|object| object.len() == 1).and_then(|object| object.get("$blob")) {
            let blob = Blob::deserialize(blob).map_err(serde::de::Error::custom)?;
            return Ok(Stored { value: Value::Null, blob: Some(blob) });
        }
        Value::deserialize(json).map(Stored::small).map_err(serde::de::Error::custom)
    }
}
