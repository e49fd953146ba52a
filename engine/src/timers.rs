//! Timers: the next ones in memory, all of them in the store.

use std::collections::BTreeSet;

use wf_dsl::Time;

use crate::ids::{FrameId, RunId};
use crate::store::{Due, Key};

/// How many timers are read ahead at once.
pub(crate) const WINDOW: usize = 10_000;

/// The window of timers that are due next. A timer here is a hint: the run looks at its own due times.
#[derive(Debug)]
pub(crate) struct Timers {
    near: BTreeSet<(Time, RunId, FrameId)>,
    /// Timers of runs that are in memory and have written no rows for them: they are nowhere else.
    held: BTreeSet<(Time, RunId, FrameId)>,
    /// Timers from this instant on are in the store only; none if all are here.
    beyond: Option<Time>,
    /// A page is being read, which may have been looked up before the rows that are written meanwhile.
    reading: bool,
}

impl Timers {
    /// A window that knows nothing: everything is in the store.
    pub(crate) fn unread() -> Self {
        Timers { near: BTreeSet::new(), held: BTreeSet::new(), beyond: Some(Time(i64::MIN)), reading: false }
    }

    /// Whether there is more to read before anything can be said of the future.
    pub(crate) fn is_dry(&self) -> bool {
        self.reading || (self.near.is_empty() && self.beyond.is_some())
    }

    /// Where the rows to read next begin, if the window has run dry; [`Timers::read`] or [`Timers::unreadable`] must
    /// follow.
    pub(crate) fn next_page(&mut self) -> Option<Key> {
        let from = self.beyond.filter(|_| self.near.is_empty() && !self.reading)?;
        self.reading = true;
        Some(Key::timers_from(from))
    }

    /// A page could not be read.
    pub(crate) fn unreadable(&mut self) {
        self.reading = false;
    }

    /// Takes a page of rows that were read. A page shorter than the window is the last one.
    pub(crate) fn read(&mut self, page: &[Due]) {
        self.reading = false;
        self.near.extend(page.iter().map(|due| (due.at, due.run, due.frame)));
        self.beyond = match page.last() {
            // Rows of the last instant may have been cut off: they are read again, which is harmless.
            Some(last) if page.len() >= WINDOW => Some(Time(last.at.0.saturating_add(1))),
            _ => None,
        };
    }

    /// Takes note of a timer that was made durable.
    pub(crate) fn add(&mut self, due: Due) {
        if !self.reading && self.beyond.is_some_and(|beyond| due.at >= beyond) {
            return;
        }
        self.near.insert((due.at, due.run, due.frame));
        // The window must not grow with the number of sleepers: what is far away goes back to the store.
        while self.near.len() > 2 * WINDOW && !self.reading {
            if let Some((at, ..)) = self.near.pop_last() {
                self.beyond = Some(at);
                while self.near.last().is_some_and(|(last, ..)| *last >= at) {
                    self.near.pop_last();
                }
            }
        }
    }

    /// Takes note of a timer that has no row.
    pub(crate) fn hold(&mut self, due: Due) {
        self.held.insert((due.at, due.run, due.frame));
    }

    /// Forgets a timer that is not needed any more, or has a row now.
    pub(crate) fn let_go(&mut self, due: Due) {
        self.held.remove(&(due.at, due.run, due.frame));
    }

    /// Forgets a timer whose row is gone.
    pub(crate) fn remove(&mut self, due: Due) {
        self.near.remove(&(due.at, due.run, due.frame));
    }

    /// The next due time.
    pub(crate) fn next(&self) -> Option<Time> {
        self.near.first().into_iter().chain(self.held.first()).map(|(at, ..)| *at).min()
    }

    /// Takes the next timer that is due.
    pub(crate) fn pop(&mut self, now: Time) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        let is_held = self.near.first().is_none_or(|near| self.held.first().is_some_and(|held| held < near));
        let first = if is_held { self.held.pop_first() } else { self.near.pop_first() };
        first.map(|(at, run, frame)| Due { at, run, frame })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EventId;

    fn due(at: i64) -> Due {
        Due { at: Time(at), run: RunId { event: EventId([0; 12]), workflow: 0, nth: 0 }, frame: FrameId::ROOT }
    }

    #[test]
    fn timers_come_out_when_due_and_in_order() {
        let mut timers = Timers::unread();
        timers.read(&[due(5), due(3)]);
        timers.add(due(4));
        assert_eq!(timers.pop(Time(2)), None);
        let order: Vec<i64> = std::iter::from_fn(|| timers.pop(Time(10))).map(|due| due.at.0).collect();
        assert_eq!(order, [3, 4, 5]);
        assert_eq!(timers.next_page(), None, "everything was read");
    }

    #[test]
    fn a_timer_that_is_added_while_a_page_is_read_is_not_lost() {
        let mut timers = Timers::unread();
        assert!(timers.next_page().is_some());
        assert_eq!(timers.next_page(), None, "one page at a time");
        timers.add(due(4));
        timers.read(&[]);
        assert_eq!(timers.pop(Time(10)), Some(due(4)));
    }

    #[test]
    fn a_timer_without_a_row_stays_whatever_the_window_holds() {
        let mut timers = Timers::unread();
        let page: Vec<Due> = (0..WINDOW as i64).map(due).collect();
        timers.read(&page);
        timers.hold(due(i64::MAX));
        timers.hold(due(7));
        timers.let_go(due(7));
        timers.remove(due(0));
        assert_eq!(timers.next(), Some(Time(1)));
        while timers.pop(Time(WINDOW as i64)).is_some() {}
        assert_eq!(timers.pop(Time(i64::MAX)), Some(due(i64::MAX)));
    }

    #[test]
    fn the_window_stays_small_and_the_rest_is_read_later() {
        let mut timers = Timers::unread();
        timers.read(&[]);
        for at in 0..(2 * WINDOW as i64 + 10) {
            timers.add(due(at));
        }
        assert!(timers.near.len() <= 2 * WINDOW);
        while timers.pop(Time(i64::MAX)).is_some() {}
        assert_eq!(timers.next_page(), Some(Key::timers_from(Time(2 * WINDOW as i64))));
    }

    #[test]
    fn a_full_page_says_that_there_is_more() {
        let mut timers = Timers::unread();
        let page: Vec<Due> = (0..WINDOW as i64).map(due).collect();
        timers.read(&page);
        timers.add(due(i64::MAX));
        while timers.pop(Time(i64::MAX)).is_some() {}
        assert_eq!(timers.next_page(), Some(Key::timers_from(Time(WINDOW as i64))));
    }
}
