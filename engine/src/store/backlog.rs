//! How many runs wait for their beginning.

use super::lanes::ReadRows;
use super::{Key, StoreError, Table};

/// The tables in which runs stand that have not begun, in the order of their keys.
const TABLES: [Table; 3] = [Table::Gated, Table::Queue, Table::Line];
/// How many of the rows that were there when the store was opened are counted with one look.
const PAGE: usize = 512;

/// A count of the runs that stand in the queue, or behind the run that is open under a key, have not begun and are not
/// taken.
///
/// The rows that a store has at its start are counted later, a page with each look, so that a start costs the same
/// however many there are: rows before `uncounted` are counted as they come and go, those from there on will be found.
#[derive(Debug)]
pub(super) struct Backlog {
    runs: u64,
    uncounted: Option<Key>,
}

impl Default for Backlog {
    fn default() -> Self {
        Backlog { runs: 0, uncounted: Some(Key::all(TABLES[0]).start) }
    }
}

impl Backlog {
    /// A row has come, or its run is not taken any more.
    pub(super) fn add(&mut self, key: &Key) {
        self.runs += u64::from(self.counts(key));
    }

    /// A row has gone, or its run was taken.
    pub(super) fn take(&mut self, key: &Key) {
        self.runs = self.runs.saturating_sub(u64::from(self.counts(key)));
    }

    /// How many there are, as far as they were counted; counts some more. `is_taken` tells of a row whether its run is.
    pub(super) fn look(&mut self, read: ReadRows<'_>, is_taken: impl Fn(&Key) -> bool) -> Result<u64, StoreError> {
        let Some(from) = self.uncounted.clone() else { return Ok(self.runs) };
        let tables = TABLES.iter().map(|table| Key::all(*table)).filter(|table| from < table.end);
        self.uncounted = None;
        let mut left = PAGE;
        for table in tables {
            let start = from.clone().max(table.start);
            let rows = match read(start.clone()..table.end, left) {
                Ok(rows) => rows,
                Err(error) => {
                    self.uncounted = Some(start);
                    return Err(error);
                }
            };
            self.runs += rows.iter().filter(|row| waits(&row.key) && !is_taken(&row.key)).count() as u64;
            left -= rows.len();
            if left == 0 {
                self.uncounted = rows.last().map(|row| row.key.next());
                break;
            }
        }
        Ok(self.runs)
    }

    fn counts(&self, key: &Key) -> bool {
        waits(key) && self.uncounted.as_ref().is_none_or(|uncounted| key < uncounted)
    }
}

/// Whether a row is that of a run that has not begun.
fn waits(key: &Key) -> bool {
    key.as_line().is_some() || key.queued().is_some_and(|(ready, _)| !ready.is_woken())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::gate::LimitId;
    use super::super::{Ready, Row};
    use super::*;
    use crate::ids::{EventId, Position, RunId};

    fn run(n: u64) -> RunId {
        let mut event = [0; 12];
        event[4..].copy_from_slice(&n.to_be_bytes());
        RunId { event: EventId(event), workflow: 1, nth: 0 }
    }

    fn key(n: u64) -> Key {
        match n % 3 {
            0 => Key::line(LimitId([1; 16]), 101, Position(n), run(n)),
            _ => Key::queue(Ready { workflow: 1, priority: 101 }, Position(n), run(n)),
        }
    }

    /// What comes and goes while it is counted is counted once.
    #[test]
    fn a_count_in_pages_is_that_of_the_rows() {
        let mut rows: BTreeSet<Key> = (0..2_000).map(key).collect();
        let mut backlog = Backlog::default();
        for round in 0..8 {
            let stored = rows.clone();
            let read = |range: std::ops::Range<Key>, most: usize| {
                let page = stored.range(range).take(most).map(|key| Row { key: key.clone(), value: Vec::new() });
                Ok(page.collect())
            };
            backlog.look(&read, |_| false).unwrap();
            for n in 0..100 {
                let (gone, come) = (key(round * 150 + n), key(2_000 + round * 150 + n));
                rows.remove(&gone);
                backlog.take(&gone);
                rows.insert(come.clone());
                backlog.add(&come);
            }
        }
        assert_eq!((backlog.runs, backlog.uncounted.is_none()), (rows.len() as u64, true));
    }

    #[test]
    fn runs_that_have_begun_do_not_count() {
        let mut backlog = Backlog { runs: 0, uncounted: None };
        backlog.add(&Key::queue(Ready::woken(run(1)), Position(1), run(1)));
        assert_eq!(backlog.runs, 0);
        backlog.take(&key(1));
        assert_eq!(backlog.runs, 0);
    }
}
