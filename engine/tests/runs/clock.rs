//! Real time: a timer fires when it is due, whatever the wall clock of the machine does meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::Value as Json;
use wf_engine::{SystemClock, Time};

use crate::case::Case;
use crate::kinds::Calls;

/// How long the runs of the test sleep.
const NAP: Duration = Duration::from_secs(2);
/// How late a timer may be.
const LATE_MAX: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_timer_fires_on_time_while_the_wall_clock_jumps_an_hour_back_and_forth() {
    let case = Case::of("nap", "workflow: flow\nsteps:\n  - id: nap\n    sleep: 2s\n");
    let origin = tokio::time::Instant::now();
    let jump = Arc::new(AtomicI64::new(0));
    let seen = jump.clone();
    let clock = SystemClock::following(move || {
        let elapsed = i64::try_from(origin.elapsed().as_millis()).unwrap();
        Time(1_800_000_000_000 + elapsed + seen.load(Ordering::Relaxed))
    });
    let engine = case.engine(&Calls::default()).clock(clock).build().await.unwrap();
    let jumping = tokio::spawn(async move {
        for hours in [1, -1, 0, -1, 1, 0].into_iter().cycle() {
            jump.store(hours * 3_600_000, Ordering::Relaxed);
            tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_millis(150)).await;
        }
    });
    let begun = tokio::time::Instant::now();
    let run = engine.start("flow", Json::Null).await.unwrap();
    engine.wait(run).await.unwrap();
    let took = begun.elapsed();
    jumping.abort();
    assert!(took >= NAP, "early: after {took:?}");
    assert!(took < NAP + LATE_MAX, "late: after {took:?}");
}
