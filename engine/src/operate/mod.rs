//! Operations: what a person does with the runs of a store.
//!
//! An [`Operator`] lists, explains and puts right. It reads and commits rows; what follows for a run is decided where
//! everything is decided, when an engine has the store.

mod dead;
mod dropped;
mod events;
mod gathered;
mod list;
mod migrate;
mod queued;
mod recorded;
mod replay;
mod retry;
mod state;
mod why;
mod workflows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use wf_dsl::{PlanHash, Time};

use crate::clock::{Clock, SimulatedClock, SystemClock};
use crate::driver::{Message, load};
use crate::error::{Error, ErrorKind};
use crate::ids::RunId;
use crate::registry::Registry;
use crate::report::{self, RunReport};
use crate::run::Record;
use crate::start;
use crate::store::{Commit, Due, Key, Row, Store, Write};
use crate::upkeep::Kinds;

pub use dead::DeadLetters;
pub use dropped::DroppedStart;
pub use events::{EventFilter, LoggedEvent};
pub use gathered::Gathered;
pub use list::{RunFilter, RunLine};
pub use migrate::Move;
pub use queued::{BEFORE_MAX, Queued};
pub use recorded::RECORDED_EVENTS_MAX;
pub use retry::Retry;
pub use state::{ParseStateError, State};
pub use why::{EVENTS_LOOKED_AT_MAX, EVENTS_TOLD_MAX, Miss, Near, Reason, Standing, Wanted, Why};
pub use workflows::WorkflowLine;

/// How many rows are read together.
const PAGE: usize = 256;

/// A part of a list, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T, C> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins; none if this is the last one.
    pub next: Option<C>,
}

/// Looks at the runs of a store and puts them right. A cheap clone.
///
/// With a running engine it is given by [`Engine::operator`](crate::Engine::operator), and what it changes goes on at
/// once. [`Operator::of`] takes a store alone; then it goes on when an engine opens that store.
#[derive(Clone)]
pub struct Operator {
    store: Arc<dyn Store>,
    registry: Registry,
    clock: Arc<dyn Clock>,
    kinds: Option<Arc<BTreeSet<String>>>,
    /// The step kinds themselves, which are told of runs that are forgotten.
    keepers: Kinds,
    engine: Option<UnboundedSender<Message>>,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("has_engine", &self.engine.is_some()).finish_non_exhaustive()
    }
}

impl Operator {
    /// An operator of a store that no engine has. Time is the store's own if that is simulated.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn of(store: impl Store) -> Result<Operator, Error> {
        Operator::of_shared(Arc::new(store)).await
    }

    pub(crate) async fn of_shared(store: Arc<dyn Store>) -> Result<Operator, Error> {
        let clock: Arc<dyn Clock> = match start::clock_of(&*store).await? {
            Some((true, at)) => Arc::new(SimulatedClock::starting_at(at)),
            _ => Arc::new(SystemClock::default()),
        };
        let keepers = Kinds::none(clock.clone());
        Ok(Operator { store, registry: Registry::default(), clock, kinds: None, keepers, engine: None })
    }

    /// With the kinds of the host, which forget what they keep of runs that are dropped.
    pub(crate) fn with_keepers(self, keepers: Kinds) -> Self {
        let names = keepers.kinds.keys().cloned().collect::<Vec<_>>();
        let clock = self.clock.clone();
        Operator { keepers: Kinds { clock, ..keepers }, ..self.kinds(names) }
    }

    /// The step kinds of the host, by which runs are seen to be blocked. Without them none is.
    #[must_use]
    pub fn kinds(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.kinds = Some(Arc::new(names.into_iter().collect()));
        self
    }

    pub(crate) fn of_engine(
        store: Arc<dyn Store>,
        registry: Registry,
        clock: Arc<dyn Clock>,
        keepers: Kinds,
        engine: UnboundedSender<Message>,
    ) -> Self {
        let kinds = Some(Arc::new(keepers.kinds.keys().cloned().collect()));
        Operator { store, registry, clock, kinds, keepers, engine: Some(engine) }
    }

    /// The present time of the engine, or of the store.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// How a run stands, with its steps.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run, and whatever the store answers.
    pub async fn report(&self, run: RunId) -> Result<RunReport, Error> {
        report::report(&*self.store, &self.registry, run).await
    }

    /// All records of a run in their order.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run, and whatever the store answers.
    pub async fn records(&self, run: RunId) -> Result<Vec<Record>, Error> {
        let loaded = self.load(run).await?;
        report::records(&*self.store, &loaded).await
    }

    /// Asks a run to end. The request is durable when this returns; the run ends when an engine decides on it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run, [`ErrorKind::Conflict`] if it has ended.
    pub async fn cancel(&self, run: RunId, reason: &str) -> Result<(), Error> {
        let head = self.head(run).await?;
        if head.ended.is_some() {
            return Err(Error::new(ErrorKind::Conflict, format!("run {run} has ended: {}", head.status.as_str())));
        }
        if let Some(engine) = &self.engine {
            let (answer, told) = oneshot::channel();
            engine.send(Message::Cancel(run, reason.to_owned(), answer)).map_err(|_| Error::stopped())?;
            return told.await.map_err(|_| Error::stopped())?;
        }
        let put = Write::Put(cancel_row(run, reason));
        self.store.commit(Commit { writes: vec![put], ..Commit::default() }).await?;
        Ok(())
    }

    /// A plan that the store has.
    ///
    /// # Errors
    /// Whatever the store answers; [`ErrorKind::Damaged`] if it does not have it.
    pub async fn plan(&self, hash: PlanHash) -> Result<Arc<wf_dsl::Plan>, Error> {
        Ok(load::definition(&*self.store, &self.registry, hash).await?.plan.clone())
    }

    /// The names of the workflows and their newest plans, by number.
    pub(crate) async fn workflows(&self) -> Result<BTreeMap<u16, (String, PlanHash)>, Error> {
        start::names(&*self.store).await
    }

    /// The number of a workflow.
    async fn number(&self, workflow: &str) -> Result<u16, Error> {
        let names = self.workflows().await?;
        let found = names.into_iter().find(|(_, (name, _))| name == workflow).map(|(number, _)| number);
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no workflow `{workflow}` in the store")))
    }

    async fn load(&self, run: RunId) -> Result<Box<load::Loaded>, Error> {
        load::load(&*self.store, &self.registry, run).await?.ok_or_else(|| no_run(run))
    }

    async fn head(&self, run: RunId) -> Result<crate::run::Head, Error> {
        let row = load::one(&*self.store, Key::head(run)).await?.ok_or_else(|| no_run(run))?;
        Ok(load::head(&*self.store, run, &row).await?.head)
    }

    fn tell(&self, message: Message) {
        if let Some(engine) = &self.engine {
            // An engine that has stopped finds it when it starts again.
            let _ = engine.send(message);
        }
    }
}

/// The row of a request to end a run.
pub(crate) fn cancel_row(run: RunId, reason: &str) -> Row {
    let mut value = vec![crate::store::ROW_VERSION];
    value.extend_from_slice(reason.as_bytes());
    Row { key: Key::cancel(run), value }
}

/// Why a run is to end, as its row says.
pub(crate) fn cancel_reason(row: &Row) -> String {
    String::from_utf8_lossy(row.value.get(1..).unwrap_or_default()).into_owned()
}

/// The timers that a run has rows of, for an engine that has not written them itself.
fn timers_of(run: &crate::run::Run) -> Vec<Due> {
    run.timers().map(|(frame, at)| Due { at, run: run.id, frame }).collect()
}

fn no_run(run: RunId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no run {run}"))
}
