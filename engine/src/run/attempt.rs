//! Attempts: effects are tried, retried, and end well or badly.

use std::sync::Arc;

use serde_json::Value as Json;
use wf_dsl::{Body, Form, Object, Period, Step, Value};

use super::Run;
use super::decide::{Call, Command, Cx, Decision, HeldKey, KeyAnswer, OUTPUT_BYTES_MAX};
use super::fact::{Fact, Failure, StepId};
use super::frame::Place;
use super::key::Visit;
use super::retry::{Failed, Verdict, code_matches, judge};
use super::scope::FrameScope;
use crate::ids::FrameId;
use crate::kind::StepError;
use crate::planted::{Bug, planted};

/// How often the process may end during attempts of one step before the run is a dead letter.
pub const INTERRUPTIONS_MAX: u32 = 20;

/// The longest explicit idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 1 << 10;
/// When a step asks again for a key for which too many wait.
const CROWDED_KEY: Period = Period::seconds(5);

impl Run {
    /// The body of a step with every expression filled in, secrets included, for an attempt in flight.
    ///
    /// # Errors
    /// The failure of the first expression that fails.
    pub fn render(&self, cx: &Cx<'_>, call: &Call) -> Result<Json, StepError> {
        let step = cx.definition.plan.workflow.find(&call.step).map(|ix| cx.definition.plan.workflow.step(ix));
        let Some(Body::Effect(form)) = step.map(|step| &step.body) else { return Ok(Json::Null) };
        self.evaluate(cx, call, "body", form).map(|value| value.to_json())
    }

    /// Evaluates a form of the step of an attempt in flight.
    pub(crate) fn evaluate(
        &self,
        cx: &Cx<'_>,
        call: &Call,
        purpose: &'static str,
        form: &Form,
    ) -> Result<Value, StepError> {
        let scope = FrameScope {
            run: self,
            plan: &cx.definition.plan,
            live: cx.live,
            frame: call.frame,
            now: self.now_at(call.frame),
            visit: Visit::of(self, call.frame, &call.step),
            purpose,
            drawn: std::cell::Cell::new(0),
            bound: &[],
        };
        form.fill(&scope)
            .map_err(|error| StepError { retriable: Some(false), ..StepError::new(error.code, error.to_string()) })
    }

    /// The automatic idempotency key of the step at which a frame stands.
    pub fn automatic_key(&self, frame: FrameId, step: &StepId) -> String {
        Visit::of(self, frame, step).idempotency_key()
    }
}

impl<'a> Decision<'a> {
    pub(super) fn begin_effect(&mut self, id: FrameId, step: &'a Step) -> Result<(), Failure> {
        let Some(form) = &step.idempotency_key else {
            self.attempt(id, step, 1, None);
            return Ok(());
        };
        let key = match self.fill(id, step, "idempotency_key", form)? {
            Value::String(key) => key.to_string(),
            Value::Int(key) => key.to_string(),
            other => return Err(super::decide::type_failure(step, "idempotency_key", "a string", &other)),
        };
        if key.len() > KEY_BYTES_MAX {
            let message = format!("the key has {} bytes, more than {KEY_BYTES_MAX}", key.len());
            return Err(Failure::new("validation.key", message, Some(&step.id)));
        }
        self.want_key(id, step, key);
        Ok(())
    }

    fn want_key(&mut self, frame: FrameId, step: &Step, key: String) {
        let since = self.run.version;
        self.emit(frame, Fact::KeyWanted { step: step.id.clone(), key: key.clone() });
        self.turn.commands.push(Command::WantKey(HeldKey { frame, step: step.id.clone(), key, since }));
    }

    pub(super) fn key_answer(&mut self, id: FrameId, wish: u64, answer: KeyAnswer) {
        let place = self.run.frames.get(&id).map(|frame| frame.place.clone());
        let Some(Place::Key { step, key, taken, since, .. }) = place else { return };
        if since != wish {
            return;
        }
        let step = self.step_named(&step);
        match answer {
            KeyAnswer::Held => self.attempt(id, step, 1, Some(key)),
            KeyAnswer::Taken if !taken => self.emit(id, Fact::KeyTaken { step: step.id.clone(), again: None }),
            KeyAnswer::Crowded if !taken => {
                let again = Some(self.due_after(CROWDED_KEY));
                self.emit(id, Fact::KeyTaken { step: step.id.clone(), again });
            }
            KeyAnswer::Taken | KeyAnswer::Crowded => {}
            KeyAnswer::Done(output) => self.finish_step(id, step, output),
        }
    }

