//! What the runs of all cases took: steps, cases of `switch` and `wait`, handlers.

use std::collections::{BTreeMap, BTreeSet};

use wf_dsl::{Body, Handler, ListIx, Span, Step, StepIx, Workflow};

use crate::ids::{FrameId, RunId};
use crate::run::{Fact, Record, Role, matching};

/// Something that a run can take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Step(String),
    /// A case of a step, from 0.
    Case(String, usize),
    /// A handler of a step, or of the workflow, from 0.
    Handler(Option<String>, usize),
}

/// What was taken, by workflow.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    items: BTreeSet<(String, Item)>,
    /// Steps with cases that have been entered and no case of which has been opened.
    choosing: BTreeMap<(RunId, FrameId), String>,
    /// Those that ended so: what follows says which case it was.
    chosen: BTreeMap<(RunId, FrameId), String>,
    /// The step that was entered last had not been taken before; its `if` may still be false.
    first: bool,
}

/// How much the cases of a project take of its workflows.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Steps, cases and handlers that were taken.
    pub taken: usize,
    /// How many there are in the workflows that tests start or come to.
    pub total: usize,
    /// Those that no test took, in the order of their files.
    pub missed: Vec<Missed>,
}

/// A part of a workflow that no test took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The workflow.
    pub workflow: String,
    /// Such as "step `remind`", or "case 2 of `deliver`".
    pub what: String,
    /// Its place.
    pub span: Span,
}

impl Taken {
    pub(super) fn append(&mut self, other: Taken) {
        self.items.extend(other.items);
    }

    pub(super) fn see(&mut self, workflow: &Workflow, run: RunId, record: &Record) {
        let name = &workflow.name.value;
        let place = (run, record.frame);
        match &record.fact {
            Fact::Entered { step, .. } => {
                self.chose(workflow, place, Some(step));
                self.first = self.take(name, Item::Step(step.to_string()));
                let cases = workflow.find(step).map(|ix| cases(workflow.step(ix)).len());
                if cases.is_some_and(|cases| cases > 0) {
                    self.choosing.insert(place, step.to_string());
                }
            }
            Fact::Skipped { step } => {
                if self.first {
                    self.items.remove(&(name.clone(), Item::Step(step.to_string())));
                }
                self.choosing.remove(&place);
            }
            Fact::Opened { step: Some(step), role: Role::Case(index), .. } => {
                self.choosing.remove(&place);
                self.take(name, Item::Case(step.to_string(), *index as usize));
            }
            Fact::Opened { step: None, role: Role::Catch(index), .. } => {
                self.take(name, Item::Handler(None, *index as usize));
            }
            Fact::Finished { step, .. } if self.choosing.get(&place).is_some_and(|chosen| **chosen == **step) => {
                self.choosing.remove(&place);
                self.chosen.insert(place, step.to_string());
            }
            Fact::Failed { step, failure } => {
                let catch = workflow.find(step).map(|ix| &workflow.step(ix).catch[..]).unwrap_or_default();
                if let Some((index, _)) = matching(catch, &failure.code) {
                    self.take(name, Item::Handler(Some(step.to_string()), index as usize));
                }
            }
            Fact::RunEnded { .. } | Fact::Ended { .. } | Fact::Closed => self.chose(workflow, place, None),
            _ => {}
        }
    }

    /// Whether it had not been taken before.
    fn take(&mut self, workflow: &str, item: Item) -> bool {
        self.items.insert((workflow.to_owned(), item))
    }

    /// A case without steps leaves no trace but where the run went on.
    fn chose(&mut self, workflow: &Workflow, place: (RunId, FrameId), next: Option<&str>) {
        let Some(step) = self.chosen.remove(&place) else { return };
        let Some(ix) = workflow.find(&step) else { return };
        let cases = cases(workflow.step(ix));
        let next = next.and_then(|next| workflow.find(next));
        let leads = |case: &CaseOf| case.next.is_some() && case.next == next;
        let by_jump = cases.iter().any(|case| !case.has_steps && leads(case));
        for case in cases.iter().filter(|case| !case.has_steps && (leads(case) || !by_jump && case.next.is_none())) {
            self.items.insert((workflow.name.value.clone(), Item::Case(step.clone(), case.index)));
        }
    }
}

impl Coverage {
    pub(super) fn of<'w>(taken: &Taken, workflows: impl Iterator<Item = &'w Workflow>) -> Coverage {
        let mut coverage = Coverage::default();
        for workflow in workflows {
            for (item, span) in items(workflow) {
                coverage.total += 1;
                let entry = (workflow.name.value.clone(), item);
                if taken.items.contains(&entry) {
                    coverage.taken += 1;
                } else {
                    let (workflow, item) = entry;
                    coverage.missed.push(Missed { workflow, what: item.phrase(), span });
                }
            }
        }
        coverage.missed.sort_by_key(|missed| (missed.span.file, missed.span.start));
        coverage
    }
}

impl Item {
    fn phrase(&self) -> String {
        match self {
            Item::Step(step) => format!("step `{step}`"),
            Item::Case(step, index) => format!("case {} of `{step}`", index + 1),
            Item::Handler(Some(step), index) => format!("handler {} of `{step}`", index + 1),
            Item::Handler(None, index) => format!("handler {} of the workflow", index + 1),
        }
    }
}

fn items(workflow: &Workflow) -> Vec<(Item, Span)> {
    let mut items = Vec::new();
    for step in &workflow.steps {
        let id = || step.id.to_string();
        items.push((Item::Step(id()), step.id_span));
        items.extend(cases(step).into_iter().map(|case| (Item::Case(id(), case.index), case.span)));
        let handlers = step.catch.iter().enumerate();
        items.extend(handlers.map(|(index, handler)| (Item::Handler(Some(id()), index), handler.span)));
    }
    // A handler of the workflow that does nothing leaves no trace.
    let handlers = workflow.catch.iter().enumerate().filter(|(_, handler): &(usize, &Handler)| handler.steps.is_some());
    items.extend(handlers.map(|(index, handler)| (Item::Handler(None, index), handler.span)));
    items
}

/// A case of a step.
struct CaseOf {
    index: usize,
    has_steps: bool,
    next: Option<StepIx>,
    span: Span,
}

fn cases(step: &Step) -> Vec<CaseOf> {
    let case = |(index, (steps, next, span)): (usize, (Option<ListIx>, Option<StepIx>, Span))| CaseOf {
        index,
        has_steps: steps.is_some(),
        next,
        span,
    };
    match &step.body {
        Body::Switch(cases) => {
            let parts = cases.iter().map(|case| (case.steps, case.next.as_ref().map(|next| next.value), case.span));
            parts.enumerate().map(case).collect()
        }
        Body::Wait(cases) => {
            let parts = cases.iter().map(|case| (case.steps, case.next.as_ref().map(|next| next.value), case.span));
            parts.enumerate().map(case).collect()
        }
        _ => Vec::new(),
    }
}
