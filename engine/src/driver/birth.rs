//! Births: an event is checked, matched with triggers, and made durable together with the runs that it starts.

use std::sync::Arc;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use wf_dsl::{Form, Plan, Time, Trigger as PlanTrigger, Type, Value};

use super::active::{Active, Flight};
use super::commit::birth_rows;
use super::inbox::Delivery;
use super::later::postponed;
use super::offer::{Offer, Ruled, StandIn, decide_with, offers_of, tell};
use super::{ACTIVE_NEW_MAX, Done, Driver, Loading};
use crate::definition::Definition;
use crate::error::{Error, ErrorKind};
use crate::ids::{EventId, FrameId, RunId};
use crate::limits::{self, Arrival, Dropped, Start, Terms, Verdict};
use crate::observe::Notice;
use crate::planted::{Bug, planted};
use crate::rows::{self, EventRow};
use crate::run::{Caller, Command, Cx, EventScope, Hash, Input, Run, SendEvent, StartRun, Turn, signature};
use crate::send::{DEDUPE_DAYS, EVENT_BYTES_MAX, EVENT_NAME_BYTES_MAX, Event, Incoming, Receipt as Sent};
use crate::store::{BornOf, Commit, CommitError, Due, Gate, Key, NewEvent, NewRun, Ready, Receipt, Row, Rows, Write};

/// The most records of a first turn that rides in the commit of its event: several runs may be born in one.
const BIRTH_RECORDS: usize = 50;
/// The name of the event that a run by hand or by `invoke` is born of, where its workflow names none.
pub(crate) const INVOKE: &str = "wf.invoke";

/// A run that a commit gives birth to.
pub(super) struct Birth {
    pub(super) active: Active,
    pub(super) commands: Vec<Command>,
    pub(super) records: Vec<crate::run::Record>,
    pub(super) timers: Vec<(FrameId, Time)>,
    /// Its event.
    born_of: BornOf,
    /// It is not taken into memory now but claimed from the queue later.
    pub(super) later: bool,
    /// Limits may keep it from happening; until it is on its way, this is what it would write.
    pub(super) offer: Option<Box<Offer>>,
    /// It was offered.
    pub(super) is_judged: bool,
    /// What became of the offer.
    pub(super) verdict: Option<Verdict>,
    /// Who is to hear what becomes of it.
    caller: Option<Caller>,
}

/// What a run is to be born of.
pub(super) struct Beginning<'a> {
    pub(super) row: &'a EventRow,
    pub(super) born_of: BornOf,
    pub(super) run: RunId,
    pub(super) definition: Arc<Definition>,
    /// The step of another run that invokes it.
    pub(super) caller: Option<Caller>,
    /// That does not wait for its end.
    pub(super) detached: bool,
    /// The events that were gathered for it, if they were.
    pub(super) gathered: Option<Vec<Value>>,
}

/// Births that are on their way, and who waits for them.
pub(super) struct Births {
    pub(super) births: Vec<Birth>,
    /// Those who wait for the event are told of it.
    pub(super) delivery: Option<Delivery>,
    sent: Sent,
    answer: Option<oneshot::Sender<Result<Sent, Error>>>,
    /// The event waits in a timer instead.
    pub(super) later: Option<Due>,
}

/// What to commit instead of an event whose id was here before.
pub(super) struct SeenBefore {
    /// The event itself: a row that names it is its own.
    pub(super) event: EventId,
    pub(super) otherwise: Commit,
}

impl Births {
    pub(super) fn of(
        births: Vec<Birth>,
        sent: Sent,
        answer: Option<oneshot::Sender<Result<Sent, Error>>>,
    ) -> Box<Self> {
        Box::new(Births { births, delivery: None, sent, answer, later: None })
    }

    /// The first run that is born.
    pub(super) fn first_run(&self) -> Option<RunId> {
        self.births.first().map(|birth| birth.active.run.id)
    }
}

impl Driver {
    /// An event id: the time, then a count that began at a chance number.
    pub(super) fn new_event_id(&mut self, at: Time) -> EventId {
        self.next_event = self.next_event.wrapping_add(1);
        EventId::numbered(at, self.next_event)
    }

