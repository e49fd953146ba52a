//! The bodies of the core's own kinds.

use super::jump::Part;
use super::literal;
use super::workflow::Reader;
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::form::Form;
use crate::node::{Entry, Node, Tree};
use crate::plan::{Alternative, Body, Case, ForEach, Join, MaxFailures, Role, StepIx, WaitGuard};
use crate::source::{Span, Spanned};
use crate::value::Value;

/// How `wait` says that it means to wait without end.
const FOREVER: &str = "forever";

impl Reader<'_> {
    /// Reads the body of a step of the core. None if it does not have its shape.
    pub(super) fn core_body(&mut self, ix: StepIx, kind: &Entry) -> Option<Body> {
        let node = &kind.value;
        match kind.key.value.as_str() {
            "send_event" => self.send_event(node),
            "invoke" => self.invoke(node),
            "set" => self.set(node),
            "sleep" => literal::duration(node, self.found).map(Body::Sleep),
            "sleep_until" => self.sleep_until(node),
            "wait" => self.wait(ix, node),
            "switch" => self.switch(ix, node),
            "parallel" => self.parallel(ix, kind),
            "for_each" => self.for_each(ix, kind),
            "do" => self.inner(ix, Role::Body, node).map(Body::Do),
            "fail" => self.fail(node),
            "finish" => Some(self.finish(kind)),
            _ => None,
        }
    }

    fn send_event(&mut self, node: &Node) -> Option<Body> {
        let name = literal::text(node.get("name")?, self.found);
        let data = self.map_form(node.get("data"), node.span)?;
        let id = node.get("id").map(|node| Form::parse(node, self.found));
        let delay = node.get("delay").and_then(|node| literal::duration(node, self.found));
        Some(Body::SendEvent { name: name?, data, id, delay })
    }

    fn invoke(&mut self, node: &Node) -> Option<Body> {
        let workflow = literal::text(node.get("workflow")?, self.found);
        let with = self.map_form(node.get("with"), node.span)?;
        let detach = matches!(node.get("detach").map(|node| &node.tree), Some(Tree::Bool(true)));
        Some(Body::Invoke { workflow: workflow?, with, detach })
    }

    /// A map of values; an empty one if it is not written, none if it is no map.
    fn map_form(&mut self, node: Option<&Node>, span: Span) -> Option<Form> {
        let Some(node) = node else { return Some(Form::Object(Vec::new(), span)) };
        let map = matches!(node.tree, Tree::Map(_)) || node.has_expression();
        map.then(|| Form::parse(node, self.found))
    }

    fn set(&mut self, node: &Node) -> Option<Body> {
        let Tree::Map(entries) = &node.tree else { return None };
        let set = entries.iter().map(|entry| (entry.key.clone(), Form::parse(&entry.value, self.found)));
        Some(Body::Set(set.collect()))
    }

    fn sleep_until(&mut self, node: &Node) -> Option<Body> {
        let time = if matches!(node.tree, Tree::Map(_)) { node.get("time")? } else { node };
        let time = literal::instant(time, self.found)?;
        let if_past = node.get("if_past").and_then(Node::as_str);
        Some(Body::SleepUntil { time, fail_if_past: if_past == Some("fail"), if_past_written: if_past.is_some() })
    }

    fn wait(&mut self, ix: StepIx, node: &Node) -> Option<Body> {
        let Tree::List(nodes) = &node.tree else { return None };
        let mut alternatives = Vec::new();
        for (place, node) in nodes.iter().enumerate() {
            let guard = self.wait_guard(node);
            let role = Role::Case(u32::try_from(place).unwrap_or(u32::MAX));
            let steps = node.get("steps").and_then(|node| self.inner(ix, role, node));
            self.jump(ix, Part::Case(place), node);
            // A guard that could not be read leaves an alternative that waits for ever.
            self.partial |= guard.is_none();
            let guard = guard.unwrap_or(WaitGuard::After(None));
            alternatives.push(Alternative { guard, steps, next: None, span: node.span });
        }
        Some(Body::Wait(alternatives))
    }

    fn wait_guard(&mut self, node: &Node) -> Option<WaitGuard> {
        if let Some(after) = node.get("after") {
            if after.as_str() == Some(FOREVER) {
                return Some(WaitGuard::After(None));
            }
            return literal::duration(after, self.found).map(|after| WaitGuard::After(Some(after)));
        }
        if let Some(until) = node.get("until") {
            return literal::instant(until, self.found).map(WaitGuard::Until);
        }
        self.event_match(node).map(WaitGuard::Event)
    }

    fn switch(&mut self, ix: StepIx, node: &Node) -> Option<Body> {
        let Tree::List(nodes) = &node.tree else { return None };
        let mut cases = Vec::new();
        for (place, node) in nodes.iter().enumerate() {
            let when = node.get("when").and_then(|node| literal::condition(node, self.found));
            let role = Role::Case(u32::try_from(place).unwrap_or(u32::MAX));
            let steps = node.get("steps").and_then(|node| self.inner(ix, role, node));
            self.jump(ix, Part::Case(place), node);
            self.partial |= when.is_none();
            let when = when.unwrap_or(Form::Literal(Value::Null, node.span));
            cases.push(Case { when, steps, next: None, span: node.span });
        }
        Some(Body::Switch(cases))
    }

    fn parallel(&mut self, ix: StepIx, kind: &Entry) -> Option<Body> {
        let node = &kind.value;
        let entries = node.get("branches")?.entries();
        self.enclosing.push(kind.key.clone());
        let mut branches = Vec::new();
        for (place, entry) in (0..).zip(entries) {
            if let Some(list) = self.inner(ix, Role::Branch(place), &entry.value) {
                branches.push((entry.key.clone(), list));
            }
        }
        self.enclosing.pop();
        if branches.is_empty() {
            return None;
        }
        let join = node.get("join");
        let value = match join.and_then(Node::as_str) {
            Some("settled") => Join::Settled,
            Some("any") => Join::Any,
            Some("race") => Join::Race,
            _ => Join::All,
        };
        Some(Body::Parallel { branches, join: Spanned::new(value, join.map_or(kind.key.span, |join| join.span)) })
    }

    fn for_each(&mut self, ix: StepIx, kind: &Entry) -> Option<Body> {
        let node = &kind.value;
        let items = node.get("in").map(|node| Form::parse(node, self.found));
        let names = node.get("as").map(|node| match &node.tree {
            Tree::List(names) => names.iter().collect(),
            _ => vec![node],
        });
        let mut names =
            names.unwrap_or_default().into_iter().filter_map(|name| self.loop_name(name)).collect::<Vec<_>>();
        let index = if names.len() > 1 { names.pop() } else { None };
        let key = node.get("key").map(|node| Form::parse(node, self.found));
        let concurrency = node.get("concurrency").map(|node| Form::parse(node, self.found));
        let go_on = node.get("on_error").and_then(Node::as_str) == Some("continue");
        let max_failures = node.get("max_failures").and_then(max_failures);
        self.enclosing.push(kind.key.clone());
        let steps = node.get("steps").and_then(|node| self.inner(ix, Role::Body, node));
        self.enclosing.pop();
        let (items, item, steps) = (items?, names.pop()?, steps?);
        Some(Body::ForEach(ForEach {
            items,
            item,
            index,
            key,
            concurrency,
            go_on,
            max_failures,
            steps,
            outputs_read: true,
        }))
    }

    fn loop_name(&mut self, node: &Node) -> Option<Spanned<String>> {
        let name = literal::text(node, self.found)?;
        let message = match literal::check_name(&name.value) {
            Err(literal::BadName::Keyword) => format!("`{}` is a word of the expression language", name.value),
            // Its form has been checked by the schema.
            Err(literal::BadName::Form) => return None,
            Ok(()) if crate::expr::ROOTS.contains(&name.value.as_str()) => {
                format!("`{}` means something else in every expression", name.value)
            }
            Ok(()) => return Some(name),
        };
        self.found.push(Diagnostic::error(Code::FIELD, name.span, message).help("choose another name, such as `item`"));
        None
    }

    fn fail(&mut self, node: &Node) -> Option<Body> {
        let code = node.get("code").map(|node| Form::parse(node, self.found));
        let message = node.get("message").map(|node| Form::parse(node, self.found));
        let data = node.get("data").map(|node| Form::parse(node, self.found));
        Some(Body::Fail { code: code?, message: message?, data })
    }

    fn finish(&mut self, kind: &Entry) -> Body {
        if let Some(around) = self.enclosing.last() {
            let message = format!("`finish` cannot stand inside of `{}`", around.value);
            let finding = Diagnostic::error(Code::STEP_KIND, kind.key.span, message);
            self.found.push(
                finding
                    .related(around.span, "the run cannot end while this is at work")
                    .help("let the inner steps end, and `finish` after them"),
            );
        }
        Body::Finish(Form::parse(&kind.value, self.found))
    }
}

fn max_failures(node: &Node) -> Option<MaxFailures> {
    match &node.tree {
        Tree::Int(count) => u64::try_from(*count).ok().map(MaxFailures::Count),
        Tree::String(text) => text.strip_suffix('%')?.parse().ok().map(MaxFailures::Percent),
        _ => None,
    }
}
