//! What is certain at each point of a workflow: which steps have run, and what conditions have told.
//!
//! A forward analysis over the graph. Where ways meet, only what holds on all of them is certain, except at the end of
//! a `parallel` that waits for all its branches: there each branch adds what it made certain.

use std::collections::{BTreeMap, VecDeque};

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use super::facts::Facts;
use crate::form::Form;
use crate::graph::{Graph, Point, Way};
use crate::plan::{Body, Join, ListIx, Owner, Role, Step, StepIx, Workflow};

/// The states of one workflow.
#[derive(Debug)]
pub(super) struct Flow {
    /// By node: what holds there; none where no run gets to.
    states: Vec<Option<State>>,
    /// By step: itself and all steps inside it.
    inside: Vec<Steps>,
}

/// What holds at a point.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    /// Steps that have an output, whatever way led here.
    pub(super) surely: Steps,
    /// Steps that have one on some way.
    pub(super) perhaps: Steps,
    /// What conditions have told.
    pub(super) facts: Facts,
    /// Of waits that have ended: by which of their alternatives, as a set of bits. Of others, any.
    pub(super) alternatives: BTreeMap<StepIx, u64>,
}

/// A set of steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    words: Vec<u64>,
}

impl Steps {
    fn none(count: usize) -> Steps {
        Steps { words: vec![0; count.div_ceil(64)] }
    }

    pub(super) fn has(&self, step: StepIx) -> bool {
        self.words.get(step.0 as usize / 64).is_some_and(|word| word & (1 << (step.0 % 64)) != 0)
    }

    fn add(&mut self, step: StepIx) {
        self.words[step.0 as usize / 64] |= 1 << (step.0 % 64);
    }

    fn keep(&mut self, other: &Steps) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    fn unite(&mut self, other: &Steps) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    fn remove(&mut self, other: &Steps) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    fn iter(&self) -> impl Iterator<Item = StepIx> + '_ {
        (0..u32::try_from(self.words.len() * 64).unwrap_or(u32::MAX)).map(StepIx).filter(|step| self.has(*step))
    }
}

impl Flow {
    /// Follows every way through the workflow.
    pub(super) fn of(workflow: &Workflow, graph: &Graph) -> Flow {
        let mut flow = Flow { states: vec![None; graph.points().node_count()], inside: inside(workflow) };
        let none = Steps::none(workflow.steps.len());
        let start = State { surely: none.clone(), perhaps: none, ..State::default() };
        flow.states[graph.entry().index()] = Some(start);
        let mut open: VecDeque<NodeIndex> = graph.points().neighbors(graph.entry()).collect();
        while let Some(node) = open.pop_front() {
            let Some(state) = flow.arrive(workflow, graph, node) else { continue };
            if flow.states[node.index()].as_ref() != Some(&state) {
                flow.states[node.index()] = Some(state);
                open.extend(graph.points().neighbors(node).filter(|next| !open.contains(next)).collect::<Vec<_>>());
            }
        }
        flow
    }

    /// What holds at a node; none if no run gets there.
    pub(super) fn at(&self, node: NodeIndex) -> Option<&State> {
        self.states[node.index()].as_ref()
    }

    /// What holds on arriving at a node, from what holds where the ways to it begin.
    fn arrive(&self, workflow: &Workflow, graph: &Graph, node: NodeIndex) -> Option<State> {
        let point = graph.points()[node];
        let joins_all = match point {
            Point::Done(step) => {
                matches!(&workflow.step(step).body, Body::Parallel { join, .. } if join.value == Join::All)
            }
            _ => false,
        };
        let mut merged: Option<State> = None;
        let mut rejoining = Vec::new();
        for edge in graph.points().edges_directed(node, Direction::Incoming) {
            let Some(state) = self.states[edge.source().index()].as_ref() else { continue };
            if *edge.weight() == Way::Rejoin {
                rejoining.push(state);
                continue;
            }
            let mut state = state.clone();
            self.pass(workflow, graph, edge.source(), point, *edge.weight(), &mut state);
            match &mut merged {
                None => merged = Some(state),
                Some(merged) if joins_all => merged.unite(state),
                Some(merged) => merged.meet(&state),
            }
        }
        let mut state = merged?;
        for finally in rejoining {
            let Point::Leave(step) = point else { continue };
            let mut ran = finally.surely.clone();
            ran.keep(&self.inside[step.0 as usize]);
            state.surely.unite(&ran);
            state.perhaps.unite(&ran);
        }
        self.happen(workflow, point, &mut state);
        Some(state)
    }

