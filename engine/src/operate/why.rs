//! Why a run does not go on: what each of its frames stands at, and what of the log came near it.

use serde_json::Value as Json;
use wf_dsl::{Owner, Plan, Time};

use super::events::Backwards;
use super::{Operator, Queued, RunLine, State};
use crate::driver::load;
use crate::error::Error;
use crate::ids::{FrameId, RunId};
use crate::once;
use crate::report::{RunReport, StepReport};
use crate::rows::EventRow;
use crate::run::{Awaited, AwaitedEvent, Fact, Failure, Frame, Place, Run, Tie};
use crate::store::Key;

/// How many events of the log are looked at for those that came near a wait.
pub const EVENTS_LOOKED_AT_MAX: usize = 1_000;
/// How many of those that came near are told, newest first.
pub const EVENTS_TOLD_MAX: usize = 5;

/// Why a run stands where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// The run.
    pub run: RunLine,
    /// What it stands at: one for each frame that is not over. Of a run that has failed, where it failed.
    pub standing: Vec<Standing>,
    /// Of a run that has not begun: what it stands in line for.
    pub queued: Option<Queued>,
    /// Of a run that is to be cancelled, or was: the reason that was given.
    pub cancel: Option<String>,
}

/// A step at which a run stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The step.
    pub step: String,
    /// Its kind.
    pub kind: String,
    /// The iterations and branches it is in.
    pub iteration: Option<String>,
    /// The steps around it, outermost first.
    pub around: Vec<String>,
    /// Since when.
    pub since: Time,
    /// Why.
    pub reason: Reason,
}

/// Why a run does not go on at a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// It can go on as soon as an engine has the store.
    Ready,
    /// An attempt was begun whose end is not recorded.
    Attempt {
        /// Its number.
        attempt: u32,
    },
    /// An attempt failed, and the next one has its time.
    Retry {
        /// The number of the one that failed.
        attempt: u32,
        /// When the next one is due.
        due: Time,
        /// Why it failed.
        error: Option<Failure>,
    },
    /// It sleeps.
    Sleep {
        /// Until when.
        until: Time,
    },
    /// It waits for the first of these.
    Events {
        /// What would end the wait.
        awaited: Vec<Wanted>,
        /// Events that were not it, newest first.
        came: Vec<Near>,
    },
    /// It waits for a run that it invoked, or for the one that stands for that.
    Run {
        /// The run.
        run: RunId,
        /// A limit named it instead of the run that was to be invoked.
        named: bool,
        /// How that stands; none if it is gone.
        state: Option<State>,
        /// Until when it waits.
        until: Option<Time>,
    },
    /// Another step holds its idempotency key.
    Key {
        /// The key.
        key: String,
        /// The run of the step that holds it.
        holder: Option<RunId>,
    },
    /// This host does not have the step kind.
    Kind {
        /// The kind.
        name: String,
    },
    /// It failed here.
    Failed {
        /// Why.
        error: Failure,
    },
}

/// What would end a wait.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// An event whose fields have these values.
    Event {
        /// Its name.
        name: String,
        /// Fields of its data, and what they equal.
        fields: Vec<(String, Json)>,
    },
    /// An instant.
    Time(Time),
    /// Nothing: the wait has no deadline.
    Never,
}

/// An event that did not end a wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Near {
    /// The id that its sender was answered.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was received.
    pub received: Time,
    /// Why it was not the one.
    pub miss: Miss,
}

/// Why an event did not end a wait.
#[derive(Clone, Debug, PartialEq)]
pub enum Miss {
    /// A field has another value.
    Field {
        /// The field.
        field: String,
        /// What it is; null if it is not there.
        is: Json,
        /// What it should be.
        wanted: Json,
    },
    /// Its data does not fit the event's type in the plan of the run.
    Type(String),
    /// It came before the end of an earlier wait, or before the time that `since` names.
    Earlier,
    /// It came after the deadline.
    Later,
    /// The `if` of the alternative was false.
    Condition,
    /// The run has not looked at it yet.
    NotSeen,
}

