//! The driver: one loop that makes decisions durable and then acts on them.
//!
//! It owns all runs that are loaded. Everything that takes time (commits, attempts, reads) is a future in `work`, polled
//! by the loop itself, so that whoever polls the driver holds the whole engine in hand.

mod active;
mod backlog;
mod birth;
mod commit;
mod cron;
mod ended;
mod gather;
pub(crate) mod history;
mod inbox;
mod join;
mod later;
mod line;
pub(crate) mod load;
mod offer;
mod perform;
mod submit;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use wf_dsl::{Time, Value};

use crate::clock::Clock;
use crate::error::Error;
use crate::ids::{FrameId, Position, RunId};
use crate::kind::{BoxFuture, Environment, StepError, StepKind};
use crate::limits::{Flush, GATHERED, Verdict};
use crate::observe::{Notice, Observer};
use crate::once::Told;
use crate::planted::{Bug, planted};
use crate::redact::Redactor;
use crate::registry::Registry;
use crate::run::{Input, Live, Place};
use crate::send::{Incoming, Receipt as Sent};
use crate::store::{
    Claim, Claims, CommitError, Copied, Due, Fence, Key, Ready, Receipt, Row, Store, StoreError, Table,
};
use crate::timers::{Timers, WINDOW};
use crate::upkeep::{Part, Retention};

use active::Active;
pub use backlog::{BACKLOG_MAX, BUSY_RETRY_AFTER};
pub(crate) use birth::INVOKE;
pub(crate) use commit::{rewritten, waits_of};
pub(crate) use cron::EVENT as TICK;
pub use cron::WAITING_TICKS_MAX;
pub(crate) use ended::RUN_EVENTS;
pub(crate) use gather::position;
pub use history::{HISTORY_BYTES_MAX, HISTORY_RECORDS_MAX, History};
pub(crate) use later::{DELAYED_EVENT, postponed};
use load::Loaded;
pub(crate) use upkeep::delivery_key;

/// Runs that are in memory at once because something happens for them; more wait in the queue.
const ACTIVE_MAX: usize = 4_096;
/// How many of those may be new, or come from the queue: timers that are due and messages always find a fifth free.
const ACTIVE_NEW_MAX: usize = ACTIVE_MAX / 5 * 4;
/// Runs whose gathered events are read at once: each may have a few megabytes of them.
const FLUSHES_MAX: usize = 32;
/// What is taken at most between two looks at the clock.
const DRAIN: usize = 128;
/// Runs that are claimed at once.
const CLAIM: usize = 256;
/// Commits and reads that are under way before more runs are claimed. More of them would share no more syncs, and what
/// they hold would have left the processor's caches when they end.
const UNDER_WAY_MAX: usize = 2 * CLAIM;
/// Only a store that many processes share needs a lease that ends.
const LEASE: Duration = Duration::from_secs(30);
/// How long the loop sleeps when nothing is due, so that what no hint announced is found in the end.
const POLL_MS: i64 = 3_600_000;

/// What the handle asks of the driver.
pub(crate) enum Message {
    /// Take an event in.
    Send(Incoming, oneshot::Sender<Result<Sent, Error>>),
    /// Tell when a run has ended.
    Await(RunId, oneshot::Sender<Result<(), Error>>),
    /// End a run.
    Cancel(RunId, String, oneshot::Sender<Result<(), Error>>),
    /// Rows were put by somebody else: runs into the queue, or a timer.
    Changed(Option<Due>),
    /// A workflow was paused, or goes on.
    Paused(u16, bool),
    /// Tell when nothing can happen any more without an event from outside.
    Quiet(oneshot::Sender<()>),
    CaughtUp(oneshot::Sender<()>),
    /// Stop; runs stay as they are.
    Stop(oneshot::Sender<()>),
}

