//! Limits as spec/limits.md has them, with lists and loops: what must come of a start, who may begin or go on at an
//! instant, and who must before others.
//!
//! The specification leaves open who goes first where nothing orders two runs, and in which order things happen that
//! happen at one instant. So the model follows what the engine did, and says at each instant whether it was allowed, and
//! whether anybody was left who could have gone on.

use wf_engine::run::Status;

use super::sequence::{Act, Flow, RETRY_MS, Rate, Sequence, Start};
use super::trace::Trace;

/// The greatest and the smallest priority that count.
const RANK_MAX: i64 = 100;

/// How far a sequence was compared.
#[derive(Debug, PartialEq)]
pub(super) enum Checked {
    Whole,
    /// Then two things happened at one instant whose order decides on what comes next.
    Until(i64),
}

/// One thing that a run does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// An attempt that takes so long.
    Call(&'static str, i64),
    Sleep(i64),
    Wait(i64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// It waits for the end of the open run of its key.
    Behind,
    /// It has not begun.
    Queued,
    /// It must call now.
    Calling,
    Executing(i64),
    Parked(i64),
    /// It has begun, and goes on when it may.
    Ready,
    Ended(i64, Status),
}

/// The rule that drops a start, and the start whose run is named.
type Drop = (&'static str, Option<usize>);

/// What a rule counts.
type Counted = (Option<usize>, &'static str, usize, Option<usize>);

struct Run<'a> {
    start: &'a Start,
    flow: &'a Flow,
    at: i64,
    state: State,
    phases: Vec<Phase>,
    phase: usize,
    /// A crash has interrupted it. Where it stands in the queue then is not fixed.
    interrupted: bool,
    /// It occupies its slots for sure. One that is cancelled needs none, and may have them all the same.
    holds: bool,
    /// Why it is to be cancelled; it needs no slots any more.
    cancelled: Option<String>,
    /// What it was about to do when it was cancelled.
    cut: Option<Cut>,
    noted: bool,
}

/// What a cancelled run was about to do, and when that was. In that instant it may have done it first.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: i64,
    state: State,
    phase: usize,
}

/// Events that will be one run: that of the last.
struct Gathered<'a> {
    of: Counted,
    run: Run<'a>,
    count: usize,
    first: i64,
}

impl Gathered<'_> {
    /// When the run starts.
    fn due(&self) -> i64 {
        let rule = self.run.flow.gather.expect("a gathered event has the rule");
        let full = rule.max.filter(|max| self.count >= *max).map(|_| self.run.at);
        let quiet = rule.quiet.map(|quiet| self.run.at + quiet);
        [full, quiet, rule.within.map(|within| self.first + within)].into_iter().flatten().min().unwrap_or(self.run.at)
    }
}

/// The reference.
pub(super) struct Model<'a> {
    sequence: &'a Sequence,
    trace: &'a Trace,
    now: i64,
    /// Things have happened in this instant whose order is not fixed.
    tied: bool,
    /// What happens next depends on their order.
    is_open_question: bool,
    /// Who could have gone on in this instant, and who did before.
    overtaken: Vec<(usize, usize)>,
    runs: Vec<Run<'a>>,
    gathered: Vec<Gathered<'a>>,
    /// The keys of `idempotency`, with the start whose run is named and when it is forgotten.
    remembered: Vec<(Counted, Option<usize>, i64)>,
    passed: Vec<(Counted, i64)>,
    /// The theoretical times of arrival, in microseconds.
    arrivals: Vec<(Counted, i64)>,
    paused: Vec<bool>,
}

impl<'a> Run<'a> {
    fn key(&self, key: Option<usize>) -> Option<usize> {
        key.map(|key| self.start.keys[key])
    }

    fn of(&self, rule: &'static str, key: Option<usize>) -> Counted {
        (Some(self.start.flow), rule, 0, self.key(key))
    }

    /// What it occupies while it executes, and how many may.
    fn slots(&self) -> Vec<(Counted, u32)> {
        let slots = self.flow.slots.iter().enumerate();
        let slots = slots.map(|(n, rule)| match rule.is_of_project {
            true => ((None, "project", 0, self.key(rule.key)), rule.limit),
            false => ((Some(self.start.flow), "concurrency", n, self.key(rule.key)), rule.limit),
        });
        slots.collect()
    }

