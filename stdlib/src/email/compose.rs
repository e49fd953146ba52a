//! A mail, checked, and the bytes that it is sent as.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use indexmap::IndexMap;
use lettre::address::Envelope;
use lettre::message::header::{
    ContentDisposition, ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0,
};
use lettre::message::{Body, Mailbox, Message, MessageBuilder, MultiPart, SinglePart};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use wf_engine::{StepContext, StepError, Time};

use super::{FAMILY, rejected};
use crate::body::OneOrMany;
use crate::project_file;
use crate::quote::quotable;

/// The attachments of a mail together.
pub(super) const ATTACHMENT_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Recipients of one mail: `to`, `cc` and `bcc` together.
pub(super) const RECIPIENTS_MAX: usize = 100;
/// Entries of `headers`.
pub(super) const HEADERS_MAX: usize = 100;
/// Header fields that other fields of the step decide, or that say how the body is encoded.
const RESERVED_HEADERS: [&str; 14] = [
    "bcc",
    "cc",
    "content-disposition",
    "content-id",
    "content-transfer-encoding",
    "content-type",
    "date",
    "from",
    "message-id",
    "mime-version",
    "reply-to",
    "return-path",
    "subject",
    "to",
];

/// A mail with everything in it.
pub(super) struct Mail {
    /// With its angle brackets.
    pub(super) message_id: String,
    /// What the boundaries of its parts are made of.
    pub(super) boundary: String,
    pub(super) date: Time,
    pub(super) from: Mailbox,
    pub(super) to: Vec<Mailbox>,
    pub(super) cc: Vec<Mailbox>,
    pub(super) bcc: Vec<Mailbox>,
    pub(super) reply_to: Vec<Mailbox>,
    pub(super) subject: String,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) headers: IndexMap<String, String>,
    pub(super) attachments: Vec<Attachment>,
}

/// A file that goes with a mail.
pub(super) struct Attachment {
    pub(super) name: String,
    pub(super) media_type: &'static str,
    pub(super) content: Vec<u8>,
}

/// A file of the project, as a step names it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Attached {
    /// Its path, from the project's folder.
    Path(String),
    /// Its path, and the name that the receiver sees.
    Named {
        /// From the project's folder.
        path: String,
        /// What the receiver sees.
        name: String,
    },
}

/// The mail's id: the same for all attempts of a step, different for each step.
///
/// An explicit key counts within its step, so two steps may have the same one.
pub(super) fn message_id(cx: &StepContext, from: &Mailbox) -> String {
    let domain = from.email.domain();
    if cx.key == cx.effect {
        return format!("<{}@{domain}>", cx.effect);
    }
    let digest = Sha256::new().chain_update(format!("{}\0{}\0{}", cx.workflow, cx.step, cx.key)).finalize();
    format!("<wf_{}@{domain}>", BASE64_URL_SAFE_NO_PAD.encode(&digest[..18]))
}

/// One address.
pub(super) fn mailbox(field: &str, text: &str) -> Result<Mailbox, StepError> {
    no_breaks(field, text)?;
    let wrong = |error| rejected(format!("`{field}` is not an address: `{}`: {error}", quotable(text, &[])));
    text.trim().parse().map_err(wrong)
}

/// All addresses of a field.
pub(super) fn mailboxes(field: &str, texts: Option<&OneOrMany>) -> Result<Vec<Mailbox>, StepError> {
    texts.map_or(&[][..], OneOrMany::as_slice).iter().map(|text| mailbox(field, text)).collect()
}

