//! What commits do to the rows: guards, positions, versions. One definition for every store in this process.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::lanes::gate_value;
use super::layout::{Head, Turn, event_rows, number, read_number};
use super::{
    Answer, BornOf, COMMIT_BYTES_MAX, COMMIT_ROWS_MAX, Commit, CommitError, Decide, Gate, Guard, Key, NewRun,
    ROW_BYTES_MAX, Ready, Receipt, Row, Rows, StoreError, Table, Write,
};
use crate::ids::{Position, RunId};

/// The rows below a group.
pub(super) trait Base {
    /// The value at a key.
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError>;

    /// The last row of a range.
    fn last(&self, range: Range<Key>) -> Result<Option<Row>, StoreError>;

    /// How many records a run has; none if there is no such run.
    fn version(&self, run: RunId) -> Result<Option<u64>, StoreError> {
        self.get(&Key::head(run))?.map(|head| self.version_of(run, &head)).transpose()
    }

    /// How many records the run with this head has.
    fn version_of(&self, run: RunId, head: &[u8]) -> Result<u64, StoreError> {
        let head = Head::read(head).ok_or_else(|| damaged(&Key::head(run)))?;
        // Most runs have no records but those that the head counts; the next one would begin its row at that number.
        let next = u32::try_from(head.records).map(|next| self.get(&Key::journal(run, next)));
        if !matches!(next, Ok(Ok(Some(_)) | Err(_))) {
            return Ok(head.records);
        }
        let Some(last) = self.last(Key::journal_of(run))? else { return Ok(head.records) };
        let turn = Turn::read(&last.value).zip(last.key.as_journal()).ok_or_else(|| damaged(&last.key))?;
        let (turn, (_, first)) = turn;
        Ok(head.records.max(u64::from(first) + u64::from(turn.count)))
    }

    /// What a claim reads of a run: its version, 0 if there is no such run, and its head.
    fn look_at(&self, run: RunId) -> Result<(u64, Option<Row>), StoreError> {
        let key = Key::head(run);
        let Some(value) = self.get(&key)? else { return Ok((0, None)) };
        Ok((self.version_of(run, &value)?, Some(Row { key, value })))
    }
}

/// Commits that will become durable together, as one change of the rows below. Each commit sees those before it.
pub(super) struct Group<'a, B> {
    base: &'a B,
    /// The log's end.
    end: Position,
    rows: BTreeMap<Key, Change>,
    /// Runs whose number of records the group changes; none for those whose head it deletes.
    versions: HashMap<RunId, Option<u64>>,
    claimed: Vec<RunId>,
    /// It deletes rows of events, perhaps its own.
    forgets_events: bool,
    /// How much was put, in bytes; rows that are put twice count twice.
    bytes: usize,
}

/// What a group does to one row.
struct Change {
    /// The new value; none deletes.
    value: Option<Vec<u8>>,
    /// There is no such row below, so that deleting it leaves nothing to do.
    fresh: bool,
}

/// What a group amounts to.
pub(super) struct Changed {
    /// The log's end.
    pub(super) end: Position,
    /// New values by key; none deletes.
    pub(super) rows: BTreeMap<Key, Option<Vec<u8>>>,
    /// The number of records of the runs that changed; none for those that are gone.
    pub(super) versions: HashMap<RunId, Option<u64>>,
    /// Runs that are claimed from birth.
    pub(super) claimed: Vec<RunId>,
}

impl<'a, B: Base> Group<'a, B> {
    /// An empty group over rows with the log's end.
    pub(super) fn new(base: &'a B, end: Position) -> Self {
        Group {
            base,
            end,
            rows: BTreeMap::new(),
            versions: HashMap::new(),
            claimed: Vec::new(),
            forgets_events: false,
            bytes: 0,
        }
    }

    /// Takes a commit in, whole or not at all.
    ///
    /// # Errors
    /// As [`Store::commit`](super::Store::commit); the group is as before.
    pub(super) fn commit(&mut self, commit: Commit) -> Result<Receipt, CommitError> {
        let bytes = check_size(&commit)?;
        for guard in &commit.guards {
            self.check_guard(guard)?;
        }
        let versions = self.check_versions(&commit)?;
        self.bytes += bytes;
        Ok(self.write(commit, versions))
    }

    /// Lets a rule see rows and takes in what it wants to commit.
    ///
    /// # Errors
    /// As [`Store::decide`](super::Store::decide); the group is as before.
    pub(super) fn decide(&mut self, keys: Vec<Key>, decide: &Decide) -> Result<(Receipt, Answer), CommitError> {
        let read = |key: Key| Ok((key.clone(), self.get(&key)?.map(|value| Row { key, value })));
        let rows: Rows = keys.into_iter().map(read).collect::<Result<_, _>>().map_err(CommitError::NotCommitted)?;
        let (commit, answer) = catch_unwind(AssertUnwindSafe(|| decide(&rows)))
            .map_err(|_| CommitError::NotCommitted(StoreError::new("the rule of a commit panicked")))?;
        Ok((self.commit(commit)?, answer))
    }

