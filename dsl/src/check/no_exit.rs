//! `wf::no_exit`: no end of the workflow can be reached from here.

use petgraph::unionfind::UnionFind;
use petgraph::visit::EdgeRef;

use super::{Context, busy_cycle};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::graph::Point;
use crate::plan::StepIx;

/// Reports each region that cannot end, at its first step.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    let points = cx.graph.points();
    let ending = cx.graph.ending();
    let lost = |node: petgraph::graph::NodeIndex| cx.reaches(node) && !ending[node.index()];
    let mut regions = UnionFind::<usize>::new(points.node_count());
    for edge in points.edge_references().filter(|edge| lost(edge.source()) && lost(edge.target())) {
        regions.union(edge.source().index(), edge.target().index());
    }
    let mut firsts: Vec<(usize, StepIx)> = Vec::new();
    for node in points.node_indices().filter(|node| lost(*node)) {
        let Point::Enter(step) = points[node] else { continue };
        let region = regions.find(node.index());
        match firsts.iter_mut().find(|(other, _)| *other == region) {
            Some((_, first)) => *first = (*first).min(step),
            None => firsts.push((region, step)),
        }
    }
    let busy = busy_cycle::cycles(cx);
    for (region, first) in firsts {
        let step = cx.workflow.step(first);
        let is_busy = busy.iter().flatten().any(|step| regions.find(cx.graph.enter(*step).index()) == region);
        let message = format!("from `{}` on, this workflow never ends", step.id);
        let diagnostic = if is_busy {
            Diagnostic::error(Code::NO_EXIT, step.id_span, message)
        } else {
            Diagnostic::warning(Code::NO_EXIT, step.id_span, message)
        };
        found.push(
            diagnostic.help(
                "lead a way out with `next` or `finish`; for work that comes again and again, use a `cron` trigger",
            ),
        );
    }
}
