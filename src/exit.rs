//! How the process ends: its exit code, and what it says if it could not do its work.

use std::process::ExitCode;

/// The exit codes of all commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything went well.
    Success = 0,
    /// The run failed, or the check found errors.
    Failed = 1,
    /// The command was given something that it cannot use.
    Usage = 2,
    /// The workflow is invalid.
    Invalid = 3,
    /// The store is in use or does not work.
    Unavailable = 4,
    /// There is nothing of this name.
    NotFound = 6,
    /// What was asked for contradicts what is there.
    Conflict = 7,
    /// The run was cancelled.
    Cancelled = 8,
    /// It took longer than it was given, or cannot go on by itself.
    TimedOut = 9,
    /// A bug of ours.
    Bug = 70,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// One lower-case phrase. Empty if everything has been said already.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into(), help: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::new(Exit::Usage, message)
    }

    /// A failure that has been explained already.
    pub(crate) fn explained(exit: Exit) -> Self {
        Failure::new(exit, "")
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
