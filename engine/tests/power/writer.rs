//! The process under watch: senders that commit, each one commit after the other, and say so on stdout.
//!
//! What a sender has written is a function of the number of its last commit, so that [`check`] can tell whether a store
//! holds commits 1 to n of each sender, whole, and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;

use wf_engine::store::{
    BornOf, Commit, CommitError, CopyTo, Durability, Fence, Gate, Guard, Head, Health, Key, NewEvent, NewRun, Ready,
    Row, Store, Table, Turn, Write, events, split,
};
use wf_engine::{EventId, Position, RunId, SledOptions, SledStore};

/// What a writer does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) senders: u32,
    /// By sender and sitting.
    pub(crate) commits: u32,
    /// How often the store is opened, beyond the first time if it is not 0.
    pub(crate) sittings: u32,
    /// Whether some values are large.
    pub(crate) large: bool,
    pub(crate) durability: Durability,
    /// Whether the store is compacted all the time meanwhile.
    pub(crate) compacts: bool,
}

impl Plan {
    pub(crate) fn arguments(&self) -> [String; 6] {
        let Plan { senders, commits, sittings, large, durability, compacts } = self;
        [
            senders.to_string(),
            commits.to_string(),
            sittings.to_string(),
            large.to_string(),
            (*durability == Durability::Power).to_string(),
            compacts.to_string(),
        ]
    }

    pub(crate) fn read(arguments: &[String]) -> Option<Self> {
        let [senders, commits, sittings, large, power, compacts] = arguments else { return None };
        Some(Plan {
            senders: senders.parse().ok()?,
            commits: commits.parse().ok()?,
            sittings: sittings.parse().ok()?,
            large: large.parse().ok()?,
            durability: if power.parse().ok()? { Durability::Power } else { Durability::Process },
            compacts: compacts.parse().ok()?,
        })
    }
}

/// What the writer said about a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    sender: u32,
    /// Counts a sender's commits from 1.
    number: u32,
    /// Of its event.
    position: u64,
}

impl Acknowledged {
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("committed ")?.split(' ');
        let mut word = || words.next()?.parse().ok();
        Some(Acknowledged { sender: word()? as u32, number: word()? as u32, position: word()? })
    }
}

/// What tells a piece of data from all others.
pub(crate) fn mark(letter: char, sender: u32, number: u32) -> String {
    format!("<{letter}{sender:03}.{number:05}>")
}

/// The marks of a commit: one in its first row by key, and one in its last.
fn marks_of(sender: u32, number: u32) -> [String; 2] {
    ['a', 'z'].map(|letter| mark(letter, sender, number))
}

/// All marks in some bytes.
pub(crate) fn marks(bytes: &[u8]) -> Vec<String> {
    let marks = bytes
        .windows(12)
        .filter(|mark| mark[0] == b'<' && mark[1].is_ascii_lowercase() && mark[5] == b'.' && mark[11] == b'>');
    marks.filter_map(|mark| String::from_utf8(mark.to_vec()).ok()).collect()
}

fn run(sender: u32) -> RunId {
    let mut event = [0; 12];
    event[8..].copy_from_slice(&sender.to_be_bytes());
    RunId { event: EventId(event), workflow: 1, nth: 0 }
}

fn child(sender: u32, number: u32) -> RunId {
    RunId { workflow: 2 + (number >> 16) as u16, nth: number as u16, ..run(sender) }
}

/// The last rows of a sender are kept, the ones before are deleted.
const KEPT: u32 = 8;

fn counter(sender: u32) -> Key {
    Key::meta(&format!("count-{sender}"))
}

/// Pieces of a large value, if this commit has one.
fn pieces(sender: u32, number: u32) -> Vec<(Key, Vec<u8>)> {
    let size = match number % 20 {
        3 => 63 << 10,
        7 => 64 << 10,
        11 => 65 << 10,
        17 if sender == 0 => 1 << 20,
        _ => return vec![],
    };
    let bytes: Vec<u8> = (0..64).map(|n| (n ^ number ^ sender) as u8 | 0x80).collect();
    let value = bytes.repeat(size / bytes.len());
    (0..).zip(split(&value)).map(|(n, piece)| (Key::chunk(run(sender), number * 1_000 + n), piece.to_vec())).collect()
}

fn event_row(sender: u32, number: u32, large: bool) -> Vec<u8> {
    let [mark, _] = marks_of(sender, number);
    let size = if large && number % 10 == 9 { 40 << 10 } else { 200 };
    let mut row = mark.into_bytes();
    row.resize(size, b'e');
    row
}

