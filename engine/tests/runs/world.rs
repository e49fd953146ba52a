//! A world: a store that outlives processes, virtual time, and a script that goes on where it was.

use std::sync::Arc;
use std::time::Duration;

use wf_engine::store::{Key, Table};
use wf_engine::{
    BoxFuture, Clock, Engine, Error, ErrorKind, Event, MemoryStore, RunId, RunReport, SimulatedClock, Store, Time,
};

use crate::case::{Case, Entry, period};
use crate::faulty::{Crash, Faulty};
use crate::journal;
use crate::kinds::{self, Calls};
use crate::virtual_time::VirtualClock;

/// When to give up on a world that never comes to rest.
const HORIZON: Duration = Duration::from_secs(400 * 86_400);

/// A clock that others look at, too.
#[derive(Clone, Debug)]
struct Shared(Arc<dyn Clock>);

impl Clock for Shared {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn sleep_until(&self, due: Time, idle: bool) -> BoxFuture<'_, ()> {
        self.0.sleep_until(due, idle)
    }

    fn is_simulated(&self) -> bool {
        self.0.is_simulated()
    }

    fn resume_at(&self, at: Time) {
        self.0.resume_at(at);
    }
}

/// How a world is run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    /// Where processes end, one after the other; the one after them lives to the end.
    pub(crate) crashes: Vec<Crash>,
    /// How far commits may fall behind.
    pub(crate) lag: usize,
    /// On the clock that `--fast-forward` has.
    pub(crate) simulated: bool,
}

/// What came of a case.
pub(crate) struct World {
    pub(crate) begin: Time,
    pub(crate) reports: Vec<RunReport>,
    pub(crate) calls: Vec<kinds::Call>,
    /// What the script was answered.
    pub(crate) answers: Vec<String>,
    /// Writes of the last process.
    pub(crate) writes: usize,
    /// Times at which processes ended by a crash of the weather.
    pub(crate) crashes: usize,
    pub(crate) store: MemoryStore,
}

/// Where the script stands.
struct Progress {
    now: Time,
    next: usize,
    answers: Vec<String>,
    /// The runs that were there when the last entry had been dealt with.
    before: Vec<RunId>,
}

/// How a process ended.
enum End {
    /// Everything has come to rest.
    Rest(Vec<RunReport>),
    /// It was killed as the script says, and this long nobody is there.
    Down(Duration),
    /// It ended at a write.
    Crash,
}

/// Runs a case.
pub(crate) fn run(case: &Case, weather: &Weather) -> World {
    let calls = Calls::default();
    let mut store = MemoryStore::new();
    let mut progress = Progress { now: case.begin(), next: 0, answers: Vec::new(), before: Vec::new() };
    let mut crashes = weather.crashes.iter().copied();
    let mut crashed = 0;
    loop {
        let faulty = Faulty::new(store.clone(), crashes.next(), weather.lag);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let clock: Arc<dyn Clock> = runtime.block_on(async {
            match weather.simulated {
                true => Arc::new(SimulatedClock::starting_at(progress.now)) as Arc<dyn Clock>,
                false => Arc::new(VirtualClock::starting_at(progress.now)),
            }
        });
        let end = runtime.block_on(async {
            let end = tokio::select! {
                biased;
                () = faulty.died() => End::Crash,
                end = live(case, &clock, &faulty, &calls, &mut progress) => end,
            };
            // Outside of the runtime its time does not stand still.
            progress.now = clock.now();
            end
        });
        drop(runtime);
        // A process that begins anew has claimed nothing.
        store = MemoryStore::from_rows(store.rows()).unwrap();
        journal::check(&case.name, &store);
        match end {
            End::Crash => crashed += 1,
            End::Down(outage) => progress.now.0 += i64::try_from(outage.as_millis()).unwrap(),
            End::Rest(reports) => {
                let calls = std::mem::take(&mut *calls.lock().unwrap());
                return World {
                    begin: case.begin(),
                    reports,
                    calls,
                    answers: progress.answers,
                    writes: faulty.writes(),
                    crashes: crashed,
                    store,
                };
            }
        }
    }
}

