//! Definitions: plans with what the engine looks up at every step.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use wf_dsl::{Body, Field, Kind, MessageTemplate, Plan, Span, Step, Type};

use crate::run::StepId;

/// A plan, ready to run.
#[derive(Debug)]
pub struct Definition {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The types of the effects' outputs, by step.
    outputs: HashMap<StepId, Type>,
    /// The message templates, as step kinds get them.
    pub(crate) templates: Arc<BTreeMap<String, MessageTemplate>>,
    /// The types that `returns` declares, by step, as step kinds get them.
    pub(crate) returns: HashMap<StepId, Arc<Type>>,
}

impl Definition {
    /// Prepares a plan.
    pub fn new(plan: Arc<Plan>) -> Self {
        let effects = || plan.workflow.steps.iter().filter(|step| matches!(step.body, Body::Effect(_)));
        let outputs = effects().filter_map(|step| {
            let kind = plan.kinds.get(&step.kind.value)?;
            Some((step.id.clone(), output_type(step, kind)))
        });
        let returns = effects().filter_map(|step| Some((step.id.clone(), Arc::new(step.returns.clone()?))));
        Definition {
            outputs: outputs.collect(),
            returns: returns.collect(),
            templates: Arc::new(plan.templates.clone()),
            plan,
        }
    }

    /// The type of an effect's output.
    pub fn output_type(&self, step: &Step) -> Option<&Type> {
        self.outputs.get(&step.id)
    }
}

/// The kind's output type; what `returns` declares takes the place of the part that the kind leaves open.
fn output_type(step: &Step, kind: &Kind) -> Type {
    // The builder refuses kinds whose schema is none; in an old plan it says nothing.
    let own = Type::from_schema(&kind.output).unwrap_or(Type::Any);
    match step.returns.clone().filter(|_| kind.open_output) {
        Some(returns) => replaced(own, kind.returns_at.split('/').skip(1), returns),
        None => own,
    }
}

fn replaced<'a>(ty: Type, mut path: impl Iterator<Item = &'a str>, with: Type) -> Type {
    let Some(name) = path.next() else {
        // A kind whose own schema speaks of null gives it where there is nothing, such as no row.
        let speaks_of_null = ty != Type::Any && ty.accept(&serde_json::Value::Null).is_ok();
        return if speaks_of_null && with != Type::Any { Type::Nullable(Box::new(with)) } else { with };
    };
    let Type::Object(mut fields) = ty else { return ty };
    let inner = fields.get(name).map_or(Type::Any, |field| field.ty.clone());
    let field = Field { ty: replaced(inner, path, with), optional: false, span: Span::NOWHERE };
    fields.insert(name.to_owned(), field);
    Type::Object(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn returns_takes_the_place_of_what_is_open() {
        let fits = |own: serde_json::Value, at: &str, output: serde_json::Value| {
            let own = Type::from_schema(&own).unwrap();
            replaced(own, at.split('/').skip(1), Type::Int).accept(&output).is_ok()
        };
        let anything = json!({});
        let something_or_null = json!({"type": ["array", "object", "string", "number", "boolean", "null"]});
        let within = |own| json!({"type": "object", "properties": {"body": own}, "required": ["body"]});
        assert!(fits(anything.clone(), "", json!(1)) && !fits(anything.clone(), "", json!("a")));
        assert!(!fits(anything.clone(), "", json!(null)));
        assert!(fits(something_or_null.clone(), "", json!(1)) && !fits(something_or_null.clone(), "", json!("a")));
        assert!(fits(something_or_null.clone(), "", json!(null)));
        assert!(fits(within(anything.clone()), "/body", json!({"body": 1})));
        assert!(!fits(within(anything), "/body", json!({"body": null})));
        assert!(fits(within(something_or_null), "/body", json!({"body": null})));
    }
}
