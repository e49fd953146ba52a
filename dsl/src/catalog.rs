//! What the language knows of step kinds: data, which may come from a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// How a second attempt of an effect looks to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It has no effect outside.
    Pure,
    /// Doing it twice is the same as doing it once.
    Idempotent,
    /// It forwards our idempotency key, and the peer does it once per key.
    Keyed,
    /// A second attempt may repeat it visibly.
    Unsafe,
}

/// An error code that a kind may give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCode {
    /// The code, such as `email.rejected`; a trailing `.*` stands for a family such as `http.status.*`.
    pub code: String,
    /// Whether a retry policy without `only` retries it.
    pub retriable: bool,
}

/// One step kind, described.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kind {
    /// The key that a step writes, such as `email` or `db.query`.
    pub name: String,
    /// One sentence for `wf kinds`.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of the body, for literal values; expressions are allowed wherever `literal_fields` does not forbid.
    pub body: Json,
    /// JSON Schema of the output.
    pub output: Json,
    /// The codes that an attempt may fail with.
    pub errors: Vec<ErrorCode>,
    /// The class of the effect.
    pub effect: Effect,
    /// Fields of the body with the values that make a second attempt visible, such as `{"method": ["post"]}`. With
    /// them, an [`Effect::Unsafe`] kind is unsafe only then, and any other kind is unsafe then too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repeats: BTreeMap<String, Vec<Json>>,
    /// Body fields in which `${ }` is refused, such as `sql`.
    #[serde(default)]
    pub literal_fields: Vec<String>,
    /// Body fields into which a secret may flow; they are redacted wherever they are shown or stored.
    #[serde(default)]
    pub secret_fields: Vec<String>,
    /// The connection kinds of `wf.yaml` that serve this step kind; empty if it needs none.
    #[serde(default)]
    pub connections: Vec<String>,
    /// Whether `returns` may declare the output's type.
    #[serde(default)]
    pub open_output: bool,
    /// Where in the output that type applies, as a JSON pointer: empty for the whole output, `/body` for `http`.
    #[serde(default)]
    pub returns_at: String,
    /// Bodies that work, run by the tests and printed by `wf kinds`.
    #[serde(default)]
    pub examples: Vec<Json>,
}

/// All kinds that a host offers, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    kinds: BTreeMap<String, Kind>,
}

impl Catalog {
    /// Adds a kind; gives back the one that had its name.
    pub fn add(&mut self, kind: Kind) -> Option<Kind> {
        self.kinds.insert(kind.name.clone(), kind)
    }

    /// The kind with this name.
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.kinds.get(name)
    }

    /// All kinds in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.values()
    }
}

impl FromIterator<Kind> for Catalog {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Catalog { kinds: kinds.into_iter().map(|kind| (kind.name.clone(), kind)).collect() }
    }
}
