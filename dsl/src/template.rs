//! Message templates: what stands in `templates/`, and what becomes of it.
//!
//! A template is up to three files of one name: `.txt` and `.html` make a mail, `.sms` (or else `.txt`) a short
//! message. Each is a minijinja text that may begin with front matter: a subject and the declared parameters.
//! What a text reads must be there; a missing name is an error and never an empty place.

mod environment;
mod file;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde_json::{Map, Value as Json};

use crate::plan::MessageTemplate;
use crate::project::Medium;

pub use environment::{FUEL_MAX, OUTPUT_BYTES_MAX};
pub use file::{Param, Subject, TemplateFile};

/// What a template is rendered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// `.txt` and `.html`, at least one of them, with the subject of either.
    Email,
    /// `.sms`, or else `.txt`.
    Sms,
}

/// A message, ready to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The subject, if the front matter has one. May hold line breaks that came with a parameter.
    pub subject: Option<String>,
    /// The plain text.
    pub text: Option<String>,
    /// The HTML, in which the parameters' special characters are escaped.
    pub html: Option<String>,
}

/// A template that cannot be read or rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The file it is about; none if no file of the template is for this message.
    pub medium: Option<Medium>,
    /// One lower-case phrase.
    pub message: String,
    /// The line of the file, from 1.
    pub line: usize,
    /// The bytes of the file, front matter included, if they are known.
    pub range: Option<Range<usize>>,
}

/// The files of a template that a message is made of, in the order in which they are asked for the subject.
pub fn files(template: &MessageTemplate, message: Message) -> Vec<(Medium, &str)> {
    let text = (Medium::Text, template.text.as_deref());
    let html = (Medium::Html, template.html.as_deref());
    let sms = (Medium::Sms, template.sms.as_deref());
    let found = match message {
        Message::Email => vec![text, html],
        Message::Sms if sms.1.is_some() => vec![sms],
        Message::Sms => vec![text],
    };
    found.into_iter().filter_map(|(medium, text)| Some((medium, text?))).collect()
}

/// Fills a template in. Optional parameters that `params` leaves out are null.
///
/// # Errors
/// A file that cannot be read, a name that the parameters do not have, an operation that its values do not take,
/// more than [`OUTPUT_BYTES_MAX`] or [`FUEL_MAX`], or no file for this sort of message.
///
/// ```
/// use wf_dsl::{MessageTemplate, template::{Message, render}};
/// let text = "---\nsubject: Hi {{ name }}\n---\nGood to have you, {{ name }}.\n";
/// let template = MessageTemplate { text: Some(text.to_owned()), ..Default::default() };
/// let mail = render(&template, Message::Email, &serde_json::json!({"name": "Ada"})).unwrap();
/// assert_eq!(mail.subject.as_deref(), Some("Hi Ada"));
/// assert_eq!(mail.text.as_deref(), Some("Good to have you, Ada."));
/// assert!(render(&template, Message::Email, &serde_json::json!({})).is_err());
/// ```
pub fn render(template: &MessageTemplate, message: Message, params: &Json) -> Result<Rendered, TemplateError> {
    let files = files(template, message);
    if files.is_empty() {
        let message = match message {
            Message::Email => "the template has neither a .txt nor an .html file",
            Message::Sms => "the template has neither an .sms nor a .txt file",
        };
        return Err(TemplateError { medium: None, message: message.to_owned(), line: 1, range: None });
    }
    let mut rendered = Rendered::default();
    for (medium, text) in files {
        let file = TemplateFile::parse(medium, text)?;
        let params = with_nulls(&file, params);
        if let (None, Some(subject)) = (&rendered.subject, &file.subject) {
            rendered.subject = Some(environment::render_subject(&file, subject, &params)?);
        }
        let body = environment::render_body(&file, &params)?;
        match medium {
            Medium::Html => rendered.html = Some(body),
            Medium::Text | Medium::Sms => rendered.text = Some(body),
        }
    }
    Ok(rendered)
}

/// The parameters, with null for each optional one that is absent.
fn with_nulls(file: &TemplateFile<'_>, params: &Json) -> Json {
    let mut given = params.as_object().cloned().unwrap_or_else(Map::new);
    for param in file.params.iter().flatten().filter(|param| param.optional) {
        given.entry(param.name.clone()).or_insert(Json::Null);
    }
    Json::Object(given)
}
