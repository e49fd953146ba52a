//! Runs, newest first.

use wf_dsl::{PlanHash, Time};

use super::{Operator, PAGE, Page, State};
use crate::driver::load;
use crate::error::Error;
use crate::ids::RunId;
use crate::rows;
use crate::run::{Failure, code_matches};
use crate::store::{Key, Row, Table};

/// Which runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFilter {
    /// Those of this workflow.
    pub workflow: Option<String>,
    /// Those in one of these states; in any if there is none.
    pub states: Vec<State>,
    /// Those that began at this time or later.
    pub since: Option<Time>,
    /// Those that began before this time.
    pub until: Option<Time>,
    /// Those that failed with this code, or with one of a family such as `http.*`.
    pub code: Option<String>,
}

/// A run in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct RunLine {
    /// The run.
    pub run: RunId,
    /// Its workflow.
    pub workflow: String,
    /// The plan that it is pinned to.
    pub plan: PlanHash,
    /// How it stands.
    pub state: State,
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// When something is due for it next.
    pub due: Option<Time>,
    /// The steps at which it stands: one, or one for each branch and iteration.
    pub at: Vec<String>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// The run that invoked it.
    pub parent: Option<RunId>,
}

impl RunFilter {
    /// Whether a run can be one of them, as far as its head tells.
    fn takes(&self, head: &crate::run::Head) -> bool {
        let state = State::ended(head.status);
        let is_wanted = match state {
            _ if self.states.is_empty() => true,
            Some(state) => self.states.contains(&state),
            None => self.states.iter().any(|state| !state.is_ended()),
        };
        let failed = |code: &String| head.failure.as_ref().is_some_and(|failure| code_matches(code, &failure.code));
        is_wanted
            && self.since.is_none_or(|since| head.started >= since)
            && self.until.is_none_or(|until| head.started < until)
            && self.code.as_ref().is_none_or(failed)
    }
}

impl Operator {
    /// At most `most` runs, newest first, older than `before`. It reads heads in the order of their ids, so a narrow
    /// filter over a large store reads much.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if the store has no such workflow, and whatever it answers.
    pub async fn runs(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
        most: usize,
    ) -> Result<Page<RunLine, RunId>, Error> {
        let number = match &filter.workflow {
            Some(workflow) => Some(self.number(workflow).await?),
            None => None,
        };
        let mut range = Key::all(Table::Head);
        if let Some(before) = before {
            range.end = Key::head(before);
        }
        let mut page = Page { items: Vec::new(), next: None };
        loop {
            let rows = self.store.scan(range.clone(), true, PAGE).await?;
            for row in &rows {
                let Some(run) = row.key.as_head() else { continue };
                if number.is_some_and(|number| number != run.workflow) {
                    continue;
                }
                let Some(line) = self.line(run, row, filter).await? else { continue };
                if page.items.len() == most {
                    page.next = page.items.last().map(|line: &RunLine| line.run);
                    return Ok(page);
                }
                page.items.push(line);
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE => range.end = last.key.clone(),
                _ => return Ok(page),
            }
        }
    }

    /// All runs that a filter takes, newest first. For bulk commands.
    ///
    /// # Errors
    /// As [`Operator::runs`].
    pub async fn all_runs(&self, filter: &RunFilter) -> Result<Vec<RunLine>, Error> {
        Ok(self.runs(filter, None, usize::MAX).await?.items)
    }

    /// One run as lists have it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such run, and whatever the store answers.
    pub async fn run(&self, run: RunId) -> Result<RunLine, Error> {
        let line = match load::one(&*self.store, Key::head(run)).await? {
            Some(row) => self.line(run, &row, &RunFilter::default()).await?,
            None => None,
        };
        line.ok_or_else(|| super::no_run(run))
    }

    async fn line(&self, run: RunId, row: &Row, filter: &RunFilter) -> Result<Option<RunLine>, Error> {
        let rows::ReadHead { head, .. } = load::head(&*self.store, run, row).await?;
        if !filter.takes(&head) {
            return Ok(None);
        }
        // A run that goes on meanwhile, or is dropped, is not what its head said.
        let Some(loaded) = load::load(&*self.store, &self.registry, run).await? else { return Ok(None) };
        let (run, plan) = (&loaded.run, &loaded.definition.plan);
        let state = State::of(run, plan, self.kinds.as_deref());
        if !filter.states.is_empty() && !filter.states.contains(&state) {
            return Ok(None);
        }
        let is_open = !run.is_ended();
        let at = run.frames.values().filter(|frame| is_open && !matches!(frame.place, crate::run::Place::Fork { .. }));
        let mut at: Vec<String> = at.filter_map(|frame| frame.place.step().map(ToString::to_string)).collect();
        at.dedup();
        Ok(Some(RunLine {
            run: run.id,
            workflow: plan.workflow.name.value.clone(),
            plan: plan.hash,
            state,
            started_at: run.head.started,
            ended_at: run.head.ended,
            due: run.timers().map(|(_, due)| due).min(),
            at,
            error: run.head.failure.clone(),
            parent: run.head.parent.as_ref().map(|caller| caller.run),
        }))
    }
}
