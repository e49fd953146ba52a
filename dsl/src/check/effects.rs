//! What steps do to the world.

use crate::catalog::{Effect, Kind};
use crate::form::Form;
use crate::plan::{Body, Step};
use crate::project::Project;
use crate::value::Value;

/// The effects of the kinds of a project.
#[derive(Clone, Copy)]
pub(super) struct Effects<'p> {
    project: &'p Project,
}

impl<'p> Effects<'p> {
    pub(super) fn of(project: &'p Project) -> Self {
        Effects { project }
    }

    /// Whether nobody outside of the run notices the step.
    pub(super) fn is_pure(self, step: &Step) -> bool {
        self.kind(step).is_some_and(|kind| kind.effect == Effect::Pure)
    }

    /// Whether a second attempt may be seen outside.
    pub(super) fn repeats(self, step: &Step) -> bool {
        let (Body::Effect(body), Some(kind)) = (&step.body, self.kind(step)) else { return false };
        let written = |(field, values): (&String, &Vec<serde_json::Value>)| {
            let value = match body.get(field) {
                Some(Form::Literal(value, _)) => value.to_json(),
                _ => return false,
            };
            values.iter().any(|other| same(other, &value))
        };
        match kind.effect {
            Effect::Unsafe if kind.repeats.is_empty() => true,
            _ => kind.repeats.iter().any(written),
        }
    }

    /// Whether the step changes something outside: reading again does not, nor does doing the same again.
    pub(super) fn changes_the_world(self, step: &Step) -> bool {
        match &step.body {
            Body::Invoke { .. } | Body::SendEvent { .. } => true,
            Body::Effect(_) => {
                let keyed = self.kind(step).is_some_and(|kind| kind.effect == Effect::Keyed);
                keyed || self.repeats(step)
            }
            _ => false,
        }
    }

    fn kind(self, step: &Step) -> Option<&'p Kind> {
        self.project.catalog.get(&step.kind.value)
    }
}

/// Words are compared without regard to case: `POST` is `post`.
fn same(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    match (one.as_str(), other.as_str()) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => one == other,
    }
}

/// The text that stands in a field.
pub(super) fn text(form: Option<&Form>) -> Option<&str> {
    match form {
        Some(Form::Literal(Value::String(text), _)) => Some(text),
        _ => None,
    }
}
