//! `spec/states.md` against the code: no case takes an arrow that is not drawn, and every arrow is taken by some case.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wf_engine::FrameId;
use wf_engine::State;
use wf_engine::run::{Exit, Fact, INTERRUPTIONS_MAX, Place, Record, Role, Run, StepId};

use crate::cases;
use crate::interrupted;
use crate::journal;
use crate::world::{self, Weather, World};

/// From where to where.
type Arrow = (String, String);

/// Where an arrow begins or ends that is no state.
const OUTSIDE: &str = "[*]";

/// Arrows of a run that no case can take, for they need another host, a person, or time after the end.
const ELSEWHERE: [(&str, &str); 6] = [
    ("Executing", "Blocked"),
    ("Blocked", "Executing"),
    ("Failed", "Executing"),
    ("Failed", OUTSIDE),
    ("Finished", OUTSIDE),
    ("Cancelled", OUTSIDE),
];

/// The arrows of the drawing under a heading.
fn drawn(heading: &str) -> BTreeSet<Arrow> {
    let text = include_str!("../../../spec/states.md");
    let section = text.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    let drawing = section.split("```mermaid").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut arrows = BTreeSet::new();
    for line in drawing.lines().filter(|line| line.contains("-->")) {
        let (arrow, label) = line.split_once(": ").unwrap_or((line, ""));
        let (from, to) = arrow.split_once(" --> ").unwrap();
        let arrow = (from.trim().to_owned(), to.trim().to_owned());
        assert!(!label.is_empty() || arrow.1 == OUTSIDE, "{arrow:?} does not say when");
        assert!(arrows.insert(arrow.clone()), "{arrow:?} is drawn twice");
    }
    arrows
}

/// All arrows that a set of runs took.
#[derive(Default)]
struct Taken {
    run: BTreeMap<Arrow, String>,
    step: BTreeMap<Arrow, String>,
    attempt: BTreeMap<Arrow, String>,
}

impl Taken {
    fn add(&mut self, name: &str, world: &World, plans: &[wf_dsl::Plan]) {
        for history in journal::check(name, &world.store) {
            let mut walk = Walk::new(history.newborn(), name, self);
            let plan = plans.iter().find(|plan| plan.hash == walk.run.head.plan.0).unwrap();
            walk.stands(plan);
            for record in &history.records {
                walk.see(record);
                walk.stands(plan);
            }
            walk.end();
        }
    }
}

/// A run on its way through its records.
struct Walk<'t> {
    run: Run,
    state: &'static str,
    name: &'t str,
    taken: &'t mut Taken,
    /// Where the latest visit of each step stands.
    steps: HashMap<(FrameId, StepId), &'static str>,
    /// The attempts that are being made or were cut off.
    attempts: HashMap<(FrameId, StepId), &'static str>,
    /// Steps whose list was left, and what that comes to if no other record says more.
    left: HashMap<(FrameId, StepId), &'static str>,
    /// Frames that are being left because they are given up.
    given_up: BTreeSet<FrameId>,
}

impl<'t> Walk<'t> {
    fn new(run: Run, name: &'t str, taken: &'t mut Taken) -> Self {
        let (steps, attempts, left) = (HashMap::new(), HashMap::new(), HashMap::new());
        Walk { run, state: OUTSIDE, name, taken, steps, attempts, left, given_up: BTreeSet::new() }
    }

    fn take(arrows: &mut BTreeMap<Arrow, String>, from: &str, to: &str, name: &str) {
        arrows.entry((from.to_owned(), to.to_owned())).or_insert_with(|| name.to_owned());
    }

    /// Looks how the run stands.
    fn stands(&mut self, plan: &wf_dsl::Plan) {
        let state = match State::of(&self.run, plan, None) {
            State::Queued => "Queued",
            State::Executing => "Executing",
            State::Retrying => "Retrying",
            State::Waiting => "Waiting",
            State::Sleeping => "Sleeping",
            State::Blocked => "Blocked",
            State::Finished => "Finished",
            State::Failed => "Failed",
            State::Cancelled => "Cancelled",
        };
        if state != self.state {
            Self::take(&mut self.taken.run, self.state, state, self.name);
            self.state = state;
        }
    }

