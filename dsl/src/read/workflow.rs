//! From a workflow file to a [`Workflow`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;

use super::jump::Jump;
use super::literal::{self, BadName};
use super::{limits, policy};
use crate::catalog::{Catalog, Kind};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::form::Form;
use crate::node::{Node, Tree};
use crate::plan::{
    Body, CatchUp, EventMatch, Handler, List, ListIx, Overlap, Owner, Retry, Role, Step, StepIx, Trigger, Variable,
    Workflow,
};
use crate::project::Policy;
use crate::schema::Schema;
use crate::source::{Span, Spanned};
use crate::types::Type;

/// How many steps a workflow may have, those inside of other steps included. What is certain at each step is kept for
/// each step, so time and memory grow with the square.
pub const STEPS_MAX: usize = 5_000;

/// What a workflow is read with.
pub(crate) struct Context<'a> {
    /// The kinds that there are.
    pub(crate) kinds: &'a Kinds<'a>,
    /// The named policies.
    pub(crate) policies: &'a IndexMap<String, Policy>,
    /// The project's default policies.
    pub(crate) retry: Option<&'a [Retry]>,
    /// The project's default timeout.
    pub(crate) timeout: Option<&'a Form>,
    /// The project's time zone.
    pub(crate) timezone: &'a Spanned<String>,
}

/// The step kinds beside those of the core, with their schemas, each compiled when it is first needed.
pub(crate) struct Kinds<'a> {
    known: BTreeMap<&'a str, Known<'a>>,
    /// Kinds that are accepted without a description.
    bare: &'a BTreeSet<String>,
    checked: bool,
}

/// A kind, and the schema of its body once it is needed.
struct Known<'a> {
    kind: &'a Kind,
    schema: OnceLock<Result<Schema, String>>,
}

impl<'a> Kinds<'a> {
    /// The kinds of a catalog. Bodies are `checked` by their schemas, except in a stored plan.
    pub(crate) fn new(catalog: &'a Catalog, bare: &'a BTreeSet<String>, checked: bool) -> Self {
        let known = catalog.iter().map(|kind| (kind.name.as_str(), Known { kind, schema: OnceLock::new() })).collect();
        Kinds { known, bare, checked }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Kind> {
        self.known.get(name).map(|known| known.kind)
    }

    pub(super) fn is_bare(&self, name: &str) -> bool {
        self.bare.contains(name)
    }

    pub(super) fn names<'s>(&'s self) -> impl Iterator<Item = &'s str> {
        self.known.keys().map(|name| -> &'s str { name }).chain(self.bare.iter().map(String::as_str))
    }

    /// The schema of a kind's body; none if bodies are not checked.
    pub(super) fn schema(&self, name: &str) -> Option<Result<&Schema, &str>> {
        let known = self.known.get(name).filter(|_| self.checked)?;
        let schema = known.schema.get_or_init(|| Schema::compile(known.kind.body.clone()));
        Some(schema.as_ref().map_err(String::as_str))
    }
}

/// Reads a workflow whose file has the right shape, or whose wrong parts have been reported.
pub(crate) fn workflow(tree: &Node, context: &Context<'_>, found: &mut Findings) -> Workflow {
    let reader = Reader {
        context,
        found,
        steps: Vec::new(),
        lists: Vec::new(),
        by_id: HashMap::new(),
        jumps: Vec::new(),
        enclosing: Vec::new(),
        retry: context.retry.map(<[Retry]>::to_vec),
        timeout: context.timeout.cloned(),
        partial: false,
        over: false,
    };
    reader.workflow(tree)
}

pub(super) struct Reader<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) found: &'a mut Findings,
    /// A step's place is taken before the steps inside of it are read.
    pub(super) steps: Vec<Option<Step>>,
    pub(super) lists: Vec<List>,
    pub(super) by_id: HashMap<Arc<str>, (StepIx, Span)>,
    pub(super) jumps: Vec<Jump>,
    /// The `parallel` and `for_each` around the list that is read.
    pub(super) enclosing: Vec<Spanned<String>>,
    /// The default policies and timeout of this workflow.
    pub(super) retry: Option<Vec<Retry>>,
    pub(super) timeout: Option<Form>,
    /// Something was left out.
    pub(super) partial: bool,
    /// There are more than [`STEPS_MAX`] steps, which has been reported.
    over: bool,
}

