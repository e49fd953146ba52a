//! `email`: a mail over SMTP or an HTTP mail API.

mod api;
mod compose;
mod smtp;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use wf_engine::template::Message;
use wf_engine::{BoxFuture, Connection, Effect, Kind, Output, StepContext, StepError, StepKind};

use crate::body::{self, OneOrMany};
use crate::connection::{Chosen, Family};
use crate::message::{Texts, Wording, shown};
use crate::outbox;
use compose::{Attached, Mail};

const FAMILY: Family = Family { name: "email", kinds: &["smtp", "mail_api"] };
/// The sender in the outbox when neither the step nor a connection names one.
const NOBODY: &str = "wf <wf@localhost>";

/// Sends a mail.
#[derive(Default)]
pub(crate) struct Email {
    smtp: smtp::Servers,
    api: api::MailApi,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{"required": ["template"]}, {"required": ["text"]}, {"required": ["html"]}]))]
struct Body {
    /// Who gets it: `ada@example.org` or `Ada <ada@example.org>`, one or several.
    to: OneOrMany,
    /// Who gets a copy.
    #[serde(default)]
    cc: Option<OneOrMany>,
    /// Who gets a copy that the others do not see.
    #[serde(default)]
    bcc: Option<OneOrMany>,
    /// The sender; the connection's `from` by default.
    #[serde(default)]
    from: Option<String>,
    /// Where answers go.
    #[serde(default)]
    reply_to: Option<OneOrMany>,
    /// The template: `templates/<name>.txt`, `.html` or both.
    #[serde(default)]
    template: Option<String>,
    /// The template's parameters.
    #[serde(default)]
    with: Option<Map<String, Json>>,
    /// The subject; goes before the template's.
    #[serde(default)]
    subject: Option<String>,
    /// The plain text, without a template.
    #[serde(default)]
    text: Option<String>,
    /// The HTML, without a template; sent as it stands, nothing is escaped.
    #[serde(default)]
    html: Option<String>,
    /// More header fields.
    #[serde(default)]
    headers: Option<IndexMap<String, String>>,
    /// Files of the project.
    #[serde(default)]
    attachments: Option<Vec<Attached>>,
    /// The connection, if there are several for mail.
    #[serde(default)]
    connection: Option<String>,
}

impl StepKind for Email {
    fn describe(&self) -> Kind {
        Kind {
            name: "email".to_owned(),
            description: "Sends a mail over SMTP or an HTTP mail API.".to_owned(),
            body: body::schema::<Body>(),
            output: json!({
                "type": "object",
                "properties": {
                    "message_id": {"type": "string", "description": "The id under which the mail was accepted."},
                    "accepted_at": {"type": "string", "format": "date-time", "description": "When it was accepted."},
                    "to": {"type": "array", "items": {"type": "string"}, "description": "Who got it, copies left out."},
                    "provider": {"type": "string", "description": "The connection, or `outbox` if none is configured."},
                    "subject": {"type": "string", "description": "The subject as sent."},
                    "text": {"type": "string", "description": "The plain text as sent, cut at 64 KiB."}
                },
                "required": ["message_id", "accepted_at"]
            }),
            errors: body::errors(&[
                ("email.rejected", false),
                ("email.unavailable", true),
                ("email.auth", false),
                ("email.template", false),
                ("email.attachment", false),
                ("email.config", false),
            ]),
            // A repeated mail has the same Message-ID and the same bytes; mail APIs get the key.
            effect: Effect::Keyed,
            repeats: std::collections::BTreeMap::new(),
            literal_fields: vec!["connection".to_owned()],
            secret_fields: Vec::new(),
            connections: FAMILY.kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            open_output: false,
            returns_at: String::new(),
            examples: vec![
                json!({"to": "ada@example.org", "template": "welcome", "with": {"first_name": "Ada"}}),
                json!({
                    "to": ["Ada <ada@example.org>", "grace@example.org"],
                    "cc": "alan@example.org",
                    "reply_to": "office@example.org",
                    "subject": "Your invoice",
                    "text": "Please find it attached.",
                    "html": "<p>Please find it attached.</p>",
                    "headers": {"X-Campaign": "spring"},
                    "attachments": ["files/invoice.pdf"]
                }),
            ],
        }
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let body: Body = body::read(args)?;
            let chosen = FAMILY.choose(cx, body.connection.as_deref())?;
            let mail = prepare(cx, body, chosen).await?;
            let provider = match chosen {
                Chosen::Configured(connection) => &connection.name,
                Chosen::StandIn(_) => outbox::PROVIDER,
            };
            let message_id = match chosen {
                Chosen::Configured(connection) if connection.kind == "smtp" => {
                    self.smtp.send(cx, connection, &mail).await?;
                    mail.message_id.clone()
                }
                Chosen::Configured(connection) => self.api.send(cx, connection, &mail).await?,
                Chosen::StandIn(connection) => {
                    put_in_outbox(cx, connection, &mail).await?;
                    mail.message_id.clone()
                }
            };
            let mut output = json!({
                "message_id": message_id,
                "accepted_at": cx.clock.now().to_string(),
                "to": texts(&mail.to),
                "provider": provider,
                "subject": mail.subject,
            });
            if let Some(text) = &mail.text {
                output["text"] = shown(text).into();
            }
            Ok(output.into())
        })
    }
}

