//! The arguments of all commands.

use clap::{Parser, Subcommand};

use crate::exit::{Exit, Failure};
use crate::{
    completions, dead, events, explain, init, kinds, migrate, run, runs, schema, store, test, validate, why, workflows,
};

/// Durable workflows as YAML files, checked before they run.
#[derive(Debug, Parser)]
#[command(name = "wf", version, propagate_version = true, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
   0  success                           6  not found
   1  the run or a test failed, or      7  conflict
      the check found errors            8  the run was cancelled
   2  usage                             9  timed out waiting
   3  the workflow is invalid          70  a bug of wf itself
   4  the store is in use, or does    130  stopped by Ctrl-C; the run
      not work                             can be resumed

Output goes to stdout, everything else to stderr. Secrets come from the environment:
WF_SECRET_<NAME>, or WF_SECRET_<NAME>_FILE with the path of a file. NO_COLOR is respected.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a small project that runs
    Init(init::Args),
    /// Check projects and files, with every check there is
    Validate(validate::Args),
    /// Run one workflow and all it triggers, to the end
    Run(run::Args),
    /// Play the tests of projects in virtual time; nothing leaves this machine
    Test(test::Args),
    /// List runs, look at them, and put them right
    #[command(subcommand)]
    Runs(runs::Command),
    /// Failed runs: list them by what failed, and drop them
    #[command(subcommand)]
    Dead(dead::Command),
    /// The events that came in
    #[command(subcommand)]
    Events(events::Command),
    /// Say why a run does not go on, or why it ended
    Why(why::Args),
    /// Move open runs to the newest definition of their workflow, as far as they fit there
    Migrate(migrate::Args),
    /// The workflows of a store: list, pause and resume them
    #[command(subcommand)]
    Workflows(workflows::Command),
    /// Look after a store: check, back up, compact, prune, salvage
    #[command(subcommand)]
    Store(store::Command),
    /// Say what a finding means, with an example and the same put right
    Explain(explain::Args),
    /// List what a step can do, or describe one kind of step
    Kinds(kinds::Args),
    /// Print the JSON Schemas of the files, for editors
    Schema(schema::Args),
    /// Print the completions for a shell
    Completions(completions::Args),
}

impl Command {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Command::Init(args) => init::run(&args),
            Command::Validate(args) => validate::run(&args),
            Command::Run(args) => run::run(args),
            Command::Test(args) => test::run(&args),
            Command::Runs(command) => runs::run(command),
            Command::Dead(command) => dead::run(command),
            Command::Events(command) => events::run(command),
            Command::Migrate(args) => migrate::run(&args),
            Command::Why(args) => why::run(&args),
            Command::Workflows(command) => workflows::run(command),
            Command::Store(command) => store::run(command),
            Command::Explain(args) => explain::run(&args),
            Command::Kinds(args) => kinds::run(&args),
            Command::Schema(args) => schema::run(&args),
            Command::Completions(args) => completions::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
