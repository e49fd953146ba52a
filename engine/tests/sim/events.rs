//! The event log of a store, as it is read from the rows.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;
use wf_engine::store::{Head, InboxKey, Key, Row, Table};
use wf_engine::{EventId, MemoryStore, Position, RunId, Time};

/// An event of the log.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LoggedEvent {
    pub(crate) id: EventId,
    #[serde(default)]
    pub(crate) sender_id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: Json,
    pub(crate) ts: Time,
    pub(crate) received: Time,
    #[serde(default)]
    pub(crate) sent_by: Option<RunId>,
}

/// The rows of a store by their tables.
pub(crate) struct Rows(BTreeMap<Table, Vec<Row>>);

impl Rows {
    pub(crate) fn of(store: &MemoryStore) -> Rows {
        let mut rows: BTreeMap<Table, Vec<Row>> = BTreeMap::new();
        for row in store.rows() {
            rows.entry(row.key.table().expect("every row has a table")).or_default().push(row);
        }
        Rows(rows)
    }

    pub(crate) fn all(&self, table: Table) -> &[Row] {
        self.0.get(&table).map(Vec::as_slice).unwrap_or_default()
    }

    /// What the keys of a table say.
    pub(crate) fn keys<T>(&self, table: Table, read: impl Fn(&Key) -> Option<T>) -> Vec<T> {
        self.all(table).iter().filter_map(|row| read(&row.key)).collect()
    }

    /// The events by position.
    pub(crate) fn events(&self) -> BTreeMap<Position, LoggedEvent> {
        let mut parts: BTreeMap<Position, Vec<&[u8]>> = BTreeMap::new();
        for row in self.all(Table::Event) {
            let (position, _) = row.key.as_event().expect("the key of an event");
            parts.entry(position).or_default().push(&row.value);
        }
        let read = |(position, parts): (Position, Vec<&[u8]>)| {
            let bytes = wf_engine::store::join(parts).expect("an event is whole");
            (position, serde_json::from_slice(&bytes[1..]).expect("an event is JSON"))
        };
        parts.into_iter().map(read).collect()
    }

    /// The positions of the events by the keys under which they were delivered.
    pub(crate) fn inbox(&self) -> BTreeMap<InboxKey, Vec<Position>> {
        let mut inbox: BTreeMap<InboxKey, Vec<Position>> = BTreeMap::new();
        for (key, position) in self.keys(Table::Inbox, Key::as_inbox) {
            inbox.entry(key).or_default().push(position);
        }
        inbox
    }

    /// The positions of the runs.
    pub(crate) fn positions(&self) -> BTreeMap<RunId, Position> {
        let position = |row: &Row| Some((row.key.as_head()?, Head::read(&row.value)?.position));
        self.all(Table::Head).iter().filter_map(position).collect()
    }

    /// The names of the workflows by their numbers.
    pub(crate) fn workflows(&self) -> BTreeMap<u16, String> {
        let name = |row: &Row| {
            let json: Json = serde_json::from_slice(&row.value[1..]).expect("a name is JSON");
            Some((row.key.as_name()?, json["name"].as_str()?.to_owned()))
        };
        self.all(Table::Name).iter().filter_map(name).collect()
    }
}
