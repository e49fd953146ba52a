//! The background pass of retention: it has its turn now and then, and never for long.

use std::collections::BTreeSet;

use wf_dsl::{PlanHash, Time};

use super::{Done, Driver};
use crate::error::Error;
use crate::ids::EventId;
use crate::store::{Copied, CopyTo, Health, Key, Store, StoreError};
use crate::upkeep::{Kinds, Part, Pass, Pruned, Stage};

/// How long after the start the first pass begins, so that it does not delay what waits.
const FIRST_MS: i64 = 60_000;
/// From the end of a pass to the next one.
const PAUSE_MS: i64 = 3_600_000;
/// From one part of a long pass to the next one.
const BREATH_MS: i64 = 1_000;

/// A store that takes no more on the disk is left alone.
const COMPACT_DISK_BYTES: u64 = 256 << 20;
/// It is compacted if less than one in so many parts of that is live.
const COMPACT_PARTS: u64 = 4;

/// How many bytes all rows have together.
async fn live_bytes(store: &dyn Store) -> Result<u64, StoreError> {
    const PAGE: usize = 1_000;
    let (mut from, mut bytes) = (Key::from_bytes([0]), 0);
    loop {
        let page = store.scan(from..Key::from_bytes([u8::MAX]), false, PAGE).await?;
        bytes += page.iter().map(|row| (row.key.as_bytes().len() + row.value.len()) as u64).sum::<u64>();
        match page.last() {
            Some(last) if page.len() == PAGE => from = last.key.next(),
            _ => return Ok(bytes),
        }
        tokio::task::yield_now().await;
    }
}

/// Where the passes stand.
pub(super) struct Upkeep {
    /// When the next part is due.
    due: Time,
    /// Where it begins.
    stage: Stage,
    busy: bool,
    /// What this pass has taken so far.
    pruned: Pruned,
    /// The plans that nothing needed at the end of the last one.
    unneeded: BTreeSet<PlanHash>,
    /// What the store took on the disk when it had been compacted.
    compacted: u64,
}

impl Upkeep {
    pub(super) fn after(start: Time) -> Self {
        let due = Time(start.0.saturating_add(FIRST_MS));
        Upkeep {
            due,
            stage: Stage::first(),
            busy: false,
            pruned: Pruned::default(),
            unneeded: BTreeSet::new(),
            compacted: 0,
        }
    }
}

/// The key of the row that says that waits are being told of an event.
pub(crate) fn delivery_key(event: EventId) -> Key {
    super::inbox::Delivery::key_of(event)
}

impl Driver {
    /// When upkeep wants to be woken. Simulated time does not move for its sake.
    pub(super) fn upkeep_due(&self) -> Option<Time> {
        let wanted = self.parts.retention.is_some() && !self.upkeep.busy && !self.parts.clock.is_simulated();
        wanted.then_some(self.upkeep.due)
    }

    /// Begins the next part of a pass, if it is time.
    pub(super) fn keep_up(&mut self) {
        let Some(retention) = self.parts.retention else { return };
        if self.upkeep.busy || self.now < self.upkeep.due || self.stopping.is_some() {
            return;
        }
        self.upkeep.busy = true;
        let kinds = Kinds {
            kinds: self.parts.kinds.clone(),
            environment: self.parts.environment.clone(),
            clock: self.parts.clock.clone(),
        };
        let (store, registry) = (self.parts.store.clone(), self.parts.registry.clone());
        let doubted = Some(self.upkeep.unneeded.clone());
        let pass = Pass { store, registry, kinds, retention, now: self.now, doubted };
        let stage = self.upkeep.stage.clone();
        self.spawn(async move { Done::KeptUp(pass.go_on(stage).await) });
    }

    /// Compacts the store if little of what it takes on the disk is live.
    fn compact(&mut self) {
        let store = self.parts.store.clone();
        // Small rows take several times their bytes in a fresh copy, too: another one would change nothing.
        let enough = COMPACT_DISK_BYTES.max(self.upkeep.compacted.saturating_mul(2));
        let Some(disk) = store.disk_bytes().filter(|disk| *disk > enough) else { return };
        self.spawn(async move {
            let compacted = match live_bytes(&*store).await {
                Ok(live) if live.saturating_mul(COMPACT_PARTS) < disk => store.copy(CopyTo::Place).await.map(Some),
                Ok(_) => Ok(None),
                Err(error) => Err(error),
            };
            Done::Compacted(compacted)
        });
    }

    pub(super) fn compacted(&mut self, compacted: Result<Option<Copied>, StoreError>) {
        match compacted {
            Ok(Some(Copied { rows, bytes, disk_bytes })) => {
                self.upkeep.compacted = disk_bytes;
                tracing::info!(rows, bytes, disk_bytes, "the store was compacted");
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the store could not be compacted"),
        }
    }

    pub(super) fn kept_up(&mut self, done: Result<Part, Error>) {
        self.upkeep.busy = false;
        let next = match done {
            Ok(Part { pruned, next, unneeded }) => {
                self.upkeep.pruned.add(pruned);
                if next.is_none() {
                    self.upkeep.unneeded = unneeded;
                }
                next
            }
            Err(error) => {
                if self.parts.store.health() == Health::Ready {
                    tracing::warn!(%error, "upkeep of the store was given up for now");
                }
                None
            }
        };
        if next.is_none() && self.upkeep.pruned != Pruned::default() {
            self.compact();
        }
        let pause = if next.is_some() { BREATH_MS } else { PAUSE_MS };
        self.upkeep.due = Time(self.now.0.saturating_add(pause));
        if next.is_none() {
            let Pruned { runs, events, keys, plans } = std::mem::take(&mut self.upkeep.pruned);
            if runs + events + keys + plans > 0 {
                tracing::info!(runs, events, keys, plans, "what nobody needs any more is gone");
            }
        }
        self.upkeep.stage = next.unwrap_or_else(Stage::first);
    }
}
