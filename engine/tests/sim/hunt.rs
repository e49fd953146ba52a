//! Running schedules, many at once, and telling what is wrong with them.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, Once, OnceLock};

use crate::campaign;
use crate::example::Example;
use crate::invariants::violations;
use crate::schedule::{Calm, Schedule, VARIANTS};
use crate::spread::spread;
use crate::world::{self, World};

/// The projects whose workflows are examples, from the root of the repository.
const PROJECTS: [&str; 2] = ["workflows/event-funnel", "tests/examples/language"];
/// How many workflows they have at least.
const EXAMPLES_MIN: usize = 10;
/// How many schedules each example of limits gets.
const OF_LIMITS: usize = 4;
/// How many schedules that fail are told of.
const TOLD_MAX: usize = 20;

thread_local! {
    /// What panicked on this thread, if panics are kept and not printed.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// An example with its undisturbed variants, as far as they have been run.
struct Ground<'e> {
    example: &'e Example,
    /// How many seeds it gets.
    seeds: usize,
    calm: [OnceLock<Result<Calm, String>>; VARIANTS as usize],
}

/// What is wrong with a schedule, and the world that came of it if it has an end.
struct Failed {
    wrong: String,
    world: Option<Box<World>>,
}

/// All examples, and how many seeds each gets.
fn examples() -> Vec<(Example, usize)> {
    let (of_examples, of_cases) = (campaign::rounds("simulator"), campaign::rounds("simulator-cases"));
    let examples: Vec<Example> = PROJECTS.iter().flat_map(|folder| Example::of_project(folder)).collect();
    assert!(examples.len() >= EXAMPLES_MIN, "only {} workflows of the examples are simulated", examples.len());
    let cases = Example::cases().into_iter().map(|example| (example, of_cases));
    let only = wanted().and_then(|wanted| wanted.example.strip_prefix("limits/")?.parse().ok());
    let limits = only.map_or(0..campaign::rounds("simulator-limits") as u64, |seed| seed..seed + 1);
    let limits = limits.map(|seed| (Example::of_limits(seed), OF_LIMITS));
    examples.into_iter().map(|example| (example, of_examples)).chain(cases).chain(limits).collect()
}

fn grounds(examples: &[(Example, usize)]) -> Vec<Ground<'_>> {
    examples.iter().map(|(example, seeds)| Ground { example, seeds: *seeds, calm: Default::default() }).collect()
}

impl Ground<'_> {
    fn calm(&self, variant: u64) -> Result<&Calm, Failed> {
        let calm = self.calm[variant as usize].get_or_init(|| {
            let schedule = Schedule::calm(self.example, variant);
            let acts = schedule.acts.clone();
            let world = attempt(self.example, &schedule).map_err(|failed| failed.wrong)?;
            let records = world.histories.iter().flat_map(|history| &history.records);
            let mut instants: Vec<i64> = records.map(|record| record.at.0 - self.example.begin.0).collect();
            instants.sort_unstable();
            instants.dedup();
            Ok(Calm { acts, writes: world.writes, instants })
        });
        calm.as_ref().map_err(|wrong| Failed { wrong: format!("undisturbed, variant {variant}: {wrong}"), world: None })
    }

    fn schedule(&self, seed: u64) -> Result<Schedule, Failed> {
        let variants = if self.example.is_scripted() { 1 } else { VARIANTS };
        Ok(Schedule::disturbed(self.example, seed, self.calm(seed % variants)?))
    }

    /// Runs the schedule of a seed; says what is wrong.
    fn run(&self, seed: u64) -> Result<(), Failed> {
        attempt(self.example, &self.schedule(seed)?).map(drop)
    }

    /// The same, at length.
    fn explain(&self, seed: u64) -> Result<(), String> {
        let Err(failed) = self.run(seed) else { return Ok(()) };
        let mut told = vec![failed.wrong];
        if let Ok(schedule) = self.schedule(seed) {
            told.extend(schedule.processes.iter().map(|process| format!("{process:?}")));
        }
        if let Some(world) = failed.world {
            told.extend(world.ups.iter().map(|up| format!("{up:?}")));
            told.extend(world.acts.iter().map(|act| format!("{act:?}")));
            for history in &world.histories {
                told.push(format!("run {}", history.id));
                let records = (0..).zip(&history.records);
                told.extend(records.map(|(number, record)| {
                    let commit = world.ledger.of_record(history.id, number).map(|entry| entry.commit);
                    format!("{number} {commit:?} {} {} {:?}", record.at, record.frame.0, record.fact)
                }));
            }
            told.extend(world.calls.iter().map(|call| format!("{call:?}")));
        }
        Err(told.join("\n  "))
    }
}

