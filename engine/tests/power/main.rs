//! Power cuts, failing disks and killed processes: what was acknowledged is there, and nothing is there by half.
//!
//! The store is used in processes of its own: this program again, as a [`writer`] or with [`runs`]. Most campaigns watch
//! them with `strace`. Those run from `./tests/run` (`WF_FULL=1`), which installs it; a bare `cargo test` says which ones
//! it left to that. `WF_SEED` repeats chance.
#![allow(clippy::print_stdout, reason = "the writer acknowledges on stdout, and a campaign says what it did")]
#![allow(clippy::disallowed_methods, reason = "a campaign says how long it took, and kills at any moment")]

#[path = "../../../tests/support/campaign.rs"]
mod campaign;
mod crash;
mod cuts;
mod doors;
mod failures;
mod kills;
mod order;
mod pruned;
mod runs;
mod trace;
mod watch;
mod writer;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

/// A test, which gives what it counted.
struct Campaign {
    name: &'static str,
    needs_strace: bool,
    run: fn() -> String,
}

const fn watched(name: &'static str, run: fn() -> String) -> Campaign {
    Campaign { name, needs_strace: true, run }
}

const fn plain(name: &'static str, run: fn() -> String) -> Campaign {
    Campaign { name, needs_strace: false, run }
}

const CAMPAIGNS: [Campaign; 16] = [
    watched("one sender's commits are acknowledged after the sync", || order::commits_follow_their_sync(1)),
    watched("64 senders' commits are acknowledged after the sync", || order::commits_follow_their_sync(64)),
    watched("one sender's events, records and results are told after the sync", || order::runs_follow_their_sync(1)),
    watched("64 senders' events, records and results are told after the sync", || order::runs_follow_their_sync(64)),
    watched("a missing sync is seen", order::a_missing_sync_is_seen),
    watched("power cuts lose nothing", cuts::power_cuts_lose_nothing),
    watched("power cuts during compaction lose nothing", cuts::power_cuts_during_compaction_lose_nothing),
    watched("a missing sync loses something in a power cut", cuts::without_syncs_power_cuts_lose_something),
    watched("a failed sync stays failed", cuts::a_failed_sync_stays_failed),
    watched("a disk that fails loses nothing", failures::a_failing_disk_loses_nothing),
    watched(
        "a disk that fails at any call loses nothing of a run",
        failures::a_disk_that_fails_at_any_call_loses_nothing_of_a_run,
    ),
    watched("a folder that cannot be written is refused", doors::a_read_only_folder_is_refused),
    plain("a store held by another process is refused", doors::a_held_store_is_refused),
    plain("a store of a newer format is refused", doors::a_newer_store_is_refused),
    plain("pruned runs leave little on the disk", pruned::pruned_runs_leave_little_on_the_disk),
    plain("a killed process loses nothing", kills::killed_writers_lose_nothing),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("write") => writer::write(&arguments[1..]),
        Some("run") => runs::run(&arguments[1..]),
        Some("try") => runs::try_one(&arguments[1..]),
        Some("hold") => doors::hold(&arguments[1]),
        _ => return test(&arguments),
    }
    ExitCode::SUCCESS
}

/// Runs the campaigns with one of these words in their name, or all, and reports as `cargo test` does.
fn test(arguments: &[String]) -> ExitCode {
    let full = std::env::var_os("WF_FULL").is_some();
    let words: Vec<_> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let began = Instant::now();
    let (mut passed, mut failed, mut left) = (0, 0, 0);
    for Campaign { name, needs_strace, run } in CAMPAIGNS {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        if needs_strace && !full {
            println!("test {name} ... left to `./tests/run`, which has `strace`");
            left += 1;
            continue;
        }
        let began = Instant::now();
        let outcome = catch_unwind(run);
        let said = outcome.as_ref().map_or("FAILED".into(), |counted| format!("ok: {counted}"));
        println!("test {name} ... {said} ({:.1} s)", began.elapsed().as_secs_f32());
        *if outcome.is_ok() { &mut passed } else { &mut failed } += 1;
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    let seconds = began.elapsed().as_secs_f32();
    println!("\ntest result: {result}. {passed} passed; {failed} failed; {left} ignored; finished in {seconds:.2}s\n");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The seed of all chance here.
fn seed() -> u64 {
    std::env::var("WF_SEED").map_or(0x5eed, |seed| seed.parse().expect("WF_SEED is a number"))
}
