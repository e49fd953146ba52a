//! How many records the runs have that were busy lately.

use std::collections::HashMap;

use crate::ids::RunId;

/// When the newer half has this many, the older half is forgotten.
const HALF: usize = 1 << 15;

/// A bounded map of versions, so that an append needs no read. What was not changed lately is read from the rows.
#[derive(Debug, Default)]
pub(super) struct Versions {
    newer: HashMap<RunId, u64>,
    older: HashMap<RunId, u64>,
}

impl Versions {
    /// A run's version, if it is known.
    pub(super) fn get(&self, run: RunId) -> Option<u64> {
        self.newer.get(&run).or_else(|| self.older.get(&run)).copied()
    }

    /// Takes note of what a group changed; none for runs that are gone.
    pub(super) fn note(&mut self, versions: impl IntoIterator<Item = (RunId, Option<u64>)>) {
        for (run, version) in versions {
            match version {
                Some(version) => {
                    self.newer.insert(run, version);
                }
                None => {
                    self.newer.remove(&run);
                    self.older.remove(&run);
                }
            }
            if self.newer.len() >= HALF {
                self.older = std::mem::take(&mut self.newer);
            }
        }
    }
}
