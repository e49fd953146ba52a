//! Secrets are taken out of everything that is stored or shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::Value as Json;

/// What stands in a secret's place.
pub const REDACTED: &str = "[redacted]";
/// Shorter secrets are refused: they would be found everywhere by accident.
pub const SECRET_BYTES_MIN: usize = 8;

/// Finds secrets in texts: as they are, base64, URL-encoded, escaped as JSON.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    /// Longest first, so that a secret within another does not leave half of it.
    needles: Arc<[String]>,
}

impl Redactor {
    /// A redactor for these secrets.
    pub fn new(secrets: &BTreeMap<String, Arc<str>>) -> Self {
        let mut needles: Vec<String> = secrets.values().flat_map(|secret| shapes(secret)).collect();
        needles.retain(|needle| !needle.is_empty());
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Redactor { needles: needles.into() }
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        self.needles.iter().fold(text.to_owned(), |text, needle| {
            if text.contains(needle.as_str()) { text.replace(needle.as_str(), REDACTED) } else { text }
        })
    }

    /// Takes secrets out of every text of a value, keys included.
    pub fn json(&self, value: &mut Json) {
        if self.needles.is_empty() {
            return;
        }
        match value {
            Json::String(text) => {
                if self.needles.iter().any(|needle| text.contains(needle.as_str())) {
                    *text = self.text(text);
                }
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Json::Object(fields) => {
                fields.values_mut().for_each(|field| self.json(field));
                if fields.keys().any(|key| self.needles.iter().any(|needle| key.contains(needle.as_str()))) {
                    *fields = std::mem::take(fields).into_iter().map(|(key, field)| (self.text(&key), field)).collect();
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }
}

/// The shapes in which a secret may turn up.
fn shapes(secret: &str) -> Vec<String> {
    let mut shapes = vec![secret.to_owned(), url_encoded(secret), url_encoded(secret).to_lowercase()];
    shapes.push(url_encoded(secret).replace("%20", "+"));
    let json = Json::String(secret.to_owned()).to_string();
    shapes.push(json[1..json.len() - 1].to_owned());
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        shapes.push(engine.encode(secret));
    }
    // Within a longer text, such as `user:password`, base64 begins at one of three phases; its middle is the same.
    for phase in 1..3 {
        let padded = [vec![0; phase], secret.as_bytes().to_vec()].concat();
        let encoded = STANDARD_NO_PAD.encode(&padded);
        let middle = encoded.len() - usize::from(!padded.len().is_multiple_of(3));
        shapes.push(encoded[phase + 1..middle].to_owned());
    }
    let middle = STANDARD_NO_PAD.encode(secret);
    shapes.push(middle[..middle.len() - usize::from(!secret.len().is_multiple_of(3))].to_owned());
    shapes
}

fn url_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secret: &str) -> Redactor {
        Redactor::new(&BTreeMap::from([("s".to_owned(), Arc::from(secret))]))
    }

    #[test]
    fn a_secret_is_found_in_every_shape() {
        let secret = "p@ss/word é1";
        for text in [
            format!("Bearer {secret}"),
            format!("https://h/?k={}", url_encoded(secret)),
            STANDARD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
            STANDARD.encode(format!("u:{secret}")),
            STANDARD.encode(format!("us:{secret}")),
            STANDARD.encode(format!("user:{secret}")),
        ] {
            let redacted = redactor(secret).text(&text);
            assert!(redacted.contains(REDACTED), "{text} became {redacted}");
        }
    }

    #[test]
    fn keys_and_values_of_json_are_redacted() {
        let mut value = serde_json::json!({"k-topsecret": ["a topsecret b", 1]});
        redactor("topsecret").json(&mut value);
        assert_eq!(value, serde_json::json!({"k-[redacted]": ["a [redacted] b", 1]}));
    }

    #[test]
    fn a_secret_within_another_leaves_nothing_of_it() {
        let secrets = [("a", "longsecret"), ("b", "longsecretlonger")];
        let secrets = secrets.map(|(name, secret)| (name.to_owned(), Arc::from(secret)));
        assert_eq!(Redactor::new(&secrets.into()).text("longsecretlonger"), REDACTED);
    }
}
