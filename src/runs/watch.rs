//! `wf runs watch`

use super::One;
use crate::desk::failed;
use crate::exit::{Exit, Failure};
use crate::terminal::{Look, data, talk};
use crate::timeline::Timeline;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let One { run: id, store } = &args.one;
    store.operate(async |operator| {
        let run = operator.run(*id).await.map_err(failed)?;
        let report = operator.report(*id).await.map_err(failed)?;
        let plan = operator.plan(run.plan).await.map_err(failed)?;
        let mut timeline = Timeline::new([&plan.workflow], Look::stdout(), show);
        timeline.is_sent(id.event, &report.event.name);
        for record in operator.records(*id).await.map_err(failed)? {
            timeline.show(*id, &run.workflow, &record);
        }
        if run.ended_at.is_none() {
            talk(&format!("the run is {}, and nobody works on it; this goes on with it:", run.state));
            talk(&format!("  {}", store.resume(*id)));
        }
        Ok(Exit::Success)
    })
}

fn show(line: &str) {
    // Whoever has closed the pipe has seen enough.
    let _ = data(&format!("{line}\n"));
}
