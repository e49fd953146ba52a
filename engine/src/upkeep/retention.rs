//! Retention: what nobody needs any more goes, page by page.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use wf_dsl::{Body, Period, PlanHash, Time};

use super::floors::{Floors, first_gathered};
use super::forget::{Groups, Kinds};
use super::plans::Search;
use crate::driver::load;
use crate::error::{Error, ErrorKind};
use crate::ids::{Position, RunId};
use crate::kind::StepError;
use crate::limits;
use crate::once::KEY_RETENTION;
use crate::planted::{Bug, planted};
use crate::registry::Registry;
use crate::rows::{self, EventRow};
use crate::run::{Caller, Fact, Run, Status};
use crate::send::DEDUPE_DAYS;
use crate::store::{CHUNK_BYTES, Commit, Fence, Guard, Key, Ready, Row, Rows, Store, Table, Write, events};

/// How long finished and cancelled runs and events are kept unless told.
pub const KEEP: Period = Period(7 * DAY);
const DAY: i64 = 86_400_000;

/// Rows that are looked at together.
pub(crate) const PAGE: usize = 256;
/// Rows that one commit deletes.
pub(super) const ROWS: usize = 500;
/// Pages that are looked at before something else may have its turn for a while.
const PAGES: usize = 40;
/// Runs whose kinds cannot forget them go after so many times their period.
const PATIENCE: i64 = 4;

/// How long things are kept that nobody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Finished and cancelled runs, from their end. Failed ones are kept until they are dropped.
    pub runs: Period,
    /// Events, from when they were received; longer while a run that they started is there or an open run may look for
    /// them.
    pub events: Period,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { runs: KEEP, events: KEEP }
    }
}

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    /// Runs, those included that they had invoked.
    pub runs: u64,
    /// Events.
    pub events: u64,
    /// Ids of events and idempotency keys that were remembered.
    pub keys: u64,
    /// Definitions.
    pub plans: u64,
}

impl Pruned {
    /// Adds what another pass took.
    pub(crate) fn add(&mut self, more: Pruned) {
        self.runs += more.runs;
        self.events += more.events;
        self.keys += more.keys;
        self.plans += more.plans;
    }
}

/// Where a pass stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stage {
    /// At this row of those that have ended.
    Runs(Key),
    /// At this event.
    Events(Position),
    /// At what is remembered.
    Keys,
    /// At plans that nothing may need.
    Plans(Search),
}

impl Stage {
    pub(crate) fn first() -> Stage {
        Stage::Runs(Key::all(Table::Ended).start)
    }
}

/// What a pass works with.
#[derive(Clone)]
pub(crate) struct Pass {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Registry,
    pub(crate) kinds: Kinds,
    pub(crate) retention: Retention,
    pub(crate) now: Time,
    /// The plans that nothing needed in the pass before; none if nobody else has the store, so that they go at once.
    pub(crate) doubted: Option<BTreeSet<PlanHash>>,
}

/// What a part of a pass came to.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) pruned: Pruned,
    /// Where the pass goes on; none at its end.
    pub(crate) next: Option<Stage>,
    /// At its end: the plans that nothing needs.
    pub(crate) unneeded: BTreeSet<PlanHash>,
}

impl Pass {
    /// All of a pass, from its beginning to its end.
    pub(crate) async fn all(self) -> Result<Pruned, Error> {
        let (mut pruned, mut next) = (Pruned::default(), Some(Stage::first()));
        while let Some(stage) = next {
            let part = self.clone().go_on(stage).await?;
            pruned.add(part.pruned);
            next = part.next;
        }
        Ok(pruned)
    }