    pub(super) fn send(&mut self, incoming: Incoming, answer: oneshot::Sender<Result<Sent, Error>>) {
        if let Err(busy) = self.has_room() {
            let _ = answer.send(Err(busy));
        } else if let Err(error) = self.accept(incoming, answer) {
            let (answer, error) = *error;
            // Whoever sent it may have gone.
            let _ = answer.send(Err(error));
        }
    }

    #[allow(clippy::type_complexity, reason = "an error, and whom to tell")]
    fn accept(
        &mut self,
        incoming: Incoming,
        answer: oneshot::Sender<Result<Sent, Error>>,
    ) -> Result<(), Box<(oneshot::Sender<Result<Sent, Error>>, Error)>> {
        let now = self.now;
        let checked = match incoming {
            Incoming::Event(event) => self.checked(event, now).map(|(row, id)| (row, id, None)),
            Incoming::Start { workflow, event, data } => {
                self.by_hand(&workflow, event, &data, now).map(|row| (row, None, Some(workflow)))
            }
        };
        let (row, sender_id, only) = match checked {
            Ok(checked) => checked,
            Err(error) => return Err(Box::new((answer, error))),
        };
        let mut commit = Commit::default();
        let sent = Sent {
            id: sender_id.clone().unwrap_or_else(|| row.id.to_string()),
            event: row.id,
            runs: Vec::new(),
            gathered: false,
            duplicate: false,
        };
        let mut births = Births::of(Vec::new(), sent, Some(answer));
        if row.ts > now {
            let (due, writes) = postponed(&row, row.ts);
            commit.writes.extend(writes);
            births.later = Some(due);
        } else {
            (births.births, births.delivery) = self.births(&mut commit, &row, only.as_deref(), None);
        }
        self.keep_clock(&mut commit, now);
        match sender_id {
            None => self.give_birth(commit, births),
            Some(id) => {
                let seen = SeenBefore { event: row.id, otherwise: Commit::default() };
                self.send_once(&id, commit, seen, births, now);
            }
        }
        Ok(())
    }

    /// Commits an event with its births.
    pub(super) fn give_birth(&mut self, commit: Commit, mut births: Box<Births>) {
        let offers = offers_of(&mut births.births);
        let rule = |_: &mut Rows, _: &mut Commit| Ruled { answer: Json::Null, goes_on: true };
        let decided = decide_with(&self.parts.store, Vec::new(), offers, commit, rule);
        self.spawn(async move {
            let committed = decided.await.map(|(receipt, _, verdicts)| {
                tell(&mut births.births, verdicts);
                receipt
            });
            Done::Born(births, committed)
        });
    }

    /// Commits an event with its births unless another one with its id was here before.
    pub(super) fn send_once(&mut self, id: &str, commit: Commit, seen: SeenBefore, mut births: Box<Births>, now: Time) {
        let keys = dedupe_keys(id, now);
        let offers = offers_of(&mut births.births);
        let rule = move |rows: &mut Rows, commit: &mut Commit| {
            let before = keys.iter().filter_map(|key| rows.get(key)?.as_ref()).find_map(|row| remembered(row, now));
            if let Some(before) = before.filter(|before| *before != seen.event) {
                commit.clone_from(&seen.otherwise);
                return Ruled { answer: Json::String(before.to_string()), goes_on: false };
            }
            let mut value = vec![crate::store::ROW_VERSION];
            value.extend_from_slice(seen.event.to_string().as_bytes());
            if !planted(Bug::IdNotRemembered) {
                commit.writes.push(Write::Put(Row { key: keys[0].clone(), value }));
            }
            Ruled { answer: Json::Null, goes_on: true }
        };
        let decided = decide_with(&self.parts.store, dedupe_keys(id, now).to_vec(), offers, commit, rule);
        self.spawn(async move {
            match decided.await {
                Ok((_, Json::String(before), _)) => {
                    let event = before.parse().unwrap_or(births.sent.event);
                    let sent = Sent { event, runs: Vec::new(), gathered: false, duplicate: true, ..births.sent };
                    match births.answer.take() {
                        Some(answer) => Done::Duplicate(answer, sent),
                        None => Done::Retry(RunId { event, workflow: 0, nth: 0 }),
                    }
                }
                Ok((receipt, _, verdicts)) => {
                    tell(&mut births.births, verdicts);
                    Done::Born(births, Ok(receipt))
                }
                Err(error) => Done::Born(births, Err(error)),
            }
        });
    }

