//! `db.query` and `db.exec`: SQL with bound parameters.
//!
//! One file per dialect says how a statement is run, how values go in and come out, and how an effect is recorded so
//! that it happens once. What holds for all of them is in the other files.

mod exec;
mod query;
mod rows;
mod sqlite;
mod stand_in;
mod statement;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wf_engine::{Connection, StepContext, StepError};

use crate::connection::{Chosen, Family};
use crate::pools::Pools;

pub(crate) use exec::Exec;
pub(crate) use query::Query;
pub(crate) use sqlite::{Sqlite, run_script};
pub(crate) use statement::Statement;

const FAMILY: Family = Family { name: "db", kinds: &["sqlite", "postgres", "mysql"] };
/// How long the statements of an attempt may take when the step has no `timeout` of its own.
const STATEMENT_LIMIT: Duration = Duration::from_secs(30);
/// The stand-in of a project that declares no database.
const UNNAMED: &str = "db";

/// The databases that steps have used, each with its pools. Shared by the kinds.
#[derive(Clone, Default)]
pub(crate) struct Databases {
    open: Arc<Pools<Key, Database>>,
}

/// What makes two databases the same.
#[derive(Clone, PartialEq)]
enum Key {
    Configured { connection: Connection, project: Option<Arc<Path>> },
    StandIn { file: PathBuf },
}

/// A database and how to speak to it. Another dialect is another variant.
enum Database {
    Sqlite(Sqlite),
}

impl Databases {
    /// The database that the step names, or the project's only one; its stand-in, filled, if it is not configured.
    async fn choose(&self, cx: &StepContext, name: Option<&str>) -> Result<Arc<Database>, StepError> {
        match FAMILY.choose(cx, name)? {
            Chosen::Configured(connection) => {
                let key = Key::Configured { connection: connection.clone(), project: cx.project.clone() };
                self.open.get(&key, || open(connection, cx.project.as_deref()))
            }
            Chosen::StandIn(connection) => {
                let Some(folder) = &cx.stand_ins else { return Err(FAMILY.not_configured(connection)) };
                let name = connection.map_or(UNNAMED, |connection| &connection.name);
                let file = stand_in::file(folder, name, "sqlite");
                let key = Key::StandIn { file: file.clone() };
                let database = self.open.get(&key, || Ok(Database::Sqlite(Sqlite::stand_in(&file))))?;
                let Database::Sqlite(sqlite) = &*database;
                let scripts = connection.map_or(&[][..], |connection| &connection.stand_in);
                stand_in::fill(sqlite, cx, scripts).await?;
                Ok(database)
            }
        }
    }
}

fn open(connection: &Connection, project: Option<&Path>) -> Result<Database, StepError> {
    match connection.kind.as_str() {
        "sqlite" => Sqlite::open(connection, project).map(Database::Sqlite),
        kind => {
            let message = format!("connection `{}`: this build has no driver for `{kind}`", connection.name);
            Err(FAMILY.error("config", message))
        }
    }
}

/// Gives statements the time that the step has left, or [`STATEMENT_LIMIT`].
async fn in_time<T>(cx: &StepContext, work: impl Future<Output = Result<T, StepError>>) -> Result<T, StepError> {
    let limit = cx.remaining.unwrap_or(STATEMENT_LIMIT);
    let late = |_| FAMILY.error("timeout", format!("the database did not answer within {} s", limit.as_secs_f64()));
    tokio::time::timeout(limit, work).await.map_err(late)?
}
