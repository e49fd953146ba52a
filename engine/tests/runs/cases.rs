//! Every case, in calm and in bad weather.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::case::Case;
use crate::faulty::Crash;
use crate::journal;
use crate::render::{self, Detail};
use crate::spread::spread;
use crate::world::{self, Weather, World};

/// The folder of the cases, from this file.
const CASES: &str = "../../../tests/runs";

/// Runs a check on every case, all at once on the cores there are.
pub(crate) fn each(check: impl Fn(&Case) + Sync) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/runs");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    assert!(paths.len() >= 60, "{} cases", paths.len());
    let failed = Mutex::new(Vec::new());
    spread(paths.len(), |number| {
        let path = &paths[number];
        // One wrong case must not hide the others; the panic itself is printed where it happens.
        if catch_unwind(AssertUnwindSafe(|| check(&Case::read(path)))).is_err() {
            failed.lock().unwrap().push(path.file_stem().unwrap().to_owned());
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} cases failed: {failed:?}", failed.len());
}

#[test]
fn every_case_comes_to_what_its_snapshot_says() {
    insta::glob!(CASES, "*.yaml", |path| {
        let case = Case::read(path);
        let world = world::run(&case, &Weather::default());
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(CASES.to_owned() + "/snapshots");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("case", render::world(&world, Detail::All)));
    });
}

#[test]
fn whatever_ends_leaves_nothing_behind() {
    each(|case| {
        let world = world::run(case, &Weather::default());
        let left = journal::leftovers(&world.store);
        let open = world.reports.iter().filter(|report| report.ended_at.is_none()).count();
        assert!(open > 0 || left.is_empty(), "{}: {left:?}", case.name);
    });
}

#[test]
fn commits_that_take_their_time_change_nothing() {
    each(|case| {
        let calm = world::run(case, &Weather::default());
        let detail = if case.is_exact() { Detail::NoAttempts } else { Detail::NoTimes };
        for lag in [1, 5, 40] {
            let slow = world::run(case, &Weather { lag, ..Weather::default() });
            assert_same(case, &calm, &slow, detail, &format!("lag {lag}"));
        }
    });
}

#[test]
fn the_simulated_clock_gives_the_same() {
    let mut tried = std::sync::atomic::AtomicUsize::new(0);
    each(|case| {
        if case.is_timeless() {
            tried.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let calm = world::run(case, &Weather::default());
            let simulated = world::run(case, &Weather { simulated: true, ..Weather::default() });
            assert_same(case, &calm, &simulated, Detail::All, "simulated");
        }
    });
    assert!(*tried.get_mut() >= 30, "{tried:?} cases");
}

/// Goal: a crash at any write is invisible to the outside world.
/// Method: run once undisturbed, then twice per write, ending the process right before that write and right after it,
/// and going on with a new one on the same store.
#[test]
fn a_crash_at_any_write_is_invisible() {
    each(|case| {
        let calm = world::run(case, &Weather::default());
        for at in 0..calm.writes {
            for written in [false, true] {
                let crashes = vec![Crash { at, written }];
                let bumpy = world::run(case, &Weather { crashes: crashes.clone(), ..Weather::default() });
                assert_unseen(case, &calm, &bumpy, &format!("{crashes:?}"));
            }
        }
    });
}

#[test]
fn crash_after_crash_is_invisible() {
    each(|case| {
        let calm = world::run(case, &Weather::default());
        // Every process but the last gets a few writes further than the one before it.
        for step in [2, 3] {
            let crashes: Vec<Crash> = (0..12).map(|n| Crash { at: step + n % 3, written: n % 2 == 0 }).collect();
            let bumpy = world::run(case, &Weather { crashes, lag: 3, simulated: false });
            assert_unseen(case, &calm, &bumpy, &format!("a crash every {step} writes or so"));
        }
    });
}

fn assert_same(case: &Case, calm: &World, other: &World, detail: Detail, what: &str) {
    let (calm, other) = (render::world(calm, detail), render::world(other, detail));
    assert!(calm == other, "{}, {what}: calm\n{calm}\nand then\n{other}", case.name);
}

/// The end is the same, and so is what the world outside has seen, but for attempts that were cut off and made again.
fn assert_unseen(case: &Case, calm: &World, bumpy: &World, what: &str) {
    let detail = if case.is_exact() { Detail::NoAttempts } else { Detail::NoTimes };
    assert_same(case, calm, bumpy, detail, what);
    let left = journal::leftovers(&bumpy.store);
    let open = bumpy.reports.iter().filter(|report| report.ended_at.is_none()).count();
    assert!(open > 0 || left.is_empty(), "{}, {what}: {left:?}", case.name);
    // Keys differ from world to world, for runs are named by when and where they were born; how often each step
    // was asked for, and under how many keys, does not.
    let (before, after) = (effects(calm), effects(bumpy));
    let keys = |effects: &Effects| effects.iter().map(|(step, keys)| (step.clone(), keys.len())).collect::<Vec<_>>();
    assert_eq!(keys(&before), keys(&after), "{}, {what}: keys", case.name);
    for (step, keys) in &after {
        let most = before[step].values().copied().max().unwrap_or(0) + bumpy.crashes;
        let calls = keys.values().copied().max().unwrap_or(0);
        assert!(calls <= most, "{}, {what}: {step:?} was called {calls} times under one key", case.name);
    }
    for (calls, attempts) in attempts(bumpy) {
        assert!(calls <= attempts + bumpy.crashes, "{}, {what}: {calls} calls, {attempts} attempts", case.name);
    }
}

/// By workflow and step: how often it was called under each key.
type Effects = BTreeMap<(String, String), BTreeMap<String, usize>>;

fn effects(world: &World) -> Effects {
    let mut effects = Effects::new();
    for call in &world.calls {
        let keys = effects.entry((call.workflow.clone(), call.step.clone())).or_default();
        *keys.entry(call.key.clone()).or_default() += 1;
    }
    effects
}

/// For each effect of each run: how often it was called, and how many attempts are on record.
fn attempts(world: &World) -> Vec<(usize, usize)> {
    let mut seen: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
    for call in &world.calls {
        let entry = seen.entry((call.run.to_string(), call.effect.clone())).or_default();
        entry.0 += 1;
        entry.1 = entry.1.max(call.attempt as usize);
    }
    seen.into_values().collect()
}
