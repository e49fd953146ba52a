//! Mocks: what stands in for effects and for invoked workflows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use wf_dsl::{Body, Effect, Kind, Mock, Node, Plan, Project, Type};

use super::log::Log;
use crate::definition::Definition;
use crate::kind::{BoxFuture, Output, StepContext, StepError, StepKind};

/// The kind of a step that starts another workflow; mocked, it is an effect.
const INVOKE: &str = "invoke";
/// What an effect fails with that has no mock.
pub(super) const UNMOCKED: &str = "test.unmocked";

/// The mocks of one case.
#[derive(Debug, Default)]
pub(super) struct Mocks {
    all: Vec<Prepared>,
    by_name: HashMap<String, usize>,
}

#[derive(Debug)]
struct Prepared {
    outputs: Vec<Json>,
    takes: Duration,
    fail: Option<Failing>,
}

#[derive(Debug)]
struct Failing {
    error: StepError,
    times: u32,
}

impl Mocks {
    pub(super) fn of(mocks: &[Mock]) -> Self {
        let mut prepared = Mocks::default();
        for mock in mocks {
            let fail = mock.fail.as_ref().map(|fail| {
                let message = fail.message.clone().unwrap_or_else(|| "as the test says".to_owned());
                let retry_after = fail.retry_after.map(|after| after.to_std());
                let error = StepError { retry_after, ..StepError::new(&fail.code.value, message) };
                Failing { error, times: fail.times.unwrap_or(u32::MAX) }
            });
            prepared.by_name.insert(mock.name.value.clone(), prepared.all.len());
            let outputs = mock.outputs.iter().map(Node::to_json).collect();
            prepared.all.push(Prepared { outputs, takes: mock.takes.to_std(), fail });
        }
        prepared
    }

    /// The mock of a step, or of its kind.
    fn find(&self, step: &str, kind: &str) -> Option<usize> {
        self.by_name.get(step).or_else(|| self.by_name.get(kind)).copied()
    }

    /// The `invoke` steps of a workflow that are mocked.
    pub(super) fn invokes<'p>(&'p self, plan: &'p Plan) -> impl Iterator<Item = &'p str> {
        let steps = plan.workflow.steps.iter().filter(|step| matches!(step.body, Body::Invoke { .. }));
        steps.map(|step| &*step.id).filter(|step| self.find(step, INVOKE).is_some())
    }
}

/// The plan of a workflow as tests run it: without jitter, started by events only if it `starts`, and with effects in the
/// place of the `invoke` steps that are `mocked`.
pub(super) fn plan_of(project: &Project, plan: &Plan, starts: bool, mocked: &[String]) -> Plan {
    let mut workflow = plan.workflow.clone();
    if !starts {
        for trigger in &mut workflow.triggers {
            if let wf_dsl::Trigger::Event { filter, event } = trigger {
                *filter = Some(wf_dsl::Form::Literal(false.into(), event.span));
            }
        }
    }
    let types: BTreeMap<String, Type> = match mocked {
        [] => BTreeMap::new(),
        _ => project.invoke_outputs(&workflow.name.value).into_iter().collect(),
    };
    for step in &mut workflow.steps {
        step.retry.iter_mut().for_each(|retry| retry.jitter = false);
        if let Body::Invoke { with, .. } = &step.body
            && mocked.iter().any(|mocked| **mocked == *step.id)
        {
            step.body = Body::Effect(with.clone());
            step.returns = types.get(&*step.id).cloned();
        }
    }
    let mut kinds = plan.kinds.clone();
    if !mocked.is_empty() {
        kinds.insert(INVOKE.to_owned(), stub(INVOKE));
    }
    Plan {
        hash: plan.hash,
        stored: plan.stored.clone(),
        workflow,
        events: plan.events.clone(),
        templates: plan.templates.clone(),
        kinds,
    }
}

/// A kind of which nothing is known.
fn stub(name: &str) -> Kind {
    Kind {
        name: name.to_owned(),
        description: String::new(),
        body: json!({}),
        output: json!({}),
        errors: Vec::new(),
        effect: Effect::Keyed,
        repeats: BTreeMap::new(),
        literal_fields: Vec::new(),
        secret_fields: Vec::new(),
        connections: Vec::new(),
        open_output: true,
        returns_at: String::new(),
        examples: Vec::new(),
    }
}

/// Stands in for one kind.
pub(super) struct MockKind {
    name: String,
    /// It gives null, whatever it is asked.
    is_null: bool,
    mocks: Arc<Mocks>,
    log: Log,
}

impl MockKind {
    /// What stands in for all kinds of these workflows.
    pub(super) fn all(definitions: &[Arc<Definition>], mocks: &Arc<Mocks>, log: &Log) -> Vec<Arc<dyn StepKind>> {
        let mut names: BTreeMap<&str, bool> = BTreeMap::new();
        for plan in definitions.iter().map(|definition| &definition.plan) {
            for step in plan.workflow.steps.iter().filter(|step| matches!(step.body, Body::Effect(_))) {
                let kind = plan.kinds.get(&step.kind.value);
                let is_null = kind.is_some_and(|kind| kind.output == json!({"type": "null"}));
                names.insert(&step.kind.value, is_null);
            }
        }
        let kind = |(name, is_null): (&str, bool)| {
            let (mocks, log) = (mocks.clone(), log.clone());
            Arc::new(MockKind { name: name.to_owned(), is_null, mocks, log }) as Arc<dyn StepKind>
        };
        names.into_iter().map(kind).collect()
    }

    async fn answer(&self, cx: &StepContext) -> Result<Output, StepError> {
        let Some(place) = self.mocks.find(&cx.step, &self.name) else {
            if self.is_null {
                return Ok(Json::Null.into());
            }
            self.log.seen().unmocked.push((cx.step.clone(), self.name.clone()));
            let error = StepError::new(UNMOCKED, format!("`{}` has no mock", cx.step));
            return Err(StepError { retriable: Some(false), ..error });
        };
        let mock = &self.mocks.all[place];
        let before = {
            let mut seen = self.log.seen();
            let calls = seen.mocked.entry(place).or_default();
            *calls += 1;
            *calls - 1
        };
        if !mock.takes.is_zero() {
            cx.clock.pass(mock.takes).await;
        }
        let failures = match &mock.fail {
            Some(fail) if before < fail.times => {
                let by_invoke = self.name == INVOKE;
                // A retry of an `invoke` takes every error but those that come again.
                let retriable = by_invoke.then(|| !fail.error.code.starts_with("validation."));
                return Err(StepError { retriable, ..fail.error.clone() });
            }
            Some(fail) => fail.times,
            None => 0,
        };
        let nth = (before - failures) as usize;
        let output = mock.outputs.get(nth).or(mock.outputs.last()).cloned().unwrap_or_default();
        Ok(output.into())
    }
}

impl StepKind for MockKind {
    fn describe(&self) -> Kind {
        // The plans say what the real one gives.
        stub(&self.name)
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        self.log.body(cx.run, &cx.step, cx.attempt, &args);
        Box::pin(self.answer(cx))
    }
}
