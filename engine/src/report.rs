//! Reports: how a run went, read from its rows.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value as Json;
use wf_dsl::Time;

use crate::driver::load::{self, Loaded};
use crate::error::{Error, ErrorKind};
use crate::ids::{EventId, FrameId, RunId};
use crate::limits::GATHERED;
use crate::registry::Registry;
use crate::rows;
use crate::run::{Exit, Fact, Failure, Place, Record, Run, Status, StepId};
use crate::store::{Due, Key, Store, Table};

/// How a run stands or went.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// The run.
    pub run: RunId,
    /// Its workflow.
    pub workflow: String,
    /// The first run of the chain that led to it; itself if nothing did.
    pub origin: RunId,
    /// The event that it was born of.
    pub event: EventReport,
    /// How it stands.
    pub status: Status,
    /// What it `finish`ed with.
    pub output: Json,
    /// Why it failed.
    pub error: Option<Failure>,
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// When something is due for it next.
    pub due: Option<Time>,
    /// How many of its oldest records are there no more: those after its birth and before what follows. What they said
    /// of steps is missing below.
    pub dropped: u64,
    /// Its steps in the order in which they were entered; a step that was visited twice is there twice.
    pub steps: Vec<StepReport>,
    /// The events that it sent.
    pub events: Vec<EventReport>,
}

/// An event by name and id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventReport {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
}

/// An event that is still to start what it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEvent {
    /// The event.
    pub event: EventReport,
    /// The engine's own id of it.
    pub id: EventId,
    /// When it gets its place in the log, or when what it is gathered for begins if no other one comes.
    pub due: Time,
    /// The first run of the chain that led to it.
    pub origin: Option<RunId>,
}

/// One visit of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The step.
    pub id: String,
    /// Its kind, such as `switch`.
    pub kind: String,
    /// The iterations and branches it is in, such as `items[3]`; none outside of loops and branches.
    pub iteration: Option<String>,
    /// How it stands: `running`, `waiting`, `finished`, `failed`, `skipped` or `cancelled`.
    pub status: &'static str,
    /// Attempts that were made.
    pub attempts: u32,
    /// When it was entered.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Its output.
    pub output: Json,
    /// Why it failed.
    pub error: Option<Failure>,
    /// It was given up while an attempt was being made, whose effect may have happened.
    pub in_doubt: bool,
    pub(crate) frame: FrameId,
}

/// Reads how a run went.
pub(crate) async fn report(store: &dyn Store, registry: &Registry, id: RunId) -> Result<RunReport, Error> {
    let loaded = load::load(store, registry, id).await?;
    let loaded = loaded.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no run {id}")))?;
    let (records, dropped) = history(store, &loaded).await?;
    let run = &loaded.run;
    let mut tracker = Tracker::new(run, &loaded);
    tracker.has_gap = dropped > 0;
    records.iter().for_each(|record| tracker.see(record));
    Ok(RunReport {
        run: id,
        workflow: loaded.definition.plan.workflow.name.value.clone(),
        origin: loaded.origin.unwrap_or(id),
        event: EventReport { name: run.trigger.name.clone(), id: run.trigger.id.clone() },
        status: run.head.status,
        output: run.head.output.value.to_json(),
        error: run.head.failure.clone(),
        started_at: run.head.started,
        ended_at: run.head.ended,
        due: run.timers().map(|(_, due)| due).min(),
        dropped,
        steps: tracker.steps,
        events: tracker.events,
    })
}

/// The records of a run that are there: those of its birth, then its journal.
pub(crate) async fn records(store: &dyn Store, loaded: &Loaded) -> Result<Vec<Record>, Error> {
    Ok(history(store, loaded).await?.0)
}

/// The same, and how many records after the birth have been dropped.
pub(crate) async fn history(store: &dyn Store, loaded: &Loaded) -> Result<(Vec<Record>, u64), Error> {
    let id = loaded.run.id;
    let mut records = rows::read_records(&Key::head(id), loaded.birth.get().as_bytes())?;
    let born = records.len() as u64;
    let (journal, _, first) = load::journal(store, id, 0).await?;
    let dropped = first.map_or(0, |first| first.saturating_sub(born));
    records.extend(journal);
    let mut large = HashMap::new();
    for record in &mut records {
        if let Fact::Finished { output, .. }
        | Fact::RunEnded { output, .. }
        | Fact::WaitEnded { output, .. }
        | Fact::Ended { output, .. }
        | Fact::Retried { state: output, .. }
        | Fact::Forked { keys: Some(output), .. } = &mut record.fact
            && let Some(blob) = output.blob
        {
            let value = match large.get(&blob.first) {
                Some(value) => wf_dsl::Value::clone(value),
                None => load::blob(store, id, blob).await?,
            };
            large.insert(blob.first, value.clone());
            output.value = value;
        }
    }
    Ok((records, dropped))
}