    /// Some pages of a pass; and where it goes on, if it has not come to its end.
    pub(crate) async fn go_on(self, mut stage: Stage) -> Result<Part, Error> {
        let mut pruned = Pruned::default();
        let mut needs = Needs::default();
        for _ in 0..PAGES {
            stage = match stage {
                Stage::Runs(from) => match self.runs(from, &mut pruned).await? {
                    Some(next) => Stage::Runs(next),
                    None => Stage::Events(Position(0)),
                },
                Stage::Events(from) => match self.events(from, &mut needs, &mut pruned).await? {
                    Some(next) => Stage::Events(next),
                    None => Stage::Keys,
                },
                Stage::Keys => {
                    let once = u64::try_from(KEY_RETENTION.0).unwrap_or(u64::MAX);
                    pruned.keys += self.buckets(Table::Dedupe, DEDUPE_DAYS.unsigned_abs() * DAY.unsigned_abs()).await?;
                    pruned.keys += self.buckets(Table::Once, once).await?;
                    pruned.keys += self.limits().await?;
                    pruned.keys += self.dropped().await?;
                    Stage::Plans(self.old_plans().await?)
                }
                Stage::Plans(search) => match self.look_for_plans(search).await? {
                    (search, true) => Stage::Plans(search),
                    (search, false) => {
                        let (plans, unneeded) = self.delete_plans(search).await?;
                        pruned.plans += plans;
                        return Ok(Part { pruned, next: None, unneeded });
                    }
                },
            };
            // Nobody is to wait for a long pass.
            tokio::task::yield_now().await;
        }
        Ok(Part { pruned, next: Some(stage), unneeded: BTreeSet::new() })
    }

    fn before(&self, period: Period) -> Time {
        Time(self.now.0.saturating_sub(period.0))
    }

    // ── runs ────────────────────────────────────────────────────────────

    /// One page of the runs that have ended; and where the next one begins.
    async fn runs(&self, from: Key, pruned: &mut Pruned) -> Result<Option<Key>, Error> {
        let range = from..Key::all(Table::Ended).end;
        let page = self.store.scan(range, false, PAGE).await?;
        let cutoff = self.before(self.retention.runs);
        let mut old = Vec::new();
        let mut next = page.last().filter(|_| page.len() == PAGE).map(|last| last.key.next());
        for row in &page {
            let Some(ended) = row.key.as_ended() else { continue };
            if ended.at >= cutoff {
                // The rest of this workflow's runs with this status are younger; others follow.
                next = Some(Key::ended_of(ended.workflow, ended.status).end);
                break;
            }
            old.push((row.key.clone(), ended.run, ended.status, ended.at));
        }
        let heads: Vec<Key> = old.iter().map(|(_, run, ..)| Key::head(*run)).collect();
        let heads = self.store.get(&heads).await?;
        let mut doomed = Vec::new();
        for ((row, run, status, at), head) in old.into_iter().zip(heads) {
            match head {
                // A pass that was interrupted has left it.
                None => doomed.push(Doomed { run, ended: row, at, head: None, version: None }),
                Some(head) => {
                    if self.is_forgotten(&head, status).await? {
                        doomed.push(Doomed { run, ended: row, at, head: Some(head), version: None });
                    }
                }
            }
        }
        let kept = self.forget(doomed, pruned).await?;
        for (run, why) in kept {
            if let Kept::Kind(error) = why {
                tracing::warn!(%run, %error, "a step kind cannot forget a run; it is kept for now");
            }
        }
        Ok(next)
    }

    /// Deletes a run that has failed, as a person asked.
    pub(crate) async fn drop_failed(&self, run: &Run) -> Result<(), Error> {
        let id = run.id;
        let at = run.head.ended.unwrap_or(run.head.started);
        let ended = Key::ended(id.workflow, run.head.status as u8, at, id);
        let head = load::one(&*self.store, Key::head(id)).await?;
        let doomed = Doomed { run: id, ended, at, head, version: Some(run.version) };
        match self.forget(vec![doomed], &mut Pruned::default()).await?.into_iter().find(|(kept, _)| *kept == id) {
            None => Ok(()),
            Some((_, Kept::Key)) => {
                let until = Time(at.0.saturating_add(KEY_RETENTION.0));
                let message = format!("run {id} is kept until {until}: others may ask for the output of a key of it");
                Err(Error::new(ErrorKind::Conflict, message))
            }
            Some((_, Kept::Kind(error))) => {
                Err(Error::new(ErrorKind::Unavailable, format!("a step kind cannot forget run {id}: {error}")))
            }
        }
    }

