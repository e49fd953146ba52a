//! The engine's door: build it, send events, await runs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::{mpsc, oneshot};
use wf_dsl::{Catalog, InputFile, Plan, Project, ProjectInput, Value};

use crate::clock::{Clock, SystemClock};
use crate::definition::Definition;
use crate::driver::{BACKLOG_MAX, Driver, History, Message, Parts};
use crate::error::{Error, ErrorKind};
use crate::ids::{EventId, RunId, chance};
use crate::kind::{Connection, Environment, StepKind};
use crate::observe::Observer;
use crate::operate::Operator;
use crate::redact::{Redactor, SECRET_BYTES_MIN};
use crate::registry::Registry;
use crate::report::{self, PendingEvent, RunReport};
use crate::run::{Live, Record, StateLimits};
use crate::send::{Event, Incoming, Receipt};
use crate::start;
use crate::store::{Copied, CopyTo, Health, MemoryStore, Store};
use crate::upkeep::{Kinds, Pass, Pruned, Retention};

/// A running engine. Clones share it; the last one that is dropped stops it, as a crash would: nothing is lost.
#[derive(Clone, Debug)]
pub struct Engine {
    messages: mpsc::UnboundedSender<Message>,
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    registry: Registry,
    clock: Arc<dyn Clock>,
    kinds: Kinds,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("registry", &self.registry).field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Collects what an engine is made of.
pub struct Builder {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    kinds: HashMap<String, Arc<dyn StepKind>>,
    twice: Vec<String>,
    definitions: Vec<Arc<Definition>>,
    files: Vec<InputFile>,
    live: Live,
    environment: Environment,
    observer: Option<Arc<dyn Observer>>,
    schedules: bool,
    history: History,
    retention: Option<Retention>,
    backlog_max: u64,
    seed: Option<u64>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("plans", &self.definitions.len()).finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(SystemClock::default()),
            kinds: HashMap::new(),
            twice: Vec::new(),
            definitions: Vec::new(),
            files: Vec::new(),
            live: Live::default(),
            environment: Environment::default(),
            observer: None,
            schedules: true,
            history: History::default(),
            retention: Some(Retention::default()),
            backlog_max: BACKLOG_MAX,
            seed: None,
        }
    }
}

