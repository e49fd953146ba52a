//! `wf dead`

use serde_json::{Value as Json, json};
use wf_engine::{Engine, Retry, RunId, RunLine};

use crate::desk::{StoreArgs, failed, with_kinds};
use crate::exit::{Exit, Failure};
use crate::findings::count;
use crate::runs::line::json_of_error;
use crate::selection::{Bulk, Filter, Listing};
use crate::table::Table;
use crate::terminal::{Look, data, talk};
use crate::when::minute;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List failed runs by workflow and error code, the newest failure first
    List(List),
    /// Let failed runs go on from the step that failed
    Retry(Chosen),
    /// Forget failed runs for good
    Drop(Chosen),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    listing: Listing,
}

/// Failed runs that are to be changed.
#[derive(Debug, clap::Args)]
pub(crate) struct Chosen {
    /// The runs; without them, all failed ones that the filters take
    #[arg(value_name = "RUN")]
    runs: Vec<RunId>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    bulk: Bulk,
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::List(args) => list(&args),
        Command::Retry(args) => retry_all(&args),
        Command::Drop(args) => drop_all(&args),
    }
}

fn list(args: &List) -> Result<Exit, Failure> {
    args.listing.store.operate(async |operator| {
        let groups = operator.dead_groups(&args.filter.at(operator.now(), &[])).await.map_err(failed)?;
        let more = groups.len().saturating_sub(args.listing.limit);
        let shown = &groups[..groups.len() - more];
        if args.listing.json {
            let groups: Vec<Json> = shown
                .iter()
                .map(|group| {
                    json!({
                        "workflow": group.workflow,
                        "code": group.code,
                        "count": group.runs.len(),
                        "first": group.first.to_string(),
                        "last": group.last.to_string(),
                        "error": json_of_error(&group.error),
                        "runs": group.runs.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    })
                })
                .collect();
            data(&format!("{:#}\n", json!({"version": 1, "groups": groups, "more": more})))?;
        } else if shown.is_empty() {
            talk("no dead letters");
        } else {
            let mut table = Table::new(&["WORKFLOW", "CODE", "RUNS", "FIRST (UTC)", "LAST (UTC)"], 1);
            for group in shown {
                let runs = group.runs.len().to_string();
                let cells = [group.workflow.clone(), group.code.clone(), runs, minute(group.first), minute(group.last)];
                table.row(cells, last_error(group));
            }
            data(&table.text(Look::stdout()))?;
            if more > 0 {
                talk(&format!("there are {more} more: add `--limit N`"));
            }
        }
        Ok(Exit::Success)
    })
}

/// Where the newest of a group failed, and what it said.
fn last_error(group: &wf_engine::DeadLetters) -> String {
    let at = group.error.step.as_ref().map(|step| format!("at `{step}`: ")).unwrap_or_default();
    format!("{at}{}", group.error.message)
}

fn drop_all(args: &Chosen) -> Result<Exit, Failure> {
    args.store.open(async |store, folder| {
        let operator = with_kinds(Engine::builder().store(store), folder)?.operator().await.map_err(failed)?;
        let Some(runs) = args.chosen(&operator, "drop").await? else { return Ok(Exit::Success) };
        for run in &runs {
            operator.drop_dead(run.run).await.map_err(failed)?;
        }
        talk(&format!("dropped {}", count(runs.len(), "run")));
        Ok(Exit::Success)
    })
}

fn retry_all(args: &Chosen) -> Result<Exit, Failure> {
    args.store.operate(async |operator| {
        let Some(runs) = args.chosen(operator, "retry").await? else { return Ok(Exit::Success) };
        for run in &runs {
            operator.retry(run.run, &Retry::default()).await.map_err(failed)?;
        }
        talk(&format!("retried {}: they go on when an engine has this store", count(runs.len(), "run")));
        Ok(Exit::Success)
    })
}

impl Chosen {
    /// The runs, if they may be changed. Filters have to be given, so that nobody changes everything by mistake.
    async fn chosen(&self, operator: &wf_engine::Operator, what: &str) -> Result<Option<Vec<RunLine>>, Failure> {
        let is_bulk = self.runs.is_empty();
        if is_bulk && self.filter.is_empty() {
            let failure = Failure::usage(format!("`wf dead {what}` needs a run, or a filter"));
            return Err(failure.help("such as `--workflow NAME`, `--code CODE` or `--until 30d`"));
        }
        let mut runs = Vec::new();
        if is_bulk {
            runs = operator.dead_letters(&self.filter.at(operator.now(), &[])).await.map_err(failed)?;
        }
        for run in &self.runs {
            runs.push(operator.run(*run).await.map_err(failed)?);
        }
        let allowed = !(is_bulk || self.bulk.dry_run) || self.bulk.allows(what, &runs, operator.now())?;
        Ok(allowed.then_some(runs))
    }
}
