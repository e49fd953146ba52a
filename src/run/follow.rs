//! Following a run and all that comes of it, to the end.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};
use wf_dsl::{Period, Time};
use wf_engine::run::Fact;
use wf_engine::store::Health;
use wf_engine::{Clock, Engine, ErrorKind, Event, EventId, RunId, RunReport};

use super::clock::VirtualClock;
use super::start::Start;
use super::watch::Heard;
use crate::desk::failed;
use crate::exit::{Exit, Failure};
use crate::terminal::{Look, talk};
use crate::timeline::Timeline;

/// How often the store's health is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Between two looks for a run that is about to be there.
const MOMENT: Duration = Duration::from_millis(10);

/// How following came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Every run has ended.
    Ended,
    /// What is left waits for something that has no deadline.
    Waits,
    /// It took longer than it may.
    TimedOut,
    /// Ctrl-C.
    Interrupted,
}

/// The runs that are followed.
pub(super) struct Session<'a> {
    engine: &'a Engine,
    /// Virtual time, if it is.
    clock: Option<VirtualClock>,
    heard: UnboundedReceiver<Heard>,
    timeline: Timeline<'a>,
    /// The runs that everything comes of, the one that counts first.
    pub(super) roots: Vec<RunId>,
    /// Runs that have not ended.
    pub(super) open: BTreeSet<RunId>,
    /// What was heard before it was known what is followed.
    early: Vec<Heard>,
    /// The events that were sent here: a limit may gather them, so that their run is born later.
    sent: BTreeSet<EventId>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        clock: Option<VirtualClock>,
        heard: UnboundedReceiver<Heard>,
        timeline: Timeline<'a>,
    ) -> Self {
        Session {
            engine,
            clock,
            heard,
            timeline,
            roots: Vec::new(),
            open: BTreeSet::new(),
            early: Vec::new(),
            sent: BTreeSet::new(),
        }
    }

    /// Starts what is to be started, and follows it.
    pub(super) async fn go(&mut self, start: Start, max_wait: Option<Period>) -> Result<End, Failure> {
        let work = self.start_and_follow(start);
        match max_wait {
            Some(most) => tokio::time::timeout(most.to_std(), work).await.unwrap_or(Ok(End::TimedOut)),
            None => work.await,
        }
    }

    async fn start_and_follow(&mut self, start: Start) -> Result<End, Failure> {
        match start {
            Start::Resume(run) => self.resume(run).await?,
            Start::ByHand { workflow, event, data } => {
                let run = match &event {
                    Some(event) => self.engine.start_with(&workflow, event, data).await,
                    None => self.engine.start(&workflow, data).await,
                };
                let run = run.map_err(failed)?;
                self.add_root(run);
                self.timeline.is_sent(run.event, event.as_deref().unwrap_or("hand"));
            }
            Start::Events { events, workflow } => self.send_all(events, workflow.as_deref()).await?,
        }
        if let Some(clock) = &self.clock {
            clock.let_go_to(None);
        }
        self.follow().await
    }

    async fn resume(&mut self, run: RunId) -> Result<(), Failure> {
        let report = self.arrived(run).await?;
        self.add_root(run);
        if report.ended_at.is_some() {
            self.open.remove(&run);
        }
        if report.origin != run {
            self.roots.push(report.origin);
        }
        for open in self.engine.open_runs().await.map_err(failed)? {
            let report = self.engine.report(open).await.map_err(failed)?;
            if self.roots.contains(&report.origin) {
                self.open.insert(open);
                self.timeline.resume(self.engine.now(), &report);
            }
        }
        Ok(())
    }

    /// How a run stands; one that a replay asked for is there only when its start has come in.
    async fn arrived(&self, run: RunId) -> Result<RunReport, Failure> {
        let mut looks = interval(MOMENT);
        loop {
            looks.tick().await;
            let pending = self.engine.pending_events().await.map_err(failed)?;
            let is_coming = pending.iter().any(|pending| pending.id == run.event);
            match self.engine.report(run).await {
                Err(error) if error.kind() == ErrorKind::NotFound && is_coming => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let starts = self.engine.operator().dropped_starts(None, usize::MAX).await.map_err(failed)?;
                    let why = starts.into_iter().find(|start| start.event == run.event).map(|start| start.limit);
                    let help = why.map(|limit| format!("`{limit}` of its workflow kept it from starting"));
                    return Err(Failure { help, ..failed(error) });
                }
                report => return report.map_err(failed),
            }
        }
    }

    /// Sends events in their order, each not before its time.
    async fn send_all(&mut self, events: Vec<Event>, workflow: Option<&str>) -> Result<(), Failure> {
        let mut is_started = workflow.is_none();
        for event in events {
            if let (Some(clock), Some(ts)) = (self.clock.clone(), event.ts) {
                self.reach(&clock, ts).await?;
                // What is due at the same instant comes before it.
                self.engine.caught_up().await.map_err(failed)?;
            }
            let name = event.name.clone();
            let receipt = self.engine.send(event).await.map_err(failed)?;
            let mut runs = receipt.runs;
            if receipt.duplicate {
                runs = self.engine.runs_of(receipt.event).await.map_err(failed)?;
            }
            self.timeline.is_sent(receipt.event, &name);
            self.sent.insert(receipt.event);
            is_started |= receipt.gathered;
            is_started |= self.count_first(&mut runs, workflow).await?;
            for run in &runs {
                self.add_root(*run);
                // One that was there before, for the event's id or for the key of a limit, may have ended.
                let is_new = run.event == receipt.event && !receipt.duplicate;
                if !is_new && self.engine.report(*run).await.map_err(failed)?.ended_at.is_some() {
                    self.open.remove(run);
                }
            }
            if receipt.duplicate {
                talk(&format!("event `{}` was here before; nothing new was started", receipt.id));
            } else if runs.is_empty() {
                // What happened before it is told before it.
                self.drain();
                let what = if receipt.gathered { "is gathered; its run starts later" } else { "started no run" };
                talk(&format!("`{name}` {what}"));
            }
        }
        if self.roots.is_empty() && !self.is_pending().await? {
            let failure = Failure::new(Exit::NotFound, "no run was started");
            return Err(failure.help("the `if` of every trigger was false"));
        }
        if let Some(workflow) = workflow.filter(|_| !is_started) {
            talk(&format!("`{workflow}` itself was not started: the `if` of its trigger was false"));
        }
        Ok(())
    }

    /// Puts the run of the workflow that was asked for first, and tells whether there is one.
    async fn count_first(&self, runs: &mut [RunId], workflow: Option<&str>) -> Result<bool, Failure> {
        let Some(workflow) = workflow else { return Ok(false) };
        for place in 0..runs.len() {
            if self.engine.report(runs[place]).await.map_err(failed)?.workflow == workflow {
                runs.swap(0, place);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn add_root(&mut self, run: RunId) {
        if self.roots.is_empty() {
            talk(&format!("run {run}"));
        }
        if !self.roots.contains(&run) {
            self.roots.push(run);
        }
        self.open.insert(run);
        for heard in std::mem::take(&mut self.early) {
            self.take(heard);
        }
    }

    /// Lets virtual time come to an instant, with everything that happens before it.
    async fn reach(&mut self, clock: &VirtualClock, ts: Time) -> Result<(), Failure> {
        clock.let_go_to(Some(ts));
        let engine = self.engine.clone();
        let quiet = engine.quiet();
        tokio::pin!(quiet);
        while clock.now() < ts {
            tokio::select! {
                heard = self.heard.recv() => self.take_some(heard),
                () = clock.reached() => {}
                quiet = &mut quiet => {
                    quiet.map_err(failed)?;
                    clock.advance_to(ts);
                }
            }
        }
        Ok(())
    }

    async fn follow(&mut self) -> Result<End, Failure> {
        let engine = self.engine.clone();
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let quiet = engine.quiet();
        tokio::pin!(quiet);
        let mut is_quiet = false;
        loop {
            self.drain();
            if self.open.is_empty() && self.is_over().await? {
                return Ok(End::Ended);
            }
            tokio::select! {
                heard = self.heard.recv() => self.take_some(heard),
                quiet = &mut quiet, if !is_quiet => {
                    quiet.map_err(failed)?;
                    is_quiet = true;
                    self.drain();
                    self.check_store()?;
                    if !self.open.is_empty() && self.clock.is_some() {
                        return Ok(End::Waits);
                    }
                }
                _ = looks.tick() => self.check_store()?,
            }
        }
    }

    /// Whether nothing more can come of what has ended.
    async fn is_over(&mut self) -> Result<bool, Failure> {
        loop {
            // Looked for first: what an event starts meanwhile is heard of before the engine has caught up.
            if self.is_pending().await? {
                return Ok(false);
            }
            self.engine.caught_up().await.map_err(failed)?;
            let has_heard = self.drain();
            if !has_heard {
                self.find_open().await?;
            }
            if !self.open.is_empty() {
                return Ok(false);
            }
            if !has_heard {
                return Ok(true);
            }
        }
    }

    /// Whether an event that belongs to what is followed is still to start something.
    async fn is_pending(&self) -> Result<bool, Failure> {
        let pending = self.engine.pending_events().await.map_err(failed)?;
        let of_root = |origin: Option<RunId>| origin.is_some_and(|origin| self.roots.contains(&origin));
        Ok(pending.iter().any(|event| of_root(event.origin) || self.sent.contains(&event.id)))
    }

    /// Finds the runs that nothing has been heard of, since they stand in a queue.
    async fn find_open(&mut self) -> Result<(), Failure> {
        for root in self.roots.clone() {
            for run in self.engine.family(root).await.map_err(failed)? {
                if self.engine.report(run).await.map_err(failed)?.ended_at.is_none() {
                    self.open.insert(run);
                }
            }
        }
        Ok(())
    }

    /// After a failed write the store takes nothing more, and no run gets any further.
    pub(super) fn check_store(&self) -> Result<(), Failure> {
        let Health::ReadOnly { why } = self.engine.health() else { return Ok(()) };
        Err(Failure::new(Exit::Unavailable, format!("the store takes nothing more: {why}")))
    }

    /// Shows what has been heard by now, and tells whether there was anything.
    pub(super) fn drain(&mut self) -> bool {
        let mut has_heard = false;
        while let Ok(heard) = self.heard.try_recv() {
            self.take(heard);
            has_heard = true;
        }
        has_heard
    }

    fn take_some(&mut self, heard: Option<Heard>) {
        heard.into_iter().for_each(|heard| self.take(heard));
    }

    fn take(&mut self, heard: Heard) {
        if let Heard::Records { run, .. } = &heard
            && self.sent.contains(&run.event)
            && !self.roots.contains(run)
        {
            self.add_root(*run);
        }
        // The engine may tell of a run before it has answered which one it is.
        if self.roots.is_empty() && !matches!(heard, Heard::Trouble(_)) {
            return self.early.push(heard);
        }
        match heard {
            Heard::Records { run, workflow, origin, records } => {
                if !self.roots.contains(&origin) {
                    return;
                }
                self.open.insert(run);
                for record in &records {
                    self.timeline.show(run, &workflow, record);
                    if matches!(record.fact, Fact::RunEnded { .. }) {
                        self.open.remove(&run);
                    }
                }
            }
            Heard::Said { at, workflow, step, text } => {
                self.timeline.say(at.unwrap_or_else(|| self.engine.now()), &workflow, &step, &text);
            }
            Heard::Trouble(text) => talk(&format!("{} {text}", Look::stderr().yellow("warning:"))),
        }
    }
}
