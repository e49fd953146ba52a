//! What must hold beyond the shape of the files: one file per code, and the analyses that they share.

mod checked;
mod constant;
pub(crate) mod damage;
mod effects;
mod facts;
mod fields;
mod flow;
mod forms;
mod infer;
mod places;
mod roots;
mod ty;

mod busy_cycle;
mod constant_condition;
mod cron_never_fires;
mod dangling_event;
mod dead_handler;
mod deadline;
mod duplicate_effect;
mod endless_invoke;
mod event;
mod impossible_comparison;
mod impossible_value;
mod invoke;
mod literal;
mod may_not_have_run;
mod maybe_null;
mod never_ran;
mod no_exit;
mod no_mutex;
mod out_of_scope;
mod past_deadline;
mod racing_effect;
mod secret_leak;
mod set;
mod sql_params;
mod template;
mod test;
mod type_mismatch;
mod unbounded_wait;
mod uncorrelated_wait;
mod uncovered_switch;
mod unkeyed_loop;
mod unknown_name;
mod unreachable;
mod unused;
mod wait_order;
pub(crate) mod yaml_trap;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::diagnostic::Findings;
use crate::form::Form;
use crate::graph::{Graph, Point};
use crate::node::Node;
use crate::plan::{ForEach, Owner, Step, StepIx, Workflow};
use crate::project::Project;
use crate::source::FileId;
use crate::types::Type;

pub(crate) use checked::Checked;

use checked::{Changes, CheckedWorkflow, Output};
use damage::Damage;
use effects::Effects;
use flow::{Flow, State};
use infer::{Infer, Secrets};
use places::{Moment, Place, Purpose};

/// Checks all workflows of a project that has been read, one by one and then together. What `before`, the same project
/// as it was, knows of them and still holds is taken over. `reported` is what the reader has found.
pub(crate) fn run(
    project: &Project,
    before: &Project,
    reported: &Findings,
    damage: &Damage,
    found: &mut Findings,
) -> Checked {
    let mut checked = Checked::default();
    let mut changes = Changes::between(before, project, reported);
    outputs(project, &mut changes, &mut checked.outputs);

    let mut all = Vec::new();
    let mut kept = BTreeSet::new();
    for (index, workflow) in project.workflows.iter().enumerate() {
        if let Some(known) = changes.workflow(workflow) {
            kept.insert(workflow.name.value.as_str());
            checked.add(workflow, Arc::clone(known));
            all.push(Arc::clone(known));
            continue;
        }
        let mut cx = Context::of(project, index, &checked.outputs);
        cx.broken = damage.breaks_ways(workflow);
        cx.trigger_hidden = damage.events || project.triggers_hidden.contains(&workflow.name.span.file);
        let mut here = Findings::default();
        check(&cx, &mut here);
        damage.clean(&workflow.steps, &mut here);
        let known = Arc::new(CheckedWorkflow {
            workflow: Arc::clone(workflow),
            calls: endless_invoke::calls(&cx),
            codes: dead_handler::codes(&cx),
            waits_until: deadline::next(&cx),
            templates: cx.templates.into_inner(),
        });
        if here.is_empty() {
            checked.add(workflow, Arc::clone(&known));
        }
        all.push(known);
        found.append(here);
    }
    endless_invoke::check(project, all.iter().map(|known| &*known.calls), found);
    dead_handler::policies(project, all.iter().map(|known| &known.codes), found);
    // What tests say of a workflow that has errors would follow from them.
    let tests: Vec<FileId> = project.tests.iter().map(|test| test.workflow.span.file).collect();
    if !project.findings.iter().chain(found.iter()).any(|finding| finding.is_error_outside(&tests)) {
        let known = test::Known::of(project, &checked.outputs);
        let mut right = Vec::new();
        for test in project.tests.iter().filter(|test| !test.partial) {
            let reachable = project.reachable(test.workflows());
            let mut here = Findings::default();
            if !changes.test_holds(test, &reachable, &kept) {
                test::check(&known, test, &reachable, &mut here);
            }
            if here.is_empty() {
                right.push(test);
            }
            found.append(here);
        }
        right.into_iter().for_each(|test| checked.add_test(test));
    }
    // What a wrong name was meant to use looks unused.
    if !project.findings.has_errors() && !found.has_errors() {
        let named: Option<Vec<_>> = all.iter().map(|known| known.templates.as_ref()).collect();
        let named = named.map(|sets| sets.into_iter().flatten().map(String::as_str).collect());
        unused::whole(project, named.as_ref(), found);
        dangling_event::check(project, found);
    }
    checked
}