/// Everything that takes time ends in one of these.
enum Done {
    Committed(RunId, Result<Settled, CommitError>),
    Born(Box<birth::Births>, Result<Receipt, CommitError>),
    Duplicate(oneshot::Sender<Result<Sent, Error>>, Sent),
    Performed {
        run: RunId,
        frame: FrameId,
        since: u64,
        outcome: Result<serde_json::Value, StepError>,
    },
    Loaded(RunId, Result<Option<Box<Loaded>>, Error>),
    Claimed(Result<Claims, StoreError>),
    LinedUp(RunId, Result<(), CommitError>),
    TimersRead(Result<Vec<Row>, StoreError>),
    LookedAt(join::Look, Result<Option<join::End>, Error>),
    TickLooked(Box<cron::Looked>),
    Ticked(Box<cron::Tick>, bool),
    GatheredRead(Due, Result<Option<Box<gather::Gathered>>, Error>),
    Flushed(Due, Box<birth::Births>, Result<(Receipt, Flush), CommitError>),
    DelayRead(Result<Option<Box<later::Later>>, Error>),
    KeyRead {
        run: RunId,
        frame: FrameId,
        since: u64,
        output: Result<Value, Error>,
    },
    /// What was left of a run that has ended was deleted, and whether there is more of it.
    Forgotten(RunId, Result<bool, CommitError>),
    Trimmed(RunId, Result<history::JournalSize, Error>),
    KeptUp(Result<Part, Error>),
    Compacted(Result<Option<Copied>, StoreError>),
    Looked(RunId, u64, Result<Box<crate::run::Inbox>, Error>),
    Waiters(Result<Box<inbox::Waiters>, Error>),
    Delivered(inbox::Delivery, Result<Receipt, CommitError>),
    Retry(RunId),
    /// An attempt was given up before its end.
    Aborted(RunId),
}

/// What the loop goes on with.
enum Next {
    Done(Done),
    Message(Option<Message>),
    Time,
}

/// What waits for a run that is being loaded.
struct Loading {
    inputs: Vec<Input>,
    /// The run has a row in the queue.
    queued: bool,
    /// It was claimed through its line.
    claim: Option<Claim>,
}

/// A run's commit that is durable.
#[derive(Default)]
struct Settled {
    receipt: Receipt,
    keys: Vec<KeyAnswerOf>,
    /// What became of the births that were offered.
    verdicts: Vec<Verdict>,
}

/// What the store answered to one wish for an explicit key.
struct KeyAnswerOf {
    frame: FrameId,
    since: u64,
    answer: Option<Told>,
    woken: Vec<(RunId, FrameId)>,
}

/// What the engine is made of.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) kinds: HashMap<String, Arc<dyn StepKind>>,
    pub(crate) registry: Registry,
    pub(crate) live: Live,
    pub(crate) redactor: Redactor,
    pub(crate) environment: Arc<Environment>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) schedules: bool,
    pub(crate) history: History,
    pub(crate) retention: Option<Retention>,
    /// How many runs may be queued before senders are told to come again.
    pub(crate) backlog_max: u64,
    pub(crate) seed: u64,
}

/// The loop's state.
pub(crate) struct Driver {
    parts: Parts,
    inbox: mpsc::UnboundedReceiver<Message>,
    active: HashMap<RunId, Active>,
    /// What waits for runs that are being loaded.
    loading: HashMap<RunId, Loading>,
    /// Runs that stand in line.
    standby: HashMap<RunId, Active>,
    /// Runs that have come to stand in line while the queue was looked at.
    lined: Vec<(RunId, Result<(), CommitError>)>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    /// How many of those are attempts.
    performing: usize,
    timers: Timers,
    claiming: bool,
    /// Workflows whose runs are born into the queue and do not begin.
    paused: BTreeSet<u16>,
    /// When a pace lets the next run begin.
    claim_due: Option<Time>,
    /// The queue may hold runs that nobody has claimed.
    queue_changed: bool,
    waiting: HashMap<RunId, Vec<oneshot::Sender<Result<(), Error>>>>,
    quiet: Vec<oneshot::Sender<()>>,
    caught_up: Vec<oneshot::Sender<()>>,
    stopping: Option<oneshot::Sender<()>>,
    cron: BTreeMap<(Time, u32), cron::Line>,
    /// Schedules whose ticks wait until a run has ended.
    after_end: HashMap<RunId, Vec<(u32, cron::Line)>>,
    /// Gathered events that are being read, or whose run is being written.
    flushing: usize,
    next_event: u64,
    /// Counts the looks at the log.
    looks: u64,
    /// The time of the present round of the loop.
    now: Time,
    /// The time that a simulated clock has reached in the store.
    clock_kept: Time,
    upkeep: upkeep::Upkeep,
}

