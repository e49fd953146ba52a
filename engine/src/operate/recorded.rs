//! Reading a run back as a case of a workflow test.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};
use wf_dsl::{Body, Period, Plan, Time, Trigger};

use super::{Operator, PAGE};
use crate::driver::load::{self, Loaded};
use crate::driver::{INVOKE, RUN_EVENTS};
use crate::error::{Error, ErrorKind};
use crate::ids::{FrameId, Position, RunId};
use crate::rows::EventRow;
use crate::run::{Awaited, AwaitedEvent, Fact, Failure, Record, Run, StepId, regular_delay};
use crate::store::Key;
use crate::testing::{Answer, Happened, Outcome, Recorded};

/// How many events a test from a run sends at most.
pub const RECORDED_EVENTS_MAX: usize = 1_000;

impl Operator {
    /// A run that has ended as a case of a workflow test, in which its calls come to what they came to and it receives
    /// what it received; [`Recorded::written`] makes the text.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run, [`ErrorKind::Conflict`] if no test can say how it went: it has
    /// not ended or never began, its oldest records are gone, or a person retried or moved it; and whatever the store
    /// answers.
    pub async fn recorded(&self, run: RunId) -> Result<Recorded, Error> {
        let loaded = self.load(run).await?;
        let (records, dropped) = crate::report::history(&*self.store, &loaded).await?;
        let mut start = began(&loaded.run, &records, dropped)?;
        let plan = &loaded.definition.plan;
        let mut event = load::event(&*self.store, loaded.run.position).await?;
        let mut notes = Vec::new();
        // What gathers events is sent all of them, and begins when it has them.
        let mut more = Vec::new();
        if gathers(plan) {
            let mut events = gathered(&loaded.run, &event).into_iter();
            if let Some(first) = events.next() {
                event = first;
            }
            start = event.ts;
            more.extend(events.map(|event| (event.ts, sent(event))));
        }
        let gathered =
            loaded.run.head.events.as_ref().and_then(|events| events.value.as_list()).map_or(0, |list| list.len());
        if gathered > 1 {
            notes.push(format!("{gathered} events were gathered for it; only the last of them is here"));
        }
        let records = whole(records, &mut notes);
        let null_kind = |kind: &str| plan.kinds.get(kind).is_some_and(|kind| kind.output == json!({"type": "null"}));
        let always_null = plan.workflow.steps.iter().filter(|step| null_kind(&step.kind.value));
        let report = self.report(run).await?;
        Ok(Recorded {
            run,
            workflow: plan.workflow.name.value.clone(),
            plan: plan.hash,
            start,
            trigger: trigger(&event, plan, start),
            calls: outcomes(&loaded.run, &records, plan),
            always_null: always_null.map(|step| step.id.clone()).collect(),
            script: self.script(&loaded, &records, (start, more), &mut notes).await?,
            happened: Happened::recorded(&plan.workflow, &records, &report),
            notes,
        })
    }

    /// What the run received, and whether it was asked to end: the entries of a script, in the order of time.
    async fn script(
        &self,
        loaded: &Loaded,
        records: &[Record],
        (start, more): (Time, Vec<(Time, Json)>),
        notes: &mut Vec<String>,
    ) -> Result<Vec<Json>, Error> {
        let run = &loaded.run;
        let mut received: BTreeMap<Position, EventRow> = BTreeMap::new();
        let mut entries: Vec<(Time, Json)> = more;
        for (awaited, until) in awaited(records) {
            let after = awaited.after.max(run.position);
            self.received(run.id, &awaited, after, until, &mut received).await?;
        }
        for gone in gone(records, &received) {
            notes.push(format!("the log has no `{}` any more; its data is as the run saw it", gone.1["event"]));
            entries.push(gone);
        }
        let mut cancelled_by = BTreeSet::new();
        for event in received.into_values() {
            if event.name.starts_with(RUN_EVENTS) {
                notes.push(format!("it received `{}`, which nobody but the engine sends", event.name));
                continue;
            }
            cancelled_by.insert(format!("the event `{}`", event.name));
            entries.push((event.received, sent(event)));
        }
        for record in records {
            if let Fact::CancelRequested { reason } = &record.fact
                && !cancelled_by.contains(reason)
            {
                entries.push((record.at, json!({"cancel": reason})));
            }
        }
        entries.sort_by_key(|(at, _)| *at);
        if entries.len() > RECORDED_EVENTS_MAX {
            notes.push(format!("it received {} events; these are the first of them", entries.len()));
            entries.truncate(RECORDED_EVENTS_MAX);
        }
        let entry = |(at, what): (Time, Json)| {
            let mut entry = Map::from_iter([("at".to_owned(), Json::from(at.max(start).to_string()))]);
            entry.extend(what.as_object().cloned().unwrap_or_default());
            Json::Object(entry)
        };
        Ok(entries.into_iter().map(entry).collect())
    }

