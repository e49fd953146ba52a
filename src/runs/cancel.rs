//! `wf runs cancel`

use wf_engine::{RunId, RunLine, State};

use crate::desk::{StoreArgs, failed};
use crate::exit::{Exit, Failure};
use crate::findings::count;
use crate::selection::{Bulk, Filter};
use crate::terminal::talk;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The runs; without them, all open ones that the filters take
    #[arg(value_name = "RUN")]
    runs: Vec<RunId>,
    #[command(flatten)]
    filter: Filter,
    /// Runs in one of these states
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    status: Vec<State>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    reason: String,
    #[command(flatten)]
    bulk: Bulk,
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let is_bulk = args.runs.is_empty();
    if is_bulk && args.filter.is_empty() && args.status.is_empty() {
        return Err(Failure::usage("`wf runs cancel` needs a run, or a filter such as `--workflow NAME`"));
    }
    args.store.operate(async |operator| {
        let mut runs: Vec<RunLine> = Vec::new();
        if is_bulk {
            let filter = args.filter.at(operator.now(), &args.status);
            let found = operator.all_runs(&filter).await.map_err(failed)?;
            runs.extend(found.into_iter().filter(|run| run.ended_at.is_none()));
        }
        for run in &args.runs {
            runs.push(operator.run(*run).await.map_err(failed)?);
        }
        if (is_bulk || args.bulk.dry_run) && !args.bulk.allows("cancel", &runs, operator.now())? {
            return Ok(Exit::Success);
        }
        for run in &runs {
            operator.cancel(run.run, &args.reason).await.map_err(failed)?;
        }
        talk(&format!("{} will end when an engine has this store", count(runs.len(), "run")));
        if let [only] = runs.as_slice() {
            talk(&format!("  {}", args.store.resume(only.run)));
        }
        Ok(Exit::Success)
    })
}
