//! `wf kinds`

mod core;

use serde_json::{Map, Value as Json};
use wf_dsl::{Catalog, Effect, Kind, did_you_mean};

use crate::exit::{Exit, Failure};
use crate::terminal::{Look, data, wrapped};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The kind to describe, such as `email`
    name: Option<String>,
    /// Print the catalog, or the kind, as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let catalog = wf_stdlib::catalog();
    let look = Look::stdout();
    let shown = match (&args.name, args.json) {
        (None, true) => format!("{:#}\n", json(&catalog)),
        (None, false) => list(&catalog, look),
        (Some(name), is_json) => match (catalog.get(name), core::find(name)) {
            (Some(kind), _) if is_json => format!("{:#}\n", json(kind)),
            (Some(kind), _) => page(kind, look),
            (None, Some(core)) if is_json => {
                let failure = Failure::usage(format!("`{}` is a part of the language and in no catalog", core.name));
                return Err(failure.help("`wf schema workflow` has its shape"));
            }
            (None, Some(core)) => core.page(look),
            (None, None) => return Err(unknown(name, &catalog)),
        },
    };
    data(&shown)?;
    Ok(Exit::Success)
}

fn unknown(name: &str, catalog: &Catalog) -> Failure {
    let known = core::ALL.iter().map(|core| core.name).chain(catalog.iter().map(|kind| kind.name.as_str()));
    let help = did_you_mean(name, known).unwrap_or_else(|| "`wf kinds` lists all kinds".to_owned());
    Failure::new(Exit::NotFound, format!("there is no kind `{name}`")).help(help)
}

fn json(described: &impl serde::Serialize) -> Json {
    serde_json::to_value(described).expect("what describes a kind is JSON")
}

fn list(catalog: &Catalog, look: Look) -> String {
    let flow: Vec<_> = core::ALL.iter().map(|core| (core.name, core.description)).collect();
    let effects: Vec<_> = catalog.iter().map(|kind| (kind.name.as_str(), kind.description.as_str())).collect();
    let column = effects.iter().chain(&flow).map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let rows = |rows: &[(&str, &str)]| -> String {
        rows.iter().map(|(name, description)| row(&[(name, column)], description, look)).collect()
    };
    format!(
        "{}\n{}\n{}\n{}\n`wf kinds NAME` describes one.\n",
        look.bold("Effects"),
        rows(&effects),
        look.bold("Flow"),
        rows(&flow),
    )
}

/// Everything about a kind.
fn page(kind: &Kind, look: Look) -> String {
    let mut shown = format!("{}: {}\n\n", look.bold(&kind.name), kind.description);
    shown.push_str(&wrapped(&format!("Effect: {}", effect(kind.effect)), 2, look.width));
    if !kind.connections.is_empty() {
        shown.push_str(&format!("Connection: of kind {}\n", kind.connections.join(" or ")));
    }
    section(&mut shown, "Body", &fields(&kind.body, look), look);
    section(&mut shown, "Output", &output(kind, look), look);
    let column = kind.errors.iter().map(|error| error.code.len()).max().unwrap_or(0) + 2;
    let errors = kind.errors.iter().map(|error| {
        let word = if error.retriable { "retried if there is a policy" } else { "final, unless a policy names it" };
        row(&[(&error.code, column)], word, look)
    });
    section(&mut shown, "Errors", &errors.collect::<String>(), look);
    let examples: Vec<_> = kind.examples.iter().map(|example| step(&kind.name, example)).collect();
    section(&mut shown, "Examples", &examples.join("\n"), look);
    shown
}

fn section(shown: &mut String, title: &str, text: &str, look: Look) {
    if !text.is_empty() {
        shown.push_str(&format!("\n{}\n{text}", look.bold(title)));
    }
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Pure => "none outside",
        Effect::Idempotent => "doing it twice is the same as doing it once",
        Effect::Keyed => "each attempt carries the same idempotency key, and the peer does it once",
        Effect::Unsafe => "a retry may visibly repeat it",
    }
}

