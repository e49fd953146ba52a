//! From inputs to a durable commit: a run's turns, the rows they write, and what follows.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wf_dsl::{Time, Value};

use super::active::{Active, Flight, Hint};
use super::inbox::Delivery;
use super::load::Loaded;
use super::offer::{offers_of, tell};
use super::submit::Submission;
use super::{Done, Driver, Settled};
use crate::error::{Error, ErrorKind};
use crate::ids::{FrameId, RunId};
use crate::observe::Notice;
use crate::once::{self, KeyUse, Told, Wish};
use crate::planted::{Bug, planted};
use crate::rows;
use crate::run::{
    Awaited, Blob, Command, Cx, Fact, Failure, HeldKey, Input, KeyAnswer, Place, Record, Role, Run, Status, Stored,
    TURN_BYTES, TURN_FRAMES, TURN_RECORDS, TURN_WEIGHT, Tie,
};
use crate::store::gate::PACE_RULE;
use crate::store::{Commit, CommitError, Due, Fence, Guard, InboxKey, Key, Row, Write};
use crate::timers::Timers;

/// Records after which the head and the frames are written again, so that recovery stays short.
const SNAPSHOT_RECORDS: u64 = 256;
/// Changed frames after which they are written. One more turn, and their rows must still fit a commit.
const SNAPSHOT_FRAMES: usize = TURN_FRAMES;
/// Rows of frames that are gone that one commit deletes; what is left waits for the next one.
pub(super) const GONE_FRAMES: usize = 100;

/// The signature of a wait for the end of an invoked run.
const CHILD_ENDED: u32 = 1;
/// The signature of a wait for an explicit idempotency key.
const KEY_FREE: u32 = 2;
/// The signature of a wait for the end of a run that stands for an invoked one.
const RUN_ENDED: u32 = 3;

/// How a run that has ended ended, as the run that invoked it sees it.
pub(super) fn result_of(run: &Run) -> Result<Value, Failure> {
    match run.head.status {
        Status::Finished | Status::Open => Ok(run.head.output.value.clone()),
        Status::Failed => Err(run.head.failure.clone().unwrap_or_else(|| Failure::new("failed", "it failed", None))),
        // One that was not let start says why.
        Status::Cancelled => {
            Err(run.head.failure.clone().unwrap_or_else(|| Failure::new("cancelled", "it was cancelled", None)))
        }
    }
}

/// What the turns of one commit gave.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) records: Vec<Record>,
    pub(super) commands: Vec<Command>,
    pub(super) blobs: Vec<(Blob, Arc<[u8]>)>,
}

impl Outcome {
    /// Whether it is time for a commit.
    fn is_full(&self) -> bool {
        self.records.len() >= TURN_RECORDS
            || self.commands.iter().map(Command::weight).sum::<usize>() >= TURN_WEIGHT
            || self.blobs.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() >= TURN_BYTES
    }
}

impl Driver {
    /// Lets a run decide on what it was told, and makes that durable.
    pub(super) fn step(&mut self, id: RunId) {
        let Some(mut active) = self.active.remove(&id) else { return };
        if active.in_flight.is_none() && active.is_held() {
            return self.hold(active);
        }
        if active.in_flight.is_none() && self.stopping.is_none() {
            let mut outcome = self.decide(&mut active);
            if outcome.records.is_empty() {
                self.look_now(&mut active, &mut outcome);
            }
            if !outcome.records.is_empty() || !outcome.commands.is_empty() || self.must_park(&active) {
                self.commit(&mut active, outcome);
            }
        }
        if active.in_flight.is_none() && active.is_held() {
            // What it was told did not end it.
            return self.hold(active);
        }
        if active.is_at_rest() && !active.has_place() && active.run.gone.is_empty() {
            let is_limited = active.run.head.terms.is_some();
            if !planted(Bug::SlotKept) || !is_limited || active.run.is_ended() {
                self.parts.store.release(&[(id, Fence { version: active.committed, epoch: 0 })]);
            }
            // What it occupied is free for others.
            self.queue_changed |= is_limited;
        } else {
            self.active.insert(id, active);
        }
        if planted(Bug::EffectBeforeRecord) {
            self.perform_early(id);
        }
    }

    /// The mistake of whoever does not wait for the commit.
    fn perform_early(&mut self, id: RunId) {
        let flight = self.active.get_mut(&id).and_then(|active| active.in_flight.as_mut());
        for command in flight.map(|flight| std::mem::take(&mut flight.commands)).unwrap_or_default() {
            self.perform(id, command);
        }
    }