impl Driver {
    pub(crate) fn new(parts: Parts, inbox: mpsc::UnboundedReceiver<Message>) -> Self {
        let clock_kept = parts.clock.now();
        Driver {
            next_event: parts.seed,
            looks: 0,
            parts,
            inbox,
            active: HashMap::new(),
            loading: HashMap::new(),
            standby: HashMap::new(),
            lined: Vec::new(),
            work: FuturesUnordered::new(),
            performing: 0,
            timers: Timers::unread(),
            claiming: false,
            paused: BTreeSet::new(),
            claim_due: None,
            queue_changed: true,
            waiting: HashMap::new(),
            quiet: Vec::new(),
            caught_up: Vec::new(),
            stopping: None,
            cron: BTreeMap::new(),
            after_end: HashMap::new(),
            flushing: 0,
            now: clock_kept,
            clock_kept,
            upkeep: upkeep::Upkeep::after(clock_kept),
        }
    }

    /// Runs until the engine is stopped and what was under way has been recorded.
    pub(crate) async fn run(mut self) {
        if let Err(error) = self.recover().await {
            tracing::error!(%error, "the engine cannot start");
            return;
        }
        while !self.is_done() {
            self.now = self.parts.clock.now();
            self.claim();
            self.read_timers();
            self.fire();
            self.tick();
            self.keep_up();
            self.tell_quiet();
            let idle = self.is_idle() && self.has_due();
            let due = self.next_due();
            let clock = self.parts.clock.clone();
            let next = tokio::select! {
                biased;
                Some(done) = self.work.next(), if !self.work.is_empty() => Next::Done(done),
                message = self.inbox.recv() => Next::Message(message),
                () = clock.sleep_until(due, idle) => Next::Time,
            };
            self.now = self.parts.clock.now();
            match next {
                Next::Done(done) => self.finish(done),
                Next::Message(Some(message)) => self.take(message),
                Next::Message(None) => self.stop(None),
                Next::Time => {}
            }
            self.drain();
        }
        if let Some(stopped) = self.stopping.take() {
            // The handle may be gone; then nobody wants to know.
            let _ = stopped.send(());
        }
    }

    /// Takes what else is ready, so that the commits that follow from it share a sync and the loop's upkeep is shared.
    fn drain(&mut self) {
        for _ in 0..DRAIN {
            if let Ok(message) = self.inbox.try_recv() {
                self.take(message);
            } else if let Some(Some(done)) = self.work.next().now_or_never() {
                self.finish(done);
            } else {
                return;
            }
        }
    }

