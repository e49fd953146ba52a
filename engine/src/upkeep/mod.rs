//! Upkeep: what keeps a store small and sound while it lives for years.

mod check;
mod floors;
mod forget;
mod plans;
mod retention;

pub use check::{Checked, Difference, Fault, check};
pub(crate) use forget::Kinds;
pub use retention::{KEEP, Pruned, Retention};
pub(crate) use retention::{Part, Pass, Stage};