/// Works out what the invoked workflows finish with, each after those that it invokes. Of workflows that invoke each
/// other in a ring nothing is known while the ring is worked out.
fn outputs(project: &Project, changes: &mut Changes<'_>, outputs: &mut BTreeMap<String, Output>) {
    for ring in invoke::rings(project) {
        let names: BTreeSet<&str> = ring.iter().map(|index| project.workflows[*index].name.value.as_str()).collect();
        let mut found = Vec::new();
        for index in ring {
            let workflow = &project.workflows[index];
            let ty = match changes.output(workflow, &names) {
                Some(known) => known.ty.clone(),
                None => Context::of(project, index, outputs).finish_type(),
            };
            found.push(Output::new(workflow, ty, &names));
        }
        for output in found {
            changes.note_output(&output);
            outputs.insert(output.workflow.name.value.clone(), output);
        }
    }
}

fn check(cx: &Context<'_>, found: &mut Findings) {
    literal::triggers(cx, found);
    cron_never_fires::check(cx, found);
    event::names(cx, found);
    set::check(cx, found);
    invoke::names(cx, found);
    places::visit(cx.workflow, &mut |place| forms::check(cx, &place, found));
    deadline::check(cx, found);
    constant_condition::check(cx, found);
    duplicate_effect::check(cx, found);
    racing_effect::check(cx, found);
    unkeyed_loop::check(cx, found);
    no_mutex::check(cx, found);
    past_deadline::check(cx, found);
    unbounded_wait::check(cx, found);
    uncorrelated_wait::check(cx, found);
    dead_handler::check(cx, found);
    if cx.broken {
        return;
    }
    unreachable::check(cx, found);
    no_exit::check(cx, found);
    busy_cycle::check(cx, found);
    wait_order::check(cx, found);
    uncovered_switch::check(cx, found);
    if !found.has_errors() {
        unused::check(cx, found);
    }
}

/// A workflow with all that is known of it.
struct Context<'p> {
    project: &'p Project,
    workflow: &'p Workflow,
    /// The file's tree.
    tree: Option<&'p Node>,
    /// The reader could not make out all ways through the file.
    broken: bool,
    /// The reader could not make out what starts the workflow.
    trigger_hidden: bool,
    graph: Graph,
    flow: Flow,
    effects: Effects<'p>,
    outputs: &'p BTreeMap<String, Output>,
    variables: RefCell<HashMap<String, Type>>,
    items: RefCell<HashMap<StepIx, Type>>,
    /// The templates that steps name; none if that cannot be told.
    templates: RefCell<Option<BTreeSet<String>>>,
}

impl<'p> Context<'p> {
    /// The workflow with this number in the project.
    fn of(project: &'p Project, index: usize, outputs: &'p BTreeMap<String, Output>) -> Context<'p> {
        let workflow = &project.workflows[index];
        let graph = Graph::of(workflow);
        let flow = Flow::of(workflow, &graph);
        Context {
            project,
            workflow,
            tree: project.trees.get(index).map(|tree| &**tree),
            broken: false,
            trigger_hidden: false,
            graph,
            flow,
            effects: Effects::of(project),
            outputs,
            variables: RefCell::default(),
            items: RefCell::default(),
            templates: RefCell::new(Some(BTreeSet::new())),
        }
    }

    /// All steps in the order of the file.
    fn steps(&self) -> impl Iterator<Item = (StepIx, &'p Step)> {
        (0..).map(StepIx).zip(&self.workflow.steps)
    }

    /// A step as it stands in the file.
    fn node_of(&self, step: &Step) -> Option<&'p Node> {
        let mut node = self.tree?;
        while node.span != step.span || node.entries().is_empty() {
            let values = node.items().iter().chain(node.entries().iter().map(|entry| &entry.value));
            node = values.into_iter().find(|value| value.span.contains(step.span))?;
        }
        Some(node)
    }

    /// Notes that a step names a template.
    fn names_template(&self, name: &str) {
        if let Some(named) = self.templates.borrow_mut().as_mut() {
            named.insert(name.to_owned());
        }
    }

    /// The type of `event.data`.
    fn event_data_type(&self) -> Type {
        if self.trigger_hidden {
            return Type::Any;
        }
        match roots::trigger_event(self.project, self.workflow, None) {
            Type::Object(fields) => fields.get("data").map_or(Type::Any, ty::of_field),
            _ => Type::Any,
        }
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
