//! A disk that is full or fails: no more acknowledgements, reads go on, and everything acknowledged is there later.

use crate::campaign::rounds;
use crate::crash::Chance;
use crate::cuts::check;
use crate::order::told_too_early;
use crate::seed;
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
    let plan = Plan { senders: 4, commits: 100, large: true, ..Plan::default() };
    let mut chance = Chance::new(seed());
    let (mut told, mut unopened, mut read_only, mut unharmed) = (0, 0, 0, 0);
    for round in 0..rounds("disk-failures") {
        let (call, most) = CALLS[round % CALLS.len()];
        let error = ["ENOSPC", "EIO"][chance.below(2)];
        let when = 1 + chance.below(most);
        let on = ["", "+"][chance.below(2)]; // once, or from then on
        let inject = format!("inject={call}:error={error}:when={when}{on}");
        let ended = fail_once(&plan, &inject, &mut told);
        match ended.split(':').next() {
            Some("not opened") => unopened += 1,
            Some("read only") => read_only += 1,
            _ => unharmed += 1,
        }
        // Nothing but the committer makes this call, many times.
        assert!(call != "fdatasync" || ended.starts_with("read only: "), "{inject}: {ended}");
        let clear = if error == "ENOSPC" { "the disk is full" } else { "the disk failed" };
        assert!(!ended.starts_with("read only: ") || ended.contains(clear), "{inject}: {ended}");
    }
    assert!(unopened > 0 && read_only > 0);
    format!("{told} acknowledged, {unopened} times not opened, {read_only} times read only, {unharmed} times unharmed")
}

/// Gives the writer's last line; adds how many commits it was told of.
fn fail_once(plan: &Plan, inject: &str, told: &mut usize) -> String {
    let watched = Watched::run("write", &plan.arguments(), &["-e", inject]);
    assert_eq!(watched.errors, "", "{inject}: no panic, no noise");
    let acknowledged: Vec<_> = watched.said.lines().filter_map(Acknowledged::read).collect();
    *told += acknowledged.len();
    let ended = watched.said.lines().last().unwrap_or_default();
    let all = acknowledged.len() as u32 == plan.senders * plan.commits;
    assert_eq!(all, ended.starts_with("committed "), "{inject}: `{ended}`");
    assert_eq!(told_too_early(&watched.calls), [""; 0], "{inject}");
    check(&watched.store(), &acknowledged, plan).unwrap_or_else(|wrong| panic!("{inject}: {wrong}"));
    ended.to_owned()
}
