//! From trees to what they mean: workflows, event types, settings.
//!
//! The shape of a file has been checked when it comes here. What does not have its shape is left out without a word,
//! because the schema's findings have said so.

mod body;
mod control;
mod events;
mod file;
mod jump;
mod limits;
mod literal;
mod modifier;
mod policy;
mod settings;
mod step;
mod test;
mod workflow;

pub(crate) use events::event_types;
pub(crate) use file::{First, Sort, is_probably_ours, sort};
pub(crate) use literal::duration;
pub(crate) use modifier::is_modifier;
pub(crate) use policy::{NONE, policy, policy_names, resolve};
pub(crate) use settings::{is_catalog_path, settings};
pub(crate) use test::test;
pub use workflow::STEPS_MAX;
pub(crate) use workflow::{Context, Kinds, workflow};
