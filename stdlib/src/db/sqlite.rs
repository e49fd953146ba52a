//! SQLite.
//!
//! Reads go over a pool of connections that cannot write. There is one connection that writes, since SQLite lets only
//! one write at a time. It is kept only if the work on it succeeded: SQLite may roll a transaction back on its own, and
//! what sqlx believes about the transaction is then wrong.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::TryStreamExt;
use serde_json::Value as Json;
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteRow, SqliteSynchronous,
};
use sqlx::{
    Arguments, AssertSqlSafe, Column, ConnectOptions, Connection as _, Either, Executor, Row as _, SqlSafeStr,
    SqliteConnection, Statement as _, TypeInfo, ValueRef,
};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use wf_engine::sql::Style;
use wf_engine::{Connection, RunId, StepContext, StepError};

use super::exec::Done;
use super::rows::{self, Row, Rows, invalid_value};
use super::{FAMILY, Statement, statement};
use crate::body::INVALID_INPUT;
use crate::quote::quotable;

/// Connections that read.
const READERS_MAX: u32 = 4;
/// How long a writer of another process is waited for; then it is a conflict.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// After how many of SQLite's own steps it is asked whether the attempt is still wanted.
const STEPS_BETWEEN_CHECKS: i32 = 10_000;

/// Where the effects of steps are recorded.
const MARKER_TABLE: &str = "create table if not exists wf_effects (
    key text not null primary key,
    run text not null,
    step text not null,
    result text not null,
    recorded_at text not null
)";

/// A SQLite file.
pub(crate) struct Sqlite {
    options: SqliteConnectOptions,
    readers: SqlitePool,
    writer: Mutex<Option<SqliteConnection>>,
    /// Whether a stand-in has got its content.
    pub(super) filled: OnceCell<()>,
}

/// The connection that writes, for as long as this is held.
pub(crate) struct Writer<'a> {
    place: MutexGuard<'a, Option<SqliteConnection>>,
    connection: SqliteConnection,
    _interrupt: Interrupt,
}

impl Sqlite {
    /// The file that a connection names. It must exist, unless the URL says `?mode=rwc`; its journal mode stays as it is.
    pub(super) fn open(connection: &Connection, project: Option<&Path>) -> Result<Self, StepError> {
        let wrong = |why: &str| FAMILY.error("config", format!("the `url` of connection `{}` {why}", connection.name));
        let url = FAMILY.setting(connection, "url")?;
        if !url.starts_with("sqlite:") {
            return Err(wrong("must begin with `sqlite:`"));
        }
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(wrong("names no file: what is in memory is lost in a crash"));
        }
        let options: SqliteConnectOptions = url.parse().map_err(|_| wrong("is no SQLite URL"))?;
        let file = options.get_filename().to_owned();
        let options = match project {
            Some(project) => options.filename(project.join(file)),
            None => options,
        };
        Ok(Sqlite::with(options))
    }

    /// A file of ours, which is created when it is first written to.
    pub(crate) fn stand_in(file: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        Sqlite::with(options.journal_mode(SqliteJournalMode::Wal))
    }

    fn with(options: SqliteConnectOptions) -> Self {
        // FULL, so that a marker that was acknowledged is still there after a power cut.
        let options = options
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_LIMIT)
            .foreign_keys(true)
            .disable_statement_logging();
        let reading = options.clone().create_if_missing(false).pragma("query_only", "on");
        let readers = PoolOptions::new().max_connections(READERS_MAX).connect_lazy_with(reading);
        Sqlite { options, readers, writer: Mutex::default(), filled: OnceCell::new() }
    }

    /// Runs a statement that reads.
    pub(super) async fn query(&self, statement: &Statement, rows: Rows) -> Result<Rows, StepError> {
        let mut connection = self.readers.acquire().await.map_err(error)?;
        let _interrupt = Interrupt::arm(&mut connection).await?;
        let (_, rows) = run(&mut connection, statement, rows).await?;
        Ok(rows.unwrap_or_else(Rows::all))
    }

    /// Runs statements without a marker: one as it is, several in a transaction.
    pub(super) async fn exec(&self, statements: &[Statement]) -> Result<Done, StepError> {
        let mut writer = self.writer().await?;
        let mut done = Done::nothing();
        if let [statement] = statements {
            let (changed, rows) = run(&mut writer.connection, statement, Rows::all()).await?;
            done.add(changed, rows);
        } else {
            let mut transaction = writer.connection.begin_with("begin immediate").await.map_err(error)?;
            for statement in statements {
                let (changed, rows) = run(&mut transaction, statement, Rows::all()).await?;
                done.add(changed, rows);
            }
            transaction.commit().await.map_err(error)?;
        }
        writer.keep();
        Ok(done)
    }

    /// Runs statements and records their result under the step's automatic key, in one transaction. If something is
    /// recorded there already, gives that and changes nothing.
    pub(super) async fn exec_once(&self, cx: &StepContext, statements: &[Statement]) -> Result<Json, StepError> {
        let mut writer = self.writer().await?;
        let mut transaction = writer.connection.begin_with("begin immediate").await.map_err(error)?;
        transaction.execute(MARKER_TABLE).await.map_err(marker_error)?;
        let recorded = sqlx::query_scalar("select result from wf_effects where key = ?1").bind(&cx.effect);
        let recorded: Option<String> = recorded.fetch_optional(&mut *transaction).await.map_err(marker_error)?;
        if let Some(recorded) = recorded {
            transaction.rollback().await.map_err(error)?;
            writer.keep();
            return serde_json::from_str(&recorded).map_err(|_| {
                FAMILY.error("marker", format!("the result in `wf_effects` under `{}` is not ours", cx.effect))
            });
        }
        let mut done = Done::nothing();
        for statement in statements {
            let (changed, rows) = run(&mut transaction, statement, Rows::all()).await?;
            done.add(changed, rows);
        }
        let result = done.into_json();
        sqlx::query("insert into wf_effects (key, run, step, result, recorded_at) values (?1, ?2, ?3, ?4, ?5)")
            .bind(&cx.effect)
            .bind(cx.run.to_string())
            .bind(statement::origin(cx))
            .bind(result.to_string())
            .bind(cx.clock.now().to_string())
            .execute(&mut *transaction)
            .await
            .map_err(marker_error)?;
        transaction.commit().await.map_err(error)?;
        writer.keep();
        Ok(result)
    }

    /// Deletes what is recorded of the effects of runs.
    pub(super) async fn forget(&self, runs: &[RunId]) -> Result<(), StepError> {
        let mut writer = self.writer().await?;
        let table = "select 1 from sqlite_master where type = 'table' and name = 'wf_effects'";
        let table = sqlx::query(table).fetch_optional(&mut writer.connection).await.map_err(error)?;
        if table.is_some() {
            let index = "create index if not exists wf_effects_run on wf_effects (run)";
            sqlx::query(index).execute(&mut writer.connection).await.map_err(marker_error)?;
            let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
            sqlx::query("delete from wf_effects where run in (select value from json_each(?1))")
                .bind(serde_json::json!(runs).to_string())
                .execute(&mut writer.connection)
                .await
                .map_err(marker_error)?;
        }
        writer.keep();
        Ok(())
    }

    /// The connection that writes, as soon as nobody else has it.
    pub(crate) async fn writer(&self) -> Result<Writer<'_>, StepError> {
        let mut place = self.writer.lock().await;
        let mut connection = match place.take() {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(error)?,
        };
        let interrupt = Interrupt::arm(&mut connection).await?;
        Ok(Writer { place, connection, _interrupt: interrupt })
    }
}

