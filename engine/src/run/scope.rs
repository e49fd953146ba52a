//! What the expressions of a step may read.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use wf_dsl::{Body, Object, Plan, Scope, Time, Value};

use super::Run;
use super::fact::Failure;
use super::frame::{Parent, Place, Role};
use super::key::Visit;
use super::weight::StateLimits;
use crate::ids::FrameId;

/// What is read live and belongs to no plan: configuration, secrets, limits.
#[derive(Clone, Debug)]
pub struct Live {
    /// `config` as an object.
    pub config: Value,
    /// Secrets by name.
    pub secrets: BTreeMap<String, Arc<str>>,
    /// How much a run may hold.
    pub limits: StateLimits,
}

impl Default for Live {
    fn default() -> Self {
        let config = Value::Object(Arc::new(Object::new()));
        Live { config, secrets: BTreeMap::new(), limits: StateLimits::default() }
    }
}

/// The scope of a place in a run.
pub(crate) struct FrameScope<'a> {
    pub(crate) run: &'a Run,
    pub(crate) plan: &'a Plan,
    pub(crate) live: &'a Live,
    pub(crate) frame: FrameId,
    pub(crate) now: Time,
    /// The root of this evaluation's chance, and what it is for, so that two fields do not draw the same.
    pub(crate) visit: Visit,
    pub(crate) purpose: &'static str,
    pub(crate) drawn: Cell<u32>,
    /// Names that are bound for this evaluation only.
    pub(crate) bound: &'a [(&'a str, Value)],
}

impl Run {
    /// The key of the iteration, or the index of the branch, that makes a frame its parent's part.
    pub(crate) fn iteration_key(&self, parent: &Parent) -> String {
        let fork = self.frames.get(&parent.frame).map(|frame| &frame.place);
        match fork {
            Some(Place::Fork { fork, .. }) => fork.key(parent.index).map(str::to_owned),
            _ => None,
        }
        .unwrap_or_else(|| parent.index.to_string())
    }

    fn item(&self, parent: &Parent) -> Value {
        match self.frames.get(&parent.frame).map(|frame| &frame.place) {
            Some(Place::Fork { fork, .. }) => match fork.items.as_ref().map(|items| &items.value) {
                Some(Value::List(items)) => items.get(parent.index as usize).cloned().unwrap_or(Value::Null),
                _ => Value::Null,
            },
            _ => Value::Null,
        }
    }

    /// What a name stands for that stands for something at some places only: one of a loop's, or `error`.
    pub(super) fn bound_at(&self, plan: &Plan, id: FrameId, name: &str) -> Option<Value> {
        self.with_parents(id).find_map(|frame| {
            let mut blocks = frame.blocks.iter().rev();
            let bound = blocks.find_map(|block| match &block.undo {
                Some(undo) => undo.read("names", name).cloned(),
                None if name == "error" && matches!(block.role, Role::Catch(_) | Role::Finally) => {
                    Some(block.error.as_ref().map_or(Value::Null, Failure::value))
                }
                None => None,
            });
            bound.or_else(|| self.loop_variable(plan, frame.parent.as_ref()?, name))
        })
    }

    /// What a name stands for in a part of a loop.
    fn loop_variable(&self, plan: &Plan, parent: &Parent, name: &str) -> Option<Value> {
        let Body::ForEach(for_each) = &plan.workflow.step(plan.workflow.find(&parent.step)?).body else { return None };
        if for_each.item.value == name {
            Some(self.item(parent))
        } else if for_each.index.as_ref().is_some_and(|index| index.value == name) {
            Some(Value::Int(i64::from(parent.index)))
        } else {
            None
        }
    }

    fn about(&self, plan: &Plan) -> Value {
        let text = |text: String| Value::String(text.into());
        let mut about = Object::new();
        about.insert("id".into(), text(self.id.to_string()));
        about.insert("workflow".into(), text(plan.workflow.name.value.clone()));
        about.insert("version".into(), text(self.head.plan.0.to_string()));
        about.insert("started_at".into(), Value::Time(self.head.started));
        about.insert("trigger".into(), text(self.trigger.name.clone()));
        Value::Object(Arc::new(about))
    }
}

impl Scope for FrameScope<'_> {
    fn root(&self, name: &str) -> Option<Value> {
        if let Some((_, value)) = self.bound.iter().find(|(bound, _)| *bound == name) {
            return Some(value.clone());
        }
        match name {
            "event" => Some(self.run.trigger.value()),
            "events" => self.run.head.events.as_ref().map(|events| events.value.clone()),
            "run" => Some(self.run.about(self.plan)),
            "config" => Some(self.live.config.clone()),
            "error" => Some(self.run.bound_at(self.plan, self.frame, name).unwrap_or_default()),
            name => self.run.bound_at(self.plan, self.frame, name),
        }
    }

    fn step(&self, id: &str) -> Option<Value> {
        self.run.with_parents(self.frame).find_map(|frame| frame.output(id)).cloned()
    }

    fn var(&self, name: &str) -> Option<Value> {
        self.run.head.vars.get(name).map(|stored| stored.value.clone())
    }

    fn secret(&self, name: &str) -> Option<Value> {
        self.live.secrets.get(name).map(|secret| Value::String(secret.clone()))
    }

    fn now(&self) -> Time {
        self.now
    }

    fn chance(&self) -> [u8; 32] {
        let n = self.drawn.get();
        self.drawn.set(n + 1);
        self.visit.chance(self.purpose, n)
    }
}

/// The scope in which a trigger's filter is read: the event alone.
pub(crate) struct EventScope<'a> {
    pub(crate) event: Value,
    pub(crate) live: &'a Live,
    pub(crate) now: Time,
}

impl Scope for EventScope<'_> {
    fn root(&self, name: &str) -> Option<Value> {
        match name {
            "event" => Some(self.event.clone()),
            "config" => Some(self.live.config.clone()),
            _ => None,
        }
    }

    fn step(&self, _id: &str) -> Option<Value> {
        None
    }

    fn var(&self, _name: &str) -> Option<Value> {
        None
    }

    fn secret(&self, name: &str) -> Option<Value> {
        self.live.secrets.get(name).map(|secret| Value::String(secret.clone()))
    }

    fn now(&self) -> Time {
        self.now
    }

    fn chance(&self) -> [u8; 32] {
        [0; 32]
    }
}