    /// Whether nobody needs a run that ended long ago.
    async fn is_forgotten(&self, head: &Row, status: u8) -> Result<bool, Error> {
        let parent = self.parent(head).await?.filter(|_| !planted(Bug::ChildPruned));
        let Some(Caller { run: parent, .. }) = parent else { return Ok(status != Status::Failed as u8) };
        // One that was invoked goes with the run that invoked it.
        Ok(load::one(&*self.store, Key::head(parent)).await?.is_none())
    }

    async fn parent(&self, head: &Row) -> Result<Option<Caller>, Error> {
        let Some(run) = head.key.as_head() else { return Ok(None) };
        Ok(load::head(&*self.store, run, head).await?.head.parent)
    }

    /// Deletes runs with those that they invoked, after their kinds were told. Gives those that are kept.
    async fn forget(&self, mut roots: Vec<Doomed>, pruned: &mut Pruned) -> Result<Vec<(RunId, Kept)>, Error> {
        let mut kept = Vec::new();
        while !roots.is_empty() {
            let (mut groups, mut invoked) = (Groups::default(), Vec::new());
            for doomed in &roots {
                let Some(head) = &doomed.head else { continue };
                let plan = load::head(&*self.store, doomed.run, head).await?.head.plan.0;
                let definition = load::definition(&*self.store, &self.registry, plan).await?;
                let steps = &definition.plan.workflow.steps;
                let lends = steps.iter().any(|step| step.idempotency_key.is_some());
                if lends && doomed.at >= self.before(KEY_RETENTION) && self.has_chunks(doomed.run).await? {
                    kept.push((doomed.run, Kept::Key)); // the output of one of its keys may be read for as long
                    continue;
                }
                if steps.iter().any(|step| matches!(step.body, Body::Invoke { .. })) {
                    invoked.extend(self.invoked(doomed.run).await?);
                }
                groups.add(definition, doomed.run);
            }
            let patience = Period(self.retention.runs.0.saturating_mul(PATIENCE));
            for (definition, runs) in groups.into_iter() {
                if let Err(error) = self.kinds.forget(&definition, &runs).await {
                    let young = roots.iter().filter(|doomed| doomed.at >= self.before(patience));
                    let young = young.map(|doomed| doomed.run).filter(|run| runs.contains(run));
                    kept.extend(young.map(|run| (run, Kept::Kind(error.clone()))));
                }
            }
            roots.retain(|doomed| !kept.iter().any(|(run, _)| *run == doomed.run));
            self.delete_runs(&roots).await?;
            pruned.runs += roots.len() as u64;
            roots = self.orphans(invoked).await?;
        }
        Ok(kept)
    }

    /// Of these runs those that have ended and whose caller is gone.
    async fn orphans(&self, runs: Vec<RunId>) -> Result<Vec<Doomed>, Error> {
        let mut orphans = Vec::new();
        for run in runs {
            let Some(head) = load::one(&*self.store, Key::head(run)).await? else { continue };
            let state = load::head(&*self.store, run, &head).await?.head;
            let Some(Caller { run: parent, .. }) = state.parent else { continue };
            if let Some(at) = state.ended.filter(|_| state.status != Status::Open)
                && load::one(&*self.store, Key::head(parent)).await?.is_none()
            {
                let ended = Key::ended(run.workflow, state.status as u8, at, run);
                orphans.push(Doomed { run, ended, at, head: Some(head), version: None });
            }
        }
        Ok(orphans)
    }

    async fn has_chunks(&self, run: RunId) -> Result<bool, Error> {
        Ok(!self.store.scan(Key::chunks_of(run), false, 1).await?.is_empty())
    }

    /// The runs that a run invoked, as far as its journal says.
    async fn invoked(&self, run: RunId) -> Result<Vec<RunId>, Error> {
        let (records, ..) = load::journal(&*self.store, run, 0).await?;
        let invoked = records.into_iter().filter_map(|record| match record.fact {
            Fact::Invoked { run, detached: false, .. } => Some(run),
            _ => None,
        });
        Ok(invoked.collect())
    }