    fn checked(&mut self, event: Event, now: Time) -> Result<(EventRow, Option<String>), Error> {
        let Event { name, data, id, ts } = event;
        let invalid = |message: String| Error::new(ErrorKind::Invalid, message);
        if name.is_empty() {
            return Err(invalid("an event needs a name".into()));
        }
        if name.len().max(id.as_ref().map_or(0, String::len)) > EVENT_NAME_BYTES_MAX {
            return Err(invalid(format!("an event's name or id has more than {EVENT_NAME_BYTES_MAX} bytes")));
        }
        if name.starts_with("wf.") {
            return Err(invalid(format!("`{name}` is a name of the engine's own; events from outside have others")));
        }
        let size = data.to_string().len();
        if size > EVENT_BYTES_MAX {
            return Err(invalid(format!("the data of `{name}` has {size} bytes, more than {EVENT_BYTES_MAX}")));
        }
        if let Some(ty) = self.event_type(&name) {
            ty.accept(&data).map_err(|wrong| {
                let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
                invalid(format!("the data of `{name}` does not fit its type: {}", wrong.join("; ")))
            })?;
        }
        let row = EventRow::new(self.new_event_id(now), name, Value::from_json(&data), now);
        let row = EventRow { sender_id: id.clone(), ts: ts.unwrap_or(now), ..row };
        Ok((row, id))
    }

    fn event_type(&self, name: &str) -> Option<&Type> {
        self.parts.registry.iter().find_map(|(_, definition)| definition.plan.events.get(name)).map(|event| &event.data)
    }

    fn by_hand(
        &mut self,
        workflow: &str,
        event: String,
        data: &serde_json::Value,
        now: Time,
    ) -> Result<EventRow, Error> {
        let plan = self.parts.registry.plan(workflow);
        let plan = plan.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no workflow `{workflow}`")))?;
        let ty = plan.events.get(&event).map(|event| &event.data).or_else(|| signature(plan));
        let is_tick = event == super::cron::EVENT;
        let tick = data.get(super::cron::SCHEDULED_AT).and_then(|tick| tick.as_str()?.parse().ok());
        if let Some(ty) = ty.filter(|_| !is_tick) {
            ty.accept(data).map_err(|wrong| {
                let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
                let message = format!("the input of `{workflow}` does not fit its type: {}", wrong.join("; "));
                Error::new(ErrorKind::Invalid, message)
            })?;
        }
        let data = if is_tick { super::cron::event_data(tick.unwrap_or(now)) } else { Value::from_json(data) };
        Ok(EventRow::new(self.new_event_id(now), event, data, now))
    }

    /// Adds an event and the runs that it starts to a commit, with the events that were gathered for what is repeated. One
    /// that is for all is found by those who wait for it.
    pub(super) fn births(
        &mut self,
        commit: &mut Commit,
        row: &EventRow,
        only: Option<&str>,
        gathered: Option<Vec<Value>>,
    ) -> (Vec<Birth>, Option<Delivery>) {
        let alone = only.is_some().then(|| EventRow { alone: true, ..row.clone() });
        let row = alone.as_ref().unwrap_or(row);
        let now = self.now;
        let index = commit.events.len();
        let inbox = match only {
            None => self.parts.registry.inbox_keys(&row.name, &row.data),
            Some(_) => Vec::new(),
        };
        let delivery = Delivery { event: row.id, run: None, keys: inbox.clone(), from: None };
        let delivery = Some(delivery).filter(|delivery| !delivery.keys.is_empty());
        commit.writes.extend(delivery.iter().map(|delivery| Write::Put(delivery.row())));
        commit.events.push(NewEvent { id: row.id, row: row.to_bytes(), inbox });
        let started: Vec<(u16, Arc<Definition>)> = self
            .parts
            .registry
            .iter()
            .filter(|(_, definition)| match only {
                Some(workflow) => definition.plan.workflow.name.value == workflow,
                None => self.triggers(&definition.plan, row, now),
            })
            .map(|(number, definition)| (number, definition.clone()))
            .collect();
        let births = started.into_iter().map(|(number, definition)| {
            let run = RunId { event: row.id, workflow: number, nth: 0 };
            let born_of = BornOf::Here(index);
            let (caller, detached, gathered) = (None, false, gathered.clone());
            self.birth(commit, Beginning { row, born_of, run, definition, caller, detached, gathered })
        });
        (births.collect(), delivery)
    }

