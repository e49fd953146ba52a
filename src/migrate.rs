//! `wf migrate`

use serde_json::{Value as Json, json};
use wf_engine::{Move, RunLine};

use crate::desk::{StoreArgs, failed};
use crate::exit::{Exit, Failure};
use crate::findings::count;
use crate::runs::line::json_of;
use crate::selection::Bulk;
use crate::table::Table;
use crate::terminal::{Look, data, talk};

/// How much of a definition's hash is shown.
const HASH_DIGITS: usize = 12;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workflow
    #[arg(value_name = "WORKFLOW")]
    workflow: String,
    /// The definition that runs move from: how its hash begins
    #[arg(long, value_name = "HASH")]
    from: String,
    #[command(flatten)]
    bulk: Bulk,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let plans = args.store.plans()?;
    args.store.operate(async |operator| {
        operator.register(plans).await.map_err(failed)?;
        let moves = operator.moves(&args.workflow, &args.from).await.map_err(failed)?;
        if args.json {
            let runs: Vec<Json> = moves
                .iter()
                .map(|one| {
                    let mut run = json_of(&one.run);
                    run["misfits"] = json!(one.misfits);
                    run
                })
                .collect();
            data(&format!("{:#}\n", json!({"version": 1, "runs": runs})))?;
        } else if !moves.is_empty() {
            data(&table(&moves, Look::stdout()))?;
        }
        let able: Vec<RunLine> = moves.iter().filter(|one| one.misfits.is_empty()).map(|one| one.run.clone()).collect();
        let stay = moves.len() - able.len();
        if stay > 0 {
            talk(&format!("{} cannot move; nothing changes there", count(stay, "run")));
        }
        if !args.bulk.allows("move", &able, operator.now())? {
            return Ok(Exit::Success);
        }
        for run in &able {
            operator.migrate(run.run).await.map_err(failed)?;
        }
        talk(&format!("moved {}", count(able.len(), "run")));
        Ok(Exit::Success)
    })
}

fn table(moves: &[Move], look: Look) -> String {
    let mut table = Table::new(&["RUN", "STATUS", "VERSION", "MOVES"], 2);
    for Move { run, misfits } in moves {
        let version = run.plan.to_string()[..HASH_DIGITS].to_owned();
        let moves = if misfits.is_empty() { "yes" } else { "no" };
        table.row([run.run.to_string(), run.state.to_string(), version, moves.to_owned()], misfits.join("; "));
    }
    table.text(look)
}
