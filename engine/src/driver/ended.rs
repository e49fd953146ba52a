//! The events that tell how a run ended: written in the commit that ends it, if anybody hears them.

use serde_json::{Value as Json, json};
use wf_dsl::{Time, Value};

use super::Driver;
use super::active::{Active, Flight};
use super::birth::sent_by;
use crate::registry::Registry;
use crate::rows::EventRow;
use crate::run::{Run, Status};
use crate::send::EVENT_BYTES_MAX;
use crate::store::Commit;

/// How the names of these events begin.
pub(crate) const RUN_EVENTS: &str = "wf.run.";

impl Driver {
    /// Adds the event about a run that ends to its commit, with the runs that it starts.
    pub(super) fn tell_end(&mut self, commit: &mut Commit, flight: &mut Flight, active: &Active, now: Time) {
        if !is_told(&self.parts.registry, &active.run, active.quiet) {
            return;
        }
        let workflow = &active.definition.plan.workflow.name.value;
        let row = EventRow::new(self.new_event_id(now), name(&active.run), data(&active.run, workflow), now);
        let row = sent_by(active, row);
        let (births, delivery) = self.births(commit, &row, None, None);
        flight.births.extend(births);
        flight.deliveries.extend(delivery);
    }
}

fn name(run: &Run) -> String {
    format!("{RUN_EVENTS}{}", run.head.status.as_str())
}

/// Whether an event tells of the end of a run: somebody hears it, and the run did not come of such an event itself.
pub(super) fn is_told(registry: &Registry, run: &Run, quiet: bool) -> bool {
    !quiet && run.head.status != Status::Open && registry.hears(&name(run))
}

/// What the event says. What makes it too long is left out: the output first, then the data of the run's own event.
fn data(run: &Run, workflow: &str) -> Value {
    let error = run.head.failure.as_ref().map(|failure| {
        json!({
            "code": failure.code,
            "message": failure.message,
            // An error that is no step's, such as the timeout of the workflow, is that of the workflow.
            "step": failure.step.as_deref().unwrap_or(workflow),
            "attempt": failure.attempt.unwrap_or(1),
            "data": failure.data.to_json(),
        })
    });
    let trigger = &run.trigger;
    let mut data = json!({
        "workflow": workflow,
        "run_id": run.id.to_string(),
        "version": run.head.plan.0.to_string(),
        "status": run.head.status.as_str(),
        "error": error,
        "output": run.head.output.value.to_json(),
        "event": {
            "name": trigger.name,
            "id": trigger.id,
            "ts": trigger.ts.to_string(),
            "data": trigger.data.to_json(),
        },
    });
    for path in ["/output", "/event/data"] {
        if data.to_string().len() > EVENT_BYTES_MAX
            && let Some(part) = data.pointer_mut(path)
        {
            *part = Json::Null;
        }
    }
    Value::from_json(&data)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wf_dsl::PlanHash;

    use super::*;
    use crate::ids::{EventId, FrameId, RunId};
    use crate::run::{Fact, Failure, Record, Stored, Trigger};

    fn ended(output: Value, data: Value) -> Json {
        let id = RunId { event: EventId([1; 12]), workflow: 0, nth: 0 };
        let trigger = Trigger { id: "e".into(), name: "go".into(), ts: Time(0), data };
        let mut run = Run::new(id, PlanHash([2; 32]), Arc::new(trigger), None, Time(0));
        let failure = Some(Failure::new("timeout", "late", None));
        let fact = Fact::RunEnded { status: Status::Failed, output: Stored::small(output), failure };
        run.apply(&Record { frame: FrameId::ROOT, at: Time(5), fact });
        super::data(&run, "flow").to_json()
    }

    fn text(bytes: usize) -> Value {
        Value::String("x".repeat(bytes).into())
    }

    #[test]
    fn the_step_and_the_attempt_of_an_error_are_never_null() {
        let data = ended(Value::Null, Value::Null);
        assert_eq!((&data["error"]["step"], &data["error"]["attempt"]), (&json!("flow"), &json!(1)));
        assert_eq!(data["status"], "failed");
    }

    #[test]
    fn what_makes_an_event_too_long_is_left_out() {
        let others = ended(text(0), text(0)).to_string().len();
        let fits = ended(text(EVENT_BYTES_MAX - others), text(0));
        assert!(fits["output"].is_string() && fits.to_string().len() == EVENT_BYTES_MAX);
        let output = ended(text(EVENT_BYTES_MAX - others + 1), text(1));
        assert!(output["output"].is_null() && output["event"]["data"].is_string());
        let both = ended(text(EVENT_BYTES_MAX), text(EVENT_BYTES_MAX));
        assert!(both["output"].is_null() && both["event"]["data"].is_null());
    }
}