/// The runs that have a row in the queue, a timer or a wait.
pub(crate) async fn open_runs(store: &dyn Store) -> Result<Vec<RunId>, Error> {
    let mut open = BTreeSet::new();
    for table in [Table::Queue, Table::Gated] {
        open.extend(load::scan(store, Key::all(table)).await?.iter().filter_map(|row| Some(row.key.queued()?.1)));
    }
    open.extend(load::scan(store, Key::all(Table::Line)).await?.iter().filter_map(|row| Some(row.key.as_line()?.2)));
    for row in load::scan(store, Key::all(Table::Timer)).await? {
        let due = row.key.as_timer().filter(Due::is_of_run);
        open.extend(due.map(|due| due.run));
    }
    for row in load::scan(store, Key::all(Table::Wait)).await? {
        open.extend(row.key.as_wait().map(|(run, _)| run));
    }
    Ok(open.into_iter().collect())
}

/// The runs of an event, one for each workflow that it started.
pub(crate) async fn runs_of(store: &dyn Store, registry: &Registry, event: EventId) -> Result<Vec<RunId>, Error> {
    let runs: Vec<RunId> = registry.iter().map(|(workflow, _)| RunId { event, workflow, nth: 0 }).collect();
    let heads: Vec<Key> = runs.iter().map(|run| Key::head(*run)).collect();
    let found = store.get(&heads).await?;
    Ok(runs.into_iter().zip(found).filter_map(|(run, head)| head.map(|_| run)).collect())
}

/// A run and what came of it, depth first.
pub(crate) async fn family(store: &dyn Store, registry: &Registry, id: RunId) -> Result<Vec<RunId>, Error> {
    let (mut found, mut seen, mut next) = (Vec::new(), BTreeSet::new(), vec![id]);
    while let Some(id) = next.pop() {
        if !seen.insert(id) {
            continue;
        }
        let loaded = load::load(store, registry, id).await?;
        let loaded = loaded.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no run {id}")))?;
        found.push(id);
        let mut came = Vec::new();
        for record in records(store, &loaded).await? {
            match record.fact {
                Fact::Invoked { run, .. } => came.push(run),
                Fact::Sent { id, .. } => came.extend(runs_of(store, registry, id).await?),
                _ => {}
            }
        }
        next.extend(came.into_iter().rev());
    }
    Ok(found)
}

/// The events that have a timer, and those that share one.
pub(crate) async fn pending_events(store: &dyn Store) -> Result<Vec<PendingEvent>, Error> {
    let mut found = Vec::new();
    for row in load::scan(store, Key::all(Table::Timer)).await? {
        let Some(due) = row.key.as_timer() else { continue };
        let mut events = Vec::new();
        if due.frame == crate::driver::DELAYED_EVENT {
            events.push(rows::EventRow::read(&row.key, &row.value)?);
        } else if due.frame == GATHERED {
            for row in load::scan(store, Key::gathered_of(due.run)).await? {
                events.push(load::event(store, crate::driver::position(&row)?).await?);
            }
        }
        found.extend(events.into_iter().map(|event| {
            let sender_id = event.sender_id.unwrap_or_else(|| event.id.to_string());
            let said = EventReport { name: event.name, id: sender_id };
            PendingEvent { event: said, id: event.id, due: due.at, origin: event.origin }
        }));
    }
    Ok(found)
}

/// Follows records and keeps one line for each visit of a step.
struct Tracker<'a> {
    replay: Run,
    loaded: &'a Loaded,
    steps: Vec<StepReport>,
    /// The latest line of each step of each frame.
    latest: HashMap<(FrameId, StepId), usize>,
    events: Vec<EventReport>,
    /// The frame that is being left because it was given up.
    given_up: Option<FrameId>,
    /// Records are missing, so that a record may name a frame that nobody has seen begin.
    has_gap: bool,
}

impl<'a> Tracker<'a> {
    fn new(run: &Run, loaded: &'a Loaded) -> Self {
        let replay = Run::new(run.id, run.head.plan.0, run.trigger.clone(), None, run.head.started);
        Tracker {
            replay,
            loaded,
            steps: Vec::new(),
            latest: HashMap::new(),
            events: Vec::new(),
            given_up: None,
            has_gap: false,
        }
    }

