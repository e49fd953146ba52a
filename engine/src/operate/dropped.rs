//! Starts that limits kept from happening.

use wf_dsl::Time;

use super::Operator;
use crate::error::Error;
use crate::ids::{EventId, RunId};
use crate::limits::Dropped;
use crate::rows::from_bytes;
use crate::store::Key;

/// A start that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedStart {
    /// When its event was accepted.
    pub at: Time,
    /// The workflow.
    pub workflow: String,
    /// The event, by the engine's own id.
    pub event: EventId,
    /// The limit that dropped it, as the file names it.
    pub limit: String,
    /// The run that it gave way to.
    pub run: Option<RunId>,
}

impl Operator {
    /// The starts that limits kept from happening, newest first: of one workflow or of all, at most `most`. They are kept
    /// as long as finished runs.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a workflow that is not there, and whatever the store
    /// answers.
    pub async fn dropped_starts(&self, workflow: Option<&str>, most: usize) -> Result<Vec<DroppedStart>, Error> {
        let only = match workflow {
            Some(workflow) => Some(self.number(workflow).await?),
            None => None,
        };
        let mut starts = Vec::new();
        for (number, (workflow, _)) in self.workflows().await? {
            if only.is_some_and(|only| only != number) {
                continue;
            }
            for row in self.store.scan(Key::dropped_of(number), true, most).await? {
                let Some((at, run)) = row.key.as_dropped() else { continue };
                let dropped: Dropped = from_bytes(&row.key, &row.value)?;
                let workflow = workflow.clone();
                starts.push(DroppedStart { at, workflow, event: run.event, limit: dropped.why, run: dropped.run });
            }
        }
        starts.sort_by_key(|start| std::cmp::Reverse((start.at, start.event)));
        starts.truncate(most);
        Ok(starts)
    }
}
