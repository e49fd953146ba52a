//! A recorded trace, cut anywhere, opens to everything that was acknowledged by then.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use wf_engine::store::Durability;
use wf_engine::{SledOptions, SledStore};

use crate::campaign::rounds;
use crate::crash::{Chance, History};
use crate::seed;
use crate::trace::{Call, Op};
use crate::watch::Watched;
use crate::writer::{self, Acknowledged, Plan};

/// Commits of eight senders with values of up to 1 MiB, in two sittings.
fn plan(durability: Durability) -> Plan {
    Plan { senders: 8, commits: 64, sittings: 2, large: true, durability, compacts: false }
}

pub(crate) fn power_cuts_lose_nothing() -> String {
    let plan = plan(Durability::Power);
    let watched = Watched::run("write", &plan.arguments(), &[]);
    assert_eq!(watched.said.lines().count() as u32, plan.senders * plan.commits * plan.sittings);
    let calls = &watched.calls;
    let syncs: Vec<usize> = calls.iter().filter(|call| call.op.is_sync()).map(|call| call.ended + 1).collect();
    let turns = turns(calls);
    assert!(turns.len() >= 2, "the files of the log take turns");
    let random = rounds("power-cuts");
    let torn = turns.iter().flat_map(|turn| std::iter::repeat_n(*turn, TORN_TURNS));
    let cuts: Vec<usize> = syncs.iter().copied().chain(torn).chain(random_points(calls, random)).collect();
    let Tried { acknowledged, lost, wrong } = try_all(calls, &plan, &cuts);
    assert_eq!(wrong, [""; 0]);
    assert!(lost > cuts.len() / 2, "cuts that take nothing prove nothing");
    format!(
        "{} cuts ({} at syncs, {} at turns of the log, {random} anywhere), {acknowledged} acknowledged, {lost} writes lost \
         or torn",
        cuts.len(),
        syncs.len(),
        turns.len() * TORN_TURNS,
    )
}

/// Compaction copies and swaps while commits go on; a cut at any of its steps leaves one store, whole.
pub(crate) fn power_cuts_during_compaction_lose_nothing() -> String {
    let plan = Plan { compacts: true, senders: 4, ..plan(Durability::Power) };
    let watched = Watched::run("write", &plan.arguments(), &[]);
    let calls = &watched.calls;
    let compacted = watched.said.lines().filter(|line| *line == "compacted").count();
    assert!(compacted >= 4, "{compacted} compactions");
    // Around every step that is not a write: folders and names made, given, taken away, and syncs.
    let is_step = |call: &&Call| !matches!(call.op, Op::Write { .. } | Op::Tell(_));
    let steps: Vec<usize> = calls.iter().filter(is_step).flat_map(|call| [call.started, call.ended + 1]).collect();
    let at_steps = rounds("compaction-cuts").min(steps.len());
    let mut chance = Chance::new(seed());
    let names: Vec<usize> = calls
        .iter()
        .filter(|call| matches!(call.op, Op::Rename { .. } | Op::MakeFolder { .. } | Op::Remove { .. }))
        .flat_map(|call| [call.started, call.ended + 1])
        .collect();
    let named = (0..at_steps).map(|_| names[chance.below(names.len())]).collect::<Vec<_>>();
    let stepped = (0..at_steps).map(|_| steps[chance.below(steps.len())]).collect::<Vec<_>>();
    let cuts: Vec<usize> = named.into_iter().chain(stepped).chain(random_points(calls, at_steps)).collect();
    let Tried { acknowledged, lost, wrong } = try_all(calls, &plan, &cuts);
    assert_eq!(wrong, [""; 0]);
    format!(
        "{compacted} compactions, {} cuts (a third of them where names change, a third at other steps), {acknowledged} \
         acknowledged, {lost} writes lost or torn",
        cuts.len()
    )
}

/// The proof that the check above can fail.
pub(crate) fn without_syncs_power_cuts_lose_something() -> String {
    let plan = plan(Durability::Process);
    let watched = Watched::run("write", &plan.arguments(), &[]);
    let cuts: Vec<usize> = random_points(&watched.calls, 20).collect();
    let Tried { wrong, .. } = try_all(&watched.calls, &plan, &cuts);
    assert!(!wrong.is_empty(), "nothing was lost");
    format!("without syncs, {} of {} cuts lose something", wrong.len(), cuts.len())
}

