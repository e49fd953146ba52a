//! `wf runs retry`

use wf_engine::Retry;

use super::One;
use crate::desk::failed;
use crate::exit::{Exit, Failure};
use crate::terminal::talk;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,
    /// The step of the outermost list from which it goes on, instead of the one that failed
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
    /// Go on in the newest definition of the workflow, if the run fits there
    #[arg(long)]
    newest: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let One { run, store } = &args.one;
    let plans = if args.newest { store.plans()? } else { Vec::new() };
    store.operate(async |operator| {
        operator.register(plans).await.map_err(failed)?;
        let retry = Retry { from: args.from.clone(), newest: args.newest };
        let runs = operator.retry(*run, &retry).await.map_err(failed)?;
        for child in runs.iter().filter(|retried| *retried != run) {
            talk(&format!("run {child}, which it invoked, is retried with it"));
        }
        talk(&format!("the run is retried; this goes on with it:\n  {}", store.resume(*run)));
        Ok(Exit::Success)
    })
}
