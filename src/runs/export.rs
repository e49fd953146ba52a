//! `wf runs export`

use serde_json::{Value as Json, json};

use super::{One, line};
use crate::desk::failed;
use crate::exit::{Exit, Failure};
use crate::terminal::data;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    args.one.store.operate(async |operator| {
        let run = operator.run(args.one.run).await.map_err(failed)?;
        let report = operator.report(args.one.run).await.map_err(failed)?;
        let records = operator.records(args.one.run).await.map_err(failed)?;
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