impl Writer<'_> {
    /// The connection.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Leaves the connection for the next one. Without this call it is closed, and what it had begun is undone.
    pub(crate) fn keep(mut self) {
        *self.place = Some(self.connection);
    }
}

/// Stops the statement that a connection is working on when this is dropped: nobody waits for it any more.
struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    async fn arm(connection: &mut SqliteConnection) -> Result<Self, StepError> {
        let unwanted = Arc::new(AtomicBool::new(false));
        let asked = unwanted.clone();
        let goes_on = move || !asked.load(Ordering::Relaxed);
        connection.lock_handle().await.map_err(error)?.set_progress_handler(STEPS_BETWEEN_CHECKS, goes_on);
        Ok(Interrupt(unwanted))
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs one statement. Gives how many rows it changed, and its rows if it is one that has any.
async fn run(
    connection: &mut SqliteConnection,
    statement: &Statement,
    mut rows: Rows,
) -> Result<(u64, Option<Rows>), StepError> {
    let (sql, values) = statement.bound(Style::NumberedQuestion);
    // The text is a literal of the plan; every value is bound.
    let sql = AssertSqlSafe(sql).into_sql_str();
    let prepared = connection.prepare(sql).await.map_err(error)?;
    if prepared.parameters().is_some_and(|parameters| !matches!(parameters, Either::Right(n) if n == values.len())) {
        let message = "parameters are written as names, such as `:id`, and given in `params`";
        return Err(StepError::new(INVALID_INPUT, message));
    }
    let has_rows = !prepared.columns().is_empty();
    let mut changed = 0;
    let mut results = connection.fetch_many(prepared.query_with(arguments(&values)?));
    while let Some(result) = results.try_next().await.map_err(error)? {
        match result {
            // SQLite counts what was changed last, also for a statement that changes nothing.
            Either::Left(done) if statement.changes_rows() => changed += done.rows_affected(),
            Either::Left(_) => {}
            Either::Right(found) => {
                if let ControlFlow::Break(()) = rows.push(row(&found)?)? {
                    break;
                }
            }
        }
    }
    Ok((changed, has_rows.then_some(rows)))
}

/// Runs the statements of a script, without parameters.
pub(crate) async fn run_script(connection: &mut SqliteConnection, sql: &str) -> Result<(), StepError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop).map_err(error)
}