    /// The birth of the run that a tick of a schedule starts.
    pub(super) fn tick_births(
        &mut self,
        commit: &mut Commit,
        row: &EventRow,
        number: u16,
        definition: Arc<Definition>,
    ) -> Box<Births> {
        commit.events.push(NewEvent { id: row.id, row: row.to_bytes(), inbox: Vec::new() });
        let run = RunId { event: row.id, workflow: number, nth: 0 };
        let born_of = BornOf::Here(0);
        let (caller, detached, gathered) = (None, false, None);
        let birth = self.birth(commit, Beginning { row, born_of, run, definition, caller, detached, gathered });
        let sent = Sent { id: row.id.to_string(), event: row.id, runs: vec![run], gathered: false, duplicate: false };
        Births::of(vec![birth], sent, None)
    }

    fn triggers(&self, plan: &Plan, row: &EventRow, now: Time) -> bool {
        plan.workflow.triggers.iter().any(|trigger| match trigger {
            PlanTrigger::Event { event, filter } if event.value == row.name => {
                filter.as_ref().is_none_or(|filter| self.passes(plan, row, filter, now))
            }
            _ => false,
        })
    }

    fn passes(&self, plan: &Plan, row: &EventRow, filter: &Form, now: Time) -> bool {
        let event = row.trigger(plan.events.get(&row.name).map(|event| &event.data)).value();
        match filter.fill(&EventScope { event, live: &self.parts.live, now }) {
            Ok(Value::Bool(passes)) => passes,
            Ok(_) => false,
            Err(error) => {
                let workflow = &plan.workflow.name.value;
                tracing::warn!(workflow, event = row.name, %error, "the trigger's filter failed; no run was started");
                false
            }
        }
    }