    fn see(&mut self, record: &Record) {
        if self.has_gap {
            let unseen = || crate::run::Frame::new(None, record.at, crate::ids::Position(0));
            self.replay.frames.entry(record.frame).or_insert_with(unseen);
        }
        let left = self.left_by(record);
        self.replay.apply(record);
        let (frame, at) = (record.frame, record.at);
        match &record.fact {
            // A block or an `invoke` that is repeated is still in the same visit.
            Fact::Entered { step, .. } if self.is_repeated(frame, step) => self.line(frame, step, |line| {
                line.attempts = line.attempts.max(1) + 1;
                line.status = "running";
            }),
            Fact::Entered { step, .. } | Fact::Retried { step: Some(step), .. } => {
                let workflow = &self.loaded.definition.plan.workflow;
                let kind = workflow.find(step).map(|ix| workflow.step(ix).kind.value.clone());
                let line = StepReport {
                    id: step.to_string(),
                    kind: kind.unwrap_or_default(),
                    iteration: self.replay.iteration(&self.loaded.definition.plan, frame),
                    status: "running",
                    attempts: 0,
                    started_at: at,
                    ended_at: None,
                    output: Json::Null,
                    error: None,
                    in_doubt: false,
                    frame,
                };
                self.latest.insert((frame, step.clone()), self.steps.len());
                self.steps.push(line);
            }
            Fact::Skipped { step } => self.end(frame, step, at, "skipped", Json::Null, None),
            Fact::AttemptStarted { step, attempt, .. } => {
                let attempt = *attempt;
                self.line(frame, step, |line| {
                    line.attempts = line.attempts.max(attempt);
                    line.status = "running";
                });
            }
            Fact::AttemptFailed { step, failure, .. } => self.line(frame, step, |line| {
                line.status = "waiting";
                line.ended_at = None;
                line.error = Some(failure.clone());
            }),
            Fact::Closed | Fact::Joined { .. } => {
                let Some((step, is_given_up)) = left else { return };
                if is_given_up {
                    self.given_up = Some(frame);
                }
                // Unless another record says more of it, this is its end: a `next`, a `finish` or a deadline led out.
                let status = if self.given_up == Some(frame) { "cancelled" } else { "finished" };
                self.line(frame, &step, |line| {
                    if line.ended_at.is_none() {
                        line.ended_at = Some(at);
                        line.status = status;
                    }
                });
                return;
            }
            Fact::Slept { step, .. }
            | Fact::Waited { step, .. }
            | Fact::Invoked { step, detached: false, .. }
            | Fact::KeyTaken { step, .. } => self.line(frame, step, |line| line.status = "waiting"),
            Fact::WaitEnded { step, output, .. } => self.line(frame, step, |line| {
                line.status = "running";
                line.output = output.value.to_json();
            }),
            Fact::Finished { step, output } => {
                let line = self.steps.iter().rev().find(|line| line.frame == frame && line.id == **step);
                // What a wait gave is there while the steps of its case run.
                let output = match line {
                    Some(line) if output.value.is_null() => line.output.clone(),
                    _ => output.value.to_json(),
                };
                self.end(frame, step, at, "finished", output, None);
            }
            Fact::Failed { step, failure } => self.end(frame, step, at, "failed", Json::Null, Some(failure)),
            Fact::Abandoned { step, attempt } => {
                self.end(frame, step, at, "cancelled", Json::Null, None);
                self.line(frame, step, |line| line.in_doubt = attempt.is_some());
                // What is left next in this frame is left for the same reason.
                self.given_up = Some(frame);
                return;
            }
            Fact::Sent { id, name, .. } => {
                self.events.push(EventReport { name: name.clone(), id: id.to_string() });
            }
            Fact::RunEnded { .. } => {
                // What encloses the last step is not left by a record of its own.
                for line in self.steps.iter_mut().filter(|line| line.ended_at.is_none()) {
                    line.ended_at = Some(at);
                    line.status = if line.status == "running" { "finished" } else { line.status };
                }
            }
            _ => {}
        }
        self.given_up = self.given_up.filter(|given_up| *given_up != frame);
    }

    /// The step whose list or parts a record leaves, and whether its parts were given up.
    fn left_by(&self, record: &Record) -> Option<(StepId, bool)> {
        let frame = self.replay.frames.get(&record.frame)?;
        match &record.fact {
            Fact::Closed => {
                let block = frame.blocks.last()?;
                let is_given_up = matches!(block.then, Some(Exit::Cancel | Exit::Cut { .. }));
                Some((block.step.clone()?, is_given_up))
            }
            Fact::Joined { step, .. } => match &frame.place {
                Place::Fork { fork, .. } => {
                    let is_given_up = matches!(fork.closing, Some(Exit::Cancel | Exit::Cut { .. }));
                    is_given_up.then(|| (step.clone(), true))
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn is_repeated(&self, frame: FrameId, step: &StepId) -> bool {
        let latest = self.latest.get(&(frame, step.clone())).map(|at| &self.steps[*at]);
        latest.is_some_and(|line| line.ended_at.is_none() && line.status == "waiting")
    }

    fn line(&mut self, frame: FrameId, step: &StepId, change: impl FnOnce(&mut StepReport)) {
        if let Some(at) = self.latest.get(&(frame, step.clone())) {
            change(&mut self.steps[*at]);
        }
    }

    fn end(
        &mut self,
        frame: FrameId,
        step: &StepId,
        at: Time,
        status: &'static str,
        output: Json,
        error: Option<&Failure>,
    ) {
        self.line(frame, step, |line| {
            line.status = status;
            line.ended_at = Some(at);
            line.output = output;
            line.error = error.cloned();
        });
    }
}
