//! The `wf` command line: every command parses its arguments, calls a crate, and prints.

mod exit;
mod terminal;

mod bug;
mod command;
mod desk;
mod findings;
mod project;
mod selection;
mod table;
mod timeline;
mod when;

mod completions;
mod dead;
mod events;
mod explain;
mod init;
mod kinds;
mod migrate;
mod run;
mod runs;
mod schema;
mod store;
mod test;
mod validate;
mod why;
mod workflows;

use std::process::ExitCode;

use clap::Parser;

use command::Cli;
use exit::Failure;
use terminal::{Look, talk, wrapped};

/// The engine hands much memory from one thread to another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    bug::watch();
    let cli = Cli::parse();
    let exit = match bug::guard(|| cli.command.run()) {
        Ok(exit) => exit,
        Err(failure) => {
            explain(&failure);
            failure.exit
        }
    };
    exit.into()
}

fn explain(failure: &Failure) {
    let look = Look::stderr();
    if !failure.message.is_empty() {
        talk(&format!("{} {}", look.red("error:"), failure.message));
    }
    if let Some(help) = &failure.help {
        let help = if look.is_terminal { wrapped(help, 6, look.width.saturating_sub(6)) } else { help.clone() };
        talk(&format!("{} {}", look.cyan("help:"), help.trim_end()));
    }
}
