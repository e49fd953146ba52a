//! `redis.set`: gives a key a value.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use wf_engine::run::OUTPUT_BYTES_MAX;
use wf_engine::{BoxFuture, Effect, Kind, Output, Period, StepContext, StepError, StepKind, Value};

use super::{FAMILY, Stores, VALUE_BYTES_MAX, too_large};
use crate::body;

/// The longest `ttl`.
const TTL_MAX: Period = Period::hours(3650 * 24);

/// Gives a key a value.
pub(crate) struct Set(pub(crate) Stores);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The key.
    key: String,
    /// The value: text is stored as it is, everything else as JSON.
    value: Json,
    /// For how long; without it, the key stays.
    #[serde(default)]
    #[schemars(extend("format" = "duration"))]
    ttl: Option<String>,
    /// The connection, if there are several to Redis.
    #[serde(default)]
    connection: Option<String>,
}

impl StepKind for Set {
    fn describe(&self) -> Kind {
        Kind {
            name: "redis.set".to_owned(),
            description: "Gives a key a value.".to_owned(),
            body: body::schema::<Body>(),
            output: json!({
                "type": "object",
                "properties": {"value": {"description": "The value."}},
                "required": ["value"]
            }),
            errors: body::errors(&[
                ("redis.unavailable", true),
                ("redis.auth", false),
                ("redis.rejected", false),
                ("redis.limit", false),
                ("redis.config", false),
            ]),
            effect: Effect::Idempotent,
            repeats: std::collections::BTreeMap::new(),
            literal_fields: vec!["connection".to_owned()],
            secret_fields: Vec::new(),
            connections: FAMILY.kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            open_output: false,
            returns_at: String::new(),
            examples: vec![
                json!({"key": "greeting", "value": "hello"}),
                json!({"key": "trending", "value": [{"slug": "durable-yaml", "views": 7}], "ttl": "2h"}),
            ],
        }
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let Body { key, value, ttl, connection } = body::read(args)?;
            let ttl = ttl.as_deref().map(time_to_live).transpose()?;
            let text = match &value {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            // Said before anything is changed: the engine would refuse such an output afterwards.
            let output = json!({"value": value});
            if text.len() > VALUE_BYTES_MAX || Value::from_json(&output).size_within(OUTPUT_BYTES_MAX).is_none() {
                return Err(too_large());
            }
            self.0.choose(cx, connection.as_deref())?.set(cx, &key, &text, ttl).await?;
            Ok(output.into())
        })
    }
}

fn time_to_live(text: &str) -> Result<Duration, StepError> {
    let wrong = |why: &str| StepError::new(body::INVALID_INPUT, format!("`ttl` {why}"));
    let Period(ms) = text.parse().map_err(|_| wrong("is not a duration such as `2h`"))?;
    if !(1..=TTL_MAX.0).contains(&ms) {
        return Err(wrong("is not between 1ms and 3650d"));
    }
    Ok(Duration::from_millis(ms.unsigned_abs()))
}
