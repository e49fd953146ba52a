//! Gathering: `debounce` and `batch` make one run of several events.
//!
//! The events of a key are gathered under the run that the first of them would have been. A row of limits says how many
//! there are and when they are due, rows of their own hold their positions in the log, and a timer starts the run. Once
//! they are due nothing is added any more: the next event begins anew, whether the run has been started or not.

use serde::{Deserialize, Serialize};
use wf_dsl::{Collect, EvalError, Limits, Time};

use super::admit::{Verdict, read, write};
use super::terms::key_id;
use crate::ids::{FrameId, RunId};
use crate::rows::{Unreadable, from_bytes, to_bytes};
use crate::run::{EventScope, Hash};
use crate::store::{Commit, Due, Key, LimitId, Row, Rows, Write};

/// The rule in the keys of the rows of limits.
const GATHER: u32 = 19;
/// The frame of the timer of what is gathered: its run is the one that the first event would have been.
pub(crate) const GATHERED: FrameId = FrameId::RESERVED;

/// The most events that one run is started by: the greatest `max` of a `batch`, and of `debounce` with `collect: all`.
pub const GATHERED_MAX: u32 = 1_000;
/// A run is started when the data of the events that are gathered for it is longer than this, in bytes.
pub const GATHERED_BYTES_MAX: u64 = 1 << 20;

/// What is to be done with an event that is gathered.
#[derive(Clone, Debug)]
pub(super) struct Gather {
    id: LimitId,
    /// How long nothing may arrive, in milliseconds.
    quiet: Option<i64>,
    /// How long it may take from the first event on, in milliseconds.
    within: Option<i64>,
    /// How many events are enough; none if only the last one is kept.
    most: Option<u32>,
    event: usize,
    bytes: u64,
    plan: Hash,
}

/// What is gathered under a key.
#[derive(Debug, Serialize, Deserialize)]
struct GatherRow {
    /// The run that the first event would have been.
    first: RunId,
    since: Time,
    due: Time,
    /// When its timer is due, which may be earlier: then that is put off.
    timer: Time,
    /// How many events are kept.
    kept: u32,
    /// How long their data is.
    bytes: u64,
    /// The definition that took the last one.
    plan: Hash,
}

/// What the row of its timer holds.
#[derive(Debug, Serialize, Deserialize)]
struct TimerRow {
    id: LimitId,
    /// As long as the row of limits is there, that knows better.
    plan: Hash,
}

impl Gather {
    /// The rule of a workflow that gathers events, if it has one, for an event at an index of a commit, with the length of
    /// its data, and the definition that took it.
    pub(super) fn of(
        workflow: u16,
        limits: &Limits,
        scope: &EventScope<'_>,
        (event, bytes, plan): (usize, u64, Hash),
    ) -> Result<Option<Self>, EvalError> {
        let (rule, key, quiet, within, most) = match (&limits.debounce, &limits.batch) {
            (Some(rule), _) => {
                let most = (rule.collect == Collect::All).then_some(GATHERED_MAX);
                ("debounce", rule.key.as_ref(), Some(rule.quiet.0), rule.max_wait.map(|most| most.0), most)
            }
            (None, Some(rule)) => ("batch", rule.key.as_ref(), None, Some(rule.within.0), Some(rule.max)),
            (None, None) => return Ok(None),
        };
        let id = key_id(rule, workflow, key, scope)?;
        Ok(Some(Gather { id, quiet, within, most, event, bytes, plan }))
    }

    /// The row that the verdict depends on.
    pub(super) fn row(&self) -> Key {
        Key::limit(GATHER, self.id)
    }

    fn due(&self, since: Time, at: Time) -> Time {
        let after = |from: Time, ms: i64| Time(from.0.saturating_add(ms));
        let quiet = self.quiet.map(|quiet| after(at, quiet));
        let within = self.within.map(|within| after(since, within));
        quiet.into_iter().chain(within).min().unwrap_or(at)
    }
}

/// Adds the event of a start to what is gathered under its key.
pub(super) fn gather(run: RunId, at: Time, rule: &Gather, rows: &mut Rows, commit: &mut Commit) -> Verdict {
    let key = rule.row();
    let open = read::<GatherRow>(rows, &key);
    if let Some(over) = open.as_ref().filter(|row| row.due <= at) {
        // Its own row goes to others now.
        put_timer(commit, over.first, over.timer, &TimerRow { id: rule.id, plan: over.plan });
    }
    let mut row = open.filter(|row| row.due > at).unwrap_or(GatherRow {
        first: run,
        since: at,
        due: at,
        timer: Time(i64::MAX),
        kept: 0,
        bytes: 0,
        plan: rule.plan,
    });
    let place = if rule.most.is_some() { row.kept } else { row.kept.saturating_sub(1) };
    row.kept = place + 1;
    row.bytes = if rule.most.is_some() { row.bytes.saturating_add(rule.bytes) } else { rule.bytes };
    row.plan = rule.plan;
    let is_full = rule.most.is_some_and(|most| row.kept >= most || row.bytes > GATHERED_BYTES_MAX);
    row.due = if is_full { at } else { rule.due(row.since, at) };
    commit.writes.push(Write::Note { key: Key::gathered(row.first, place), event: rule.event });
    let (mut due, mut before) = (None, None);
    if row.due < row.timer {
        before = Some(row.timer).filter(|at| at.0 < i64::MAX);
        delete_timer(commit, row.first, before);
        put_timer(commit, row.first, row.due, &TimerRow { id: rule.id, plan: row.plan });
        row.timer = row.due;
        due = Some(row.due);
    }
    write(rows, commit, key, Some(&row));
    Verdict::Gathered { first: row.first, due, before }
}

