//! `wf runs replay`

use super::One;
use crate::desk::failed;
use crate::exit::{Exit, Failure};
use crate::terminal::{data, talk};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let One { run, store } = &args.one;
    store.operate(async |operator| {
        let new = operator.replay_run(*run).await.map_err(failed)?;
        data(&format!("{new}\n"))?;
        talk(&format!(
            "a new run, unless a limit keeps it from starting; this goes on with it:\n  {}",
            store.resume(new)
        ));
        Ok(Exit::Success)
    })
}
