//! `wf runs dropped`

use serde_json::{Value as Json, json};

use crate::desk::failed;
use crate::exit::{Exit, Failure};
use crate::selection::Listing;
use crate::table::Table;
use crate::terminal::{Look, data, talk};
use crate::when::second;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Starts of this workflow
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    args.listing.store.operate(async |operator| {
        let starts = operator.dropped_starts(args.workflow.as_deref(), args.listing.limit).await.map_err(failed)?;
        if args.listing.json {
            let starts = starts.iter().map(|start| {
                json!({
                    "at": start.at.to_string(),
                    "workflow": start.workflow,
                    "event": start.event.to_string(),
                    "limit": start.limit,
                    "run": start.run.map(|run| run.to_string()),
                })
            });
            data(&format!("{:#}\n", json!({"version": 1, "starts": starts.collect::<Vec<Json>>()})))?;
        } else if starts.is_empty() {
            talk("no limit kept a run from starting");
        } else {
            let mut table = Table::new(&["WHEN (UTC)", "WORKFLOW", "LIMIT", "EVENT"], 1);
            for start in starts {
                let gave_way = start.run.map_or(String::new(), |run| format!("gave way to {run}"));
                table.row([second(start.at), start.workflow, start.limit, start.event.to_string()], gave_way);
            }
            data(&table.text(Look::stdout()))?;
        }
        Ok(Exit::Success)
    })
}
