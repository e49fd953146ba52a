//! `wf runs list`

use serde_json::{Value as Json, json};
use wf_engine::{RunId, State};

use super::line;
use crate::desk::failed;
use crate::exit::{Exit, Failure};
use crate::selection::{Filter, Listing};
use crate::terminal::{Look, data, talk};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Runs in one of these states: queued, executing, retrying, waiting, sleeping, blocked, finished, failed, cancelled
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    status: Vec<State>,
    /// Runs that are older than this one
    #[arg(long, value_name = "RUN")]
    before: Option<RunId>,
    #[command(flatten)]
    listing: Listing,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    args.listing.store.operate(async |operator| {
        let now = operator.now();
        let filter = args.filter.at(now, &args.status);
        let page = operator.runs(&filter, args.before, args.listing.limit).await.map_err(failed)?;
        if args.listing.json {
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
