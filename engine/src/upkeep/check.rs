//! Check: what the rows that can be derived from others must be, and what they are.

use std::collections::{BTreeMap, BTreeSet};

use wf_dsl::PlanHash;

use super::floors::Floors;
use super::retention::PAGE;
use crate::driver::{load, waits_of};
use crate::error::Error;
use crate::ids::{Position, RunId};
use crate::limits;
use crate::registry::Registry;
use crate::rows::EventRow;
use crate::store::{Commit, Due, Key, ROW_VERSION, Row, Store, Table, Write, events};

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Checked {
    /// Runs that were read.
    pub runs: u64,
    /// Events that were read.
    pub events: u64,
    /// What is not as it must be.
    pub differences: Vec<Difference>,
}

/// A row that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Difference {
    /// What the row is for: `timer`, `wait`, `queue`, `ended`, `inbox`, `limit`, `run`, `plan`, `event`,
    /// `frame` or `journal`.
    pub table: &'static str,
    /// What is wrong with it.
    pub what: Fault,
    /// The run, if it is one's.
    pub run: Option<RunId>,
    /// The row, for people.
    pub row: String,
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It must be there. A repair writes it.
    Missing,
    /// It must not be there. A repair deletes it.
    LeftOver,
    /// It cannot be read. A repair leaves it.
    Unreadable,
}

impl Fault {
    /// The words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Missing => "missing",
            Fault::LeftOver => "left over",
            Fault::Unreadable => "unreadable",
        }
    }
}

/// Rows that one commit repairs.
const ROWS: usize = 500;

/// Compares all rows that can be derived with what they must be, in a store that no engine uses. With `repair`, missing
/// rows are written and those that are left over deleted.
///
/// It holds the keys of all timers, waits and runnable runs in memory.
///
/// # Errors
/// The store cannot be read, or does not take the repair.
pub async fn check(store: &dyn Store, repair: bool) -> Result<Checked, Error> {
    let mut check = Check { store, registry: Registry::default(), checked: Checked::default(), repairs: Vec::new() };
    check.plans().await?;
    let derived = check.runs().await?;
    check.derived(derived).await?;
    check.gathered().await?;
    check.inbox().await?;
    let Check { mut checked, repairs, .. } = check;
    checked.differences.sort();
    if repair {
        for writes in repairs.chunks(ROWS) {
            store.commit(Commit { writes: writes.to_vec(), ..Commit::default() }).await?;
        }
    }
    Ok(checked)
}

struct Check<'a> {
    store: &'a dyn Store,
    registry: Registry,
    checked: Checked,
    repairs: Vec<Write>,
}

/// What runs say of the rows that can be derived.
#[derive(Default)]
struct Derived {
    /// Rows that must be there.
    wanted: BTreeSet<Key>,
    /// Rows that may be there.
    allowed: BTreeSet<Key>,
    /// The rows that parked runs had before their last records: they write others when they leave the queue.
    before: BTreeMap<RunId, Vec<Key>>,
    /// Runs that must be in the queue, with their places.
    runnable: BTreeMap<RunId, Position>,
    /// All runs; true if nothing can be said of their rows.
    runs: BTreeMap<RunId, bool>,
}

