//! The ways a run can take through a workflow.
//!
//! Each step has three points: a run *enters* it, it is *done* (it gave an output), and the run *leaves* it (also
//! when a `catch` dealt with its failure). Between the first two stands what is inside it. Any step may fail, so
//! each has an edge to the handlers that may take its error; what leaves the workflow as an error has no edge.

mod build;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{EdgeFiltered, EdgeRef, IntoNodeReferences};

use crate::plan::{StepIx, Workflow};

/// The graph of one workflow.
#[derive(Clone, Debug)]
pub struct Graph {
    points: DiGraph<Point, Way>,
    entry: NodeIndex,
    exit: NodeIndex,
    /// By step: its enter, done and leave points.
    steps: Vec<[NodeIndex; 3]>,
}

/// A point that a run passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// The run begins.
    Entry,
    /// The run ends: at the end of the top list, or with `finish` or `fail`.
    Exit,
    /// A step is entered; its `if` and its body are evaluated.
    Enter(StepIx),
    /// A step has its output.
    Done(StepIx),
    /// What follows a step begins.
    Leave(StepIx),
    /// A case of `switch` or an alternative of `wait` is taken.
    Case(StepIx, u32),
    /// A case of a step's `catch`, or of the workflow's, is taken.
    Handler(Option<StepIx>, u32),
}

/// How a run gets from one point to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// One thing after the other.
    Sequence,
    /// `if` was false.
    Skip,
    /// A case of `switch`.
    Case,
    /// An alternative of `wait` with an event.
    Event,
    /// An alternative of `wait` with a time.
    Timer,
    /// `next`
    Next,
    /// Into a branch or an iteration.
    Fork,
    /// Out of it.
    Join,
    /// A failure, to where it is handled.
    Error,
    /// Into a `finally`.
    Finally,
    /// From the end of a `finally` to what follows its block. No run is here that is not at the block's end too,
    /// so this is no way of its own.
    Rejoin,
    /// Into an `undo`.
    Undo,
}

impl Graph {
    /// The graph of a workflow.
    pub fn of(workflow: &Workflow) -> Graph {
        build::graph(workflow)
    }

    /// Where every run begins.
    pub fn entry(&self) -> NodeIndex {
        self.entry
    }

    /// Where every run ends.
    pub fn exit(&self) -> NodeIndex {
        self.exit
    }

    /// Where a step is entered.
    pub fn enter(&self, step: StepIx) -> NodeIndex {
        self.steps[step.0 as usize][0]
    }

    /// Where a step is done.
    pub fn done(&self, step: StepIx) -> NodeIndex {
        self.steps[step.0 as usize][1]
    }

    /// Where a step is left.
    pub fn leave(&self, step: StepIx) -> NodeIndex {
        self.steps[step.0 as usize][2]
    }

    /// All points and the ways between them.
    pub fn points(&self) -> &DiGraph<Point, Way> {
        &self.points
    }

    /// The node of a point; none if the workflow has no such point.
    pub fn node(&self, point: Point) -> Option<NodeIndex> {
        self.points.node_references().find(|(_, other)| **other == point).map(|(node, _)| node)
    }

    /// Whether a run can get to each node, by the node's index.
    pub fn reachable(&self) -> Vec<bool> {
        let ways = EdgeFiltered::from_fn(&self.points, |edge| *edge.weight() != Way::Rejoin);
        let mut seen = vec![false; self.points.node_count()];
        let mut search = petgraph::visit::Dfs::new(&ways, self.entry);
        while let Some(node) = search.next(&ways) {
            seen[node.index()] = true;
        }
        seen
    }

    /// Whether a run can get from each node to its end, by the node's index. A failure that nobody handles is no end
    /// that counts here, and neither is the way through a `finally` or an `undo`.
    pub fn ending(&self) -> Vec<bool> {
        let mut seen = vec![false; self.points.node_count()];
        let mut open = vec![self.exit];
        while let Some(node) = open.pop() {
            if std::mem::replace(&mut seen[node.index()], true) {
                continue;
            }
            let into = self.points.edges_directed(node, petgraph::Direction::Incoming);
            let counts = |way: Way| !matches!(way, Way::Finally | Way::Rejoin | Way::Undo);
            open.extend(into.filter(|edge| counts(*edge.weight())).map(|edge| edge.source()));
        }
        seen
    }
}
