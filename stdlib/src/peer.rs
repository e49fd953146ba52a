//! One HTTP exchange: what came back, or why nothing did.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, RequestBuilder, Response};
use sha2::{Digest, Sha256};
use wf_engine::{StepContext, Time};

use crate::address_guard::Refused;

/// An answer with a larger body is not read to its end.
pub(crate) const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long it may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long an exchange may take when the step has no `timeout` of its own.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);
/// An idempotency key that is longer is replaced by its hash; Resend takes up to 256 characters.
const KEY_CHARS_MAX: usize = 255;

/// What a peer answered.
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The header fields.
    pub(crate) headers: HeaderMap,
    /// The body, at most [`ANSWER_BYTES_MAX`], or why it could not be read. The peer has decided by then.
    pub(crate) body: Result<Vec<u8>, Failure>,
}

/// Why there is no answer, or none of its body. The texts hold no part of the request but its host.
#[derive(Debug, PartialEq)]
pub(crate) enum Failure {
    /// The host may not be connected to.
    Refused(String),
    /// It took too long.
    Timeout,
    /// There is no connection, so nothing was sent.
    Connect(String),
    /// The connection broke; the peer may or may not have acted.
    Broken(String),
    /// The body is larger than [`ANSWER_BYTES_MAX`].
    TooLarge,
}

/// What all our clients have in common: no redirects, no proxies from the environment, a limit to connecting.
pub(crate) fn client() -> ClientBuilder {
    reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_LIMIT)
        .user_agent(concat!("wf/", env!("CARGO_PKG_VERSION")))
}

/// Sends a request and reads the answer.
///
/// Without a limit from the step, the exchange as a whole has one of its own.
pub(crate) async fn exchange(cx: &StepContext, request: RequestBuilder) -> Result<Answer, Failure> {
    let request = if cx.remaining.is_none() { request.timeout(EXCHANGE_LIMIT) } else { request };
    let response = request.send().await.map_err(failure)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, body: read(response).await })
}

async fn read(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failure::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An idempotency key as a header: itself, or its hash where a header cannot hold it.
pub(crate) fn key_header(key: &str) -> HeaderValue {
    let fits = key.len() <= KEY_CHARS_MAX && !key.is_empty() && key.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    let text = if fits { key.to_owned() } else { hex(&Sha256::digest(key)) };
    HeaderValue::try_from(text).expect("visible ASCII is a header value")
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Answer {
    /// How long the peer asks to wait: seconds, or until an HTTP date.
    pub(crate) fn retry_after(&self, now: Time) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date: SystemTime = httpdate::parse_http_date(text).ok()?;
        let since_epoch = Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
        Some(date.duration_since(UNIX_EPOCH + since_epoch).unwrap_or_default())
    }

    /// Whether this status says that a later attempt may succeed.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self.status, 408 | 425 | 429 | 500..=599)
    }

    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        let body = self.body.as_deref().unwrap_or_default();
        serde_json::from_slice(body).unwrap_or_default()
    }
}

impl Failure {
    /// The failure in one phrase; `peer` names the other side.
    pub(crate) fn describe(&self, peer: &str) -> String {
        match self {
            Failure::Refused(why) => why.clone(),
            Failure::Timeout => format!("`{peer}` did not answer in time"),
            Failure::Connect(why) => format!("cannot connect to `{peer}`: {why}"),
            Failure::Broken(why) => format!("the connection to `{peer}` broke: {why}"),
            Failure::TooLarge => format!("the answer of `{peer}` is larger than {ANSWER_BYTES_MAX} bytes"),
        }
    }
}

fn failure(error: reqwest::Error) -> Failure {
    let mut cause: &(dyn Error + 'static) = &error;
    loop {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return Failure::Refused(refused.to_string());
        }
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    // Only the innermost cause is shown: the outer ones repeat the URL.
    match () {
        () if error.is_timeout() => Failure::Timeout,
        () if error.is_connect() => Failure::Connect(innermost(&error, cause)),
        () => Failure::Broken(innermost(&error, cause)),
    }
}

fn innermost(error: &reqwest::Error, cause: &(dyn Error + 'static)) -> String {
    let is_itself = cause.downcast_ref::<reqwest::Error>().is_some() || error.is_builder();
    if is_itself { "the request could not be sent".to_owned() } else { cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(retry_after: &str) -> Answer {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(retry_after).unwrap())]);
        Answer { status: 503, headers, body: Ok(Vec::new()) }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Time(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        let table = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ];
        for (text, seconds) in table {
            assert_eq!(answer(text).retry_after(now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn a_key_that_is_no_header_is_hashed() {
        let longest = "k".repeat(KEY_CHARS_MAX);
        for key in ["wf_abc", "order-7/é"[..8].trim_end(), &longest] {
            assert_eq!(key_header(key), key, "{key}");
        }
        for key in ["", "a b", "a\r\nb", "ü", &format!("{longest}k")] {
            let header = key_header(key);
            assert_eq!(header.len(), 64, "{key}");
            assert_eq!(header, key_header(key), "{key}");
        }
    }
}