impl Operator {
    /// Why a run does not go on, or why it failed.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such run, and whatever the store answers.
    pub async fn why(&self, id: RunId) -> Result<Why, Error> {
        let line = self.run(id).await?;
        let report = self.report(id).await?;
        let loaded = self.load(id).await?;
        let (run, plan) = (&loaded.run, &loaded.definition.plan);
        let asked = load::one(&*self.store, Key::cancel(id)).await?.filter(|_| !run.is_ended());
        let asked = asked.map(|row| super::cancel_reason(&row));
        let mut why = Why { run: line, standing: Vec::new(), queued: None, cancel: run.head.cancel.clone().or(asked) };
        if let Some(error) = &run.head.failure {
            why.standing.extend(failed_at(plan, &report, error));
        }
        if run.is_ended() {
            return Ok(why);
        }
        if why.run.state == State::Queued {
            why.queued = Some(self.queued(run).await?);
        }
        let missing = plan.kinds.keys().find(|kind| self.kinds.as_ref().is_some_and(|kinds| !kinds.contains(*kind)));
        for (frame_id, frame) in &run.frames {
            let Some(step) = frame.place.step() else { continue };
            let reason = match missing {
                Some(kind) => Reason::Kind { name: kind.clone() },
                None => match self.reason(run, plan, *frame_id, frame).await? {
                    Some(reason) => reason,
                    None => continue,
                },
            };
            let visit = report.steps.iter().rfind(|line| line.id == **step && line.frame == *frame_id);
            let iteration = visit.and_then(|visit| visit.iteration.clone());
            why.standing.push(standing(plan, step, iteration, frame.entered, reason));
        }
        Ok(why)
    }

    async fn reason(&self, run: &Run, plan: &Plan, id: FrameId, frame: &Frame) -> Result<Option<Reason>, Error> {
        Ok(Some(match &frame.place {
            Place::At { .. } | Place::Key { taken: false, .. } => Reason::Ready,
            Place::Attempt { step, .. } => {
                Reason::Attempt { attempt: frame.tries.get(step).map_or(1, |tries| tries.attempt) }
            }
            Place::Backoff { step, until, .. } => {
                let failed = self.records(run.id).await?.into_iter().rev().find_map(|record| match record.fact {
                    Fact::AttemptFailed { step: failed, failure, attempt, .. }
                        if record.frame == id && failed == *step =>
                    {
                        Some((attempt, failure))
                    }
                    _ => None,
                });
                let attempt = failed.as_ref().map_or(1, |(attempt, _)| *attempt);
                Reason::Retry { attempt, due: *until, error: failed.map(|(_, failure)| failure) }
            }
            Place::Sleep { until, .. } => Reason::Sleep { until: *until },
            Place::Wait { awaited, .. } => {
                let came = self.near(run, plan, frame, awaited).await?;
                Reason::Events { awaited: awaited.iter().map(wanted).collect(), came }
            }
            Place::Child { run: child, due, tie, .. } => {
                let state = self.run(*child).await.ok().map(|line| line.state);
                Reason::Run { run: *child, named: *tie == Tie::Referred, state, until: *due }
            }
            Place::Key { step, key, .. } => {
                let hash = once::key_hash(&plan.workflow.name.value, step, key);
                let rows = self.store.get(&once::key_rows(&hash, self.now())).await?;
                let holder = rows.iter().flatten().find_map(once::holder);
                Reason::Key { key: key.clone(), holder }
            }
            Place::Fork { .. } | Place::Ended { .. } => return Ok(None),
        }))
    }