    /// A frame that waits for its key asks again; one whose wish is on its way waits for the answer.
    pub(super) fn key_freed(&mut self, id: FrameId) {
        let place = self.run.frames.get(&id).map(|frame| frame.place.clone());
        let Some(Place::Key { step, key, taken: true, since, .. }) = place else { return };
        self.emit(id, Fact::KeyFreed { step: step.clone() });
        self.turn.commands.push(Command::WantKey(HeldKey { frame: id, step, key, since }));
    }

    fn attempt(&mut self, frame: FrameId, step: &Step, attempt: u32, key: Option<String>) {
        let since = self.run.version;
        self.emit(frame, Fact::AttemptStarted { step: step.id.clone(), attempt, key: key.clone() });
        self.turn.commands.push(Command::Perform(Call { frame, step: step.id.clone(), attempt, key, since }));
    }

    /// The backoff of a step is over.
    pub(super) fn again(&mut self, id: FrameId, step: &'a Step, key: Option<String>) {
        if is_repeated(step) {
            let ix = self.workflow().find(&step.id).expect("a step of this plan");
            return self.enter(id, ix, true);
        }
        let attempt = self.run.frame(id).tries.get(&step.id).map_or(0, |tries| tries.attempt) + 1;
        self.attempt(id, step, attempt, key);
    }

    pub(super) fn loaded(&mut self) {
        let attempts = self.run.frames.iter().filter(|(_, frame)| matches!(frame.place, Place::Attempt { .. }));
        self.run.cut_off = attempts.map(|(id, _)| *id).filter(|_| !planted(Bug::CutOffForgotten)).collect();
        self.make_again();
        // A turn that was cut short by the end of the process goes on, too.
        self.look_at_all();
    }

    /// Makes the attempts again that were cut off.
    pub(super) fn make_again(&mut self) {
        while let Some(id) = self.run.cut_off.first().copied() {
            if self.is_full() {
                self.turn.more = true;
                return;
            }
            self.run.cut_off.remove(&id);
            let place = self.run.frames.get(&id).map(|frame| frame.place.clone());
            let Some(Place::Attempt { step: step_id, key, .. }) = place else { continue };
            let step = self.step_named(&step_id);
            let tries = self.run.frame(id).tries.get(&step_id).cloned().unwrap_or_default();
            self.emit(id, Fact::AttemptInterrupted { step: step_id.clone(), attempt: tries.attempt });
            if tries.interrupted + 1 >= INTERRUPTIONS_MAX {
                let message = format!("the process ended {INTERRUPTIONS_MAX} times during this step");
                self.free_key(id, &step_id, key);
                self.fail(id, step, Failure::new("interrupted", message, Some(&step_id)));
            } else {
                self.attempt(id, step, tries.attempt.max(1), key);
            }
        }
    }

    pub(super) fn outcome(&mut self, id: FrameId, attempt: u64, outcome: Result<Json, StepError>) {
        let Some(frame) = self.run.frames.get(&id) else { return };
        let Place::Attempt { step, key, since } = frame.place.clone() else { return };
        if since != attempt {
            return;
        }
        let attempt = frame.tries.get(&step).map_or(1, |tries| tries.attempt);
        let step = self.step_named(&step);
        let accepted = outcome.and_then(|output| self.accept(step, &output));
        let accepted = accepted.and_then(|output| {
            let room = self.check_room(step, &output);
            room.map_err(|full| StepError { retriable: Some(false), ..StepError::new(full.code, full.message) })?;
            Ok(output)
        });
        match accepted {
            Ok(output) => {
                let output = self.store(output);
                if let Some(key) = key {
                    let held = HeldKey { frame: id, step: step.id.clone(), key, since };
                    self.turn.commands.push(Command::SettleKey(held, Some(output.clone())));
                }
                self.finished(id, step, output);
                self.go_on_behind(id, step);
            }
            Err(error) => self.attempt_failed(id, step, attempt, key, error),
        }
    }

