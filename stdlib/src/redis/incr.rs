//! `redis.incr`: counts.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use wf_engine::{BoxFuture, Effect, Kind, Output, StepContext, StepError, StepKind};

use super::{FAMILY, Stores};
use crate::body;

/// Adds to a counter, once.
pub(crate) struct Incr(pub(crate) Stores);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The key.
    key: String,
    /// How much is added; 1 by default.
    #[serde(default)]
    by: Option<i64>,
    /// The connection, if there are several to Redis.
    #[serde(default)]
    connection: Option<String>,
}

impl StepKind for Incr {
    fn describe(&self) -> Kind {
        Kind {
            name: "redis.incr".to_owned(),
            description: "Adds to a counter, once.".to_owned(),
            body: body::schema::<Body>(),
            output: json!({
                "type": "object",
                "properties": {"value": {"type": "integer", "description": "The count after it."}},
                "required": ["value"]
            }),
            errors: body::errors(&[
                ("redis.unavailable", true),
                ("redis.auth", false),
                ("redis.rejected", false),
                ("redis.config", false),
            ]),
            // A marker beside the counter remembers that the step has counted.
            effect: Effect::Keyed,
            repeats: std::collections::BTreeMap::new(),
            literal_fields: vec!["connection".to_owned()],
            secret_fields: Vec::new(),
            connections: FAMILY.kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            open_output: false,
            returns_at: String::new(),
            examples: vec![json!({"key": "views:durable-yaml"}), json!({"key": "seats", "by": -2})],
        }
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let Body { key, by, connection } = body::read(args)?;
            let count = self.0.choose(cx, connection.as_deref())?.incr(cx, &key, by.unwrap_or(1)).await?;
            Ok(json!({"value": count}).into())
        })
    }
}
