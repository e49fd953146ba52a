//! Workflows: which ones a store has, and whether their runs begin.

use wf_dsl::{PlanHash, Time};

use super::Operator;
use crate::driver::load;
use crate::error::{Error, ErrorKind};
use crate::rows::{from_bytes, to_bytes};
use crate::store::{Commit, Key, Row, Write};

/// A workflow of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowLine {
    /// Its name.
    pub name: String,
    /// Its newest definition.
    pub newest: PlanHash,
    /// Since when its runs do not begin.
    pub paused: Option<Time>,
}

impl Operator {
    /// The workflows of the store, by name.
    ///
    /// # Errors
    /// Whatever the store answers.
    pub async fn list_workflows(&self) -> Result<Vec<WorkflowLine>, Error> {
        let mut lines = Vec::new();
        for (number, (name, newest)) in self.workflows().await? {
            let paused = match load::one(&*self.store, Key::paused(number)).await? {
                Some(row) => Some(from_bytes(&row.key, &row.value)?),
                None => None,
            };
            lines.push(WorkflowLine { name, newest, paused });
        }
        lines.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(lines)
    }

    /// From now on no run of a workflow begins. Its events are kept, and its runs are born into the queue; those that
    /// have begun go on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such workflow, [`ErrorKind::Conflict`] if it is paused.
    pub async fn pause_workflow(&self, name: &str) -> Result<(), Error> {
        self.set_paused(name, true).await
    }

    /// The runs of a paused workflow begin again, in the order of the queue.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such workflow, [`ErrorKind::Conflict`] if it is not paused.
    pub async fn resume_workflow(&self, name: &str) -> Result<(), Error> {
        self.set_paused(name, false).await
    }

    async fn set_paused(&self, name: &str, paused: bool) -> Result<(), Error> {
        let number = self.number(name).await?;
        let key = Key::paused(number);
        if load::one(&*self.store, key.clone()).await?.is_some() == paused {
            let is = if paused { "paused already" } else { "not paused" };
            return Err(Error::new(ErrorKind::Conflict, format!("the workflow `{name}` is {is}")));
        }
        let write = match paused {
            true => Write::Put(Row { key, value: to_bytes(&self.now()) }),
            false => Write::Delete(key),
        };
        self.store.commit(Commit { writes: vec![write], ..Commit::default() }).await?;
        self.tell(crate::driver::Message::Paused(number, paused));
        Ok(())
    }
}