    fn pace(&self) -> Option<(Counted, Rate, u32)> {
        self.flow.throttle.map(|(rate, burst)| (self.of("throttle", rate.key), rate, burst))
    }

    fn unique(&self) -> Option<Counted> {
        self.flow.unique.map(|(key, _)| self.of("unique", Some(key)))
    }

    fn rank(&self) -> i64 {
        if self.flow.has_priority { self.start.rank.clamp(-RANK_MAX, RANK_MAX) } else { 0 }
    }

    fn is_open(&self) -> bool {
        !matches!(self.state, State::Ended(..))
    }

    /// Whether it is not to begin any more.
    fn is_too_late(&self, now: i64) -> bool {
        self.flow.start_within.is_some_and(|within| self.at + within <= now)
    }

    fn is_last(&self) -> bool {
        matches!(self.phases.get(self.phase), Some(Phase::Call("end", _)))
    }

    /// Whether nothing tells it from another one where queues are concerned.
    fn is_in_line_with(&self, other: &Run<'_>) -> bool {
        self.start.flow == other.start.flow
            && self.flow.gather.is_none()
            && self.slots() == other.slots()
            && self.pace().map(|it| it.0) == other.pace().map(|it| it.0)
    }
}

fn phases(start: &Start, flow: &Flow) -> Vec<Phase> {
    let mut phases = Vec::new();
    if start.is_retried {
        phases.extend([Phase::Call("first", start.first), Phase::Sleep(RETRY_MS)]);
    }
    phases.push(Phase::Call("first", start.first));
    if !start.fails {
        phases.extend(start.nap.iter().flat_map(|(nap, then)| [Phase::Sleep(*nap), Phase::Call("second", *then)]));
        phases.extend(start.wait.iter().flat_map(|(wait, last)| [Phase::Wait(*wait), Phase::Call("third", *last)]));
    }
    phases.extend(flow.finally.map(|takes| Phase::Call("end", takes)));
    phases
}

impl<'a> Model<'a> {
    pub(super) fn new(sequence: &'a Sequence, trace: &'a Trace) -> Self {
        Model {
            sequence,
            trace,
            now: 0,
            tied: false,
            is_open_question: false,
            overtaken: Vec::new(),
            runs: Vec::new(),
            gathered: Vec::new(),
            remembered: Vec::new(),
            passed: Vec::new(),
            arrivals: Vec::new(),
            paused: vec![false; sequence.flows.len()],
        }
    }

    /// Goes through a sequence from instant to instant.
    pub(super) fn follow(mut self) -> Result<Checked, String> {
        let (mut acts, mut calls) = (self.sequence.acts.iter().peekable(), self.trace.calls.iter().peekable());
        let mut up = 0;
        loop {
            let known = [acts.peek().map(|it| it.0), calls.peek().map(|it| it.0), self.next_due(), Some(up)];
            let Some(next) = known.into_iter().flatten().filter(|at| *at > self.now).min() else {
                break;
            };
            self.now = next.max(up);
            let mut causes = self.start_gathered()? + self.fall_due();
            let due = causes > 0;
            while let Some((_, act)) = acts.next_if(|(at, _)| *at <= self.now) {
                causes += 1;
                if due && !matches!(act, Act::Send(start) if self.sequence.flows[start.flow].unique.is_none()) {
                    return self.compared(Checked::Until(self.now));
                }
                self.act(act)?;
                if let Act::Down(outage) = act {
                    up = self.now + outage;
                }
            }
            if self.is_open_question {
                return self.compared(Checked::Until(self.now));
            }
            self.tied = causes > 1 || self.now == up;
            if up > self.now {
                continue;
            }
            while let Some((_, n, step)) = calls.next_if(|(at, ..)| *at <= self.now) {
                self.call(*n, step)?;
            }
            for (first, other) in std::mem::take(&mut self.overtaken) {
                if matches!(self.runs[first].state, State::Queued | State::Ready) {
                    return Err(self.wrong(first, &format!("was overtaken by n{}", self.runs[other].start.n)));
                }
            }
            for run in 0..self.runs.len() {
                let run_of = &self.runs[run];
                let waits_for_resume = run_of.interrupted && self.paused[run_of.start.flow];
                if run_of.state == State::Calling || self.must_go_on(run) && !waits_for_resume {
                    return Err(self.wrong(run, "could go on and did not"));
                }
            }
            if self.is_open_question {
                return self.compared(Checked::Until(self.now));
            }
        }
        self.compared(Checked::Whole)
    }

