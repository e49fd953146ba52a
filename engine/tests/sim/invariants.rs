//! What must hold after every schedule. Each check gives what is wrong, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use wf_dsl::{CatchUp, Overlap, Plan, Schedule as Cron, Time, Trigger};
use wf_engine::run::{Fact, Place, Run, Status};
use wf_engine::store::{InboxKey, Key, Table};
use wf_engine::{DEDUPE_DAYS, EventId, FrameId, Position, RunId};

use crate::events::{LoggedEvent, Rows};
use crate::example::{Example, What, cron_of};
use crate::limits;
use crate::pruned;
use crate::replay::{self, Told};
use crate::starts;
use crate::world::{Answer, Up, World};

/// The frame of the timer of an event that was sent for later.
const DELAYED_EVENT: FrameId = FrameId(u32::MAX);
/// How late something may be that is due while the process is up, in milliseconds, beside the delays of the store.
pub(crate) const LATE_MAX: i64 = 1_000;
/// Longer than this, in milliseconds, no run does something without a record of it.
const STUCK: i64 = 3 * 86_400_000;
/// What slow answers of the store may add to it.
pub(crate) const SLOW_MAX: i64 = 4_000;

/// A world with what every check looks at.
pub(crate) struct Seen<'a> {
    pub(crate) world: &'a World,
    pub(crate) rows: Rows,
    pub(crate) events: BTreeMap<Position, LoggedEvent>,
    pub(crate) workflows: BTreeMap<u16, String>,
    /// What was delivered under each key.
    pub(crate) inbox: BTreeMap<InboxKey, Vec<Position>>,
    /// Where each run lies in the log.
    pub(crate) positions: BTreeMap<RunId, Position>,
    pub(crate) plans: BTreeMap<String, Arc<Plan>>,
    /// The runs as they stand after all their records.
    pub(crate) runs: BTreeMap<RunId, Told>,
}

/// Everything that is wrong.
pub(crate) fn violations(example: &Example, world: &World) -> Vec<String> {
    let rows = Rows::of(&world.store);
    let plans = example.plans.iter().map(|plan| (plan.workflow.name.value.clone(), plan.clone())).collect();
    let mut seen = Seen {
        world,
        events: rows.events(),
        workflows: rows.workflows(),
        inbox: rows.inbox(),
        positions: rows.positions(),
        rows,
        plans,
        runs: BTreeMap::new(),
    };
    let mut wrong = Vec::new();
    for history in &world.histories {
        let told = replay::tell(&seen, history, &mut wrong);
        seen.runs.insert(history.id, told);
    }
    replay::calls(&seen, &mut wrong);
    replay::explicit_keys(&seen, &mut wrong);
    ends(&seen, &mut wrong);
    rest(&seen, &mut wrong);
    leftovers(&seen, &mut wrong);
    sent_events(&seen, &mut wrong);
    births(&seen, &mut wrong);
    schedules(&seen, &mut wrong);
    cancels(&seen, &mut wrong);
    limits::check(&seen, &mut wrong);
    starts::check(&seen, &mut wrong);
    pruned::check(&seen, &mut wrong);
    wrong
}

impl Seen<'_> {
    pub(crate) fn plan(&self, run: RunId) -> &Plan {
        &self.plans[&self.workflows[&run.workflow]]
    }

    fn is_open(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|told| !told.run.is_ended())
    }

    /// Whether one of these processes was up from an instant on for so many milliseconds: the clock may have been set back,
    /// and the instant may have been there before or come again.
    pub(crate) fn was_up(&self, processes: RangeInclusive<usize>, from: Time, span: i64) -> bool {
        let spans = |up: &Up| up.from <= from && from.0 + span <= up.until.0;
        self.world.ups.iter().enumerate().any(|(process, up)| processes.contains(&process) && spans(up))
    }
}

