//! The wf language: text in, [`Plan`]s and [`Diagnostic`]s out.
//!
//! This crate reads no files, no clock and no network. It learns step kinds as data (a
//! [`Catalog`]) and hands what it understood to the engine as a [`Plan`].

mod codes;
mod diagnostic;
mod node;
mod source;
mod suggest;
mod yaml;

mod time;
mod types;
mod value;

pub mod expr;
mod form;

mod catalog;
mod plan;
mod project;

mod read;
mod report;
mod schema;

mod check;
mod fit;
mod graph;
mod schedule;
pub mod sql;
pub mod template;

pub use catalog::{Catalog, Effect, ErrorCode, Kind};
pub use codes::{Code, CodeInfo};
pub use diagnostic::{Diagnostic, Findings, Label, Missed, Severity};
pub use expr::{EvalError, Expr, Reference, ReferenceKind, Scope};
pub use fit::{Misfit, Standpoint, misfits};
pub use form::{Form, Part};
pub use graph::{Graph, Point, Way};
pub use node::{Entry, Node, Tree};
pub use plan::*;
pub use project::{
    ConfigValue, Connection, Counts, Defaults, Expect, ExpectedCall, ExpectedEvent, Happening, Happens, InputCatalog,
    InputFile, InputTemplate, Medium, Mock, MockFailure, MockOutcome, Outline, Policy, Project, ProjectInput, Settings,
    TEST_START, TestCase, TestFile, TestTrigger, Webhook,
};
pub use read::STEPS_MAX;
pub use report::{Place, Report, github_annotations, json_report};
pub use schedule::{Schedule, ScheduleError, ScheduleText};
pub use schema::FILE_SCHEMAS;
pub use source::{FileId, Source, Sources, Span, Spanned};
pub use suggest::{did_you_mean, suggest};
pub use time::{Date, ParseTimeError, Period, Time};
pub use types::{Field, MISMATCHES_MAX, Mismatch, Schema, SchemaError, Type};
pub use value::{Object, VALUE_DEPTH_MAX, Value};
pub use yaml::{ALIASES_MAX, FILE_BYTES_MAX, NESTING_MAX, NODES_MAX, yaml_text};
