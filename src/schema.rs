//! `wf schema`

use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};
use wf_dsl::{FILE_SCHEMAS, did_you_mean};

use crate::exit::{Exit, Failure};
use crate::project::Checked;
use crate::terminal::data;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `workflow`, `project`, `events` or `test`; or an event of the project here. All four if it is left out
    name: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let schema = match args.name.as_deref() {
        None => FILE_SCHEMAS.iter().map(|(name, text)| ((*name).to_owned(), file(name, text))).collect(),
        Some(name) => match FILE_SCHEMAS.iter().find(|(sort, _)| *sort == name) {
            Some((sort, text)) => file(sort, text),
            None => event(name)?,
        },
    };
    data(&format!("{schema:#}\n"))?;
    Ok(Exit::Success)
}

/// The schema of one sort of files, with the kinds that this program has.
fn file(sort: &str, text: &str) -> Json {
    let mut schema: Json = serde_json::from_str(text).expect("a schema of ours is JSON");
    if sort == "workflow"
        && let Some(Json::Object(keys)) = schema.pointer_mut("/$defs/step/properties")
    {
        for kind in wf_stdlib::catalog().iter() {
            let mut body = kind.body.clone();
            take_expressions(&mut body, &kind.literal_fields);
            if let Json::Object(body) = &mut body {
                body.insert("description".to_owned(), json!(kind.description));
            }
            keys.insert(kind.name.clone(), body);
        }
    }
    schema
}

/// Lets an expression stand wherever the schema of a body asks for something else than a text.
fn take_expressions(schema: &mut Json, literal: &[String]) {
    let Some(Json::Object(properties)) = schema.get_mut("properties") else { return };
    for (_, field) in properties.iter_mut().filter(|(name, _)| !literal.contains(name)) {
        take_expressions(field, &[]);
        let expression = json!({"type": "string", "pattern": "\\$\\{"});
        let description = field.get("description").cloned();
        let mut either = Map::from_iter([("anyOf".to_owned(), json!([field.take(), expression]))]);
        either.extend(description.map(|text| ("description".to_owned(), text)));
        *field = Json::Object(either);
    }
}

/// The schema of the data of an event of the project here.
fn event(name: &str) -> Result<Json, Failure> {
    let projects = Checked::all(&[PathBuf::from(".")]).unwrap_or_default();
    let found = projects.iter().find_map(|checked| checked.project.events.get(name));
    let Some(found) = found else {
        let events = projects.iter().flat_map(|checked| checked.project.events.keys().map(String::as_str));
        let known = FILE_SCHEMAS.iter().map(|(sort, _)| *sort).chain(events);
        let help = did_you_mean(name, known)
            .unwrap_or_else(|| "there are `workflow`, `project`, `events` and `test`".to_owned());
        let message = format!("`{name}` is no sort of file, and no event of the project here");
        return Err(Failure::new(Exit::NotFound, message).help(help));
    };
    let mut schema = found.data.to_schema();
    if let Json::Object(schema) = &mut schema {
        schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".to_owned(), json!(name));
        schema.extend(found.description.iter().map(|text| ("description".to_owned(), json!(text))));
    }
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_knows_the_kinds_and_takes_expressions() {
        let (sort, text) = FILE_SCHEMAS[0];
        let schema = file(sort, text);
        let to = &schema["$defs"]["step"]["properties"]["email"]["properties"]["to"];
        assert_eq!(to["anyOf"][1]["pattern"], "\\$\\{", "{to:#}");
        assert!(to["description"].is_string(), "{to:#}");
    }
}
