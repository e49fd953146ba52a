//! The core of the engine, tried on whole workflows.
//!
//! A case is a file under `tests/runs` of the repository; its documents are told apart by their first keys: workflows and
//! event types as anybody writes them, and at most one `script:` that says who does what when (see [`case`]). What came of
//! it stands in the snapshot beside it: the runs with their steps, and every attempt with its time.

mod case;
mod cases;
mod checking;
mod clock;
mod faulty;
mod footprint;
mod gathered;
mod history;
mod interrupted;
mod journal;
mod journals;
mod kinds;
mod limits;
mod model;
mod operate;
mod races;
mod recorded;
mod refused;
mod render;
mod retention;
mod secrets;
mod spread;
mod states;
mod virtual_time;
mod world;

#[path = "../../../tests/support/campaign.rs"]
mod campaign;
#[path = "../../../dsl/tests/mutate/random.rs"]
mod random;
