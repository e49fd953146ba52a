//! `wf workflows`

use serde_json::{Value as Json, json};

use crate::desk::{StoreArgs, failed};
use crate::exit::{Exit, Failure};
use crate::table::Table;
use crate::terminal::{Look, data, talk};
use crate::when::minute;

/// How much of a definition's hash people see.
const HASH_SHOWN: usize = 12;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the workflows that the store knows
    List(List),
    /// Let no run of a workflow begin; events are kept, and runs that have begun go on
    Pause(Named),
    /// Let the runs of a paused workflow begin again
    Resume(Named),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// The workflow
    #[arg(value_name = "WORKFLOW")]
    workflow: String,
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::List(args) => list(&args),
        Command::Pause(args) => args.store.operate(async |operator| {
            operator.pause_workflow(&args.workflow).await.map_err(failed)?;
            talk(&format!("`{}` is paused: its runs queue and do not begin", args.workflow));
            Ok(Exit::Success)
        }),
        Command::Resume(args) => args.store.operate(async |operator| {
            operator.resume_workflow(&args.workflow).await.map_err(failed)?;
            talk(&format!("the runs of `{}` begin again when an engine has the store", args.workflow));
            Ok(Exit::Success)
        }),
    }
}

fn list(args: &List) -> Result<Exit, Failure> {
    args.store.operate(async |operator| {
        let workflows = operator.list_workflows().await.map_err(failed)?;
        if args.json {
            let lines = workflows.iter().map(|line| {
                let paused = line.paused.map(|at| at.to_string());
                json!({"workflow": line.name, "version": line.newest.to_string(), "paused": paused})
            });
            data(&format!("{:#}\n", json!({"version": 1, "workflows": lines.collect::<Vec<Json>>()})))?;
        } else if workflows.is_empty() {
            talk("no workflows");
        } else {
            let mut table = Table::new(&["WORKFLOW", "VERSION", "STATE"], 0);
            for line in workflows {
                let version: String = line.newest.to_string().chars().take(HASH_SHOWN).collect();
                let state = line.paused.map_or("active".to_owned(), |at| format!("paused since {}", minute(at)));
                table.row([line.name, version, state], "");
            }
            data(&table.text(Look::stdout()))?;
        }
        Ok(Exit::Success)
    })
}
