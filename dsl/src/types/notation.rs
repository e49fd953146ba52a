//! The compact notation: how types are written in YAML, and how a plan stores them.

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

use super::{Field, Type};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::{Entry, Node, Tree};
use crate::source::Span;
use crate::suggest::did_you_mean;
use crate::value::Value;

/// The names of types.
const NAMES: [(&str, Type); 8] = [
    ("string", Type::String),
    ("int", Type::Int),
    ("number", Type::Number),
    ("bool", Type::Bool),
    ("timestamp", Type::Time),
    ("date", Type::Date),
    ("duration", Type::Period),
    ("any", Type::Any),
];

/// What other notations call our types.
const FOREIGN: [(&str, &str); 16] = [
    ("boolean", "bool"),
    ("integer", "int"),
    ("long", "int"),
    ("float", "number"),
    ("double", "number"),
    ("decimal", "number"),
    ("text", "string"),
    ("str", "string"),
    ("uuid", "string"),
    ("email", "string"),
    ("datetime", "timestamp"),
    ("date-time", "timestamp"),
    ("time", "timestamp"),
    ("instant", "timestamp"),
    ("period", "duration"),
    ("json", "any"),
];

impl Type {
    /// Reads a type in the compact notation.
    ///
    /// What is wrong is added to `found` with the given code, at the exact token, and is [`Type::Any`] in the result.
    pub fn parse(node: &Node, code: Code, found: &mut Findings) -> Type {
        Notation { code, found }.read(node)
    }

    /// The type as JSON, for a stored plan; [`Type::from_notation`] reads it.
    ///
    /// This is the compact notation, with `{"$list": T}`, `{"$null": T}` and `{"$schema": …}` where that has no way to
    /// write a type as a value, and a `$` more in front of keys that start with one.
    pub fn to_notation(&self) -> Json {
        if let Some((name, _)) = NAMES.iter().find(|(_, ty)| ty == self) {
            return json!(name);
        }
        match self {
            Type::Enum(members) => members.iter().map(Value::to_json).collect(),
            Type::List(item) => suffixed(item, "[]", "$list"),
            Type::Nullable(inner) => suffixed(inner, "?", "$null"),
            Type::Schema(schema) => json!({"$schema": schema.json()}),
            Type::Object(fields) => {
                let field = |(name, field): (&String, &Field)| {
                    let escape = if name.starts_with('$') { "$" } else { "" };
                    let optional = if field.optional { "?" } else { "" };
                    (format!("{escape}{name}{optional}"), field.ty.to_notation())
                };
                Json::Object(fields.iter().map(field).collect())
            }
            _ => json!("null"),
        }
    }

    /// Reads what [`Type::to_notation`] wrote. All places are [`Span::NOWHERE`].
    ///
    /// # Errors
    /// One lower-case phrase; only for JSON that [`Type::to_notation`] did not write.
    pub fn from_notation(json: &Json) -> Result<Type, String> {
        match json {
            Json::String(text) if text == "null" => Ok(Type::Null),
            Json::String(text) => read_name(text).map_err(|_| format!("`{text}` is no type")),
            Json::Array(members) => Ok(Type::Enum(members.iter().map(Value::from_json).collect())),
            Json::Object(fields) => match fields.iter().next() {
                Some((tag, inner)) if tag == "$list" => Ok(Type::List(Box::new(Type::from_notation(inner)?))),
                Some((tag, inner)) if tag == "$null" => Ok(Type::Nullable(Box::new(Type::from_notation(inner)?))),
                Some((tag, inner)) if tag == "$schema" => Type::from_schema(inner).map_err(|error| error.to_string()),
                _ => stored_object(fields),
            },
            other => Err(format!("`{other}` is no type")),
        }
    }
}

fn suffixed(inner: &Type, suffix: &str, tag: &str) -> Json {
    match inner.to_notation() {
        Json::String(name) if name != "null" => json!(name + suffix),
        other => json!({ tag: other }),
    }
}

fn stored_object(fields: &Map<String, Json>) -> Result<Type, String> {
    let mut object = IndexMap::new();
    for (key, ty) in fields {
        let key = key.strip_prefix('$').unwrap_or(key);
        let (name, optional) = key.strip_suffix('?').map_or((key, false), |name| (name, true));
        object.insert(name.to_owned(), Field { ty: Type::from_notation(ty)?, optional, span: Span::NOWHERE });
    }
    Ok(Type::Object(object))
}

/// Reads a name with its suffixes; fails with the length of the name that is unknown.
fn read_name(text: &str) -> Result<Type, usize> {
    let end = text.find(['[', '?']).unwrap_or(text.len());
    let (_, named) = NAMES.iter().find(|(name, _)| *name == &text[..end]).ok_or(end)?;
    let mut ty = named.clone();
    let mut rest = &text[end..];
    while !rest.is_empty() {
        (ty, rest) = match (rest.strip_prefix("[]"), rest.strip_prefix('?')) {
            (Some(after), _) => (Type::List(Box::new(ty)), after),
            (None, Some(after)) if !matches!(ty, Type::Nullable(_)) => (Type::Nullable(Box::new(ty)), after),
            _ => return Err(text.len()),
        };
    }
    Ok(ty)
}

/// Makes findings of what is wrong in a notation.
struct Notation<'f> {
    code: Code,
    found: &'f mut Findings,
}

