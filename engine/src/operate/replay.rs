//! Doing it over: a new event, and what it starts.

use super::Operator;
use super::events::run_of;
use crate::driver::{Message, load, postponed};
use crate::error::{Error, ErrorKind};
use crate::ids::{EventId, RunId};
use crate::rows::EventRow;
use crate::run::signature;
use crate::store::Commit;

impl Operator {
    /// Starts a new run of the workflow of `run`, on its newest plan, with a new event that has the data of the event
    /// that `run` was born of. It is a start by hand: the limits of the workflow judge it when an engine has the store,
    /// and may drop it. The start is durable when this returns the id of the run. Its automatic idempotency keys are
    /// new; explicit keys still hold. No other workflow hears of the event.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run, [`ErrorKind::Conflict`] if the data does not fit what the
    /// workflow wants now, and whatever the store answers.
    pub async fn replay_run(&self, run: RunId) -> Result<RunId, Error> {
        let loaded = self.load(run).await?;
        let workflow = loaded.definition.plan.workflow.name.value.clone();
        let definition = self.newest(run.workflow).await?;
        let plan = &definition.plan;
        let old = load::event(&*self.store, loaded.run.position).await?;
        let ty = plan.events.get(&old.name).map(|event| &event.data).or_else(|| signature(plan));
        if let Some(wrong) = ty.and_then(|ty| ty.accept(&old.data.to_json()).err()) {
            let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            let message = format!("the data of run {run} does not fit `{workflow}` as it is now: {}", wrong.join("; "));
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let event = self.repeat(&old, Some(run.workflow)).await?;
        Ok(run_of(event, run.workflow))
    }

    /// Sends an event of the log again: a new event with the same data, which says of which one it is a replay. It is
    /// durable when this returns, and enters the log like any other when an engine has the store.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the log has no such event, [`ErrorKind::Conflict`] for an event that is not one of the
    /// door's but the beginning of one run, and whatever the store answers.
    pub async fn replay_event(&self, id: &str) -> Result<EventId, Error> {
        let (_, old) = self.event_row(id).await?;
        if matches!(old.name.as_str(), crate::driver::TICK | crate::driver::INVOKE) {
            let message = format!("`{}` is the beginning of one run: replay that run", old.name);
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        self.repeat(&old, None).await
    }

    /// Puts a new event that repeats an old one into the row of a timer that is due: it comes in by the door.
    async fn repeat(&self, old: &EventRow, only: Option<u16>) -> Result<EventId, Error> {
        let now = self.now();
        let event = EventRow { only, ..repeated(old, now) };
        let (due, writes) = postponed(&event, now);
        self.store.commit(Commit { writes, ..Commit::default() }).await?;
        self.tell(Message::Changed(Some(due)));
        Ok(event.id)
    }
}

/// A new event that repeats an old one. What it brings about is nobody's doing but the person's who asked for it.
fn repeated(old: &EventRow, now: wf_dsl::Time) -> EventRow {
    let event = EventRow::new(EventId::fresh(now), old.name.clone(), old.data.clone(), now);
    EventRow { replay_of: Some(old.id), ..event }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_a_new_event_that_names_the_old_one() {
        let old = EventRow {
            sender_id: Some("order-1".to_owned()),
            ..EventRow::new(EventId([1; 12]), "a".to_owned(), wf_dsl::Value::Int(1), wf_dsl::Time(5))
        };
        let new = repeated(&old, wf_dsl::Time(9));
        assert_ne!(new.id, old.id);
        assert_eq!((new.replay_of, new.sender_id, new.ts), (Some(old.id), None, wf_dsl::Time(9)));
        assert_eq!((new.name, new.data), (old.name, old.data));
    }
}