    fn wrong(&self, run: usize, what: &str) -> String {
        let run = &self.runs[run];
        format!("at {}ms n{} {what}: it was {:?}", self.now, run.start.n, run.state)
    }

    /// When something happens next by itself.
    fn next_due(&self) -> Option<i64> {
        let due = self.runs.iter().flat_map(|run| match run.state {
            State::Executing(until) | State::Parked(until) => vec![until],
            State::Queued | State::Behind => {
                let start_by = run.flow.start_within.map(|within| run.at + within);
                start_by.into_iter().chain(self.turn_of(run)).collect()
            }
            _ => Vec::new(),
        });
        due.chain(self.gathered.iter().map(Gathered::due)).filter(|at| *at > self.now).min()
    }

    /// Whatever is due by now happens; gives how many things that were.
    fn fall_due(&mut self) -> usize {
        let mut causes = 0;
        for run in 0..self.runs.len() {
            let too_late = self.runs[run].is_too_late(self.now);
            match self.runs[run].state {
                State::Behind | State::Queued if too_late => {
                    self.cancel(run, "it did not begin within its `start_within`")
                }
                State::Executing(until) if until <= self.now => self.finish_call(run),
                State::Parked(until) if until <= self.now => self.wake(run),
                _ => continue,
            }
            causes += 1;
        }
        causes
    }

    fn wake(&mut self, run: usize) {
        self.runs[run].phase += 1;
        self.runs[run].state = State::Ready;
    }

    /// An attempt has come to its end.
    fn finish_call(&mut self, index: usize) {
        let run = &mut self.runs[index];
        run.phase += 1;
        match run.phases.get(run.phase) {
            Some(Phase::Call(..)) => run.state = State::Calling,
            Some(Phase::Wait(_)) if run.noted => {
                run.phase += 1;
                run.state = State::Calling;
            }
            Some(Phase::Sleep(length) | Phase::Wait(length)) => {
                (run.state, run.holds) = (State::Parked(self.now + length), false);
            }
            None => self.end(index),
        }
    }

    fn end(&mut self, index: usize) {
        let run = &mut self.runs[index];
        let status = match (&run.cancelled, run.start.fails) {
            (Some(_), _) => Status::Cancelled,
            (None, true) => Status::Failed,
            (None, false) => Status::Finished,
        };
        let (was_behind, was_queued) = (run.state == State::Behind, run.state == State::Queued);
        (run.state, run.holds) = (State::Ended(self.now, status), false);
        if let Some((of, rate, burst)) = self.runs[index].pace().filter(|_| was_queued) {
            // Its turn may have come first, and counts then.
            self.is_open_question |= self.next_arrival_us(of, rate, burst) <= self.now * 1_000;
        }
        let Some(key) = self.runs[index].unique().filter(|_| !was_behind) else { return };
        let behind =
            self.runs.iter().enumerate().filter(|(_, run)| run.state == State::Behind && run.unique() == Some(key));
        if let Some(next) = behind.min_by_key(|(order, run)| (-run.rank(), *order)).map(|(next, _)| next) {
            self.runs[next].state = State::Queued;
            self.tied = true;
        }
    }

    fn cancel(&mut self, index: usize, reason: &str) {
        let run = &mut self.runs[index];
        if !run.is_open() || run.cancelled.is_some() || run.is_last() {
            return;
        }
        run.cancelled = Some(reason.to_owned());
        let about_to = match run.state {
            State::Queued | State::Ready => Some((run.state, run.phase)),
            State::Parked(until) if until <= self.now => Some((State::Ready, run.phase + 1)),
            _ => None,
        };
        run.cut = about_to.map(|(state, phase)| Cut { at: self.now, state, phase });
        let last = run.phases.iter().position(|phase| matches!(phase, Phase::Call("end", _)));
        match (run.state, last) {
            (State::Behind | State::Queued, _) | (_, None) => self.end(index),
            (_, Some(last)) => (run.phase, run.state) = (last, State::Calling),
        }
    }

