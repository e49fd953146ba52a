//! Events that limits gather: for which workflow, and until when.

use std::collections::BTreeMap;

use wf_dsl::Time;

use super::{Operator, PAGE};
use crate::driver::{load, position};
use crate::error::Error;
use crate::ids::{Position, RunId};
use crate::limits::{GATHERED, gathered_until, gathering};
use crate::store::{Key, Table};

/// Events that are gathered under one key of `debounce` or `batch`, and start a run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// The workflow.
    pub workflow: String,
    /// When the first event of the key was accepted.
    pub since: Time,
    /// When they start the run, as it is now: another event may put that off, or be the one that is enough.
    pub due: Time,
    /// How many there are. Without `collect: all`, `debounce` keeps the last one only.
    pub events: usize,
}

impl Operator {
    /// What the events between two positions are gathered for.
    pub(super) async fn gathered(
        &self,
        (from, to): (Position, Position),
    ) -> Result<BTreeMap<Position, Vec<Gathered>>, Error> {
        let mut found: BTreeMap<Position, Vec<RunId>> = BTreeMap::new();
        let mut counts: BTreeMap<RunId, usize> = BTreeMap::new();
        let mut range = Key::all(Table::Gathered);
        loop {
            let page = self.store.scan(range.clone(), false, PAGE).await?;
            for row in &page {
                let Some((first, _)) = row.key.as_gathered() else { continue };
                *counts.entry(first).or_default() += 1;
                let position = position(row)?;
                if (from..=to).contains(&position) {
                    found.entry(position).or_default().push(first);
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => range.start = last.key.next(),
                _ => break,
            }
        }
        if found.is_empty() {
            return Ok(BTreeMap::new());
        }
        let (due, names) = (self.due_gathered().await?, self.workflows().await?);
        let of = |first: &RunId| Gathered {
            workflow: names.get(&first.workflow).map(|(name, _)| name.clone()).unwrap_or_default(),
            since: first.event.at(),
            due: due.get(first).copied().unwrap_or_else(|| self.now()),
            events: counts.get(first).copied().unwrap_or_default(),
        };
        Ok(found.into_iter().map(|(position, firsts)| (position, firsts.iter().map(of).collect())).collect())
    }

    /// When what is gathered is due, under the run that the first event of each key would have been.
    async fn due_gathered(&self) -> Result<BTreeMap<RunId, Time>, Error> {
        let mut due = BTreeMap::new();
        // The row of a key may be another one's when the time of the events is over; their timer is there.
        let over = Key::all(Table::Timer).start..Key::timers_from(Time(self.now().0.saturating_add(1)));
        for timer in load::scan(&*self.store, over).await?.iter().filter_map(|row| row.key.as_timer()) {
            if timer.frame == GATHERED {
                due.insert(timer.run, timer.at);
            }
        }
        for row in load::scan(&*self.store, gathering()).await? {
            due.extend([gathered_until(&row)?]);
        }
        Ok(due)
    }
}
