//! `wf store`

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use wf_dsl::Period;
use wf_engine::store::{Copied, CopyTo, OpenError, StoreError, Table, salvage};
use wf_engine::{Engine, KEEP, Retention, SledOptions, SledStore, Store, check};

use crate::desk::{StoreArgs, failed, named, not_opened, with_kinds};
use crate::exit::{Exit, Failure};
use crate::findings::count;
use crate::terminal::{data, talk};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Compare timers, waits, queue and indexes with the runs and events that they are of
    Check(Check),
    /// Write a copy into another folder, which is a store then
    Backup(Backup),
    /// Give back the disk that deleted rows take
    Compact(Compact),
    /// Forget runs and events that nobody needs
    Prune(Prune),
    /// Put what can be read of a damaged store into a fresh one
    Salvage(Salvage),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// Write what is missing, and delete what is left over
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// A folder that is not there yet, or is empty
    #[arg(value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Compact {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Prune {
    /// How long finished and cancelled runs, and events, are kept
    #[arg(long, value_name = "DURATION", default_value_t = KEEP)]
    keep: Period,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Salvage {
    /// A folder that is not there yet, or is empty
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// A backup, for when nothing can be read
    #[arg(long, value_name = "DIR")]
    backup: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, clap::Args)]
struct Output {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Output {
    /// Says what was done: one object for programs, or words for people.
    fn tell(&self, json: Json, words: &str) -> Result<(), Failure> {
        if self.json { data(&format!("{json:#}\n")) } else { data(&format!("{words}\n")) }
    }
}

pub(crate) fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Check(args) => args.store.open(async |store, _| look(&args.output, &store, args.repair).await),
        Command::Backup(args) => args.store.open(async |store, _| {
            let copied = copy(&store, CopyTo::Folder(args.to.clone())).await?;
            let words = format!("{} in `{}`", count(rows(&copied), "row"), args.to.display());
            args.output.tell(json_of_copy(&copied), &words)?;
            Ok(Exit::Success)
        }),
        Command::Compact(args) => args.store.open(async |store, _| {
            let before = store.disk_bytes();
            let copied = copy(&store, CopyTo::Place).await?;
            let mut json = json_of_copy(&copied);
            json["disk_bytes_before"] = before.into();
            args.output.tell(json, &format!("{} copied into fresh files", count(rows(&copied), "row")))?;
            Ok(Exit::Success)
        }),
        Command::Prune(args) => args.store.open(async |store, folder| prune(&args, store, folder).await),
        Command::Salvage(args) => rescue(&args),
    }
}

async fn look(output: &Output, store: &SledStore, repair: bool) -> Result<Exit, Failure> {
    let checked = check(store, repair).await.map_err(failed)?;
    let (runs, events) = (count(usize_of(checked.runs), "run"), count(usize_of(checked.events), "event"));
    let differences = &checked.differences;
    let mut words: Vec<String> = differences
        .iter()
        .map(|found| {
            let of = found.run.map(|run| format!(" of run {run}")).unwrap_or_default();
            format!("{:<10}  {}{of}: {}", found.what.as_str(), found.table, found.row)
        })
        .collect();
    let tally = match differences.len() {
        0 => "no differences".to_owned(),
        found => count(found, "difference"),
    };
    words.push(format!("{runs}, {events}: {tally}"));
    output.tell(json!({"version": 1, "checked": checked, "repaired": repair}), &words.join("\n"))?;
    if differences.is_empty() {
        return Ok(Exit::Success);
    }
    if repair {
        talk("what is missing was written, and what is left over deleted");
        return Ok(Exit::Success);
    }
    talk("`wf store check --repair` writes what is missing, and deletes what is left over");
    Ok(Exit::Failed)
}

async fn copy(store: &SledStore, to: CopyTo) -> Result<Copied, Failure> {
    store.copy(to).await.map_err(not_copied)
}

fn not_copied(error: StoreError) -> Failure {
    let folder = error.source.as_ref().and_then(|source| source.downcast_ref::<OpenError>());
    match folder {
        Some(OpenError::NotEmpty { .. }) => Failure::new(Exit::Conflict, error.to_string()),
        _ => Failure::new(Exit::Unavailable, error.to_string()),
    }
}

fn rows(copied: &Copied) -> usize {
    usize_of(copied.rows)
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn json_of_copy(copied: &Copied) -> Json {
    let Copied { rows, bytes, disk_bytes } = copied;
    json!({"version": 1, "rows": rows, "bytes": bytes, "disk_bytes": disk_bytes})
}

async fn prune(args: &Prune, store: SledStore, folder: &Path) -> Result<Exit, Failure> {
    let retention = Retention { runs: args.keep, events: args.keep };
    let builder = with_kinds(Engine::builder().store(store).retention(retention), folder)?;
    let pruned = builder.prune().await.map_err(failed)?;
    let (runs, events) = (count(usize_of(pruned.runs), "run"), count(usize_of(pruned.events), "event"));
    let json =
        json!({"version": 1, "runs": pruned.runs, "events": pruned.events, "keys": pruned.keys, "plans": pruned.plans});
    args.output.tell(json, &format!("{runs} and {events} forgotten"))?;
    Ok(Exit::Success)
}

fn rescue(args: &Salvage) -> Result<Exit, Failure> {
    let folder = args.store.folder()?;
    let backup = args.backup.as_deref().map(named).transpose()?;
    let salvaged = salvage(&folder, backup.as_deref(), &args.to, &SledOptions::default());
    let salvaged = salvaged.map_err(|error| match error {
        OpenError::NotEmpty { .. } => Failure::new(Exit::Conflict, error.to_string()),
        OpenError::Damaged { .. } if backup.is_none() => {
            not_opened(error).help("name a backup that was made with `wf store backup`: `--backup DIR`")
        }
        error => not_opened(error),
    })?;
    let damaged: Vec<String> = salvaged.damaged.iter().map(Table::to_string).collect();
    let mut words = vec![format!("{} in `{}`", count(rows(&salvaged.copied), "row"), args.to.display())];
    words.extend(salvaged.from_backup.as_ref().map(|why| format!("all of them from the backup: {why}")));
    if !damaged.is_empty() {
        words.push(format!("some rows could not be read: {}", damaged.join(", ")));
    }
    let mut json = json_of_copy(&salvaged.copied);
    json["damaged"] = damaged.into();
    json["from_backup"] = salvaged.from_backup.is_some().into();
    args.output.tell(json, &words.join("\n"))?;
    let to = args.to.display();
    talk(&format!("`wf store check --repair --store {to}` rebuilds what can be derived of it"));
    Ok(Exit::Success)
}