    fn decide(&self, active: &mut Active) -> Outcome {
        let now = self.now;
        let changed = active.run.dirty.len();
        // What has happened counts before a deadline that passed meanwhile.
        active.inputs.make_contiguous().sort_by_key(Input::rank);
        let mut outcome = Outcome { commands: std::mem::take(&mut active.wanted), ..Outcome::default() };
        while let Some(input) = active.inputs.pop_front() {
            active.late_cancel |= active.run.is_ended() && matches!(input, Input::Cancel { .. });
            let cx =
                Cx { definition: &active.definition, live: &self.parts.live, workflows: &self.parts.registry, now };
            let turn = active.run.decide(&cx, input);
            outcome.records.extend(turn.records);
            outcome.commands.extend(turn.commands);
            outcome.blobs.extend(turn.blobs);
            if turn.more {
                active.inputs.push_front(Input::More);
                break;
            }
            if outcome.is_full() || active.run.dirty.len() >= changed + TURN_FRAMES {
                break;
            }
        }
        outcome
    }

    /// Looks that nothing was recorded for wait for no commit.
    fn look_now(&mut self, active: &mut Active, outcome: &mut Outcome) {
        let mut frames = Vec::new();
        outcome.commands.retain_mut(|command| match command {
            Command::Look(looked) => {
                frames.append(looked);
                false
            }
            _ => true,
        });
        if !frames.is_empty() {
            self.look_at_log(active, frames);
        }
    }

    /// A run that rests but still stands in the queue leaves it, and rows of frames that are gone go.
    fn must_park(&self, active: &Active) -> bool {
        (active.has_place() || active.late_cancel || !active.run.gone.is_empty()) && active.is_at_rest()
    }

    fn commit(&mut self, active: &mut Active, outcome: Outcome) {
        let now = self.now;
        let Outcome { records, commands, blobs } = outcome;
        let run = active.run.id;
        let mut flight = Flight { version: active.run.version, ..Flight::default() };
        let mut commit = Commit {
            guards: vec![Guard::Run { run, fence: Fence { version: active.committed, epoch: 0 } }],
            writes: rows::journal_writes(run, active.committed, &records),
            ..Commit::default()
        };
        active.journal.add(&commit.writes);
        for (blob, bytes) in &blobs {
            commit.writes.extend(rows::chunks(run, blob.first, bytes).map(Write::Put));
        }
        let mut keys = Vec::new();
        for command in commands {
            match command {
                Command::Send(event) => self.add_event(&mut commit, &mut flight, active, event),
                Command::Start(start) => self.add_child(&mut commit, &mut flight, active, start),
                Command::CancelRun(child) => {
                    let mut value = vec![crate::store::ROW_VERSION];
                    value.extend_from_slice(b"the run that invoked it does not wait for it any more");
                    commit.writes.push(Write::Put(Row { key: Key::cancel(child), value }));
                    flight.commands.push(Command::CancelRun(child));
                }
                Command::WantKey(held) => keys.push(self.key_use(active, held, Wish::Want)),
                Command::SettleKey(held, output) => keys.push(self.key_use(active, held, Wish::Settle(output))),
                command @ (Command::Perform(_) | Command::Stop(_) | Command::Look(_) | Command::LookAt(..)) => {
                    flight.commands.push(command);
                }
            }
        }
        let looks = flight.commands.iter().any(|command| matches!(command, Command::Look(_) | Command::LookAt(..)));
        let has_to_hear = looks || keys.iter().any(|key| matches!(key.wish, Wish::Want));
        let at_rest = active.inputs.is_empty() && active.hints.is_empty() && active.attempts.is_empty();
        if active.run.is_ended() {
            if records.is_empty() {
                write_snapshot(&mut commit, &mut flight, active);
            } else {
                self.write_end(&mut commit, &mut flight, active, now);
            }
            leave_queue(&mut commit, active);
            if std::mem::take(&mut active.late_cancel) {
                commit.writes.push(Write::Delete(Key::cancel(run)));
            }
        } else if active.run.is_parked() && at_rest && !has_to_hear {
            write_snapshot(&mut commit, &mut flight, active);
            commit.writes.extend(active.leave_queue());
        } else {
            // A run that has begun must not wait for its pace again, should it be found after a crash.
            let paced = active.line.take_if(|_| active.pace.is_some());
            commit.writes.extend(paced.map(Write::Delete));
            if !active.has_place() {
                active.queued = true;
                commit.writes.push(Write::wake(run, active.run.position));
            }
            let long_ago = active.run.version - active.snapshot > SNAPSHOT_RECORDS;
            if long_ago || active.run.dirty.len() >= SNAPSHOT_FRAMES {
                write_snapshot(&mut commit, &mut flight, active);
            } else {
                drop_stale_timers(&mut commit, &mut flight, active);
                super::inbox::arm(&mut commit, active, &records);
            }
        }
        let pace = active
            .pace
            .take()
            .filter(|_| !planted(Bug::PaceForgotten))
            .map(|(of, to)| Write::Raise { key: Key::limit(PACE_RULE, of), to });
        commit.writes.extend(pace);
        self.keep_clock(&mut commit, now);
        let ends = active.run.is_ended() && !records.is_empty();
        let is_last = |record: &Record| matches!(record.fact, Fact::Opened { step: None, role: Role::Finally, .. });
        let frees = ends || (planted(Bug::UniqueFreed) && records.iter().any(is_last));
        flight.records = records;
        let behind = active.run.head.terms.as_ref().and_then(|terms| terms.unique).filter(|_| frees);
        let end = behind.map(|id| (id, active.run.place_behind(id)));
        let offers = offers_of(&mut flight.births);
        active.in_flight = Some(flight);
        self.submit(commit, Submission { run, keys, offers, now }, end);
    }

