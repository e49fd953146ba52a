//! What a message says: from a template, or written in the step.

use serde_json::{Map, Value as Json};
use wf_engine::template::{self, Message};
use wf_engine::{StepContext, StepError};

use crate::connection::Family;
use crate::quote::quotable;

/// Outputs show at most this much of a message's text.
pub(crate) const SHOWN_BYTES_MAX: usize = 64 * 1024;

/// The fields of `email` and `sms` that say what is sent.
pub(crate) struct Wording {
    pub(crate) template: Option<String>,
    pub(crate) with: Option<Map<String, Json>>,
    pub(crate) subject: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
}

/// The texts of a message.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Texts {
    pub(crate) subject: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
}

impl Wording {
    /// The texts. A subject in the step goes before the template's.
    ///
    /// # Errors
    /// `<family>.template` if the template is missing or cannot be rendered; `validation.input` if the fields do not
    /// belong together.
    pub(crate) fn render(self, cx: &StepContext, family: &Family, message: Message) -> Result<Texts, StepError> {
        let Wording { template, with, subject, text, html } = self;
        let Some(name) = template else {
            if with.is_some() {
                return Err(invalid("`with` needs a `template`"));
            }
            if text.is_none() && html.is_none() {
                return Err(invalid("there is neither a `template` nor a `text`"));
            }
            return Ok(Texts { subject, text, html });
        };
        if text.is_some() || html.is_some() {
            return Err(invalid("`template` excludes `text` and `html`"));
        }
        let Some(template) = cx.templates.get(&name) else {
            return Err(family.error("template", format!("there is no template `{}`", quotable(&name, &[]))));
        };
        let params = Json::Object(with.unwrap_or_default());
        let rendered = template::render(template, message, &params)
            .map_err(|error| family.error("template", format!("template `{name}`: {error}")))?;
        Ok(Texts { subject: subject.or(rendered.subject), text: rendered.text, html: rendered.html })
    }
}

/// The beginning of a text, at most [`SHOWN_BYTES_MAX`], whole characters.
pub(crate) fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)]
}

fn invalid(message: &str) -> StepError {
    StepError::new(crate::body::INVALID_INPUT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let fits = "x".repeat(SHOWN_BYTES_MAX);
        assert_eq!(shown(&fits), fits);
        assert_eq!(shown(&format!("{fits}y")), fits);
        let odd = format!("{}é", "x".repeat(SHOWN_BYTES_MAX - 1));
        assert_eq!(shown(&odd).len(), SHOWN_BYTES_MAX - 1);
    }
}