impl Reader<'_> {
    fn workflow(mut self, tree: &Node) -> Workflow {
        let name = tree.get("workflow").and_then(|node| literal::text(node, self.found));
        let name = name.unwrap_or_else(|| Spanned::new(String::new(), tree.span));
        self.partial |= name.value.is_empty();
        self.defaults(tree);
        let triggers = self.triggers(tree);
        let input = tree.get("input").map(|node| Type::parse(node, Code::EVENT, self.found));
        let vars = self.vars(tree);
        let cancel_on = tree.get("cancel_on").map_or(&[][..], Node::items).iter();
        let cancel_on = cancel_on.filter_map(|node| self.event_match(node)).collect();
        let timeout = tree.get("timeout").and_then(|node| literal::duration(node, self.found));
        let limits = tree.get("limits").map(|node| Spanned::new(limits::limits(node, self.found), node.span));

        match tree.entry("steps") {
            Some(steps) => self.list(Owner::Root, &steps.value),
            None => self.empty_list(Owner::Root),
        };
        let catch = self.root_catch(tree);
        let finally = tree.get("finally").and_then(|node| self.optional_list(Owner::RootFinally, node));

        let steps = self.steps.into_iter().map(|step| step.expect("a step that was begun was read to its end"));
        let mut workflow = Workflow {
            name,
            description: tree.get("description").and_then(Node::as_str).map(str::to_owned),
            labels: labels(tree, self.found),
            triggers,
            input,
            vars,
            limits,
            cancel_on,
            timeout,
            steps: steps.collect(),
            lists: self.lists,
            catch,
            finally,
            by_id: self.by_id.into_iter().map(|(id, (ix, _))| (id, ix)).collect(),
            partial: self.partial,
        };
        super::jump::land(&mut workflow, self.jumps, self.found);
        mark_outputs(&mut workflow);
        workflow
    }

    /// Takes the workflow's own defaults, which come before the project's.
    fn defaults(&mut self, tree: &Node) {
        let Some(defaults) = tree.get("defaults") else { return };
        if let Some(node) = defaults.get("retry")
            && let Some(retry) = policy::resolve(node, self.context.policies, self.found)
        {
            self.retry = Some(retry);
        }
        if let Some(node) = defaults.get("timeout")
            && let Some(timeout) = literal::duration(node, self.found)
        {
            self.timeout = Some(timeout);
        }
    }

    fn triggers(&mut self, tree: &Node) -> Vec<Trigger> {
        let nodes = tree.get("triggers").map_or(&[][..], Node::items);
        nodes.iter().filter_map(|node| self.trigger(node)).collect()
    }

    fn trigger(&mut self, node: &Node) -> Option<Trigger> {
        if let Some(cron) = node.get("cron") {
            let cron = literal::text(cron, self.found)?;
            let timezone = match node.get("timezone") {
                Some(zone) => literal::text(zone, self.found)?,
                None => self.context.timezone.clone(),
            };
            let overlap = match node.get("overlap").and_then(Node::as_str) {
                Some("skip") => Overlap::Skip,
                Some("queue") => Overlap::Queue,
                _ => Overlap::Allow,
            };
            let catch_up = match node.get("catch_up").and_then(Node::as_str) {
                Some("none") => CatchUp::None,
                Some("all") => CatchUp::All,
                _ => CatchUp::Last,
            };
            return Some(Trigger::Cron { cron, timezone, overlap, catch_up });
        }
        let event = literal::text(node.get("event")?, self.found)?;
        let filter = node.get("if").and_then(|node| literal::condition(node, self.found));
        Some(Trigger::Event { event, filter })
    }

    fn vars(&mut self, tree: &Node) -> IndexMap<String, Variable> {
        let mut vars = IndexMap::new();
        for entry in tree.get("vars").map_or(&[][..], Node::entries) {
            let name = &entry.key;
            if let Err(bad) = literal::check_name(&name.value) {
                let (message, help) = match bad {
                    BadName::Form => ("is not a name that expressions can use", "use letters, digits and `_`"),
                    BadName::Keyword => ("is a word of the expression language", "choose another name"),
                };
                let message = format!("`{}` {message}", name.value);
                self.found.push(Diagnostic::error(Code::FIELD, name.span, message).help(help));
                self.partial = true;
                continue;
            }
            let declared = match entry.value.entries() {
                [one, two] if matches!((&*one.key.value, &*two.key.value), ("type", "value") | ("value", "type")) => {
                    entry.value.get("type").zip(entry.value.get("value"))
                }
                _ => None,
            };
            let (ty, value) = match declared {
                Some((ty, value)) => (Some(Type::parse(ty, Code::EVENT, self.found)), value),
                None => (None, &entry.value),
            };
            let value = Form::parse(value, self.found);
            vars.insert(name.value.clone(), Variable { span: name.span, ty, value });
        }
        vars
    }

    /// An event with its `match`, `if` and `since`.
    pub(super) fn event_match(&mut self, node: &Node) -> Option<EventMatch> {
        let event = literal::text(node.get("event")?, self.found)?;
        let matches = node.get("match").map_or(&[][..], Node::entries).iter();
        let matches = matches.map(|entry| (entry.key.clone(), Form::parse(&entry.value, self.found))).collect();
        let filter = node.get("if").and_then(|node| literal::condition(node, self.found));
        let since = node.get("since").and_then(|node| literal::instant(node, self.found));
        Some(EventMatch { event, matches, filter, since })
    }

    fn root_catch(&mut self, tree: &Node) -> Vec<Handler> {
        let nodes = tree.get("catch").map_or(&[][..], Node::items);
        let mut handlers = Vec::new();
        for (case, node) in (0..).zip(nodes) {
            if let Some(next) = node.entry("next") {
                let finding =
                    Diagnostic::error(Code::NEXT, next.key.span, "a case of the workflow's `catch` has no `next`");
                self.found.push(
                    finding
                        .label("the workflow's steps have ended when it runs")
                        .help("hang the `catch` on a step, or on a `do` around the steps"),
                );
            }
            let errors = self.codes(node);
            let steps = node.get("steps").and_then(|node| self.optional_list(Owner::RootCatch(case), node));
            handlers.push(Handler { errors, steps, next: None, span: node.span });
        }
        handlers
    }

    pub(super) fn codes(&mut self, node: &Node) -> Vec<Spanned<String>> {
        let codes = node.get("errors").map_or(&[][..], Node::items);
        codes.iter().filter_map(|code| literal::text(code, self.found)).collect()
    }

    /// Reads a list of steps.
    pub(super) fn list(&mut self, owner: Owner, node: &Node) -> ListIx {
        let list = self.empty_list(owner);
        if !matches!(node.tree, Tree::List(_)) {
            self.partial = true;
        }
        for step in node.items() {
            if self.steps.len() == STEPS_MAX {
                self.too_many_steps(step);
                break;
            }
            match self.step(list, step) {
                Some(ix) => self.lists[list.0 as usize].steps.push(ix),
                None => self.partial = true,
            }
        }
        list
    }

    fn too_many_steps(&mut self, first: &Node) {
        // The lists around this one come here again.
        if !std::mem::replace(&mut self.over, true) {
            let place = first.entries().first().map_or(first.span, |entry| entry.key.span);
            let message = format!("the workflow has more than {STEPS_MAX} steps");
            let help = "move some of them to a workflow of their own and `invoke` it";
            self.found.push(Diagnostic::error(Code::YAML, place, message).help(help));
        }
        self.partial = true;
    }

    /// Reads a list of steps, if it is one.
    pub(super) fn optional_list(&mut self, owner: Owner, node: &Node) -> Option<ListIx> {
        if !matches!(node.tree, Tree::List(_)) {
            self.partial = true;
            return None;
        }
        Some(self.list(owner, node))
    }

    pub(super) fn empty_list(&mut self, owner: Owner) -> ListIx {
        let ix = ListIx(u32::try_from(self.lists.len()).expect("a file has fewer lists than bytes"));
        self.lists.push(List { owner, steps: Vec::new() });
        ix
    }

    /// Reads a list inside a step.
    pub(super) fn inner(&mut self, step: StepIx, role: Role, node: &Node) -> Option<ListIx> {
        self.optional_list(Owner::Step(step, role), node)
    }
}

fn labels(tree: &Node, found: &mut Findings) -> BTreeMap<String, String> {
    let entries = tree.get("labels").map_or(&[][..], Node::entries).iter();
    entries.filter_map(|entry| Some((entry.key.value.clone(), literal::text(&entry.value, found)?.value))).collect()
}

/// Marks the loops whose `outputs` some expression reads; the others need not collect them.
fn mark_outputs(workflow: &mut Workflow) {
    let mut read = BTreeSet::new();
    workflow.visit_forms(&mut |form| {
        for expr in form.exprs() {
            for reference in expr.references() {
                let whole = reference.path.first().is_none_or(|member| member.name == "outputs");
                if reference.kind == crate::expr::ReferenceKind::Step && whole {
                    read.insert(reference.name.to_owned());
                }
            }
            // `steps` as a value of its own, or indexed by a computed name, may read any of them.
            if expr.references().iter().any(|reference| reference.name == "steps") {
                read.insert("*".to_owned());
            }
        }
    });
    for step in &mut workflow.steps {
        if let Body::ForEach(each) = &mut step.body {
            each.outputs_read = read.contains(&*step.id) || read.contains("*");
        }
    }
}