/// One process, from its start to its end.
async fn live(case: &Case, clock: &Arc<dyn Clock>, store: &Faulty, calls: &Calls, progress: &mut Progress) -> End {
    let engine = Engine::builder()
        .store(store.clone())
        .clock(Shared(clock.clone()))
        .retention(None)
        .kinds(kinds::all(calls))
        .plans(case.plans())
        .secrets([("token".to_owned(), Arc::from(SECRET))].into())
        .build()
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", case.name));
    while let Some(entry) = case.script.script.get(progress.next) {
        let at = Time(case.begin().0 + entry.after().0);
        while !clock.is_simulated() && clock.now() < at {
            clock.sleep_until(at, false).await;
        }
        if let Some(outage) = &entry.down {
            progress.next += 1;
            return End::Down(period(outage).to_std());
        }
        let answer = act(&engine, store, entry, progress).await;
        progress.next += 1;
        progress.answers.extend(answer);
        progress.before = runs(store).await;
    }
    match &case.script.until {
        Some(until) => {
            let until = Time(case.begin().0 + period(until).0);
            while clock.now() < until {
                clock.sleep_until(until, false).await;
            }
        }
        None => {
            let quiet = tokio::time::timeout(HORIZON, engine.quiet()).await;
            if let Ok(quiet) = quiet {
                quiet.unwrap();
            }
        }
    }
    let mut reports = Vec::new();
    for run in runs(store).await {
        reports.push(engine.report(run).await.unwrap());
    }
    End::Rest(reports)
}

/// The value of the secret that every world has.
pub(crate) const SECRET: &str = "s3cret/of the+tests";

async fn act(engine: &Engine, store: &Faulty, entry: &Entry, progress: &Progress) -> Option<String> {
    let answer = |what: String, told: Result<String, Error>| match told {
        Ok(told) => format!("{what}: {told}"),
        Err(error) => format!("{what}: {:?}: {error}", error.kind()),
    };
    if let Some(name) = &entry.send {
        // Whoever got no answer sends again, and must be known by then.
        let id = entry.id.clone().unwrap_or_else(|| format!("entry-{}", progress.next));
        let ts = entry.ts.as_ref().map(|ts| ts.parse().unwrap());
        let sent = engine.send(Event { ts, id: Some(id.clone()), ..Event::new(name, entry.data.clone()) }).await;
        let told = sent.map(|sent| {
            assert_eq!(sent.id, id);
            // After a crash this cannot be told from the answer: see the runs.
            if entry.id.is_some() && sent.duplicate { "duplicate".to_owned() } else { String::new() }
        });
        return match told {
            Ok(told) if told.is_empty() => None,
            told => Some(answer(format!("send {name}"), told)),
        };
    }
    if let Some(workflow) = &entry.start {
        // A run by hand has no id by which a second try is known, so look whether the first one came through.
        for run in runs(store).await.into_iter().filter(|run| !progress.before.contains(run)) {
            if engine.report(run).await.unwrap().workflow == *workflow {
                return None;
            }
        }
        let started = engine.start(workflow, entry.data.clone()).await;
        return started.err().map(|error| answer(format!("start {workflow}"), Err(error)));
    }
    // Whoever got no answer asks again, and is told of a conflict if the first try came through.
    let came_through = |done: Result<(), Error>| {
        if let Err(error) = done {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        }
    };
    if let Some(workflow) = &entry.pause {
        came_through(engine.operator().pause_workflow(workflow).await);
    }
    if let Some(workflow) = &entry.resume {
        came_through(engine.operator().resume_workflow(workflow).await);
    }
    if let Some(workflow) = &entry.cancel {
        for run in engine.open_runs().await.unwrap() {
            let report = engine.report(run).await.unwrap();
            let is_meant = entry.id.as_ref().is_none_or(|id| *id == report.event.id);
            if report.workflow == *workflow && is_meant && report.ended_at.is_none() {
                engine.cancel(run, "as the script says").await.unwrap();
            }
        }
    }
    None
}

/// All runs of a store.
async fn runs(store: &dyn Store) -> Vec<RunId> {
    let rows = store.scan(Key::all(Table::Head), false, usize::MAX).await.unwrap();
    rows.iter().filter_map(|row| row.key.as_head()).collect()
}
