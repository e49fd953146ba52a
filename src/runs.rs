//! `wf runs`

mod cancel;
mod dropped;
mod export;
pub(crate) mod line;
mod list;
mod replay;
mod retry;
mod show;
mod watch;

use wf_engine::RunId;

use crate::desk::StoreArgs;
use crate::exit::{Exit, Failure};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List runs, newest first
    List(list::Args),
    /// List starts that limits kept from happening, newest first
    Dropped(dropped::Args),
    /// Show a run with its steps
    Show(show::Args),
    /// Show what happened in a run, in order
    Watch(watch::Args),
    /// Ask runs to end; their `finally` runs
    Cancel(cancel::Args),
    /// Let a failed run go on, with the keys that it had: what was done is not done again
    Retry(retry::Args),
    /// Do it over: a new run with the data of an old one
    Replay(replay::Args),
    /// Print all that is known of a run as JSON
    Export(export::Args),
}

/// One run of a store.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct One {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

pub(crate) fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::List(args) => list::run(&args),
        Command::Dropped(args) => dropped::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Cancel(args) => cancel::run(&args),
        Command::Retry(args) => retry::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Export(args) => export::run(&args),
    }
}
