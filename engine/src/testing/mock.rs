//! Mocks: what stands in for effects and for invoked workflows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use wf_dsl::{Body, Effect, Kind, Mock, MockFailure, MockOutcome, Node, Plan, Project, Type};

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

/// What calls come to, one after the other; the last stays.
#[derive(Debug)]
struct Prepared(Vec<Outcome>);

#[derive(Debug)]
struct Outcome {
    /// For calls in this iteration only.
    iteration: Option<String>,
    takes: Duration,
    answer: Answer,
    /// For how many calls.
    times: u32,
}

#[derive(Debug)]
enum Answer {
    Gives(Json),
    Fails(StepError),
    Hangs,
}

impl Mocks {
    pub(super) fn of(mocks: &[Mock]) -> Self {
        let mut prepared = Mocks::default();
        for mock in mocks {
            prepared.by_name.insert(mock.name.value.clone(), prepared.all.len());
            prepared.all.push(Prepared::of(mock));
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

impl Prepared {
    fn of(mock: &Mock) -> Self {
        let takes = mock.takes.to_std();
        let any = |answer, times| Outcome { iteration: None, takes, answer, times };
        let mut outcomes: Vec<Outcome> = mock.outcomes.iter().map(Outcome::of).collect();
        let fail = mock.fail.as_ref().map(|fail| any(Answer::Fails(error_of(fail)), fail.times.unwrap_or(u32::MAX)));
        outcomes.extend(fail);
        outcomes.extend(mock.outputs.iter().map(|output| any(Answer::Gives(output.to_json()), 1)));
        if mock.outputs.is_empty() && mock.outcomes.is_empty() {
            outcomes.push(any(Answer::Gives(Json::Null), 1));
        }
        Prepared(outcomes)
    }

    /// The place of the outcome of a call, given how often each was taken.
    fn next(&self, iteration: Option<&str>, taken: &[u32]) -> usize {
        let is_for = |outcome: &Outcome| outcome.iteration.is_none() || outcome.iteration.as_deref() == iteration;
        let left = |place: &usize| taken.get(*place).copied().unwrap_or(0) < self.0[*place].times;
        let fitting = || (0..self.0.len()).filter(|place| is_for(&self.0[*place]));
        fitting().find(left).or_else(|| fitting().next_back()).unwrap_or(self.0.len() - 1)
    }
}

impl Outcome {
    fn of(outcome: &MockOutcome) -> Self {
        let answer = match (&outcome.output, &outcome.fail) {
            (Some(output), _) => Answer::Gives(output.to_json()),
            (None, Some(fail)) => Answer::Fails(error_of(fail)),
            (None, None) => Answer::Hangs,
        };
        Outcome { iteration: outcome.iteration.clone(), takes: outcome.takes.to_std(), answer, times: 1 }
    }
}

fn error_of(fail: &MockFailure) -> StepError {
    let message = fail.message.as_deref().unwrap_or("as the test says");
    let retry_after = fail.retry_after.map(|after| after.to_std());
    let data = fail.data.as_ref().map(Node::to_json).unwrap_or_default();
    StepError { retry_after, data, ..StepError::new(&fail.code.value, message) }
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
        let outcome = {
            let mut seen = self.log.seen();
            let taken = seen.mocked.entry(place).or_default();
            taken.resize(mock.0.len(), 0);
            let next = mock.next(cx.iteration.as_deref(), taken);
            taken[next] = taken[next].saturating_add(1);
            &mock.0[next]
        };
        if !outcome.takes.is_zero() {
            cx.clock.pass(outcome.takes).await;
        }
        match &outcome.answer {
            Answer::Gives(output) => Ok(output.clone().into()),
            Answer::Fails(error) => {
                // A retry of an `invoke` takes every error but those that come again.
                let retriable = (self.name == INVOKE).then(|| !error.code.starts_with("validation."));
                Err(StepError { retriable, ..error.clone() })
            }
            Answer::Hangs => std::future::pending().await,
        }
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
