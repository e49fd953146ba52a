//! `wf::busy_cycle`: a loop that never sleeps or waits.

use std::collections::{HashMap, HashSet, VecDeque};

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{EdgeFiltered, EdgeRef};

use super::Context;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::graph::{Point, Way};
use crate::plan::{Body, Join, Step, StepIx};
use crate::source::Span;

/// Reports each loop without a pause, where it jumps back.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    for cycle in cycles(cx) {
        let ids: Vec<&str> = cycle.iter().chain(cycle.first()).map(|step| &*cx.workflow.step(*step).id).collect();
        let (span, from) = jump_back(cx, &cycle);
        let message = format!("this loop never sleeps or waits: {}", ids.join(" → "));
        found.push(
            Diagnostic::error(Code::BUSY_CYCLE, span, message)
                .label(format!("`{}` jumps back here without a pause", cx.workflow.step(from).id))
                .help("put a `sleep` or a `wait` on the way back"),
        );
    }
}

/// The steps of each loop without a pause, in the order in which they run, from the first in the file on.
pub(super) fn cycles(cx: &Context<'_>) -> Vec<Vec<StepIx>> {
    let points = cx.graph.points();
    let parked = parked_joins(cx);
    let busy = EdgeFiltered::from_fn(points, |edge| {
        cx.reaches(edge.source()) && goes_on(cx, edge.source(), *edge.weight()) && !parked.contains(&edge.target())
            || parked.contains(&edge.target())
                && *edge.weight() != Way::Join
                && goes_on(cx, edge.source(), *edge.weight())
    });
    let mut found = Vec::new();
    for component in petgraph::algo::tarjan_scc(&busy) {
        let inside: HashSet<NodeIndex> = component.iter().copied().collect();
        let first = component.iter().filter_map(|node| match points[*node] {
            Point::Enter(step) => Some(step),
            _ => None,
        });
        let Some(first) = first.min() else { continue };
        if component.len() == 1 {
            continue;
        }
        found.push(shortest(cx, points, first, &inside));
    }
    found.sort_by_key(|cycle| cycle.first().copied());
    found
}

/// The nodes that a run comes to before it has slept or waited for the first time.
pub(super) fn busy_from_start(cx: &Context<'_>) -> HashSet<NodeIndex> {
    let parked = parked_joins(cx);
    let mut seen = HashSet::new();
    let mut open = vec![cx.graph.entry()];
    while let Some(node) = open.pop() {
        if seen.contains(&node) || parked.contains(&node) {
            continue;
        }
        seen.insert(node);
        let out = cx.graph.points().edges_directed(node, Direction::Outgoing);
        open.extend(out.filter(|edge| goes_on(cx, node, *edge.weight())).map(|edge| edge.target()));
    }
    seen
}

/// Whether a run takes this way out of a node without having slept or waited.
fn goes_on(cx: &Context<'_>, node: NodeIndex, way: Way) -> bool {
    if matches!(way, Way::Rejoin | Way::Undo | Way::Finally) {
        return false;
    }
    match cx.graph.points()[node] {
        Point::Enter(step) => way == Way::Skip || !parks(&cx.workflow.step(step).body),
        _ => true,
    }
}

fn parks(body: &Body) -> bool {
    matches!(body, Body::Sleep(_) | Body::SleepUntil { .. } | Body::Wait(_))
}

/// Where a `parallel` ends that waits for all its branches, one of which sleeps or waits on every way through it.
fn parked_joins(cx: &Context<'_>) -> HashSet<NodeIndex> {
    let mut parked = HashSet::new();
    // The inner ones come later in the file, and are needed for the outer ones.
    for (index, step) in cx.workflow.steps.iter().enumerate().rev() {
        let Body::Parallel { branches, join } = &step.body else { continue };
        if !matches!(join.value, Join::All | Join::Settled) {
            continue;
        }
        let done = cx.graph.done(StepIx(u32::try_from(index).unwrap_or(u32::MAX)));
        let ends_busy = |list| {
            let first: Option<&StepIx> = cx.workflow.list(list).steps.first();
            first.is_none_or(|first| comes_to(cx, cx.graph.enter(*first), done, &parked))
        };
        if branches.iter().any(|(_, list)| !ends_busy(*list)) {
            parked.insert(done);
        }
    }
    parked
}

/// Whether a run gets from a node to another without a pause.
fn comes_to(cx: &Context<'_>, from: NodeIndex, to: NodeIndex, parked: &HashSet<NodeIndex>) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![from];
    while let Some(node) = open.pop() {
        if node == to {
            return true;
        }
        if !seen.insert(node) || parked.contains(&node) {
            continue;
        }
        let out = cx.graph.points().edges_directed(node, Direction::Outgoing);
        open.extend(out.filter(|edge| goes_on(cx, node, *edge.weight())).map(|edge| edge.target()));
    }
    false
}

/// The shortest way from a step back to itself, as the steps on it.
fn shortest(cx: &Context<'_>, points: &DiGraph<Point, Way>, first: StepIx, inside: &HashSet<NodeIndex>) -> Vec<StepIx> {
    let start = cx.graph.enter(first);
    let mut before: HashMap<NodeIndex, NodeIndex> = HashMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(node) = open.pop_front() {
        let out = points.edges_directed(node, Direction::Outgoing);
        for edge in out.filter(|edge| goes_on(cx, node, *edge.weight()) && inside.contains(&edge.target())) {
            let next = edge.target();
            if before.contains_key(&next) {
                continue;
            }
            before.insert(next, node);
            if next == start {
                return steps_on(points, &before, start);
            }
            open.push_back(next);
        }
    }
    vec![first]
}

fn steps_on(points: &DiGraph<Point, Way>, before: &HashMap<NodeIndex, NodeIndex>, start: NodeIndex) -> Vec<StepIx> {
    let mut steps = Vec::new();
    let mut node = before[&start];
    loop {
        if let Point::Enter(step) = points[node] {
            steps.push(step);
        }
        if node == start {
            break;
        }
        node = before[&node];
    }
    steps.reverse();
    steps
}

/// Where the loop jumps back: at the `next` that leads to an earlier step.
fn jump_back(cx: &Context<'_>, cycle: &[StepIx]) -> (Span, StepIx) {
    for from in cycle.iter().rev() {
        let step = cx.workflow.step(*from);
        if let Some(span) =
            jumps(step).find(|(target, _)| cycle.contains(target) && target <= from).map(|(_, span)| span)
        {
            return (span, *from);
        }
    }
    (cx.workflow.step(cycle[0]).id_span, cycle[0])
}

/// All targets of a step's `next`, those of its cases included.
fn jumps(step: &Step) -> impl Iterator<Item = (StepIx, Span)> {
    let cases = match &step.body {
        Body::Switch(cases) => cases.iter().map(|case| case.next.as_ref()).collect(),
        Body::Wait(waits) => waits.iter().map(|wait| wait.next.as_ref()).collect(),
        _ => Vec::new(),
    };
    let handlers = step.catch.iter().map(|handler| handler.next.as_ref()).collect::<Vec<_>>();
    let all = std::iter::once(step.next.as_ref()).chain(cases).chain(handlers);
    all.flatten().map(|next| (next.value, next.span)).collect::<Vec<_>>().into_iter()
}
