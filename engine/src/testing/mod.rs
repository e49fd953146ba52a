//! Workflow tests: the cases of a project's test files, each played in virtual time on a store of its own.
//!
//! Nothing of the world outside is touched: effects are mocked by what the catalog says of their kinds, so that the kinds
//! of a host are tested like any others, without being there. This is what `wf test` runs, and what a host's own tests
//! can.

mod clock;
mod coverage;
mod expect;
mod happened;
mod log;
mod mock;
mod play;
mod recorded;
mod sample;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wf_dsl::{Object, Plan, PlanError, Project, Span, TestCase, TestFile, Value};

pub use coverage::{Coverage, Missed};
pub use expect::Unmet;
pub use log::CASE_RECORDS_MAX;
pub use play::CASE_SPAN_MAX;
pub use recorded::Recorded;

pub(crate) use happened::Happened;
pub(crate) use recorded::{Answer, Outcome};

use clock::TestClock;
use coverage::Taken;
use mock::Mocks;
use play::{Play, Played};

use crate::definition::Definition;

/// The cases of a project, ready to be played.
#[derive(Debug)]
pub struct Suite {
    plays: Vec<Play>,
    files: Vec<String>,
    /// The workflows that the cases start or come to.
    plans: Vec<Plan>,
}

/// How one case went.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// The path of its file.
    pub file: String,
    /// The workflow under test.
    pub test: String,
    /// Its name.
    pub case: String,
    /// Where its name stands.
    pub span: Span,
    /// What did not hold; nothing if it passed.
    pub unmet: Vec<Unmet>,
    /// What happened, line by line, if it did not pass.
    pub story: Vec<String>,
    /// How the run went that the trigger started.
    happened: Option<Happened>,
}

impl CaseReport {
    /// Whether everything that was expected holds.
    pub fn passed(&self) -> bool {
        self.unmet.is_empty()
    }
}

/// How all cases went.
#[derive(Clone, Debug, Default)]
pub struct SuiteReport {
    /// The cases in the order of their files.
    pub cases: Vec<CaseReport>,
    /// What they took of the workflows.
    pub coverage: Coverage,
}

impl Suite {
    /// The cases of the test files that are `wanted`.
    ///
    /// # Errors
    /// [`PlanError::Invalid`] as long as the project has errors.
    pub fn new(project: &Project, wanted: impl Fn(&TestFile) -> bool) -> Result<Suite, PlanError> {
        let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
        let mut made = HashMap::new();
        let (secrets, config) = (secrets(project), config(project));
        let mut suite = Suite { plays: Vec::new(), files: Vec::new(), plans: Vec::new() };
        for file in project.tests.iter().filter(|file| wanted(file)) {
            let starts: Vec<String> =
                std::iter::once(&file.workflow).chain(&file.also).map(|name| name.value.clone()).collect();
            let reachable = project.reachable(starts.clone());
            for name in &reachable {
                if !plans.contains_key(name) {
                    plans.insert(name.clone(), project.plan(name)?);
                }
            }
            let making = Making { project, plans: &plans, starts: &starts, reachable: &reachable };
            for case in &file.cases {
                let mocks = Arc::new(Mocks::of(&case.mocks));
                suite.files.push(project.sources.path(case.name.span.file).to_owned());
                suite.plays.push(Play {
                    workflow: file.workflow.value.clone(),
                    definitions: making.definitions(&mocks, &mut made),
                    case: TestCase::clone(case),
                    mocks,
                    secrets: secrets.clone(),
                    config: config.clone(),
                });
            }
        }
        suite.plans = plans.into_values().collect();
        Ok(suite)
    }

    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.plays.len()
    }

    /// Whether there is no case at all.
    pub fn is_empty(&self) -> bool {
        self.plays.is_empty()
    }

    /// The workflows that the cases start or come to.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// Plays all cases, on as many threads, and waits for them. Not for the inside of an async runtime.
    ///
    /// # Errors
    /// No runtime can be made.
    pub fn run(&self, threads: NonZeroUsize) -> std::io::Result<SuiteReport> {
        let next = AtomicUsize::new(0);
        let played = Mutex::new((BTreeMap::new(), Taken::default()));
        let play = || -> std::io::Result<()> {
            let clock = TestClock::new();
            let jumping = clock.clone();
            let runtime =
                tokio::runtime::Builder::new_current_thread().on_thread_park(move || jumping.jump()).build()?;
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(play) = self.plays.get(place) else { return Ok(()) };
                let mut one = runtime.block_on(play.play(&clock));
                let mut played = played.lock().unwrap_or_else(PoisonError::into_inner);
                played.1.append(std::mem::take(&mut one.taken));
                played.0.insert(place, one);
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..threads.get().min(self.plays.len())).map(|_| scope.spawn(play)).collect();
            let here = play();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .fold(here, Result::and)
        })?;
        let (played, taken) = played.into_inner().unwrap_or_else(PoisonError::into_inner);
        let cases = played.into_iter().map(|(place, Played { unmet, story, happened, .. })| {
            let play = &self.plays[place];
            CaseReport {
                file: self.files[place].clone(),
                test: play.workflow.clone(),
                case: play.case.name.value.clone(),
                span: play.case.name.span,
                unmet,
                story,
                happened,
            }
        });
        let coverage = Coverage::of(&taken, self.plans.iter().map(|plan| &plan.workflow));
        Ok(SuiteReport { cases: cases.collect(), coverage })
    }
}

