//! A YAML value with expressions in it, filled in at run time.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::expr::{EvalError, Expr, ParseError, RESULT_BYTES_MAX, Scope, closing_brace};
use crate::node::{Node, Tree};
use crate::source::{Span, Spanned};
use crate::value::{Object, Value};

/// A YAML value in which any string may hold `${ }`.
#[derive(Clone, Debug)]
pub enum Form {
    /// A scalar without an expression.
    Literal(Value, Span),
    /// `${ expr }` as the whole value; keeps its type.
    Expr(Expr),
    /// Text with expressions in it; gives a string.
    Text(Vec<Part>, Span),
    /// A list.
    List(Vec<Form>, Span),
    /// An object in the order of the file.
    Object(Vec<(Spanned<String>, Form)>, Span),
}

/// A piece of a [`Form::Text`].
#[derive(Clone, Debug)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// An expression that gives a string, int, number, bool, timestamp, duration or date.
    Expr(Expr),
}

impl Form {
    /// Reads a YAML value. Strings are taken apart into text and `${ }`; `$${` is a literal `${`.
    ///
    /// What is wrong is added to `found` as `wf::expression` (or `wf::literal`), and stands in the form as an expression
    /// of which nothing is known.
    pub fn parse(node: &Node, found: &mut Findings) -> Form {
        match &node.tree {
            Tree::Null => Form::Literal(Value::Null, node.span),
            Tree::Bool(value) => Form::Literal(Value::Bool(*value), node.span),
            Tree::Int(value) => Form::Literal(Value::Int(*value), node.span),
            Tree::Number(value) => Form::Literal(Value::Number(*value), node.span),
            Tree::String(text) => {
                let place = Place { node: node.span, text_at: node.text_at };
                if check_braces(text, place, found) {
                    return Form::Expr(Expr::broken(text, node.span));
                }
                read_text(text, place).unwrap_or_else(|error| {
                    found.push(error.into());
                    Form::Expr(Expr::broken(text, node.span))
                })
            }
            Tree::List(items) => Form::List(items.iter().map(|item| Form::parse(item, found)).collect(), node.span),
            Tree::Map(entries) => {
                let fields = entries.iter().map(|entry| (entry.key.clone(), Form::parse(&entry.value, found)));
                Form::Object(fields.collect(), node.span)
            }
        }
    }

    /// Reads a YAML value of a field in which nothing is evaluated: every `${` in it is `wf::expression`.
    pub fn parse_literal(node: &Node, found: &mut Findings) -> Form {
        match &node.tree {
            Tree::String(text) => match literal_text(node, text, found) {
                Some(text) => Form::Literal(text.into(), node.span),
                None => Form::Expr(Expr::broken(text, node.span)),
            },
            Tree::List(items) => {
                Form::List(items.iter().map(|item| Form::parse_literal(item, found)).collect(), node.span)
            }
            Tree::Map(entries) => {
                let fields = entries.iter().map(|entry| (entry.key.clone(), Form::parse_literal(&entry.value, found)));
                Form::Object(fields.collect(), node.span)
            }
            _ => Form::parse(node, found),
        }
    }

    /// The text of a scalar of a field in which nothing is evaluated, with `$${` as `${`.
    ///
    /// None if it holds a `${` or `{{`, which is reported, or if the scalar is no text, which is not.
    pub fn literal_text(node: &Node, found: &mut Findings) -> Option<String> {
        literal_text(node, node.as_str()?, found)
    }

    /// Where the form stands.
    pub fn span(&self) -> Span {
        match self {
            Form::Expr(expr) => expr.span(),
            Form::Literal(_, span) | Form::Text(_, span) | Form::List(_, span) | Form::Object(_, span) => *span,
        }
    }

