//! `wf::endless_invoke`: workflows that invoke each other without a pause.

use petgraph::graph::{DiGraph, NodeIndex};

use super::{Context, busy_cycle};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::plan::Body;
use crate::project::Project;
use crate::source::Span;

/// An `invoke` that a run comes to without having slept or waited.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The invoked workflow.
    name: String,
    span: Span,
}

/// The calls of a workflow that no pause comes before.
pub(super) fn calls(cx: &Context<'_>) -> Vec<Call> {
    let busy = busy_cycle::busy_from_start(cx);
    let calls = cx.steps().filter_map(|(ix, step)| match &step.body {
        Body::Invoke { workflow, .. } if busy.contains(&cx.graph.enter(ix)) => {
            Some(Call { name: workflow.value.clone(), span: workflow.span })
        }
        _ => None,
    });
    calls.collect()
}

/// Reports each ring of workflows once, at its first call. `calls` are those of the workflows in their order.
pub(super) fn check<'c>(project: &Project, calls: impl Iterator<Item = &'c [Call]>, found: &mut Findings) {
    let mut graph: DiGraph<usize, &Call> = DiGraph::new();
    let nodes: Vec<NodeIndex> = (0..project.workflows.len()).map(|index| graph.add_node(index)).collect();
    let named = |name: &str| project.workflows.iter().position(|workflow| workflow.name.value == name);
    for (from, calls) in calls.enumerate() {
        for call in calls {
            if let Some(to) = named(&call.name) {
                graph.add_edge(nodes[from], nodes[to], call);
            }
        }
    }
    let mut rings: Vec<Vec<NodeIndex>> = petgraph::algo::tarjan_scc(&graph);
    rings.iter_mut().for_each(|ring| ring.sort());
    rings.sort();
    for ring in rings {
        let first = ring[0];
        let Some(path) = back_to(&graph, first, &ring) else { continue };
        let names: Vec<&str> = path.iter().map(|call| call.name.as_str()).collect();
        let start = &project.workflows[graph[first]].name.value;
        let message = format!("this goes on without end or pause: {start} → {}", names.join(" → "));
        let mut diagnostic = Diagnostic::error(Code::ENDLESS_INVOKE, path[0].span, message);
        for call in &path[1..] {
            diagnostic = diagnostic.related(call.span, format!("which invokes `{}`", call.name));
        }
        found.push(diagnostic.help("put a `sleep` or a `wait` before it, or make a loop with `next` of it"));
    }
}

/// The calls on the shortest way from a workflow back to itself within its ring; none if there is none.
fn back_to<'c>(graph: &DiGraph<usize, &'c Call>, first: NodeIndex, ring: &[NodeIndex]) -> Option<Vec<&'c Call>> {
    let mut ways: std::collections::VecDeque<(NodeIndex, Vec<&Call>)> = [(first, Vec::new())].into();
    let mut seen = std::collections::HashSet::new();
    while let Some((node, way)) = ways.pop_front() {
        let mut edges: Vec<_> = {
            use petgraph::visit::EdgeRef;
            graph.edges(node).map(|edge| (edge.target(), *edge.weight())).collect()
        };
        edges.sort_by_key(|(_, call)| call.span.start);
        for (next, call) in edges {
            let mut way = way.clone();
            way.push(call);
            if next == first {
                return Some(way);
            }
            if ring.contains(&next) && seen.insert(next) {
                ways.push_back((next, way));
            }
        }
    }
    None
}
