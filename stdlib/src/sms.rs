//! `sms`: a text message over an HTTP API of Twilio's shape.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use wf_engine::template::Message;
use wf_engine::{BoxFuture, Connection, Effect, Kind, Output, StepContext, StepError, StepKind};

use crate::body;
use crate::connection::{Chosen, Family};
use crate::message::{Wording, shown};
use crate::outbox;
use crate::peer::key_header;
use crate::provider::Provider;
use crate::quote::quotable;

const FAMILY: Family = Family { name: "sms", kinds: &["sms"] };
/// The sender in the outbox when neither the step nor a connection names one.
const NOBODY: &str = "+10000000000";
/// The provider cuts no message: longer ones are refused.
const TEXT_CHARS_MAX: usize = 1600;

/// Sends a text message.
pub(crate) struct Sms(Provider);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["template"]}, {"required": ["text"]}]))]
struct Body {
    /// The number that gets it, as `+12025550101`.
    to: String,
    /// The sender: a number, or a name of up to 11 letters and digits; the connection's `from` by default.
    #[serde(default)]
    from: Option<String>,
    /// The template: `templates/<name>.sms`, otherwise `.txt`.
    #[serde(default)]
    template: Option<String>,
    /// The template's parameters.
    #[serde(default)]
    with: Option<Map<String, Json>>,
    /// The text, without a template.
    #[serde(default)]
    text: Option<String>,
    /// The connection, if there are several for text messages.
    #[serde(default)]
    connection: Option<String>,
}

/// A text message, checked.
struct Sending<'a> {
    to: &'a str,
    from: &'a str,
    text: &'a str,
}

impl Default for Sms {
    fn default() -> Self {
        Sms(Provider::new(&FAMILY))
    }
}

impl StepKind for Sms {
    fn describe(&self) -> Kind {
        Kind {
            name: "sms".to_owned(),
            description: "Sends a text message.".to_owned(),
            body: body::schema::<Body>(),
            output: json!({
                "type": "object",
                "properties": {
                    "message_id": {"type": "string", "description": "The id under which the message was accepted."},
                    "accepted_at": {"type": "string", "format": "date-time", "description": "When it was accepted."},
                    "to": {"type": "array", "items": {"type": "string"}, "description": "Who got it."},
                    "provider": {"type": "string", "description": "The connection, or `outbox` if none is configured."},
                    "text": {"type": "string", "description": "The text as sent."}
                },
                "required": ["message_id", "accepted_at"]
            }),
            errors: body::errors(&[
                ("sms.rejected", false),
                ("sms.unavailable", true),
                ("sms.auth", false),
                ("sms.template", false),
                ("sms.config", false),
            ]),
            // The key is sent along, but not every provider of this shape looks at it.
            effect: Effect::Unsafe,
            repeats: std::collections::BTreeMap::new(),
            literal_fields: vec!["connection".to_owned()],
            secret_fields: Vec::new(),
            connections: FAMILY.kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            open_output: false,
            returns_at: String::new(),
            examples: vec![
                json!({"to": "+12025550101", "template": "welcome", "with": {"first_name": "Ada"}}),
                json!({"to": "+12025550101", "from": "+15005550006", "text": "Doors open at 18:00."}),
            ],
        }
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let Body { to, from, template, with, text, connection } = body::read(args)?;
            let chosen = FAMILY.choose(cx, connection.as_deref())?;
            let wording = Wording { template, with, subject: None, text, html: None };
            let text = wording.render(cx, &FAMILY, Message::Sms)?.text.unwrap_or_default();
            let from = match (&from, chosen) {
                (Some(from), _) => from,
                (None, Chosen::Configured(connection)) => FAMILY.setting(connection, "from")?,
                (None, Chosen::StandIn(connection)) => {
                    connection.and_then(|connection| connection.settings.get("from")).map_or(NOBODY, String::as_str)
                }
            };
            let sending = Sending { to: &to, from, text: &text };
            sending.check()?;
            let (provider, message_id) = match chosen {
                Chosen::Configured(connection) => {
                    (connection.name.as_str(), self.send(cx, connection, &sending).await?)
                }
                Chosen::StandIn(connection) => {
                    put_in_outbox(cx, connection, &sending).await?;
                    (outbox::PROVIDER, cx.effect.clone())
                }
            };
            let accepted_at = cx.clock.now().to_string();
            let text = shown(&text);
            let output = json!({
                "message_id": message_id, "accepted_at": accepted_at, "to": [to], "provider": provider, "text": text,
            });
            Ok(output.into())
        })
    }
}