    fn act(&mut self, act: &'a Act) -> Result<(), String> {
        match act {
            Act::Send(start) => self.accept(start)?,
            Act::Note(n) => {
                // The run sees what came behind its event.
                let waiting = self.gathered.iter_mut().filter(|gathered| gathered.run.start.n == *n);
                waiting.for_each(|gathered| gathered.run.noted = true);
                let told = self.runs.iter().position(|run| run.start.n == *n && run.is_open());
                if let Some(run) = told {
                    self.runs[run].noted = true;
                    if let (State::Parked(_), Phase::Wait(_)) =
                        (self.runs[run].state, self.runs[run].phases[self.runs[run].phase])
                    {
                        self.wake(run);
                    }
                }
            }
            Act::Cancel(n) => {
                if let Some(run) = self.runs.iter().position(|run| run.start.n == *n) {
                    self.cancel(run, "as the script says");
                }
            }
            Act::Pause(flow) => self.paused[*flow] = true,
            Act::Resume(flow) => self.paused[*flow] = false,
            Act::Down(_) => {
                for run in self.runs.iter_mut().filter(|run| matches!(run.state, State::Executing(_))) {
                    (run.state, run.holds, run.interrupted) = (State::Ready, false, true);
                }
            }
        }
        Ok(())
    }

    // ── whether a start becomes a run ───────────────────────────────────

    fn accept(&mut self, start: &'a Start) -> Result<(), String> {
        let flow = &self.sequence.flows[start.flow];
        let phases = phases(start, flow);
        let run = Run {
            start,
            flow,
            at: self.now,
            state: State::Queued,
            phases,
            phase: 0,
            interrupted: false,
            holds: false,
            cancelled: None,
            cut: None,
            noted: false,
        };
        let expected = match self.judge(&run) {
            Some(dropped) => Some(dropped),
            None if flow.gather.is_some() => {
                self.gather(run);
                return self.start_gathered().map(drop);
            }
            None => self.admit(run),
        };
        self.is_dropped(start.n, expected)
    }

    /// Compares what became of a start with what had to.
    fn is_dropped(&self, n: usize, expected: Option<Drop>) -> Result<(), String> {
        let dropped = self.trace.dropped.get(&n).map(|(_, rule, run)| (rule.as_str(), *run));
        if dropped != expected {
            return Err(format!("at {}ms n{n} is to be dropped: {expected:?}, and was: {dropped:?}", self.now));
        }
        Ok(())
    }

    /// Adds an event to those of its key.
    fn gather(&mut self, run: Run<'a>) {
        let of = run.of("gather", run.flow.gather.and_then(|rule| rule.key));
        match self.gathered.iter_mut().find(|gathered| gathered.of == of) {
            Some(gathered) => (gathered.run, gathered.count) = (run, gathered.count + 1),
            None => self.gathered.push(Gathered { of, run, count: 1, first: self.now }),
        }
    }

    /// Starts what was gathered and is due; gives how many runs that are.
    fn start_gathered(&mut self) -> Result<usize, String> {
        let mut count = 0;
        while let Some(due) = self.gathered.iter().position(|gathered| gathered.due() <= self.now) {
            let run = Run { at: self.now, ..self.gathered.remove(due).run };
            let n = run.start.n;
            let expected = self.admit(run);
            self.is_dropped(n, expected)?;
            count += 1;
        }
        Ok(count)
    }

    /// Which of the rules that judge each event drops it, and the start whose run is named.
    fn judge(&mut self, run: &Run<'a>) -> Option<Drop> {
        if let Some((key, _)) = run.flow.idempotency {
            let of = run.of("idempotency", Some(key));
            let earlier = self.remembered.iter().find(|(other, _, until)| *other == of && self.now < *until);
            if let Some((_, n, _)) = earlier {
                return Some(("idempotency", *n));
            }
        }
        if let Some(rate) = run.flow.rate {
            let of = run.of("rate_limit", rate.key);
            let recent = self.passed.iter().filter(|(other, at)| *other == of && self.now - at < rate.per);
            if recent.count() >= rate.limit as usize {
                return Some(("rate_limit", None));
            }
            self.passed.push((of, self.now));
        }
        if run.flow.gather.is_some() {
            self.remember(run, None);
        }
        None
    }

