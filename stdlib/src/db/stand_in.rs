//! Stand-ins: SQLite files beside the store, for databases that are not configured.

use std::path::{Path, PathBuf};

use sqlx::{Connection as _, Executor};
use wf_engine::{StepContext, StepError};

use super::sqlite::{self, Sqlite};
use super::statement::script_stays_in_transaction;
use super::{FAMILY, run_script};
use crate::{outbox, project_file};

/// An SQL file that fills a stand-in is at most this long.
const SCRIPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The file that stands in for a connection.
pub(crate) fn file(folder: &Path, connection: &str, extension: &str) -> PathBuf {
    folder.join(format!("{}.{extension}", outbox::file_name(connection)))
}

/// Runs the SQL files that fill a stand-in, in order, once in its life.
///
/// Files and marker commit together: a crash in between leaves an empty database, which is filled next time.
pub(super) async fn fill(sqlite: &Sqlite, cx: &StepContext, scripts: &[String]) -> Result<(), StepError> {
    sqlite.filled.get_or_try_init(|| fill_once(sqlite, cx, scripts)).await.copied()
}

async fn fill_once(sqlite: &Sqlite, cx: &StepContext, scripts: &[String]) -> Result<(), StepError> {
    if let Some(folder) = cx.stand_ins.clone() {
        let created = tokio::task::spawn_blocking(move || std::fs::create_dir_all(folder)).await;
        let failed = |why: String| FAMILY.error("unavailable", format!("no folder for the stand-in: {why}"));
        created.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
    }
    let mut writer = sqlite.writer().await?;
    let mut transaction = writer.connection().begin_with("begin immediate").await.map_err(sqlite::error)?;
    let marker = "select 1 from sqlite_master where type = 'table' and name = 'wf_stand_in'";
    let filled: Option<i64> =
        sqlx::query_scalar(marker).fetch_optional(&mut *transaction).await.map_err(sqlite::error)?;
    if filled.is_none() {
        for script in scripts {
            let wrong = |why: String| FAMILY.error("config", format!("stand-in file `{script}`: {why}"));
            let sql = project_file::read(cx.project.as_deref(), script, SCRIPT_BYTES_MAX).await.map_err(wrong)?;
            let sql = String::from_utf8(sql).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
            script_stays_in_transaction(&sql).map_err(wrong)?;
            run_script(&mut transaction, &sql).await.map_err(|error| wrong(error.message))?;
        }
        transaction.execute("create table wf_stand_in (filled_at text not null)").await.map_err(sqlite::error)?;
        sqlx::query("insert into wf_stand_in values (?1)")
            .bind(cx.clock.now().to_string())
            .execute(&mut *transaction)
            .await
            .map_err(sqlite::error)?;
    }
    transaction.commit().await.map_err(sqlite::error)?;
    writer.keep();
    Ok(())
}