    /// The value with every expression evaluated in `scope`.
    ///
    /// # Errors
    /// The first expression that fails, in the order of the file. `expr.type` for null, a list or an object inside of
    /// text; `expr.limit` for a text of more than 1 MiB.
    pub fn fill(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        match self {
            Form::Literal(value, _) => Ok(value.clone()),
            Form::Expr(expr) => expr.eval(scope),
            Form::Text(parts, span) => fill_text(parts, *span, scope),
            Form::List(items, _) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| item.fill(scope)).collect();
                Ok(items?.into())
            }
            Form::Object(fields, _) => {
                let mut object = Object::with_capacity(fields.len());
                for (name, value) in fields {
                    object.insert(name.value.clone(), value.fill(scope)?);
                }
                Ok(object.into())
            }
        }
    }

    /// The value, if the form holds no expression.
    pub fn literal(&self) -> Option<Value> {
        match self {
            Form::Literal(value, _) => Some(value.clone()),
            Form::Expr(_) | Form::Text(..) => None,
            Form::List(items, _) => items.iter().map(Form::literal).collect::<Option<Vec<_>>>().map(Value::from),
            Form::Object(fields, _) => {
                let fields = fields.iter().map(|(name, value)| Some((name.value.clone(), value.literal()?)));
                fields.collect::<Option<Object>>().map(Value::from)
            }
        }
    }

    /// The field of an object form.
    pub fn get(&self, name: &str) -> Option<&Form> {
        match self {
            Form::Object(fields, _) => fields.iter().find(|(key, _)| key.value == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// All expressions in the form, in the order of the file.
    pub fn exprs(&self) -> Vec<&Expr> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'f>(&'f self, found: &mut Vec<&'f Expr>) {
        match self {
            Form::Literal(..) => {}
            Form::Expr(expr) => found.push(expr),
            Form::Text(parts, _) => found.extend(parts.iter().filter_map(|part| match part {
                Part::Expr(expr) => Some(expr),
                Part::Text(_) => None,
            })),
            Form::List(items, _) => items.iter().for_each(|item| item.collect(found)),
            Form::Object(fields, _) => fields.iter().for_each(|(_, value)| value.collect(found)),
        }
    }

    /// The form as JSON whose strings hold `${ }` again, for a stored plan. Expressions are in their canonical spelling,
    /// so that layout does not count. [`Form::from_json`] reads it.
    pub fn to_json(&self) -> Json {
        match self {
            Form::Literal(Value::String(text), _) => Json::String(escape(text)),
            // Scalars of YAML stand as themselves in JSON; a whole double keeps its `.0`.
            Form::Literal(value, _) => serde_json::to_value(value).unwrap_or_default(),
            Form::Expr(expr) => Json::String(format!("${{ {expr} }}")),
            Form::Text(parts, _) => {
                let parts = parts.iter().map(|part| match part {
                    Part::Text(text) => escape(text),
                    Part::Expr(expr) => format!("${{ {expr} }}"),
                });
                Json::String(parts.collect())
            }
            Form::List(items, _) => Json::Array(items.iter().map(Form::to_json).collect()),
            Form::Object(fields, _) => {
                Json::Object(fields.iter().map(|(name, value)| (name.value.clone(), value.to_json())).collect())
            }
        }
    }

    /// Reads what [`Form::to_json`] wrote. All places are [`Span::NOWHERE`].
    ///
    /// # Errors
    /// The first expression that cannot be parsed.
    pub fn from_json(json: &Json) -> Result<Form, ParseError> {
        let nowhere = Span::NOWHERE;
        Ok(match json {
            Json::String(text) => read_text(text, Place { node: nowhere, text_at: None })?,
            Json::Array(items) => Form::List(items.iter().map(Form::from_json).collect::<Result<_, _>>()?, nowhere),
            Json::Object(fields) => {
                let field = |(name, value): (&String, &Json)| {
                    Ok((Spanned::new(name.clone(), nowhere), Form::from_json(value)?))
                };
                Form::Object(fields.iter().map(field).collect::<Result<_, ParseError>>()?, nowhere)
            }
            scalar => Form::Literal(Value::from_json(scalar), nowhere),
        })
    }
}

fn literal_text(node: &Node, text: &str, found: &mut Findings) -> Option<String> {
    let place = Place { node: node.span, text_at: node.text_at };
    if check_braces(text, place, found) {
        return None;
    }
    if let Some(at) = pieces(text).find_map(|piece| match piece {
        Piece::Open(at) => Some(at),
        Piece::Text(_) => None,
    }) {
        let end = closing_brace(&text[at + 2..]).map_or(text.len(), |length| at + 2 + length + 1);
        let diagnostic = Diagnostic::error(Code::EXPRESSION, place.part(at, end), "nothing is evaluated in this field")
            .help("write the value itself; a literal `${` is written `$${`");
        found.push(diagnostic);
        return None;
    }
    Some(text.replace("$${", "${"))
}

/// Where a text stands in its file.
#[derive(Clone, Copy)]
struct Place {
    node: Span,
    text_at: Option<usize>,
}

impl Place {
    fn part(self, start: usize, end: usize) -> Span {
        match self.text_at {
            Some(at) => Span { file: self.node.file, start: at + start, end: at + end },
            None => self.node,
        }
    }
}

/// Reports a `{{` outside of expressions; says whether there is one.
fn check_braces(text: &str, place: Place, found: &mut Findings) -> bool {
    let mut rest = 0;
    for piece in pieces(text) {
        let (start, end, next) = match piece {
            Piece::Text(end) => (rest, end, end),
            Piece::Open(at) => (rest, at, text.len()),
        };
        if let Some(braces) = text[start..end].find("{{") {
            let at = start + braces;
            let after = text[at..].find("}}").map_or(at + 2, |length| at + length + 2);
            let diagnostic =
                Diagnostic::error(Code::EXPRESSION, place.part(at, after), "`{{ }}` is not evaluated in YAML files")
                    .help("write `${ … }`; `{{ }}` stands in template files");
            found.push(diagnostic);
            return true;
        }
        rest = match piece {
            Piece::Open(at) => closing_brace(&text[at + 2..]).map_or(next, |length| at + 2 + length + 1),
            Piece::Text(_) => next,
        };
    }
    false
}

/// What a text is made of.
enum Piece {
    /// Text up to this byte, at which a `$${` ends or the whole text does.
    Text(usize),
    /// A `${` at this byte.
    Open(usize),
}

/// The pieces of a text. An expression after a `${` is skipped as a whole.
fn pieces(text: &str) -> impl Iterator<Item = Piece> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = text.get(from..).filter(|rest| !rest.is_empty())?;
        let Some(open) = rest.find("${").map(|offset| from + offset) else {
            from = text.len();
            return Some(Piece::Text(from));
        };
        if open > from && text.as_bytes()[open - 1] == b'$' {
            from = open + 2;
            return Some(Piece::Text(from));
        }
        from = closing_brace(&text[open + 2..]).map_or(text.len(), |length| open + 2 + length + 1);
        Some(Piece::Open(open))
    })
}

