//! Attempts: a step kind's future, bounded in time, its panics caught, its secrets taken out.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::abortable;
use serde_json::Value as Json;
use wf_dsl::{Period, Time, Value};

use super::{Done, Driver};
use crate::ids::RunId;
use crate::kind::{StepContext, StepError};
use crate::planted::{Bug, planted};
use crate::run::{Call, Command, Cx, Input, Tie};

impl Driver {
    /// Does what a commit that is durable now has announced.
    pub(super) fn perform(&mut self, run: RunId, command: Command) {
        match command {
            Command::Perform(call) => self.attempt(run, call),
            Command::Stop(frame) => {
                let attempt = self.active.get_mut(&run).and_then(|active| active.attempts.remove(&frame));
                if let Some(attempt) = attempt.filter(|_| !planted(Bug::AttemptNotStopped)) {
                    attempt.abort();
                }
            }
            Command::CancelRun(child) => {
                let reason = "the run that invoked it does not wait for it any more".to_owned();
                self.wake(child, vec![Input::Cancel { reason }], false);
            }
            Command::Look(frames) => {
                if let Some(mut active) = self.active.remove(&run) {
                    self.look_at_log(&mut active, frames);
                    self.active.insert(run, active);
                }
            }
            Command::LookAt(frame, named) => self.look_at(run, frame, named, Tie::Referred),
            // These rode in the commit.
            Command::WantKey(_) | Command::SettleKey(..) | Command::Send(_) | Command::Start(_) => {}
        }
    }

    fn attempt(&mut self, id: RunId, call: Call) {
        if self.stopping.is_some() {
            return;
        }
        let Some(active) = self.active.get(&id) else { return };
        let (frame, since) = (call.frame, call.since);
        let still = matches!(active.run.frames.get(&frame).map(|frame| &frame.place),
            Some(crate::run::Place::Attempt { since: begun, .. }) if *begun == since);
        if !still {
            return;
        }
        // One that cannot be made is over at once, and counts until that is heard of.
        self.performing += 1;
        let prepared = self.prepare(id, &call);
        let attempt = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                let done = Done::Performed { run: id, frame, since, outcome: Err(error) };
                return self.spawn(std::future::ready(done));
            }
        };
        let redactor = self.parts.redactor.clone();
        let (attempt, abort) = abortable(attempt);
        if let Some(active) = self.active.get_mut(&id) {
            active.attempts.insert(frame, abort);
        }
        self.spawn(async move {
            let outcome = match attempt.await {
                Ok(outcome) => outcome,
                // Whoever aborted it has taken it out of the run's attempts and waits for nothing.
                Err(_) => return Done::Aborted(id),
            };
            let outcome = match outcome {
                Ok(mut output) => {
                    redactor.json(&mut output);
                    Ok(output)
                }
                Err(mut error) => {
                    error.message = redactor.text(&error.message);
                    redactor.json(&mut error.data);
                    Err(error)
                }
            };
            Done::Performed { run: id, frame, since, outcome }
        });
    }

    /// The future of an attempt, or why it cannot be made.
    fn prepare(
        &self,
        id: RunId,
        call: &Call,
    ) -> Result<impl Future<Output = Result<Json, StepError>> + Send + 'static, StepError> {
        let active = self.active.get(&id).expect("looked up by the caller");
        let plan = &active.definition.plan;
        let now = self.now;
        let cx = Cx { definition: &active.definition, live: &self.parts.live, workflows: &self.parts.registry, now };
        let step = plan.workflow.find(&call.step).map(|ix| plan.workflow.step(ix)).expect("a step of the pinned plan");
        let args = active.run.render(&cx, call)?;
        let limit = match active.run.timeout_of(&cx, call, step)? {
            Some(Period(ms)) if ms <= 0 => return Err(timed_out()),
            Some(Period(ms)) => Some(Duration::from_millis(ms.unsigned_abs())),
            None => None,
        };
        let kind = self.parts.kinds.get(&step.kind.value).cloned();
        let kind = kind.ok_or_else(|| {
            StepError::new("kind.missing", format!("this host does not have the kind `{}`", step.kind.value))
        })?;
        let mut effect = active.run.automatic_key(call.frame, &call.step);
        if planted(Bug::KeyChanges) {
            effect.push_str(&call.attempt.to_string());
        }
        let environment = &self.parts.environment;
        let context = StepContext {
            run: id,
            workflow: plan.workflow.name.value.as_str().into(),
            step: call.step.clone(),
            key: call.key.clone().unwrap_or_else(|| effect.clone()),
            effect,
            attempt: call.attempt,
            iteration: active.run.iteration(plan, call.frame).map(Into::into),
            deadline: limit
                .map(|limit| Time(now.0.saturating_add(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)))),
            remaining: limit,
            now: active.run.frame(call.frame).entered,
            clock: self.parts.clock.clone(),
            returns: active.definition.returns.get(&call.step).cloned(),
            templates: active.definition.templates.clone(),
            connections: environment.connections.clone(),
            outbox: environment.outbox.clone(),
            stand_ins: environment.stand_ins.clone(),
            project: environment.project.clone(),
        };
        Ok(async move {
            let work = AssertUnwindSafe(async { kind.execute(&context, args).await }).catch_unwind();
            let ended = match limit {
                Some(limit) => tokio::select! {
                    biased;
                    ended = work => ended,
                    () = context.clock.pass(limit) => return Err(timed_out()),
                },
                None => work.await,
            };
            match ended {
                Ok(outcome) => outcome.map(|output| output.value),
                Err(panic) => Err(StepError::new("panic", format!("the step kind panicked: {}", panic_text(&*panic)))),
            }
        })
    }
}

fn timed_out() -> StepError {
    StepError::new("timeout", "the attempt took longer than the step's timeout")
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

impl crate::run::Run {
    /// How long an attempt of a step may take; none if there is no limit.
    fn timeout_of(&self, cx: &Cx<'_>, call: &Call, step: &wf_dsl::Step) -> Result<Option<Period>, StepError> {
        let Some(form) = &step.timeout else { return Ok(None) };
        match self.evaluate(cx, call, "timeout", form)? {
            Value::Period(period) => Ok(Some(period)),
            other => {
                let message = format!("`timeout` needs a duration, found {}", other.type_name());
                Err(StepError { retriable: Some(false), ..StepError::new("expr.type", message) })
            }
        }
    }
}