    /// A run begins. Its first turn rides in the commit of its event, unless that turn touches other runs or shared
    /// rows: such a run, and every child, is born undecided and decides in a commit of its own.
    pub(super) fn birth(&mut self, commit: &mut Commit, beginning: Beginning<'_>) -> Birth {
        let now = self.now;
        let Beginning { row, born_of, run: id, definition, caller, detached, gathered } = beginning;
        let plan = &definition.plan;
        let parent = caller.clone().filter(|_| !detached);
        let caller = caller.filter(|_| plan.workflow.limits.is_some());
        let ty = plan.events.get(&row.name).map(|event| &event.data).or_else(|| signature(plan));
        let mut newborn = Run::new(id, plan.hash, Arc::new(row.trigger(ty)), parent, now);
        let stand_in = |run: &Run| caller.is_some().then(|| Box::new(StandIn { run: run.clone(), born_of, now }));
        let mut start = None;
        let mut born = Commit::default();
        if let Some(limits) = plan.workflow.limits.as_ref().map(|limits| &limits.value) {
            let scope = EventScope { event: newborn.trigger.value(), live: &self.parts.live, now };
            let arrival = arrival(row, born_of, plan);
            let terms = Terms::of(id.workflow, limits, &scope);
            match terms.and_then(|terms| Ok((terms, Start::of(id, limits, arrival, &scope)?))) {
                Ok((terms, judged)) => {
                    newborn.accept(terms);
                    start = judged;
                }
                Err(error) => {
                    let workflow = &plan.workflow.name.value;
                    tracing::warn!(workflow, event = row.name, %error, "the key of a limit failed; no run was started");
                    let offer = Offer { start: Start::wrong(id, now), born, stand_in: stand_in(&newborn) };
                    return Birth { caller, ..Birth::offered(newborn, definition, born_of, offer) };
                }
            }
            if let Some(start) = start.take_if(|start| start.is_gathered()) {
                let offer = Offer { start, born, stand_in: None };
                return Birth::offered(newborn, definition, born_of, offer);
            }
            if limits.has_events() {
                let events = gathered.unwrap_or_else(|| vec![newborn.trigger.value()]);
                born.writes.extend(rows::gather(&mut newborn, Value::from(events)).map(Write::Put));
            }
        }
        if self.paused.contains(&id.workflow) {
            newborn.accept(newborn.head.terms.as_deref().cloned().unwrap_or_default().held());
        }
        let mut run = newborn.clone();
        let cx = Cx { definition: &definition, live: &self.parts.live, workflows: &self.parts.registry, now };
        // One that is open under a key ends in a commit of its own, so that the next one may begin.
        let is_unique = start.as_ref().is_some_and(|start| start.unique().is_some());
        // Of what was in the log before the birth, the first turn could not know.
        let is_here = matches!(born_of, BornOf::Here(_));
        let may_begin = is_here && run.head.parent.is_none() && !run.needs_claim() && !is_unique;
        let turn = if may_begin { run.decide(&cx, Input::Start) } else { Turn::default() };
        let is_alone = |command: &Command| matches!(command, Command::Perform(_) | Command::Look(_));
        let is_short = turn.records.len() <= BIRTH_RECORDS && turn.blobs.is_empty();
        let is_told = super::ended::is_told(&self.parts.registry, &run, row.quiet);
        let decided =
            !turn.records.is_empty() && is_short && !turn.more && !is_told && turn.commands.iter().all(is_alone);
        let stand_in = start.as_ref().and_then(|_| stand_in(&newborn));
        let (run, mut turn) = if decided { (run, turn) } else { (newborn, Turn::default()) };
        // Its waits are in the commit of its event, and so nothing behind it can have been missed.
        turn.commands.retain(|command| !matches!(command, Command::Look(_)));

        let birth = rows::birth_json(&turn.records);
        let mut active = Active { origin: row.origin, quiet: row.quiet, ..Active::new(run, definition.clone(), birth) };
        let in_line = active.run.needs_claim();
        if !decided && !in_line {
            active.inputs.push_back(Input::Start);
        }
        active.queued = !decided || !(active.run.is_parked() || active.run.is_ended());
        for (blob, bytes) in &turn.blobs {
            born.writes.extend(rows::chunks(id, blob.first, bytes).map(Write::Put));
        }
        let json = rows::head_json(&active.run, &active.birth, active.journal);
        let head = rows::spill(id, FrameId::ROOT, json, &mut born.writes);
        let (writes, timers) = birth_rows(&mut active);
        born.writes.extend(writes);
        if active.run.is_ended() {
            let ended = Key::ended(id.workflow, active.run.head.status as u8, now, id);
            born.writes.push(Write::Put(Row { key: ended, value: vec![crate::store::ROW_VERSION] }));
        }
        let later = active.queued && (!is_here || self.active.len() >= ACTIVE_NEW_MAX);
        let (ready, gate) = match active.run.head.terms.as_ref().filter(|_| in_line) {
            Some(terms) => (terms.ready(id.workflow), terms.gate.clone()),
            None => (Ready::woken(id), Gate::default()),
        };
        born.runs.push(NewRun {
            run: id,
            born_of,
            head,
            version: active.run.version,
            ready: active.queued.then_some(ready),
            gate,
            behind: None,
            claimed: active.queued && !later && !in_line,
        });
        let (commands, records) = (turn.commands, turn.records);
        let is_judged = start.is_some();
        let offer = start.map(|start| Box::new(Offer { start, born: born.clone(), stand_in }));
        if !is_judged {
            commit.writes.append(&mut born.writes);
            commit.runs.append(&mut born.runs);
        }
        Birth { active, commands, records, timers, born_of, later, offer, is_judged, verdict: None, caller }
    }