impl Notation<'_> {
    fn read(&mut self, node: &Node) -> Type {
        match &node.tree {
            Tree::String(text) => self.name(node, text),
            Tree::List(members) => self.enumeration(node, members),
            Tree::Map(entries) => self.object(entries),
            Tree::Null => {
                let help = format!("write one of {}", names());
                self.wrong(node.span, "a type is missing here", Some(help))
            }
            Tree::Bool(_) | Tree::Int(_) | Tree::Number(_) => {
                let help = format!("write one of {}, or a list of literals", names());
                self.wrong(node.span, "this is a value where a type is expected", Some(help))
            }
        }
    }

    fn wrong(&mut self, span: Span, message: impl Into<String>, help: Option<String>) -> Type {
        let diagnostic = Diagnostic::error(self.code, span, message);
        self.found.push(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
        Type::Any
    }

    fn name(&mut self, node: &Node, text: &str) -> Type {
        let wrong = match read_name(text) {
            Ok(ty) => return ty,
            Err(length) => &text[..length],
        };
        let span = match node.text_at {
            Some(at) => Span { file: node.span.file, start: at, end: at + wrong.len() },
            None => node.span,
        };
        let lower = wrong.to_lowercase();
        let help = match lower.as_str() {
            "object" | "map" | "record" => "write the fields as a map: `{name: string}`".to_owned(),
            "array" | "list" => "write the type of the items followed by `[]`, such as `string[]`".to_owned(),
            "null" => "write `?` behind the type that may be null, such as `string?`".to_owned(),
            _ => match FOREIGN.iter().find(|(name, _)| *name == lower) {
                Some((_, ours)) => format!("write `{ours}`"),
                None => did_you_mean(&lower, NAMES.map(|(name, _)| name))
                    .unwrap_or_else(|| format!("write one of {}, or a list of literals", names())),
            },
        };
        self.wrong(span, format!("unknown type `{wrong}`"), Some(help))
    }

    fn enumeration(&mut self, node: &Node, members: &[Node]) -> Type {
        if members.is_empty() {
            return self.wrong(node.span, "an enumeration needs at least one literal", None);
        }
        if let [only] = members
            && let Some(name) = only.as_str().filter(|name| read_name(name).is_ok())
        {
            let help = format!("for a list write `{name}[]`");
            return self.wrong(only.span, format!("`{name}` in brackets is an enumeration of one text"), Some(help));
        }
        let mut values: Vec<Value> = Vec::new();
        let mut null = false;
        for member in members {
            let value = match &member.tree {
                Tree::Null => {
                    null = true;
                    continue;
                }
                Tree::Bool(value) => Value::Bool(*value),
                Tree::Int(value) => Value::Int(*value),
                Tree::Number(value) => Value::Number(*value),
                Tree::String(text) => Value::from(text.as_str()),
                Tree::List(_) | Tree::Map(_) => {
                    self.wrong(member.span, "an enumeration holds literals only", None);
                    continue;
                }
            };
            if values.iter().any(|other| other.same(&value)) {
                self.wrong(member.span, format!("`{}` stands twice", value.to_text().unwrap_or_default()), None);
                continue;
            }
            values.push(value);
        }
        match (values.is_empty(), null) {
            (true, true) => Type::Null,
            (true, false) => Type::Any,
            (false, false) => Type::Enum(values),
            (false, true) => Type::Nullable(Box::new(Type::Enum(values))),
        }
    }

    fn object(&mut self, entries: &[Entry]) -> Type {
        let mut fields: IndexMap<String, Field> = IndexMap::new();
        for entry in entries {
            let mut name = entry.key.value.as_str();
            let (mut optional, mut lists) = (false, 0);
            loop {
                if let Some(before) = name.strip_suffix('?').filter(|_| !optional) {
                    optional = true;
                    name = before;
                } else if let Some(before) = name.strip_suffix("[]") {
                    lists += 1;
                    name = before;
                } else {
                    break;
                }
            }
            let span = entry.key.span;
            let mut ty = self.read(&entry.value);
            if name.is_empty() || name.ends_with('?') {
                self.wrong(span, format!("`{}` is no name of a field", entry.key.value), None);
                continue;
            }
            for _ in 0..lists {
                ty = Type::List(Box::new(ty));
            }
            // An optional field may be null anyway.
            let ty = match ty {
                Type::Nullable(inner) if optional => *inner,
                ty => ty,
            };
            if let Some(first) = fields.get(name) {
                let diagnostic = Diagnostic::error(self.code, span, format!("the field `{name}` stands twice"));
                self.found.push(diagnostic.related(first.span, "first here"));
                continue;
            }
            fields.insert(name.to_owned(), Field { ty, optional, span });
        }
        Type::Object(fields)
    }
}

fn names() -> String {
    NAMES.map(|(name, _)| format!("`{name}`")).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_types_read_back() {
        let field = |ty, optional| Field { ty, optional, span: Span::NOWHERE };
        let object = Type::Object(IndexMap::from([
            ("$list".to_owned(), field(Type::Int, false)),
            ("kind".to_owned(), field(Type::Enum(vec!["string".into(), Value::Int(1)]), true)),
            ("rows".to_owned(), field(Type::List(Box::new(Type::Object(IndexMap::new()))), false)),
            ("maybe".to_owned(), field(Type::Nullable(Box::new(Type::List(Box::new(Type::Time)))), false)),
            ("nulls".to_owned(), field(Type::List(Box::new(Type::Nullable(Box::new(Type::Null)))), false)),
        ]));
        let json = json!({
            "$$list": "int", "kind?": ["string", 1], "rows": {"$list": {}}, "maybe": "timestamp[]?",
            "nulls": {"$list": {"$null": "null"}}
        });
        assert_eq!(object.to_notation(), json);
        assert_eq!(Type::from_notation(&json), Ok(object));
        for wrong in [json!(1), json!("strnig"), json!({"a": "b"}), json!("string??"), json!("string[")] {
            assert!(Type::from_notation(&wrong).is_err(), "{wrong}");
        }
    }
}
