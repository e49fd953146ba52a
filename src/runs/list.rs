//! `wf runs list`

use serde_json::{Value as Json, json};
use wf_engine::{RunId, State};

use super::line;
use crate::desk::{StoreArgs, failed};
use crate::exit::{Exit, Failure};
use crate::selection::Filter;
use crate::table::LIMIT;
use crate::terminal::{Look, data, talk};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Runs in one of these states: queued, executing, retrying, waiting, sleeping, blocked, finished, failed, cancelled
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    status: Vec<State>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = LIMIT)]
    limit: usize,
    /// Runs that are older than this one
    #[arg(long, value_name = "RUN")]
    before: Option<RunId>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    args.store.operate(async |operator| {
        let now = operator.now();
        let filter = args.filter.at(now, &args.status);
        let page = operator.runs(&filter, args.before, args.limit).await.map_err(failed)?;
        if args.json {
            let runs: Vec<Json> = page.items.iter().map(line::json_of).collect();
            let next = page.next.map(|run| run.to_string());
            data(&format!("{:#}\n", json!({"version": 1, "runs": runs, "next": next})))?;
        } else if page.items.is_empty() {
            talk("no runs");
        } else {
            data(&line::table(&page.items, now, Look::stdout()))?;
            if let Some(next) = page.next {
                talk(&format!("there are more: add `--before {next}`, or `--limit N`"));
            }
        }
        Ok(Exit::Success)
    })
}