    /// What a way tells.
    fn pass(&self, workflow: &Workflow, graph: &Graph, from: NodeIndex, to: Point, way: Way, state: &mut State) {
        let Point::Enter(step) = graph.points()[from] else { return };
        let here = workflow.step(step);
        // A condition that fails has told nothing.
        if matches!(way, Way::Error | Way::Finally) {
            return;
        }
        if let Some(condition) = &here.condition {
            state.facts.add(told(condition, way != Way::Skip));
        }
        if let (Point::Case(_, number), Body::Switch(cases)) = (to, &here.body) {
            for case in &cases[..number as usize] {
                state.facts.add(told(&case.when, false));
            }
            state.facts.add(told(&cases[number as usize].when, true));
        }
    }

    /// What happens at a point.
    fn happen(&self, workflow: &Workflow, point: Point, state: &mut State) {
        match point {
            Point::Enter(ix) => {
                let inside = &self.inside[ix.0 as usize];
                state.surely.remove(inside);
                state.perhaps.remove(inside);
                for step in inside.iter() {
                    state.facts.forget(&format!("steps.{}", workflow.step(step).id));
                    state.alternatives.remove(&step);
                }
                if let Body::ForEach(for_each) = &workflow.step(ix).body {
                    state.facts.forget(&for_each.item.value);
                }
            }
            Point::Case(step, number) => {
                if matches!(workflow.step(step).body, Body::Wait(_)) {
                    // The steps of an alternative read what the wait gave.
                    state.surely.add(step);
                    state.perhaps.add(step);
                    if number < u64::BITS {
                        state.alternatives.insert(step, 1 << number);
                    }
                }
            }
            Point::Done(ix) => {
                let Step { body, .. } = workflow.step(ix);
                if !matches!(body, Body::Finish(_) | Body::Fail { .. }) {
                    state.surely.add(ix);
                    state.perhaps.add(ix);
                }
                if let Body::Set(values) = body {
                    values.iter().for_each(|(name, _)| state.facts.forget(&format!("vars.{}", name.value)));
                }
            }
            Point::Entry | Point::Exit | Point::Leave(_) | Point::Handler(..) => {}
        }
    }
}

impl State {
    /// Keeps what holds here and there.
    fn meet(&mut self, other: &State) {
        self.surely.keep(&other.surely);
        self.perhaps.unite(&other.perhaps);
        self.facts = self.facts.common(&other.facts);
        // A wait that has not ended on the other way says nothing against this one's alternatives.
        for (step, bits) in &other.alternatives {
            *self.alternatives.entry(*step).or_insert(0) |= bits;
        }
    }

    /// Adds what another branch made certain.
    fn unite(&mut self, other: State) {
        self.surely.unite(&other.surely);
        self.perhaps.unite(&other.perhaps);
        self.facts.add(other.facts);
        for (step, bits) in other.alternatives {
            *self.alternatives.entry(step).or_insert(0) |= bits;
        }
    }
}

/// What a condition tells when it is `truth`.
pub(super) fn told(condition: &Form, truth: bool) -> Facts {
    match condition {
        Form::Expr(expr) => Facts::of(expr.term(), truth),
        _ => Facts::default(),
    }
}

/// By step: itself and all steps inside it.
fn inside(workflow: &Workflow) -> Vec<Steps> {
    let count = workflow.steps.len();
    let mut inside = vec![Steps::none(count); count];
    for index in 0..count {
        let step = StepIx(u32::try_from(index).expect("a file has fewer steps than 2^32"));
        inside[index].add(step);
        for outer in around(workflow, workflow.step(step).list) {
            inside[outer.0 as usize].add(step);
        }
    }
    inside
}

/// The steps around a list, the innermost first.
pub(super) fn around(workflow: &Workflow, list: ListIx) -> impl Iterator<Item = StepIx> + '_ {
    let owner = move |list: ListIx| match workflow.list(list).owner {
        Owner::Step(step, _) => Some(step),
        _ => None,
    };
    std::iter::successors(owner(list), move |step| owner(workflow.step(*step).list))
}

/// The conditions that held on the way to a step, as far as they stand around it.
pub(super) fn conditions_around<'w>(workflow: &'w Workflow, step: &'w Step) -> Vec<&'w Form> {
    let mut conditions: Vec<&Form> = step.condition.iter().collect();
    let mut list = step.list;
    for outer in around(workflow, step.list) {
        let outer = workflow.step(outer);
        conditions.extend(&outer.condition);
        if let (Owner::Step(_, Role::Case(number)), Body::Switch(cases)) = (workflow.list(list).owner, &outer.body) {
            conditions.extend(cases.iter().take(number as usize + 1).map(|case| &case.when));
        }
        list = outer.list;
    }
    conditions
}
