//! The receiving side: step kinds that do as chance says, and what they were asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};
use wf_engine::{
    BoxFuture, Clock, Definition, Kind, Output, Plan, RunId, StepContext, StepError, StepKind, Time, Type,
};

use crate::chance::{self, Random, happens, one};
use crate::store::Ledger;

/// One attempt, as the receiving side saw it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The last commit that was synced when it began.
    pub(crate) synced: u64,
    pub(crate) at: Time,
    pub(crate) run: RunId,
    pub(crate) step: Arc<str>,
    pub(crate) attempt: u32,
    pub(crate) effect: String,
    pub(crate) ended: Option<Time>,
    /// The process that made it, and whether its end was that of the attempt.
    pub(crate) process: usize,
    pub(crate) cut_off: bool,
}

/// Everything that all processes of a schedule asked of the world outside.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) calls: Arc<Mutex<Vec<Call>>>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    /// Which process is there.
    pub(crate) process: Arc<AtomicUsize>,
    /// The process has ended; what is dropped now was not given up by the engine.
    pub(crate) over: Arc<AtomicBool>,
}

/// A kind whose attempts are written down.
pub(crate) struct Witness {
    pub(crate) kind: Arc<dyn StepKind>,
    pub(crate) log: Log,
}

/// Writes down when an attempt ended, whoever ended it.
struct Ending {
    log: Log,
    number: usize,
    clock: Arc<dyn Clock>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let over = self.log.over.load(Ordering::Relaxed);
        let mut calls = self.log.calls.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let call = &mut calls[self.number];
        (call.ended, call.cut_off) = if over { (None, true) } else { (Some(self.clock.now()), false) };
    }
}

impl StepKind for Witness {
    fn describe(&self) -> Kind {
        self.kind.describe()
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let call = Call {
                synced: self.log.ledger.lock().unwrap().synced,
                at: cx.clock.now(),
                run: cx.run,
                step: cx.step.clone(),
                attempt: cx.attempt,
                effect: cx.effect.clone(),
                ended: None,
                process: self.log.process.load(Ordering::Relaxed),
                cut_off: false,
            };
            let number = {
                let mut calls = self.log.calls.lock().unwrap();
                calls.push(call);
                calls.len() - 1
            };
            let _ending = Ending { log: self.log.clone(), number, clock: cx.clock.clone() };
            self.kind.execute(cx, args).await
        })
    }
}

/// What steps give, by workflow and step.
type Outputs = HashMap<(String, Arc<str>), Type>;

/// A kind of which only the description is known: what it gives fits its type, and the rest is chance.
struct Scripted {
    kind: Kind,
    outputs: Arc<Outputs>,
    random: Arc<Mutex<Random>>,
}

/// What stands in for all kinds of these plans.
pub(crate) fn scripted(plans: &[Arc<Plan>], random: Random) -> Vec<Arc<dyn StepKind>> {
    let mut kinds: BTreeMap<&str, &Kind> = BTreeMap::new();
    let mut outputs = Outputs::new();
    for plan in plans {
        kinds.extend(plan.kinds.iter().map(|(name, kind)| (name.as_str(), kind)));
        let definition = Definition::new(plan.clone());
        for step in &plan.workflow.steps {
            if let Some(ty) = definition.output_type(step) {
                outputs.insert((plan.workflow.name.value.clone(), step.id.clone()), ty.clone());
            }
        }
    }
    let (outputs, random) = (Arc::new(outputs), Arc::new(Mutex::new(random)));
    let scripted = |kind: &Kind| Scripted { kind: kind.clone(), outputs: outputs.clone(), random: random.clone() };
    kinds.into_values().map(|kind| Arc::new(scripted(kind)) as Arc<dyn StepKind>).collect()
}

/// What an attempt comes to.
enum Fate {
    Gives(Json),
    Fails(StepError),
    Panics,
    /// It never ends by itself.
    Hangs,
}

impl Scripted {
    /// How long an attempt takes, and what it comes to.
    fn fate(&self, cx: &StepContext) -> (Duration, Fate) {
        let random = &mut *self.random.lock().unwrap();
        let millis = match random.below(20) {
            0..10 => 0,
            10..16 => random.below(50),
            16..19 => random.below(30_000),
            _ => random.below(1_200_000),
        };
        let fate = match random.below(100) {
            0..68 => {
                let ty = self.outputs.get(&(cx.workflow.to_string(), cx.step.clone())).unwrap_or(&Type::Any);
                Fate::Gives(chance::value(random, ty, &cx.step, cx.clock.now()))
            }
            68..93 => Fate::Fails(self.error(random)),
            93..95 => Fate::Gives(json!(["not what the type says"])),
            95..97 => Fate::Panics,
            _ if cx.remaining.is_some() => Fate::Hangs,
            _ => Fate::Gives(Json::Null),
        };
        (Duration::from_millis(millis as u64), fate)
    }

    fn error(&self, random: &mut Random) -> StepError {
        let code = match self.kind.errors.as_slice() {
            [] => "host.trouble".to_owned(),
            errors => match one(random, errors).code.strip_suffix('*') {
                Some(family) => format!("{family}{}", one(random, &["402", "404", "503"])),
                None => one(random, errors).code.trim_end_matches('*').to_owned(),
            },
        };
        let after = happens(random, 10).then(|| Duration::from_millis(random.below(100_000) as u64));
        StepError { retry_after: after, ..StepError::new(code, "as chance has it") }
    }
}

impl StepKind for Scripted {
    fn describe(&self) -> Kind {
        self.kind.clone()
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, _args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let (takes, fate) = self.fate(cx);
            if !takes.is_zero() {
                cx.clock.pass(takes).await;
            }
            match fate {
                Fate::Gives(value) => Ok(value.into()),
                Fate::Fails(error) => Err(error),
                Fate::Panics => panic!("as chance has it"),
                Fate::Hangs => std::future::pending().await,
            }
        })
    }
}
