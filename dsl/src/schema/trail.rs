//! The way that a validator took through a schema, and what stands along it.

use serde_json::Value as Json;

use super::mistake::mentions;
use crate::node::Node;

/// The annotation that says what to write instead of a key.
pub(super) const INSTEAD: &str = "x-instead";

/// The way from the root of a schema to the keyword that failed.
pub(super) struct Trail<'s> {
    /// The schema that has the keyword.
    pub(super) holder: &'s Json,
    /// The phrase for what is expected at the place of the value.
    title: Option<&'s str>,
    /// Property names of the schemas along the way, with how deep in the value they count.
    names: Vec<(usize, Vec<String>)>,
    depth: usize,
    /// The definitions along the way.
    definitions: Vec<&'s str>,
    /// The way led to what holds when no other alternative is meant.
    pub(super) otherwise: bool,
}

impl<'s> Trail<'s> {
    /// Follows an evaluation path, whose last part is the keyword.
    pub(super) fn follow(root: &'s Json, path: &str) -> Trail<'s> {
        let mut trail =
            Trail { holder: root, title: None, names: Vec::new(), depth: 0, definitions: Vec::new(), otherwise: false };
        trail.enter(root);
        let parts: Vec<String> = super::segments(path).collect();
        let mut parts = parts.iter().take(parts.len().saturating_sub(1)).map(String::as_str);
        while let Some(part) = parts.next() {
            match part {
                "$ref" => {
                    let target = trail.holder.get("$ref").and_then(Json::as_str).unwrap_or_default();
                    trail.definitions.push(target.rsplit('/').next().unwrap_or_default());
                    let pointer = target.trim_start_matches('#');
                    trail.step(root.pointer(pointer));
                }
                "properties" | "patternProperties" => {
                    let map = trail.holder.get(part);
                    trail.deeper();
                    trail.step(parts.next().and_then(|name| map?.get(name)));
                }
                "additionalProperties" | "items" | "unevaluatedProperties" => {
                    let next = trail.holder.get(part);
                    trail.deeper();
                    trail.step(next);
                }
                "prefixItems" => {
                    let list = trail.holder.get(part);
                    trail.deeper();
                    trail.step(parts.next().and_then(|index| list?.get(index.parse::<usize>().ok()?)));
                }
                "anyOf" | "oneOf" | "allOf" => {
                    let list = trail.holder.get(part);
                    trail.step(parts.next().and_then(|index| list?.get(index.parse::<usize>().ok()?)));
                }
                other => {
                    trail.otherwise |= other == "else";
                    let next = trail.holder.get(other);
                    trail.step(next);
                }
            }
        }
        trail
    }

    fn deeper(&mut self) {
        self.depth += 1;
        self.title = None;
        self.definitions.clear();
        self.otherwise = false;
    }

    fn step(&mut self, schema: Option<&'s Json>) {
        if let Some(schema) = schema {
            self.holder = schema;
            self.enter(schema);
        }
    }

    fn enter(&mut self, schema: &'s Json) {
        if let Some(title) = schema.get("title").and_then(Json::as_str) {
            self.title = Some(title);
        }
        if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
            self.names.push((self.depth, properties.keys().cloned().collect()));
        }
    }

