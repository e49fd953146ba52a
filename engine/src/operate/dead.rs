//! Dead letters: failed runs, kept with their state until a person retries or drops them.

use std::collections::BTreeMap;

use wf_dsl::Time;

use super::{Operator, RunFilter, RunLine, State};
use crate::error::{Error, ErrorKind};
use crate::ids::RunId;
use crate::run::{Failure, Status};
use crate::upkeep::{Pass, Retention};

/// The dead letters of one workflow that failed with one code.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetters {
    /// The workflow.
    pub workflow: String,
    /// The code.
    pub code: String,
    /// The runs, newest first.
    pub runs: Vec<RunId>,
    /// When the first of them failed.
    pub first: Time,
    /// When the last of them failed.
    pub last: Time,
    /// The error of the newest.
    pub error: Failure,
}

impl Operator {
    /// The dead letters that a filter takes, newest first. Its states are not looked at.
    ///
    /// Of runs that invoked each other only the outermost is one, unless its caller has handled the failure: then the
    /// invoked run is.
    ///
    /// # Errors
    /// As [`Operator::runs`].
    pub async fn dead_letters(&self, filter: &RunFilter) -> Result<Vec<RunLine>, Error> {
        let filter = RunFilter { states: vec![State::Failed], ..filter.clone() };
        let mut dead = Vec::new();
        for line in self.all_runs(&filter).await? {
            if !self.is_told_by_parent(&line).await? {
                dead.push(line);
            }
        }
        Ok(dead)
    }

    /// The same, grouped by workflow and error code; the group with the newest failure first.
    ///
    /// # Errors
    /// As [`Operator::runs`].
    pub async fn dead_groups(&self, filter: &RunFilter) -> Result<Vec<DeadLetters>, Error> {
        let mut groups: BTreeMap<(String, String), DeadLetters> = BTreeMap::new();
        for line in self.dead_letters(filter).await? {
            let ended = line.ended_at.unwrap_or(line.started_at);
            let error = line.error.unwrap_or_else(|| Failure::new("failed", "it failed", None));
            let group = groups.entry((line.workflow.clone(), error.code.clone())).or_insert_with(|| DeadLetters {
                workflow: line.workflow,
                code: error.code.clone(),
                runs: Vec::new(),
                first: ended,
                last: ended,
                error: error.clone(),
            });
            group.runs.push(line.run);
            group.first = group.first.min(ended);
            if ended > group.last {
                group.last = ended;
                group.error = error;
            }
        }
        let mut groups: Vec<DeadLetters> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.last));
        Ok(groups)
    }

    /// Whether the failure of an invoked run is that of the run that invoked it.
    async fn is_told_by_parent(&self, line: &RunLine) -> Result<bool, Error> {
        let Some(parent) = line.parent else { return Ok(false) };
        let head = match self.head(parent).await {
            Ok(head) => head,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let child = head.failure.as_ref().and_then(|failure| failure.data.get_path("run_id"));
        let is_this = child.and_then(wf_dsl::Value::as_str).is_some_and(|child| child == line.run.to_string());
        Ok(head.status == Status::Failed && is_this)
    }

    /// Forgets a run that has failed, and the ended runs that it invoked, as retention does with others: step kinds are
    /// told, then the rows go, and nothing brings them back.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run; [`ErrorKind::Conflict`] if it has not failed, goes on meanwhile,
    /// or holds the output of an idempotency key that others may still ask for; [`ErrorKind::Unavailable`] if a step
    /// kind cannot forget it; and whatever the store answers.
    pub async fn drop_dead(&self, run: RunId) -> Result<(), Error> {
        let loaded = self.load(run).await?;
        let state = State::of(&loaded.run, &loaded.definition.plan, None);
        if state != State::Failed {
            return Err(Error::new(ErrorKind::Conflict, format!("run {run} is no dead letter: it is {state}")));
        }
        let (store, registry, kinds) = (self.store.clone(), self.registry.clone(), self.keepers.clone());
        let pass = Pass { store, registry, kinds, retention: Retention::default(), now: self.now(), doubted: None };
        pass.drop_failed(&loaded.run).await
    }
}