    pub(super) fn born(&mut self, births: Births, result: Result<Receipt, CommitError>) {
        let Births { births, delivery, mut sent, answer, later } = births;
        let receipt = match result {
            Ok(receipt) => receipt,
            Err(error) => {
                tracing::error!(event = %sent.event, %error, "the event was not recorded");
                if let Some(answer) = answer {
                    let _ = answer.send(Err(error.into()));
                }
                return;
            }
        };
        sent.runs.extend(births.iter().filter_map(Birth::answered));
        sent.gathered = births.iter().any(Birth::is_gathered);
        if let Some(answer) = answer {
            // Whoever sent it may have gone; the event is in all the same.
            let _ = answer.send(Ok(sent));
        }
        if let Some(due) = later {
            self.timers.add(due);
        }
        for birth in births {
            self.settle_birth(birth, &receipt);
        }
        delivery.into_iter().for_each(|delivery| self.deliver(delivery));
    }

    /// A birth is durable: the run goes on in memory, or rests in the store.
    pub(super) fn settle_birth(&mut self, birth: Birth, receipt: &Receipt) {
        let Birth { mut active, commands, records, timers, born_of, later, verdict, caller, .. } = birth;
        let id = active.run.id;
        match verdict {
            Some(Verdict::Drop(dropped)) => return self.dropped(id, caller, &dropped),
            Some(Verdict::Gathered { first, due, before }) => return self.gathered(first, due, before),
            _ => {}
        }
        if let Some(caller) = caller.filter(|_| active.run.head.parent.is_none()) {
            self.child_ended(caller.run, caller.frame, id, Some(Ok(Value::Null)));
        }
        active.run.position = match born_of {
            BornOf::Here(event) => Self::position_of_log(receipt, event),
            BornOf::Before(position) => position,
        };
        for (frame, at) in timers {
            self.timers.add(Due { at, run: id, frame });
        }
        let workflow = &active.definition.plan.workflow.name.value;
        self.observe(&Notice { run: id, workflow, origin: active.origin.unwrap_or(id), records: &records });
        if active.run.is_ended() {
            self.tell_waiting(id, &Ok(()));
        }
        if let Some(Verdict::Wait { replaces }) = verdict {
            let reason = limits::replaced_by(id);
            let cancel = |run| self.wake(run, vec![Input::Cancel { reason: reason.clone() }], false);
            return replaces.into_iter().for_each(cancel);
        }
        active.line = active.run.place_in_line();
        if active.line.is_some() {
            if self.active.contains_key(&id) || self.loading.contains_key(&id) {
                return; // it was claimed before this was heard of
            }
            active.queued = false;
            return self.hold(active);
        }
        if later {
            self.queue_changed = true;
            return;
        }
        if active.is_at_rest() && !active.queued {
            return;
        }
        // Somebody may have found it in the store and woken it before this was heard of.
        if let Some(woken) = self.active.get_mut(&id) {
            woken.queued |= active.queued;
            return self.step(id);
        }
        if let Some(Loading { inputs, queued, .. }) = self.loading.remove(&id) {
            active.inputs.extend(inputs);
            active.queued |= queued;
        }
        self.active.insert(id, active);
        for command in commands {
            self.perform(id, command);
        }
        self.step(id);
    }

    /// A start has come to nothing; whoever invoked the run is told.
    fn dropped(&mut self, run: RunId, caller: Option<Caller>, dropped: &Dropped) {
        tracing::info!(%run, why = dropped.why, "a limit did not let the run start");
        if let Some(caller) = caller {
            self.child_ended(caller.run, caller.frame, run, Some(Err(dropped.refusal().failure())));
        }
    }

    // ── what steps send ─────────────────────────────────────────────────

    pub(super) fn add_event(&mut self, commit: &mut Commit, flight: &mut Flight, active: &Active, event: SendEvent) {
        let now = self.now;
        let SendEvent { id, name, data, sender_id, at } = event;
        let row = EventRow { sender_id, ts: at, ..sent_by(active, EventRow::new(id, name, data, now)) };
        if at > now || row.sender_id.is_some() {
            let (due, writes) = postponed(&row, if row.sender_id.is_some() { now } else { at });
            commit.writes.extend(writes);
            flight.delayed.push(due);
            return;
        }
        let (births, delivery) = self.births(commit, &row, None, None);
        flight.births.extend(births);
        flight.deliveries.extend(delivery);
    }