async fn prepare(cx: &StepContext, body: Body, chosen: Chosen<'_>) -> Result<Mail, StepError> {
    let Body { to, cc, bcc, from, reply_to, template, with, subject, text, html, headers, attachments, .. } = body;
    let wording = Wording { template, with, subject, text, html };
    let Texts { subject, text, html } = wording.render(cx, &FAMILY, Message::Email)?;
    let subject = subject.ok_or_else(|| rejected("the mail has no subject"))?;
    let from = match (&from, chosen) {
        (Some(from), _) => from,
        (None, Chosen::Configured(connection)) => FAMILY.setting(connection, "from")?,
        (None, Chosen::StandIn(connection)) => {
            connection.and_then(|connection| connection.settings.get("from")).map_or(NOBODY, String::as_str)
        }
    };
    let from = compose::mailbox("from", from)?;
    let mut mail = Mail {
        message_id: compose::message_id(cx, &from),
        boundary: cx.effect.clone(),
        date: cx.now,
        from,
        to: compose::mailboxes("to", Some(&to))?,
        cc: compose::mailboxes("cc", cc.as_ref())?,
        bcc: compose::mailboxes("bcc", bcc.as_ref())?,
        reply_to: compose::mailboxes("reply_to", reply_to.as_ref())?,
        subject,
        text,
        html,
        headers: headers.unwrap_or_default(),
        attachments: Vec::new(),
    };
    mail.check()?;
    for attached in attachments.unwrap_or_default() {
        mail.attach(attached.read(cx.project.as_deref()).await?)?;
    }
    Ok(mail)
}

async fn put_in_outbox(cx: &StepContext, connection: Option<&Connection>, mail: &Mail) -> Result<(), StepError> {
    let Some(folder) = &cx.outbox else { return Err(FAMILY.not_configured(connection)) };
    let message = json!({
        "kind": "email",
        "connection": connection.map(|connection| &connection.name),
        "workflow": &*cx.workflow,
        "run": cx.run.to_string(),
        "step": &*cx.step,
        "idempotency_key": cx.key,
        "accepted_at": cx.clock.now().to_string(),
        "message_id": mail.message_id,
        "from": mail.from.to_string(),
        "to": texts(&mail.to),
        "cc": texts(&mail.cc),
        "bcc": texts(&mail.bcc),
        "reply_to": texts(&mail.reply_to),
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
        "headers": mail.headers,
        "attachments": mail.attachments.iter().map(|file| json!({"name": file.name, "bytes": file.content.len()}))
            .collect::<Vec<_>>(),
    });
    let eml = mail.mime()?.1;
    let written = outbox::put(cx, folder, message, Some(eml)).await;
    written.map_err(|error| FAMILY.error("unavailable", format!("the outbox cannot be written: {error}")))
}

fn texts(mailboxes: &[lettre::message::Mailbox]) -> Vec<String> {
    mailboxes.iter().map(ToString::to_string).collect()
}

fn rejected(message: impl Into<String>) -> StepError {
    FAMILY.error("rejected", message)
}
