//! Schedules: what happens to an example, and what goes wrong meanwhile. All of it follows from a seed.

use wf_engine::{Period, Time};

use crate::chance::{self, Random, happens, one};
use crate::example::{Act, Example, What};
use crate::store::{Fault, Pace};

/// In how many ways an example is run when nothing goes wrong; a seed disturbs one of them.
pub(crate) const VARIANTS: u64 = 8;

/// How long things are kept that nobody needs: shorter than most waits, and longer.
const RETENTIONS: [Period; 3] = [Period(600_000), Period(2 * 3_600_000), Period(86_400_000)];

/// How a process ends, if it does not live to the end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Death {
    /// At a commit, by its number in the process.
    AtCommit(usize, Fault),
    /// At an instant.
    At(Time),
}

/// One process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) pace: Pace,
    /// None is the last.
    pub(crate) death: Option<Death>,
    /// How long nobody is there after it, in milliseconds.
    pub(crate) outage: i64,
    /// By how much the clock is set when the next one begins, in milliseconds.
    pub(crate) jump: i64,
}

/// Everything that is decided before a schedule begins.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    pub(crate) acts: Vec<Act>,
    pub(crate) processes: Vec<Process>,
    /// How long things are kept that nobody needs; none is for good.
    pub(crate) retention: Option<Period>,
}

/// What is known of a variant that went its way undisturbed.
#[derive(Clone, Debug)]
pub(crate) struct Calm {
    pub(crate) acts: Vec<Act>,
    /// How many commits it took.
    pub(crate) writes: usize,
    /// When something was recorded, in milliseconds after the beginning, in order.
    pub(crate) instants: Vec<i64>,
}

impl Schedule {
    /// A variant in which nothing goes wrong.
    pub(crate) fn calm(example: &Example, variant: u64) -> Schedule {
        let acts = example.acts(&mut chance::random(&example.name, variant, "acts"));
        let process = Process { pace: Pace::AtOnce, death: None, outage: 0, jump: 0 };
        Schedule { seed: variant, acts, processes: vec![process], retention: None }
    }

    /// The disturbance of a variant that belongs to a seed.
    pub(crate) fn disturbed(example: &Example, seed: u64, calm: &Calm) -> Schedule {
        let random = &mut chance::random(&example.name, seed, "schedule");
        let mut acts = Vec::new();
        for act in &calm.acts {
            let mut act = act.clone();
            if happens(random, 30) {
                act.at = near(random, &calm.instants);
            }
            if happens(random, 10) && matches!(act.what, What::Send { .. }) {
                acts.push(Act { at: act.at + chance::span(random), what: act.what.clone() });
            }
            acts.push(act);
        }
        for _ in 0..random.below(3) {
            let at = near(random, &calm.instants);
            acts.push(Act { at, what: What::Cancel { workflow: None, nth: random.below(4) } });
        }
        for number in 0..random.below(4) {
            let at = near(random, &calm.instants);
            let sends: Vec<&What> =
                calm.acts.iter().map(|act| &act.what).filter(|what| matches!(what, What::Send { .. })).collect();
            let mut what = match sends.as_slice() {
                [] => example.event(random, at),
                _ if happens(random, 30) => example.event(random, at),
                // The same once more means something to the same runs.
                sends => Some((*one(random, sends)).clone()),
            };
            if let Some(What::Send { id, .. }) = &mut what {
                *id = format!("{id}-{number}");
            }
            acts.extend(what.map(|what| Act { at, what }));
        }
        acts.retain(|act| !matches!(act.what, What::Down(_)));
        example.bring_forward(&mut acts);
        let downs = calm.acts.iter().filter(|act| matches!(act.what, What::Down(_)));
        let deaths = downs.count() + *one(random, &[0, 1, 1, 1, 2, 2, 3]);
        let mut processes: Vec<Process> = (0..deaths).map(|_| dying(random, example, calm)).collect();
        processes.push(Process { pace: pace(random), death: None, outage: 0, jump: 0 });
        let random = &mut chance::random(&example.name, seed, "retention");
        let retention = happens(random, 30).then(|| *one(random, &RETENTIONS));
        Schedule { seed, acts, processes, retention }
    }
}

fn dying(random: &mut Random, example: &Example, calm: &Calm) -> Process {
    let death = if happens(random, 70) {
        let fault = match random.below(10) {
            0..4 => Fault::CrashBefore,
            4..8 => Fault::CrashAfter,
            8 => Fault::Refuse,
            _ => Fault::Doubt { made: random.below(2) == 0 },
        };
        Death::AtCommit(random.below(calm.writes + calm.writes / 4 + 1), fault)
    } else {
        Death::At(Time(example.begin.0 + near(random, &calm.instants)))
    };
    let outage = *one(random, &[0, 1, 10, 5_000, 3_600_000, 30 * 3_600_000]);
    let jump = match random.below(10) {
        0..6 => 0,
        6..8 => *one(random, &[1, 1_000, 3_600_000, 2 * 86_400_000]),
        _ => *one(random, &[-1, -1_000, -3_600_000]),
    };
    Process { pace: pace(random), death: Some(death), outage, jump }
}

fn pace(random: &mut Random) -> Pace {
    *one(random, &[Pace::AtOnce, Pace::Rounds, Pace::Rounds, Pace::Millis, Pace::Millis, Pace::Slow])
}

/// An instant at which something happens, or right beside it.
fn near(random: &mut Random, instants: &[i64]) -> i64 {
    let beside = *one(random, &[-1, 0, 0, 0, 1, 2, 5, 50]);
    let instant = if instants.is_empty() { 0 } else { *one(random, instants) };
    (instant + beside).max(0)
}
