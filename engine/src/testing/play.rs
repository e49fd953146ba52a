//! One case, from its trigger to its end: engines on one store, one after the other, in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use wf_dsl::{Happens, Node, Period, TestCase, Time, Value};

use super::clock::TestClock;
use super::expect::{self, Unmet};
use super::happened::Happened;
use super::log::{CASE_RECORDS_MAX, Events, Log};
use super::mock::{MockKind, Mocks};
use super::sample::sample;
use crate::clock::Clock;
use crate::definition::Definition;
use crate::driver::load;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::ids::RunId;
use crate::rows::EventRow;
use crate::send::Event;
use crate::store::{Key, MemoryStore, Table};

/// How long virtual time goes on behind the last entry of a script: ten years.
pub const CASE_SPAN_MAX: Period = Period::seconds(10 * 366 * 86_400);

/// A case, ready to be played.
#[derive(Debug)]
pub(super) struct Play {
    /// The workflow under test.
    pub(super) workflow: String,
    pub(super) case: TestCase,
    pub(super) definitions: Arc<[Arc<Definition>]>,
    pub(super) mocks: Arc<Mocks>,
    pub(super) secrets: BTreeMap<String, Arc<str>>,
    pub(super) config: Value,
}

/// What came of it.
pub(super) struct Played {
    pub(super) unmet: Vec<Unmet>,
    pub(super) story: Vec<String>,
    pub(super) happened: Option<Happened>,
    pub(super) taken: super::coverage::Taken,
}

impl Play {
    pub(super) async fn play(&self, clock: &TestClock) -> Played {
        clock.reset(self.case.start);
        let log = Log::new(self.definitions.clone(), clock.clone());
        let (mut unmet, happened) = match self.live(clock, &log).await {
            Ok(ended) => ended,
            Err(error) => (vec![Unmet::sentence(error.to_string())], None),
        };
        let mut seen = log.seen();
        if let Some((step, kind)) = seen.unmocked.first() {
            // What follows from it is not worth telling.
            unmet = vec![self.without_mock(step, kind)];
        }
        let story = if unmet.is_empty() { Vec::new() } else { expect::story(&seen) };
        Played { unmet, story, happened, taken: std::mem::take(&mut seen.taken) }
    }

    async fn engine(&self, store: &MemoryStore, clock: &TestClock, log: &Log) -> Result<Engine, Error> {
        Engine::builder()
            .store(store.clone())
            .clock(clock.clone())
            .retention(None)
            .definitions(self.definitions.iter().cloned())
            .kinds(MockKind::all(&self.definitions, &self.mocks, log))
            .secrets(self.secrets.clone())
            .config(self.config.clone())
            .observer(log.clone())
            .without_schedules()
            .build()
            .await
    }

    async fn live(&self, clock: &TestClock, log: &Log) -> Result<(Vec<Unmet>, Option<Happened>), Error> {
        let mut store = MemoryStore::new();
        let mut engine = self.engine(&store, clock, log).await?;
        let started = self.trigger(&engine, log).await?;
        let mut last = self.case.start;
        for happening in &self.case.script {
            clock.reach(happening.at).await;
            last = happening.at;
            match &happening.what {
                Happens::Event { name, data, id } => {
                    let event = Event { id: id.clone(), ..Event::new(&name.value, json_of(data.as_ref())) };
                    engine.send(event).await?;
                }
                Happens::Cancel(reason) => {
                    if let Some(run) = self.run(started, log) {
                        match engine.cancel(run, reason).await {
                            // It has ended before; what is expected of it says whether that is right.
                            Err(error) if error.kind() == ErrorKind::Conflict => {}
                            cancelled => cancelled?,
                        }
                    }
                }
                Happens::Restart => {
                    engine.shutdown().await;
                    drop(engine);
                    store = MemoryStore::from_rows(store.rows())?;
                    engine = self.engine(&store, clock, log).await?;
                }
            }
        }
        let horizon = last.checked_add(CASE_SPAN_MAX).unwrap_or(Time(i64::MAX));
        tokio::select! {
            biased;
            quiet = engine.quiet() => quiet?,
            () = clock.reach(horizon) => {}
        }
        let run = self.run(started, log);
        let ended = self.compare(&engine, clock, log, run, clock.now() >= horizon).await?;
        engine.shutdown().await;
        Ok(ended)
    }