/// Every run that has ended has one terminal state, and the index of ended runs says the same.
fn ends(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let mut ended: BTreeMap<RunId, Vec<&Key>> = BTreeMap::new();
    for row in seen.rows.all(Table::Ended) {
        let end = row.key.as_ended().expect("the key of an end");
        ended.entry(end.run).or_default().push(&row.key);
    }
    for (id, told) in &seen.runs {
        let rows = ended.remove(id).unwrap_or_default();
        let head = &told.run.head;
        let expected = head.ended.map(|at| Key::ended(id.workflow, head.status as u8, at, *id));
        if rows.len() > 1 || rows.first().copied() != expected.as_ref() {
            wrong.push(format!("run {id} is {}, but its rows of ended runs are {rows:?}", head.status.as_str()));
        }
    }
}

/// Everything due has drained: what is open is parked, with a due time to come or something that it waits for.
fn rest(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let timers = seen.rows.keys(Table::Timer, Key::as_timer);
    let overdue = seen.world.now.0 - LATE_MAX - SLOW_MAX;
    wrong.extend(timers.iter().filter(|due| due.at.0 < overdue).map(|due| format!("{due:?} is overdue at the end")));
    let stuck = seen.world.now.0 - STUCK;
    for (id, told) in seen.runs.iter().filter(|(_, told)| !told.run.is_ended() && !told.run.is_parked()) {
        if seen.world.quiet || (told.run.has_begun() && told.last.0 < stuck) {
            wrong.push(format!("run {id} is open and not parked: {:?}", places(&told.run)));
        }
    }
    if !seen.world.quiet {
        return;
    }
    let written: BTreeSet<(RunId, FrameId, Time)> =
        timers.iter().filter(|due| due.frame != DELAYED_EVENT).map(|due| (due.run, due.frame, due.at)).collect();
    let waits: BTreeSet<(RunId, FrameId)> = seen.rows.keys(Table::Wait, Key::as_wait).into_iter().collect();
    let (mut due, mut awaited) = (BTreeSet::new(), BTreeSet::new());
    for (id, told) in &seen.runs {
        due.extend(told.run.timers().map(|(frame, at)| (*id, frame, at)));
        if told.run.is_ended() {
            continue;
        }
        if !told.run.head.cancel_on.is_empty() {
            awaited.insert((*id, FrameId::ROOT));
        }
        for (frame, state) in &told.run.frames {
            let waits = match &state.place {
                Place::Wait { awaited, .. } => awaited.iter().any(|awaited| awaited.event().is_some()),
                Place::Key { taken, .. } => *taken,
                Place::Child { run: child, step, .. } => {
                    if !seen.is_open(*child) {
                        wrong.push(format!("run {id} waits in `{step}` for {child}, which has ended"));
                    }
                    true
                }
                _ => false,
            };
            if waits {
                awaited.insert((*id, *frame));
            }
        }
    }
    if written != due {
        let (more, less): (Vec<_>, Vec<_>) = (written.difference(&due).collect(), due.difference(&written).collect());
        wrong.push(format!("timers without need: {more:?}; needs without timer: {less:?}"));
    }
    if waits != awaited {
        let more: Vec<_> = waits.difference(&awaited).collect();
        let less: Vec<_> = awaited.difference(&waits).collect();
        wrong.push(format!("waits without need: {more:?}; needs without wait: {less:?}"));
    }
}

fn places(run: &Run) -> Vec<&Place> {
    run.frames.values().map(|frame| &frame.place).collect()
}

