//! Types and JSON Schema 2020-12.

use std::fmt;

use indexmap::IndexMap;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value as Json, json};

use super::{Field, Type};
use crate::source::Span;
use crate::time::Period;
use crate::value::Value;

/// How many `$ref`s may lead to one another before the rest is taken as any value.
const REFERENCES_MAX: usize = 32;

/// Keywords that say nothing about what is valid.
const ANNOTATIONS: [&str; 12] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// A JSON Schema, compiled.
pub struct Schema {
    json: Json,
    shape: Type,
    validator: Validator,
}

/// A JSON document that is no JSON Schema 2020-12.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct SchemaError {
    /// JSON pointer of the part that is wrong.
    pub pointer: String,
    /// One lower-case phrase.
    pub message: String,
}

impl Schema {
    /// The schema as written.
    pub fn json(&self) -> &Json {
        &self.json
    }

    /// What of the schema is understood as a type; everything that fits the schema fits it.
    pub fn shape(&self) -> &Type {
        &self.shape
    }

    /// Everything in `json` that the schema does not allow: JSON pointer, and a message that does not quote the value,
    /// which may be large, or nobody's business.
    pub(super) fn violations<'a>(&'a self, json: &'a Json) -> impl Iterator<Item = (String, String)> + 'a {
        let errors = self.validator.iter_errors(json);
        errors.map(|error| (error.instance_path().to_string(), lower_first(&error.masked().to_string())))
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({})", self.json)
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Type {
    /// The type as JSON Schema 2020-12.
    ///
    /// Objects are open. What may be absent may also be null.
    pub fn to_schema(&self) -> Json {
        match self {
            Type::Any => json!({}),
            Type::Null => json!({"type": "null"}),
            Type::Bool => json!({"type": "boolean"}),
            Type::Int => json!({"type": "integer"}),
            Type::Number => json!({"type": "number"}),
            Type::String => json!({"type": "string"}),
            Type::Time => json!({"type": "string", "format": "date-time"}),
            Type::Date => json!({"type": "string", "format": "date"}),
            Type::Period => json!({"type": "string", "format": "duration"}),
            Type::Enum(members) => json!({"enum": members.iter().map(Value::to_json).collect::<Vec<_>>()}),
            Type::List(item) => json!({"type": "array", "items": item.to_schema()}),
            Type::Nullable(inner) => nullable(inner.to_schema()),
            Type::Schema(schema) => schema.json.clone(),
            Type::Object(fields) => {
                let properties: Map<String, Json> = fields
                    .iter()
                    .map(|(name, field)| {
                        let schema = field.ty.to_schema();
                        (name.clone(), if field.optional { nullable(schema) } else { schema })
                    })
                    .collect();
                let required = fields.iter().filter(|(_, field)| !field.optional).map(|(name, _)| name);
                json!({"type": "object", "properties": properties, "required": required.collect::<Vec<_>>()})
            }
        }
    }

    /// The type that a JSON Schema 2020-12 stands for: a plain type where it says no more than the notation can, otherwise
    /// [`Type::Schema`].
    ///
    /// An optional property may be null too, since that is how an absent one reads.
    ///
    /// # Errors
    /// The document is no JSON Schema, or refers to something outside of itself.
    pub fn from_schema(json: &Json) -> Result<Type, SchemaError> {
        let (shape, exact) = Reader { root: json, references: 0 }.read(json);
        if exact {
            return Ok(shape);
        }
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        // A duration may be written `1h30m`, here as everywhere.
        let options = options.with_format("duration", |text: &str| text.parse::<Period>().is_ok());
        let validator = options.with_pattern_options(PatternOptions::regex()).build(json).map_err(|error| {
            SchemaError { pointer: error.instance_path().to_string(), message: lower_first(&error.to_string()) }
        })?;
        Ok(Type::Schema(Schema { json: json.clone(), shape, validator }.into()))
    }
}

/// What is understood of a part of a schema, without compiling it. `root` is the whole, for references.
pub(crate) fn shape_of(part: &Json, root: &Json) -> Type {
    Reader { root, references: 0 }.read(part).0
}

fn nullable(schema: Json) -> Json {
    match schema.as_object() {
        // Everything fits already.
        Some(keywords) if keywords.is_empty() => schema,
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_lowercase);
    first.into_iter().flatten().chain(characters).collect()
}

/// Reads a schema as a type. Every result comes with whether it says all that the schema says.
struct Reader<'s> {
    root: &'s Json,
    references: usize,
}

impl<'s> Reader<'s> {
    fn read(&mut self, schema: &'s Json) -> (Type, bool) {
        let keywords = match schema {
            Json::Bool(true) => return (Type::Any, true),
            Json::Object(keywords) => keywords,
            _ => return (Type::Any, false),
        };
        let said: Vec<&str> =
            keywords.keys().map(String::as_str).filter(|keyword| !ANNOTATIONS.contains(keyword)).collect();
        if said.is_empty() {
            return (Type::Any, true);
        }
        if let Some(reference) = keywords.get("$ref") {
            let (ty, exact) = self.reference(reference);
            return (ty, exact && said.len() == 1);
        }
        if let Some(members) = keywords.get("enum") {
            // A type beside the members says nothing that they do not say themselves.
            let only = said.iter().all(|keyword| ["enum", "type"].contains(keyword));
            let (ty, exact) = enumeration(members);
            return (ty, exact && only);
        }
        if let Some(value) = keywords.get("const") {
            let only = said.iter().all(|keyword| ["const", "type"].contains(keyword));
            let (ty, exact) = enumeration(&Json::Array(vec![value.clone()]));
            return (ty, exact && only);
        }
        if let Some(Json::Array(members)) = keywords.get("anyOf").or_else(|| keywords.get("oneOf")) {
            let (ty, exact) = self.alternatives(members);
            return (ty, exact && said.len() == 1);
        }
        match keywords.get("type") {
            Some(Json::String(name)) => self.named(name, keywords, &said),
            Some(Json::Array(names)) => {
                let names: Vec<&str> = names.iter().filter_map(Json::as_str).filter(|name| *name != "null").collect();
                let null = keywords.get("type").and_then(Json::as_array).is_some_and(|all| all.len() > names.len());
                let (ty, exact) = match names[..] {
                    [name] => self.named(name, keywords, &said),
                    ["integer", "number"] | ["number", "integer"] => (Type::Number, said.len() == 1),
                    _ => (Type::Any, false),
                };
                (if null { or_null(ty) } else { ty }, exact)
            }
            // Properties without a type also let everything through that is no object.
            _ => (Type::Any, false),
        }
    }

