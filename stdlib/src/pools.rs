//! What stays open between steps, one for each connection.

use std::sync::{Arc, Mutex, PoisonError};

/// One `T` for each key, made when it is first needed.
///
/// The key holds all settings: two connections of one name, of two projects in one process, have each their own.
pub(crate) struct Pools<K, T> {
    open: Mutex<Vec<(K, Arc<T>)>>,
}

impl<K: Clone + PartialEq, T> Pools<K, T> {
    /// The `T` of a key; `open` makes it.
    pub(crate) fn get<E>(&self, key: &K, open: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = all.iter().find(|(known, _)| known == key) {
            return Ok(found.clone());
        }
        let opened = Arc::new(open()?);
        all.push((key.clone(), opened.clone()));
        Ok(opened)
    }
}

impl<K, T> Default for Pools<K, T> {
    fn default() -> Self {
        Pools { open: Mutex::default() }
    }
}
