//! Where `next` leads: to a step of the same list or of one around it.

use std::sync::Arc;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings, Missed};
use crate::plan::{Body, ListIx, Owner, Role, StepIx, Workflow};
use crate::source::Spanned;
use crate::suggest::{did_you_mean, listed};

/// A `next` that was read before its target.
pub(super) struct Jump {
    /// The step that says it.
    pub(super) step: StepIx,
    /// The part of it that says it.
    pub(super) part: Part,
    /// The id that it names.
    pub(super) target: Spanned<String>,
}

/// What has a `next`.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// The step itself.
    Step,
    /// A case of `switch` or an alternative of `wait`.
    Case(usize),
    /// A case of `catch`.
    Catch(usize),
}

/// Resolves all jumps of a workflow, and reports those that are not allowed.
pub(super) fn land(workflow: &mut Workflow, jumps: Vec<Jump>, found: &mut Findings) {
    for jump in jumps {
        let from = workflow.step(jump.step).list;
        let Some(target) = workflow.find(&jump.target.value) else {
            if !workflow.partial || nearest(workflow, from, &jump.target.value).is_some() {
                found.push(unknown(workflow, from, &jump.target));
            }
            continue;
        };
        match refusal(workflow, from, target) {
            Some(refusal) => found.push(refused(workflow, &jump.target, target, &refusal)),
            None => set(workflow, &jump, target),
        }
    }
}

fn set(workflow: &mut Workflow, jump: &Jump, target: StepIx) {
    let next = Some(Spanned::new(target, jump.target.span));
    let step = &mut workflow.steps[jump.step.0 as usize];
    match (jump.part, &mut step.body) {
        (Part::Step, _) => step.next = next,
        (Part::Catch(case), _) => step.catch[case].next = next,
        (Part::Case(case), Body::Switch(cases)) => cases[case].next = next,
        (Part::Case(case), Body::Wait(alternatives)) => alternatives[case].next = next,
        (Part::Case(_), _) => {}
    }
}

/// Why a jump is not allowed.
enum Refusal {
    /// The target stands inside of a step that the jump is not in.
    Into,
    /// The jump would leave this step.
    Across(Arc<str>, &'static str),
}

fn refusal(workflow: &Workflow, from: ListIx, target: StepIx) -> Option<Refusal> {
    let wanted = workflow.step(target).list;
    let mut list = from;
    let mut across = None;
    while list != wanted {
        let Owner::Step(owner, role) = workflow.list(list).owner else { return Some(Refusal::Into) };
        let step = workflow.step(owner);
        let wall = match (role, &step.body) {
            (Role::Branch(_), _) => Some("a branch of `parallel`"),
            (Role::Body, Body::ForEach(_)) => Some("the body of `for_each`"),
            (Role::Undo, _) => Some("`undo`"),
            (Role::Finally, _) => Some("`finally`"),
            _ => None,
        };
        across = across.or(wall.map(|wall| Refusal::Across(step.id.clone(), wall)));
        list = step.list;
    }
    across
}

fn refused(workflow: &Workflow, target: &Spanned<String>, to: StepIx, refusal: &Refusal) -> Diagnostic {
    let step = workflow.step(to);
    match refusal {
        Refusal::Into => {
            let owner = match workflow.list(step.list).owner {
                Owner::Step(owner, _) => format!("inside of `{}`", workflow.step(owner).id),
                Owner::RootCatch(_) => "in the workflow's `catch`".to_owned(),
                Owner::Root => "in the workflow's `steps`".to_owned(),
                Owner::RootFinally => "in the workflow's `finally`".to_owned(),
            };
            Diagnostic::error(
                Code::NEXT,
                target.span,
                format!("`next` cannot reach `{}`, which stands {owner}", target.value),
            )
            .related(step.id_span, "the target stands here")
            .help("go on with a step of the same list, or of a list around it")
        }
        Refusal::Across(id, wall) => {
            Diagnostic::error(Code::NEXT, target.span, format!("`next` cannot leave {wall}, here of `{id}`"))
                .related(step.id_span, "the target stands here")
                .help("end the inner steps first, and choose the way in a `switch` after them")
        }
    }
}

fn unknown(workflow: &Workflow, from: ListIx, target: &Spanned<String>) -> Diagnostic {
    let finding = Diagnostic::error(Code::NEXT, target.span, format!("there is no step `{}`", target.value))
        .missed(Missed::InFile);
    match nearest(workflow, from, &target.value) {
        Some(help) => finding.help(help),
        None => finding.help(format!("from here it can name {}", listed(reachable(workflow, from)))),
    }
}

/// The id that was probably meant: one that can be reached, if there is one.
fn nearest(workflow: &Workflow, from: ListIx, id: &str) -> Option<String> {
    let all = workflow.steps.iter().map(|step| &*step.id);
    did_you_mean(id, reachable(workflow, from)).or_else(|| did_you_mean(id, all))
}

/// The steps that a `next` in this list can name.
fn reachable(workflow: &Workflow, from: ListIx) -> impl Iterator<Item = &str> {
    let steps = (0..).map(StepIx).zip(&workflow.steps);
    steps.filter(move |(ix, _)| refusal(workflow, from, *ix).is_none()).map(|(_, step)| &*step.id)
}