/// Tables before and behind the event's, some rows that only this commit has, one that every commit replaces.
fn commit(sender: u32, number: u32, large: bool) -> Commit {
    let [mark, last] = marks_of(sender, number);
    let put = |key, value: Vec<u8>| Write::Put(Row { key, value });
    let event = NewEvent { id: run(sender).event, row: event_row(sender, number, large), inbox: vec![] };
    let mut commit = Commit { events: vec![event], ..Commit::default() };
    if number == 1 {
        let ready = Some(Ready { workflow: 1, priority: 5 });
        let head = b"head".to_vec();
        let (born_of, gate) = (BornOf::Here(0), Gate::default());
        let born = NewRun { run: run(sender), born_of, head, version: 1, ready, gate, behind: None, claimed: true };
        commit.runs.push(born);
    } else {
        commit.guards.push(Guard::Run { run: run(sender), fence: Fence { version: number.into(), epoch: 0 } });
    }
    let records = format!("[{number}]").into_bytes();
    commit.writes.push(Write::Append { run: run(sender), first: number.into(), count: 1, records });
    commit.writes.push(put(Key::dedupe(sender as u16, &u128::from(number).to_be_bytes()), mark.into_bytes()));
    commit.writes.push(put(Key::cancel(child(sender, number)), last.into_bytes()));
    commit.writes.push(put(counter(sender), number.to_string().into_bytes()));
    if number > KEPT {
        commit.writes.push(Write::Delete(Key::cancel(child(sender, number - KEPT))));
    }
    if large {
        commit.writes.extend(pieces(sender, number).into_iter().map(|(key, value)| put(key, value)));
    }
    commit
}

/// The rows of a sender that has committed `count` times, but for the head, the queue and the events.
fn rows_of(sender: u32, count: u32, large: bool) -> BTreeMap<Key, Vec<u8>> {
    let mut rows = BTreeMap::new();
    for number in 1..=count {
        let [mark, last] = marks_of(sender, number);
        let records = format!("[{number}]");
        rows.insert(Key::journal(run(sender), number), Turn { count: 1, records: records.as_bytes() }.write());
        rows.insert(Key::dedupe(sender as u16, &u128::from(number).to_be_bytes()), mark.into_bytes());
        if number + KEPT > count {
            rows.insert(Key::cancel(child(sender, number)), last.into_bytes());
        }
        if large {
            rows.extend(pieces(sender, number));
        }
    }
    rows
}

/// Commits as planned, after what is there; a store that takes no more is opened again for the next sitting. Ends without a panic whatever the disk does.
pub(crate) fn write(arguments: &[String]) {
    let plan = Plan::read(&arguments[1..]).expect("the arguments of a plan");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    for _ in 0..plan.sittings.max(1) {
        let options = SledOptions { durability: plan.durability, ..SledOptions::default() };
        let store = match SledStore::open(&arguments[0], options) {
            Ok(store) => Arc::new(store),
            Err(error) => {
                return say(format!(
                    "not opened: {error}: {}",
                    error.source().map_or(String::new(), |source| source.to_string())
                ));
            }
        };
        let senders = (0..plan.senders).map(|sender| runtime.spawn(send(store.clone(), sender, plan.clone())));
        let senders = senders.collect::<Vec<_>>();
        let compactor = plan.compacts.then(|| runtime.spawn(compact(store.clone())));
        for sender in senders {
            runtime.block_on(sender).expect("a sender that does not panic");
        }
        if let Some(compactor) = compactor {
            compactor.abort();
            // It may be in the middle of a copy; the store is closed all the same.
            runtime.block_on(compactor).ok();
        }
        if let Health::ReadOnly { why } = store.health() {
            let refused = runtime.block_on(store.commit(Commit::default()));
            assert!(refused.is_err(), "a store that is read only takes no commits");
            let read = runtime.block_on(store.scan(everything(), false, usize::MAX));
            say(read.map_or_else(|error| format!("not read: {error}"), |rows| format!("read: {} rows", rows.len())));
            say(format!("read only: {why}"));
        }
    }
}

/// Compacts again and again, until it fails.
async fn compact(store: Arc<SledStore>) {
    while store.copy(CopyTo::Place).await.is_ok() {
        say("compacted".into());
    }
}

