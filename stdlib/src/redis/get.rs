//! `redis.get`: reads the value of a key.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use wf_engine::{BoxFuture, Effect, Kind, Output, StepContext, StepError, StepKind};

use super::{FAMILY, Stores};
use crate::body;

/// Reads the value of a key.
pub(crate) struct Get(pub(crate) Stores);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The key.
    key: String,
    /// The connection, if there are several to Redis.
    #[serde(default)]
    connection: Option<String>,
}

impl StepKind for Get {
    fn describe(&self) -> Kind {
        Kind {
            name: "redis.get".to_owned(),
            description: "Reads the value of a key.".to_owned(),
            body: body::schema::<Body>(),
            output: json!({
                "type": "object",
                "properties": {"value": {
                    "type": ["string", "null"],
                    "description": "The value as text, base64 if it is not UTF-8; null if the key is not there."
                }},
                "required": ["value"]
            }),
            errors: body::errors(&[
                ("redis.unavailable", true),
                ("redis.auth", false),
                ("redis.rejected", false),
                ("redis.limit", false),
                ("validation.output", false),
                ("redis.config", false),
            ]),
            effect: Effect::Idempotent,
            repeats: std::collections::BTreeMap::new(),
            literal_fields: vec!["connection".to_owned()],
            secret_fields: Vec::new(),
            connections: FAMILY.kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            open_output: true,
            returns_at: "/value".to_owned(),
            examples: vec![json!({"key": "trending"})],
        }
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let Body { key, connection } = body::read(args)?;
            let value = self.0.choose(cx, connection.as_deref())?.get(cx, &key).await?;
            let value = value.map(text).map(|text| converted(cx, text)).transpose()?;
            Ok(json!({"value": value}).into())
        })
    }
}

fn text(value: Vec<u8>) -> String {
    String::from_utf8(value).unwrap_or_else(|error| BASE64_STANDARD.encode(error.as_bytes()))
}

/// The text as the type that `returns` declares: as a column of a database would be read, or as JSON.
fn converted(cx: &StepContext, text: String) -> Result<Json, StepError> {
    let json: Option<Json> = serde_json::from_str(&text).ok();
    let text = Json::String(text);
    let Some(returns) = &cx.returns else { return Ok(text) };
    let from_json = |mismatches| json.and_then(|json| returns.accept(&json).ok()).ok_or(mismatches);
    let accepted = returns.accept_database(&text).or_else(from_json);
    accepted.map(|value| value.to_json()).map_err(|mismatches| {
        let why = mismatches.first().map_or_else(String::new, ToString::to_string);
        StepError::new("validation.output", format!("the value does not fit `returns`: {why}"))
    })
}