/// What the plans of a file's cases are made of.
struct Making<'a> {
    project: &'a Project,
    plans: &'a BTreeMap<String, Plan>,
    starts: &'a [String],
    reachable: &'a std::collections::BTreeSet<String>,
}

/// Workflows that have been made ready: by what may start, and the `invoke` steps that are mocked.
type Made = HashMap<(Vec<String>, Vec<(String, String)>), Arc<[Arc<Definition>]>>;

impl Making<'_> {
    /// The workflows of a case, made ready once for all cases that need the same.
    fn definitions(&self, mocks: &Mocks, made: &mut Made) -> Arc<[Arc<Definition>]> {
        let mut mocked = Vec::new();
        for name in self.reachable {
            let steps = self.plans.get(name).into_iter().flat_map(|plan| mocks.invokes(plan));
            mocked.extend(steps.map(|step| (name.clone(), step.to_owned())));
        }
        let key = (self.starts.to_vec(), mocked);
        if let Some(definitions) = made.get(&key) {
            return definitions.clone();
        }
        let definition = |name: &String| {
            let steps = key.1.iter().filter(|(workflow, _)| workflow == name).map(|(_, step)| step.clone());
            let steps: Vec<String> = steps.collect();
            let plan = mock::plan_of(self.project, self.plans.get(name)?, self.starts.contains(name), &steps);
            Some(Arc::new(Definition::new(Arc::new(plan))))
        };
        let definitions: Arc<[Arc<Definition>]> = self.reachable.iter().filter_map(definition).collect();
        made.insert(key, definitions.clone());
        definitions
    }
}

/// A value for every secret that the project reads.
fn secrets(project: &Project) -> BTreeMap<String, Arc<str>> {
    let names = crate::folder::secrets_of(project);
    names.into_iter().map(|name| (name.clone(), format!("secret {name}").into())).collect()
}

/// `config` as it is without an environment: the defaults, and samples of what has none.
fn config(project: &Project) -> Value {
    let values = project.settings.config.iter().map(|(name, declared)| {
        let sampled = || declared.ty.accept(&sample::sample(&declared.ty, wf_dsl::TEST_START)).unwrap_or_default();
        (name.clone(), declared.default.clone().unwrap_or_else(sampled))
    });
    Value::from(values.collect::<Object>())
}
