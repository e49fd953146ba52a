//! Why a run has not begun: what it stands in line for.

use wf_dsl::Time;

use super::Operator;
use crate::driver::load;
use crate::error::Error;
use crate::ids::RunId;
use crate::limits::{open_under, unique_row};
use crate::rows::from_bytes;
use crate::run::Run;
use crate::store::gate::PACE_RULE;
use crate::store::{Key, read_number};

/// How many of those that stand before a run are counted.
pub const BEFORE_MAX: usize = 1_000;

/// What a run stands in line for. Without any of it, it begins as soon as an engine has the store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queued {
    /// Its workflow is paused, since then.
    pub paused: Option<Time>,
    /// `unique`: it waits for the end of this run.
    pub behind: Option<RunId>,
    /// `throttle`: it begins no earlier.
    pub not_before: Option<Time>,
    /// `concurrency`: it needs a slot of each of these rules, of which so many runs may execute at once.
    pub slots: Vec<u32>,
    /// How many runs with the same keys stand before it, of at most [`BEFORE_MAX`].
    pub before: usize,
    /// `start_within`: at this instant it is cancelled if it has not begun.
    pub begin_by: Option<Time>,
}

impl Operator {
    pub(super) async fn queued(&self, run: &Run) -> Result<Queued, Error> {
        let store = &*self.store;
        let mut queued = Queued::default();
        if let Some(row) = load::one(store, Key::paused(run.id.workflow)).await? {
            queued.paused = Some(from_bytes(&row.key, &row.value)?);
        }
        let Some(terms) = &run.head.terms else { return Ok(queued) };
        queued.begin_by = terms.start_by;
        queued.slots = terms.gate.slots.iter().map(|slot| slot.limit).collect();
        if let Some(pace) = &terms.gate.pace
            && let Some(row) = load::one(store, Key::limit(PACE_RULE, pace.of)).await?
        {
            let next_ms = pace.next_us(read_number(&row.value).unwrap_or(0)).div_ceil(1_000);
            let next = Time(i64::try_from(next_ms).unwrap_or(i64::MAX));
            queued.not_before = Some(next).filter(|next| *next > self.now());
        }
        let mut line = run.place_in_line().map(|place| (Key::lane_of(run.id.workflow, &terms.gate), place));
        if let Some(id) = terms.unique {
            let place = run.place_behind(id);
            if load::one(store, place.clone()).await?.is_some() {
                queued.behind = load::one(store, unique_row(id)).await?.as_ref().and_then(open_under);
                line = Some((Key::line_of(id), place));
            }
        }
        if let Some((line, place)) = line {
            queued.before = store.scan(line.start..place, false, BEFORE_MAX).await?.len();
        }
        Ok(queued)
    }
}
