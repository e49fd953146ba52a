//! A step's body: from JSON to the kind's own struct, and the struct's JSON Schema for the catalog.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use wf_engine::{ErrorCode, StepError};

use crate::quote::quotable;

/// The code of a body that does not have the shape that its kind needs.
pub(crate) const INVALID_INPUT: &str = "validation.input";

/// The body as the kind's struct.
pub(crate) fn read<T: DeserializeOwned>(args: Json) -> Result<T, StepError> {
    let invalid = |error: serde_json::Error| quotable(&without_values(&error.to_string()), &[]);
    serde_json::from_value(args).map_err(|error| StepError::new(INVALID_INPUT, invalid(error)))
}

/// The JSON Schema of a struct, without references and without a title. Its doc comments are the descriptions.
pub(crate) fn schema<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.to_value()
}

/// The error codes of a kind, each with whether it is retried by default; a wrong body is always one of them.
pub(crate) fn errors(codes: &[(&str, bool)]) -> Vec<ErrorCode> {
    let invalid = (INVALID_INPUT, false);
    let code = |&(code, retriable): &(&str, bool)| ErrorCode { code: code.to_owned(), retriable };
    codes.iter().chain([&invalid]).map(code).collect()
}

/// One text or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    pub(crate) fn as_slice(&self) -> &[String] {
        match self {
            OneOrMany::One(text) => std::slice::from_ref(text),
            OneOrMany::Many(texts) => texts,
        }
    }
}

/// serde quotes the value that it did not expect; a body may hold a secret, so quoted text is cut out.
fn without_values(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    let mut quoted = false;
    let mut chars = message.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                text.push_str(if quoted { "`…`" } else { "" });
            }
            '\\' if quoted => drop(chars.next()),
            _ if quoted => {}
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        /// How many.
        #[allow(dead_code, reason = "read through Debug only")]
        count: u32,
    }

    #[test]
    fn an_error_does_not_repeat_the_value() {
        for wrong in [json!({"count": "sec\"ret"}), json!({"count": "sec\\\"ret"}), json!({"count": "sec\nret"})] {
            let error = read::<Sample>(wrong).unwrap_err();
            assert_eq!(error.code, INVALID_INPUT);
            assert!(!error.message.contains("sec") && !error.message.contains("ret"), "{}", error.message);
        }
        assert!(read::<Sample>(json!({"count": 1, "more": 2})).unwrap_err().message.contains("more"));
    }

    #[test]
    fn a_schema_stands_alone_and_describes_its_fields() {
        let expected = json!({
            "type": "object",
            "properties": {"count": {"description": "How many.", "type": "integer", "format": "uint32", "minimum": 0}},
            "additionalProperties": false,
            "required": ["count"]
        });
        assert_eq!(schema::<Sample>(), expected);
    }
}
