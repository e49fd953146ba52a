//! `wf runs export`

use serde_json::{Value as Json, json};
use wf_dsl::InputFile;

use super::{One, line};
use crate::desk::failed;
use crate::exit::{Exit, Failure};
use crate::project::Checked;
use crate::terminal::{data, talk};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,
    /// Print a test file instead, in which the run goes as it went
    #[arg(long)]
    as_test: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    if args.as_test { test(&args.one) } else { object(&args.one) }
}

fn object(one: &One) -> Result<Exit, Failure> {
    one.store.operate(async |operator| {
        let run = operator.run(one.run).await.map_err(failed)?;
        let report = operator.report(one.run).await.map_err(failed)?;
        let records = operator.records(one.run).await.map_err(failed)?;
        let journal: Vec<Json> = records
            .iter()
            .map(|record| json!({"at": record.at.to_string(), "frame": record.frame, "fact": record.fact}))
            .collect();
        let mut object = json!({"version": 1});
        object["run"] = line::json_of_report(&run, &report);
        object["journal"] = journal.into();
        data(&format!("{object:#}\n"))?;
        Ok(Exit::Success)
    })
}

fn test(one: &One) -> Result<Exit, Failure> {
    let recorded = one.store.operate(async |operator| operator.recorded(one.run).await.map_err(failed))?;
    let checked = one.store.project();
    if let Err(failure) = &checked {
        talk(&format!("not played: {}", failure.message));
    }
    let read = checked.ok().map(|checked| move |file: InputFile| with_file(&checked, file));
    let text = recorded.written(read.as_ref().map(|read| read as _)).map_err(failed)?;
    data(&text)?;
    Ok(Exit::Success)
}

/// The project with one file more.
fn with_file(checked: &Checked, file: InputFile) -> wf_dsl::Project {
    let mut folder = checked.folder.clone();
    folder.input.files.push(file);
    folder.check_again(&checked.project, &wf_stdlib::catalog())
}