    /// The keys that are legal where the keyword failed.
    pub(super) fn legal(&self) -> Vec<String> {
        let here = self.names.iter().filter(|(depth, _)| *depth == self.depth);
        let mut names: Vec<String> = Vec::new();
        for name in here.flat_map(|(_, names)| names) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The keys that are legal in the nearest map around that one.
    pub(super) fn above(&self) -> Vec<String> {
        let around = self.names.iter().map(|(depth, _)| *depth).filter(|depth| *depth < self.depth).max();
        let maps = self.names.iter().filter(|(depth, _)| Some(*depth) == around);
        maps.flat_map(|(_, names)| names.clone()).collect()
    }

    /// The keys here under which a key would be legal.
    pub(super) fn below(&self, root: &Json, key: &str) -> Vec<String> {
        let properties = self.holder.get("properties").and_then(Json::as_object).into_iter().flatten();
        let has =
            |schema: &Json| resolve(root, schema).pointer("/properties").is_some_and(|map| map.get(key).is_some());
        properties.filter(|(_, schema)| has(schema)).map(|(name, _)| name.clone()).collect()
    }

    /// What to do about a field that is missing here.
    pub(super) fn add(&self, root: &Json, name: &str) -> String {
        if self.otherwise {
            return format!("write {}", self.expected());
        }
        let field = self.holder.get("properties").and_then(|fields| fields.get(name));
        let field = field.map(|field| resolve(root, field)).filter(|field| field.is_object());
        match field.map(|field| (field.get("title").and_then(Json::as_str), field)) {
            Some((Some(title), _)) => format!("add `{name}`, {title}"),
            Some((None, field)) => format!("add `{name}`, {}", describe(field)),
            None => format!("add `{name}`"),
        }
    }

    /// What to write here instead of a key, as the schema's author foresaw it; `*` stands for any key.
    pub(super) fn instead(&self, key: &str) -> Option<&'s str> {
        self.holder.get(INSTEAD)?.get(key)?.as_str()
    }

    /// Whether a map has a key instead of which this one should be written, or one of another alternative.
    pub(super) fn has_instead_of(&self, name: &str, map: &Node) -> bool {
        let mut helps = map.entries().iter().filter_map(|entry| self.instead(&entry.key.value));
        helps.any(|help| self.otherwise || mentions(help, name))
    }

    /// Whether the way led through a definition since the value was entered.
    pub(super) fn through(&self, definition: &str) -> bool {
        self.definitions.contains(&definition)
    }

    /// A phrase for what the schema expects, such as "a text".
    pub(super) fn expected(&self) -> String {
        match self.title {
            Some(title) => title.to_owned(),
            None => describe(self.holder),
        }
    }
}

/// The schema that a `$ref` of ours names; any other as it is.
pub(super) fn resolve<'s>(root: &'s Json, schema: &'s Json) -> &'s Json {
    let target = schema.get("$ref").and_then(Json::as_str).and_then(|target| target.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

/// A phrase for a schema without a title.
fn describe(schema: &Json) -> String {
    if let Some(options) = schema.get("enum").and_then(Json::as_array) {
        return options_of(options);
    }
    if let Some(value) = schema.get("const") {
        return options_of(std::slice::from_ref(value));
    }
    match schema.get("type") {
        Some(Json::String(name)) => phrase(name, schema),
        Some(Json::Array(names)) => {
            let names = names.iter().filter_map(Json::as_str).filter(|name| *name != "null");
            super::joined(&names.map(|name| phrase(name, schema)).collect::<Vec<_>>(), "or")
        }
        _ => of_branches(schema),
    }
}

fn of_branches(schema: &Json) -> String {
    for keyword in ["anyOf", "oneOf"] {
        if let Some(branches) = schema.get(keyword).and_then(Json::as_array) {
            let mut phrases: Vec<String> = branches
                .iter()
                .filter(|branch| branch.get("type") != Some(&Json::from("null")))
                .map(describe)
                .collect();
            phrases.dedup();
            return super::joined(&phrases, "or");
        }
    }
    "something else".to_owned()
}

fn options_of(options: &[Json]) -> String {
    let names: Vec<String> = options
        .iter()
        .filter(|option| !option.is_null())
        .map(|option| match option {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect();
    super::listed(&names, "or")
}

fn phrase(type_name: &str, schema: &Json) -> String {
    let phrase = match type_name {
        "string" if schema.get("minLength").is_some() => "a text that is not empty",
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "a map",
        _ => "nothing",
    };
    let mut phrase = phrase.to_owned();
    if matches!(type_name, "integer" | "number") {
        if let Some(minimum) = schema.get("minimum").and_then(Json::as_i64) {
            phrase.push_str(&format!(" from {minimum}"));
        }
        if let Some(maximum) = schema.get("maximum").and_then(Json::as_i64) {
            phrase.push_str(&format!(" to {maximum}"));
        }
    }
    phrase
}