fn arguments(values: &[&Json]) -> Result<SqliteArguments, StepError> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match value {
            Json::Null => arguments.add(None::<i64>),
            Json::Bool(value) => arguments.add(*value),
            Json::Number(number) => match (number.as_i64(), number.is_u64()) {
                (Some(int), _) => arguments.add(int),
                (None, true) => {
                    return Err(StepError::new(INVALID_INPUT, format!("{number} does not fit 64 bits with a sign")));
                }
                (None, false) => arguments.add(number.as_f64()),
            },
            Json::String(text) => arguments.add(text),
            Json::Array(_) | Json::Object(_) => arguments.add(value.to_string()),
        };
        added.map_err(|error| StepError::new(INVALID_INPUT, error.to_string()))?;
    }
    Ok(arguments)
}

fn row(found: &SqliteRow) -> Result<Row, StepError> {
    let values: Result<Vec<_>, _> =
        found.columns().iter().map(|column| Ok((column.name().to_owned(), value(found, column)?))).collect();
    rows::row(values?.into_iter())
}

fn value(row: &SqliteRow, column: &sqlx::sqlite::SqliteColumn) -> Result<Json, StepError> {
    let (name, at) = (column.name(), column.ordinal());
    let raw = row.try_get_raw(at).map_err(error)?;
    if raw.is_null() {
        return Ok(Json::Null);
    }
    let kind = raw.type_info();
    let unreadable = |error: sqlx::Error| invalid_value(name, &error.to_string());
    match kind.name() {
        "INTEGER" => row.try_get_unchecked::<i64, _>(at).map(Json::from).map_err(unreadable),
        "REAL" => {
            let number = row.try_get_unchecked::<f64, _>(at).map_err(unreadable)?;
            let finite = serde_json::Number::from_f64(number).map(Json::Number);
            finite.ok_or_else(|| invalid_value(name, "the number is infinite"))
        }
        "TEXT" => {
            let text = row.try_get_unchecked::<String, _>(at);
            text.map(Json::String).map_err(|_| invalid_value(name, "the text is not UTF-8"))
        }
        _ => {
            let bytes = row.try_get_unchecked::<Vec<u8>, _>(at).map_err(unreadable)?;
            Ok(BASE64_STANDARD.encode(bytes).into())
        }
    }
}

/// What an error of SQLite means to a workflow. SQLite's messages name tables and columns, never a bound value.
pub(crate) fn error(error: sqlx::Error) -> StepError {
    let sqlx::Error::Database(error) = error else {
        return FAMILY.error("unavailable", format!("the database cannot be used: {}", brief(&error)));
    };
    let primary = error.code().and_then(|code| code.parse::<u32>().ok()).map_or(1, |code| code & 0xff);
    let message = quotable(error.message(), &[]);
    match primary {
        // BUSY, LOCKED
        5 | 6 => FAMILY.error("conflict", format!("another writer holds the database: {message}")),
        // INTERRUPT
        9 => FAMILY.error("timeout", "the statement was stopped"),
        // READONLY
        8 => FAMILY.error("rejected", format!("{message}; `db.query` only reads, `db.exec` writes")),
        // CONSTRAINT
        19 => StepError {
            data: serde_json::json!({"constraint": constraint(&*error)}),
            ..FAMILY.error("constraint", message)
        },
        // NOMEM, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB
        7 | 10 | 11 | 13 | 14 | 15 | 26 => {
            FAMILY.error("unavailable", format!("the database cannot be used: {message}"))
        }
        _ => FAMILY.error("rejected", message),
    }
}

fn marker_error(failed: sqlx::Error) -> StepError {
    let error = error(failed);
    if error.code != "db.rejected" {
        return error;
    }
    let message = format!("the effect cannot be recorded ({}); create the table: {MARKER_TABLE}", error.message);
    FAMILY.error("marker", message)
}

fn constraint(error: &dyn DatabaseError) -> &'static str {
    match error.kind() {
        ErrorKind::UniqueViolation => "unique",
        ErrorKind::ForeignKeyViolation => "foreign_key",
        ErrorKind::NotNullViolation => "not_null",
        ErrorKind::CheckViolation => "check",
        _ => "other",
    }
}

/// The error without what it may repeat of the settings.
fn brief(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::PoolTimedOut => "no connection is free".to_owned(),
        sqlx::Error::WorkerCrashed => "its thread has ended".to_owned(),
        sqlx::Error::ColumnDecode { index, .. } => format!("column {index} cannot be read"),
        _ => "the driver gave up".to_owned(),
    }
}
