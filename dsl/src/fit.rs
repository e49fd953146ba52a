//! Fit: whether a run of one definition may go on in another one. One question, for migration and for retries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use petgraph::graph::NodeIndex;

use crate::expr::ReferenceKind;
use crate::graph::Graph;
use crate::plan::{Body, Owner, Role, Step, StepIx, WaitGuard, Workflow};
use crate::value::Value;

/// Where a run stands, as far as its definition matters.
#[derive(Clone, Debug, Default)]
pub struct Standpoint {
    /// The steps at which its frames stand.
    pub at: BTreeSet<Arc<str>>,
    /// The steps that an error would undo.
    pub undos: BTreeSet<Arc<str>>,
    /// The outputs that it has.
    pub outputs: BTreeMap<Arc<str>, Value>,
    /// Its variables.
    pub vars: BTreeMap<String, Value>,
}

/// Why a run cannot go on in a definition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Misfit {
    /// A step at which it stands, or that it may have to undo, is gone.
    #[error("it stands at `{0}`, which is gone")]
    NoStep(String),
    /// What an error would undo cannot be undone.
    #[error("`{0}` is done, and has no `undo` any more")]
    NoUndo(String),
    /// A step at which it stands is of another kind.
    #[error("it stands at `{step}`, which was `{was}` and is `{is}`")]
    Kind {
        /// The step.
        step: String,
        /// Its kind in the definition of the run.
        was: String,
        /// Its kind in the other one.
        is: String,
    },
    /// A step at which it stands is in another list.
    #[error("it stands at `{0}`, which is in another place")]
    Moved(String),
    /// A step at which it stands has other alternatives or branches.
    #[error("it stands at `{0}`, which has other alternatives")]
    Alternatives(String),
    /// An output is read that the run does not have.
    #[error("`{reader}` reads the output of `{step}`, which the run does not have")]
    NoOutput {
        /// The step whose output it is.
        step: String,
        /// The step that reads it.
        reader: String,
    },
    /// An output that the run has is of another type.
    #[error("`{reader}` reads the output of `{step}`, which is of another type now")]
    Output {
        /// The step whose output it is.
        step: String,
        /// The step that reads it.
        reader: String,
    },
    /// A variable is used that the run does not have.
    #[error("`{reader}` uses the variable `{name}`, which the run does not have")]
    NoVariable {
        /// The variable.
        name: String,
        /// The step that uses it.
        reader: String,
    },
    /// A variable that the run has is of another type.
    #[error("`{reader}` uses the variable `{name}`, which is of another type now")]
    Variable {
        /// The variable.
        name: String,
        /// The step that uses it.
        reader: String,
    },
}

/// Why a run that stands there in `old` cannot go on in `new`; nothing if it can. `fits` says whether an output that the
/// run has is one of the step in `new`.
///
/// It errs on the side of refusing: a step in a branch counts as one that may not have run.
pub fn misfits(
    old: &Workflow,
    new: &Workflow,
    run: &Standpoint,
    fits: &dyn Fn(&Step, &Value) -> bool,
) -> BTreeSet<Misfit> {
    let mut found = BTreeSet::new();
    let mut begins = Vec::new();
    for id in &run.at {
        match (old.find(id), new.find(id)) {
            (Some(was), Some(is)) => {
                found.extend(place(old, was, new, is));
                begins.push(is);
            }
            _ => drop(found.insert(Misfit::NoStep(id.to_string()))),
        }
    }
    for id in &run.undos {
        if new.find(id).is_none_or(|ix| new.step(ix).undo.is_none()) {
            found.insert(Misfit::NoUndo(id.to_string()));
        }
    }
    let graph = Graph::of(new);
    let starts: Vec<NodeIndex> = begins.iter().map(|ix| graph.enter(*ix)).collect();
    let reached = reachable(&graph, &starts, &BTreeSet::new());
    let mut ahead = Ahead { new, graph: &graph, starts: &starts, run, fits, without: BTreeMap::new() };
    for (ix, step) in (0..).map(StepIx).zip(&new.steps) {
        if reached.contains(&graph.enter(ix)) {
            found.extend(ahead.reads(ix, step));
        }
    }
    found
}

/// Whether a step is the same as far as a run that stands at it is concerned.
fn place(old: &Workflow, was: StepIx, new: &Workflow, is: StepIx) -> Option<Misfit> {
    let (was_step, is_step) = (old.step(was), new.step(is));
    let id = was_step.id.to_string();
    if was_step.kind.value != is_step.kind.value {
        let (was, is) = (was_step.kind.value.clone(), is_step.kind.value.clone());
        return Some(Misfit::Kind { step: id, was, is });
    }
    if around(old, was) != around(new, is) {
        return Some(Misfit::Moved(id));
    }
    (parts(was_step) != parts(is_step)).then_some(Misfit::Alternatives(id))
}

