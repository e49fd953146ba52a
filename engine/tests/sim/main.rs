//! The simulator: seeded schedules of every example, in bad weather.
//!
//! A schedule is one seed: which way the example goes, what happens to it and when, and what goes wrong: processes that
//! end at any write, answers that are lost or overtake each other, commits that fail, clocks that are set. The engine is
//! the real one, on a model of a store and in virtual time. Afterwards the checks of [`invariants`] compare what the
//! store holds with what the world outside has seen.
//!
//! A schedule that fails prints a line `WF_SIM=example:seed`; with that in the environment, only it is run; with
//! `WF_SIM=example`, all schedules of that example. With the feature `planted-bugs`, each of the mistakes of `wf_engine::planted` must be found; `WF_SIM=example:seed:bug`.

#[allow(dead_code, reason = "what other tests share may do more than is needed here")]
#[path = "../runs/case.rs"]
mod case;
#[allow(dead_code, reason = "what other tests share may do more than is needed here")]
#[path = "../../../dsl/tests/folder/mod.rs"]
mod folder;
#[allow(dead_code, reason = "what other tests share may do more than is needed here")]
#[path = "../runs/journal.rs"]
mod journal;
#[allow(dead_code, reason = "what other tests share may do more than is needed here")]
#[path = "../runs/kinds.rs"]
mod kinds;
#[path = "../../../dsl/tests/mutate/random.rs"]
mod random;
#[allow(dead_code, reason = "what other tests share may do more than is needed here")]
#[path = "../runs/model/sequence.rs"]
mod sequence;
#[path = "../runs/spread.rs"]
mod spread;
#[path = "../runs/virtual_time.rs"]
mod virtual_time;

#[path = "../../../tests/support/campaign.rs"]
mod campaign;

mod bugs;
mod chance;
mod events;
mod example;
mod hunt;
mod invariants;
mod limits;
mod pruned;
mod replay;
mod schedule;
mod starts;
mod store;
mod witness;
mod world;
