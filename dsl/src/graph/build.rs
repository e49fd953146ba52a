//! From a workflow to its graph.

use petgraph::graph::{DiGraph, NodeIndex};

use super::{Graph, Point, Way};
use crate::form::Form;
use crate::plan::{Body, Handler, Join, ListIx, Owner, Role, Step, StepIx, WaitGuard, Workflow};
use crate::source::Spanned;
use crate::value::Value;

/// Where a run goes on, and how it gets there.
type After = (NodeIndex, Way);

pub(super) fn graph(workflow: &Workflow) -> Graph {
    let mut points = DiGraph::new();
    let entry = points.add_node(Point::Entry);
    let exit = points.add_node(Point::Exit);
    let steps = (0..workflow.steps.len())
        .map(|index| {
            let step = StepIx(u32::try_from(index).expect("a file has fewer steps than 2^32"));
            [Point::Enter(step), Point::Done(step), Point::Leave(step)].map(|point| points.add_node(point))
        })
        .collect();
    let root_handlers = (0..).zip(&workflow.catch).map(|(case, _)| points.add_node(Point::Handler(None, case)));
    let root_handlers = root_handlers.collect();
    let graph = Graph { points, entry, exit, steps };
    let mut builder = Builder { workflow, graph, handlers: vec![Vec::new(); workflow.steps.len()], root_handlers };
    builder.build();
    builder.graph
}

struct Builder<'w> {
    workflow: &'w Workflow,
    graph: Graph,
    /// The nodes of each step's `catch` cases.
    handlers: Vec<Vec<NodeIndex>>,
    root_handlers: Vec<NodeIndex>,
}