impl Mail {
    /// Refuses what would put words into the header, and a mail to nobody.
    pub(super) fn check(&self) -> Result<(), StepError> {
        let recipients = self.to.len() + self.cc.len() + self.bcc.len();
        if self.to.is_empty() {
            return Err(rejected("`to` is empty"));
        }
        if recipients > RECIPIENTS_MAX {
            return Err(rejected(format!("the mail has {recipients} recipients, {RECIPIENTS_MAX} are allowed")));
        }
        if self.headers.len() > HEADERS_MAX {
            return Err(rejected(format!("the mail has {} headers, {HEADERS_MAX} are allowed", self.headers.len())));
        }
        no_breaks("subject", &self.subject)?;
        for (name, value) in &self.headers {
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || name.len() > 76 || !name.chars().all(is_token) {
                return Err(rejected("`headers` holds a name that is no header's"));
            }
            if RESERVED_HEADERS.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
                return Err(rejected(format!("header `{name}` cannot be set in `headers`")));
            }
            no_breaks(name, value)?;
        }
        Ok(())
    }

    /// Adds a file.
    ///
    /// # Errors
    /// `email.attachment` if all together are larger than [`ATTACHMENT_BYTES_MAX`].
    pub(super) fn attach(&mut self, file: Attachment) -> Result<(), StepError> {
        let bytes: usize = self.attachments.iter().map(|file| file.content.len()).sum();
        if bytes + file.content.len() > ATTACHMENT_BYTES_MAX {
            let message = format!("the attachments are larger than {ATTACHMENT_BYTES_MAX} bytes");
            return Err(FAMILY.error("attachment", message));
        }
        self.attachments.push(file);
        Ok(())
    }

    /// Who gets the mail from whom, and its bytes. The bytes are the same for all attempts, are ASCII, end with a line
    /// break, and have no line that begins with a dot after a lone CR or LF.
    pub(super) fn mime(&self) -> Result<(Envelope, Vec<u8>), StepError> {
        let mut builder = Message::builder()
            .message_id(Some(self.message_id.clone()))
            .date(UNIX_EPOCH + Duration::from_millis(u64::try_from(self.date.0).unwrap_or(0)))
            .from(self.from.clone())
            .subject(self.subject.clone());
        builder = self.to.iter().fold(builder, |builder, to| builder.to(to.clone()));
        builder = self.cc.iter().fold(builder, |builder, cc| builder.cc(cc.clone()));
        builder = self.bcc.iter().fold(builder, |builder, bcc| builder.bcc(bcc.clone()));
        builder = self.reply_to.iter().fold(builder, |builder, reply_to| builder.reply_to(reply_to.clone()));
        for (name, value) in &self.headers {
            let name = HeaderName::new_from_ascii(name.clone())
                .map_err(|_| rejected("`headers` holds a name that is no header's"))?;
            builder = builder.raw_header(HeaderValue::new(name, value.clone()));
        }
        let message =
            self.with_content(builder).map_err(|error| rejected(format!("the mail is not valid: {error}")))?;
        let mut bytes = message.formatted();
        if !bytes.ends_with(b"\r\n") {
            bytes.extend_from_slice(b"\r\n");
        }
        Ok((message.envelope().clone(), bytes))
    }

    fn with_content(&self, builder: MessageBuilder) -> Result<Message, lettre::error::Error> {
        let text = self.text.as_deref().map(|text| (ContentType::TEXT_PLAIN, text));
        let html = self.html.as_deref().map(|html| (ContentType::TEXT_HTML, html));
        let both = text.as_ref().zip(html.as_ref()).is_some();
        if !both && self.attachments.is_empty() {
            let (content_type, content) = text.or(html).unwrap_or((ContentType::TEXT_PLAIN, ""));
            return builder.header(MIME_VERSION_1_0).header(content_type).body(quoted_printable(content));
        }
        let parts = text.into_iter().chain(html).map(|(content_type, content)| {
            SinglePart::builder().content_type(content_type).body(quoted_printable(content))
        });
        if self.attachments.is_empty() {
            let alternatives = MultiPart::alternative().boundary(self.boundary("alternative")).build();
            return builder.multipart(parts.fold(alternatives, MultiPart::singlepart));
        }
        let mixed = MultiPart::mixed().boundary(self.boundary("mixed")).build();
        let mixed = if both {
            let alternatives = MultiPart::alternative().boundary(self.boundary("alternative")).build();
            mixed.multipart(parts.fold(alternatives, MultiPart::singlepart))
        } else {
            parts.fold(mixed, MultiPart::singlepart)
        };
        builder.multipart(self.attachments.iter().fold(mixed, |mixed, file| mixed.singlepart(file.part())))
    }

    /// A line that no encoded part can hold: `=_` is nothing in quoted-printable, and base64 has no underscore.
    fn boundary(&self, role: &str) -> String {
        format!("=_{role}_{}", self.boundary)
    }
}

impl Attached {
    /// Reads the file.
    ///
    /// # Errors
    /// `email.attachment` if there is none, if it is too large, or if it is not inside of the project.
    pub(super) async fn read(self, project: Option<&Path>) -> Result<Attachment, StepError> {
        let (path, name) = match self {
            Attached::Path(path) => (path, None),
            Attached::Named { path, name } => (path, Some(name)),
        };
        let wrong = |why: String| FAMILY.error("attachment", format!("attachment `{}`: {why}", quotable(&path, &[])));
        let content = project_file::read(project, &path, ATTACHMENT_BYTES_MAX).await.map_err(wrong)?;
        let file_name = Path::new(&path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = name.unwrap_or_else(|| file_name.to_owned());
        no_breaks("attachments", &name)?;
        Ok(Attachment { media_type: media_type(&name), name, content })
    }
}

impl Attachment {
    fn part(&self) -> SinglePart {
        let media_type = ContentType::parse(self.media_type).unwrap_or(ContentType::TEXT_PLAIN);
        SinglePart::builder()
            .header(ContentDisposition::attachment(&self.name))
            .content_type(media_type)
            .body(encoded(self.content.clone(), ContentTransferEncoding::Base64))
    }
}

/// Quoted-printable whatever the text is: lettre doubles a dot at the start of a line only after CRLF, so in a body
/// that is sent as it stands, a lone LF and a dot would end the message for some servers.
fn quoted_printable(text: &str) -> Body {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    encoded(text, ContentTransferEncoding::QuotedPrintable)
}

fn encoded(content: impl Into<lettre::message::MaybeString>, encoding: ContentTransferEncoding) -> Body {
    Body::new_with_encoding(content, encoding).expect("quoted-printable and base64 hold everything")
}

fn no_breaks(field: &str, text: &str) -> Result<(), StepError> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(rejected(format!("`{field}` holds a line break or a NUL")));
    }
    Ok(())
}

fn media_type(name: &str) -> &'static str {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "csv" => "text/csv; charset=utf-8",
        "gif" => "image/gif",
        "html" | "htm" => "text/html; charset=utf-8",
        "ics" => "text/calendar; charset=utf-8",
        "jpg" | "jpeg" => "image/jpeg",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" | "md" => "text/plain; charset=utf-8",
        "webp" => "image/webp",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}
