//! `db.exec`: changes rows, exactly once.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use wf_engine::{BoxFuture, Effect, Kind, Output, RunId, StepContext, StepError, StepKind};

use super::rows::{Row, Rows};
use super::{Database, Databases, FAMILY, Statement, in_time};
use crate::body;

/// Changes a database.
///
/// The statements and a marker row under the step's automatic key commit in one transaction. An attempt that finds the
/// marker gives what is recorded there and changes nothing: the effect of a step happens once, however often it is
/// attempted.
pub(crate) struct Exec(pub(crate) Databases);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["sql"]}, {"required": ["statements"]}]))]
struct Body {
    /// One statement. Values go through `params`: `set status = :status`.
    #[serde(default)]
    sql: Option<String>,
    /// The values of the statement's named parameters.
    #[serde(default)]
    params: Option<Map<String, Json>>,
    /// Several statements instead of one, in one transaction.
    #[serde(default)]
    statements: Option<Vec<One>>,
    /// `false`: no marker; a later attempt may repeat the change.
    #[serde(default)]
    once: Option<bool>,
    /// The connection, if there are several databases.
    #[serde(default)]
    connection: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct One {
    /// The statement.
    sql: String,
    /// The values of its named parameters.
    #[serde(default)]
    params: Option<Map<String, Json>>,
}

/// What statements did.
#[derive(Debug)]
pub(super) struct Done {
    rows_affected: u64,
    /// The rows of the last statement that has RETURNING.
    returned: Option<Vec<Row>>,
}

impl StepKind for Exec {
    fn describe(&self) -> Kind {
        Kind {
            name: "db.exec".to_owned(),
            description: "Changes a database, exactly once.".to_owned(),
            body: body::schema::<Body>(),
            output: json!({
                "type": "object",
                "properties": {
                    "rows_affected": {"type": "integer", "description": "How many rows changed, in all statements."},
                    "rows": {
                        "type": "array",
                        "items": {"type": "object"},
                        "description": "What the last statement with RETURNING gave."
                    }
                },
                "required": ["rows_affected"]
            }),
            errors: body::errors(&[
                ("db.constraint", false),
                ("db.conflict", true),
                ("db.timeout", true),
                ("db.unavailable", true),
                ("db.rejected", false),
                ("db.limit", false),
                ("db.marker", false),
                ("db.config", false),
                ("validation.output", false),
            ]),
            effect: Effect::Keyed,
            repeats: [("once".to_owned(), vec![json!(false)])].into(),
            literal_fields: ["sql", "once", "connection"].map(String::from).to_vec(),
            secret_fields: Vec::new(),
            connections: FAMILY.kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            open_output: false,
            returns_at: String::new(),
            examples: vec![
                json!({
                    "sql": "update contacts set name = :name where id = :id",
                    "params": {"id": "ada", "name": "Ada L."}
                }),
                json!({"sql": "insert into contacts (id, name) values ('alan', 'Alan') returning id"}),
                json!({
                    "statements": [
                        {"sql": "delete from contacts where id = :id", "params": {"id": "grace"}},
                        {"sql": "insert into contacts (id, name) values ('joan', 'Joan')"}
                    ]
                }),
                json!({"sql": "delete from contacts where name is null", "once": false}),
            ],
        }
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let Body { sql, params, statements, once, connection } = body::read(args)?;
            let statements = match (sql, statements) {
                (Some(sql), None) => vec![Statement::new(sql, params)?],
                (None, Some(all)) if params.is_none() && !all.is_empty() => {
                    all.into_iter().map(|one| Statement::new(one.sql, one.params)).collect::<Result<_, _>>()?
                }
                _ => {
                    let message = "write either `sql` with `params`, or `statements`";
                    return Err(StepError::new(body::INVALID_INPUT, message));
                }
            };
            statements.iter().try_for_each(Statement::stays_in_transaction)?;
            let once = once.unwrap_or(true);
            let done = in_time(cx, async {
                let database = self.0.choose(cx, connection.as_deref()).await?;
                match &*database {
                    Database::Sqlite(sqlite) if once => sqlite.exec_once(cx, &statements).await,
                    Database::Sqlite(sqlite) => sqlite.exec(&statements).await.map(Done::into_json),
                }
            });
            done.await.map(Output::from)
        })
    }

    fn forget<'a>(
        &'a self,
        cx: &'a StepContext,
        connection: Option<&'a str>,
        runs: &'a [RunId],
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(async move {
            if FAMILY.choose(cx, connection).is_err() {
                return Ok(()); // the project does not have this database any more
            }
            let done = in_time(cx, async {
                let database = self.0.choose(cx, connection).await?;
                match &*database {
                    Database::Sqlite(sqlite) => sqlite.forget(runs).await,
                }
            });
            done.await
        })
    }
}

impl Done {
    pub(super) fn nothing() -> Self {
        Done { rows_affected: 0, returned: None }
    }

    /// Adds what one more statement did. A statement without rows leaves those of an earlier one.
    pub(super) fn add(&mut self, rows_affected: u64, returned: Option<Rows>) {
        self.rows_affected = self.rows_affected.saturating_add(rows_affected);
        if let Some(rows) = returned {
            self.returned = Some(rows.into_rows());
        }
    }

    pub(super) fn into_json(self) -> Json {
        let mut output = json!({"rows_affected": self.rows_affected});
        if let Some(rows) = self.returned {
            output["rows"] = rows.into();
        }
        output
    }
}