    /// Remembers the key of `idempotency` of a start that no rule has dropped.
    fn remember(&mut self, run: &Run<'a>, n: Option<usize>) {
        if let Some((key, within)) = run.flow.idempotency {
            self.remembered.push((run.of("idempotency", Some(key)), n, self.now + within));
        }
    }

    /// Takes a run in, or says that `unique` drops it, and the start whose run is named.
    fn admit(&mut self, mut run: Run<'a>) -> Option<Drop> {
        let mut replaces = Vec::new();
        if let (Some(of), Some((_, on_conflict))) = (run.unique(), run.flow.unique) {
            let of_key = |other: &Run<'_>| other.is_open() && other.unique() == Some(of);
            let open = self.runs.iter().position(|other| of_key(other) && other.state != State::Behind);
            if let Some(open) = open {
                if on_conflict == "skip" {
                    return Some(("unique", Some(self.runs[open].start.n)));
                }
                run.state = State::Behind;
                if on_conflict == "replace" {
                    // Those that wait first: the end of the open one must not let one of them in.
                    let behind = (0..self.runs.len()).filter(|other| of_key(&self.runs[*other]) && *other != open);
                    replaces = behind.chain([open]).collect();
                }
            }
        }
        if run.flow.gather.is_none() {
            self.remember(&run, Some(run.start.n));
        }
        let reason = format!("run n{} takes its place", run.start.n);
        self.runs.push(run);
        replaces.into_iter().for_each(|other| self.cancel(other, &reason));
        None
    }

    // ── who may go on ───────────────────────────────────────────────────

    /// When the next run of a pace may begin, by the generic cell rate algorithm.
    fn next_arrival_us(&self, of: Counted, rate: Rate, burst: u32) -> i64 {
        let arrival = self.arrivals.iter().rev().find(|(other, _)| *other == of).map_or(0, |(_, arrival)| *arrival);
        arrival - i64::from(burst - 1) * interval_us(rate)
    }

    /// When the pace of a run, if it has one, lets the next one begin.
    fn turn_of(&self, run: &Run<'_>) -> Option<i64> {
        run.pace().map(|(of, rate, burst)| (self.next_arrival_us(of, rate, burst) + 999) / 1_000)
    }

    /// Whether a run could go on if all slots are taken that may be.
    fn must_go_on(&self, index: usize) -> bool {
        self.could_go_on(index, |run| run.holds || matches!(run.state, State::Executing(_)))
    }

    /// Whether a run may go on.
    fn may_go_on(&self, index: usize) -> bool {
        self.could_go_on(index, |run| run.holds)
    }