/// A sync fails once, and the store is opened again. What the system said is lost must not be built upon, although it can
/// still be read.
pub(crate) fn a_failed_sync_stays_failed() -> String {
    let (mut cuts, mut acknowledged) = (0, 0);
    // Counted by thread: opening makes fewer, and the committer of each sitting this many.
    for when in [8, 14] {
        let plan = Plan { senders: 4, commits: 40, sittings: 2, ..Plan::default() };
        let inject = format!("inject=fdatasync:error=EIO:when={when}");
        let watched = Watched::run("write", &plan.arguments(), &["-e", &inject]);
        let sittings = watched.said.lines().filter(|line| line.starts_with("read only: the disk failed")).count();
        assert_eq!(sittings, 2, "{}", watched.said);
        let points: Vec<usize> = random_points(&watched.calls, FAILED_SYNC_CUTS).collect();
        let tried = try_all(&watched.calls, &plan, &points);
        assert_eq!(tried.wrong, [""; 0], "sync {when} failed");
        (cuts, acknowledged) = (cuts + points.len(), acknowledged + tried.acknowledged);
    }
    format!("{cuts} cuts, {acknowledged} acknowledged")
}

/// How often a trace with a failed sync is cut.
const FAILED_SYNC_CUTS: usize = 30;

/// How often each turn of the log is torn.
const TORN_TURNS: usize = 8;

/// Right after a record was written over what a file of the log held before, and before it was synced.
fn turns(calls: &[Call]) -> Vec<usize> {
    let log = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"));
    let first = |call: &&Call| matches!(&call.op, Op::Write { path, at: 16, .. } if log(path));
    calls.iter().filter(first).skip(1).map(|call| call.ended + 1).collect()
}

fn random_points(calls: &[Call], count: usize) -> impl Iterator<Item = usize> {
    let last = calls.iter().map(|call| call.ended).max().unwrap() + 1;
    let mut chance = Chance::new(seed());
    (0..count).map(move |_| chance.below(last))
}

/// What became of some cuts.
#[derive(Default)]
struct Tried {
    acknowledged: usize,
    /// Writes that were lost or torn.
    lost: usize,
    /// What was not as it must be.
    wrong: Vec<String>,
}

/// Tries each cut, on as many threads as there are processors.
fn try_all(calls: &[Call], plan: &Plan, cuts: &[usize]) -> Tried {
    let history = History::of(calls);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut tried = Tried::default();
        while let Some((n, cut)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, *cuts.get(n)?))) {
            let mut chance = Chance::new(seed() + 1 + n as u64);
            let dir = TempDir::new().unwrap();
            tried.lost += history.after_power_cut(cut, &mut chance, dir.path());
            let told: Vec<Acknowledged> =
                calls.iter().filter(|call| call.started < cut).filter_map(|call| call.op.acknowledged()).collect();
            tried.acknowledged += told.len();
            if let Err(wrong) = check(dir.path(), &told, plan, 1 + usize::from(n % 4 == 0)) {
                tried.wrong.push(format!("cut {n} at line {cut} of the trace, seed {}: {wrong}", seed()));
            }
        }
        tried
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker that does not panic")).fold(
            Tried::default(),
            |mut all, one| {
                all.acknowledged += one.acknowledged;
                all.lost += one.lost;
                all.wrong.extend(one.wrong);
                all
            },
        )
    })
}

/// Opens what a crash left; everything acknowledged must be there, every commit whole or not at all, and work go on.
/// Opening repairs, so that it is done more than once.
pub(crate) fn check(dir: &Path, told: &[Acknowledged], plan: &Plan, openings: usize) -> Result<(), String> {
    for _ in 0..openings {
        let options = SledOptions { durability: Durability::Process, ..SledOptions::default() };
        let store = SledStore::open(dir, options).map_err(|error| format!("{error}: {error:?}"))?;
        writer::check(&store, told, plan)?;
    }
    Ok(())
}
