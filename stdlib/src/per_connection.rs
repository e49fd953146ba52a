//! What stays open between steps, one for each connection.

use std::sync::{Arc, Mutex, PoisonError};

use wf_engine::Connection;

/// One `T` for each connection, made when it is first needed.
///
/// Two connections of one name with different settings, of two projects in one process, have each their own.
pub(crate) struct PerConnection<T> {
    open: Mutex<Vec<(Connection, Arc<T>)>>,
}

impl<T> PerConnection<T> {
    /// The `T` of a connection; `open` makes it.
    pub(crate) fn get<E>(&self, connection: &Connection, open: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = all.iter().find(|(known, _)| known == connection) {
            return Ok(found.clone());
        }
        let opened = Arc::new(open()?);
        all.push((connection.clone(), opened.clone()));
        Ok(opened)
    }
}

impl<T> Default for PerConnection<T> {
    fn default() -> Self {
        PerConnection { open: Mutex::default() }
    }
}