    /// The head goes first and the row of the end last, so that whatever is left in between is found.
    async fn delete_runs(&self, doomed: &[Doomed]) -> Result<(), Error> {
        let mut keys = Vec::new();
        let guard = |doomed: &Doomed| {
            let fence = Fence { version: doomed.version?, epoch: 0 };
            Some(Guard::Run { run: doomed.run, fence })
        };
        let guards = doomed.iter().filter_map(guard).collect();
        for Doomed { run, ended, head, .. } in doomed {
            keys.push(Key::head(*run));
            if let Some(position) = head.as_ref().map(rows::split_head).transpose()?.map(|head| head.position) {
                keys.push(Key::queue(Ready::woken(*run), position, *run));
            }
            for range in [Key::frames_of(*run), Key::journal_of(*run), Key::chunks_of(*run)] {
                keys.extend(self.keys(range).await?);
            }
            keys.push(Key::cancel(*run));
            keys.push(ended.clone());
        }
        self.delete_guarded(keys, guards).await
    }

    async fn keys(&self, range: Range<Key>) -> Result<Vec<Key>, Error> {
        Ok(load::scan(&*self.store, range).await?.into_iter().map(|row| row.key).collect())
    }

    async fn delete(&self, keys: Vec<Key>) -> Result<(), Error> {
        self.delete_guarded(keys, Vec::new()).await
    }

    /// The guards are for the first of the commits: from then on there is nobody who could go on.
    async fn delete_guarded(&self, keys: Vec<Key>, mut guards: Vec<Guard>) -> Result<(), Error> {
        for keys in keys.chunks(ROWS) {
            let writes = keys.iter().cloned().map(Write::Delete).collect();
            self.store.commit(Commit { guards: std::mem::take(&mut guards), writes, ..Commit::default() }).await?;
        }
        Ok(())
    }

    // ── events ──────────────────────────────────────────────────────────

    /// One page of events; and where the next one begins.
    async fn events(
        &self,
        from: Position,
        Needs { floors, gathered }: &mut Needs,
        pruned: &mut Pruned,
    ) -> Result<Option<Position>, Error> {
        let range = Key::event(from, 0)..Key::all(Table::Event).end;
        let rows = self.store.scan(range, false, PAGE).await?;
        let cutoff = self.before(self.retention.events);
        let page = events(&rows)?;
        let mut next = page.last().filter(|_| rows.len() == PAGE).map(|(last, _)| Position(last.0 + 1));
        let mut keys = Vec::new();
        for (position, value) in page {
            let event = EventRow::read(&Key::event(position, 0), &value)?;
            if event.received >= cutoff {
                next = None;
                break;
            }
            // Read before heads and floors are: what is gathered may start its run meanwhile.
            let gathered = match gathered {
                Some(gathered) => *gathered,
                None => *gathered.insert(first_gathered(&*self.store).await?),
            };
            if gathered.is_some_and(|first| first <= position) {
                continue;
            }
            if !self.store.scan(Key::heads_of(event.id), false, 1).await?.is_empty() || self.is_told(&event).await? {
                continue;
            }
            let inbox = self.registry.inbox_keys(&event.name, &event.data);
            if !inbox.is_empty() {
                if floors.is_none() {
                    *floors = Some(Floors::read(&*self.store, &self.registry).await?);
                }
                let is_needed =
                    floors.as_ref().is_some_and(|floors| inbox.iter().any(|key| floors.may_need(*key, position)));
                if is_needed && !planted(Bug::EventPruned) {
                    continue;
                }
            }
            pruned.events += 1;
            keys.extend((0..).take(value.len() / CHUNK_BYTES + 1).map(|n| Key::event(position, n)));
            keys.extend(inbox.into_iter().map(|key| Key::inbox(key, position)));
        }
        self.delete(keys).await?;
        Ok(next)
    }

    /// Whether somebody is being told of it.
    async fn is_told(&self, event: &EventRow) -> Result<bool, Error> {
        Ok(load::one(&*self.store, crate::driver::delivery_key(event.id)).await?.is_some())
    }

