//! `http`: one request to a peer.

mod request;

use std::sync::OnceLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value as Json, json};
use wf_engine::{BoxFuture, Effect, Kind, Output, StepContext, StepError, StepKind};

use crate::address_guard::{AddressGuard, Allow};
use crate::body;
use crate::peer::{self, Answer, Failure};
use request::{Body, Prepared};

/// How much of an unexpected answer's body `error.data` shows.
const SHOWN_BYTES_MAX: usize = 16 * 1024;

/// Where `http` steps may go. By default only to public addresses.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    /// What they may reach although it is not public.
    pub allow: Vec<Allow>,
    /// Whether they may reach this machine.
    pub allow_loopback: bool,
}

/// Sends a request, and gives the answer.
pub(crate) struct Http {
    guard: AddressGuard,
    client: OnceLock<Result<Client, String>>,
}

impl Http {
    pub(crate) fn new(options: HttpOptions) -> Self {
        Http { guard: AddressGuard::new(options.allow, options.allow_loopback), client: OnceLock::new() }
    }

    fn client(&self) -> Result<&Client, StepError> {
        let build = || peer::client().dns_resolver(self.guard.clone()).build();
        let client = self.client.get_or_init(|| build().map_err(|error| error.to_string()));
        client.as_ref().map_err(|error| StepError::new("http.connect", format!("no HTTP client: {error}")))
    }
}

impl StepKind for Http {
    fn describe(&self) -> Kind {
        Kind {
            name: "http".to_owned(),
            description: "Sends an HTTP request. Redirects are not followed.".to_owned(),
            body: body::schema::<Body>(),
            output: json!({
                "type": "object",
                "properties": {
                    "status": {"type": "integer", "description": "The status code."},
                    "headers": {
                        "type": "object",
                        "additionalProperties": {"type": "string"},
                        "description": "The header fields, their names in lower case."
                    },
                    "body": {"description": "JSON if the answer says that it is, otherwise text; base64 if it is neither."}
                },
                "required": ["status", "headers", "body"]
            }),
            errors: body::errors(&[
                ("http.status.408", true),
                ("http.status.425", true),
                ("http.status.429", true),
                ("http.status.500", true),
                ("http.status.502", true),
                ("http.status.503", true),
                ("http.status.504", true),
                ("http.status.*", false),
                ("http.timeout", true),
                ("http.connect", true),
                ("http.interrupted", true),
                ("http.refused", false),
                ("http.request", false),
                ("http.too_large", false),
                ("http.body", false),
            ]),
            // The key is always sent, but few peers honour it.
            effect: Effect::Unsafe,
            repeats: [("method".to_owned(), vec![json!("post"), json!("patch")])].into(),
            literal_fields: Vec::new(),
            secret_fields: ["url", "headers", "query", "json", "form", "body"].map(String::from).to_vec(),
            connections: Vec::new(),
            open_output: true,
            returns_at: "/body".to_owned(),
            examples: vec![
                json!({"method": "get", "url": "https://api.example.org/orders", "query": {"status": "open", "page": 2}}),
                json!({
                    "method": "post",
                    "url": "https://api.example.org/orders",
                    "headers": {"authorization": "Bearer abc"},
                    "json": {"id": 7, "lines": []},
                    "expect_status": [200, 201]
                }),
                json!({"method": "put", "url": "https://api.example.org/note", "body": "text", "expect_status": "200-399"}),
                json!({"method": "post", "url": "https://api.example.org/form", "form": {"name": "Ada", "tag": ["a", "b"]}}),
            ],
        }
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let body: Body = body::read(args)?;
            let Prepared { url, method, expected, headers, payload } = body.prepare(&cx.key)?;
            if let Err(refused) = self.guard.check_literal(&url) {
                return Err(StepError::new("http.refused", refused.to_string()));
            }
            let host = url.host_str().unwrap_or_default().to_owned();
            let mut request = self.client()?.request(method.clone(), url).headers(headers);
            if let Some(payload) = payload {
                request = request.body(payload);
            }
            let answer = peer::exchange(cx, request).await.map_err(|failure| transport_error(&failure, &host))?;
            if !expected.iter().any(|range| range.contains(&answer.status)) {
                return Err(unexpected_status(cx, &answer, &format!("`{method}` to `{host}`")));
            }
            let body = answer.body.as_deref().map_err(|failure| transport_error(failure, &host))?;
            let body = content(&answer.headers, body)
                .map_err(|why| StepError::new("http.body", format!("the answer of `{host}` is not JSON: {why}")))?;
            Ok(json!({"status": answer.status, "headers": header_map(&answer.headers), "body": body}).into())
        })
    }
}

fn transport_error(failure: &Failure, host: &str) -> StepError {
    let code = match failure {
        Failure::Refused(_) => "http.refused",
        Failure::Timeout => "http.timeout",
        Failure::Connect(_) => "http.connect",
        Failure::Broken(_) => "http.interrupted",
        Failure::TooLarge => "http.too_large",
    };
    StepError::new(code, failure.describe(host))
}

fn unexpected_status(cx: &StepContext, answer: &Answer, what: &str) -> StepError {
    let status = answer.status;
    let body = answer.body.as_deref().unwrap_or_default();
    let shown = match content(&answer.headers, body) {
        Ok(content) if body.len() <= SHOWN_BYTES_MAX => content,
        _ => String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]).into_owned().into(),
    };
    StepError {
        retry_after: answer.retry_after(cx.clock.now()),
        data: json!({"status": status, "body": shown}),
        ..StepError::new(format!("http.status.{status}"), format!("{what} was answered with {status}"))
    }
}

/// The body as a value: null if empty, JSON if the answer says so, text if it is UTF-8, otherwise base64.
fn content(headers: &HeaderMap, body: &[u8]) -> Result<Json, serde_json::Error> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if body.is_empty() {
        Ok(Json::Null)
    } else if media_type == "application/json" || media_type.ends_with("+json") {
        serde_json::from_slice(body)
    } else {
        Ok(match std::str::from_utf8(body) {
            Ok(text) => text.into(),
            Err(_) => BASE64_STANDARD.encode(body).into(),
        })
    }
}

/// Names in lower case; several fields of one name are joined by a comma.
fn header_map(headers: &HeaderMap) -> Map<String, Json> {
    let joined = |name: &reqwest::header::HeaderName| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(", ")
    };
    headers.keys().map(|name| (name.as_str().to_owned(), joined(name).into())).collect()
}
