//! Undoing: what an error takes back that leaves a list of steps.
//!
//! A step with an `undo` that ended well is remembered by its frame, with all that the `undo` reads, since loops go on and
//! the frames of branches go. When an error leaves a list, what was done in it is undone first, latest first, each by a
//! list of its own that is opened on top of the one that is left: so a crash in between loses nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wf_dsl::{Body, Expr, Join, ListIx, Object, Plan, ReferenceKind, Step, Time, Value, Workflow};

use super::Run;
use super::decide::Decision;
use super::fact::{Fact, Failure, StepId};
use super::frame::{Exit, Frame, Parent, Place, Role};
use super::stored::Stored;
use crate::ids::FrameId;

/// The most steps that an error may undo, of one run at one time.
pub const UNDOS_MAX: usize = 10_000;
/// What is longer and is read by an `undo` is kept in chunk rows: the others are written with their frame, all together.
const READS_BYTES: usize = 256;

/// A step that an error undoes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// The step.
    pub step: StepId,
    /// When it was entered: the `now()` of its `undo`.
    pub entered: Time,
    /// The number of its record: those that were done later have higher ones.
    pub number: u64,
    /// The iterations and branches that it was in, such as `items[3]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iteration: Option<String>,
    /// What the expressions of its `undo` read: outputs under `steps`, other names under `names`.
    #[serde(default)]
    pub reads: Stored,
}

impl Undo {
    /// A value that was kept for its `undo`.
    pub(super) fn read(&self, sort: &str, name: &str) -> Option<&Value> {
        self.reads.value.get(sort)?.get(name)
    }
}

impl Run {
    /// The `now()` of the step at which a frame stands: that of the step that is undone, or its own.
    pub(super) fn now_at(&self, id: FrameId) -> Time {
        let mut blocks = self.with_parents(id).flat_map(|frame| frame.blocks.iter().rev());
        let undo = blocks.find_map(|block| block.undo.as_ref());
        undo.map_or_else(|| self.frame(id).entered, |undo| undo.entered)
    }

    /// The iterations and branches that a frame is in, such as `items[3]`; in an `undo`, those of what is undone.
    pub(crate) fn iteration(&self, plan: &Plan, id: FrameId) -> Option<String> {
        let mut parts = Vec::new();
        for frame in self.with_parents(id) {
            if let Some(undo) = frame.blocks.iter().rev().find_map(|block| block.undo.as_ref()) {
                parts.extend(undo.iteration.clone());
                break;
            }
            let part = frame.parent.as_ref().map(|parent| format!("{}[{}]", parent.step, self.part(plan, parent)));
            parts.extend(part);
        }
        parts.reverse();
        (!parts.is_empty()).then(|| parts.join("."))
    }

    fn part(&self, plan: &Plan, parent: &Parent) -> String {
        let body = plan.workflow.find(&parent.step).map(|ix| &plan.workflow.step(ix).body);
        match body {
            Some(Body::Parallel { branches, .. }) => {
                branches.get(parent.index as usize).map(|(name, _)| name.value.clone()).unwrap_or_default()
            }
            _ => self.iteration_key(parent),
        }
    }
}

impl<'a> Decision<'a> {
    /// Records that a step ended well, and what undoes it.
    pub(super) fn finished(&mut self, id: FrameId, step: &'a Step, output: Stored) {
        self.emit(id, Fact::Finished { step: step.id.clone(), output });
        let Some(list) = step.undo else { return };
        let reads = self.reads_of(id, list);
        let reads = self.store_beyond(reads, READS_BYTES);
        let entered = self.run.now_at(id);
        let iteration = self.run.iteration(&self.cx.definition.plan, id);
        self.emit(id, Fact::UndoAdded { step: step.id.clone(), entered, iteration, reads });
    }

    /// The values of what a list reads and does not have in itself.
    fn reads_of(&self, id: FrameId, list: ListIx) -> Value {
        let Reads { steps, names, own } = Reads::of(self.workflow(), list);
        let output = |step: &str| self.run.with_parents(id).find_map(|frame| frame.output(step)).cloned();
        let steps = steps.into_iter().filter(|step| !own.contains(step));
        let steps = steps.filter_map(|step| Some((step.to_owned(), output(step)?))).collect();
        let bound = |name: &str| self.run.bound_at(&self.cx.definition.plan, id, name);
        let names = names.into_iter().filter_map(|name| Some((name.to_owned(), bound(name)?))).collect();
        let sorts: [(&str, Object); 2] = [("steps", steps), ("names", names)];
        let reads = sorts.into_iter().filter(|(_, values)| !values.is_empty());
        let reads: Object = reads.map(|(sort, values)| (sort.to_owned(), Value::Object(Arc::new(values)))).collect();
        if reads.is_empty() { Value::Null } else { Value::Object(Arc::new(reads)) }
    }