async fn send(store: Arc<SledStore>, sender: u32, plan: Plan) {
    let count = store.get(&[counter(sender)]).await.expect("a count").into_iter().next().flatten();
    let count = count.map_or(0, |row| String::from_utf8_lossy(&row.value).parse().expect("a number"));
    for number in count + 1..=count + plan.commits {
        match store.commit(commit(sender, number, plan.large)).await {
            Ok(receipt) => {
                say(format!("committed {sender} {number} {} {}", receipt.at.0, marks_of(sender, number).concat()))
            }
            Err(CommitError::NotCommitted(_) | CommitError::Unknown(_)) => return,
            Err(refused) => panic!("{refused}"),
        }
    }
}

/// One call of the system for one line, so that lines are whole.
pub(crate) fn say(line: String) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).expect("stdout");
}

fn everything() -> Range<Key> {
    Key::from_bytes([0])..Key::from_bytes([0xff])
}

/// Compares a store with what its senders were told, and with what they can have written.
pub(crate) fn check(store: &SledStore, told: &[Acknowledged], plan: &Plan) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let rows = runtime.block_on(store.scan(everything(), false, usize::MAX)).map_err(|error| error.to_string())?;
    let rows: BTreeMap<Key, Vec<u8>> = rows.into_iter().map(|row| (row.key, row.value)).collect();
    let mut expected = BTreeMap::new();
    let mut found = rows.clone();
    found.retain(|key, _| !matches!(key.table(), Some(Table::Meta | Table::Event | Table::Head | Table::Queue)));
    let told: HashMap<(u32, u32), u64> = told.iter().map(|told| ((told.sender, told.number), told.position)).collect();
    let arrived = arrived(&rows)?;
    let mut arrivals = 0;
    for sender in 0..plan.senders {
        let count = rows.get(&counter(sender)).map_or("0".into(), |value| String::from_utf8_lossy(value));
        let count: u32 = count.parse().map_err(|_| format!("a count of `{count}`"))?;
        let last = told.keys().filter(|told| told.0 == sender).map(|told| told.1).max().unwrap_or(0);
        if count < last {
            return Err(format!("sender {sender} was told of {last} commits, {count} are there"));
        }
        expected.extend(rows_of(sender, count, plan.large));
        for number in 1..=count {
            let [mark, _] = marks_of(sender, number);
            let (position, row) = arrived.get(&mark).ok_or_else(|| format!("the event of {mark} is missing"))?;
            if let Some(told) = told.get(&(sender, number)).filter(|told| **told != position.0) {
                return Err(format!("the event of {mark} is at {position:?}, its sender was told {told}"));
            }
            if *row != event_row(sender, number, plan.large) {
                return Err(format!("the event of {mark} is not as it was sent"));
            }
            arrivals += 1;
        }
        let head = rows.get(&Key::head(run(sender))).and_then(|row| Head::read(row));
        if head.is_some() != (count > 0) {
            return Err(format!("sender {sender} has {count} commits and the head {head:?}"));
        }
    }
    if arrived.len() != arrivals {
        return Err(format!("{} events, {arrivals} of them known", arrived.len()));
    }
    let odd = |(key, value): (&Key, &Vec<u8>)| (expected.get(key) != Some(value)).then(|| format!("{key:?}"));
    if let Some(key) = found.iter().find_map(odd) {
        return Err(format!("row {key} is there, or is not as it was written"));
    }
    if let Some(key) = expected.keys().find(|key| !found.contains_key(key)) {
        return Err(format!("row {key:?} is missing"));
    }
    let more = Commit { writes: vec![Write::Put(Row { key: Key::meta("more"), value: vec![1] })], ..Commit::default() };
    runtime.block_on(store.commit(more)).map(|_| ()).map_err(|error| format!("no further commit: {error}"))
}

/// The events by their marks.
fn arrived(rows: &BTreeMap<Key, Vec<u8>>) -> Result<BTreeMap<String, (Position, Vec<u8>)>, String> {
    let rows = rows.range(Key::all(Table::Event));
    let rows: Vec<Row> = rows.map(|(key, value)| Row { key: key.clone(), value: value.clone() }).collect();
    let events = events(&rows).map_err(|error| error.to_string())?;
    events
        .into_iter()
        .map(|(position, row)| {
            let mark = marks(row.get(..12).unwrap_or_default())
                .pop()
                .ok_or_else(|| format!("the event at {position:?} has no mark"))?;
            Ok((mark, (position, row)))
        })
        .collect()
}
