//! A disk that is full or fails: no more acknowledgements, reads go on, and everything acknowledged is there later.

use crate::campaign::rounds;
use crate::crash::Chance;
use crate::cuts::check;
use crate::order::told_too_early;
use crate::runs::check_one;
use crate::seed;
use crate::trace::Op;
use crate::watch::Watched;
use crate::writer::{Acknowledged, Plan};

/// Calls that are made to fail, and up to which one of a thread. The first ones belong to opening.
const CALLS: [(&str, usize); 8] = [
    ("pwrite64", 20),
    ("fdatasync", 40),
    ("sync_file_range", 10),
    ("fsync", 9),
    ("mkdir", 3),
    ("rename", 2),
    ("ftruncate", 1),
    ("unlink", 2),
];

pub(crate) fn a_failing_disk_loses_nothing() -> String {
    let plan = Plan { senders: 4, commits: 60, ..Plan::default() };
    let mut chance = Chance::new(seed());
    let mut all = Ended::default();
    for round in 0..rounds("disk-failures") {
        let (call, most) = CALLS[round % CALLS.len()];
        let error = ["ENOSPC", "EIO"][chance.below(2)];
        let when = 1 + chance.below(most);
        let on = ["", "+"][chance.below(2)]; // once, or from then on
        let inject = format!("inject={call}:error={error}:when={when}{on}");
        let said = fail(&plan, &inject);
        all.acknowledged += said.lines().filter(|line| line.starts_with("committed ")).count();
        let last = said.lines().last().unwrap_or_default();
        let read = said.lines().any(|line| line.starts_with("read: "));
        let why = if error == "ENOSPC" { "the disk is full" } else { "the disk failed" };
        match last.split(':').next() {
            Some("not opened") => all.not_opened += 1,
            Some("read only") => {
                assert!(last.contains(why), "{inject}: {last}");
                all.read_only += 1;
                all.readable += usize::from(read);
            }
            _ => all.unharmed += 1,
        }
        if call == "fdatasync" {
            // Nobody else makes this call. sled does not know that it failed, so that all can be read. Whoever makes a
            // store makes one call: it is not opened then.
            let expected = if when == 1 { "not opened: " } else { "read only: " };
            assert!(last.starts_with(expected) && read == (when > 1), "{inject}: {said}");
        }
    }
    let Ended { acknowledged, not_opened, read_only, readable, unharmed } = all;
    assert!(not_opened > 0 && read_only > 0);
    format!(
        "{acknowledged} acknowledged, {not_opened} times not opened, {read_only} times read only ({readable} of them with \
         all rows to be read), {unharmed} times unharmed"
    )
}

/// Calls of a whole run, from the making of its store to the end of its engine.
const CALLS_OF_A_RUN: [&str; 8] =
    ["pwrite64", "fdatasync", "sync_file_range", "fsync", "mkdir", "rename", "ftruncate", "unlink"];
/// No thread makes so many of one of them.
const NTH_MAX: usize = 200;

/// Each of the calls by which a run comes to the disk fails, the first, the second and so on, until there is none left to
/// fail. In CI some of them.
pub(crate) fn a_disk_that_fails_at_any_call_loses_nothing_of_a_run() -> String {
    let most = rounds("run-failures");
    let mut chance = Chance::new(seed());
    let (mut tried, mut harmed, mut sent, mut ended) = (0, 0, 0, 0);
    'all: for call in CALLS_OF_A_RUN {
        for n in 1..=NTH_MAX {
            let mut was_hit = false;
            for (error, on) in [("ENOSPC", ""), ("ENOSPC", "+"), ("EIO", ""), ("EIO", "+")] {
                // A sample is spread over all calls: how many there are is only known at their end.
                if most < NTH_MAX && chance.below(SAMPLE) > 0 {
                    was_hit |= n < SAMPLED_NTH_MAX;
                    continue;
                }
                if tried == most {
                    break 'all;
                }
                tried += 1;
                let inject = format!("inject={call}:error={error}:when={n}{on}");
                let plan = Plan { senders: 1, commits: 1, ..Plan::default() };
                let watched = Watched::run("try", &plan.arguments(), &["-e", &inject]);
                let hit = watched.calls.iter().any(|call| matches!(call.op, Op::Fail { .. }));
                was_hit |= hit;
                let stopped = watched.said.lines().find(|line| line.starts_with("stopped: "));
                assert!(
                    !stopped.is_some_and(|why| why.contains("it hangs") || why.contains("not read")),
                    "{inject}: {stopped:?}"
                );
                assert!(hit || stopped.is_none(), "{inject}: {stopped:?}");
                assert_eq!(told_too_early(&watched.calls), [""; 0], "{inject}");
                check_one(&watched.store(), &watched.said)
                    .unwrap_or_else(|wrong| panic!("{inject}: {wrong}\n{}{}", watched.said, watched.errors));
                harmed += usize::from(stopped.is_some());
                sent += usize::from(watched.said.contains("sent "));
                ended += usize::from(watched.said.contains("ended "));
            }
            if !was_hit {
                break;
            }
        }
    }
    assert!(harmed > 0 && tried > harmed);
    format!(
        "{tried} calls made to fail: {harmed} times the run was stopped, {sent} events taken, {ended} runs ended at once"
    )
}

/// In a sample, one of so many is tried,
const SAMPLE: usize = 24;
/// of the first calls of each sort.
const SAMPLED_NTH_MAX: usize = 14;

/// How the writers ended.
#[derive(Default)]
struct Ended {
    acknowledged: usize,
    not_opened: usize,
    read_only: usize,
    /// Read only, with every row there to read.
    readable: usize,
    unharmed: usize,
}

/// Gives what the writer said.
fn fail(plan: &Plan, inject: &str) -> String {
    let watched = Watched::run("write", &plan.arguments(), &["-e", inject]);
    let quiet = watched.errors.is_empty() || sled_closed_badly(&watched.errors);
    assert!(quiet, "{inject}: {}", watched.errors);
    let told: Vec<_> = watched.said.lines().filter_map(Acknowledged::read).collect();
    let ended = watched.said.lines().last().unwrap_or_default();
    let all = told.len() as u32 == plan.senders * plan.commits;
    assert_eq!(all, ended.starts_with("committed "), "{inject}: `{ended}`");
    assert_eq!(told_too_early(&watched.calls), [""; 0], "{inject}");
    check(&watched.store(), &told, plan, 2).unwrap_or_else(|wrong| panic!("{inject}: {wrong}"));
    watched.said
}

/// Whether this is the one panic of sled that we catch, and that the system's hook prints all the same: the last sync
/// of its file failed, after all others.
fn sled_closed_badly(errors: &str) -> bool {
    errors.matches("panicked at").count() == 1 && errors.contains("/src/pagecache/logger.rs:467:")
}