    /// A step with an `undo` does not begin if it could not be remembered.
    pub(super) fn check_undos(&self, step: &Step) -> Result<(), Failure> {
        let remembered = self.run.head.undos as usize;
        // A frame is at most in every list at once.
        let most = self.run.frames.len() * self.workflow().lists.len();
        if step.undo.is_none() || remembered + most < UNDOS_MAX {
            return Ok(());
        }
        // Those that are under way will be remembered, too.
        let has_undo = |id: &StepId| self.step_named(id).undo.is_some();
        let under_way = |frame: &Frame| {
            let blocks = frame.blocks.iter().filter(|block| matches!(block.role, Role::Body | Role::Case(_)));
            let at = frame.place.step().filter(|_| !matches!(frame.place, Place::At { .. }));
            at.into_iter().chain(blocks.filter_map(|block| block.step.as_ref())).filter(|id| has_undo(id)).count()
        };
        if remembered + self.run.frames.values().map(under_way).sum::<usize>() < UNDOS_MAX {
            return Ok(());
        }
        let message = format!(
            "the run would have more than {UNDOS_MAX} steps to undo: undo several together, or `invoke` a workflow for each \
             part"
        );
        Err(Failure::new("limit.undo", message, Some(&step.id)))
    }

    /// Begins to undo what was done last in the list that `exit` leaves; false if there is nothing, or if it is no error
    /// that leaves it.
    pub(super) fn undo(&mut self, id: FrameId, exit: &Exit) -> bool {
        let frame = self.run.frame(id);
        let kept = frame.blocks.last().map_or(0, |block| block.undone_to);
        let Some(undo) = frame.undos.get(kept..).and_then(<[Undo]>::last) else { return false };
        if exit.failure().is_none() || frame.blocks.is_empty() && self.is_undone_outside(id) {
            return false;
        }
        let (step, iteration) = (undo.step.clone(), undo.iteration.clone());
        let list = self.step_named(&step).undo.expect("only a step with an `undo` is remembered");
        let (role, then) = (Role::Undo, Some(exit.clone()));
        self.emit(id, Fact::Opened { step: Some(step), role, due: None, error: None, then, iteration });
        self.enter_list(id, list);
        true
    }

    /// Whether the error that leaves a branch or iteration fails the whole step: then all that was done in any of its
    /// parts is undone there, in one order.
    fn is_undone_outside(&self, id: FrameId) -> bool {
        let Some(parent) = &self.run.frame(id).parent else { return false };
        match &self.step_named(&parent.step).body {
            Body::Parallel { join, .. } => matches!(join.value, Join::All | Join::Race),
            Body::ForEach(for_each) => !for_each.go_on,
            _ => false,
        }
    }
}

/// What the expressions of a list's steps name.
#[derive(Default)]
struct Reads<'p> {
    /// Steps whose outputs are read.
    steps: BTreeSet<&'p str>,
    /// Other names: those of loops, `error`, and what is the same everywhere.
    names: BTreeSet<&'p str>,
    /// The steps of the list itself.
    own: BTreeSet<&'p str>,
}

impl<'p> Reads<'p> {
    fn of(workflow: &'p Workflow, list: ListIx) -> Self {
        let mut reads = Reads::default();
        let mut lists = vec![list];
        while let Some(list) = lists.pop() {
            for step in &workflow.list(list).steps {
                let step = workflow.step(*step);
                lists.extend(step.lists());
                reads.own.insert(&step.id);
                step.visit_forms(&mut |form| form.exprs().into_iter().for_each(|expr| reads.add(expr)));
            }
        }
        reads
    }

    fn add(&mut self, expr: &'p Expr) {
        for reference in expr.references() {
            match reference.kind {
                ReferenceKind::Step => drop(self.steps.insert(reference.name)),
                ReferenceKind::Root => drop(self.names.insert(reference.name)),
                _ => {}
            }
        }
    }
}