    fn key_use(&self, active: &Active, held: HeldKey, wish: Wish) -> KeyUse {
        let workflow = &active.definition.plan.workflow.name.value;
        let hash = once::key_hash(workflow, &held.step, &held.key);
        KeyUse { held, run: active.run.id, order: active.run.position, hash, wish }
    }

    /// With simulated time, every commit keeps how far it went.
    pub(super) fn keep_clock(&mut self, commit: &mut Commit, now: Time) {
        if self.parts.clock.is_simulated() && now > self.clock_kept {
            self.clock_kept = now;
            commit.writes.push(Write::Put(crate::start::clock_row(now, true)));
        }
    }

    fn write_end(&mut self, commit: &mut Commit, flight: &mut Flight, active: &mut Active, now: Time) {
        write_snapshot(commit, flight, active);
        let run_id = active.run.id;
        let ended = Key::ended(run_id.workflow, active.run.head.status as u8, now, run_id);
        commit.writes.push(Write::Put(Row { key: ended, value: vec![crate::store::ROW_VERSION] }));
        if active.run.head.cancel.is_some() {
            commit.writes.push(Write::Delete(Key::cancel(run_id)));
        }
        self.tell_end(commit, flight, active, now);
        if active.run.head.terms.as_ref().is_some_and(|terms| terms.is_named()) {
            let delivery = Delivery::of_end(run_id);
            commit.writes.push(Write::Put(delivery.row()));
            flight.deliveries.push(delivery);
        }
        if let Some(caller) = active.run.head.parent.clone() {
            if !planted(Bug::ParentNotWoken) {
                commit.writes.push(Write::wake(caller.run, caller.order));
            }
            flight.wakes = Some((caller.run, caller.frame));
            if let Some(parent) = self.active.get_mut(&caller.run) {
                parent.hints.insert(Hint::End(run_id));
                parent.queued = true;
            }
        }
    }

    // ── when it is durable ──────────────────────────────────────────────

