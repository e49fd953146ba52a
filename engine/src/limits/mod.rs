//! Limits: what the `limits:` of a workflow say of a start. Pure rules; spec/limits.md says what they mean.

mod admit;
mod gather;
mod terms;

pub use admit::RATE_LIMIT_MAX;
pub(crate) use admit::{
    Arrival, Dropped, First, IDEMPOTENCY, IDEMPOTENT, Start, Verdict, admit, is_over, open_under, replaced_by, settle,
    unique_row,
};
pub(crate) use gather::{Flush, GATHERED, Gathering, flush, gathered_until, gathering, timer_for};
pub use gather::{GATHERED_BYTES_MAX, GATHERED_MAX};
pub use terms::{PRIORITY_MAX, Terms};
