//! `wf::unreachable`: no run can ever reach this step or case.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use petgraph::Direction;
use petgraph::visit::EdgeRef;

use super::Context;
use super::uncovered_switch::canonical;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::form::Form;
use crate::graph::{Point, Way};
use crate::plan::{Body, Owner, Step, StepIx};
use crate::source::Span;

/// Reports the first step of each part that cannot be reached.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    let reachable = cx.graph.reachable();
    let mut said = vec![false; reachable.len()];
    let points = cx.graph.points();
    let steps = (0..cx.workflow.steps.len()).map(|index| StepIx(u32::try_from(index).unwrap_or(u32::MAX)));
    for node in points.node_indices() {
        if let Point::Case(step, number) = points[node]
            && !reachable[node.index()]
            && reachable[cx.graph.enter(step).index()]
            && let Body::Switch(cases) = &cx.workflow.step(step).body
        {
            let default = &cases[..number as usize].iter().find(|case| case.when.literal().is_some());
            let case = &cases[number as usize];
            let diagnostic = Diagnostic::error(Code::UNREACHABLE, case.when.span(), "this case is never tried");
            let diagnostic = match default {
                Some(default) => diagnostic.related(default.when.span(), "this case is always taken"),
                None => diagnostic,
            };
            found.push(diagnostic.help("put it above the default case, or remove it"));
            reach_from(cx, node, &mut said);
        }
    }
    twice(cx, found);
    for ix in steps {
        let enter = cx.graph.enter(ix);
        if reachable[enter.index()] || said[enter.index()] {
            continue;
        }
        found.push(unreachable(cx, ix));
        reach_from(cx, enter, &mut said);
    }
}

/// Reports each case whose condition stands in a case above it, too.
fn twice(cx: &Context<'_>, found: &mut Findings) {
    for step in &cx.workflow.steps {
        let Body::Switch(cases) = &step.body else { continue };
        let mut above: HashMap<String, Span> = HashMap::new();
        for case in cases {
            let Form::Expr(expr) = &case.when else { continue };
            match above.entry(canonical(expr.term(), true)) {
                Entry::Occupied(first) if !found.has_error_in(expr.span()) => {
                    let message = "this case is never taken: one above it has the same condition";
                    let diagnostic = Diagnostic::error(Code::UNREACHABLE, expr.span(), message);
                    let diagnostic = diagnostic.related(*first.get(), "the same condition");
                    found.push(diagnostic.help("change the condition, or remove the case"));
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(free) => {
                    free.insert(expr.span());
                }
            }
        }
    }
}

/// Marks everything behind a node: it needs no finding of its own.
fn reach_from(cx: &Context<'_>, node: petgraph::graph::NodeIndex, said: &mut [bool]) {
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        if std::mem::replace(&mut said[node.index()], true) {
            continue;
        }
        let out = cx.graph.points().edges_directed(node, Direction::Outgoing);
        open.extend(out.filter(|edge| *edge.weight() != Way::Rejoin).map(|edge| edge.target()));
    }
}

fn unreachable(cx: &Context<'_>, ix: StepIx) -> Diagnostic {
    let step = cx.workflow.step(ix);
    let message = format!("no run ever comes to `{}`", step.id);
    let diagnostic = Diagnostic::error(Code::UNREACHABLE, step.id_span, message);
    let before = step.place.checked_sub(1).map(|place| cx.workflow.list(step.list).steps[place as usize]);
    let diagnostic = match before.map(|before| cx.workflow.step(before)) {
        Some(before) => {
            let (span, text) = leads_away(before);
            diagnostic.related(span, text)
        }
        None => match cx.workflow.list(step.list).owner {
            Owner::Step(owner, _) => {
                let owner = cx.workflow.step(owner);
                diagnostic.related(owner.kind.span, format!("nothing in `{}` leads there", owner.id))
            }
            _ => diagnostic,
        },
    };
    diagnostic.help("remove it, or let a `next` lead to it")
}

/// Where a run goes on after a step, if not with the following one.
fn leads_away(step: &Step) -> (crate::source::Span, String) {
    match (&step.body, &step.next) {
        (Body::Finish(_), _) => (step.kind.span, "the run ends here".to_owned()),
        (Body::Fail { .. }, _) => (step.kind.span, "the run fails here".to_owned()),
        (_, Some(next)) => (next.span, "the run always goes on elsewhere".to_owned()),
        _ => (step.kind.span, format!("every way through `{}` leads elsewhere", step.id)),
    }
}