    pub(super) fn committed(&mut self, id: RunId, result: Result<Settled, CommitError>) {
        let Some(active) = self.active.get_mut(&id) else { return };
        let mut flight = active.in_flight.take().unwrap_or_default();
        let Settled { receipt, keys, verdicts } = match result {
            Ok(done) => done,
            Err(_) if planted(Bug::FailureIgnored) => Default::default(),
            Err(error) => return self.lost(id, flight, &error),
        };
        tell(&mut flight.births, verdicts);
        active.committed = flight.version;
        if flight.snapshot {
            active.snapshot = flight.version;
        }
        for (frame, at) in flight.timers {
            self.timers.add(Due { at, run: id, frame });
        }
        let ended = active.run.is_ended().then(|| result_of(&active.run));
        for (frame, at) in flight.timers_gone {
            self.timers.remove(Due { at, run: id, frame });
        }
        hold_timers(&mut self.timers, active);
        let mut woken = Vec::new();
        for key in keys {
            let (frame, since) = (key.frame, key.since);
            woken.extend(key.woken);
            let answer = match key.answer {
                None => continue,
                Some(Told::Held) => KeyAnswer::Held,
                Some(Told::Taken) => KeyAnswer::Taken,
                Some(Told::Crowded) => KeyAnswer::Crowded,
                Some(Told::Done { output: Stored { blob: Some(blob), .. }, run: holder }) => {
                    active.hints.insert(Hint::Key(frame));
                    let store = self.parts.store.clone();
                    self.work.push(Box::pin(async move {
                        let output = super::load::blob(&*store, holder, blob).await;
                        Done::KeyRead { run: id, frame, since, output }
                    }));
                    continue;
                }
                Some(Told::Done { output, .. }) => KeyAnswer::Done(output.value),
            };
            active.inputs.push_back(Input::Key { frame, since, answer });
        }
        let active = self.active.get(&id).expect("looked up just now");
        let workflow = &active.definition.plan.workflow.name.value;
        let notice = Notice { run: id, workflow, origin: active.origin.unwrap_or(id), records: &flight.records };
        self.observe(&notice);
        flight.delayed.into_iter().for_each(|due| self.timers.add(due));
        flight.deliveries.into_iter().for_each(|delivery| self.deliver(delivery));
        for birth in flight.births {
            self.settle_birth(birth, &receipt);
        }
        for command in flight.commands {
            self.perform(id, command);
        }
        if let Some((parent, frame)) = flight.wakes {
            self.child_ended(parent, frame, id, ended.clone());
        }
        if ended.is_some() {
            self.tell_waiting(id, &Ok(()));
        }
        self.trim(id);
        // The commit has put them into the queue, but one that was parking meanwhile has taken its row out again: a run
        // that is not known to be queued writes it anew.
        self.queue_changed |= !woken.is_empty();
        for (run, frame) in woken {
            // Of one that has ended meanwhile, nothing else takes the row out.
            let has_ended = self.active.get(&run).is_some_and(|active| active.run.is_ended());
            self.wake(run, vec![Input::KeyFreed { frame }], has_ended);
        }
        self.step(id);
    }

    /// The large output of a key has been read.
    pub(super) fn key_read(&mut self, id: RunId, frame: FrameId, since: u64, output: Result<Value, Error>) {
        let Some(active) = self.active.get_mut(&id) else { return };
        active.hints.remove(&Hint::Key(frame));
        match output {
            Ok(output) => active.inputs.push_back(Input::Key { frame, since, answer: KeyAnswer::Done(output) }),
            Err(error) => tracing::error!(run = %id, %error, "the output of an idempotency key cannot be read"),
        }
        self.step(id);
    }

    pub(super) fn child_ended(
        &mut self,
        parent: RunId,
        frame: FrameId,
        child: RunId,
        result: Option<Result<Value, Failure>>,
    ) {
        let inputs: Vec<Input> =
            result.into_iter().map(|result| Input::ChildEnded { frame, run: child, result }).collect();
        if let Some(active) = self.active.get_mut(&parent) {
            active.hints.remove(&Hint::End(child));
            active.inputs.extend(inputs);
            return self.step(parent);
        }
        self.wake(parent, inputs, true);
    }

    /// The commit did not happen, or may not have: what is in memory is not to be believed any more.
    fn lost(&mut self, id: RunId, flight: Flight, error: &CommitError) {
        tracing::error!(run = %id, %error, "the run's progress could not be recorded");
        if let Some(mut active) = self.active.remove(&id) {
            active.stop_attempts();
        }
        if let Some((parent, _)) = flight.wakes
            && let Some(parent) = self.active.get_mut(&parent)
        {
            parent.hints.remove(&Hint::End(id));
        }
        match error {
            CommitError::TooLarge => {
                let error = Error::new(ErrorKind::Invalid, format!("the state of run {id} is too large to store"));
                self.tell_waiting(id, &Err(error));
            }
            CommitError::NotCommitted(_) | CommitError::Unknown(_) => {
                let error = Error::from(error.clone());
                self.tell_waiting(id, &Err(error));
            }
            _ => self.wake(id, Vec::new(), true),
        }
    }
}