/// Nothing is left of runs that have ended, and nothing in the queue.
fn leftovers(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    if !seen.world.quiet {
        return;
    }
    for table in [Table::Queue, Table::Gated, Table::Line, Table::Cancel] {
        for row in seen.rows.all(table) {
            // A hint too many is harmless: who next looks at the queue finds that the run has ended.
            let is_hint = row.key.as_queue().is_some_and(|(.., run)| !seen.is_open(run));
            if !is_hint {
                wrong.push(format!("{:?} is left at the end", row.key));
            }
        }
    }
    for row in seen.rows.all(Table::Meta) {
        if row.key.as_bytes().starts_with(b"mdeliver/") {
            wrong.push(format!("{:?} is left at the end", row.key));
        }
    }
    let frame = |key: &Key| Some(RunId::from_bytes(key.as_bytes().get(1..17)?.try_into().ok()?));
    for run in seen.rows.keys(Table::Frame, frame).into_iter().collect::<BTreeSet<_>>() {
        if !seen.is_open(run) {
            wrong.push(format!("rows of frames are left of run {run}, which has ended"));
        }
    }
    for row in seen.rows.all(Table::Once) {
        let json: serde_json::Value = serde_json::from_slice(&row.value[1..]).expect("a key's row is JSON");
        let holder = json["run"].as_str().and_then(|run| run.parse().ok());
        if json["state"] == "held" && holder.is_some_and(|run| !seen.is_open(run)) {
            wrong.push(format!("an explicit key is held by a run that has ended: {json}"));
        }
    }
}

/// What was sent is in the log: once for each id within the time for which ids are remembered.
fn sent_events(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let mut by_id: BTreeMap<&str, Vec<Time>> = BTreeMap::new();
    for event in seen.events.values() {
        if let Some(id) = &event.sender_id {
            by_id.entry(id).or_default().push(event.id.at());
        }
    }
    for (id, times) in &by_id {
        for (earlier, later) in times.iter().zip(times.iter().skip(1)) {
            if (later.0 - earlier.0).abs() < DEDUPE_DAYS * 86_400_000 {
                wrong.push(format!("the event `{id}` is in the log more than once, from {earlier} and {later}"));
            }
        }
    }
    let later: BTreeSet<EventId> = seen
        .rows
        .keys(Table::Timer, Key::as_timer)
        .into_iter()
        .filter(|due| due.frame == DELAYED_EVENT)
        .map(|due| due.run.event)
        .collect();
    for (act, answer) in &seen.world.acts {
        let What::Send { id, ts, .. } = &act.what else { continue };
        let accepted = matches!(answer, Some(Answer::Done | Answer::Duplicate));
        if accepted && !by_id.contains_key(id.as_str()) && (ts.is_none() || later.is_empty()) {
            wrong.push(format!("the event `{id}` was accepted and is gone"));
        }
    }
    let logged: BTreeSet<EventId> = seen.events.values().map(|event| event.id).collect();
    for told in seen.runs.values() {
        for id in &told.sent {
            if !logged.contains(id) && !later.contains(id) && !told.sends_once {
                wrong.push(format!("run {} has sent the event {id}, which is nowhere", told.run.id));
            }
        }
    }
}

/// Every event of the log has started a run of every workflow that it triggers, and nothing else has.
fn births(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let sent: BTreeSet<EventId> = seen.runs.values().flat_map(|told| told.sent.iter().copied()).collect();
    let by_id: BTreeMap<EventId, &LoggedEvent> = seen.events.values().map(|event| (event.id, event)).collect();
    let dropped = limits::dropped(seen);
    let numbers: BTreeMap<&str, u16> = seen.workflows.iter().map(|(number, name)| (name.as_str(), *number)).collect();
    for event in seen.events.values() {
        // Runs by hand and invoked ones are born of events that are for them alone.
        let is_for_all = event.sender_id.is_some() || sent.contains(&event.id);
        for (name, plan) in seen.plans.iter().filter(|_| is_for_all) {
            if limits::gathers(plan) {
                continue;
            }
            let starts =
                plan.workflow.triggers.iter().any(
                    |trigger| matches!(trigger, Trigger::Event { event: on, filter: None } if on.value == event.name),
                );
            let run = RunId { event: event.id, workflow: numbers[name.as_str()], nth: 0 };
            if starts && !seen.runs.contains_key(&run) && !dropped.contains(&run) {
                wrong.push(format!("the event {} ({}) has started no run of `{name}`", event.id, event.name));
            }
        }
    }
    for run in seen.runs.keys() {
        let Some(event) = by_id.get(&run.event) else {
            wrong.push(format!("run {run} was born of an event that is not in the log"));
            continue;
        };
        if run.nth != 0 || (event.sent_by.is_none() && event.received < event.id.at() && event.name != "wf.cron") {
            wrong.push(format!("run {run} was born in an impossible way: {event:?}"));
        }
    }
}

