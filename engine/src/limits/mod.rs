//! Limits: what the `limits:` of a workflow say of a start. Pure rules; spec/limits.md says what they mean.

mod admit;
mod terms;

pub use admit::RATE_LIMIT_MAX;
pub(crate) use admit::{Dropped, First, IDEMPOTENT, Start, Verdict, admit, is_over, replaced_by, settle, unique_row};
pub use terms::{PRIORITY_MAX, Terms};
