//! Telling step kinds that runs go, so that what they keep of them elsewhere goes, too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use wf_dsl::{Body, Form, Value};

use crate::clock::Clock;
use crate::definition::Definition;
use crate::ids::RunId;
use crate::kind::{Environment, StepContext, StepError, StepKind};

/// How long a kind may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The kinds, and what they find around them.
#[derive(Clone)]
pub(crate) struct Kinds {
    pub(crate) kinds: HashMap<String, Arc<dyn StepKind>>,
    pub(crate) environment: Arc<Environment>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Kinds {
    /// No kinds: what they keep stays.
    pub(crate) fn none(clock: Arc<dyn Clock>) -> Self {
        Kinds { kinds: HashMap::new(), environment: Arc::default(), clock }
    }

    /// Tells the kinds that these runs of one definition used. The first that fails says why.
    pub(super) async fn forget(&self, definition: &Definition, runs: &[RunId]) -> Result<(), StepError> {
        for ((kind, connection), step) in used(definition) {
            // A kind that this host does not have keeps nothing here.
            let Some(kind) = self.kinds.get(kind) else { continue };
            let context = self.context(definition, step, runs[0]);
            let told = kind.forget(&context, connection, runs);
            tokio::select! {
                told = told => told?,
                () = self.clock.pass(LIMIT) => return Err(StepError::new("timeout", "the kind took too long")),
            }
        }
        Ok(())
    }

    /// The context of an attempt that is not made.
    fn context(&self, definition: &Definition, step: &str, run: RunId) -> StepContext {
        let environment = &self.environment;
        StepContext {
            run,
            workflow: definition.plan.workflow.name.value.as_str().into(),
            step: step.into(),
            key: String::new(),
            effect: String::new(),
            attempt: 0,
            iteration: None,
            deadline: None,
            remaining: Some(LIMIT),
            now: self.clock.now(),
            clock: self.clock.clone(),
            returns: None,
            templates: definition.templates.clone(),
            connections: environment.connections.clone(),
            outbox: environment.outbox.clone(),
            stand_ins: environment.stand_ins.clone(),
            project: environment.project.clone(),
        }
    }
}

/// The kinds and connections that a definition names, each with a step that does.
fn used(definition: &Definition) -> BTreeMap<(&str, Option<&str>), &str> {
    let mut used = BTreeMap::new();
    for step in &definition.plan.workflow.steps {
        let Body::Effect(body) = &step.body else { continue };
        let connection = match body.get("connection") {
            Some(Form::Literal(Value::String(name), _)) => Some(&**name),
            _ => None,
        };
        used.entry((step.kind.value.as_str(), connection)).or_insert(&*step.id);
    }
    used
}

/// Runs by their definition, so that kinds are told of many at once.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<String, (Arc<Definition>, BTreeSet<RunId>)>);

impl Groups {
    pub(super) fn add(&mut self, definition: Arc<Definition>, run: RunId) {
        let key = definition.plan.hash.to_string();
        self.0.entry(key).or_insert_with(|| (definition, BTreeSet::new())).1.insert(run);
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = (Arc<Definition>, Vec<RunId>)> {
        self.0.into_values().map(|(definition, runs)| (definition, runs.into_iter().collect()))
    }
}
