//! Retry by a person: the state from which a run that has failed goes on. Pure, like every decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wf_dsl::{Owner, Time, Value, Workflow};

use super::fact::{Fact, Record, StepId};
use super::frame::{Exit, Frame, Place, Role, Tie};
use super::stored::Stored;
use super::{Head, Run, Status};
use crate::ids::{FrameId, RunId};

/// The state of a run, as the record of its retry holds it.
#[derive(Serialize, Deserialize)]
struct State {
    head: Head,
    frames: BTreeMap<FrameId, Frame>,
}

/// A run that goes on from an earlier state.
#[derive(Clone, Debug)]
pub(crate) struct Rewound {
    /// The run as it is then.
    pub(crate) run: Run,
    /// The step that is entered again; none if the whole run timed out.
    pub(crate) step: Option<StepId>,
    /// The frame that it is in.
    pub(crate) frame: FrameId,
    /// Frames that wait for runs that they invoked, which may have ended since.
    pub(crate) children: Vec<(FrameId, RunId)>,
    /// Whether this state was there before: what is ahead may read what never was.
    pub(crate) was_there: bool,
}

/// Why a run cannot be retried as was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRetry {
    #[error("it failed before its first step")]
    NotBegun,
    #[error("the records of how it failed are not kept any more")]
    Forgotten,
    #[error("what it had done was undone when it failed")]
    Undone,
    #[error("there is no step `{0}`")]
    NoStep(String),
    #[error("`{0}` is not a step of the outermost list")]
    Inside(String),
}

impl Run {
    /// The state from which this run, which has failed, goes on: at the step that failed, or at a step of the outermost
    /// list. `records` are all that are kept of it, `dropped` how many after its birth are not.
    pub(crate) fn rewound(
        &self,
        records: &[Record],
        dropped: u64,
        workflow: &Workflow,
        from: Option<&str>,
        now: Time,
    ) -> Result<Rewound, NoRetry> {
        let (at, frame, step) = match from {
            Some(from) => self.visit_of(records, dropped, workflow, from)?,
            None => self.failing(records, dropped)?,
        };
        let is_undone = |record: &Record| matches!(record.fact, Fact::Opened { role: Role::Undo, .. });
        let undone = at.is_some_and(|at| records[at..].iter().any(is_undone));
        if undone && from.is_none() {
            return Err(NoRetry::Undone);
        }
        let mut run = match at {
            Some(at) => self.fold(&records[..at]),
            None => self.bare(),
        };
        run.reopen(self);
        let dead_for = at.map_or(0, |at| now.0.saturating_sub(records[at].at.0));
        run.postpone(dead_for, step.is_none(), now);
        for state in run.frames.values_mut() {
            state.let_go();
        }
        if let Some(step) = &step {
            let invoked = from.is_none() && matches!(run.frame(frame).place, Place::Child { tie: Tie::Child, .. });
            if !invoked {
                run.enter_again(frame, step, workflow, undone, now);
            }
        }
        let waiting = |(id, frame): (&FrameId, &Frame)| match frame.place {
            Place::Child { run, tie: Tie::Child, .. } => Some((*id, run)),
            _ => None,
        };
        let children = run.frames.iter().filter_map(waiting).collect();
        Ok(Rewound { run, step, frame, children, was_there: at.is_some() })
    }

    /// The record by which the run failed, where, and the step.
    fn failing(&self, records: &[Record], dropped: u64) -> Result<(Option<usize>, FrameId, Option<StepId>), NoRetry> {
        let failure = self.head.failure.as_ref().ok_or(NoRetry::NotBegun)?;
        let is_it = |record: &&(usize, &Record)| match (&record.1.fact, &failure.step) {
            (Fact::Failed { step, failure: why }, Some(failed)) => step == failed && why == failure,
            (Fact::GivenUp { exit: Exit::Cut { depth: None, .. } }, None) => record.1.frame == FrameId::ROOT,
            _ => false,
        };
        let numbered: Vec<(usize, &Record)> = records.iter().enumerate().collect();
        match numbered.iter().rev().find(is_it) {
            Some(_) if !is_whole(records, dropped) => Err(NoRetry::Forgotten),
            Some((at, record)) => Ok((Some(*at), record.frame, failure.step.clone())),
            None if dropped > 0 => Err(NoRetry::Forgotten),
            None => Err(NoRetry::NotBegun),
        }
    }

    /// The record by which the latest visit of a step of the outermost list began; none if it never did, or if that is
    /// not kept any more.
    fn visit_of(
        &self,
        records: &[Record],
        dropped: u64,
        workflow: &Workflow,
        from: &str,
    ) -> Result<(Option<usize>, FrameId, Option<StepId>), NoRetry> {
        let step = workflow.find(from).map(|ix| workflow.step(ix)).ok_or_else(|| NoRetry::NoStep(from.to_owned()))?;
        if workflow.list(step.list).owner != Owner::Root {
            return Err(NoRetry::Inside(from.to_owned()));
        }
        let is_entry = |record: &Record| matches!(&record.fact, Fact::Entered { step, .. } if **step == *from);
        let entered = |record: &Record| record.frame == FrameId::ROOT && is_entry(record);
        let at = records.iter().rposition(entered).filter(|_| is_whole(records, dropped));
        Ok((at, FrameId::ROOT, Some(step.id.clone())))
    }