    /// A step goes on; with the same state again only where that is an arrow.
    fn go(&mut self, frame: FrameId, step: &StepId, to: &'static str) {
        let at = (frame, step.clone());
        self.left.remove(&at);
        let from = self.steps.insert(at, to).unwrap_or(OUTSIDE);
        Self::take(&mut self.taken.step, from, to, self.name);
    }

    fn attempt(&mut self, frame: FrameId, step: &StepId, to: &'static str) {
        let from = self.attempts.get(&(frame, step.clone())).copied().unwrap_or(OUTSIDE);
        Self::take(&mut self.taken.attempt, from, to, self.name);
        if matches!(to, "Started" | "Interrupted") {
            self.attempts.insert((frame, step.clone()), to);
        } else {
            self.attempts.remove(&(frame, step.clone()));
            Self::take(&mut self.taken.attempt, to, OUTSIDE, self.name);
        }
    }

    fn at(&self, frame: FrameId, step: &StepId) -> &'static str {
        self.steps.get(&(frame, step.clone())).copied().unwrap_or(OUTSIDE)
    }

    fn is_trying(&self, frame: FrameId, step: &StepId) -> bool {
        self.attempts.contains_key(&(frame, step.clone()))
    }

    fn see(&mut self, record: &Record) {
        let frame = record.frame;
        let closed = self.run.frames.get(&frame).and_then(|frame| frame.blocks.last()).cloned();
        let place = self.run.frames.get(&frame).map(|frame| frame.place.clone());
        self.run.apply(record);
        match &record.fact {
            Fact::Entered { step, .. } => {
                self.given_up.remove(&frame);
                if self.at(frame, step) != "Delayed" {
                    self.leave(&(frame, step.clone()));
                }
                self.go(frame, step, "Entered");
            }
            Fact::Skipped { step } => self.go(frame, step, "Skipped"),
            Fact::KeyTaken { step, .. } if self.at(frame, step) == "Parked" => {}
            Fact::KeyTaken { step, .. }
            | Fact::Slept { step, .. }
            | Fact::Waited { step, .. }
            | Fact::Invoked { step, detached: false, .. } => self.go(frame, step, "Parked"),
            Fact::AttemptStarted { step, .. } => {
                self.go(frame, step, "Attempting");
                self.attempt(frame, step, "Started");
            }
            Fact::AttemptInterrupted { step, .. } => self.attempt(frame, step, "Interrupted"),
            Fact::AttemptFailed { step, .. } => {
                self.go(frame, step, "Delayed");
                if self.is_trying(frame, step) {
                    self.attempt(frame, step, "FailedAttempt");
                }
            }
            Fact::Finished { step, .. } => {
                self.go(frame, step, "Finished");
                if self.is_trying(frame, step) {
                    self.attempt(frame, step, "Succeeded");
                }
            }
            Fact::Failed { step, .. } => {
                self.go(frame, step, "Failed");
                if self.is_trying(frame, step) {
                    self.attempt(frame, step, "FailedAttempt");
                }
            }
            Fact::Abandoned { step, attempt } => {
                self.go(frame, step, "Cancelled");
                self.given_up.insert(frame);
                if attempt.is_some() {
                    self.attempt(frame, step, "GivenUp");
                }
                self.attempts.remove(&(frame, step.clone()));
            }
            Fact::Opened { step: Some(step), role, then, .. } => self.opened(frame, step, *role, then.as_ref()),
            Fact::Forked { step, .. } => self.go(frame, step, "Inside"),
            Fact::Joined { step, .. } => match place {
                Some(Place::Fork { fork, .. }) if matches!(fork.closing, Some(Exit::Cancel | Exit::Cut { .. })) => {
                    self.go(frame, step, "Cancelled");
                    self.given_up.insert(frame);
                }
                _ => {}
            },
            Fact::Closed => {
                let Some((step, block)) = closed.and_then(|block| Some((block.step.clone()?, block))) else { return };
                if matches!(block.then, Some(Exit::Cancel | Exit::Cut { .. })) {
                    self.given_up.insert(frame);
                }
                match block.role {
                    Role::Body | Role::Case(_) => {
                        let how = if self.given_up.contains(&frame) { "Cancelled" } else { "Left" };
                        self.left.insert((frame, step), how);
                    }
                    Role::Catch(_) if self.given_up.contains(&frame) => self.go(frame, &step, "Cancelled"),
                    Role::Undo => Self::take(&mut self.taken.step, "Undoing", OUTSIDE, self.name),
                    Role::Catch(_) | Role::Finally | Role::Parts => {}
                }
            }
            _ => {}
        }
    }

    fn opened(&mut self, frame: FrameId, step: &StepId, role: Role, then: Option<&Exit>) {
        match role {
            Role::Body | Role::Case(_) => self.go(frame, step, "Inside"),
            Role::Catch(_) => self.go(frame, step, "Caught"),
            Role::Finally => {
                if let Some(how) = self.left.remove(&(frame, step.clone())) {
                    let given_up = matches!(then, Some(Exit::Cancel | Exit::Cut { .. }));
                    assert_eq!(how == "Cancelled", given_up, "{}: {step}", self.name);
                    self.go(frame, step, how);
                }
                self.go(frame, step, "Cleaning");
            }
            // The frame in which the step was visited may be gone.
            Role::Undo => Self::take(&mut self.taken.step, "Finished", "Undoing", self.name),
            Role::Parts => {}
        }
    }

    /// The latest visit of a step is over.
    fn leave(&mut self, at: &(FrameId, StepId)) {
        if let Some(how) = self.left.remove(at) {
            self.go(at.0, &at.1, how);
        }
        if let Some(from) = self.steps.remove(at) {
            Self::take(&mut self.taken.step, from, OUTSIDE, self.name);
        }
    }

    fn end(mut self) {
        if self.run.is_ended() {
            let all: Vec<_> = self.steps.keys().cloned().collect();
            all.iter().for_each(|at| self.leave(at));
        }
    }
}

