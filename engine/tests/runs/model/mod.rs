//! Limits against a model: chance makes workflows with limits and what happens to them, the engine runs them in virtual
//! time, and a plain reference implementation of spec/limits.md says whether what came of it is what had to come.
//!
//! A sequence that fails is made as short as it gets, and is printed as a case of `tests/runs`. The line
//! `WF_LIMITS=<seed>` in front of it runs only that one.

mod reference;
mod sequence;
mod trace;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::campaign;
use crate::spread::spread;
use reference::{Checked, Model};
use sequence::Sequence;
use trace::Trace;

/// How many sequences that fail are told of.
const TOLD_MAX: usize = 3;
/// How many of a hundred sequences are at least compared to their ends.
const WHOLE_MIN: usize = 70;

/// What is wrong with what the engine makes of a sequence.
fn judge(sequence: &Sequence) -> Result<Checked, String> {
    let done = catch_unwind(AssertUnwindSafe(|| {
        let trace = Trace::of(sequence);
        Model::new(sequence, &trace).follow()
    }));
    done.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}

/// The shortest sequence that still goes wrong, and how.
fn shortest(mut sequence: Sequence, mut wrong: String) -> (Sequence, String) {
    loop {
        let shorter = sequence.shorter().into_iter().find_map(|shorter| Some((judge(&shorter).err()?, shorter)));
        match shorter {
            Some((told, shorter)) => (sequence, wrong) = (shorter, told),
            None => return (sequence, wrong),
        }
    }
}

fn told(seed: u64, wrong: String) -> String {
    let (sequence, wrong) = shortest(Sequence::of(seed), wrong);
    let trace = catch_unwind(AssertUnwindSafe(|| Trace::of(&sequence)));
    let seen = trace.map(|trace| trace.text()).unwrap_or_default();
    format!("WF_LIMITS={seed}: {wrong}\n{}{seen}", sequence.text())
}

/// Goal: starts, queues and ends are as spec/limits.md has them, whatever limits come together and whatever happens.
/// Method: follow each sequence with the reference, which knows at every instant what must, may and must not happen.
#[test]
fn limits_do_what_the_reference_does() {
    let only: Option<u64> = std::env::var("WF_LIMITS").ok().map(|seed| seed.parse().expect("a seed is a number"));
    let rounds = campaign::rounds("limits-model");
    let whole = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    spread(only.map_or(rounds, |_| 1), |number| {
        let seed = only.unwrap_or(number as u64);
        match judge(&Sequence::of(seed)) {
            Ok(Checked::Whole) => drop(whole.fetch_add(1, Ordering::Relaxed)),
            Ok(Checked::Until(_)) => {}
            Err(wrong) => failed.lock().unwrap().push((seed, wrong)),
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    let count = failed.len();
    let told: Vec<String> = failed.into_iter().take(TOLD_MAX).map(|(seed, wrong)| told(seed, wrong)).collect();
    assert!(count == 0, "{count} sequences went wrong\n{}", told.join("\n"));
    let whole = whole.into_inner();
    assert!(only.is_some() || whole * 100 >= rounds * WHOLE_MIN, "only {whole} of {rounds} were compared to the end");
}