    /// Adds the events of others that a wait looked at.
    async fn received(
        &self,
        run: RunId,
        awaited: &AwaitedEvent,
        after: Position,
        until: Until,
        received: &mut BTreeMap<Position, EventRow>,
    ) -> Result<(), Error> {
        let mut range = Key::inbox_after(awaited.key, after);
        while received.len() <= RECORDED_EVENTS_MAX {
            let page = self.store.scan(range.clone(), false, PAGE).await?;
            for row in &page {
                let Some((_, position)) = row.key.as_inbox() else { continue };
                if until.cursor.is_some_and(|cursor| position > cursor) {
                    return Ok(());
                }
                let Some((_, event)) = load::event_from(&*self.store, position, position).await? else { continue };
                if event.received > until.at {
                    return Ok(());
                }
                if event.name == awaited.event && event.sent_by != Some(run) {
                    received.insert(position, event);
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => range.start = last.key.next(),
                _ => break,
            }
        }
        Ok(())
    }
}

/// An event as an entry of a script sends it.
fn sent(event: EventRow) -> Json {
    let mut entry = Map::new();
    entry.insert("event".to_owned(), event.name.into());
    entry.insert("data".to_owned(), event.data.to_json());
    entry.extend(event.sender_id.map(|id| ("id".to_owned(), id.into())));
    Json::Object(entry)
}

/// Whether runs of a workflow are started by several events.
fn gathers(plan: &Plan) -> bool {
    let limits = plan.workflow.limits.as_ref().map(|limits| &limits.value);
    limits.is_some_and(|limits| limits.debounce.is_some() || limits.batch.is_some())
}

/// The events that a run was started by, as far as it has them: without `collect`, the last one.
fn gathered(run: &Run, last: &EventRow) -> Vec<EventRow> {
    let event = |value: &wf_dsl::Value| {
        let ts = match value.get_path("ts")? {
            wf_dsl::Value::Time(ts) => *ts,
            _ => return None,
        };
        let id = value.get_path("id").and_then(wf_dsl::Value::as_str).unwrap_or_default();
        // The engine's own id is another one each time.
        let sender_id = (id.len() != last.id.to_string().len()).then(|| id.to_owned());
        let data = value.get_path("data").cloned().unwrap_or_default();
        Some(EventRow { ts, sender_id, data, ..last.clone() })
    };
    let events = run.head.events.as_ref().and_then(|events| events.value.as_list());
    events.into_iter().flat_map(|events| events.iter()).filter_map(event).collect()
}

/// When a run began; or why no test can say how it went.
fn began(run: &Run, records: &[Record], dropped: u64) -> Result<Time, Error> {
    let refused = |why: String| {
        Err(Error::new(ErrorKind::Conflict, format!("no test can be written from run {}: {why}", run.id)))
    };
    if !run.is_ended() {
        return refused("it has not ended".to_owned());
    }
    if dropped > 0 {
        return refused(format!("{dropped} of its records are gone, so that nobody knows what its calls came to"));
    }
    let by_hand = records.iter().find_map(|record| match record.fact {
        Fact::Retried { .. } => Some("was retried"),
        Fact::Migrated { .. } => Some("was moved to another definition"),
        _ => None,
    });
    if let Some(what) = by_hand {
        return refused(format!("it {what} on its way, which no test can do"));
    }
    match records.iter().find(|record| matches!(record.fact, Fact::Started { .. })) {
        Some(started) => Ok(started.at),
        None => refused("it ended before it began".to_owned()),
    }
}

/// The entry `trigger`.
fn trigger(event: &EventRow, plan: &Plan, start: Time) -> Json {
    let mut trigger = Map::new();
    // Without a name it is a start by hand, which no condition of the trigger keeps out.
    let only_event = matches!(&plan.workflow.triggers[..], [Trigger::Event { .. }]);
    let by_hand = event.name == INVOKE || event.alone && only_event;
    if !by_hand {
        trigger.insert("event".to_owned(), event.name.as_str().into());
    }
    if !event.data.is_null() {
        trigger.insert("data".to_owned(), event.data.to_json());
    }
    trigger.extend(event.sender_id.as_ref().map(|id| ("id".to_owned(), id.as_str().into())));
    if event.ts != start && !by_hand {
        trigger.insert("ts".to_owned(), event.ts.to_string().into());
    }
    Json::Object(trigger)
}

/// The records as they would be if the process had not ended and every key had been free.
fn whole(records: Vec<Record>, notes: &mut Vec<String>) -> Vec<Record> {
    let mut whole: Vec<Record> = Vec::with_capacity(records.len());
    // Steps that asked for a key, and made no attempt since; attempts that were cut off and will be made again.
    let (mut asked, mut cut_off) = (HashMap::new(), BTreeSet::new());
    // Keys that it held itself: whoever asks for one again takes the output here too.
    let mut own = BTreeSet::new();
    for record in records {
        let frame = record.frame;
        match &record.fact {
            Fact::KeyWanted { step, key } => drop(asked.insert((frame, step.clone()), key.clone())),
            Fact::AttemptInterrupted { step, .. } => {
                notes.push(format!("the process ended during `{step}`; here it does not"));
                cut_off.insert((frame, step.clone()));
                continue;
            }
            Fact::AttemptStarted { step, key, .. } => {
                let at = (frame, step.clone());
                own.extend(key.clone());
                asked.remove(&at);
                if cut_off.remove(&at) {
                    continue;
                }
            }
            Fact::Finished { step, .. } => {
                if let Some(key) = asked.remove(&(frame, step.clone()))
                    && !own.contains(&key)
                {
                    notes.push(format!(
                        "`{step}` took its output from another run with the key `{key}`; here it is called"
                    ));
                    let fact = Fact::AttemptStarted { step: step.clone(), attempt: 1, key: Some(key) };
                    whole.push(Record { frame, at: record.at, fact });
                }
            }
            _ => {}
        }
        whole.push(record);
    }
    whole
}

/// Up to where a wait looked at the log.
#[derive(Clone, Copy)]
struct Until {
    cursor: Option<Position>,
    at: Time,
}

/// The events that the run looked for, each with how long it did.
fn awaited(records: &[Record]) -> Vec<(AwaitedEvent, Until)> {
    let mut looked: Vec<(AwaitedEvent, Until)> = Vec::new();
    let mut open: HashMap<FrameId, Vec<AwaitedEvent>> = HashMap::new();
    let mut cancel_on = Vec::new();
    let end = records.last().map_or(Time(0), |record| record.at);
    for record in records {
        match &record.fact {
            Fact::Started { cancel_on: events, .. } => cancel_on.clone_from(events),
            Fact::Waited { awaited, .. } => {
                let events = awaited.iter().filter_map(Awaited::event).cloned();
                drop(open.insert(record.frame, events.collect()));
            }
            Fact::WaitEnded { cursor, .. } => {
                let until = Until { cursor: Some(*cursor), at: record.at };
                looked.extend(open.remove(&record.frame).into_iter().flatten().map(|event| (event, until)));
            }
            Fact::Abandoned { .. } => {
                let until = Until { cursor: None, at: record.at };
                looked.extend(open.remove(&record.frame).into_iter().flatten().map(|event| (event, until)));
            }
            // From here on nothing cancels it.
            Fact::CancelRequested { .. } => {
                let until = Until { cursor: None, at: record.at };
                looked.extend(std::mem::take(&mut cancel_on).into_iter().map(|event| (event, until)));
            }
            _ => {}
        }
    }
    let rest = open.into_values().flatten().chain(cancel_on);
    looked.extend(rest.map(|event| (event, Until { cursor: None, at: end })));
    looked
}

/// Events that ended waits and are in the log no more, as the outputs of the waits have them.
fn gone(records: &[Record], received: &BTreeMap<Position, EventRow>) -> Vec<(Time, Json)> {
    let sent: BTreeSet<&str> = records
        .iter()
        .filter_map(|record| match &record.fact {
            Fact::Sent { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let ended = records.iter().filter_map(|record| match &record.fact {
        Fact::WaitEnded { cursor, output, .. } if !received.contains_key(cursor) => {
            let name = output.value.get_path("event")?.as_str()?.to_owned();
            // One that it sent itself is sent again.
            let is_own = sent.contains(name.as_str()) || name.starts_with(RUN_EVENTS);
            let data = output.value.get_path("data").map(wf_dsl::Value::to_json).unwrap_or_default();
            (!is_own).then(|| (record.at, json!({"event": name, "data": data})))
        }
        _ => None,
    });
    ended.collect()
}

/// What the calls of each step came to, in the order in which they began.
fn outcomes(run: &Run, records: &[Record], plan: &Plan) -> IndexMap<StepId, Vec<Outcome>> {
    let workflow = &plan.workflow;
    let mut replay = Run::new(run.id, run.head.plan.0, run.trigger.clone(), None, run.head.started);
    let mut calls: IndexMap<StepId, Vec<Outcome>> = IndexMap::new();
    // The calls that are under way, with their places and when they began; how often each policy has counted.
    let mut open: HashMap<(FrameId, StepId), (usize, Time)> = HashMap::new();
    let mut failures: HashMap<(FrameId, StepId, u32), u32> = HashMap::new();
    for record in records {
        replay.apply(record);
        let (frame, at) = (record.frame, record.at);
        let mut end = |step: &StepId, answer: Answer| {
            let Some((place, began)) = open.remove(&(frame, step.clone())) else { return };
            let Some(call) = calls.get_mut(step).and_then(|calls| calls.get_mut(place)) else { return };
            (call.takes, call.answer) = (at.since(began), answer);
        };
        match &record.fact {
            Fact::Entered { step, .. } => failures.retain(|(at, failed, _), _| *at != frame || failed != step),
            Fact::Finished { step, output } => end(step, Answer::Gives(output.value.to_json())),
            Fact::Failed { step, failure } => end(step, failed(plan, step, failure, None)),
            Fact::AttemptFailed { step, failure, retry_at, policy, .. } => {
                let count = failures.entry((frame, step.clone(), *policy)).or_default();
                *count += 1;
                let retry = workflow.find(step).and_then(|ix| workflow.step(ix).retry.get(*policy as usize));
                let usual = retry.and_then(|retry| regular_delay(retry, *count));
                let asked = retry_at.since(at);
                let asked = usual.is_some_and(|usual| asked > usual).then_some(asked);
                end(step, failed(plan, step, failure, asked));
            }
            Fact::Abandoned { step, .. } => end(step, Answer::Hangs),
            _ => {}
        }
        if let Fact::AttemptStarted { step, .. } | Fact::Invoked { step, .. } = &record.fact {
            let iteration = replay.iteration(plan, frame);
            let of_step = calls.entry(step.clone()).or_default();
            open.insert((frame, step.clone()), (of_step.len(), at));
            of_step.push(Outcome { iteration, takes: Period::ZERO, answer: Answer::Hangs });
        }
    }
    calls
}

fn failed(plan: &Plan, step: &StepId, failure: &Failure, retry_after: Option<Period>) -> Answer {
    let of_step = plan.workflow.find(step).map(|ix| plan.workflow.step(ix));
    let is_timed =
        |step: &wf_dsl::Step| step.timeout.is_some() && matches!(step.body, Body::Effect(_) | Body::Invoke { .. });
    if failure.code == "timeout" && of_step.is_some_and(is_timed) {
        return Answer::Hangs;
    }
    let mut fail = Map::new();
    fail.insert("code".to_owned(), failure.code.as_str().into());
    fail.insert("message".to_owned(), failure.message.as_str().into());
    if !failure.data.is_null() {
        fail.insert("data".to_owned(), failure.data.to_json());
    }
    fail.extend(retry_after.map(|after| ("retry_after".to_owned(), after.compact().into())));
    Answer::Fails(Json::Object(fail))
}