    /// The newest events of the names that are waited for, and why none of them was it.
    async fn near(&self, run: &Run, plan: &Plan, frame: &Frame, awaited: &[Awaited]) -> Result<Vec<Near>, Error> {
        let wanted: Vec<&AwaitedEvent> = awaited.iter().filter_map(Awaited::event).collect();
        let mut near = Vec::new();
        let mut log = Backwards::from(None);
        for _ in 0..EVENTS_LOOKED_AT_MAX {
            let Some((position, event)) = log.next(self).await? else { break };
            if position <= run.position || near.len() == EVENTS_TOLD_MAX {
                break;
            }
            // Of several alternatives for one event, the one that it came nearest to is told.
            let misses = wanted.iter().filter(|wanted| wanted.event == event.name);
            let miss = misses.map(|wanted| miss(plan, frame, wanted, position, &event)).max_by_key(Miss::nearness);
            if let Some(miss) = miss {
                let id = event.sender_id.unwrap_or_else(|| event.id.to_string());
                near.push(Near { id, name: event.name, received: event.received, miss });
            }
        }
        Ok(near)
    }
}

impl Miss {
    /// What counts as nearer to what was wanted.
    fn nearness(&self) -> u8 {
        match self {
            Miss::Field { .. } => 0,
            Miss::Type(_) => 1,
            Miss::Earlier => 2,
            Miss::Later => 3,
            Miss::Condition => 4,
            Miss::NotSeen => 5,
        }
    }
}

fn miss(plan: &Plan, frame: &Frame, wanted: &AwaitedEvent, position: crate::ids::Position, event: &EventRow) -> Miss {
    let data = match plan.events.get(&event.name).map(|ty| ty.data.accept(&event.data.to_json())) {
        Some(Ok(data)) => data,
        Some(Err(wrong)) => {
            let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            return Miss::Type(wrong.join("; "));
        }
        None => event.data.clone(),
    };
    for (field, value) in &wanted.matches {
        let is = data.get_path(field);
        if !is.is_some_and(|is| is.same(value)) {
            let is = is.map_or(Json::Null, wf_dsl::Value::to_json);
            return Miss::Field { field: field.clone(), is, wanted: value.to_json() };
        }
    }
    if position <= wanted.after || wanted.since.is_some_and(|since| event.received < since) {
        return Miss::Earlier;
    }
    if frame.place.due().is_some_and(|due| event.received > due.max(frame.entered)) {
        return Miss::Later;
    }
    match &frame.place {
        Place::Wait { examined, .. } if position <= *examined => Miss::Condition,
        _ => Miss::NotSeen,
    }
}

fn wanted(awaited: &Awaited) -> Wanted {
    match awaited {
        Awaited::Event(event) => Wanted::Event {
            name: event.event.clone(),
            fields: event.matches.iter().map(|(field, value)| (field.clone(), value.to_json())).collect(),
        },
        Awaited::Due(due) => Wanted::Time(*due),
        Awaited::Never => Wanted::Never,
    }
}

/// Where a run failed: the visit of the step that its error names.
fn failed_at(plan: &Plan, report: &RunReport, error: &Failure) -> Option<Standing> {
    let step = error.step.as_ref()?;
    let has_it = |line: &&StepReport| line.id == **step && line.error.is_some();
    let visit = report.steps.iter().rev().find(has_it);
    let (iteration, since) =
        visit.map_or((None, report.started_at), |visit| (visit.iteration.clone(), visit.started_at));
    Some(standing(plan, step, iteration, since, Reason::Failed { error: error.clone() }))
}

fn standing(plan: &Plan, step: &str, iteration: Option<String>, since: Time, reason: Reason) -> Standing {
    let workflow = &plan.workflow;
    let found = workflow.find(step).map(|ix| workflow.step(ix));
    let mut around = Vec::new();
    let mut list = found.map(|step| step.list);
    while let Some(Owner::Step(owner, _)) = list.map(|list| workflow.list(list).owner) {
        around.insert(0, workflow.step(owner).id.to_string());
        list = Some(workflow.step(owner).list);
    }
    let kind = found.map(|step| step.kind.value.clone()).unwrap_or_default();
    Standing { step: step.to_owned(), kind, iteration, around, since, reason }
}