/// Takes a run that has ended out of the queue, unless rows of its frames are left: then it is found there after a
/// crash, and they go.
fn leave_queue(commit: &mut Commit, active: &mut Active) {
    let run = &active.run;
    if !active.passed {
        // It may stand in line to go on, and it was cancelled.
        commit.writes.extend(run.place_again().map(Write::Delete));
    }
    if run.gone.is_empty() {
        commit.writes.extend(active.leave_queue());
    } else {
        commit.writes.extend(active.line.take().map(Write::Delete));
        if !std::mem::replace(&mut active.queued, true) {
            commit.writes.push(Write::wake(active.run.id, active.run.position));
        }
    }
}

/// Writes the head and the frames that changed, and the timers of those.
fn write_snapshot(commit: &mut Commit, flight: &mut Flight, active: &mut Active) {
    let run = &mut active.run;
    let id = run.id;
    let ended = run.is_ended();
    let json = rows::spill(id, FrameId::ROOT, rows::head_json(run, &active.birth, active.journal), &mut commit.writes);
    let value = crate::store::Head { position: run.position, records: run.version, json: &json }.write();
    commit.writes.push(Write::Put(Row { key: Key::head(id), value }));
    let (timed, others): (Vec<FrameId>, Vec<FrameId>) =
        std::mem::take(&mut run.gone).into_iter().partition(|frame| active.timers.contains_key(frame));
    let (gone, later) = others.split_at(others.len().min(GONE_FRAMES));
    run.gone.extend(later);
    for frame in timed.into_iter().chain(gone.iter().copied()) {
        commit.writes.push(Write::Delete(Key::frame(id, frame)));
        if let Some(at) = active.timers.remove(&frame).filter(|_| !planted(Bug::TimerLeft)) {
            flight.timers_gone.push((frame, at));
            commit.writes.push(Write::Delete(Key::timer(Due { at, run: id, frame })));
        }
    }
    let dirty = std::mem::take(&mut run.dirty);
    for frame in dirty.iter().copied().take(if planted(Bug::FrameNotWritten) { 1 } else { usize::MAX }) {
        let Some(state) = run.frames.get(&frame) else { continue };
        if frame != FrameId::ROOT {
            let mut value = vec![crate::store::ROW_VERSION];
            value.extend(rows::spill(id, frame, rows::frame_json(state), &mut commit.writes));
            commit.writes.push(Write::Put(Row { key: Key::frame(id, frame), value }));
        }
    }
    write_waits(commit, run, &mut active.waits);
    let due_of = |frame: FrameId| run.timer_of(frame).filter(|_| !ended);
    let known: Vec<FrameId> = if ended { active.timers.keys().copied().collect() } else { dirty.into_iter().collect() };
    for frame in known {
        let due = due_of(frame);
        let old = active.timers.get(&frame).copied();
        if old == due {
            continue;
        }
        if let Some(at) = old {
            active.timers.remove(&frame);
            flight.timers_gone.push((frame, at));
            commit.writes.push(Write::Delete(Key::timer(Due { at, run: id, frame })));
        }
        if let Some(at) = due {
            active.timers.insert(frame, at);
            flight.timers.push((frame, at));
            let key = Key::timer(Due { at, run: id, frame });
            commit.writes.push(Write::Put(Row { key, value: vec![crate::store::ROW_VERSION] }));
        }
    }
    flight.snapshot = true;
}

/// Keeps a row for everything that a frame waits for, so that no open run is without one.
fn write_waits(commit: &mut Commit, run: &Run, waits: &mut BTreeSet<Key>) {
    let now: BTreeSet<Key> = waits_of(run).collect();
    commit.writes.extend(waits.difference(&now).cloned().map(Write::Delete));
    let new = now.difference(waits).cloned();
    commit.writes.extend(new.map(|key| Write::Put(Row { key, value: vec![crate::store::ROW_VERSION] })));
    *waits = now;
}

/// The wait rows of a run: those that are looked up, and under reserved signatures those for the end of a child and for
/// a key that is taken.
pub(crate) fn waits_of(run: &Run) -> impl Iterator<Item = Key> + '_ {
    let frames = run.frames.iter().filter(|_| !run.is_ended());
    let reserved = frames.filter_map(|(id, frame)| {
        let inbox = match &frame.place {
            Place::Child { run, tie: Tie::Child, .. } => {
                InboxKey { signature: CHILD_ENDED, matched: hash_of(&run.bytes()) }
            }
            Place::Key { key, taken: true, .. } => InboxKey { signature: KEY_FREE, matched: hash_of(key.as_bytes()) },
            _ => return None,
        };
        Some(Key::wait(inbox, run.id, *id))
    });
    told_waits_of(run, None).chain(reserved)
}

