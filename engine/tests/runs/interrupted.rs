//! A step during which the process keeps ending is a dead letter in the end.

use wf_engine::run::{INTERRUPTIONS_MAX, Status};

use crate::case::Case;
use crate::world::{self, Weather, World};

/// An attempt that takes longer than each of so many processes lives.
pub(crate) fn run(interruptions: u32) -> (Case, World) {
    let downs: String = (0..interruptions).map(|n| format!("  - {{at: {}s, down: 1s}}\n", 2 * n + 1)).collect();
    let flow =
        "workflow: flow\nsteps:\n  - id: slow\n    test.call: {takes: 5s}\n    retry: {max_attempts: 2, delay: 1s}\n";
    let case = Case::of("interrupted", format!("{flow}---\nscript:\n  - {{start: flow}}\n{downs}"));
    let world = world::run(&case, &Weather::default());
    (case, world)
}

#[test]
fn an_attempt_may_be_interrupted_19_times() {
    let (_, world) = run(INTERRUPTIONS_MAX - 1);
    assert_eq!(world.reports[0].status, Status::Finished, "{:?}", world.reports);
    assert_eq!(world.reports[0].steps[0].attempts, 1, "interruptions use up no attempts");
    assert!(world.calls.iter().all(|call| call.key == world.calls[0].key));
}

#[test]
fn an_attempt_that_is_interrupted_20_times_has_failed() {
    let (_, world) = run(INTERRUPTIONS_MAX);
    let error = world.reports[0].error.as_ref().unwrap();
    assert_eq!((world.reports[0].status, error.code.as_str()), (Status::Failed, "interrupted"));
    let at: Vec<_> = world.calls.iter().map(|call| call.at.since(world.begin).compact()).collect();
    assert_eq!(world.calls.len(), INTERRUPTIONS_MAX as usize, "{at:?}");
}