    fn named(&mut self, name: &str, keywords: &'s Map<String, Json>, said: &[&str]) -> (Type, bool) {
        let only = |known: &[&str]| said.iter().all(|keyword| *keyword == "type" || known.contains(keyword));
        match name {
            "null" => (Type::Null, only(&[])),
            "boolean" => (Type::Bool, only(&[])),
            "integer" => (Type::Int, only(&[])),
            "number" => (Type::Number, only(&[])),
            "string" => match keywords.get("format").map(|format| format.as_str().unwrap_or_default()) {
                None => (Type::String, only(&[])),
                Some("date-time") => (Type::Time, only(&["format"])),
                Some("date") => (Type::Date, only(&["format"])),
                Some("duration") => (Type::Period, only(&["format"])),
                Some(_) => (Type::String, false),
            },
            "array" => match keywords.get("items") {
                Some(items) => {
                    let (item, exact) = self.read(items);
                    let tuple = keywords.contains_key("prefixItems");
                    let item = if tuple { Type::Any } else { item };
                    (Type::List(Box::new(item)), exact && only(&["items"]))
                }
                None => (Type::List(Box::new(Type::Any)), only(&[])),
            },
            "object" => match keywords.get("properties") {
                Some(Json::Object(properties)) => self.object(keywords, properties, &only),
                // An object of unknown keys: its fields may be read, so it is no closed object type.
                _ => (Type::Any, false),
            },
            _ => (Type::Any, false),
        }
    }