    /// The output as the step's type has it.
    fn accept(&self, step: &Step, output: &Json) -> Result<Value, StepError> {
        let invalid =
            |message: String| StepError { retriable: Some(false), ..StepError::new("validation.output", message) };
        let value = match self.cx.definition.output_type(step) {
            Some(ty) => ty.accept(output).map_err(|wrong| {
                let wrong: Vec<String> = wrong.iter().take(3).map(ToString::to_string).collect();
                invalid(format!("the output does not fit its type: {}", wrong.join("; ")))
            })?,
            None => Value::from_json(output),
        };
        if value.size_within(OUTPUT_BYTES_MAX).is_none() {
            return Err(invalid(format!("the output is larger than {OUTPUT_BYTES_MAX} bytes")));
        }
        Ok(value)
    }

    fn attempt_failed(&mut self, id: FrameId, step: &'a Step, attempt: u32, key: Option<String>, error: StepError) {
        let failure = Failure {
            code: error.code.clone(),
            message: error.message.clone(),
            step: Some(step.id.clone()),
            attempt: Some(attempt),
            data: Value::from_json(&error.data),
        }
        .within_limits();
        let retriable = error.retriable.unwrap_or_else(|| self.is_retriable(step, &error.code));
        let retry_after = error.retry_after.and_then(|after| i64::try_from(after.as_millis()).ok()).map(Period);
        match self.judge(id, step, Failed { code: &error.code, retriable, retry_after }) {
            Verdict::Again { at, policy } => {
                let step = step.id.clone();
                self.emit(id, Fact::AttemptFailed { step, attempt, failure, retry_at: at, policy });
                if at <= self.cx.now {
                    self.wake(id);
                }
            }
            Verdict::Enough => {
                self.free_key(id, &step.id, key);
                self.fail(id, step, failure);
            }
        }
    }

    fn judge(&self, id: FrameId, step: &Step, failed: Failed<'_>) -> Verdict {
        let tries = self.run.frame(id).tries.get(&step.id).cloned().unwrap_or_default();
        let draw = Visit::of(self.run, id, &step.id).chance("jitter", tries.attempt);
        let chance =
            f64::from(u32::from_be_bytes([draw[0], draw[1], draw[2], draw[3]])) / f64::from(u32::MAX) * 0.999_999;
        judge(&step.retry, &tries, failed, self.cx.now, chance)
    }

    /// What the kind declares for a code; a code of the engine's own has its own answer.
    fn is_retriable(&self, step: &Step, code: &str) -> bool {
        if matches!(code, "timeout" | "panic") {
            return code == "timeout";
        }
        let kind = self.cx.definition.plan.kinds.get(&step.kind.value);
        let declared = |exact: bool| {
            kind.into_iter()
                .flat_map(|kind| &kind.errors)
                .find(|error| if exact { error.code == code } else { code_matches(&error.code, code) })
        };
        declared(true).or_else(|| declared(false)).is_some_and(|error| error.retriable)
    }

    /// Retries a block or an `invoke` as a whole if its policy says so; otherwise gives the failure back.
    pub(super) fn retry_block(&mut self, id: FrameId, step: &Step, failure: Failure) -> Option<Failure> {
        if !is_repeated(step) || step.retry.is_empty() {
            return Some(failure);
        }
        let retriable = !failure.code.starts_with("expr.") && !failure.code.starts_with("validation.");
        let failed = Failed { code: &failure.code, retriable, retry_after: None };
        let Verdict::Again { at, policy } = self.judge(id, step, failed) else { return Some(failure) };
        let attempt = self.run.frame(id).tries.get(&step.id).map_or(0, |tries| tries.attempt) + 1;
        self.emit(id, Fact::AttemptFailed { step: step.id.clone(), attempt, failure, retry_at: at, policy });
        if at <= self.cx.now {
            self.wake(id);
        }
        None
    }
}

/// Whether a retry of this step enters it anew: an effect makes another attempt of the same visit instead.
fn is_repeated(step: &Step) -> bool {
    matches!(step.body, Body::Do(_) | Body::Parallel { .. } | Body::ForEach(_) | Body::Invoke { .. })
}

/// An object of two fields or so, for outputs that the engine makes itself.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields: Object = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Value::Object(Arc::new(fields))
}