/// Events that are gathered, as they were read.
#[derive(Clone, Debug)]
pub(crate) struct Gathering {
    /// Their timer.
    pub(crate) due: Due,
    id: LimitId,
    /// The definition that took the last one.
    pub(crate) plan: Hash,
    /// Nothing is added to them any more.
    pub(crate) is_due: bool,
    /// The rows of their positions.
    pub(crate) events: Vec<Row>,
}

/// What became of events that were gathered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Flush {
    /// They start their run.
    Now,
    /// They are not due before this time.
    Later(Time),
    /// One was added after they were read.
    Again,
    /// They have started their run.
    Gone,
}

impl Gathering {
    /// The row of limits that the row of a timer names.
    pub(crate) fn named_by(timer: &Row) -> Result<Key, Unreadable> {
        from_bytes::<TimerRow>(&timer.key, &timer.value).map(|row| Key::limit(GATHER, row.id))
    }

    /// What is gathered under a timer, given its row and that of limits; its events are to be read yet.
    pub(crate) fn of(due: Due, timer: &Row, limit: Option<&Row>, now: Time) -> Result<Self, Unreadable> {
        let TimerRow { id, plan } = from_bytes(&timer.key, &timer.value)?;
        let row: Option<GatherRow> = limit.map(|row| from_bytes(&row.key, &row.value)).transpose()?;
        let mine = row.filter(|row| row.first == due.run);
        let is_due = mine.as_ref().is_none_or(|row| row.due <= now);
        Ok(Gathering { due, id, plan: mine.map_or(plan, |row| row.plan), is_due, events: Vec::new() })
    }

    /// The rows that decide what becomes of it.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let mut keys = vec![Key::timer(self.due), Key::limit(GATHER, self.id), self.next()];
        keys.extend(self.events.last().map(|row| row.key.clone()));
        keys
    }

    /// The row of the event that would be added.
    fn next(&self) -> Key {
        Key::gathered(self.due.run, u32::try_from(self.events.len()).unwrap_or(u32::MAX))
    }
}

/// Decides whether gathered events start their run now, and adds the writes to `commit`.
pub(crate) fn flush(gathered: &Gathering, now: Time, rows: &mut Rows, commit: &mut Commit) -> Flush {
    let Gathering { due, id, events, .. } = gathered;
    let timer = Key::timer(*due);
    if rows.get(&timer).is_none_or(Option::is_none) {
        return Flush::Gone;
    }
    let key = Key::limit(GATHER, *id);
    let mine = read::<GatherRow>(rows, &key).filter(|row| row.first == due.run);
    if let Some(row) = mine.as_ref().filter(|row| row.due > now) {
        delete_timer(commit, row.first, Some(row.timer));
        put_timer(commit, row.first, row.due, &TimerRow { id: *id, plan: row.plan });
        let until = row.due;
        write(rows, commit, key, mine.map(|row| GatherRow { timer: row.due, ..row }).as_ref());
        return Flush::Later(until);
    }
    let is_whole = events.last().is_some_and(|last| rows.get(&last.key).is_some_and(|row| row.as_ref() == Some(last)));
    if !is_whole || rows.get(&gathered.next()).is_some_and(Option::is_some) {
        return Flush::Again;
    }
    commit.writes.push(Write::Delete(timer));
    commit.writes.extend(events.iter().map(|row| Write::Delete(row.key.clone())));
    if mine.is_some() {
        write::<GatherRow>(rows, commit, key, None);
    }
    Flush::Now
}

fn timer_of(first: RunId, at: Time) -> Key {
    Key::timer(Due { at, run: first, frame: GATHERED })
}

fn put_timer(commit: &mut Commit, first: RunId, at: Time, value: &TimerRow) {
    commit.writes.push(Write::Put(Row { key: timer_of(first, at), value: to_bytes(value) }));
}

fn delete_timer(commit: &mut Commit, first: RunId, at: Option<Time>) {
    commit.writes.extend(at.map(|at| Write::Delete(timer_of(first, at))));
}
