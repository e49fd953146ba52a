//! `log`: a line for people.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use wf_engine::{BoxFuture, Effect, Kind, Output, StepContext, StepError, StepKind};

use crate::body;

/// Writes to the host's log. No effect: a replay does not write the line again, and nothing depends on it.
pub(crate) struct Log;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// What to say.
    message: String,
    /// How much it matters; `info` by default.
    #[serde(default)]
    level: Option<Level>,
    /// Values to go with it.
    #[serde(default)]
    fields: Option<BTreeMap<String, Json>>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

impl StepKind for Log {
    fn describe(&self) -> Kind {
        Kind {
            name: "log".to_owned(),
            description: "Writes a line into the log and the timeline.".to_owned(),
            body: body::schema::<Body>(),
            output: json!({"type": "null"}),
            errors: body::errors(&[]),
            effect: Effect::Pure,
            repeats: BTreeMap::new(),
            literal_fields: vec!["level".to_owned()],
            secret_fields: Vec::new(),
            connections: Vec::new(),
            open_output: false,
            returns_at: String::new(),
            examples: vec![
                json!({"message": "order 7 is paid"}),
                json!({"message": "no address", "level": "warn", "fields": {"contact": "ada"}}),
            ],
        }
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let Body { message, level, fields } = body::read(args)?;
            let fields = fields.map(|fields| json!(fields)).unwrap_or_default();
            let (run, workflow, step, at) = (cx.run, &*cx.workflow, &*cx.step, cx.now);
            match level.unwrap_or_default() {
                Level::Debug => tracing::debug!(target: "wf::log", %at, %run, workflow, step, %fields, "{message}"),
                Level::Info => tracing::info!(target: "wf::log", %at, %run, workflow, step, %fields, "{message}"),
                Level::Warn => tracing::warn!(target: "wf::log", %at, %run, workflow, step, %fields, "{message}"),
                Level::Error => tracing::error!(target: "wf::log", %at, %run, workflow, step, %fields, "{message}"),
            }
            Ok(Json::Null.into())
        })
    }
}