/// The steps around a step with what the list is for, innermost first.
fn around(workflow: &Workflow, ix: StepIx) -> Vec<(String, Option<Role>, u32)> {
    let mut around = Vec::new();
    let mut list = workflow.step(ix).list;
    loop {
        match workflow.list(list).owner {
            Owner::Root => return around,
            Owner::RootCatch(case) => {
                around.push((String::new(), None, case));
                return around;
            }
            Owner::RootFinally => {
                around.push((String::new(), Some(Role::Finally), 0));
                return around;
            }
            Owner::Step(step, role) => {
                let step = workflow.step(step);
                around.push((step.id.to_string(), Some(role), 0));
                list = step.list;
            }
        }
    }
}

/// What a step waits for, or what it branches into, by number.
fn parts(step: &Step) -> Vec<String> {
    match &step.body {
        Body::Wait(alternatives) => alternatives
            .iter()
            .map(|alternative| match &alternative.guard {
                WaitGuard::Event(event) => event.event.value.clone(),
                WaitGuard::After(_) | WaitGuard::Until(_) => String::new(),
            })
            .collect(),
        Body::Parallel { branches, .. } => branches.iter().map(|(name, _)| name.value.clone()).collect(),
        _ => Vec::new(),
    }
}

/// What lies ahead of a run.
struct Ahead<'a> {
    new: &'a Workflow,
    graph: &'a Graph,
    starts: &'a [NodeIndex],
    run: &'a Standpoint,
    fits: &'a dyn Fn(&Step, &Value) -> bool,
    /// By step: what the run, and what any run, reaches without having its output.
    without: BTreeMap<StepIx, [BTreeSet<NodeIndex>; 2]>,
}

impl Ahead<'_> {
    /// What a step reads that the run does not have.
    fn reads(&mut self, reader: StepIx, step: &Step) -> Vec<Misfit> {
        let mut forms = Vec::new();
        step.visit_forms(&mut |form| forms.push(form));
        let exprs: Vec<_> = forms.into_iter().flat_map(|form| form.exprs()).collect();
        let mut found = Vec::new();
        for reference in exprs.iter().flat_map(|expr| expr.references()) {
            let name = reference.name;
            found.extend(match reference.kind {
                ReferenceKind::Step => self.output(reader, step, name),
                ReferenceKind::Var => self.variable(step, name),
                _ => None,
            });
        }
        found
    }

    fn output(&mut self, reader: StepIx, step: &Step, name: &str) -> Option<Misfit> {
        let read = self.new.find(name)?;
        let (name, by) = (name.to_owned(), step.id.to_string());
        let at = self.graph.enter(reader);
        let [by_the_run, by_any] = self.without(read);
        if !by_the_run.contains(&at) {
            return None; // it will have run
        }
        let may_be_missing = by_any.contains(&at);
        match self.run.outputs.get(name.as_str()) {
            Some(value) if (self.fits)(self.new.step(read), value) => None,
            Some(_) => Some(Misfit::Output { step: name, reader: by }),
            // Whoever wrote it had to think of that.
            None if may_be_missing => None,
            None => Some(Misfit::NoOutput { step: name, reader: by }),
        }
    }

    fn variable(&self, step: &Step, name: &str) -> Option<Misfit> {
        let declared = self.new.vars.get(name)?;
        let (name, reader) = (name.to_owned(), step.id.to_string());
        let Some(value) = self.run.vars.get(&name) else { return Some(Misfit::NoVariable { name, reader }) };
        let is_same = match (&declared.ty, declared.value.literal()) {
            (Some(ty), _) => ty.accept(&value.to_json()).is_ok(),
            (None, Some(first)) => first.type_name() == value.type_name(),
            (None, None) => true,
        };
        (!is_same).then_some(Misfit::Variable { name, reader })
    }

    fn without(&mut self, step: StepIx) -> &[BTreeSet<NodeIndex>; 2] {
        let Ahead { new, graph, starts, .. } = *self;
        self.without.entry(step).or_insert_with(|| {
            let done = BTreeSet::from([graph.done(step)]);
            // What is behind a `parallel` has all its branches, though each way leads through one of them only.
            let mut list = new.step(step).list;
            let mut all = done.clone();
            while let Owner::Step(owner, role) = new.list(list).owner {
                if matches!(role, Role::Branch(_)) {
                    all.insert(graph.done(owner));
                }
                list = new.step(owner).list;
            }
            [reachable(graph, starts, &done), reachable(graph, &[graph.entry()], &all)]
        })
    }
}

/// The points that are reached from some without passing others.
fn reachable(graph: &Graph, from: &[NodeIndex], not: &BTreeSet<NodeIndex>) -> BTreeSet<NodeIndex> {
    let mut reached = BTreeSet::new();
    let mut open = from.to_vec();
    while let Some(node) = open.pop() {
        if !not.contains(&node) && reached.insert(node) {
            open.extend(graph.points().neighbors(node));
        }
    }
    reached
}

#[cfg(test)]
mod tests;
