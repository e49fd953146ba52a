//! Virtual time that does not pass an event that is still to be sent.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use wf_dsl::Time;
use wf_engine::{BoxFuture, Clock, SimulatedClock};

/// A simulated clock with a ceiling. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct VirtualClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: SimulatedClock,
    ceiling: watch::Sender<Option<Time>>,
    reached: Notify,
}

impl VirtualClock {
    /// A clock that stands at `start`, until it is let go.
    pub(super) fn starting_at(start: Time) -> Self {
        let (ceiling, _) = watch::channel(Some(start));
        VirtualClock(Arc::new(Inner { clock: SimulatedClock::starting_at(start), ceiling, reached: Notify::new() }))
    }

    /// Lets time pass up to here.
    pub(super) fn let_go_to(&self, ceiling: Option<Time>) {
        self.0.ceiling.send_replace(ceiling);
    }

    /// Resolves when nothing can happen before the ceiling any more; maybe also earlier.
    pub(super) async fn reached(&self) {
        self.0.reached.notified().await;
    }

    /// Moves to an instant before which nothing happens.
    pub(super) fn advance_to(&self, to: Time) {
        self.0.clock.advance_to(to);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        self.0.clock.now()
    }

    fn sleep_until(&self, due: Time, idle: bool) -> BoxFuture<'_, ()> {
        if !idle {
            return Box::pin(std::future::pending());
        }
        let mut ceiling = self.0.ceiling.subscribe();
        Box::pin(async move {
            loop {
                let stop = *ceiling.borrow_and_update();
                let Some(stop) = stop.filter(|stop| *stop < due) else { break };
                self.advance_to(stop);
                self.0.reached.notify_one();
                if ceiling.changed().await.is_err() {
                    break;
                }
            }
            self.advance_to(due);
        })
    }

    fn is_simulated(&self) -> bool {
        true
    }

    fn resume_at(&self, at: Time) {
        self.advance_to(at);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn time_stops_below_an_event_that_is_still_to_be_sent() {
        let clock = VirtualClock::starting_at(Time(10));
        let mut sleep = clock.sleep_until(Time(50), true);
        let mut is_over = || sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(!is_over() && clock.now() == Time(10));
        clock.let_go_to(Some(Time(30)));
        assert!(!is_over() && clock.now() == Time(30));
        clock.let_go_to(None);
        assert!(is_over() && clock.now() == Time(50));
    }
}