impl Sms {
    async fn send(
        &self,
        cx: &StepContext,
        connection: &Connection,
        sending: &Sending<'_>,
    ) -> Result<String, StepError> {
        let account = FAMILY.setting(connection, "account")?;
        let token = FAMILY.setting(connection, "token")?;
        let secrets = [token.to_owned(), BASE64_STANDARD.encode(format!("{account}:{token}"))];
        let request = self.0.post(connection, &["2010-04-01", "Accounts", account, "Messages.json"])?;
        let request = request
            .basic_auth(account, Some(token))
            .header("i-twilio-idempotency-token", key_header(&cx.key))
            .form(&[("To", sending.to), ("From", sending.from), ("Body", sending.text)]);
        let answer = self.0.send(cx, connection, request, &secrets).await?;
        let sid = answer.json().get("sid").and_then(Json::as_str).map(str::to_owned);
        Ok(sid.unwrap_or_else(|| cx.effect.clone()))
    }
}

impl Sending<'_> {
    fn check(&self) -> Result<(), StepError> {
        let rejected = |message: String| Err(FAMILY.error("rejected", message));
        if !is_e164(self.to) {
            return rejected(format!("`to` is not a number such as `+12025550101`: `{}`", quotable(self.to, &[])));
        }
        if !is_e164(self.from) && !is_sender_name(self.from) {
            return rejected(format!("`from` is neither a number nor a sender's name: `{}`", quotable(self.from, &[])));
        }
        let chars = self.text.chars().count();
        if chars == 0 || chars > TEXT_CHARS_MAX {
            return rejected(format!("the text has {chars} characters, 1 to {TEXT_CHARS_MAX} are allowed"));
        }
        Ok(())
    }
}

async fn put_in_outbox(
    cx: &StepContext,
    connection: Option<&Connection>,
    sending: &Sending<'_>,
) -> Result<(), StepError> {
    let Some(folder) = &cx.outbox else { return Err(FAMILY.not_configured(connection)) };
    let message = json!({
        "kind": "sms",
        "connection": connection.map(|connection| &connection.name),
        "workflow": &*cx.workflow,
        "run": cx.run.to_string(),
        "step": &*cx.step,
        "idempotency_key": cx.key,
        "accepted_at": cx.clock.now().to_string(),
        "message_id": cx.effect,
        "from": sending.from,
        "to": [sending.to],
        "text": sending.text,
    });
    let written = outbox::put(cx, folder, message, None).await;
    written.map_err(|error| FAMILY.error("unavailable", format!("the outbox cannot be written: {error}")))
}

/// E.164: a plus, then 7 to 15 digits, the first not 0.
fn is_e164(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0')
}

/// An alphanumeric sender id: up to 11 letters, digits and spaces, at least one letter. Short codes are digits alone.
fn is_sender_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == ' ';
    let short_code = (3..=8).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_digit());
    short_code || (name.len() <= 11 && name.chars().all(plain) && name.chars().any(|c| c.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_e164() {
        for number in ["+1202555", "+12025550101", "+123456789012345"] {
            assert!(is_e164(number), "{number}");
        }
        for number in
            ["", "+", "12025550101", "+120255", "+1234567890123456", "+02025550101", "+1202555010a", "+1 202 555"]
        {
            assert!(!is_e164(number), "{number}");
        }
        for sender in ["Acme", "Acme 24", "12345", "12345678901a"[1..].trim()] {
            assert!(is_sender_name(sender), "{sender}");
        }
        for sender in ["", "12", "123456789", "twelve chars", "a\r\nb", "é"] {
            assert!(!is_sender_name(sender), "{sender}");
        }
    }

    #[test]
    fn a_text_has_one_to_1600_characters() {
        let check = |text: &str| Sending { to: "+12025550101", from: "Acme", text }.check().is_ok();
        assert!(check("x") && check(&"é".repeat(TEXT_CHARS_MAX)));
        assert!(!check("") && !check(&"é".repeat(TEXT_CHARS_MAX + 1)));
    }
}