    fn object(
        &mut self,
        keywords: &'s Map<String, Json>,
        properties: &'s Map<String, Json>,
        only: &dyn Fn(&[&str]) -> bool,
    ) -> (Type, bool) {
        let required: Vec<&str> = match keywords.get("required") {
            Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        let open = matches!(keywords.get("additionalProperties"), None | Some(Json::Bool(true)));
        let declared = required.iter().all(|name| properties.contains_key(*name));
        let mut all_exact = open && declared && only(&["properties", "required", "additionalProperties"]);
        let mut fields = IndexMap::new();
        for (name, schema) in properties {
            let (ty, exact) = self.read(schema);
            let optional = !required.contains(&name.as_str());
            let ty = match ty {
                Type::Nullable(inner) if optional => *inner,
                ty => ty,
            };
            // The notation could not write these names.
            let plain = !name.is_empty() && !name.ends_with('?') && !name.ends_with("[]");
            all_exact &= exact && plain;
            fields.insert(name.clone(), Field { ty, optional, span: Span::NOWHERE });
        }
        (Type::Object(fields), all_exact)
    }

    fn reference(&mut self, reference: &'s Json) -> (Type, bool) {
        let target = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let root = self.root;
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(schema) if self.references < REFERENCES_MAX => {
                self.references += 1;
                let (ty, _) = self.read(schema);
                self.references -= 1;
                // Without the definitions around it the type stands for itself, but a cycle was cut somewhere inside.
                (ty, false)
            }
            _ => (Type::Any, false),
        }
    }

    /// Alternatives that a type can say: something or null, or single literals.
    fn alternatives(&mut self, members: &'s [Json]) -> (Type, bool) {
        let is_null = |member: &Json| member.get("type").and_then(Json::as_str) == Some("null");
        let others: Vec<&Json> = members.iter().filter(|member| !is_null(member)).collect();
        let null = others.len() < members.len();
        let (ty, exact) = match others[..] {
            [] => (Type::Null, true),
            [one] => self.read(one),
            _ => {
                let literals: Option<Vec<Json>> =
                    others.iter().map(|member| member.get("const").or_else(|| single(member)).cloned()).collect();
                match literals {
                    Some(literals) => enumeration(&Json::Array(literals)),
                    None => (Type::Any, false),
                }
            }
        };
        (if null { or_null(ty) } else { ty }, exact)
    }
}

/// The member of an enumeration that has only one.
fn single(schema: &Json) -> Option<&Json> {
    match schema.get("enum")?.as_array()?.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

fn or_null(ty: Type) -> Type {
    match ty {
        Type::Any | Type::Null | Type::Nullable(_) => ty,
        ty => Type::Nullable(Box::new(ty)),
    }
}

fn enumeration(members: &Json) -> (Type, bool) {
    let Json::Array(members) = members else { return (Type::Any, false) };
    if members.iter().any(|member| member.is_array() || member.is_object()) {
        return (Type::Any, false);
    }
    let values: Vec<Value> = members.iter().filter(|member| !member.is_null()).map(Value::from_json).collect();
    let null = values.len() < members.len();
    match (values.is_empty(), null) {
        (true, false) => (Type::Any, false),
        (true, true) => (Type::Null, true),
        (false, false) => (Type::Enum(values), true),
        (false, true) => (Type::Nullable(Box::new(Type::Enum(values))), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_may_be_compact_within_any_schema() {
        let duration = json!({"type": "string", "format": "duration"});
        for schema in [duration.clone(), json!({"type": "object", "properties": {"ttl": duration}, "minProperties": 1})]
        {
            let fits = |text: &str| {
                let value = if schema["type"] == "object" { json!({"ttl": text}) } else { json!(text) };
                Type::from_schema(&schema).unwrap().accept(&value).is_ok()
            };
            assert!(fits("1h30m") && fits("PT1H30M") && !fits("soon") && !fits("P1Y"), "{schema}");
        }
    }
}