    fn could_go_on(&self, index: usize, holds: impl Fn(&Run<'_>) -> bool) -> bool {
        let run = &self.runs[index];
        run.state == State::Ready && run.cancelled.is_some() || self.has_turn(index, run.state, holds)
    }

    /// Whether limits let a run go on that is in this state.
    fn has_turn(&self, index: usize, state: State, holds: impl Fn(&Run<'_>) -> bool) -> bool {
        let run = &self.runs[index];
        let taken =
            |of| self.runs.iter().filter(|other| holds(other) && other.slots().iter().any(|slot| slot.0 == of)).count();
        let has_room = || run.slots().iter().all(|(of, limit)| taken(*of) < *limit as usize);
        match state {
            State::Ready => has_room(),
            State::Queued => {
                let its_turn = self.turn_of(run).is_none_or(|at| at <= self.now);
                !self.paused[run.start.flow] && !run.is_too_late(self.now) && has_room() && its_turn
            }
            _ => false,
        }
    }

    /// Whether one of two that both could go on, but perhaps not both, has to be first.
    fn goes_before(&self, one: usize, other: usize) -> bool {
        let (first, second) = (&self.runs[one], &self.runs[other]);
        let slots = second.slots();
        let share = first.slots().iter().any(|(of, _)| slots.iter().any(|(other, _)| of == other));
        match (first.state, second.state) {
            (State::Ready, State::Queued) => share && !first.interrupted,
            (State::Queued, State::Queued) if first.start.flow == second.start.flow => {
                let paced = first.pace().is_some_and(|(of, ..)| second.pace().is_some_and(|(other, ..)| of == other));
                let greater = first.rank() > second.rank() && (share || paced);
                greater || first.rank() == second.rank() && one < other && first.is_in_line_with(second)
            }
            _ => false,
        }
    }

    /// Whether a run that has its turn from this instant on may begin before one that has come in the same instant.
    fn may_precede(&self, index: usize, other: usize) -> bool {
        let run = &self.runs[index];
        self.runs[other].at == self.now && run.state == State::Queued && self.turn_of(run) == Some(self.now)
    }

    /// Whether an attempt was made before its run was cancelled, in the same instant.
    fn is_before_cancel(&mut self, index: usize, step: &str) -> bool {
        let run = &self.runs[index];
        let Some(Cut { state, phase, .. }) = run.cut.filter(|cut| cut.at == self.now) else { return false };
        let Some(Phase::Call(expected, takes)) = run.phases.get(phase).copied() else { return false };
        if expected != step || !self.has_turn(index, state, |run| run.holds) {
            return false;
        }
        // What has come to its end may not have been cancelled there; what had not begun had no `finally` to do.
        self.is_open_question |= takes == 0 || state == State::Queued && run.flow.finally.is_some();
        self.runs[index].cut = None;
        true
    }

    /// An attempt was seen.
    fn call(&mut self, n: usize, step: &str) -> Result<(), String> {
        let Some(index) = self.runs.iter().position(|run| run.start.n == n) else {
            return Err(format!("at {}ms n{n} calls, and is not to be", self.now));
        };
        if self.is_before_cancel(index, step) {
            return Ok(());
        }
        let run = &self.runs[index];
        let Some(Phase::Call(expected, takes)) = run.phases.get(run.phase).copied() else {
            return Err(self.wrong(index, &format!("calls `{step}`")));
        };
        if expected != step || !(run.state == State::Calling || self.may_go_on(index)) {
            return Err(self.wrong(index, &format!("calls `{step}` where `{expected}` is next")));
        }
        if run.state != State::Calling {
            let first = (0..self.runs.len()).find(|other| {
                self.must_go_on(*other) && self.goes_before(*other, index) && !self.may_precede(index, *other)
            });
            self.overtaken.extend(first.filter(|_| !self.tied).map(|first| (first, index)));
            if let (State::Queued, Some((of, rate, _))) = (run.state, run.pace()) {
                let before =
                    self.arrivals.iter().rev().find(|(other, _)| *other == of).map_or(0, |(_, arrival)| *arrival);
                self.arrivals.push((of, before.max(self.now * 1_000) + interval_us(rate)));
            }
            if let (State::Queued, Some(key)) = (run.state, run.unique()) {
                // Whoever it has replaced has ended.
                self.runs.iter_mut().filter(|run| run.unique() == Some(key)).for_each(|run| run.cut = None);
            }
            let run = &mut self.runs[index];
            run.holds = run.cancelled.is_none();
        }
        let run = &mut self.runs[index];
        (run.state, run.interrupted) = (State::Executing(self.now + takes), false);
        if takes == 0 {
            self.finish_call(index);
        }
        Ok(())
    }

    // ── how it came out ─────────────────────────────────────────────────

    /// Compares what has come of all runs so far.
    fn compared(&self, checked: Checked) -> Result<Checked, String> {
        for (index, run) in self.runs.iter().enumerate() {
            let Some(ended) = self.trace.runs.get(&run.start.n) else {
                return Err(self.wrong(index, "is not there"));
            };
            match run.state {
                State::Ended(at, _) if checked == Checked::Until(at) => {}
                State::Ended(at, status) if (ended.at, ended.status) != (Some(at), status) => {
                    return Err(self.wrong(index, &format!("ended as {ended:?}")));
                }
                State::Ended(_, Status::Cancelled) if ended.reason != run.cancelled => {
                    let (was, expected) = (&ended.reason, &run.cancelled);
                    return Err(self.wrong(index, &format!("was cancelled for {was:?}, not {expected:?}")));
                }
                State::Ended(..) => {}
                _ if checked == Checked::Whole => return Err(self.wrong(index, "has not ended")),
                _ => {}
            }
        }
        if checked == Checked::Whole && self.trace.runs.len() != self.runs.len() {
            return Err("there are runs that are not to be".to_owned());
        }
        Ok(checked)
    }
}

fn interval_us(rate: Rate) -> i64 {
    (rate.per * 1_000 / i64::from(rate.limit)).max(1)
}
