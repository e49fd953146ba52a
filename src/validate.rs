//! `wf validate`

use std::path::PathBuf;

use clap::ValueEnum;

use crate::exit::{Exit, Failure};
use crate::findings::{Found, Tally, count};
use crate::project::{Checked, nothing_in};
use crate::terminal::{Look, data, talk};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Projects and files; a folder without a `wf.yaml` stands for all projects in it
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// How findings are written
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Findings of this severity fail the check, too
    #[arg(long, value_enum)]
    deny: Option<Deny>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Reports with the text they speak of
    Human,
    /// One JSON object
    Json,
    /// Annotations for GitHub Actions
    Github,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Deny {
    Warnings,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let projects = Checked::all(&args.paths)?;
    let mut found = Found::default();
    let (mut files, mut left_alone, mut elsewhere) = (0, 0, 0);
    for checked in &projects {
        let (here, others) = checked.concerning();
        found.append(here);
        elsewhere += others;
        files += checked.files();
        if checked.folder.named.is_empty() {
            left_alone += checked.project.counts.left_alone;
        }
    }
    if files == 0 {
        let paths: Vec<_> = args.paths.iter().map(|path| format!("`{}`", path.display())).collect();
        return Err(nothing_in(&paths.join(", ")));
    }
    data(&match args.format {
        Format::Human => found.human(Look::stdout()),
        Format::Json => found.json(files),
        Format::Github => found.github(),
    })?;
    let tally = found.tally();
    talk(&summary(files, tally, left_alone, elsewhere));
    let failed = tally.errors > 0 || (args.deny == Some(Deny::Warnings) && tally.warnings > 0);
    Ok(if failed { Exit::Failed } else { Exit::Success })
}

fn summary(files: usize, tally: Tally, left_alone: usize, elsewhere: usize) -> String {
    let look = Look::stderr();
    let phrase = tally.phrase();
    let phrase = match tally {
        Tally { errors: 1.., .. } => look.red(&phrase),
        Tally { warnings: 1.., .. } => look.yellow(&phrase),
        Tally { .. } => look.green(&phrase),
    };
    let mut summary = format!("{} checked: {phrase}", count(files, "file"));
    if elsewhere > 0 {
        let others = count(elsewhere, "more finding");
        summary
            .push_str(&format!("; {others} in other files of the project, which `wf validate` without a file shows"));
    }
    if left_alone > 0 {
        summary.push_str(&format!("; {} left alone, none of ours", count(left_alone, "other YAML file")));
    }
    summary
}
