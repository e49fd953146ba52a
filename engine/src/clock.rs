//! Time, as the engine sees it. The only file that may read the real clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wf_dsl::Time;

use crate::kind::BoxFuture;

/// Where the engine takes its time from.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Time;

    /// Resolves when `due` may have come. It may return early: callers look at [`Clock::now`] again.
    fn sleep_until(&self, due: Time) -> BoxFuture<'_, ()>;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the real clock")]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Sleeps at most 500 ms, so that a clock that was set forward is noticed within a second.
    #[allow(clippy::disallowed_methods, reason = "the one place that waits for real time to pass")]
    fn sleep_until(&self, due: Time) -> BoxFuture<'_, ()> {
        let left = u64::try_from(due.0.saturating_sub(self.now().0)).unwrap_or(0);
        Box::pin(tokio::time::sleep(Duration::from_millis(left.min(500))))
    }
}