impl Builder {
    /// Where runs live; in memory if it is not said, so that nothing outlives the process.
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Arc::new(store);
        self
    }

    /// Where time comes from; the machine's clock if it is not said.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Adds a step kind.
    #[must_use]
    pub fn kind(self, kind: impl StepKind) -> Self {
        self.kinds([Arc::new(kind) as Arc<dyn StepKind>])
    }

    /// Adds step kinds.
    #[must_use]
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = Arc<dyn StepKind>>) -> Self {
        for kind in kinds {
            let name = kind.describe().name;
            if self.kinds.insert(name.clone(), kind).is_some() {
                self.twice.push(name);
            }
        }
        self
    }

    /// Adds workflows; each becomes the newest of its name.
    #[must_use]
    pub fn plans(self, plans: impl IntoIterator<Item = Plan>) -> Self {
        self.shared_plans(plans.into_iter().map(Arc::new))
    }

    /// The same without copying them, for whoever builds many engines.
    #[must_use]
    pub fn shared_plans(self, plans: impl IntoIterator<Item = Arc<Plan>>) -> Self {
        self.definitions(plans.into_iter().map(|plan| Arc::new(Definition::new(plan))))
    }

    /// The same with what has been prepared before.
    pub(crate) fn definitions(mut self, definitions: impl IntoIterator<Item = Arc<Definition>>) -> Self {
        self.definitions.extend(definitions);
        self
    }

    /// Adds a YAML file by its path, for messages, and its text: workflows and event types that belong together.
    /// [`Builder::build`] checks them.
    #[must_use]
    pub fn file(mut self, path: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        self.files.push(InputFile { path: path.into(), bytes: text.into(), named: true });
        self
    }

    /// The project's configuration, as `config` gives it to expressions.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.live.config = config;
        self
    }

    /// The project's secrets by name. They are taken out of everything that is stored or shown.
    #[must_use]
    pub fn secrets(mut self, secrets: BTreeMap<String, Arc<str>>) -> Self {
        self.live.secrets = secrets;
        self
    }

    /// How much a run may hold; see [`StateLimits`] for what happens to one that would hold more.
    #[must_use]
    pub fn state_limits(mut self, limits: StateLimits) -> Self {
        self.live.limits = limits;
        self
    }

    /// How much of what happened to a run is kept.
    #[must_use]
    pub fn history(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    /// How long runs and events are kept that nobody needs; with `None` for good.
    #[must_use]
    pub fn retention(mut self, retention: impl Into<Option<Retention>>) -> Self {
        self.retention = retention.into();
        self
    }

    /// How many runs may wait for their beginning; [`BACKLOG_MAX`](crate::BACKLOG_MAX) if it is not said. While there are
    /// as many, [`Engine::send`] and [`Engine::start`] answer [`ErrorKind::Busy`] and take nothing in. What runs send and
    /// invoke, schedules and delayed events are never turned away.
    #[must_use]
    pub fn backlog_max(mut self, runs: u64) -> Self {
        self.backlog_max = runs;
        self
    }

    /// The connections of the project.
    #[must_use]
    pub fn connections(mut self, connections: impl IntoIterator<Item = Connection>) -> Self {
        let by_name = connections.into_iter().map(|connection| (connection.name.clone(), connection)).collect();
        self.environment.connections = Arc::new(by_name);
        self
    }

    /// The folder for messages of connections that are not configured, and for the files of databases that are not.
    /// Without it, nothing stands in for what is not configured.
    #[must_use]
    pub fn stand_ins(mut self, outbox: impl AsRef<std::path::Path>, files: impl AsRef<std::path::Path>) -> Self {
        self.environment.outbox = Some(outbox.as_ref().into());
        self.environment.stand_ins = Some(files.as_ref().into());
        self
    }

    /// The project's folder, for attachments and the like.
    #[must_use]
    pub fn project(mut self, folder: impl AsRef<std::path::Path>) -> Self {
        self.environment.project = Some(folder.as_ref().into());
        self
    }

    /// Somebody who sees every record as soon as it is durable.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Starts no run by a schedule, for tools that run one workflow and what comes of it. The schedules do not move on
    /// meanwhile; the next engine finds the ticks that were missed.
    #[must_use]
    pub fn without_schedules(mut self) -> Self {
        self.schedules = false;
        self
    }

    /// Where the count in event ids begins, for simulations that repeat themselves. A chance number if it is not said,
    /// since two engines that begin with the same one in the same millisecond give the same ids.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// What the language needs to know of the kinds that were added.
    pub fn catalog(&self) -> Catalog {
        self.kinds.values().map(|kind| kind.describe()).collect()
    }

    /// The plans of the files that were added, or what is wrong with them.
    fn checked_files(&mut self) -> Result<(), Error> {
        let input = ProjectInput { files: std::mem::take(&mut self.files), ..ProjectInput::default() };
        let project = Project::read(input, &self.catalog());
        if project.findings.has_errors() {
            return Err(Error::invalid_files(project));
        }
        for workflow in &project.workflows {
            let plan = project.plan(&workflow.name.value);
            let plan = plan.map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
            self.definitions.push(Arc::new(Definition::new(Arc::new(plan))));
        }
        Ok(())
    }

    /// Starts the engine on the present tokio runtime: what the store holds goes on at once.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if a workflow uses something that this engine does not execute, or a kind that was not
    /// added; [`ErrorKind::Conflict`] for a kind that was added twice or a store of the other sort of time;
    /// [`ErrorKind::Invalid`] for a file with errors ([`Error::project`] has them) or a secret that is too short; and whatever the store answers.
    pub async fn build(mut self) -> Result<Engine, Error> {
        self.checked_files()?;
        if let Some(twice) = self.twice.first() {
            return Err(Error::new(ErrorKind::Conflict, format!("the kind `{twice}` was added twice")));
        }
        for kind in self.kinds.values().map(|kind| kind.describe()) {
            wf_dsl::Type::from_schema(&kind.output).map_err(|error| {
                let message = format!("the output schema of the kind `{}` is none: {error}", kind.name);
                Error::new(ErrorKind::Invalid, message)
            })?;
        }
        for (name, secret) in &self.live.secrets {
            if secret.len() < SECRET_BYTES_MIN {
                let message = format!("the secret `{name}` is shorter than {SECRET_BYTES_MIN} bytes");
                return Err(Error::new(ErrorKind::Invalid, message));
            }
        }
        for plan in self.definitions.iter().map(|definition| &definition.plan) {
            self.refuse_missing_kinds(plan)?;
        }
        start::set_clock(&*self.store, &*self.clock).await?;
        let registry = start::register(&*self.store, self.definitions).await?;
        let (messages, inbox) = mpsc::unbounded_channel();
        let environment = Arc::new(self.environment);
        let kinds = Kinds { kinds: self.kinds.clone(), environment: environment.clone(), clock: self.clock.clone() };
        let shared = Shared { store: self.store.clone(), registry: registry.clone(), clock: self.clock.clone(), kinds };
        let driver = Driver::new(
            Parts {
                store: self.store,
                clock: self.clock,
                kinds: self.kinds,
                registry,
                redactor: Redactor::new(&self.live.secrets),
                live: self.live,
                environment,
                observer: self.observer,
                schedules: self.schedules,
                history: self.history,
                retention: self.retention,
                backlog_max: self.backlog_max,
                seed: self.seed.unwrap_or_else(chance),
            },
            inbox,
        );
        tokio::spawn(driver.run());
        Ok(Engine { messages, shared: Arc::new(shared) })
    }

    /// What a person does with the runs of the store, without starting an engine; dropped runs are told to the kinds.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn operator(self) -> Result<Operator, Error> {
        let kinds = Kinds { kinds: self.kinds, environment: Arc::new(self.environment), clock: self.clock };
        Ok(Operator::of_shared(self.store).await?.with_keepers(kinds))
    }

    /// Makes one whole pass of retention over the store, without starting an engine.
    ///
    /// # Errors
    /// Whatever the store answers.
    pub async fn prune(self) -> Result<Pruned, Error> {
        let registry = start::known(&*self.store).await?;
        let kinds = Kinds { kinds: self.kinds, environment: Arc::new(self.environment), clock: self.clock.clone() };
        let now = match start::clock_of(&*self.store).await? {
            Some((true, at)) => at,
            _ => self.clock.now(),
        };
        let retention = self.retention.unwrap_or_default();
        Pass { store: self.store, registry, kinds, retention, now, doubted: None }.all().await
    }

    fn refuse_missing_kinds(&self, plan: &Plan) -> Result<(), Error> {
        let workflow = &plan.workflow.name.value;
        if let Some(kind) = plan.kinds.keys().find(|kind| !self.kinds.contains_key(*kind)) {
            let message = format!("workflow `{workflow}` uses the kind `{kind}`, which this host does not have");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(())
    }
}

