//! Time that stands still while anything happens.

use wf_engine::{BoxFuture, Clock, Time};

/// Virtual time: tokio's own, which stands still while anything happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VirtualClock {
    base: Time,
    origin: tokio::time::Instant,
}

impl VirtualClock {
    /// A clock that stands at `base`; the runtime's time is paused.
    pub(crate) fn starting_at(base: Time) -> Self {
        VirtualClock { base, origin: tokio::time::Instant::now() }
    }

    fn at(&self, time: Time) -> tokio::time::Instant {
        self.origin + time.since(self.base).to_std()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        let elapsed = i64::try_from(self.origin.elapsed().as_millis()).unwrap();
        Time(self.base.0 + elapsed)
    }

    fn sleep_until(&self, due: Time, _idle: bool) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep_until(self.at(due)))
    }
}
