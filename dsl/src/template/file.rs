//! One file of a template: front matter and body.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value as Json;

use super::{TemplateError, environment};
use crate::project::Medium;

/// A template file, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateFile<'t> {
    /// What it is for.
    pub medium: Medium,
    /// `subject:` of the front matter.
    pub subject: Option<Subject>,
    /// `params:` of the front matter, in its order; none if it declares none.
    pub params: Option<Vec<Param>>,
    /// What follows the front matter.
    pub body: &'t str,
    /// The byte of the file at which the body starts.
    pub body_at: usize,
    /// The line of the file, from 1, on which the body starts.
    pub body_line: usize,
}

/// The subject of a mail, itself a small template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its text.
    pub text: String,
    /// The line of the file, from 1, on which it stands.
    pub line: usize,
    /// The bytes of that line.
    pub range: Range<usize>,
}

/// A declared parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name, without the question mark of an optional one.
    pub name: String,
    /// It may be left out, and is null then.
    pub optional: bool,
    /// Its type in the compact notation.
    pub notation: Json,
}

impl<'t> TemplateFile<'t> {
    /// Takes a file apart and checks that its texts can be read as templates.
    ///
    /// # Errors
    /// Front matter that is not closed, is not a mapping, or has other keys than `subject` and `params`; a body or
    /// subject that minijinja cannot read.
    pub fn parse(medium: Medium, text: &'t str) -> Result<Self, TemplateError> {
        let mut file = TemplateFile { medium, subject: None, params: None, body: text, body_at: 0, body_line: 1 };
        if let Some(front) = Front::find(medium, text)? {
            file.body = &text[front.end..];
            file.body_at = front.end;
            file.body_line = front.lines + 1;
            file.read(&front)?;
        }
        environment::compile(&file)?;
        Ok(file)
    }

    /// The names that the body and the subject read and do not make themselves.
    pub fn reads(&self) -> BTreeSet<String> {
        environment::reads(self)
    }

    fn read(&mut self, front: &Front<'_>) -> Result<(), TemplateError> {
        let medium = self.medium;
        let wrong = |(line, range): (usize, Range<usize>), message: String| TemplateError {
            medium: Some(medium),
            message,
            line,
            range: Some(range),
        };
        let whole = || (1, 0..front.end);
        let tree: Json = match serde_yaml::from_str(front.yaml) {
            Ok(tree) => tree,
            Err(error) => {
                let line = error.location().map_or(1, |at| at.line() + 1);
                return Err(wrong(front.line(line), format!("the front matter is not YAML: {error}")));
            }
        };
        let entries = match tree {
            Json::Null => return Ok(()),
            Json::Object(entries) => entries,
            _ => return Err(wrong(whole(), "the front matter is a mapping of `subject` and `params`".to_owned())),
        };
        for (key, value) in entries {
            let (line, range) = front.key(&key).unwrap_or_else(whole);
            match (key.as_str(), value) {
                ("subject", Json::String(text)) => self.subject = Some(Subject { text, line, range }),
                ("subject", _) => return Err(wrong((line, range), "`subject` is a text".to_owned())),
                ("params", Json::Object(params)) => {
                    self.params = Some(params.into_iter().map(Param::new).collect());
                }
                ("params", _) => {
                    return Err(wrong((line, range), "`params` is a mapping of names to types".to_owned()));
                }
                (other, _) => {
                    let message = format!("unknown key `{other}` in the front matter; it has `subject` and `params`");
                    return Err(wrong((line, range), message));
                }
            }
        }
        Ok(())
    }
}

impl Param {
    fn new((key, notation): (String, Json)) -> Param {
        // `key[]` is a list, `key?` may be left out; both are said in the notation of types.
        let name = key.trim_end_matches(['?', '[', ']']).to_owned();
        Param { name, optional: key.contains('?'), notation }
    }
}

/// Where the front matter stands.
struct Front<'t> {
    text: &'t str,
    /// What stands between the two lines of dashes.
    yaml: &'t str,
    /// The byte after the second line of dashes.
    end: usize,
    /// How many lines there are up to and with the second line of dashes.
    lines: usize,
}

impl<'t> Front<'t> {
    fn find(medium: Medium, text: &'t str) -> Result<Option<Front<'t>>, TemplateError> {
        let mut at = 0;
        let mut start = 0;
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let is_fence = line.trim_end() == "---";
            if index == 0 && !is_fence {
                return Ok(None);
            }
            let end = at + line.len();
            match index {
                0 => start = end,
                _ if is_fence => {
                    return Ok(Some(Front { text, yaml: &text[start..at], end, lines: index + 1 }));
                }
                _ => {}
            }
            at = end;
        }
        if text.is_empty() {
            return Ok(None);
        }
        let message = "the front matter has no closing `---`".to_owned();
        Err(TemplateError { medium: Some(medium), message, line: 1, range: Some(0..3) })
    }

    /// The line on which a top-level key stands.
    fn key(&self, key: &str) -> Option<(usize, Range<usize>)> {
        let opens = |line: &str| {
            let line = line.trim_start_matches(['"', '\'']);
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
        };
        let number = self.text[..self.end].lines().position(opens)?;
        Some(self.line(number + 1))
    }

    /// A line of the file by its number, from 1, with its bytes.
    fn line(&self, number: usize) -> (usize, Range<usize>) {
        let mut at = 0;
        for (index, line) in self.text.split_inclusive('\n').enumerate() {
            if index + 1 == number {
                return (number, at..at + line.trim_end().len());
            }
            at += line.len();
        }
        (1, 0..3)
    }
}
