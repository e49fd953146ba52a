//! `wf completions`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::command::Cli;
use crate::exit::{Exit, Failure};
use crate::terminal::data;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "wf", &mut script);
    data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
