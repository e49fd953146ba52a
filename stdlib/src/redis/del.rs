//! `redis.del`: takes a key away.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use wf_engine::{BoxFuture, Effect, Kind, Output, StepContext, StepError, StepKind};

use super::{FAMILY, Stores};
use crate::body;

/// Takes a key and its value away.
pub(crate) struct Del(pub(crate) Stores);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The key.
    key: String,
    /// The connection, if there are several to Redis.
    #[serde(default)]
    connection: Option<String>,
}

impl StepKind for Del {
    fn describe(&self) -> Kind {
        Kind {
            name: "redis.del".to_owned(),
            description: "Takes a key and its value away.".to_owned(),
            body: body::schema::<Body>(),
            output: json!({
                "type": "object",
                "properties": {"value": {"type": "integer", "description": "How many keys went: 1, or 0 if the key was not there."}},
                "required": ["value"]
            }),
            errors: body::errors(&[
                ("redis.unavailable", true),
                ("redis.auth", false),
                ("redis.rejected", false),
                ("redis.config", false),
            ]),
            effect: Effect::Idempotent,
            repeats: std::collections::BTreeMap::new(),
            literal_fields: vec!["connection".to_owned()],
            secret_fields: Vec::new(),
            connections: FAMILY.kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            open_output: false,
            returns_at: String::new(),
            examples: vec![json!({"key": "trending"})],
        }
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let Body { key, connection } = body::read(args)?;
            let was_there = self.0.choose(cx, connection.as_deref())?.del(cx, &key).await?;
            Ok(json!({"value": u8::from(was_there)}).into())
        })
    }
}