/// One tick, one run, in the time of the schedule's zone.
fn schedules(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    let mut taken: BTreeSet<(&str, Time)> = BTreeSet::new();
    let dropped = limits::dropped(seen);
    let starts: BTreeMap<EventId, RunId> = seen.runs.keys().chain(&dropped).map(|run| (run.event, *run)).collect();
    for event in seen.events.values().filter(|event| event.name == "wf.cron" && event.sent_by.is_none()) {
        let Some(run) = starts.get(&event.id) else {
            wrong.push(format!("the tick at {} has started no run", event.ts));
            continue;
        };
        let workflow = &seen.workflows[&run.workflow];
        let fits = |(pattern, zone): (&str, &str)| {
            let cron = Cron::parse(pattern, zone).expect("the schedule of a plan");
            cron.after(Time(event.ts.0 - 1)) == Some(event.ts)
        };
        let lines = cron_of(&seen.plans[workflow].workflow);
        let number = lines.map(|(pattern, zone, ..)| (pattern, zone)).filter(|line| fits(*line)).count();
        if number == 0 {
            wrong.push(format!("`{workflow}` was started at {}, which is no tick of its schedule", event.ts));
        } else if !taken.insert((workflow, event.ts)) && number < 2 {
            wrong.push(format!("the tick of `{workflow}` at {} was taken twice", event.ts));
        }
    }
    for (name, plan) in &seen.plans {
        for (pattern, zone, overlap, catch_up) in cron_of(&plan.workflow) {
            if overlap != Overlap::Allow {
                continue;
            }
            let cron = Cron::parse(pattern, zone).expect("the schedule of a plan");
            // A schedule that is new has missed nothing; it is new until a process has lived long enough to note it.
            let oldest = taken.iter().filter(|(workflow, _)| *workflow == name).map(|(_, tick)| *tick).min();
            let first = oldest.or(seen.world.ups.last().map(|up| up.from)).unwrap_or_default();
            let mut over = Time(0);
            for up in &seen.world.ups {
                // Otherwise, what a process missed before it was ready is gone, and stays gone if the clock is set back.
                let ready = Time(up.from.0 + if seen.world.is_prompt { 0 } else { SLOW_MAX });
                let from = if catch_up == CatchUp::All { first } else { ready.max(over) };
                over = over.max(up.until);
                let ticks = std::iter::successors(cron.after(from), |tick| cron.after(*tick));
                for tick in ticks.take_while(|tick| tick.0 + LATE_MAX + SLOW_MAX <= up.until.0) {
                    let settled = tick >= up.from || seen.was_up(0..=usize::MAX, up.from, 60_000);
                    if settled && tick > first && !taken.contains(&(name.as_str(), tick)) {
                        wrong.push(format!("the tick of `{name}` at {tick} was not taken"));
                    }
                }
            }
        }
    }
}

/// A cancel that was accepted reaches its run.
fn cancels(seen: &Seen<'_>, wrong: &mut Vec<String>) {
    for (_, answer) in &seen.world.acts {
        let Some(Answer::Cancelled(run)) = answer else { continue };
        let Some(told) = seen.runs.get(run) else {
            wrong.push(format!("run {run} was cancelled and is gone"));
            continue;
        };
        if !told.run.is_ended() && told.run.head.cancel.is_none() {
            wrong.push(format!("run {run} was cancelled, which it does not know"));
        }
        if told.run.head.status == Status::Cancelled && told.run.head.cancel.is_none() && told.cancelled.is_none() {
            wrong.push(format!("run {run} is cancelled, and no record says why"));
        }
    }
}

/// Whether a fact ends whatever a frame was waiting for by force.
pub(crate) fn is_forced(fact: &Fact) -> bool {
    matches!(fact, Fact::Abandoned { .. } | Fact::CancelRequested { .. } | Fact::Ended { .. } | Fact::RunEnded { .. })
}
