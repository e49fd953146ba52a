//! The body of an `http` step, and the request that it describes.

use std::ops::RangeInclusive;

use indexmap::IndexMap;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use wf_engine::StepError;

use crate::peer::key_header;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The methods: those that send a request to a resource and nothing else.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Header fields of one request.
const HEADERS_MAX: usize = 100;
/// Fields that the connection itself needs.
const RESERVED_HEADERS: [&str; 6] = ["connection", "content-length", "host", "te", "transfer-encoding", "upgrade"];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    /// The method; `get` by default.
    #[serde(default)]
    #[schemars(extend("enum" = [
        "get", "head", "post", "put", "patch", "delete", "options",
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", null
    ]))]
    method: Option<String>,
    /// Where to: `https://…` or `http://…`.
    url: String,
    /// Header fields. `Idempotency-Key` is always sent.
    #[serde(default)]
    headers: Option<IndexMap<String, Texts>>,
    /// Added to the URL; a list repeats its name, null is left out.
    #[serde(default)]
    query: Option<IndexMap<String, Texts>>,
    /// A JSON body.
    #[serde(default)]
    json: Option<Json>,
    /// A form body; a list repeats its name, null is left out.
    #[serde(default)]
    form: Option<IndexMap<String, Texts>>,
    /// A text body, sent as it stands.
    #[serde(default)]
    body: Option<String>,
    /// Status codes that count as success, as numbers or ranges; `200-299` by default.
    #[serde(default)]
    expect_status: Option<Expected>,
}

/// A value that is written as text, or several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Texts {
    One(Scalar),
    Many(Vec<Scalar>),
}

/// A value that is written as text; null is left out.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Scalar {
    Null(()),
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
}

/// Status codes that are expected.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Expected {
    One(Status),
    Many(Vec<Status>),
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Status {
    Code(#[schemars(range(min = 100, max = 599))] u16),
    Range(#[schemars(regex(pattern = r"^[1-5][0-9]{2}-[1-5][0-9]{2}$"))] String),
}

/// A request that can be sent.
pub(super) struct Prepared {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) payload: Option<Vec<u8>>,
    /// The status codes that count as success.
    pub(super) expected: Vec<RangeInclusive<u16>>,
}

impl Body {
    /// The request, with `key` as its idempotency key unless the step's own headers have one.
    ///
    /// # Errors
    /// `http.request`; the message repeats no value, since any may be secret.
    pub(super) fn prepare(self, key: &str) -> Result<Prepared, StepError> {
        if [self.json.is_some(), self.form.is_some(), self.body.is_some()].iter().filter(|given| **given).count() > 1 {
            return Err(wrong("`json`, `form` and `body` exclude each other"));
        }
        let url = url(&self.url, self.query)?;
        let mut headers = headers(self.headers)?;
        headers.entry(IDEMPOTENCY_KEY).or_insert_with(|| key_header(key));
        let (payload, media_type) = if let Some(json) = self.json {
            (Some(json.to_string().into_bytes()), "application/json")
        } else if let Some(form) = self.form {
            let mut fields = Url::parse("form:").expect("a constant URL");
            fields.query_pairs_mut().extend_pairs(pairs(form));
            (Some(fields.query().unwrap_or_default().into()), "application/x-www-form-urlencoded")
        } else {
            (self.body.map(String::into_bytes), "text/plain; charset=utf-8")
        };
        if payload.is_some() {
            headers.entry(CONTENT_TYPE).or_insert_with(|| HeaderValue::from_static(media_type));
        }
        let method = self.method.as_deref().unwrap_or("get").to_ascii_uppercase();
        let method = METHODS.contains(&method.as_str()).then(|| method.parse().ok()).flatten();
        let method = method.ok_or_else(|| wrong(format!("`method` is one of {}", METHODS.join(", "))))?;
        Ok(Prepared { method, url, headers, payload, expected: expected(self.expect_status)? })
    }
}

fn url(text: &str, query: Option<IndexMap<String, Texts>>) -> Result<Url, StepError> {
    let mut url = Url::parse(text).map_err(|error| wrong(format!("`url` is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("`url` must begin with `https://` or `http://`"));
    }
    if let Some(query) = query {
        url.query_pairs_mut().extend_pairs(pairs(query));
    }
    Ok(url)
}

fn headers(fields: Option<IndexMap<String, Texts>>) -> Result<HeaderMap, StepError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(fields.unwrap_or_default()) {
        let header = HeaderName::try_from(&name).map_err(|_| wrong(format!("`{name}` is not the name of a header")))?;
        if RESERVED_HEADERS.contains(&header.as_str()) {
            return Err(wrong(format!("header `{header}` cannot be set")));
        }
        if headers.len() == HEADERS_MAX {
            return Err(wrong(format!("there are more than {HEADERS_MAX} headers")));
        }
        let value = HeaderValue::from_bytes(value.as_bytes());
        headers.append(header, value.map_err(|_| wrong(format!("header `{name}` holds a control character")))?);
    }
    Ok(headers)
}

fn expected(expected: Option<Expected>) -> Result<Vec<RangeInclusive<u16>>, StepError> {
    let all = match expected {
        None => return Ok(vec![200..=299]),
        Some(Expected::One(one)) => vec![one],
        Some(Expected::Many(many)) => many,
    };
    let range = |status: Status| match status {
        Status::Code(code) => Some(code..=code),
        Status::Range(text) => {
            let (from, to) = text.split_once('-')?;
            Some(from.trim().parse().ok()?..=to.trim().parse().ok()?)
        }
    };
    let ranges: Option<Vec<_>> = all.into_iter().map(range).collect();
    ranges.ok_or_else(|| wrong("`expect_status` takes numbers and ranges such as `200-299`"))
}

fn pairs(fields: IndexMap<String, Texts>) -> impl Iterator<Item = (String, String)> {
    fields.into_iter().flat_map(|(name, texts)| {
        let texts = match texts {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        };
        let texts = texts.into_iter().filter_map(|text| match text {
            Scalar::Null(()) => None,
            Scalar::Bool(value) => Some(value.to_string()),
            Scalar::Number(value) => Some(value.to_string()),
            Scalar::Text(value) => Some(value),
        });
        texts.map(move |text| (name.clone(), text)).collect::<Vec<_>>()
    })
}

fn wrong(message: impl Into<String>) -> StepError {
    StepError::new("http.request", message)
}
