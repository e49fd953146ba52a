//! Mail over an HTTP API of Resend's shape.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lettre::message::Mailbox;
use serde_json::{Map, Value as Json, json};
use wf_engine::{Connection, StepContext, StepError};

use super::FAMILY;
use super::compose::Mail;
use crate::peer::key_header;
use crate::provider::Provider;

/// A client of the API.
pub(super) struct MailApi(Provider);

impl MailApi {
    /// Hands the mail over, and gives the id that the provider gave it.
    pub(super) async fn send(
        &self,
        cx: &StepContext,
        connection: &Connection,
        mail: &Mail,
    ) -> Result<String, StepError> {
        let token = FAMILY.setting(connection, "token")?;
        let request = self.0.post(connection, &["emails"])?;
        let request = request.bearer_auth(token).header("idempotency-key", key_header(&cx.key)).json(&content(mail));
        let answer = self.0.send(cx, connection, request, &[token.to_owned()]).await?;
        let id = answer.json().get("id").and_then(Json::as_str).map(str::to_owned);
        Ok(id.unwrap_or_else(|| mail.message_id.clone()))
    }
}

impl Default for MailApi {
    fn default() -> Self {
        MailApi(Provider::new(&FAMILY))
    }
}

fn content(mail: &Mail) -> Json {
    let texts = |mailboxes: &[Mailbox]| -> Json { mailboxes.iter().map(ToString::to_string).collect() };
    let attachments = mail.attachments.iter().map(|file| {
        json!({
            "filename": file.name,
            "content": BASE64_STANDARD.encode(&file.content),
            "content_type": file.media_type,
        })
    });
    let optional = [
        ("cc", texts(&mail.cc)),
        ("bcc", texts(&mail.bcc)),
        ("reply_to", texts(&mail.reply_to)),
        ("text", json!(mail.text)),
        ("html", json!(mail.html)),
        ("headers", json!(mail.headers)),
        ("attachments", attachments.collect()),
    ];
    let is_empty = |value: &Json| value.is_null() || *value == json!([]) || *value == json!({});
    let mut content = Map::from_iter([
        ("from".to_owned(), mail.from.to_string().into()),
        ("to".to_owned(), texts(&mail.to)),
        ("subject".to_owned(), mail.subject.clone().into()),
    ]);
    let given = optional.into_iter().filter(|(_, value)| !is_empty(value));
    content.extend(given.map(|(name, value)| (name.to_owned(), value)));
    content.into()
}