/// Runs a schedule, and gives the world that came of it or what is wrong with it.
fn attempt(example: &Example, schedule: &Schedule) -> Result<Box<World>, Failed> {
    keep_panics();
    PANICS.set(Some(Vec::new()));
    let done = catch_unwind(AssertUnwindSafe(|| {
        let world = world::run(example, schedule);
        let wrong = violations(example, &world);
        (Box::new(world), wrong)
    }));
    let panics = PANICS.take().unwrap_or_default();
    match done {
        Ok((world, wrong)) if wrong.is_empty() => Ok(world),
        Ok((world, wrong)) => Err(Failed { wrong: wrong.join("\n  "), world: Some(world) }),
        // The driver's own panic comes before that of whoever waits for it.
        Err(_) => Err(Failed { wrong: panics.join("\n  "), world: None }),
    }
}

/// Panics of schedules are findings, or a kind that panics as chance has it; they are not printed where they happen.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let kept = PANICS.with_borrow_mut(|panics| panics.as_mut().map(|panics| panics.push(info.to_string())));
            if kept.is_none() {
                before(info);
            }
        }));
    });
}

/// The seeds of all examples, one example after the other in each round.
fn seeds<'g, 'e>(grounds: &'g [Ground<'e>]) -> Vec<(&'g Ground<'e>, u64)> {
    let most = grounds.iter().map(|ground| ground.seeds).max().unwrap_or(0);
    let rounds = (0..most).flat_map(|seed| grounds.iter().map(move |ground| (ground, seed)));
    rounds.filter(|(ground, seed)| *seed < ground.seeds).map(|(ground, seed)| (ground, seed as u64)).collect()
}

/// The line that repeats a schedule.
fn line(ground: &Ground<'_>, seed: u64) -> String {
    format!("WF_SIM={}:{seed}", ground.example.name)
}

/// What `WF_SIM` asks for: an example, with a seed only the schedule of that, and with a bug only that.
struct Wanted {
    example: String,
    seed: Option<u64>,
    bug: Option<String>,
}

fn wanted() -> Option<Wanted> {
    let text = std::env::var("WF_SIM").ok()?;
    let mut parts = text.split(':').map(str::to_owned);
    let example = parts.next()?;
    let seed = parts.next().map(|seed| seed.parse().expect("the seed of WF_SIM is a number"));
    Some(Wanted { example, seed, bug: parts.next() })
}

#[test]
fn no_schedule_breaks_what_must_hold() {
    let examples = examples();
    let mut grounds = grounds(&examples);
    if let Some(Wanted { example, seed, bug }) = wanted() {
        let at = grounds.iter().position(|ground| ground.example.name == example);
        grounds = vec![grounds.swap_remove(at.unwrap_or_else(|| panic!("there is no example `{example}`")))];
        let ground = &grounds[0];
        if bug.is_some() {
            return;
        }
        if let Some(seed) = seed {
            return ground.explain(seed).unwrap_or_else(|wrong| panic!("{}\n  {wrong}", line(ground, seed)));
        }
    }
    let failed = Mutex::new(Vec::new());
    let seeds = seeds(&grounds);
    spread(seeds.len(), |number| {
        let (ground, seed) = seeds[number];
        if let Err(Failed { wrong, .. }) = ground.run(seed) {
            failed.lock().unwrap().push(format!("{}\n  {wrong}", line(ground, seed)));
        }
    });
    let failed = failed.into_inner().unwrap();
    let told: Vec<_> = failed.iter().take(TOLD_MAX).map(String::as_str).collect();
    assert!(failed.is_empty(), "{} schedules failed:\n{}", failed.len(), told.join("\n"));
}

/// Goal: the checks notice what they are there for.
/// Method: plant each mistake in the engine, and look whether some schedule of those above comes out wrong.
#[cfg(feature = "planted-bugs")]
#[test]
#[allow(clippy::print_stdout, reason = "how many schedules each mistake took is what a reader wants to know")]
fn every_planted_bug_is_found() {
    use crate::bugs::{Bug, plant};
    let chosen = wanted().and_then(|wanted| Some((wanted.example, wanted.seed?, wanted.bug?)));
    let examples = examples();
    let missed = Mutex::new(Vec::new());
    spread(Bug::ALL.len(), |number| {
        let bug = Bug::ALL[number];
        plant(Some(bug));
        // What goes its way undisturbed goes it with the mistake, too.
        let grounds = grounds(&examples);
        if let Some((name, seed, chosen)) = &chosen {
            if chosen == bug.name() {
                let ground = grounds.iter().find(|ground| ground.example.name == *name);
                let ground = ground.unwrap_or_else(|| panic!("there is no example `{name}`"));
                let told = ground.explain(*seed).err().unwrap_or_default();
                println!("{}:{chosen}\n  {told}", line(ground, *seed));
            }
            return;
        }
        let mut tried = 0;
        let found = seeds(&grounds).into_iter().find_map(|(ground, seed)| {
            tried += 1;
            let failed = ground.run(seed).err()?;
            let first = failed.wrong.lines().next().unwrap_or_default().to_owned();
            Some(format!("{}:{}: {first}", line(ground, seed), bug.name()))
        });
        match found {
            Some(found) => println!("{} after {tried} schedules: {found}", bug.name()),
            None => missed.lock().unwrap().push(bug.name()),
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "no schedule found {missed:?}");
}