fn read_text(text: &str, place: Place) -> Result<Form, ParseError> {
    let mut parts: Vec<Part> = Vec::new();
    let mut literal = String::new();
    let mut from = 0;
    for piece in pieces(text) {
        match piece {
            Piece::Text(end) => {
                literal.push_str(&text[from..end].replace("$${", "${"));
                from = end;
            }
            Piece::Open(at) => {
                literal.push_str(&text[from..at]);
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                let start = at + 2;
                let Some(length) = closing_brace(&text[start..]) else {
                    return Err(unclosed(place, at, text));
                };
                let (inner, exact) = (&text[start..start + length], place.text_at.is_some());
                // The span is that of the expression itself, without the space inside the braces.
                let leading = inner.len() - inner.trim_start().len();
                let trimmed = inner.trim();
                let (inner, offset) = if trimmed.is_empty() { (inner, start) } else { (trimmed, start + leading) };
                let span = place.part(offset, offset + inner.len());
                parts.push(Part::Expr(Expr::parse(inner, span, exact)?));
                from = start + length + 1;
            }
        }
    }
    // A block scalar ends with a line break that its author did not mean as text.
    let only_break = !literal.is_empty() && literal.chars().all(|character| matches!(character, '\n' | '\r'));
    if let ([Part::Expr(expr)], true) = (&*parts, literal.is_empty() || only_break) {
        return Ok(Form::Expr(expr.clone()));
    }
    if parts.is_empty() {
        return Ok(Form::Literal(literal.into(), place.node));
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(Form::Text(parts, place.node))
}

fn unclosed(place: Place, at: usize, text: &str) -> ParseError {
    ParseError {
        code: Code::EXPRESSION,
        message: "this `${` is never closed".to_owned(),
        help: Some("end the expression with `}`; a literal `${` is written `$${`".to_owned()),
        span: place.part(at, (at + 2).min(text.len())),
        at: crate::expr::ast::At::default(),
    }
}

fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

fn fill_text(parts: &[Part], span: Span, scope: &dyn Scope) -> Result<Value, EvalError> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Expr(expr) => {
                let value = expr.eval(scope)?;
                let shown: Arc<str> = value.to_text().ok_or_else(|| EvalError {
                    code: "expr.type",
                    message: format!("{} cannot stand in text", value.a_type()),
                    snippet: expr.text().to_owned(),
                    span: expr.span(),
                })?;
                text.push_str(&shown);
            }
        }
        if text.len() > RESULT_BYTES_MAX {
            let message = "the text is longer than 1 MiB".to_owned();
            return Err(EvalError { code: "expr.limit", message, snippet: String::new(), span });
        }
    }
    Ok(text.into())
}
