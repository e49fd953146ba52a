//! What happens in a case, as it happens: calls, events that are sent, runs that begin and end.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value as Json, json};
use wf_dsl::{Body, Time, Workflow};

use super::clock::TestClock;
use super::coverage::Taken;
use crate::definition::Definition;
use crate::ids::{EventId, FrameId, RunId};
use crate::observe::{Notice, Observer};
use crate::run::{Fact, Record, Status};

/// More records than these are no test but a run away.
pub const CASE_RECORDS_MAX: usize = 100_000;

/// One attempt of an effect, one `invoke`, or one event that a step sends.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) at: Time,
    pub(super) run: RunId,
    pub(super) step: Arc<str>,
    /// The rendered body; null until it is known.
    pub(super) with: Json,
    /// Where the body of an invoked run or a sent event is found.
    pub(super) event: Option<EventId>,
    /// The attempt, of effects whose body is still to be seen.
    unseen: Option<u32>,
}

/// A run.
#[derive(Clone, Debug)]
pub(super) struct SeenRun {
    pub(super) id: RunId,
    pub(super) workflow: String,
    pub(super) started: Option<Time>,
    pub(super) ended: Option<(Time, Status)>,
    /// The steps of the outermost list that ran.
    pub(super) path: Vec<Arc<str>>,
    pub(super) skipped: BTreeSet<Arc<str>>,
    /// Blocks of that list that will be entered again by a retry.
    again: HashSet<Arc<str>>,
}

/// An event that a step sent, or that tells how a run ended.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at: Time,
    pub(super) name: String,
    pub(super) event: Option<EventId>,
    pub(super) data: Json,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) calls: Vec<Call>,
    pub(super) sent: Vec<Sent>,
    pub(super) runs: Vec<SeenRun>,
    /// Steps that were called and have no mock, with their kinds.
    pub(super) unmocked: Vec<(Arc<str>, String)>,
    /// How often each outcome of each mock was taken, by its place.
    pub(super) mocked: BTreeMap<usize, Vec<u32>>,
    pub(super) taken: Taken,
    pub(super) records: usize,
}

/// Names and data of events by id.
pub(super) type Events = BTreeMap<EventId, (String, Json)>;

impl Seen {
    /// Fills in what events carried: the bodies of `invoke` and `send_event`.
    pub(super) fn fill_in(&mut self, events: &Events) {
        for call in &mut self.calls {
            let Some((name, data)) = call.event.and_then(|event| events.get(&event)) else { continue };
            let is_sent = self.sent.iter().any(|sent| sent.event == call.event);
            call.with = if is_sent { json!({"name": name, "data": data}) } else { data.clone() };
        }
        for sent in &mut self.sent {
            if let Some((_, data)) = sent.event.and_then(|event| events.get(&event)) {
                sent.data = data.clone();
            }
        }
    }

    pub(super) fn run(&self, id: RunId) -> Option<&SeenRun> {
        self.runs.iter().find(|run| run.id == id)
    }
}

/// The log of one case. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Log {
    seen: Arc<Mutex<Seen>>,
    definitions: Arc<[Arc<Definition>]>,
    clock: TestClock,
}

impl Log {
    pub(super) fn new(definitions: Arc<[Arc<Definition>]>, clock: TestClock) -> Self {
        Log { seen: Arc::default(), definitions, clock }
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt begins with this body.
    pub(super) fn body(&self, run: RunId, step: &str, attempt: u32, with: &Json) {
        let mut seen = self.seen();
        // Attempts begin in the order of their records.
        let mut calls = seen.calls.iter_mut();
        let call = calls.find(|call| call.unseen == Some(attempt) && call.run == run && *call.step == *step);
        if let Some(call) = call {
            (call.with, call.unseen) = (with.clone(), None);
        }
    }

    fn workflow(&self, name: &str) -> Option<&Workflow> {
        self.definitions.iter().map(|definition| &definition.plan.workflow).find(|workflow| workflow.name.value == name)
    }
}

impl Observer for Log {
    fn observe(&self, notice: &Notice<'_>) {
        let Some(workflow) = self.workflow(notice.workflow) else { return };
        let mut seen = self.seen();
        seen.records += notice.records.len();
        if seen.records > CASE_RECORDS_MAX {
            self.clock.stop();
        }
        if seen.run(notice.run).is_none() {
            seen.begin(notice.run, notice.workflow);
        }
        for record in notice.records {
            seen.taken.see(workflow, notice.run, record);
            seen.record(workflow, notice.run, record);
        }
    }
}

impl Seen {
    /// What the records of one run tell.
    pub(super) fn of(workflow: &Workflow, run: RunId, records: &[Record]) -> Self {
        let mut seen = Seen::default();
        seen.begin(run, &workflow.name.value);
        records.iter().for_each(|record| seen.record(workflow, run, record));
        seen
    }

    fn begin(&mut self, id: RunId, workflow: &str) {
        self.runs.push(SeenRun {
            id,
            workflow: workflow.to_owned(),
            started: None,
            ended: None,
            path: Vec::new(),
            skipped: BTreeSet::new(),
            again: HashSet::new(),
        });
    }

    fn record(&mut self, workflow: &Workflow, id: RunId, record: &Record) {
        let at = record.at;
        let call =
            |step: &Arc<str>, event, unseen| Call { at, run: id, step: step.clone(), with: Json::Null, event, unseen };
        let Some(run) = self.runs.iter_mut().find(|run| run.id == id) else { return };
        let is_outermost = |step: &str| {
            record.frame == FrameId::ROOT
                && workflow.find(step).is_some_and(|ix| workflow.step(ix).list == Workflow::ROOT)
        };
        match &record.fact {
            Fact::Started { .. } => run.started = Some(at),
            Fact::Entered { step, .. } if is_outermost(step) && !run.again.remove(step) => run.path.push(step.clone()),
            Fact::Skipped { step } => {
                run.skipped.insert(step.clone());
                if is_outermost(step) {
                    run.path.pop();
                }
            }
            Fact::AttemptStarted { step, attempt, .. } => self.calls.push(call(step, None, Some(*attempt))),
            Fact::AttemptFailed { step, .. } => {
                let body = workflow.find(step).map(|ix| &workflow.step(ix).body);
                if !matches!(body, Some(Body::Effect(_))) {
                    run.again.insert(step.clone());
                }
            }
            Fact::Invoked { step, run, .. } => self.calls.push(call(step, Some(run.event), None)),
            Fact::Sent { step, id, name } => {
                self.calls.push(call(step, Some(*id), None));
                self.sent.push(Sent { at, name: name.clone(), event: Some(*id), data: Json::Null });
            }
            Fact::RunEnded { status, failure, .. } => {
                run.ended = Some((at, *status));
                let name = format!("wf.run.{}", status.as_str());
                let error = failure.as_ref().map(|failure| failure.value().to_json());
                let data = json!({
                    "workflow": run.workflow,
                    "run_id": id.to_string(),
                    "status": status.as_str(),
                    "error": error,
                });
                self.sent.push(Sent { at, name, event: None, data });
            }
            _ => {}
        }
    }
}
