//! Limits: what the `limits:` of a workflow say of a start. Pure rules; spec/limits.md says what they mean.

mod admit;
mod terms;

pub(crate) use admit::{Dropped, First, IDEMPOTENT, Start, Verdict, admit, replaced_by, settle, unique_row};
pub use terms::{PRIORITY_MAX, Terms};