    /// The state after these records, the first of which is that of the birth unless a retry is among them.
    fn fold(&self, records: &[Record]) -> Run {
        let begin = records.iter().rposition(|record| matches!(record.fact, Fact::Retried { .. })).unwrap_or(0);
        let Head { plan, parent, started, .. } = &self.head;
        let mut run = Run::new(self.id, plan.0, self.trigger.clone(), parent.clone(), *started);
        run.position = self.position;
        records[begin..].iter().for_each(|record| run.apply(record));
        run
    }

    /// The run as it is, with nothing but what its root has.
    fn bare(&self) -> Run {
        let mut run = self.clone();
        run.frames.retain(|id, _| *id == FrameId::ROOT);
        if let Some(root) = run.frames.get_mut(&FrameId::ROOT) {
            root.blocks.clear();
            root.tries.clear();
        }
        run
    }

    /// Makes it open again. Numbers that were given are not given again.
    fn reopen(&mut self, ended: &Run) {
        self.version = ended.version;
        let head = &mut self.head;
        head.plan = ended.head.plan;
        head.next_frame = head.next_frame.max(ended.head.next_frame);
        head.next_chunk = head.next_chunk.max(ended.head.next_chunk);
        head.parent.clone_from(&ended.head.parent);
        head.events.clone_from(&ended.head.events);
        head.terms = ended.head.terms.as_ref().map(|terms| Box::new(terms.of_retried()));
        (head.status, head.ended, head.failure, head.cancel) = (Status::Open, None, None, None);
        head.output = Stored::default();
    }

    /// The time that the run was dead counts against no timeout; one of the whole run that has passed begins anew.
    fn postpone(&mut self, ms: i64, timed_out: bool, now: Time) {
        let later = |due: &mut Option<Time>| {
            if let Some(due) = due {
                *due = Time(due.0.saturating_add(ms));
            }
        };
        if timed_out {
            let whole = self.head.due.map(|due| due.0.saturating_sub(self.head.started.0));
            self.head.due = whole.map(|whole| Time(now.0.saturating_add(whole)));
        } else {
            later(&mut self.head.due);
        }
        for frame in self.frames.values_mut() {
            frame.blocks.iter_mut().for_each(|block| later(&mut block.due));
            match &mut frame.place {
                Place::Fork { fork, .. } => later(&mut fork.due),
                Place::Child { due, .. } => later(due),
                _ => {}
            }
        }
    }

    /// Stands at a step as if it had just been entered.
    pub(crate) fn enter_again(&mut self, id: FrameId, step: &StepId, workflow: &Workflow, again: bool, now: Time) {
        let Some(ix) = workflow.find(step) else { return };
        let Some(frame) = self.frames.get_mut(&id) else { return };
        let mut inside = vec![ix];
        while let Some(ix) = inside.pop() {
            let step = workflow.step(ix);
            frame.outputs.remove(&step.id);
            frame.tries.remove(&step.id);
            inside.extend(step.lists().flat_map(|list| workflow.list(list).steps.iter().copied()));
        }
        frame.round += u32::from(again);
        frame.entered = now;
        frame.place = Place::At { step: step.clone() };
    }

    /// Counts who works, from the innermost frames outwards: parts have higher numbers than what they are parts of.
    pub(crate) fn count_all_working(&mut self) {
        for frame in self.frames.values_mut() {
            if let Place::Fork { fork, .. } = &mut frame.place {
                fork.working = 0;
            }
        }
        let ids: Vec<FrameId> = self.frames.keys().rev().copied().collect();
        for id in ids {
            let frame = self.frame(id);
            let Some(parent) = frame.parent.as_ref().filter(|_| frame.is_working()).map(|parent| parent.frame) else {
                continue;
            };
            if let Some(Place::Fork { fork, .. }) = self.frames.get_mut(&parent).map(|frame| &mut frame.place) {
                fork.working += 1;
            }
        }
    }

    /// This state as a value, for the record of a retry.
    pub(crate) fn as_value(&self) -> Value {
        let state = State { head: self.head.clone(), frames: self.frames.clone() };
        let text = serde_json::to_string(&state).expect("a state is JSON");
        Value::String(Arc::from(text.as_str()))
    }

    /// Takes the state that the record of a retry holds.
    pub(super) fn take_state(&mut self, state: &Stored) {
        let text = state.value.as_str();
        let Some(State { head, frames }) = text.and_then(|text| serde_json::from_str(text).ok()) else { return };
        let gone = self.frames.keys().filter(|id| !frames.contains_key(id)).copied().collect::<Vec<_>>();
        self.gone.extend(gone);
        (self.head, self.frames) = (head, frames);
        self.dirty = self.frames.keys().copied().collect();
        self.gone.retain(|id| !self.frames.contains_key(id));
        (self.starved, self.cut_off) = Default::default();
    }
}

impl Frame {
    /// What was at work then is not any more, and begins again: its attempts were given up, and its keys let go.
    fn let_go(&mut self) {
        let step = match &self.place {
            Place::Attempt { step, .. } | Place::Key { step, .. } | Place::Backoff { step, key: Some(_), .. } => {
                step.clone()
            }
            _ => return,
        };
        self.tries.remove(&step);
        self.place = Place::At { step };
    }
}

/// Whether a state can be folded from these records.
fn is_whole(records: &[Record], dropped: u64) -> bool {
    dropped == 0 || records.iter().any(|record| matches!(record.fact, Fact::Retried { .. }))
}