fn output(kind: &Kind, look: Look) -> String {
    let mut shown = fields(&kind.output, look);
    if shown.is_empty() {
        shown = row(&[], &shape(&kind.output), look);
    }
    if kind.open_output {
        let place = kind.returns_at.trim_start_matches('/');
        let what = if place.is_empty() { "it".to_owned() } else { format!("`{place}`") };
        shown.push_str(&row(&[], &format!("`returns` of the step declares the type of {what}"), look));
    }
    shown
}

/// A line for each field of an object's schema.
fn fields(schema: &Json, look: Look) -> String {
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return String::new() };
    let is_required = |name: &str| {
        let required = schema.get("required").and_then(Json::as_array);
        required.is_some_and(|required| required.iter().any(|one| one == name))
    };
    let names = |(name, field): (&String, &Json)| {
        (if is_required(name) { name.clone() } else { format!("{name}?") }, shape(field))
    };
    let named: Vec<(String, String)> = properties.iter().map(names).collect();
    let name_column = named.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let shape_column = named.iter().map(|(_, shape)| shape.len()).max().unwrap_or(0).min(24) + 2;
    let descriptions =
        properties.values().map(|field| field.get("description").and_then(Json::as_str).unwrap_or_default());
    named
        .iter()
        .zip(descriptions)
        .map(|((name, shape), description)| row(&[(name, name_column), (shape, shape_column)], description, look))
        .collect()
}

/// Cells in columns, then a text that is wrapped below itself.
fn row(cells: &[(&str, usize)], text: &str, look: Look) -> String {
    let head: String = cells.iter().map(|(cell, column)| format!("{cell:<column$}")).collect();
    let column: usize = cells.iter().map(|(_, column)| column).sum();
    wrapped(&format!("  {head}{}", text.replace('\n', " ")), 2 + column, look.width)
}

/// What a schema allows, in a few words.
fn shape(schema: &Json) -> String {
    let text = |key: &str| schema.get(key).and_then(Json::as_str);
    if let Some(Json::Array(members)) = schema.get("enum") {
        let members = members.iter().filter(|member| !member.is_null());
        return members
            .map(|member| member.as_str().map_or(member.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join("|");
    }
    if let Some(constant) = schema.get("const") {
        return constant.as_str().map_or(constant.to_string(), str::to_owned);
    }
    if let Some(alternatives) = schema.get("anyOf").or(schema.get("oneOf")).and_then(Json::as_array) {
        let mut shapes: Vec<String> = alternatives.iter().map(shape).filter(|shape| shape != "null").collect();
        shapes.dedup();
        return shapes.join(" or ");
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).filter(|one| *one != "null").collect(),
        _ => return "any".to_owned(),
    };
    let word = |one: &&str| match *one {
        "string" if text("format") == Some("date-time") => "timestamp".to_owned(),
        "array" => schema.get("items").map_or("list".to_owned(), |item| format!("{}[]", shape(item))),
        "integer" => "int".to_owned(),
        "boolean" => "bool".to_owned(),
        "object" => "map".to_owned(),
        other => other.to_owned(),
    };
    types.iter().map(word).collect::<Vec<_>>().join(" or ")
}

/// An example as a step in a file.
fn step(kind: &str, body: &Json) -> String {
    let id = kind.replace('.', "_") + "_step";
    let step = Map::from_iter([("id".to_owned(), Json::from(id)), (kind.to_owned(), body.clone())]);
    let yaml = serde_yaml::to_string(&[step]).expect("JSON can be written as YAML");
    yaml.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shapes_are_a_few_words() {
        for (schema, words) in [
            (json!({"type": "string"}), "string"),
            (json!({"type": ["string", "null"]}), "string"),
            (json!({"type": "string", "format": "date-time"}), "timestamp"),
            (json!({"type": "array", "items": {"type": "string"}}), "string[]"),
            (json!({"anyOf": [{"type": "integer"}, {"type": "boolean"}, {"type": "null"}]}), "int or bool"),
            (json!({"enum": ["a", 1, null]}), "a|1"),
            (json!({"const": "x"}), "x"),
            (json!({"type": "object"}), "map"),
            (json!({}), "any"),
            (json!(true), "any"),
        ] {
            assert_eq!(shape(&schema), words, "{schema}");
        }
    }
}