    /// Finds what a process that ended has left: cancel requests and, on a simulated clock, the time.
    async fn recover(&mut self) -> Result<(), Error> {
        let store = self.parts.store.clone();
        if self.parts.schedules {
            self.recover_cron().await?;
        }
        let paused = load::scan(&*store, Key::all_paused()).await?;
        self.paused = paused.iter().filter_map(|row| row.key.as_paused()).collect();
        self.recover_deliveries().await?;
        if planted(Bug::KeysForgotten) {
            let mut rows = load::scan(&*store, Key::all(Table::Limit)).await?;
            rows.retain(|row| row.key.limit_rule() == Some(crate::limits::IDEMPOTENCY));
            let writes = rows.into_iter().map(|row| crate::store::Write::Delete(row.key)).collect();
            store.commit(crate::store::Commit { writes, ..Default::default() }).await?;
        }
        for row in load::scan(&*store, Key::all(Table::Cancel)).await? {
            if planted(Bug::CancelForgotten) {
                break;
            }
            if let Some(run) = row.key.as_cancel() {
                let reason = crate::operate::cancel_reason(&row);
                self.wake(run, vec![Input::Cancel { reason }], false);
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.stopping.is_some() && self.active.values().all(|active| active.in_flight.is_none())
    }

    /// Whether nothing is happening and nothing is waiting to happen but time.
    fn is_idle(&self) -> bool {
        self.work.is_empty() && self.inbox.is_empty() && !self.queue_changed && !self.timers.is_dry()
    }

    fn has_due(&self) -> bool {
        self.timers.next().is_some() || !self.cron.is_empty() || self.claim_due.is_some()
    }

    fn next_due(&self) -> Time {
        let cron = self.cron.keys().next().map(|(at, _)| *at);
        let poll = Time(self.now.0.saturating_add(POLL_MS));
        let due = self.timers.next().into_iter().chain(cron).chain(self.claim_due).min().unwrap_or(poll);
        self.upkeep_due().map_or(due, |upkeep| upkeep.min(due))
    }

    /// How many commits, reads and the like are under way.
    fn under_way(&self) -> usize {
        self.work.len() - self.performing
    }

    /// Whether nothing is under way but attempts.
    fn is_caught_up(&self) -> bool {
        self.under_way() == 0 && self.inbox.is_empty() && !self.queue_changed
    }

    fn tell_quiet(&mut self) {
        if !self.caught_up.is_empty() && self.is_caught_up() {
            for heard in self.caught_up.drain(..) {
                // Whoever asked may have stopped waiting; here and below.
                let _ = heard.send(());
            }
        }
        let nothing_due = self.timers.next().is_none() && self.claim_due.is_none();
        if !self.quiet.is_empty() && self.is_idle() && nothing_due && self.active.is_empty() {
            for quiet in self.quiet.drain(..) {
                let _ = quiet.send(());
            }
        }
    }

    fn stop(&mut self, stopped: Option<oneshot::Sender<()>>) {
        self.stopping = Some(stopped.unwrap_or_else(|| oneshot::channel().0));
        self.active.values_mut().for_each(Active::stop_attempts);
    }

    fn spawn(&mut self, work: impl Future<Output = Done> + Send + 'static) {
        self.work.push(Box::pin(work));
    }

    // ── what comes in ───────────────────────────────────────────────────

    fn take(&mut self, message: Message) {
        match message {
            Message::Send(incoming, answer) => self.send(incoming, answer),
            Message::Await(run, answer) => {
                self.waiting.entry(run).or_default().push(answer);
                // Whether it has ended already is read where the result is read: in the store.
                self.wake(run, Vec::new(), false);
            }
            Message::Cancel(run, reason, answer) => self.cancel(run, reason, answer),
            Message::Changed(due) => {
                self.queue_changed = true;
                due.into_iter().for_each(|due| self.timers.add(due));
            }
            Message::Paused(workflow, true) => drop(self.paused.insert(workflow)),
            Message::Paused(workflow, false) => {
                self.paused.remove(&workflow);
                self.queue_changed = true;
            }
            Message::Quiet(answer) => self.quiet.push(answer),
            Message::CaughtUp(answer) => self.caught_up.push(answer),
            Message::Stop(stopped) => self.stop(Some(stopped)),
        }
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Committed(run, result) => self.committed(run, result),
            Done::Born(births, result) => self.born(*births, result),
            Done::Duplicate(answer, sent) => drop(answer.send(Ok(sent))),
            Done::Performed { run, frame, since, outcome } => {
                self.performing -= 1;
                if let Some(active) = self.active.get_mut(&run) {
                    active.attempts.remove(&frame);
                    active.inputs.push_back(Input::Outcome { frame, since, outcome });
                    self.step(run);
                }
            }
            Done::Loaded(run, loaded) => self.loaded(run, loaded),
            Done::Claimed(claimed) => self.claimed(claimed),
            Done::LinedUp(run, result) => self.lined_up(run, result),
            Done::TimersRead(rows) => match rows {
                Ok(rows) => {
                    let page: Vec<Due> = rows.iter().filter_map(|row| row.key.as_timer()).collect();
                    self.timers.read(&page);
                }
                Err(error) => {
                    self.timers.unreadable();
                    tracing::error!(%error, "timers cannot be read");
                }
            },
            Done::LookedAt(look, end) => self.looked_at(&look, end),
            Done::GatheredRead(due, read) => self.gathered_read(due, read),
            Done::Flushed(due, births, result) => self.flushed(due, *births, result),
            Done::DelayRead(read) => self.delay_read(read),
            Done::TickLooked(looked) => self.tick_looked(*looked),
            Done::Ticked(tick, waited) => self.ticked(*tick, waited),
            Done::KeyRead { run, frame, since, output } => self.key_read(run, frame, since, output),
            Done::Looked(run, number, inbox) => self.looked(run, number, inbox),
            Done::Waiters(waiters) => self.tell_waiters(waiters),
            Done::Delivered(delivery, result) => self.delivered(delivery, result),
            Done::Forgotten(run, more) => self.forgotten(run, more),
            Done::Trimmed(run, dropped) => self.trimmed(run, dropped),
            Done::KeptUp(done) => self.kept_up(done),
            Done::Compacted(compacted) => self.compacted(compacted),
            Done::Aborted(run) => {
                self.performing -= 1;
                self.step(run);
            }
            Done::Retry(run) => self.step(run),
        }
    }

    // ── timers ──────────────────────────────────────────────────────────

    fn read_timers(&mut self) {
        let Some(from) = self.timers.next_page() else { return };
        let rows = self.parts.store.scan(from..Key::all(Table::Timer).end, false, WINDOW);
        self.spawn(async move { Done::TimersRead(rows.await) });
    }

    fn fire(&mut self) {
        self.now.0 += i64::from(planted(Bug::TimerEarly));
        let now = self.now;
        while self.active.len() + self.loading.len() < ACTIVE_MAX
            && self.flushing < FLUSHES_MAX
            && let Some(due) = self.timers.pop(now)
        {
            if due.frame == DELAYED_EVENT {
                self.send_delayed(due);
            } else if due.frame == GATHERED {
                self.flush(due);
            } else {
                self.wake(due.run, vec![Input::Due], false);
            }
        }
    }

    // ── the queue ───────────────────────────────────────────────────────

    fn claim(&mut self) {
        self.queue_changed |= self.claim_due.take_if(|due| *due <= self.now).is_some();
        let full = self.active.len() >= ACTIVE_NEW_MAX || self.under_way() >= UNDER_WAY_MAX;
        if !self.queue_changed || self.claiming || self.stopping.is_some() || full {
            return;
        }
        // What changes from now on may be too late for this look.
        (self.claiming, self.queue_changed) = (true, false);
        let most = CLAIM.min(ACTIVE_NEW_MAX - self.active.len());
        let claimed = self.parts.store.claim(0, most, self.now, LEASE);
        self.spawn(async move { Done::Claimed(claimed.await) });
    }

    fn claimed(&mut self, claimed: Result<Claims, StoreError>) {
        self.claiming = false;
        self.queue_changed &= !planted(Bug::QueueOverlooked);
        match claimed {
            Ok(Claims { runs, more, due }) => {
                self.queue_changed |= more || !runs.is_empty();
                self.claim_due = due;
                runs.into_iter().for_each(|claim| self.claimed_one(claim));
            }
            Err(error) => tracing::error!(%error, "the queue cannot be read"),
        }
        std::mem::take(&mut self.lined).into_iter().for_each(|(run, result)| self.lined_up(run, result));
    }

    // ── waking ──────────────────────────────────────────────────────────

    /// Gives inputs to a run, which is loaded first if it is not in memory.
    fn wake(&mut self, id: RunId, inputs: Vec<Input>, queued: bool) {
        if let Some(active) = self.active.get_mut(&id) {
            active.queued |= queued;
            active.inputs.extend(inputs);
            if queued {
                self.look_around(id);
            }
            return self.step(id);
        }
        if let Some(loading) = self.loading.get_mut(&id) {
            loading.inputs.extend(inputs);
            loading.queued |= queued;
            return;
        }
        if self.standby.contains_key(&id) && self.wake_in_line(id, &inputs, queued) {
            return;
        }
        self.load(id, Loading { inputs, queued, claim: None });
    }

    fn load(&mut self, id: RunId, mut loading: Loading) {
        let known = loading.claim.as_mut().map(load::Known::from_claim).unwrap_or_default();
        self.loading.insert(id, loading);
        let (store, registry) = (self.parts.store.clone(), self.parts.registry.clone());
        self.spawn(async move { Done::Loaded(id, load::load_known(&*store, &registry, id, known).await) });
    }

    fn loaded(&mut self, id: RunId, loaded: Result<Option<Box<Loaded>>, Error>) {
        // Without it, the run is in memory by now.
        let Some(Loading { inputs, queued, claim }) = self.loading.remove(&id) else { return };
        let loaded = match loaded {
            Ok(Some(loaded)) => loaded,
            Ok(None) => {
                let error = Error::new(crate::error::ErrorKind::NotFound, format!("there is no run {id}"));
                self.tell_waiting(id, &Err(error));
                return claim.into_iter().for_each(|claim| self.forget_claim(claim));
            }
            Err(error) => {
                tracing::error!(run = %id, %error, "the run cannot be loaded");
                return self.tell_waiting(id, &Err(error));
            }
        };
        if loaded.run.is_ended() {
            self.tell_waiting(id, &Ok(()));
            return self.forget_wakes(&loaded, queued, claim);
        }
        if self.stopping.is_some() || self.is_blocked(&loaded) {
            return;
        }
        if claim.is_none() && Driver::is_in_line(&loaded, &inputs, queued) {
            // Without a row that was claimed, what is held of it was taken through its gate, and is on its way here.
            if queued {
                self.parts.store.release(&[(id, Fence::default())]);
            }
            return;
        }
        let begun = loaded.run.has_begun();
        let mut active = Active::loaded(*loaded, queued);
        active.wanted = active.run.outstanding();
        active.line = active.run.place_in_line();
        if begun {
            active.inputs.push_back(Input::Loaded);
        } else if !active.run.needs_claim() {
            active.inputs.push_back(Input::Start);
        }
        active.inputs.extend(inputs);
        // A cancel request is durable before anything acts on it, so it may be older than this load.
        self.active.insert(id, active);
        if let Some(claim) = claim {
            return self.pass(claim);
        }
        if begun && queued {
            self.look_around(id);
        }
        self.step(id);
    }

    /// A run that has ended may still be named in the queue or in a cancel request, by a hint that came too late; and
    /// rows of its frames may be left.
    fn forget_wakes(&mut self, loaded: &Loaded, queued: bool, claim: Option<Claim>) {
        let (id, position) = (loaded.run.id, loaded.run.position);
        let gone: Vec<FrameId> = loaded.run.gone.iter().copied().collect();
        let store = self.parts.store.clone();
        let cancel = Key::cancel(id);
        self.spawn(async move {
            // Most runs that are loaded after their end are just looked at: nothing is written for them.
            let asked =
                store.get(std::slice::from_ref(&cancel)).await.is_ok_and(|rows| rows.iter().any(Option::is_some));
            let more = queued && gone.len() > commit::GONE_FRAMES;
            let queue = (queued && !more).then(|| Key::queue(Ready::woken(id), position, id));
            let frames = gone.iter().take(commit::GONE_FRAMES).map(|frame| Key::frame(id, *frame));
            let line = claim.map(|claim| claim.row);
            let stale = asked.then_some(cancel).into_iter().chain(frames).chain(queue).chain(line);
            let writes: Vec<_> = stale.map(crate::store::Write::Delete).collect();
            let mut done = Ok(());
            if !writes.is_empty() {
                done = store.commit(crate::store::Commit { writes, ..Default::default() }).await.map(drop);
            }
            Done::Forgotten(id, done.map(|()| more))
        });
    }

    /// A row that names no run occupies no slots.
    fn forget_claim(&mut self, claim: Claim) {
        let writes = vec![crate::store::Write::Delete(claim.row)];
        let gone = self.parts.store.commit(crate::store::Commit { writes, ..Default::default() });
        self.spawn(async move { Done::Forgotten(claim.run, gone.await.map(|_| false)) });
    }

    /// The hints of a run that has ended are gone, and there may be more of them.
    fn forgotten(&mut self, run: RunId, more: Result<bool, CommitError>) {
        match more {
            Ok(true) => self.wake(run, Vec::new(), true),
            Ok(false) => {
                self.parts.store.release(&[(run, Fence::default())]);
                self.queue_changed = true;
            }
            // The store takes no commits any more: given back, the run would only be claimed again, for ever.
            Err(error) => tracing::warn!(%run, %error, "a late hint stays in the store"),
        }
    }

    /// A run whose plan needs a kind that this host does not have stays as it is.
    fn is_blocked(&self, loaded: &Loaded) -> bool {
        let missing = loaded.definition.plan.kinds.keys().find(|kind| !self.parts.kinds.contains_key(*kind));
        if let Some(kind) = missing {
            tracing::warn!(run = %loaded.run.id, kind, "the run is blocked: this host does not have the kind");
        }
        missing.is_some()
    }

    /// Looks at everything that may have woken a run while nobody was there: children, keys.
    fn look_around(&mut self, id: RunId) {
        let Some(active) = self.active.get(&id) else { return };
        let mut children = Vec::new();
        let mut keys = Vec::new();
        let mut waits = !active.run.head.cancel_on.is_empty();
        for (frame, state) in &active.run.frames {
            match &state.place {
                Place::Child { run: child, tie, .. } => children.push((*frame, *child, *tie)),
                Place::Key { taken: true, .. } => keys.push(Input::KeyFreed { frame: *frame }),
                Place::Wait { .. } => waits = true,
                _ => {}
            }
        }
        for (frame, child, tie) in children {
            self.look_at(id, frame, child, tie);
        }
        let Some(active) = self.active.get_mut(&id) else { return };
        active.inputs.extend(keys);
        active.inputs.extend(waits.then_some(Input::Look { frame: None }));
    }

    // ── telling ─────────────────────────────────────────────────────────

    fn tell_waiting(&mut self, run: RunId, result: &Result<(), Error>) {
        self.offer_waiting(run);
        for waiting in self.waiting.remove(&run).unwrap_or_default() {
            // Whoever asked may have stopped waiting.
            let _ = waiting.send(result.clone());
        }
    }

    /// Commits that record nothing are nobody's business: they may come after the end of a run.
    fn observe(&self, notice: &Notice<'_>) {
        if let Some(observer) = self.parts.observer.as_ref().filter(|_| !notice.records.is_empty()) {
            observer.observe(notice);
        }
    }

    fn cancel(&mut self, run: RunId, reason: String, answer: oneshot::Sender<Result<(), Error>>) {
        let mut commit = crate::store::Commit::default();
        commit.writes.push(crate::store::Write::Put(crate::operate::cancel_row(run, &reason)));
        let commit = self.parts.store.commit(commit);
        self.wake(run, vec![Input::Cancel { reason }], false);
        self.spawn(async move {
            // The handle may be gone; the request stands all the same.
            let _ = answer.send(commit.await.map(drop).map_err(Error::from));
            Done::Retry(run)
        });
    }

    fn position_of_log(receipt: &Receipt, index: usize) -> Position {
        receipt.events.get(index).copied().unwrap_or(receipt.at)
    }
}
