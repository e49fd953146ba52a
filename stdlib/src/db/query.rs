//! `db.query`: reads rows.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use wf_engine::{BoxFuture, Effect, Kind, Mismatch, Output, StepContext, StepError, StepKind};

use super::rows::{Row, Rows, mismatch};
use super::{Database, Databases, FAMILY, Statement, in_time};
use crate::body;

/// Reads from a database. It cannot write: the connection it uses is for reading.
pub(crate) struct Query(pub(crate) Databases);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// One statement. Values go through `params`: `where id = :id`.
    sql: String,
    /// The values of the statement's named parameters.
    #[serde(default)]
    params: Option<Map<String, Json>>,
    /// What it gives: `many` rows (the default), exactly `one`, one or null (`optional`), or one `value`.
    #[serde(default)]
    expect: Option<Expect>,
    /// The connection, if there are several databases.
    #[serde(default)]
    connection: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Expect {
    #[default]
    Many,
    One,
    Optional,
    Value,
}

impl StepKind for Query {
    fn describe(&self) -> Kind {
        Kind {
            name: "db.query".to_owned(),
            description: "Reads from a database. At most 10,000 rows and 1 MiB.".to_owned(),
            body: body::schema::<Body>(),
            output: json!({
                "type": ["array", "object", "string", "number", "boolean", "null"],
                "description": "A list of rows, a row, a row or null, or a value: as `expect` says."
            }),
            errors: body::errors(&[
                ("db.not_found", false),
                ("db.too_many", false),
                ("db.limit", false),
                ("db.conflict", true),
                ("db.timeout", true),
                ("db.unavailable", true),
                ("db.rejected", false),
                ("db.config", false),
                ("validation.output", false),
            ]),
            effect: Effect::Idempotent,
            repeats: std::collections::BTreeMap::new(),
            literal_fields: ["sql", "expect", "connection"].map(String::from).to_vec(),
            secret_fields: Vec::new(),
            connections: FAMILY.kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            open_output: true,
            returns_at: String::new(),
            examples: vec![
                json!({"sql": "select id, name from contacts where id = :id", "params": {"id": "ada"}, "expect": "one"}),
                json!({"sql": "select id from contacts order by id"}),
                json!({"sql": "select count(*) from contacts", "expect": "value"}),
                json!({
                    "sql": "select id from contacts where id in (select value from json_each(:ids))",
                    "params": {"ids": ["ada", "grace"]}
                }),
                json!({"sql": "select id from contacts where id = :id", "params": {"id": "nobody"}, "expect": "optional"}),
            ],
        }
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let Body { sql, params, expect, connection } = body::read(args)?;
            let expect = expect.unwrap_or_default();
            let statement = Statement::new(sql, params)?;
            let rows = if expect == Expect::Many { Rows::all() } else { Rows::few() };
            let rows = in_time(cx, async {
                let database = self.0.choose(cx, connection.as_deref()).await?;
                match &*database {
                    Database::Sqlite(sqlite) => sqlite.query(&statement, rows).await,
                }
            });
            let result = expect.pick(rows.await?.into_rows())?;
            converted(cx, result, expect).map(Output::from)
        })
    }
}

impl Expect {
    fn pick(self, rows: Vec<Row>) -> Result<Json, StepError> {
        if self == Expect::Many {
            return Ok(rows.into_iter().map(Json::Object).collect());
        }
        if rows.len() > 1 {
            return Err(FAMILY.error("too_many", "the query gives more than one row"));
        }
        match (self, rows.into_iter().next()) {
            (Expect::Optional, None) => Ok(Json::Null),
            (_, None) => Err(FAMILY.error("not_found", "the query gives no row")),
            (Expect::Value, Some(row)) if row.len() != 1 => {
                Err(FAMILY
                    .error("too_many", format!("the query gives {} columns, `expect: value` takes one", row.len())))
            }
            (Expect::Value, Some(row)) => Ok(row.into_iter().next().map(|(_, value)| value).unwrap_or_default()),
            (_, Some(row)) => Ok(row.into()),
        }
    }
}

/// The result as the type that `returns` declares, where nothing is lost by that.
fn converted(cx: &StepContext, result: Json, expect: Expect) -> Result<Json, StepError> {
    let Some(returns) = &cx.returns else { return Ok(result) };
    if expect == Expect::Optional && result.is_null() {
        return Ok(result);
    }
    match returns.accept_database(&result) {
        Ok(value) => Ok(value.to_json()),
        Err(mismatches) => {
            let first = mismatches.first();
            let (pointer, why) = first.map_or(("", ""), |Mismatch { pointer, message }| (pointer, message));
            Err(mismatch(pointer, why, expect == Expect::Many))
        }
    }
}
