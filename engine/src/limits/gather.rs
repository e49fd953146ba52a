//! Gathering: `debounce` and `batch` make one run of several events.
//!
//! The events of a key are gathered under the run that the first of them would have been. A row of limits says how many
//! there are and when they are due, rows of their own hold their positions in the log, and a timer starts the run. Once
//! they are due nothing is added any more: the next event begins anew, whether the run has been started or not.

use std::ops::Range;

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

/// The timer without which the events that a row of limits counts would not start their run; none for other rules.
pub(crate) fn timer_for(limit: &Row) -> Result<Option<Row>, Unreadable> {
    let Some(id) = limit.key.as_limit().filter(|(rule, _)| *rule == GATHER).map(|(_, id)| id) else { return Ok(None) };
    let row: GatherRow = from_bytes(&limit.key, &limit.value)?;
    let key = timer_of(row.first, row.timer);
    Ok(Some(Row { key, value: to_bytes(&TimerRow { id, plan: row.plan }) }))
}

/// The rows of limits that say what is gathered.
pub(crate) fn gathering() -> Range<Key> {
    Key::limit(GATHER, LimitId([0; 16]))..Key::limit(GATHER + 1, LimitId([0; 16]))
}

/// Of such a row, the run that the first event would have been, and when the events are due.
pub(crate) fn gathered_until(limit: &Row) -> Result<(RunId, Time), Unreadable> {
    from_bytes::<GatherRow>(&limit.key, &limit.value).map(|row| (row.first, row.due))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EventId;

    const ID: LimitId = LimitId([3; 16]);

    fn run(n: u8) -> RunId {
        RunId { event: EventId([n; 12]), workflow: 1, nth: 0 }
    }

    fn plan(n: u8) -> Hash {
        Hash(wf_dsl::PlanHash([n; 32]))
    }

    fn debounce(quiet: i64, within: Option<i64>) -> Gather {
        Gather { id: ID, quiet: Some(quiet), within, most: None, event: 0, bytes: 1, plan: plan(0) }
    }

    fn batch(most: u32, within: i64) -> Gather {
        Gather { id: ID, quiet: None, within: Some(within), most: Some(most), event: 0, bytes: 1, plan: plan(0) }
    }

    /// A store of rows, with the positions of events counted.
    #[derive(Default)]
    struct Store {
        rows: Rows,
        end: u64,
    }

    impl Store {
        fn write(&mut self, commit: Commit) {
            for write in commit.writes {
                let (key, row) = match write {
                    Write::Put(row) => (row.key.clone(), Some(row)),
                    Write::Delete(key) => (key, None),
                    Write::Note { key, .. } => {
                        let value = self.end.to_be_bytes().to_vec();
                        (key.clone(), Some(Row { key, value }))
                    }
                    other => panic!("{other:?}"),
                };
                self.rows.insert(key, row);
            }
        }

        /// An event comes; gives when what it is gathered with is due, if that is news.
        fn add(&mut self, n: u8, at: i64, rule: &Gather) -> (RunId, Option<i64>) {
            self.end += 1;
            let mut commit = Commit::default();
            let verdict = gather(run(n), Time(at), rule, &mut self.rows, &mut commit);
            self.write(commit);
            let Verdict::Gathered { first, due, .. } = verdict else { panic!("{verdict:?}") };
            (first, due.map(|due| due.0))
        }

        /// A timer fires; gives what comes of it and how many events start their run.
        fn fire(&mut self, first: u8, due: i64, now: i64) -> (Flush, usize) {
            let due = Due { at: Time(due), run: run(first), frame: GATHERED };
            let Some(timer) = self.rows.get(&Key::timer(due)).cloned().flatten() else { return (Flush::Gone, 0) };
            let limit = self.rows.get(&Gathering::named_by(&timer).unwrap()).cloned().flatten();
            let mut gathered = Gathering::of(due, &timer, limit.as_ref(), Time(now)).unwrap();
            if gathered.is_due {
                gathered.events = self.events(first);
            }
            let mut commit = Commit::default();
            let flushed = flush(&gathered, Time(now), &mut self.rows, &mut commit);
            self.write(commit);
            (flushed, gathered.events.len())
        }

        fn events(&self, first: u8) -> Vec<Row> {
            self.rows.range(Key::gathered_of(run(first))).filter_map(|(_, row)| row.clone()).collect()
        }

        fn is_empty(&self) -> bool {
            self.rows.values().all(Option::is_none)
        }
    }

    #[test]
    fn silence_is_measured_from_the_last_event_and_the_timer_put_off() {
        let mut store = Store::default();
        let rule = debounce(10, None);
        assert_eq!(store.add(1, 0, &rule), (run(1), Some(10)));
        assert_eq!(store.add(2, 9, &rule), (run(1), None), "it is put off when it fires");
        assert_eq!(store.fire(1, 10, 10), (Flush::Later(Time(19)), 0));
        assert_eq!(store.fire(1, 10, 10), (Flush::Gone, 0), "it is another timer now");
        assert_eq!(store.fire(1, 19, 19), (Flush::Now, 1));
        assert!(store.is_empty());
    }

    #[test]
    fn one_that_comes_when_the_time_is_over_begins_anew() {
        let mut store = Store::default();
        let rule = debounce(10, Some(15));
        store.add(1, 0, &rule);
        store.add(2, 9, &rule);
        assert_eq!(store.add(3, 14, &rule), (run(1), None));
        assert_eq!(store.add(4, 15, &rule), (run(4), Some(25)), "the longest wait is over");
        assert_eq!(store.fire(1, 10, 15), (Flush::Now, 1), "whoever comes first");
        assert_eq!(store.fire(4, 25, 25), (Flush::Now, 1));
        assert!(store.is_empty());
    }

    #[test]
    fn a_batch_is_due_at_once_when_it_is_full() {
        let mut store = Store::default();
        let rule = batch(3, 100);
        assert_eq!(store.add(1, 0, &rule), (run(1), Some(100)));
        assert_eq!(store.add(2, 1, &rule), (run(1), None));
        assert_eq!(store.add(3, 2, &rule), (run(1), Some(2)));
        assert_eq!(store.add(4, 2, &rule), (run(4), Some(102)));
        assert_eq!(store.fire(1, 100, 100), (Flush::Gone, 0));
        assert_eq!(store.fire(1, 2, 2), (Flush::Now, 3));
        assert_eq!(store.fire(4, 102, 102), (Flush::Now, 1));
        assert!(store.is_empty());
    }

    #[test]
    fn a_batch_is_full_when_it_has_more_bytes_than_it_may() {
        let mut store = Store::default();
        let rule = |bytes| Gather { bytes, ..batch(1_000, 100) };
        assert_eq!(store.add(1, 0, &rule(GATHERED_BYTES_MAX)), (run(1), Some(100)));
        assert_eq!(store.add(2, 1, &rule(1)), (run(1), Some(1)));
    }

    #[test]
    fn an_event_that_came_after_the_others_were_read_is_not_lost() {
        for rule in [debounce(10, None), batch(3, 10)] {
            let mut store = Store::default();
            store.add(1, 0, &rule);
            let due = Due { at: Time(10), run: run(1), frame: GATHERED };
            let timer = store.rows[&Key::timer(due)].clone().unwrap();
            let limit = store.rows[&Key::limit(GATHER, ID)].clone();
            let mut read = Gathering::of(due, &timer, limit.as_ref(), Time(10)).unwrap();
            read.events = store.events(1);
            store.add(2, 0, &rule);
            let mut commit = Commit::default();
            assert_eq!(flush(&read, Time(10), &mut store.rows, &mut commit), Flush::Again);
            assert_eq!(commit, Commit::default());
        }
    }

    #[test]
    fn the_definition_is_that_of_the_last_event() {
        let mut store = Store::default();
        let rule = |n| Gather { plan: plan(n), ..batch(10, 10) };
        let plan_of = |store: &Store| {
            let due = Due { at: Time(10), run: run(1), frame: GATHERED };
            let timer = store.rows[&Key::timer(due)].clone().unwrap();
            let limit = store.rows[&Key::limit(GATHER, ID)].clone();
            Gathering::of(due, &timer, limit.as_ref(), Time(10)).unwrap().plan
        };
        store.add(1, 0, &rule(1));
        store.add(2, 1, &rule(2));
        assert_eq!(plan_of(&store), plan(2));
        store.add(3, 10, &rule(3));
        assert_eq!(plan_of(&store), plan(2), "the row of limits is another one's");
    }
}