    /// Starts the run of the case, or sends the event that does.
    async fn trigger(&self, engine: &Engine, log: &Log) -> Result<Started, Error> {
        let Some(trigger) = &self.case.trigger else { return Ok(Started::Nothing) };
        let data = json_of(trigger.data.as_ref());
        match trigger.event.as_ref().map(|event| event.value.as_str()) {
            None => engine.start(&self.workflow, data).await.map(Started::Run),
            // Nobody but the engine sends these.
            Some(event) if event.starts_with("wf.") => {
                engine.start_with(&self.workflow, event, data).await.map(Started::Run)
            }
            Some(event) => {
                let event = Event { id: trigger.id.clone(), ts: trigger.ts, ..Event::new(event, data) };
                let is_gathered = engine.send(event).await?.gathered;
                let otherwise = if is_gathered { Started::Later } else { Started::Nothing };
                Ok(self.run(Started::Later, log).map_or(otherwise, Started::Run))
            }
        }
    }

    /// The run of the case, if it has begun.
    fn run(&self, started: Started, log: &Log) -> Option<RunId> {
        match started {
            Started::Run(run) => Some(run),
            Started::Later => log.seen().runs.iter().find(|run| run.workflow == self.workflow).map(|run| run.id),
            Started::Nothing => None,
        }
    }

    async fn compare(
        &self,
        engine: &Engine,
        clock: &TestClock,
        log: &Log,
        run: Option<RunId>,
        too_long: bool,
    ) -> Result<(Vec<Unmet>, Option<Happened>), Error> {
        let report = match run {
            Some(run) => Some(engine.report(run).await?),
            None => None,
        };
        let events = events(engine).await?;
        let mut seen = log.seen();
        seen.fill_in(&events);
        if seen.records > CASE_RECORDS_MAX {
            let message = format!("the case was stopped at {} after {CASE_RECORDS_MAX} records", clock.now());
            return Ok((vec![Unmet::sentence(message)], None));
        }
        let happened = report.as_ref().map(|report| Happened::of(&seen, report.run, report));
        let report = report.as_ref().and_then(|report| Some((seen.run(report.run)?, report)));
        let mut unmet = expect::unmet(&self.case.expect, &seen, report);
        for open in seen.runs.iter().filter(|run| run.ended.is_none()) {
            let workflow = &open.workflow;
            unmet.push(Unmet::sentence(match too_long {
                true => format!("a run of `{workflow}` is still open after {}", CASE_SPAN_MAX.compact()),
                false => {
                    let at = open.path.last().map(|step| format!(" at `{step}`")).unwrap_or_default();
                    format!("a run of `{workflow}` waits{at} for an event that the script does not send")
                }
            }));
        }
        Ok((unmet, happened))
    }

    /// An effect was called that has no mock.
    fn without_mock(&self, step: &str, kind: &str) -> Unmet {
        let output = self.definitions.iter().find_map(|definition| {
            let workflow = &definition.plan.workflow;
            let step = workflow.step(workflow.find(step)?);
            definition.output_type(step).map(|ty| sample(ty, self.case.start))
        });
        let mock = format!("mocks: {{{step}: {{output: {}}}}}", output.unwrap_or_default());
        Unmet::sentence(format!("`{step}` ({kind}) has no mock; add one, such as `{mock}`"))
    }
}

/// What came of the trigger of a case.
#[derive(Clone, Copy)]
enum Started {
    Run(RunId),
    /// Its event was gathered, with others it may be: the first run is the one.
    Later,
    Nothing,
}

/// The data of a trigger or an event; an object without fields if nothing is written.
fn json_of(data: Option<&Node>) -> Json {
    data.map_or_else(|| Json::Object(serde_json::Map::new()), Node::to_json)
}

/// All events of the log, by id: their names and data.
async fn events(engine: &Engine) -> Result<Events, Error> {
    let rows = load::scan(engine.store(), Key::all(Table::Event)).await?;
    // Rows that hold the rest of a long event are none.
    let events = rows.iter().filter_map(|row| EventRow::read(&row.key, &row.value).ok());
    Ok(events.map(|event| (event.id, (event.name, event.data.to_json()))).collect())
}
