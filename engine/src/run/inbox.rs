//! What waits look for: an index of the event log by (event, match fields) and the values of those fields.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wf_dsl::{Body, EventMatch, Time, Value, WaitGuard, Workflow};

use crate::ids::{FrameId, Position};
use crate::store::InboxKey;

/// Signatures below this one are not of events: the end of a child, a key that is free.
const RESERVED: u32 = 16;

/// An event and the fields of its data by which some plan waits for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    /// Its name.
    pub event: String,
    /// The dotted fields, sorted.
    pub fields: Vec<String>,
}

impl Signature {
    /// The signatures that a workflow declares, in its waits and in `cancel_on`.
    pub fn declared(workflow: &Workflow) -> impl Iterator<Item = Signature> + '_ {
        let waits = workflow.steps.iter().filter_map(|step| match &step.body {
            Body::Wait(alternatives) => Some(alternatives),
            _ => None,
        });
        let awaited = waits.flatten().filter_map(|alternative| match &alternative.guard {
            WaitGuard::Event(event) => Some(event),
            WaitGuard::After(_) | WaitGuard::Until(_) => None,
        });
        awaited.chain(&workflow.cancel_on).map(Signature::of)
    }

    /// From which position on an open run may look for each of them: one behind whose `cursor` all earlier events are,
    /// or behind whose birth they are where instants count; `cancelled_by` is how far it has looked for `cancel_on`.
    pub(crate) fn lowest(
        workflow: &Workflow,
        birth: Position,
        cursor: Position,
        cancelled_by: Position,
    ) -> Vec<(u32, Position)> {
        let mut lowest = Vec::new();
        for step in &workflow.steps {
            let Body::Wait(alternatives) = &step.body else { continue };
            for alternative in alternatives {
                if let WaitGuard::Event(event) = &alternative.guard {
                    let from = if event.since.is_some() { birth } else { cursor };
                    lowest.push((Signature::of(event).number(), from));
                }
            }
        }
        lowest.extend(workflow.cancel_on.iter().map(|event| (Signature::of(event).number(), cancelled_by)));
        lowest
    }

    fn of(event: &EventMatch) -> Self {
        let mut fields: Vec<String> = event.matches.iter().map(|(field, _)| field.value.clone()).collect();
        fields.sort();
        Signature { event: event.event.value.clone(), fields }
    }

    fn number(&self) -> u32 {
        let mut hash = Sha256::new();
        for part in std::iter::once(&self.event).chain(&self.fields) {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let hash = hash.finalize();
        let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        if number < RESERVED { number + RESERVED } else { number }
    }

    /// Where an event with this data stands in the index; nowhere if it lacks one of the fields.
    pub fn key(&self, data: &Value) -> Option<InboxKey> {
        let mut values = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            values.push(data.get_path(field).filter(|value| !value.is_null())?);
        }
        Some(InboxKey { signature: self.number(), matched: hash_of(values) })
    }
}

/// A hash that is the same for a value and for what it looks like in an event whose type is not known: an instant and
/// its texts share one. Those that share one by chance are told apart when a run looks at them.
fn hash_of<'a>(values: impl IntoIterator<Item = &'a Value>) -> u64 {
    let mut hash = Sha256::new();
    for value in values {
        hash.update(loose(value).canonical().as_bytes());
        hash.update([0]);
    }
    let hash = hash.finalize();
    u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
}

fn loose(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let time = text.parse().map(Value::Time);
            time.or_else(|_| text.parse().map(Value::Period)).unwrap_or_else(|_| value.clone())
        }
        Value::Date(date) => loose(&Value::String(date.to_string().into())),
        Value::List(items) => Value::List(items.iter().map(loose).collect::<Vec<_>>().into()),
        Value::Object(fields) => {
            let fields: wf_dsl::Object = fields.iter().map(|(name, value)| (name.clone(), loose(value))).collect();
            Value::Object(fields.into())
        }
        other => other.clone(),
    }
}

/// What an alternative waits for, with the values that its expressions gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Awaited {
    /// An event.
    Event(AwaitedEvent),
    /// An instant.
    Due(Time),
    /// Nothing: `after: forever`.
    Never,
}

