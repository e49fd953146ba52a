//! Limits: what the `limits:` of a workflow say of a start. Pure rules; spec/limits.md says what they mean.

mod terms;

pub use terms::{PRIORITY_MAX, Terms};