    /// How many bytes its commits hold, those included that later ones replace.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the group amounts to.
    pub(super) fn finish(mut self) -> Changed {
        if self.forgets_events {
            // The log's end is where its last event is; when events go, their positions must not come again.
            self.put(Key::meta(LOG_END), number(self.end.0));
        }
        let rows = self.rows.into_iter().map(|(key, change)| (key, change.value)).collect();
        Changed { end: self.end, rows, versions: self.versions, claimed: self.claimed }
    }

    fn check_guard(&self, guard: &Guard) -> Result<(), CommitError> {
        match *guard {
            Guard::Run { run, fence } => {
                let version = self.version(run).map_err(CommitError::NotCommitted)?;
                (version == Some(fence.version) && fence.epoch == 0).then_some(()).ok_or(CommitError::Fenced(run))
            }
            Guard::NoneSince { inbox, after } => {
                let since = Key::inbox(inbox, Position(after.0.saturating_add(1)))
                    ..Key::inbox(inbox, Position(u64::MAX)).next();
                let newer = self.last(since).map_err(CommitError::NotCommitted)?;
                newer.is_none().then_some(()).ok_or(CommitError::Stale(inbox))
            }
        }
    }

    /// What the commit makes of the versions of its runs.
    fn check_versions(&self, commit: &Commit) -> Result<HashMap<RunId, Option<u64>>, CommitError> {
        let mut versions = HashMap::new();
        for NewRun { run, version, born_of, .. } in &commit.runs {
            if matches!(born_of, BornOf::Here(index) if *index >= commit.events.len()) {
                let why = format!("run {run} is born of an event that its commit does not have");
                return Err(CommitError::NotCommitted(StoreError::new(why)));
            }
            let exists = versions.contains_key(run) || self.version(*run).map_err(CommitError::NotCommitted)?.is_some();
            if exists {
                return Err(CommitError::Exists(*run));
            }
            versions.insert(*run, Some(*version));
        }
        for write in &commit.writes {
            match write {
                Write::Note { key, event } if *event >= commit.events.len() => {
                    let why = format!("row {key:?} is to hold the position of an event that its commit does not have");
                    return Err(CommitError::NotCommitted(StoreError::new(why)));
                }
                Write::Append { run, first, count, .. } => {
                    if *count == 0 {
                        let why = format!("no records to append to run {run}");
                        return Err(CommitError::NotCommitted(StoreError::new(why)));
                    }
                    let version = self.version_after(&versions, *run)?;
                    if version != Some(*first) || u32::try_from(*first).is_err() {
                        return Err(CommitError::Fenced(*run));
                    }
                    versions.insert(*run, Some(first + u64::from(*count)));
                }
                Write::Delete(key) => {
                    if let Some(run) = key.as_head() {
                        versions.insert(run, None);
                    }
                }
                Write::Put(_) | Write::Queue { .. } | Write::Note { .. } | Write::Raise { .. } => {}
            }
        }
        for write in &commit.writes {
            let Write::Put(row) = write else { continue };
            let Some(run) = row.key.as_head() else { continue };
            let head = Head::read(&row.value).ok_or_else(|| CommitError::NotCommitted(damaged(&row.key)))?;
            if self.version_after(&versions, run)? != Some(head.records) {
                return Err(CommitError::Fenced(run));
            }
        }
        Ok(versions)
    }

    fn version_after(&self, versions: &HashMap<RunId, Option<u64>>, run: RunId) -> Result<Option<u64>, CommitError> {
        match versions.get(&run) {
            Some(version) => Ok(*version),
            None => self.version(run).map_err(CommitError::NotCommitted),
        }
    }

    fn write(&mut self, commit: Commit, versions: HashMap<RunId, Option<u64>>) -> Receipt {
        let mut events = Vec::with_capacity(commit.events.len());
        for event in commit.events {
            self.end.0 += 1;
            events.push(self.end);
            for row in event_rows(self.end, &event.row) {
                self.put_fresh(row.key, row.value);
            }
            for inbox in event.inbox {
                self.put_fresh(Key::inbox(inbox, self.end), Vec::new());
            }
        }
        for born in commit.runs {
            let position = match born.born_of {
                BornOf::Here(index) => events[index],
                BornOf::Before(position) => position,
            };
            let head = Head { position, records: born.version, json: &born.head };
            self.put_fresh(Key::head(born.run), head.write());
            if let Some(ready) = born.ready {
                let (key, value) = match born.behind {
                    Some(id) => (Key::line(id, ready.priority, position, born.run), gate_value(&born.gate)),
                    None => queue_row(ready, &born.gate, position, born.run),
                };
                self.put(key, value);
            }
            if born.claimed {
                self.claimed.push(born.run);
            }
        }
        for write in commit.writes {
            match write {
                Write::Append { run, first, count, records } => {
                    let first = u32::try_from(first).expect("checked with the versions");
                    self.put_fresh(Key::journal(run, first), Turn { count, records: &records }.write());
                }
                Write::Put(row) => self.put(row.key, row.value),
                Write::Delete(key) => self.delete(key),
                Write::Queue { run, ready, order, gate } => {
                    let (key, value) = queue_row(ready, &gate, order, run);
                    self.put(key, value);
                }
                Write::Note { key, event } => self.put(key, number(events[event].0)),
                Write::Raise { key, to } => {
                    // A row that cannot be read is as good as none: it is put anew.
                    let at = self.get(&key).ok().flatten().and_then(|value| read_number(&value)).unwrap_or(0);
                    self.put(key, number(to.max(at)));
                }
            }
        }
        self.versions.extend(versions);
        Receipt { at: self.end, events }
    }

