//! Nobody is told of anything before the sync that makes it safe.

use std::collections::HashMap;

use wf_engine::store::Durability;

use crate::trace::{Call, Op};
use crate::watch::Watched;
use crate::writer::{Plan, marks};

/// Lines on stdout that tell of a mark although a file that holds the mark was not synced after it was written.
///
/// The first write that holds a mark is the one that counts; the sync must begin when that write has ended, and end
/// before the line begins. After a sync that failed, none counts: the system reports a lost write once.
pub(crate) fn told_too_early(calls: &[Call]) -> Vec<String> {
    let mut written: HashMap<String, &Call> = HashMap::new();
    for call in calls {
        if let Op::Write { bytes, .. } = &call.op {
            for mark in marks(bytes) {
                written.entry(mark).or_insert(call);
            }
        }
    }
    let failed_sync = |call: &&Call| matches!(&call.op, Op::Fail { path: Some(_) });
    let sound = calls.iter().find(failed_sync).map_or(usize::MAX, |call| call.started);
    let synced = |write: &Call, before: usize| {
        calls.iter().any(|call| {
            matches!(&call.op, Op::Sync { path } if Some(path) == write.op.path())
                && call.started > write.ended
                && call.ended < before.min(sound)
        })
    };
    let mut early = Vec::new();
    for call in calls {
        let Op::Tell(line) = &call.op else { continue };
        let is_early = |mark: String| {
            let write = written.get(&mark).unwrap_or_else(|| panic!("`{line}`: {mark} was never written"));
            !synced(write, call.started)
        };
        if marks(line.as_bytes()).into_iter().any(is_early) {
            early.push(line.clone());
        }
    }
    early
}

/// How many writes, syncs and told lines a trace has.
fn counted(calls: &[Call]) -> String {
    let count = |what: fn(&Op) -> bool| calls.iter().filter(|call| what(&call.op)).count();
    let writes = count(|op| matches!(op, Op::Write { .. }));
    let told = count(|op| matches!(op, Op::Tell(_)));
    format!("{writes} writes, {} syncs, {told} acknowledged", count(Op::is_sync))
}

pub(crate) fn commits_follow_their_sync(senders: u32) -> String {
    let plan = Plan { senders, commits: 512 / senders, ..Plan::default() };
    let watched = Watched::run("write", &plan.arguments(), &[]);
    assert_eq!(told_too_early(&watched.calls), [""; 0]);
    assert_eq!(watched.said.lines().count(), 512);
    counted(&watched.calls)
}

pub(crate) fn runs_follow_their_sync(senders: u32) -> String {
    let plan = Plan { senders, commits: 128 / senders, ..Plan::default() };
    let watched = Watched::run("run", &plan.arguments(), &[]);
    assert_eq!(told_too_early(&watched.calls), [""; 0]);
    for what in ["sent ", "recorded ", "ended "] {
        assert_eq!(watched.said.lines().filter(|line| line.starts_with(what)).count(), 128, "{what}");
    }
    counted(&watched.calls)
}

/// The proof that the check above can fail.
pub(crate) fn a_missing_sync_is_seen() -> String {
    let plan = Plan { senders: 1, commits: 50, durability: Durability::Process, ..Plan::default() };
    let early = ["write", "run"].map(|mode| told_too_early(&Watched::run(mode, &plan.arguments(), &[]).calls).len());
    let [commits, runs] = early;
    // sled's own sync, twice a second, covers some.
    assert!(commits > 25 && runs > 75, "without syncs, {commits} of 50 and {runs} of 150 were told too early");
    format!("without syncs, {commits} of 50 commits and {runs} of 150 facts of runs are told too early")
}