/// Under what those wait for the end of a run who did not invoke it.
pub(super) fn end_of(run: RunId) -> InboxKey {
    InboxKey { signature: RUN_ENDED, matched: hash_of(&run.bytes()) }
}

/// The rows by which a run, or some of its frames, is found when what it waits for comes: events, and the ends of runs
/// that it did not invoke.
pub(super) fn told_waits_of<'r>(run: &'r Run, only: Option<&'r BTreeSet<FrameId>>) -> impl Iterator<Item = Key> + 'r {
    let open = !run.is_ended();
    let wanted = move |id: &FrameId| open && only.is_none_or(|only| only.contains(id));
    let cancels = run.head.cancel_on.iter().filter(move |_| wanted(&FrameId::ROOT));
    let cancels = cancels.map(|event| Key::wait(event.key, run.id, FrameId::ROOT));
    let frames = run.frames.iter().filter(move |(id, _)| wanted(id)).flat_map(|(id, frame)| {
        let awaited = match &frame.place {
            Place::Wait { awaited, .. } => awaited.as_slice(),
            _ => &[],
        };
        let named = match &frame.place {
            Place::Child { run, tie: Tie::Referred, .. } => Some(end_of(*run)),
            _ => None,
        };
        let events = awaited.iter().filter_map(Awaited::event).map(|event| event.key);
        events.chain(named).map(|inbox| Key::wait(inbox, run.id, *id))
    });
    cancels.chain(frames)
}

fn hash_of(bytes: &[u8]) -> u64 {
    let hash = Sha256::digest(bytes);
    u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
}

/// Keeps the timers of a run in memory that have no rows: until it parks or is written down, they are nowhere else.
fn hold_timers(timers: &mut Timers, active: &mut Active) {
    let run = &active.run;
    let wanted = |frame: FrameId| run.timer_of(frame).filter(|at| active.timers.get(&frame) != Some(at));
    active.held.retain(|frame, at| {
        let keep = wanted(*frame) == Some(*at);
        if !keep {
            timers.let_go(Due { at: *at, run: run.id, frame: *frame });
        }
        keep
    });
    for frame in &run.dirty {
        if let Some(at) = wanted(*frame).filter(|_| !planted(Bug::TimerForgotten)) {
            active.held.insert(*frame, at);
            timers.hold(Due { at, run: run.id, frame: *frame });
        }
    }
}

/// Deletes the timer rows of frames that have moved on.
fn drop_stale_timers(commit: &mut Commit, flight: &mut Flight, active: &mut Active) {
    let run = &active.run;
    let stale: Vec<(FrameId, Time)> = run
        .dirty
        .iter()
        .filter_map(|frame| Some((*frame, *active.timers.get(frame)?)))
        .filter(|(frame, at)| run.timer_of(*frame) != Some(*at))
        .collect();
    for (frame, at) in stale {
        active.timers.remove(&frame);
        flight.timers_gone.push((frame, at));
        commit.writes.push(Write::Delete(Key::timer(Due { at, run: run.id, frame })));
    }
}

/// The rows of a run that is born at rest: its frames and its timers.
pub(super) fn birth_rows(active: &mut Active) -> (Vec<Write>, Vec<(FrameId, Time)>) {
    let (mut commit, mut flight) = (Commit::default(), Flight::default());
    write_snapshot(&mut commit, &mut flight, active);
    let head = Key::head(active.run.id);
    // The committer writes the head of a run that is born: it alone knows the position.
    commit.writes.retain(|write| !matches!(write, Write::Put(row) if row.key == head));
    (commit.writes, flight.timers)
}

/// The rows of a run that somebody else than the driver has given a record: that record, its head, all its frames, and
/// what wakes it.
pub(crate) fn rewritten(loaded: Loaded, record: &Record) -> Vec<Write> {
    let (mut active, mut flight) = (Active::loaded(loaded, true), Flight::default());
    active.run.dirty = active.run.frames.keys().copied().collect();
    let writes = rows::journal_writes(active.run.id, active.run.version - 1, std::slice::from_ref(record));
    active.journal.add(&writes);
    let mut commit = Commit { writes, ..Commit::default() };
    write_snapshot(&mut commit, &mut flight, &mut active);
    commit.writes
}
