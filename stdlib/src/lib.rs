//! The step kinds that come with wf: `email`, `sms`, `http`, `db.query`, `db.exec`, `redis.*` and `log`.
//!
//! They use nothing that a host's own kinds could not use: the trait
//! [`StepKind`](wf_engine::StepKind) and what its context holds.

mod registry;

mod db;
mod email;
mod http;
mod log;
mod redis;
mod sms;

mod body;
mod connection;
mod message;
mod outbox;
mod pools;
mod project_file;
mod quote;

mod address_guard;
mod peer;
mod provider;

pub use address_guard::{Allow, ParseAllowError};
pub use http::HttpOptions;
pub use registry::{Options, all, all_with, catalog};
