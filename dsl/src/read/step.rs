//! One step: its id, its kind, its modifiers.

use std::sync::Arc;

use super::jump::{Jump, Part};
use super::literal;
use super::modifier::{self, CORE_KINDS, is_modifier};
use super::policy;
use super::workflow::Reader;
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::form::Form;
use crate::node::{Entry, Node, Tree};
use crate::plan::{Body, Handler, ListIx, Retry, Role, Step, StepIx};
use crate::schema;
use crate::source::{Span, Spanned};
use crate::suggest::suggest;
use crate::types::Type;

impl Reader<'_> {
    /// Reads a step; none if it is no map, or if it has nothing that could be its kind.
    pub(super) fn step(&mut self, list: ListIx, node: &Node) -> Option<StepIx> {
        let Tree::Map(entries) = &node.tree else { return None };
        let kind = self.kind(node, entries);
        let ix = StepIx(u32::try_from(self.steps.len()).expect("a file has fewer steps than bytes"));
        self.steps.push(None);
        let (id, id_span) = self.id(ix, node);
        let Some(kind) = kind else {
            // The steps inside are not known, but the id is.
            self.partial = true;
            self.steps[ix.0 as usize] = Some(unread(id, id_span, list, node, &Spanned::new(String::new(), node.span)));
            return Some(ix);
        };
        let mut step = unread(id, id_span, list, node, &kind.key);
        step.place = u32::try_from(self.lists[list.0 as usize].steps.len()).unwrap_or(u32::MAX);
        self.refuse_misplaced(entries, &kind.key.value);
        let core = CORE_KINDS.contains(&kind.key.value.as_str());
        step.body = if core {
            match self.core_body(ix, kind) {
                Some(body) => body,
                None => {
                    self.not_read(node);
                    step.body
                }
            }
        } else if self.is_hollow(kind, entries) {
            self.partial = true;
            step.body
        } else {
            Body::Effect(self.effect_body(kind))
        };
        self.modifiers(ix, node, &mut step, core);
        self.steps[ix.0 as usize] = Some(step);
        Some(ix)
    }

    /// Part of a step could not be read. Its schema has said so; if none did, this does.
    pub(super) fn not_read(&mut self, node: &Node) {
        self.partial = true;
        if !self.found.has_error_in(node.span) {
            self.found.push(Diagnostic::error(Code::FIELD, node.span, "this step cannot be read"));
        }
    }

    fn id(&mut self, ix: StepIx, node: &Node) -> (Arc<str>, Span) {
        let first = node.entries().first().map_or(node.span, |entry| entry.key.span);
        let Some(id) = node.get("id").and_then(|id| literal::text(id, self.found)) else {
            self.partial = true;
            return (Arc::from(""), first);
        };
        let text = id.value.as_str();
        let finding = if literal::is_snake_case(text) {
            match literal::check_name(text) {
                Ok(()) => None,
                Err(_) => Some(
                    Diagnostic::error(Code::STEP_ID, id.span, format!("`{text}` is a word of the expression language"))
                        .help(format!("write `{text}_step`, say")),
                ),
            }
        } else {
            let finding = Diagnostic::error(Code::STEP_ID, id.span, format!("the id `{text}` is not snake_case"));
            let snake = literal::snake_case(text);
            Some(if snake.is_empty() || !text.is_ascii() {
                finding.help("ids have the letters `a` to `z`, digits and `_`, like `send_mail`")
            } else {
                finding.help(format!("write `{snake}`"))
            })
        };
        if let Some(finding) = finding {
            self.found.push(finding);
        }
        let id_text: Arc<str> = Arc::from(text);
        if let Some((_, first)) = self.by_id.get(&id_text) {
            let finding = Diagnostic::error(Code::STEP_ID, id.span, format!("the id `{text}` is taken"));
            self.found.push(
                finding
                    .related(*first, "it is the id of this step")
                    .help("ids are unique in a file, nested steps included"),
            );
        } else {
            self.by_id.insert(id_text.clone(), (ix, id.span));
        }
        (id_text, id.span)
    }

    /// Finds the one key that is the step's kind, and reports keys that are neither kinds nor modifiers.
    fn kind<'n>(&mut self, node: &Node, entries: &'n [Entry]) -> Option<&'n Entry> {
        let mut kinds: Vec<&Entry> = Vec::new();
        let mut unknown: Vec<&Entry> = Vec::new();
        for entry in entries.iter().filter(|entry| !is_modifier(&entry.key.value)) {
            let name = entry.key.value.as_str();
            if self.is_kind(name) { kinds.push(entry) } else { unknown.push(entry) }
        }
        let foreign = unknown.iter().any(|entry| schema::instead_in_step(&entry.key.value).is_some());
        for entry in &unknown {
            let finding = self.unknown_key(entry, kinds.first().copied(), foreign);
            self.found.push(finding);
            self.partial = true;
        }
        match kinds.as_slice() {
            [] => {
                if unknown.is_empty() {
                    let place = node.entry("id").or(entries.first()).map_or(node.span, |entry| entry.key.span);
                    let finding = Diagnostic::error(Code::STEP_KIND, place, "the step has no kind");
                    self.found.push(finding.help("add one kind, such as `email`, `switch` or `finish`"));
                }
                // The steps in a misspelt block would be lost; a misspelt kind is as good as an unknown one.
                let guess = |entry: &&&Entry| {
                    let name = &entry.key.value;
                    suggest(name, modifier::modifiers()).is_none() && schema::instead_in_step(name).is_none()
                };
                unknown.iter().find(guess).copied()
            }
            [kind] => Some(kind),
            [first, others @ ..] => {
                for other in others {
                    let message = format!("the step has two kinds, `{}` and `{}`", first.key.value, other.key.value);
                    let finding = Diagnostic::error(Code::STEP_KIND, other.key.span, message);
                    let finding = finding.related(first.key.span, "the other kind");
                    self.found.push(finding.help("make two steps of it; a step has exactly one kind"));
                }
                Some(first)
            }
        }
    }

    fn is_kind(&self, name: &str) -> bool {
        CORE_KINDS.contains(&name) || self.context.kinds.get(name).is_some() || self.context.kinds.is_bare(name)
    }

    /// A key that is no kind and no modifier. `foreign`: the step is written as in another language.
    fn unknown_key(&self, entry: &Entry, kind: Option<&Entry>, foreign: bool) -> Diagnostic {
        let name = entry.key.value.as_str();
        let place = entry.key.span;
        let finding = |what: &str| Diagnostic::error(Code::UNKNOWN_KEY, place, format!("unknown {what} `{name}`"));
        if let Some(instead) = schema::instead_in_step(name) {
            return finding("key").help(instead);
        }
        if let Some(inner) = entry.value.entries().iter().find(|inner| self.is_kind(&inner.key.value)) {
            let help = format!("write `- id: {name}`, and `{}` at the level of the `id`", inner.key.value);
            return finding("key").help(help);
        }
        let what = if kind.is_some() || foreign { "key" } else { "step kind" };
        let mut known: Vec<&str> = modifier::modifiers().chain(CORE_KINDS).collect();
        known.extend(self.context.kinds.names());
        if let Some(near) = suggest(name, known) {
            return finding(if is_modifier(near) { "key" } else { what }).help(format!("did you mean `{near}`?"));
        }
        let Some(kind) = kind else {
            if foreign {
                return finding(what).help("the fields of a step stand below its kind");
            }
            return finding(what).help(if name.contains('.') {
                "list the kinds of the host under `kinds:` in `wf.yaml`"
            } else {
                "`wf kinds` lists the kinds"
            });
        };
        finding(what).help(if self.field_of(&kind.key.value, name) {
            format!("`{name}` belongs one level down, under `{}`", kind.key.value)
        } else {
            "a step is an id, one kind, and modifiers such as `if`, `retry` and `next`".to_owned()
        })
    }

    /// Whether the fields of a kind stand beside it by mistake, which has been reported.
    fn is_hollow(&self, kind: &Entry, entries: &[Entry]) -> bool {
        let beside = |entry: &Entry| !is_modifier(&entry.key.value) && self.field_of(&kind.key.value, &entry.key.value);
        matches!(kind.value.tree, Tree::Null) && entries.iter().any(beside)
    }

    /// Whether a kind's body has a field of this name.
    fn field_of(&self, kind: &str, field: &str) -> bool {
        if let Some(kind) = self.context.kinds.get(kind) {
            return kind.body.pointer("/properties").is_some_and(|fields| fields.get(field).is_some());
        }
        schema::core_fields(kind).iter().any(|known| known == field)
    }

    fn refuse_misplaced(&mut self, entries: &[Entry], kind: &str) {
        for entry in entries {
            if let Some(only_on) = modifier::misplaced(&entry.key.value, kind) {
                let message = format!("`{}` has no meaning on `{kind}`", entry.key.value);
                let finding = Diagnostic::error(Code::UNKNOWN_KEY, entry.key.span, message);
                self.found.push(finding.help(format!("it stands on {only_on}")));
            }
        }
    }

    fn modifiers(&mut self, ix: StepIx, node: &Node, step: &mut Step, core: bool) {
        step.description = node.get("description").and_then(Node::as_str).map(str::to_owned);
        step.condition = node.get("if").and_then(|node| literal::condition(node, self.found));
        step.returns = match (node.get("returns"), node.get("returns[]")) {
            (Some(ty), None) => Some(Type::parse(ty, Code::EVENT, self.found)),
            (None, Some(ty)) => Some(Type::List(Box::new(Type::parse(ty, Code::EVENT, self.found)))),
            (None, None) => None,
            (Some(_), Some(_)) => {
                if let Some(second) = node.entry("returns[]") {
                    let finding = Diagnostic::error(Code::FIELD, second.key.span, "the output has two types");
                    self.found.push(finding.help("keep `returns` or `returns[]`"));
                }
                None
            }
        };
        step.idempotency_key = node.get("idempotency_key").map(|node| Form::parse(node, self.found));
        step.retry = self.retry(node, core);
        step.retry_span = node.entry("retry").map(|entry| entry.key.span);
        step.timeout = match node.get("timeout") {
            Some(node) => literal::duration(node, self.found),
            None if core => None,
            None => self.timeout.clone(),
        };
        step.undo = node.get("undo").and_then(|node| self.inner(ix, Role::Undo, node));
        step.catch = self.catch(ix, node);
        step.finally = node.get("finally").and_then(|node| self.inner(ix, Role::Finally, node));
        if let Some(target) = node.get("next").and_then(|node| literal::text(node, self.found)) {
            self.jumps.push(Jump { step: ix, part: Part::Step, target });
        }
    }

    fn retry(&mut self, node: &Node, core: bool) -> Vec<Retry> {
        match node.get("retry") {
            Some(node) => policy::resolve(node, self.context.policies, self.found).unwrap_or_default(),
            None if core => Vec::new(),
            None => self.retry.clone().unwrap_or_default(),
        }
    }

    fn catch(&mut self, ix: StepIx, node: &Node) -> Vec<Handler> {
        let nodes = node.get("catch").map_or(&[][..], Node::items);
        let mut handlers = Vec::new();
        for (case, node) in nodes.iter().enumerate() {
            let errors = self.codes(node);
            let role = Role::Catch(u32::try_from(case).unwrap_or(u32::MAX));
            let steps = node.get("steps").and_then(|node| self.inner(ix, role, node));
            self.jump(ix, Part::Catch(case), node);
            handlers.push(Handler { errors, steps, next: None, span: node.span });
        }
        handlers
    }

    /// Notes the `next` of a case.
    pub(super) fn jump(&mut self, step: StepIx, part: Part, node: &Node) {
        if let Some(target) = node.get("next").and_then(|node| literal::text(node, self.found)) {
            self.jumps.push(Jump { step, part, target });
        }
    }
}

/// A step of which nothing but the kind is known.
fn unread(id: Arc<str>, id_span: Span, list: ListIx, node: &Node, kind: &Spanned<String>) -> Step {
    Step {
        id,
        id_span,
        kind: kind.clone(),
        body: Body::Effect(Form::Literal(crate::value::Value::Null, kind.span)),
        condition: None,
        returns: None,
        retry: Vec::new(),
        retry_span: None,
        timeout: None,
        idempotency_key: None,
        undo: None,
        catch: Vec::new(),
        finally: None,
        next: None,
        description: None,
        list,
        place: 0,
        span: node.span,
    }
}