    pub(super) fn add_child(&mut self, commit: &mut Commit, flight: &mut Flight, active: &Active, start: StartRun) {
        let now = self.now;
        let Some((_, definition)) = crate::run::Workflows::newest(&self.parts.registry, &start.workflow) else {
            return;
        };
        let definition = definition.clone();
        let event = definition.plan.workflow.triggers.iter().find_map(|trigger| match trigger {
            PlanTrigger::Event { event, .. } => Some(event.value.clone()),
            PlanTrigger::Cron { .. } => None,
        });
        let name = event.unwrap_or_else(|| INVOKE.to_owned());
        let row = sent_by(active, EventRow::new(start.run.event, name, start.data, now));
        let row = EventRow { alone: true, ..row };
        let index = commit.events.len();
        commit.events.push(NewEvent { id: row.id, row: row.to_bytes(), inbox: Vec::new() });
        let caller = Some(Caller { run: active.run.id, frame: start.frame, order: active.run.position });
        let (row, born_of, detached) = (&row, BornOf::Here(index), start.detached);
        let beginning = Beginning { row, born_of, run: start.run, definition, caller, detached, gathered: None };
        let birth = self.birth(commit, beginning);
        flight.births.push(birth);
    }
}

impl Birth {
    /// A birth that does not come to pass, and of which this is to be written.
    fn offered(run: Run, definition: Arc<Definition>, born_of: BornOf, offer: Offer) -> Self {
        let active = Active::new(run, definition, rows::birth_json(&[]));
        let (commands, records, timers) = Default::default();
        let (offer, is_judged, later) = (Some(Box::new(offer)), true, false);
        Birth { active, commands, records, timers, born_of, later, offer, is_judged, verdict: None, caller: None }
    }

    /// Whether its event is gathered with others.
    fn is_gathered(&self) -> bool {
        matches!(self.verdict, Some(Verdict::Gathered { .. }))
    }

    /// The run that whoever sent the event is told of: the one that is born, or the one that was before it.
    fn answered(&self) -> Option<RunId> {
        match &self.verdict {
            Some(Verdict::Drop(dropped)) => dropped.run.filter(|_| dropped.why == limits::IDEMPOTENT),
            Some(Verdict::Gathered { .. }) => None,
            _ => Some(self.active.run.id),
        }
    }
}

/// How a start comes to the limits of its workflow.
fn arrival(row: &EventRow, born_of: BornOf, plan: &Plan) -> Arrival {
    match born_of {
        BornOf::Before(_) => Arrival::Gathered,
        BornOf::Here(_) if row.alone => Arrival::Alone,
        BornOf::Here(index) => {
            let bytes = row.data.size_within(EVENT_BYTES_MAX).unwrap_or(EVENT_BYTES_MAX);
            Arrival::Event { index, bytes: bytes as u64, plan: Hash(plan.hash) }
        }
    }
}

/// An event that a run sends.
pub(super) fn sent_by(active: &Active, row: EventRow) -> EventRow {
    let origin = Some(active.origin.unwrap_or(active.run.id));
    EventRow { sent_by: Some(active.run.id), origin, quiet: active.quiet || row.quiet, ..row }
}

/// The rows that remember a sender's id: of this period and of the one before.
fn dedupe_keys(id: &str, now: Time) -> [Key; 2] {
    let hash: [u8; 32] = Sha256::digest(id.as_bytes()).into();
    let hash: [u8; 16] = hash[..16].try_into().expect("the first half");
    let bucket = now.0.div_euclid(DEDUPE_DAYS * 86_400_000).rem_euclid(1 << 16) as u16;
    [Key::dedupe(bucket, &hash), Key::dedupe(bucket.wrapping_sub(1), &hash)]
}

/// The event that a row remembers, unless that is too long ago.
fn remembered(row: &Row, now: Time) -> Option<EventId> {
    let event: EventId = std::str::from_utf8(row.value.get(1..)?).ok()?.parse().ok()?;
    (now.0 - event.at().0 < DEDUPE_DAYS * 86_400_000).then_some(event)
}