impl Check<'_> {
    fn differs(&mut self, table: &'static str, what: Fault, run: Option<RunId>, row: &Key) {
        self.checked.differences.push(Difference { table, what, run, row: format!("{row:?}") });
    }

    async fn plans(&mut self) -> Result<(), Error> {
        let plans = load::scan(self.store, Key::all(Table::Plan)).await?;
        let hashes: BTreeSet<[u8; 32]> = plans.iter().filter_map(|row| row.key.as_plan()).collect();
        for hash in hashes {
            if load::definition(self.store, &self.registry, PlanHash(hash)).await.is_err() {
                self.differs("plan", Fault::Unreadable, None, &Key::plan(&hash, 0));
            }
        }
        Ok(())
    }

    /// Reads every run.
    async fn runs(&mut self) -> Result<Derived, Error> {
        let mut derived = Derived::default();
        let mut range = Key::all(Table::Head);
        loop {
            let page = self.store.scan(range.clone(), false, PAGE).await?;
            for row in &page {
                let Some(run) = row.key.as_head() else { continue };
                self.checked.runs += 1;
                match load::load(self.store, &self.registry, run).await {
                    Ok(Some(loaded)) => derived.add(&loaded),
                    Ok(None) => {}
                    Err(_) => {
                        derived.runs.insert(run, true);
                        self.differs("run", Fault::Unreadable, Some(run), &row.key);
                    }
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => range.start = last.key.next(),
                _ => return Ok(derived),
            }
        }
    }

    async fn derived(&mut self, mut derived: Derived) -> Result<(), Error> {
        let mut queued = BTreeSet::new();
        for table in [Table::Queue, Table::Gated] {
            for row in load::scan(self.store, Key::all(table)).await? {
                let Some((_, run)) = row.key.queued() else { continue };
                derived.runnable.remove(&run);
                queued.insert(run);
                derived.allowed.extend(derived.before.remove(&run).into_iter().flatten());
                if !derived.runs.contains_key(&run) {
                    self.drop_row("queue", run, row.key);
                }
            }
        }
        for row in load::scan(self.store, Key::all(Table::Line)).await? {
            let Some((_, _, run)) = row.key.as_line() else { continue };
            derived.runnable.remove(&run);
            if !derived.runs.contains_key(&run) {
                self.drop_row("line", run, row.key);
            }
        }
        for (run, order) in std::mem::take(&mut derived.runnable) {
            self.differs("queue", Fault::Missing, Some(run), &Key::queue(crate::store::Ready::woken(run), order, run));
            self.repairs.push(Write::wake(run, order));
        }
        for (table, name) in [(Table::Timer, "timer"), (Table::Wait, "wait"), (Table::Ended, "ended")] {
            for row in load::scan(self.store, Key::all(table)).await? {
                let is_wanted = derived.wanted.remove(&row.key);
                let Some(run) = run_of(&row.key).filter(|_| !is_wanted) else { continue };
                let unknown = derived.runs.get(&run).copied();
                // The row of an end without a run is what retention goes on with.
                let is_fine = unknown == Some(true) || (unknown.is_none() && table == Table::Ended);
                if !is_fine && !derived.allowed.contains(&row.key) {
                    self.drop_row(name, run, row.key);
                }
            }
        }
        for key in derived.wanted {
            if run_of(&key).is_some_and(|run| queued.contains(&run)) && key.table() != Some(Table::Ended) {
                continue;
            }
            let name = match key.table() {
                Some(Table::Timer) => "timer",
                Some(Table::Wait) => "wait",
                _ => "ended",
            };
            self.differs(name, Fault::Missing, run_of(&key), &key);
            self.repairs.push(Write::Put(Row { key, value: vec![ROW_VERSION] }));
        }
        self.orphans(&derived.runs).await
    }

    /// Rows of runs that are not there.
    async fn orphans(&mut self, runs: &BTreeMap<RunId, bool>) -> Result<(), Error> {
        let ended = load::scan(self.store, Key::all(Table::Ended)).await?;
        let ended: BTreeSet<RunId> = ended.iter().filter_map(|row| row.key.as_ended()).map(|ended| ended.run).collect();
        for (table, name) in [(Table::Frame, "frame"), (Table::Journal, "journal")] {
            let mut range = Key::all(table);
            loop {
                let page = self.store.scan(range.clone(), false, PAGE).await?;
                for row in &page {
                    let Some(run) = row.key.run_behind_table() else { continue };
                    if !runs.contains_key(&run) && !ended.contains(&run) {
                        self.drop_row(name, run, row.key.clone());
                    }
                }
                match page.last() {
                    Some(last) if page.len() == PAGE => range.start = last.key.next(),
                    _ => break,
                }
            }
        }
        Ok(())
    }

    fn drop_row(&mut self, name: &'static str, run: RunId, key: Key) {
        self.differs(name, Fault::LeftOver, Some(run), &key);
        self.repairs.push(Write::Delete(key));
    }

    /// What is gathered must have its timer.
    async fn gathered(&mut self) -> Result<(), Error> {
        let mut range = Key::all(Table::Limit);
        loop {
            let page = self.store.scan(range.clone(), false, PAGE).await?;
            for row in &page {
                match limits::timer_for(row) {
                    Ok(Some(timer)) if load::one(self.store, timer.key.clone()).await?.is_none() => {
                        self.differs("timer", Fault::Missing, None, &timer.key);
                        self.repairs.push(Write::Put(timer));
                    }
                    Ok(_) => {}
                    Err(_) => self.differs("limit", Fault::Unreadable, None, &row.key),
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => range.start = last.key.next(),
                _ => return Ok(()),
            }
        }
    }

    /// The inbox, event by event: what open runs may look for must be there, and what belongs to no event must not.
    async fn inbox(&mut self) -> Result<(), Error> {
        let floors = Floors::read(self.store, &self.registry).await?;
        let rows = load::scan(self.store, Key::all(Table::Inbox)).await?;
        let mut present: BTreeMap<Position, BTreeSet<Key>> = BTreeMap::new();
        for row in rows {
            if let Some((_, position)) = row.key.as_inbox() {
                present.entry(position).or_default().insert(row.key);
            }
        }
        let mut from = Position(0);
        loop {
            let rows = self.store.scan(Key::event(from, 0)..Key::all(Table::Event).end, false, PAGE).await?;
            let page = events(&rows)?;
            for (position, value) in &page {
                self.checked.events += 1;
                let key = Key::event(*position, 0);
                let there = present.remove(position).unwrap_or_default();
                let Ok(event) = EventRow::read(&key, value) else {
                    self.differs("event", Fault::Unreadable, None, &key);
                    continue;
                };
                let keys = self.registry.inbox_keys(&event.name, &event.data);
                let needed = keys.iter().filter(|key| !event.alone && floors.may_need(**key, *position));
                let needed: Vec<Key> = needed.map(|key| Key::inbox(*key, *position)).collect();
                for key in needed.into_iter().filter(|key| !there.contains(key)) {
                    self.differs("inbox", Fault::Missing, None, &key);
                    self.repairs.push(Write::Put(Row { key, value: Vec::new() }));
                }
                let known: BTreeSet<Key> = keys.into_iter().map(|key| Key::inbox(key, *position)).collect();
                there.difference(&known).cloned().for_each(|key| self.drop_inbox(key));
            }
            match page.last() {
                Some((last, _)) if rows.len() == PAGE => from = Position(last.0 + 1),
                _ => break,
            }
        }
        present.into_values().flatten().for_each(|key| self.drop_inbox(key));
        Ok(())
    }

    fn drop_inbox(&mut self, key: Key) {
        self.differs("inbox", Fault::LeftOver, None, &key);
        self.repairs.push(Write::Delete(key));
    }
}

impl Derived {
    fn add(&mut self, loaded: &load::Loaded) {
        let run = &loaded.run;
        self.runs.insert(run.id, false);
        if let Some(at) = run.head.ended.filter(|_| run.is_ended()) {
            self.wanted.insert(Key::ended(run.id.workflow, run.head.status as u8, at, run.id));
            return;
        }
        let timers = run.timers().map(|(frame, at)| Key::timer(Due { at, run: run.id, frame }));
        let rows = timers.chain(waits_of(run));
        let before = loaded.timers.iter().map(|(frame, at)| Key::timer(Due { at: *at, run: run.id, frame: *frame }));
        let before = before.chain(loaded.waits.iter().cloned());
        if run.version > 0 && run.is_parked() {
            self.wanted.extend(rows);
            self.before.insert(run.id, before.collect());
            return;
        }
        // It writes them when it parks. Until then the queue brings it on.
        self.allowed.extend(rows.chain(before));
        self.runnable.insert(run.id, run.position);
    }
}

/// The run of a timer, a wait or an end; none if it is another's.
fn run_of(key: &Key) -> Option<RunId> {
    match key.table()? {
        Table::Timer => key.as_timer().filter(Due::is_of_run).map(|due| due.run),
        Table::Wait => key.as_wait().map(|(run, _)| run),
        _ => key.as_ended().map(|ended| ended.run),
    }
}