impl Builder<'_> {
    fn build(&mut self) {
        for (index, step) in self.workflow.steps.iter().enumerate() {
            let step_ix = StepIx(u32::try_from(index).expect("a file has fewer steps than 2^32"));
            let cases = (0..).zip(&step.catch).map(|(case, _)| Point::Handler(Some(step_ix), case));
            self.handlers[index] = cases.map(|point| self.graph.points.add_node(point)).collect();
        }
        let (entry, exit) = (self.graph.entry, self.graph.exit);
        self.list(Workflow::ROOT, entry, Way::Sequence, (exit, Way::Sequence));
        self.handlers_to(&self.workflow.catch, self.root_handlers.clone(), None, exit);
        self.workflow_timeout();
        if let Some(finally) = self.workflow.finally {
            self.list(finally, entry, Way::Finally, (exit, Way::Sequence));
            let start = self.start(finally);
            for node in [exit].into_iter().chain(self.root_handlers.clone()) {
                self.connect(node, start, Way::Finally);
            }
        }
    }

    /// Connects every step with the workflow's handlers if the workflow has a timeout: no `catch` in between sees it.
    fn workflow_timeout(&mut self) {
        if self.workflow.timeout.is_none() {
            return;
        }
        for index in 0..self.workflow.steps.len() {
            let mut list = self.workflow.steps[index].list;
            while let Owner::Step(owner, _) = self.workflow.list(list).owner {
                list = self.workflow.step(owner).list;
            }
            if self.workflow.list(list).owner == Owner::Root {
                let [enter, ..] = self.graph.steps[index];
                for handler in self.root_handlers.clone() {
                    self.connect(enter, handler, Way::Error);
                }
            }
        }
    }

    /// Connects the steps of a list, what comes before it and what follows it.
    fn list(&mut self, list: ListIx, from: NodeIndex, way: Way, after: After) {
        let steps = &self.workflow.list(list).steps;
        let first = steps.first().map_or(after.0, |first| self.graph.enter(*first));
        self.connect(from, first, way);
        for (place, step) in steps.iter().enumerate() {
            let next = steps.get(place + 1).map(|next| (self.graph.enter(*next), Way::Sequence));
            self.step(*step, next.unwrap_or(after));
        }
    }

    fn step(&mut self, ix: StepIx, after: After) {
        let step = self.workflow.step(ix);
        let [enter, done, leave] = self.graph.steps[ix.0 as usize];
        if step.condition.is_some() {
            self.connect(enter, after.0, Way::Skip);
        }
        match &step.next {
            Some(target) => self.jump(step.list, leave, target.value),
            None => self.connect(leave, after.0, after.1),
        }
        self.body(ix, step);
        self.connect(done, leave, Way::Sequence);
        self.handlers_to(&step.catch, self.handlers[ix.0 as usize].clone(), Some(step.list), leave);
        if let Some(undo) = step.undo {
            let exit = self.graph.exit;
            self.list(undo, done, Way::Undo, (exit, Way::Sequence));
        }
        if let Some(finally) = step.finally {
            self.finally(ix, finally);
        }
        self.fail(ix);
    }

    fn body(&mut self, ix: StepIx, step: &Step) {
        let [enter, done, _] = self.graph.steps[ix.0 as usize];
        match &step.body {
            Body::Effect(_)
            | Body::SendEvent { .. }
            | Body::Invoke { .. }
            | Body::Set(_)
            | Body::Sleep(_)
            | Body::SleepUntil { .. } => self.connect(enter, done, Way::Sequence),
            Body::Fail { .. } => {
                if !self.handled(ix) {
                    self.connect(enter, self.graph.exit, Way::Error);
                }
            }
            Body::Finish(_) => {
                self.connect(enter, self.graph.exit, Way::Sequence);
                self.run_finallies(step.list, None, enter);
            }
            Body::Do(list) => self.list(*list, enter, Way::Sequence, (done, Way::Sequence)),
            Body::Switch(cases) => {
                let mut covered = false;
                for (number, case) in (0..).zip(cases) {
                    let node = self.graph.points.add_node(Point::Case(ix, number));
                    // What stands behind the default case is never tried.
                    if !covered {
                        self.connect(enter, node, Way::Case);
                    }
                    covered |= matches!(case.when, Form::Literal(Value::Bool(true), _));
                    self.case(node, case.steps, case.next.as_ref(), step.list, done);
                }
            }
            Body::Wait(alternatives) => {
                for (number, alternative) in (0..).zip(alternatives) {
                    let node = self.graph.points.add_node(Point::Case(ix, number));
                    match alternative.guard {
                        WaitGuard::Event(_) => self.connect(enter, node, Way::Event),
                        WaitGuard::After(Some(_)) | WaitGuard::Until(_) => self.connect(enter, node, Way::Timer),
                        // `forever` never comes.
                        WaitGuard::After(None) => {}
                    }
                    self.case(node, alternative.steps, alternative.next.as_ref(), step.list, done);
                }
            }
            Body::Parallel { branches, .. } => {
                for (_, branch) in branches {
                    self.list(*branch, enter, Way::Fork, (done, Way::Join));
                }
            }
            Body::ForEach(for_each) => {
                self.list(for_each.steps, enter, Way::Fork, (done, Way::Join));
                // The list may be empty.
                self.connect(enter, done, Way::Join);
            }
        }
    }

    /// Connects what a case does with what follows it. `list` is where the case's step stands.
    fn case(
        &mut self,
        node: NodeIndex,
        steps: Option<ListIx>,
        next: Option<&Spanned<StepIx>>,
        list: ListIx,
        done: NodeIndex,
    ) {
        let after = match next {
            Some(target) => (self.graph.enter(target.value), Way::Next),
            None => (done, Way::Sequence),
        };
        match steps {
            Some(steps) => self.list(steps, node, Way::Sequence, after),
            None => self.connect(node, after.0, after.1),
        }
        if let Some(target) = next {
            self.run_finallies(list, Some(self.workflow.step(target.value).list), node);
        }
    }

    /// Connects the cases of a `catch` with what follows its owner, which stands in `list`.
    fn handlers_to(&mut self, handlers: &[Handler], nodes: Vec<NodeIndex>, list: Option<ListIx>, after: NodeIndex) {
        for (handler, node) in handlers.iter().zip(nodes) {
            self.case(node, handler.steps, handler.next.as_ref(), list.unwrap_or(Workflow::ROOT), after);
        }
    }

    /// A `finally` begins wherever its block ends, and ends where the block is left.
    fn finally(&mut self, ix: StepIx, finally: ListIx) {
        let [enter, done, leave] = self.graph.steps[ix.0 as usize];
        let exit = self.graph.exit;
        self.list(finally, done, Way::Finally, (exit, Way::Sequence));
        let start = self.start(finally);
        for node in std::iter::once(enter).chain(self.handlers[ix.0 as usize].clone()) {
            self.connect(node, start, Way::Finally);
        }
        if let Some(last) = self.workflow.list(finally).steps.last() {
            self.connect(self.graph.leave(*last), leave, Way::Rejoin);
        }
    }

    /// A jump to a step, which runs the `finally` of every block that it leaves.
    fn jump(&mut self, list: ListIx, from: NodeIndex, target: StepIx) {
        self.connect(from, self.graph.enter(target), Way::Next);
        self.run_finallies(list, Some(self.workflow.step(target).list), from);
    }

    /// Connects with the `finally` of every block around `list`, out to `target`.
    fn run_finallies(&mut self, mut list: ListIx, target: Option<ListIx>, from: NodeIndex) {
        while Some(list) != target
            && let Owner::Step(owner, role) = self.workflow.list(list).owner
        {
            self.run_finally(owner, role, from);
            list = self.workflow.step(owner).list;
        }
    }

    fn run_finally(&mut self, owner: StepIx, role: Role, from: NodeIndex) {
        if let (Some(finally), true) = (self.workflow.step(owner).finally, role != Role::Finally) {
            let start = self.start(finally);
            self.connect(from, start, Way::Finally);
        }
    }

    /// Connects a step's beginning with everything that may take its failure.
    fn fail(&mut self, ix: StepIx) {
        let from = self.graph.enter(ix);
        if self.caught(ix, from) {
            return;
        }
        let mut list = self.workflow.step(ix).list;
        loop {
            match self.workflow.list(list).owner {
                Owner::Step(owner, role) => {
                    if self.absorbed(owner, role, from) || (!is_handler(role) && self.caught(owner, from)) {
                        return;
                    }
                    self.run_finally(owner, role, from);
                    list = self.workflow.step(owner).list;
                }
                Owner::Root => {
                    for handler in self.root_handlers.clone() {
                        self.connect(from, handler, Way::Error);
                    }
                    return;
                }
                Owner::RootCatch(_) | Owner::RootFinally => return,
            }
        }
    }

    /// Connects with the handlers of a step; whether they take every error.
    fn caught(&mut self, step: StepIx, from: NodeIndex) -> bool {
        for handler in self.handlers[step.0 as usize].clone() {
            self.connect(from, handler, Way::Error);
        }
        catches_all(&self.workflow.step(step).catch)
    }

    /// Connects with the end of a loop or a parallel that outlives the failure; whether it always does.
    fn absorbed(&mut self, owner: StepIx, role: Role, from: NodeIndex) -> bool {
        let body = &self.workflow.step(owner).body;
        if !outlives(body, role) {
            return false;
        }
        match body {
            Body::ForEach(for_each) => {
                self.connect(from, self.graph.done(owner), Way::Error);
                for_each.max_failures.is_none()
            }
            Body::Parallel { join, .. } => {
                self.connect(from, self.graph.done(owner), Way::Error);
                join.value == Join::Settled
            }
            _ => true,
        }
    }

    /// Whether something in the workflow takes every failure of a step.
    fn handled(&self, ix: StepIx) -> bool {
        let mut list = self.workflow.step(ix).list;
        if catches_all(&self.workflow.step(ix).catch) {
            return true;
        }
        loop {
            match self.workflow.list(list).owner {
                Owner::Step(owner, role) => {
                    let owner = self.workflow.step(owner);
                    if outlives(&owner.body, role) || (!is_handler(role) && catches_all(&owner.catch)) {
                        return true;
                    }
                    list = owner.list;
                }
                Owner::Root => return catches_all(&self.workflow.catch),
                Owner::RootCatch(_) | Owner::RootFinally => return false,
            }
        }
    }

    fn start(&self, list: ListIx) -> Option<NodeIndex> {
        self.workflow.list(list).steps.first().map(|first| self.graph.enter(*first))
    }

    fn connect(&mut self, from: NodeIndex, to: impl Into<Option<NodeIndex>>, way: Way) {
        let Some(to) = to.into() else { return };
        if !self.graph.points.edges_connecting(from, to).any(|edge| *edge.weight() == way) {
            self.graph.points.add_edge(from, to, way);
        }
    }
}

/// Whether a list of this role runs after its step has failed, so that the step's own `catch` does not take its errors.
fn is_handler(role: Role) -> bool {
    matches!(role, Role::Catch(_) | Role::Finally | Role::Undo)
}

/// Whether a step goes on when something in a list of this role fails.
fn outlives(body: &Body, role: Role) -> bool {
    match (body, role) {
        (Body::ForEach(for_each), Role::Body) => for_each.go_on,
        (Body::Parallel { join, .. }, Role::Branch(_)) => join.value != Join::All,
        // An `undo` that fails is recorded, and the others go on.
        (_, Role::Undo) => true,
        _ => false,
    }
}

fn catches_all(handlers: &[Handler]) -> bool {
    handlers.iter().any(|handler| handler.errors.iter().any(|code| code.value == "*"))
}
