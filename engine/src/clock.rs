//! Time, as the engine sees it. The only file that may read the real clock.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wf_dsl::Time;

use crate::kind::BoxFuture;

/// Where the engine takes its time from.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Time;

    /// Resolves when `due` may have come. It may return early: callers look at [`Clock::now`] again.
    ///
    /// `idle` says that nothing else can happen before `due`. A simulated clock jumps only then; until then it never
    /// resolves.
    fn sleep_until(&self, due: Time, idle: bool) -> BoxFuture<'_, ()>;

    /// Whether time is made up. A store holds simulated time or real time for good, and with simulated time it keeps
    /// how far that went.
    fn is_simulated(&self) -> bool {
        false
    }

    /// Moves a simulated clock forward to where its store left off. Real clocks ignore it.
    fn resume_at(&self, _at: Time) {}

    /// Resolves when an attempt has taken this long. Attempts take real time, also where the engine's clock is
    /// simulated; only where effects are mocked it is the clock's own.
    #[allow(clippy::disallowed_methods, reason = "how long an attempt takes is not the engine's to say")]
    fn pass(&self, period: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(period))
    }
}

/// The machine's own clock, made steady: it follows the monotonic clock, so that a wall clock that jumps and comes back
/// fires no timer early. A wall clock that stays different for [`SystemClock::SETTLED`] is believed.
pub struct SystemClock {
    state: Mutex<Steady>,
    wall: Box<dyn Fn() -> Time + Send + Sync>,
}

impl std::fmt::Debug for SystemClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemClock").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Steady {
    /// A monotonic instant and the wall time that belongs to it.
    anchor: (Instant, Time),
    /// Since when the wall clock has differed.
    differs_since: Option<Instant>,
}

impl SystemClock {
    /// How long the wall clock must differ before it is believed.
    pub const SETTLED: Duration = Duration::from_secs(60);
    /// How far it may differ, in milliseconds, without being different.
    const TOLERANCE_MS: i64 = 200;
    /// The longest sleep, so that a correction of the clock is noticed.
    const SLEEP_MAX: Duration = Duration::from_millis(500);

    /// A clock that reads the wall time from somewhere else, such as from a test that lets it jump.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the real clock")]
    pub fn following(wall: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        let anchor = (Instant::now(), wall());
        SystemClock { state: Mutex::new(Steady { anchor, differs_since: None }), wall: Box::new(wall) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::following(wall)
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place that reads the real clock")]
fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Steady {
    /// The steady time, given what both clocks say.
    fn at(&mut self, now: Instant, wall: Time) -> Time {
        let elapsed = i64::try_from(now.saturating_duration_since(self.anchor.0).as_millis()).unwrap_or(i64::MAX);
        let steady = Time(self.anchor.1.0.saturating_add(elapsed));
        if (wall.0 - steady.0).abs() <= SystemClock::TOLERANCE_MS {
            self.differs_since = None;
            return steady;
        }
        let since = *self.differs_since.get_or_insert(now);
        if now.saturating_duration_since(since) < SystemClock::SETTLED {
            return steady;
        }
        *self = Steady { anchor: (now, wall), differs_since: None };
        wall
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the real clock")]
    fn now(&self) -> Time {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.at(Instant::now(), (self.wall)())
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that waits for real time to pass")]
    fn sleep_until(&self, due: Time, _idle: bool) -> BoxFuture<'_, ()> {
        let left = Duration::from_millis(u64::try_from(due.0.saturating_sub(self.now().0)).unwrap_or(0));
        Box::pin(tokio::time::sleep(left.min(SystemClock::SLEEP_MAX)))
    }
}

/// A clock that jumps to the next thing that is due whenever nothing else can happen.
#[derive(Debug)]
pub struct SimulatedClock {
    now: Mutex<Time>,
}

impl SimulatedClock {
    /// A clock that stands at `start`.
    pub fn starting_at(start: Time) -> Self {
        SimulatedClock { now: Mutex::new(start) }
    }

    /// Moves forward to `to`; never back.
    pub fn advance_to(&self, to: Time) {
        let mut now = self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now = (*now).max(to);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Time {
        *self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn sleep_until(&self, due: Time, idle: bool) -> BoxFuture<'_, ()> {
        if !idle {
            return Box::pin(std::future::pending());
        }
        self.advance_to(due);
        Box::pin(std::future::ready(()))
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
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "an instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_wall_clock_that_jumps_an_hour_and_back_is_not_followed() {
        let begin = start();
        let mut steady = Steady { anchor: (begin, Time(0)), differs_since: None };
        let second = |n: u64| begin + Duration::from_secs(n);
        assert_eq!(steady.at(second(1), Time(3_601_000)), Time(1_000), "an hour forward");
        assert_eq!(steady.at(second(30), Time(-3_570_000)), Time(30_000), "an hour back");
        assert_eq!(steady.at(second(40), Time(40_000)), Time(40_000), "and right again");
        assert_eq!(steady.differs_since, None);
    }

    #[test]
    fn a_wall_clock_that_stays_different_is_believed_after_a_while() {
        let begin = start();
        let mut steady = Steady { anchor: (begin, Time(0)), differs_since: None };
        let second = |n: u64| begin + Duration::from_secs(n);
        assert_eq!(steady.at(second(10), Time(5_010_000)), Time(10_000));
        assert_eq!(steady.at(second(69), Time(5_069_000)), Time(69_000), "one second short");
        assert_eq!(steady.at(second(70), Time(5_070_000)), Time(5_070_000), "settled");
        assert_eq!(steady.at(second(71), Time(5_071_000)), Time(5_071_000));
    }
}
