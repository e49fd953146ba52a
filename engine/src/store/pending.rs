//! Rows that are durable in the log and on their way to the tree.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::committer::locked;
use super::wal::Values;

/// How long rows wait for company at most: what is put again or deleted meanwhile never reaches the tree.
const PAUSE: Duration = Duration::from_secs(1);

/// The rows, and where their way ends: records up to which number are in the tree.
#[derive(Debug, Default)]
pub(super) struct Pending {
    state: Mutex<State>,
    /// For the mover: rows have arrived, or it is to hurry.
    arrived: Condvar,
    /// For the committer: more is in the tree.
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    layers: Layers,
    /// The number of the record that came last.
    last: u64,
    /// Records up to this number are durable in the tree.
    in_tree: u64,
    /// Records up to this number are wanted there soon.
    wanted: u64,
    /// No more will come.
    closed: bool,
    /// Nothing is moved any more.
    stopped: bool,
}

/// Rows that hide those of the tree.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// What the mover will take next.
    pub(super) newer: Values,
    /// What the mover is putting into the tree.
    pub(super) older: Arc<Values>,
}

/// What the mover takes.
pub(super) struct Load {
    pub(super) values: Arc<Values>,
    /// The number of the last record in it.
    pub(super) last: u64,
}

impl Pending {
    /// What a process that was killed has left in the log, whose last record has this number, is on its way; if there is
    /// nothing, all records are in the tree.
    pub(super) fn after(last: u64, missing: Values) -> Self {
        let in_tree = if missing.is_empty() { last } else { 0 };
        let layers = Layers { newer: missing, ..Layers::default() };
        let state = State { layers, last, in_tree, ..State::default() };
        Pending { state: Mutex::new(state), ..Pending::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Lets somebody read the rows. Nothing moves meanwhile.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Layers) -> T) -> T {
        read(&self.state().layers)
    }

    /// Takes the rows of a record in.
    pub(super) fn add(&self, number: u64, values: Values) {
        let mut state = self.state();
        state.layers.newer.extend(values);
        state.last = number;
        drop(state);
        self.arrived.notify_one();
    }

    /// Waits until records up to this number are durable in the tree; false if that will never be.
    pub(super) fn wait_for(&self, number: u64) -> bool {
        self.hurry(number);
        let state = self.state();
        let waits = |state: &mut State| state.in_tree < number && !state.stopped;
        let state = self.moved.wait_while(state, waits);
        state.unwrap_or_else(PoisonError::into_inner).in_tree >= number
    }

    /// Lets records up to this number be moved without a pause.
    pub(super) fn hurry(&self, number: u64) {
        let mut state = self.state();
        state.wanted = state.wanted.max(number);
        drop(state);
        self.arrived.notify_one();
    }

    /// Nothing comes any more: the mover ends when everything is in the tree.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
    }

    /// For the mover: waits for rows and gives them; none at the end.
    pub(super) fn take(&self) -> Option<Load> {
        let urgent = |state: &State| state.closed || state.wanted > state.in_tree;
        let idle = |state: &mut State| state.layers.newer.is_empty() && !urgent(state);
        let state = self.arrived.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        let waited = self.arrived.wait_timeout_while(state, PAUSE, |state| !urgent(state));
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.layers.newer.is_empty() {
            return None; // it was closed, or there would be rows
        }
        state.layers.older = Arc::new(std::mem::take(&mut state.layers.newer));
        let values = state.layers.older.clone();
        Some(Load { values, last: state.last })
    }

    /// For the mover: what it took is in the tree, and durable there.
    pub(super) fn moved(&self, load: &Load) {
        let mut state = self.state();
        state.layers.older = Arc::default();
        state.in_tree = load.last;
        drop(state);
        self.moved.notify_all();
    }

    /// For the mover: it gives up.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.moved.notify_all();
    }
}
