//! What must hold beyond the shape of the files: one file per code, and the analyses that they share.

mod facts;
mod fields;
mod flow;
mod forms;
mod infer;
mod places;
mod roots;
mod ty;

mod busy_cycle;
mod event;
mod impossible_comparison;
mod impossible_value;
mod invoke;
mod literal;
mod may_not_have_run;
mod maybe_null;
mod never_ran;
mod no_exit;
mod out_of_scope;
mod secret_leak;
mod set;
mod sql_params;
mod template;
mod type_mismatch;
mod unknown_name;
mod unreachable;

use std::cell::RefCell;
use std::collections::HashMap;

use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::diagnostic::Findings;
use crate::form::Form;
use crate::graph::{Graph, Point};
use crate::plan::{ForEach, Owner, StepIx, Workflow};
use crate::project::Project;
use crate::types::Type;

use flow::{Flow, State};
use infer::{Infer, Secrets};
use places::{Moment, Place, Purpose};
use roots::Outputs;

/// Checks all workflows of a project that has been read.
pub(crate) fn run(project: &Project, found: &mut Findings) {
    let outputs = Outputs::default();
    for workflow in &project.workflows {
        let mut here = Findings::default();
        check(&Context::of(project, workflow, &outputs), &mut here);
        found.append(here);
    }
}

fn check(cx: &Context<'_>, found: &mut Findings) {
    literal::triggers(cx, found);
    event::names(cx, found);
    set::check(cx, found);
    invoke::names(cx, found);
    unreachable::check(cx, found);
    no_exit::check(cx, found);
    busy_cycle::check(cx, found);
    places::visit(cx.workflow, &mut |place| forms::check(cx, &place, found));
}

/// A workflow with all that is known of it.
struct Context<'p> {
    project: &'p Project,
    workflow: &'p Workflow,
    graph: Graph,
    flow: Flow,
    outputs: &'p Outputs,
    variables: RefCell<HashMap<String, Type>>,
    items: RefCell<HashMap<StepIx, Type>>,
}

impl<'p> Context<'p> {
    fn of(project: &'p Project, workflow: &'p Workflow, outputs: &'p Outputs) -> Context<'p> {
        let graph = Graph::of(workflow);
        let flow = Flow::of(workflow, &graph);
        Context { project, workflow, graph, flow, outputs, variables: RefCell::default(), items: RefCell::default() }
    }

    /// What holds where a step is entered; none if no run gets there.
    fn state(&self, step: StepIx) -> Option<&State> {
        self.flow.at(self.graph.enter(step))
    }

    /// Whether a run can get to a node.
    fn reaches(&self, node: NodeIndex) -> bool {
        self.flow.at(node).is_some()
    }

    /// Whether a run can end by coming to the end of its last list.
    fn runs_out(&self) -> bool {
        let into = self.graph.points().edges_directed(self.graph.exit(), petgraph::Direction::Incoming);
        into.filter(|edge| self.reaches(edge.source())).any(|edge| match self.graph.points()[edge.source()] {
            Point::Leave(step) | Point::Case(step, _) => self.ends_a_run(step),
            Point::Enter(step) => *edge.weight() == crate::graph::Way::Skip && self.ends_a_run(step),
            Point::Handler(owner, _) => owner.is_none_or(|step| self.ends_a_run(step)),
            Point::Entry => true,
            Point::Done(_) | Point::Exit => false,
        })
    }

    fn ends_a_run(&self, step: StepIx) -> bool {
        matches!(self.workflow.list(self.workflow.step(step).list).owner, Owner::Root | Owner::RootCatch(_))
    }

    /// The type of a form in a step's body; what is wrong in it is said elsewhere.
    fn form_type(&self, form: &Form, step: StepIx) -> Type {
        let list = Some(self.workflow.step(step).list);
        let place = Place { form, purpose: Purpose::Output, moment: Moment::Body(step), list, it: None };
        Infer::new(self, &place, &mut Findings::default()).form(form, Secrets::Welcome).ty
    }

    /// The type of a variable: as declared, or that of its first value.
    fn variable_type(&self, name: &str) -> Type {
        let Some(variable) = self.workflow.vars.get(name) else { return Type::Any };
        if let Some(declared) = &variable.ty {
            return ty::plain(declared.clone());
        }
        if let Some(known) = self.variables.borrow().get(name) {
            return known.clone();
        }
        // While it is being worked out, nothing is known of it.
        self.variables.borrow_mut().insert(name.to_owned(), Type::Any);
        let form = &variable.value;
        let place = Place { form, purpose: Purpose::Output, moment: Moment::Start, list: None, it: None };
        let typed = Infer::new(self, &place, &mut Findings::default()).form(form, Secrets::Welcome);
        // A literal says what sort of value it is; an enumeration that comes from elsewhere stays one.
        let first = if matches!(form, Form::Expr(_)) { typed.ty } else { ty::widened(&typed.ty) };
        self.variables.borrow_mut().insert(name.to_owned(), first.clone());
        first
    }

    /// The type of a loop's items.
    fn item_type(&self, step: StepIx, for_each: &ForEach) -> Type {
        if let Some(known) = self.items.borrow().get(&step) {
            return known.clone();
        }
        self.items.borrow_mut().insert(step, Type::Any);
        let item = match self.form_type(&for_each.items, step) {
            Type::List(item) => *item,
            _ => Type::Any,
        };
        self.items.borrow_mut().insert(step, item.clone());
        item
    }
}