/// Holds what is drawn against what was taken.
fn compare(heading: &str, taken: &BTreeMap<Arrow, String>, missing: &mut Vec<String>) {
    let drawn = drawn(heading);
    let is_elsewhere = |(from, to): &Arrow| heading == "A run" && ELSEWHERE.contains(&(from, to));
    for (arrow, case) in taken.iter().filter(|(arrow, _)| !drawn.contains(arrow)) {
        missing.push(format!("{heading}: {} --> {} is taken by {case} and not drawn", arrow.0, arrow.1));
    }
    for arrow in drawn.iter().filter(|arrow| !taken.contains_key(arrow) && !is_elsewhere(arrow)) {
        missing.push(format!("{heading}: {} --> {} is drawn, and no case takes it", arrow.0, arrow.1));
    }
}

#[test]
fn the_drawings_have_every_arrow_that_is_taken_and_no_other() {
    let taken = std::sync::Mutex::new(Taken::default());
    cases::each(|case| {
        let world = world::run(case, &Weather::default());
        taken.lock().unwrap().add(&case.name, &world, &case.plans());
    });
    let mut taken = taken.into_inner().unwrap();
    for interruptions in [1, INTERRUPTIONS_MAX] {
        let (case, world) = interrupted::run(interruptions);
        taken.add(&case.name, &world, &case.plans());
    }
    let mut wrong = Vec::new();
    compare("A run", &taken.run, &mut wrong);
    compare("A step", &taken.step, &mut wrong);
    compare("An attempt", &taken.attempt, &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
