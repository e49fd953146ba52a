//! Virtual time for one thread: it stands still while anything happens, and jumps to what is due next when the thread
//! would go to sleep.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use wf_dsl::Time;

use crate::clock::Clock;
use crate::kind::BoxFuture;

/// A clock that its thread's runtime moves. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct TestClock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    now: Time,
    /// Who sleeps, by when they are due; the number tells those of one instant apart.
    sleepers: BTreeMap<(Time, u64), Waker>,
    next: u64,
    /// Where the case itself goes on, before whatever else is due then.
    stop: Option<(Time, Waker)>,
    /// The case goes on now, because too much has happened.
    stopped: bool,
}

impl TestClock {
    pub(super) fn new() -> Self {
        let state = State { now: Time(0), sleepers: BTreeMap::new(), next: 0, stop: None, stopped: false };
        TestClock(Arc::new(Mutex::new(state)))
    }

    /// Begins anew at an instant, for the next case.
    pub(super) fn reset(&self, start: Time) {
        let mut state = self.state();
        state.now = start;
        state.sleepers.clear();
        (state.stop, state.stopped) = (None, false);
    }

    /// The thread has nothing to do: time jumps to what is due next.
    pub(super) fn jump(&self) {
        let mut state = self.state();
        let due = state.sleepers.first_key_value().map(|((due, _), _)| *due);
        match (&state.stop, due) {
            (Some((stop, waker)), due) if due.is_none_or(|due| *stop <= due) => {
                let (stop, waker) = (*stop, waker.clone());
                state.now = state.now.max(stop);
                waker.wake();
            }
            (_, Some(due)) => {
                state.now = state.now.max(due);
                while let Some(first) = state.sleepers.first_entry().filter(|entry| entry.key().0 <= due) {
                    first.remove().wake();
                }
            }
            _ => {}
        }
    }

    /// Resolves when `at` has come, before anything else that is due then; or when the case was stopped.
    pub(super) async fn reach(&self, at: Time) {
        poll_fn(|cx| {
            let mut state = self.state();
            if state.now >= at || state.stopped {
                state.stop = None;
                return Poll::Ready(());
            }
            state.stop = Some((at, cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Lets the case go on now.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        if let Some((_, waker)) = &state.stop {
            waker.wake_by_ref();
        }
    }

    /// Nothing in here unwinds half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when `due` has come.
    fn sleep(&self, due: Time) -> BoxFuture<'static, ()> {
        let mut sleeper = Sleeper { clock: self.clone(), due, number: None };
        Box::pin(poll_fn(move |cx| sleeper.poll(cx.waker())))
    }
}

struct Sleeper {
    clock: TestClock,
    due: Time,
    number: Option<u64>,
}

impl Sleeper {
    fn poll(&mut self, waker: &Waker) -> Poll<()> {
        let mut state = self.clock.state();
        if state.now >= self.due {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            state.next += 1;
            state.next
        });
        state.sleepers.insert((self.due, number), waker.clone());
        Poll::Pending
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.clock.state().sleepers.remove(&(self.due, number));
        }
    }
}

impl Clock for TestClock {
    fn now(&self) -> Time {
        self.state().now
    }

    fn sleep_until(&self, due: Time, _idle: bool) -> BoxFuture<'_, ()> {
        self.sleep(due)
    }

    fn pass(&self, period: Duration) -> BoxFuture<'_, ()> {
        let now = self.now();
        let due = i64::try_from(period.as_millis()).ok().and_then(|ms| now.0.checked_add(ms)).unwrap_or(i64::MAX);
        self.sleep(Time(due))
    }
}
