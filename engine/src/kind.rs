//! Step kinds: the code behind the steps that have an effect.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use wf_dsl::{Kind, MessageTemplate, Time};

use crate::clock::Clock;
use crate::ids::RunId;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind of step. One instance serves all runs, many at a time.
pub trait StepKind: Send + Sync + 'static {
    /// What the language should know of this kind. Called once, when the engine is built.
    fn describe(&self) -> Kind;

    /// Makes one attempt. `args` is the step's body with every expression filled in.
    ///
    /// Dropping the future cancels the attempt. A panic is a failed attempt with the code `panic`. An error is
    /// retried if the step's policy says so; see [`StepError`].
    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>>;

    /// Forgets what it keeps elsewhere under the names of these runs, such as the rows that mark effects as done: the
    /// engine is about to forget the runs. `cx` is that of an attempt of one of the steps which is not made;
    /// `connection` is what the steps name. Called again for the same runs if the process ends.
    ///
    /// # Errors
    /// The runs are kept, and this is asked again in the next pass; not forever.
    fn forget<'a>(
        &'a self,
        cx: &'a StepContext,
        connection: Option<&'a str>,
        runs: &'a [RunId],
    ) -> BoxFuture<'a, Result<(), StepError>> {
        let _ = (cx, connection, runs);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What an attempt may know. A cheap clone.
#[derive(Clone, Debug)]
pub struct StepContext {
    /// The run.
    pub run: RunId,
    /// The workflow's name.
    pub workflow: Arc<str>,
    /// The step's id.
    pub step: Arc<str>,
    /// The automatic idempotency key: run, step, iteration and visit; the same for all attempts. Markers in databases
    /// use it.
    pub effect: String,
    /// The key to forward to a peer: the step's `idempotency_key`, otherwise `effect`.
    pub key: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The iterations and branches that the step is in, such as `items[3]`; none outside of loops and branches.
    pub iteration: Option<Arc<str>>,
    /// When the engine gives this attempt up, if ever. Kinds with limits of their own stay below it.
    pub deadline: Option<Time>,
    /// How long from now the attempt may take, if there is a limit.
    pub remaining: Option<Duration>,
    /// The time that `now()` has in this step: the same for all attempts.
    pub now: Time,
    /// The engine's clock, for what a kind must date itself, such as when a mail was accepted.
    pub clock: Arc<dyn Clock>,
    /// `returns:` of the step as JSON Schema, if declared; kinds convert their results to it where nothing is lost.
    pub returns: Option<Arc<wf_dsl::Type>>,
    /// The templates that the plan contains.
    pub templates: Arc<BTreeMap<String, MessageTemplate>>,
    /// The connections of the project by name.
    pub connections: Arc<BTreeMap<String, Connection>>,
    /// The folder for messages of connections that are not configured; none where nothing may stand in.
    pub outbox: Option<Arc<std::path::Path>>,
    /// The folder, beside the store, for the files of databases that are not configured; none where nothing may stand
    /// in.
    pub stand_ins: Option<Arc<std::path::Path>>,
    /// The project's folder, for attachments and the like.
    pub project: Option<Arc<std::path::Path>>,
}

/// A connection of `wf.yaml` with its secrets filled in.
#[derive(Clone, PartialEq)]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// `smtp`, `mail_api`, `sms`, `sqlite`, `postgres`, `mysql` or `redis`.
    pub kind: String,
    /// Its settings, as far as they are known: without configuration those that need no secret are still there.
    pub settings: BTreeMap<String, String>,
    /// Whether every secret that its settings name is set. If not, its stand-in serves.
    pub configured: bool,
    /// SQL files that fill a database's stand-in when it is created.
    pub stand_in: Vec<String>,
    /// Without configuration its steps fail with `<kind>.unavailable` instead of using a stand-in.
    pub optional: bool,
}

impl std::fmt::Debug for Connection {
    /// Leaves the settings out: they hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("configured", &self.configured)
            .finish_non_exhaustive()
    }
}

/// What a successful attempt gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The step's output.
    pub value: Json,
}

impl From<Json> for Output {
    fn from(value: Json) -> Self {
        Output { value }
    }
}

/// Why an attempt failed, and what the engine may do about it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct StepError {
    /// Dotted code that `retry` and `catch` match, such as `http.status.503`.
    pub code: String,
    /// One lower-case phrase; shown to people, never matched.
    pub message: String,
    /// `None`: as the kind declares for this code.
    pub retriable: Option<bool>,
    /// Raises the computed delay, never above the policy's `max_delay`.
    pub retry_after: Option<Duration>,
    /// More about it, for `catch`; null if there is nothing.
    pub data: Json,
}

impl StepError {
    /// An error with a code and a message.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        StepError { code: code.into(), message: message.into(), retriable: None, retry_after: None, data: Json::Null }
    }
}

/// What attempts find around them, beside their run.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The connections of the project by name.
    pub connections: Arc<BTreeMap<String, Connection>>,
    /// See [`StepContext::outbox`].
    pub outbox: Option<Arc<std::path::Path>>,
    /// See [`StepContext::stand_ins`].
    pub stand_ins: Option<Arc<std::path::Path>>,
    /// See [`StepContext::project`].
    pub project: Option<Arc<std::path::Path>>,
}
