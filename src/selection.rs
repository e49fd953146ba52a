//! Which runs a command is about, and whether many may be changed at once.

use std::io::{self, IsTerminal, Write};
use std::str::FromStr;

use wf_dsl::{Period, Time};
use wf_engine::{RunFilter, RunLine, State};

use crate::desk::StoreArgs;
use crate::exit::Failure;
use crate::findings::count;
use crate::runs::line::table;
use crate::terminal::{Look, talk};

/// An instant, or how long ago one was.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Since {
    At(Time),
    Ago(Period),
}

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = text.parse().map(Since::At);
        time.or_else(|_| text.parse().map(Since::Ago))
            .map_err(|_| "expected a timestamp, or how long ago, such as `24h`")
    }
}

impl Since {
    pub(crate) fn at(self, now: Time) -> Time {
        match self {
            Since::At(at) => at,
            Since::Ago(period) => Time(now.0.saturating_sub(period.0)),
        }
    }
}

/// Which runs.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Filter {
    /// Runs of this workflow
    #[arg(long, value_name = "NAME")]
    pub(crate) workflow: Option<String>,
    /// Runs that failed with this code, or with one of a family: `http.*`
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// Runs that began at this time or later: a timestamp, or how long ago, such as `24h`
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Since>,
    /// Runs that began before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Since>,
}

impl Filter {
    /// The filter at this time.
    pub(crate) fn at(&self, now: Time, states: &[State]) -> RunFilter {
        RunFilter {
            workflow: self.workflow.clone(),
            states: states.to_vec(),
            since: self.since.map(|since| since.at(now)),
            until: self.until.map(|until| until.at(now)),
            code: self.code.clone(),
        }
    }

    /// Whether it takes everything.
    pub(crate) fn is_empty(&self) -> bool {
        let Filter { workflow, code, since, until } = self;
        workflow.is_none() && code.is_none() && since.is_none() && until.is_none()
    }
}

/// How a list is shown, and of which store.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Listing {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = LIMIT)]
    pub(crate) limit: usize,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// The rows of a list, if it is not said how many.
const LIMIT: usize = 20;

/// How a command that changes many runs is held back.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Bulk {
    /// Say what would be changed, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

impl Bulk {
    /// Whether these may be changed: shows them, and asks whoever sits there. `what` is a verb.
    pub(crate) fn allows(&self, what: &str, runs: &[RunLine], now: Time) -> Result<bool, Failure> {
        if runs.is_empty() {
            talk("no run is like that; nothing was changed");
            return Ok(false);
        }
        if self.yes && !self.dry_run {
            return Ok(true);
        }
        talk(table(runs, now, Look::stderr()).trim_end());
        let runs = count(runs.len(), "run");
        if self.dry_run {
            talk(&format!("would {what} {runs}; nothing was changed"));
            return Ok(false);
        }
        if !io::stdin().is_terminal() {
            let failure = Failure::usage(format!("`{what}` of {runs} needs a yes"));
            return Err(failure.help("add `--yes`, or look first: `--dry-run`"));
        }
        let _ = write!(io::stderr().lock(), "{what} {runs}? [y/N] ");
        let mut answer = String::new();
        // Whoever cannot be understood has not said yes.
        let _ = io::stdin().read_line(&mut answer);
        let is_yes = matches!(answer.trim(), "y" | "Y" | "yes");
        if !is_yes {
            talk("nothing was changed");
        }
        Ok(is_yes)
    }
}
