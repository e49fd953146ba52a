//! What message providers with an HTTP API have in common.

use std::sync::OnceLock;

use reqwest::{Client, RequestBuilder, Url};
use serde_json::{Value as Json, json};
use wf_engine::{Connection, StepContext, StepError};

use crate::connection::Family;
use crate::peer::{self, Answer};
use crate::quote::{holds_any, quotable};

/// A client for one family of providers. It may go wherever the connection's URL says: that is the host's decision.
pub(crate) struct Provider {
    family: &'static Family,
    client: OnceLock<Result<Client, String>>,
}

impl Provider {
    pub(crate) const fn new(family: &'static Family) -> Self {
        Provider { family, client: OnceLock::new() }
    }

    /// A POST to a path below the connection's `url`.
    pub(crate) fn post(&self, connection: &Connection, path: &[&str]) -> Result<RequestBuilder, StepError> {
        let wrong = || self.family.error("config", format!("the `url` of connection `{}` is no URL", connection.name));
        let mut url = Url::parse(self.family.setting(connection, "url")?).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(path);
        let client = self.client.get_or_init(|| peer::client().build().map_err(|error| error.to_string()));
        match client {
            Ok(client) => Ok(client.post(url)),
            Err(error) => Err(self.family.error("unavailable", format!("no HTTP client: {error}"))),
        }
    }

    /// The answer, if it is a success: one whose body cannot be read is, since a second attempt would send a second
    /// message.
    ///
    /// # Errors
    /// `.unavailable` if a later attempt may succeed, otherwise `.auth` or `.rejected`.
    pub(crate) async fn send(
        &self,
        cx: &StepContext,
        connection: &Connection,
        request: RequestBuilder,
        secrets: &[String],
    ) -> Result<Answer, StepError> {
        let name = &connection.name;
        match peer::exchange(cx, request).await {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(answer),
            Ok(answer) => Err(self.refusal(cx, name, &answer, secrets)),
            Err(failure) => Err(self.family.error("unavailable", failure.describe(name))),
        }
    }

    fn refusal(&self, cx: &StepContext, name: &str, answer: &Answer, secrets: &[String]) -> StepError {
        let reply = answer.json();
        let error_code = |key: &str| reply.get(key).filter(|code| code.is_string() || code.is_number()).cloned();
        let error_code = error_code("name").or_else(|| error_code("code")).unwrap_or_default();
        let status = answer.status;
        let code = match error_code.as_str().unwrap_or_default() {
            _ if answer.is_temporary() => "unavailable",
            "concurrent_idempotent_requests" => "unavailable",
            "invalid_api_key" | "missing_api_key" | "restricted_api_key" => "auth",
            _ if status == 401 => "auth",
            _ => "rejected",
        };
        let words = reply.get("message").and_then(Json::as_str).map(|words| quotable(words, secrets));
        let words = words.filter(|words| !words.is_empty()).map(|words| format!(": {words}")).unwrap_or_default();
        let error_code = if holds_any(&error_code.to_string(), secrets) { Json::Null } else { error_code };
        StepError {
            retry_after: answer.retry_after(cx.clock.now()),
            data: json!({"status": status, "code": error_code}),
            ..self.family.error(code, format!("connection `{name}` answered with {status}{words}"))
        }
    }
}