/// An event that is waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AwaitedEvent {
    /// Its name.
    pub event: String,
    /// Where in the index it will stand.
    pub key: InboxKey,
    /// Fields of its data and what they equal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<(String, Value)>,
    /// Events up to here are behind. Those before the run's own always are.
    #[serde(default)]
    pub after: Position,
    /// Events before this instant do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

impl Awaited {
    /// The event, if it is one.
    pub fn event(&self) -> Option<&AwaitedEvent> {
        match self {
            Awaited::Event(event) => Some(event),
            Awaited::Due(_) | Awaited::Never => None,
        }
    }

    /// The instant, if it is one.
    pub fn due(&self) -> Option<Time> {
        match self {
            Awaited::Due(due) => Some(*due),
            Awaited::Event(_) | Awaited::Never => None,
        }
    }
}

impl AwaitedEvent {
    /// An event with these values, none of which is null.
    pub(super) fn new(event: &EventMatch, matches: Vec<(String, Value)>, after: Position, since: Option<Time>) -> Self {
        let signature = Signature::of(event);
        let value = |field: &String| matches.iter().find(|(name, _)| name == field).map(|(_, value)| value);
        let matched = hash_of(signature.fields.iter().filter_map(value));
        let key = InboxKey { signature: signature.number(), matched };
        AwaitedEvent { event: event.event.value.clone(), key, matches, after, since }
    }

    /// Whether an event with this data, typed as the pinned plan says, is one of those; `if` is another matter.
    pub(super) fn matches(&self, data: &Value) -> bool {
        self.matches.iter().all(|(field, wanted)| data.get_path(field).is_some_and(|value| value.same(wanted)))
    }
}

/// An event that a run looks at.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its place in the log.
    pub position: Position,
    /// Under which keys it was found.
    pub keys: Vec<InboxKey>,
    /// The id that its sender was answered.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it happened, as the sender says.
    pub ts: Time,
    /// When it was received.
    pub received: Time,
    /// Its data as it came.
    pub data: Value,
}

/// What was found in the inbox of a run.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// The frames that were looked for, and the number of the record that began each wait.
    pub frames: Vec<(FrameId, u64)>,
    /// The events, in the order of the log.
    pub events: Vec<Candidate>,
    /// There may be more behind the last of them.
    pub more: bool,
    /// Where the log stood when the timer of these frames was due.
    pub behind: Vec<(FrameId, Position)>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(fields: &[&str], data: serde_json::Value) -> Option<InboxKey> {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        Signature { event: "e".into(), fields }.key(&Value::from_json(&data))
    }

    #[test]
    fn what_is_equal_has_one_key() {
        let one = key(&["n"], json!({"n": 1}));
        assert!(one.is_some());
        assert_eq!(one, key(&["n"], json!({"n": 1.0, "m": 2})));
        assert_ne!(one, key(&["n"], json!({"n": 2})));
        assert_ne!(one, key(&["n"], json!({"n": "1"})));
        let time = key(&["n"], json!({"n": "2026-01-05T09:00:00Z"}));
        assert_eq!(time, key(&["n"], json!({"n": "2026-01-05T10:00:00+01:00"})));
        assert_eq!(key(&["a.b"], json!({"a": {"b": true}})), key(&["a.b"], json!({"a": {"b": true, "c": 1}})));
    }

    #[test]
    fn an_event_without_the_field_is_not_in_the_index() {
        assert_eq!(key(&["n"], json!({})), None);
        assert_eq!(key(&["n"], json!({"n": null})), None);
        assert!(key(&[], json!(null)).is_some());
    }

    #[test]
    fn fields_and_values_do_not_run_into_each_other() {
        assert_ne!(key(&["a", "b"], json!({"a": "x", "b": "y"})), key(&["a", "b"], json!({"a": "y", "b": "x"})));
        assert_ne!(key(&["a"], json!({"a": "x"})), key(&["b"], json!({"b": "x"})));
        assert_ne!(key(&["a"], json!({"a": "x"})), key(&[], json!({"a": "x"})));
    }
}