impl Engine {
    /// Collects what an engine is made of.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Sends an event. When this returns, the event and the runs that it starts are durable.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the data does not fit the event's type or is longer than
    /// [`EVENT_BYTES_MAX`](crate::EVENT_BYTES_MAX); [`ErrorKind::Busy`] if too many runs are queued already, to try again
    /// after [`Error::retry_after`]. Nothing happened then, nor with any other error but [`ErrorKind::Unknown`].
    pub async fn send(&self, event: Event) -> Result<Receipt, Error> {
        self.ask(|answer| Message::Send(Incoming::Event(event), answer)).await?
    }

    /// Starts a run of one workflow by hand with `data` for its first event trigger, or for its `input`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such workflow, otherwise as [`Engine::send`].
    pub async fn start(&self, workflow: &str, data: Json) -> Result<RunId, Error> {
        let event = self.trigger_of(workflow)?;
        self.start_with(workflow, &event, data).await
    }

    /// The same with the name of the event that the run sees, for workflows with several triggers. With `wf.cron` the
    /// run is that of the tick which `data` names as `scheduled_at`, and without it of one which is due now.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub async fn start_with(&self, workflow: &str, event: &str, data: Json) -> Result<RunId, Error> {
        let start = Incoming::Start { workflow: workflow.to_owned(), event: event.to_owned(), data };
        let receipt = self.ask(|answer| Message::Send(start, answer)).await??;
        receipt.runs.first().copied().ok_or_else(|| Error::new(ErrorKind::NotFound, "no run was started"))
    }

    fn trigger_of(&self, workflow: &str) -> Result<String, Error> {
        let plan = self.shared.registry.plan(workflow);
        let plan = plan.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no workflow `{workflow}`")))?;
        let event = plan.workflow.triggers.iter().find_map(|trigger| match trigger {
            wf_dsl::Trigger::Event { event, .. } => Some(event.value.clone()),
            wf_dsl::Trigger::Cron { .. } => None,
        });
        Ok(event.unwrap_or_else(|| "wf.invoke".to_owned()))
    }

    /// Waits until a run has ended, and tells how.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run, and whatever the store answers.
    pub async fn wait(&self, run: RunId) -> Result<RunReport, Error> {
        self.ask(|answer| Message::Await(run, answer)).await??;
        self.report(run).await
    }

    /// How a run stands, with its steps.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run, and whatever the store answers.
    pub async fn report(&self, run: RunId) -> Result<RunReport, Error> {
        report::report(&*self.shared.store, &self.shared.registry, run).await
    }

    /// Asks a run to end. Durable when this returns; what is under way is given up, `finally` runs.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run, [`ErrorKind::Conflict`] if it has ended.
    pub async fn cancel(&self, run: RunId, reason: &str) -> Result<(), Error> {
        self.operator().cancel(run, reason).await
    }

    /// What a person does with the runs of this engine: lists, retries, and the like.
    pub fn operator(&self) -> Operator {
        let Shared { store, registry, clock, kinds } = &*self.shared;
        let messages = self.messages.clone();
        Operator::of_engine(store.clone(), registry.clone(), clock.clone(), kinds.clone(), messages)
    }

    /// Resolves when nothing can happen any more without an event from outside: no run works, and no timer is set.
    ///
    /// # Errors
    /// [`ErrorKind::Stopped`]
    pub async fn quiet(&self) -> Result<(), Error> {
        self.ask(Message::Quiet).await
    }

    /// Resolves when the observer has been told of everything that is durable: nothing is under way but attempts of
    /// steps. Timers may be set.
    ///
    /// # Errors
    /// [`ErrorKind::Stopped`]
    pub async fn caught_up(&self) -> Result<(), Error> {
        self.ask(Message::CaughtUp).await
    }

    /// All runs that have not ended, in the order of their ids. For tools: it reads the whole queue and all timers.
    ///
    /// # Errors
    /// Whatever the store answers.
    pub async fn open_runs(&self) -> Result<Vec<RunId>, Error> {
        report::open_runs(&*self.shared.store).await
    }

    /// The runs that an event started, in the order of their workflows' names; those of workflows that the engine does
    /// not know any more are left out.
    ///
    /// # Errors
    /// Whatever the store answers.
    pub async fn runs_of(&self, event: EventId) -> Result<Vec<RunId>, Error> {
        report::runs_of(&*self.shared.store, &self.shared.registry, event).await
    }

    /// A run and all runs that came of it so far: the runs that it invoked and those that its events started, and so
    /// on. Each run is followed by those that came of it. For tools: it reads all records of all these runs.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run, and whatever the store answers.
    pub async fn family(&self, run: RunId) -> Result<Vec<RunId>, Error> {
        report::family(&*self.shared.store, &self.shared.registry, run).await
    }

    /// The events that are to get their place in the log later, and those that `debounce` and `batch` have gathered, in the
    /// order in which they are due. For tools: it reads all timers.
    ///
    /// # Errors
    /// Whatever the store answers.
    pub async fn pending_events(&self) -> Result<Vec<PendingEvent>, Error> {
        report::pending_events(&*self.shared.store).await
    }

    /// Whether the store takes commits. After a failed write it does not, and every run stays where it is.
    pub fn health(&self) -> Health {
        self.shared.store.health()
    }

    /// All records of a run in their order, for tools that show or export them.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run, and whatever the store answers.
    pub async fn records(&self, run: RunId) -> Result<Vec<Record>, Error> {
        self.operator().records(run).await
    }

    /// The rows, for what looks at everything at once.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    /// The present time of the engine's clock.
    pub fn now(&self) -> wf_dsl::Time {
        self.shared.clock.now()
    }

    /// Writes a copy of the store into a folder that is not there yet or is empty, while the engine goes on. The copy is
    /// a store with all that was durable at one moment before this returns.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if there is something in the folder, or the disk fails; or the store has no files.
    pub async fn backup(&self, dir: impl Into<std::path::PathBuf>) -> Result<Copied, Error> {
        self.copy(CopyTo::Folder(dir.into())).await
    }

    /// Copies the store's rows into fresh files, which take the place of the present ones, while the engine goes on. It
    /// does so by itself after many rows are gone.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`]: the store is as it was.
    pub async fn compact(&self) -> Result<Copied, Error> {
        self.copy(CopyTo::Place).await
    }

    async fn copy(&self, to: CopyTo) -> Result<Copied, Error> {
        let copied = self.shared.store.copy(to).await;
        copied.map_err(|error| Error::new(ErrorKind::Unavailable, format!("the store cannot be copied: {error}")))
    }

    /// Stops the engine: attempts in flight are given up and made again by the next engine on this store.
    pub async fn shutdown(&self) {
        // An engine that has stopped needs no stopping.
        let _ = self.ask(Message::Stop).await;
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Error> {
        let (answer, told) = oneshot::channel();
        self.messages.send(message(answer)).map_err(|_| Error::stopped())?;
        told.await.map_err(|_| Error::stopped())
    }
}
