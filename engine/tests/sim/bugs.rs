//! The mistakes that this build can make.

#[cfg(feature = "planted-bugs")]
pub(crate) use wf_engine::planted::{Bug, plant, planted};

/// Whether the store is to answer before it has synced.
#[cfg(feature = "planted-bugs")]
pub(crate) fn acks_before_sync() -> bool {
    planted(Bug::AckBeforeSync)
}

/// Whether the store is to answer before it has synced: never.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn acks_before_sync() -> bool {
    false
}
