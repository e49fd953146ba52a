//! Upkeep: what keeps a store small and sound while it lives for years.

mod floors;
mod forget;
mod retention;

pub(crate) use forget::Kinds;
pub use retention::{KEEP, Pruned, Retention};
pub(crate) use retention::{Pass, Stage};