    fn put(&mut self, key: Key, value: Vec<u8>) {
        let change = self.rows.entry(key).or_insert(Change { value: None, fresh: false });
        change.value = Some(value);
    }

    /// Puts a row that is known not to be below.
    fn put_fresh(&mut self, key: Key, value: Vec<u8>) {
        let change = self.rows.entry(key).or_insert(Change { value: None, fresh: true });
        change.value = Some(value);
    }

    fn delete(&mut self, key: Key) {
        self.forgets_events |= key.table() == Some(Table::Event);
        if self.rows.get(&key).is_some_and(|change| change.fresh) {
            self.rows.remove(&key);
        } else {
            self.rows.insert(key, Change { value: None, fresh: false });
        }
    }
}

/// The group as the rows that the next commit sees.
impl<B: Base> Base for Group<'_, B> {
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        match self.rows.get(key) {
            Some(change) => Ok(change.value.clone()),
            None => self.base.get(key),
        }
    }

    fn last(&self, mut range: Range<Key>) -> Result<Option<Row>, StoreError> {
        let mine = self.rows.range(range.clone()).rev().find_map(|(key, change)| {
            change.value.as_ref().map(|value| Row { key: key.clone(), value: value.clone() })
        });
        loop {
            match self.base.last(range.clone())? {
                Some(below) if mine.as_ref().is_some_and(|mine| mine.key >= below.key) => return Ok(mine),
                Some(below) if self.rows.contains_key(&below.key) => range.end = below.key, // deleted by the group
                Some(below) => return Ok(Some(below)),
                None => return Ok(mine),
            }
        }
    }

    fn version(&self, run: RunId) -> Result<Option<u64>, StoreError> {
        match self.versions.get(&run) {
            Some(version) => Ok(*version),
            None => self.base.version(run),
        }
    }
}

/// The name of the meta row that holds the log's end, for when its last events are gone.
pub(super) const LOG_END: &str = "log_end";

/// The log's end, as the rows tell it.
pub(super) fn log_end(base: &impl Base) -> Result<Position, StoreError> {
    let last = base.last(Key::all(Table::Event))?.map(|row| row.key.as_event().ok_or_else(|| damaged(&row.key)));
    let last = last.transpose()?.map_or(Position(0), |(position, _)| position);
    let key = Key::meta(LOG_END);
    let Some(kept) = base.get(&key)? else { return Ok(last) };
    let kept = read_number(&kept).ok_or_else(|| damaged(&key))?;
    Ok(last.max(Position(kept)))
}

/// Refuses commits over the limits. Rows of events, their inbox and their dedupe rows count by bytes alone, and so do
/// those of gathered events: a request with many events is taken whole or not at all, and so is a batch. Gives the
/// number of bytes.
fn check_size(commit: &Commit) -> Result<usize, CommitError> {
    let mut rows = 0;
    let mut bytes = 0;
    let mut largest = 0;
    for event in &commit.events {
        bytes += event.row.len() + event.inbox.len() * KEY_BYTES + KEY_BYTES;
    }
    let mut count = |table: Table, size: usize| {
        rows += usize::from(!matches!(table, Table::Dedupe | Table::Gathered));
        bytes += size + KEY_BYTES;
        largest = largest.max(size);
    };
    for born in &commit.runs {
        count(Table::Head, born.head.len());
        if born.ready.is_some() {
            count(Table::Queue, 0);
        }
    }
    for write in &commit.writes {
        match write {
            Write::Append { records, .. } => count(Table::Journal, records.len()),
            Write::Put(row) => count(row.key.table().unwrap_or(Table::Meta), row.value.len()),
            Write::Delete(key) => count(key.table().unwrap_or(Table::Meta), 0),
            Write::Queue { gate, .. } => count(Table::Queue, gate.slots.len() * KEY_BYTES),
            Write::Note { key, .. } | Write::Raise { key, .. } => count(key.table().unwrap_or(Table::Meta), KEY_BYTES),
        }
    }
    let fits = rows <= COMMIT_ROWS_MAX && bytes <= COMMIT_BYTES_MAX && largest <= ROW_BYTES_MAX;
    fits.then_some(bytes).ok_or(CommitError::TooLarge)
}

/// The row of a run in the queue.
fn queue_row(ready: Ready, gate: &Gate, order: Position, run: RunId) -> (Key, Vec<u8>) {
    let value = if gate.is_open() { Vec::new() } else { gate_value(gate) };
    (Key::in_queue(ready, gate, order, run), value)
}

/// What a key counts for in the size of a commit: about the longest there is.
const KEY_BYTES: usize = 32;

fn damaged(key: &Key) -> StoreError {
    StoreError::new(format!("row {key:?} is damaged"))
}