    // ── what is remembered ──────────────────────────────────────────────

    /// Deletes the buckets of a table that nobody looks into any more.
    /// What limits count and what is over. Starts look at the same rows: each is judged where they are.
    async fn limits(&self) -> Result<u64, Error> {
        let now = self.now;
        let mut gone = 0;
        let mut range = Key::all(Table::Limit);
        loop {
            let page = self.store.scan(range.clone(), false, ROWS).await?;
            let over: Vec<Key> =
                page.iter().filter(|row| limits::is_over(row, now)).map(|row| row.key.clone()).collect();
            if !over.is_empty() {
                let rule = move |rows: &Rows| {
                    let over = rows.values().flatten().filter(|row| limits::is_over(row, now));
                    let writes: Vec<Write> = over.map(|row| Write::Delete(row.key.clone())).collect();
                    let count = writes.len().into();
                    (Commit { writes, ..Commit::default() }, count)
                };
                let (_, count) = self.store.decide(over, Box::new(rule)).await?;
                gone += count.as_u64().unwrap_or(0);
            }
            match page.last() {
                Some(last) if page.len() == ROWS => range.start = last.key.next(),
                _ => return Ok(gone),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Starts that came to nothing, as long ago as runs that are not kept any more.
    async fn dropped(&self) -> Result<u64, Error> {
        let cutoff = self.before(self.retention.runs);
        let mut gone = 0;
        let mut range = Key::all(Table::Dropped);
        loop {
            let page = self.store.scan(range.clone(), false, ROWS).await?;
            let old = page.iter().filter(|row| row.key.as_dropped().is_some_and(|(at, _)| at < cutoff));
            let old: Vec<Key> = old.map(|row| row.key.clone()).collect();
            gone += old.len() as u64;
            self.delete(old).await?;
            match page.last() {
                Some(last) if page.len() == ROWS => range.start = last.key.next(),
                _ => return Ok(gone),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn buckets(&self, table: Table, period_ms: u64) -> Result<u64, Error> {
        let period = i64::try_from(period_ms).unwrap_or(i64::MAX);
        let present = self.now.0.div_euclid(period).rem_euclid(1 << 16) as u16;
        // The clock may have been set back a little.
        let kept = [present.wrapping_sub(1), present, present.wrapping_add(1)];
        let mut gone = 0;
        let mut range = Key::all(table);
        loop {
            let page = self.store.scan(range.clone(), false, ROWS).await?;
            let mut by_bucket: BTreeMap<u16, Vec<Key>> = BTreeMap::new();
            for row in &page {
                if let Some(bucket) = row.key.bucket() {
                    by_bucket.entry(bucket).or_default().push(row.key.clone());
                }
            }
            let last = by_bucket.keys().next_back().copied();
            let old: Vec<Key> =
                by_bucket.into_iter().filter(|(bucket, _)| !kept.contains(bucket)).flat_map(|(_, keys)| keys).collect();
            gone += old.len() as u64;
            self.delete(old).await?;
            match (page.last(), last) {
                (Some(_), Some(last)) if page.len() == ROWS && kept.contains(&last) => {
                    range.start = Key::bucket_of(table, last).end;
                }
                (Some(row), _) if page.len() == ROWS => range.start = row.key.next(),
                _ => return Ok(gone),
            }
            tokio::task::yield_now().await;
        }
    }
}

/// What keeps events, read when the first old one is met.
#[derive(Default)]
struct Needs {
    floors: Option<Floors>,
    gathered: Option<Option<Position>>,
}

/// A run that goes.
struct Doomed {
    run: RunId,
    /// The row of its end.
    ended: Key,
    at: Time,
    /// None if an interrupted pass has begun with it.
    head: Option<Row>,
    /// Its version, if it might go on meanwhile.
    version: Option<u64>,
}

/// Why a run is kept.
#[derive(Debug)]
enum Kept {
    /// The output of one of its keys may still be asked for.
    Key,
    /// A step kind cannot forget it.
    Kind(StepError),
}
