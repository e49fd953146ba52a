//! `wf test`

mod human;
mod json;
mod junit;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;
use wf_dsl::{PlanError, Project, TestFile};
use wf_engine::testing::{CaseReport, Coverage, Suite, SuiteReport};

use crate::exit::{Exit, Failure};
use crate::findings::{Found, count};
use crate::project::Checked;
use crate::terminal::{Look, data, talk};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Projects, test files, and workflows whose tests are meant
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// How the results are written
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// List the steps, cases and handlers that no test took
    #[arg(long)]
    coverage: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A line for each case, and what went wrong
    Human,
    /// One JSON object
    Json,
    /// JUnit's XML, for CI servers
    Junit,
}

/// The results of all projects.
#[derive(Default)]
struct Results {
    cases: Vec<CaseReport>,
    taken: usize,
    total: usize,
    missed: Vec<Missed>,
}

/// A part of a workflow that no test took.
struct Missed {
    file: String,
    line: usize,
    workflow: String,
    what: String,
}

impl Results {
    fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.passed()).count()
    }

    fn add(&mut self, project: &Project, report: SuiteReport) {
        self.cases.extend(report.cases);
        let Coverage { taken, total, missed } = report.coverage;
        self.taken += taken;
        self.total += total;
        self.missed.extend(missed.into_iter().map(|missed| {
            let file = project.sources.path(missed.span.file).to_owned();
            let text = project.sources.get(missed.span.file).map_or("", |source| &source.text);
            let line = text[..missed.span.start].matches('\n').count() + 1;
            Missed { file, line, workflow: missed.workflow, what: missed.what }
        }));
    }
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let projects = Checked::all(&args.paths)?;
    let suites = projects.iter().map(|checked| Ok((checked, suite(checked)?)));
    let suites: Vec<(&Checked, Suite)> = suites.collect::<Result<_, Failure>>()?;
    if suites.iter().all(|(_, suite)| suite.is_empty()) {
        let paths: Vec<_> = args.paths.iter().map(|path| format!("`{}`", path.display())).collect();
        let failure = Failure::new(Exit::NotFound, format!("there are no tests in {}", paths.join(", ")));
        return Err(failure.help("a test file begins with `test:` and the name of the workflow"));
    }
    let mut results = Results::default();
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    for (checked, suite) in &suites {
        let report = suite.run(threads);
        let report = report.map_err(|error| Failure::new(Exit::Unavailable, format!("no threads: {error}")))?;
        results.add(&checked.project, report);
    }
    data(&match args.format {
        Format::Human => human::text(&results, args.coverage, Look::stdout()),
        Format::Json => json::text(&results, args.coverage),
        Format::Junit => junit::text(&results),
    })?;
    talk(&summary(&results));
    Ok(if results.failed() > 0 { Exit::Failed } else { Exit::Success })
}

/// The cases that were asked for: all of a project, or those of the files that were named and of their workflows.
fn suite(checked: &Checked) -> Result<Suite, Failure> {
    let (project, named) = (&checked.project, &checked.folder.named);
    let is_named = |file| named.iter().any(|named| named == project.sources.path(file));
    let wanted = |file: &TestFile| {
        let workflow = project.workflow(&file.workflow.value);
        named.is_empty()
            || is_named(file.workflow.span.file)
            || workflow.is_some_and(|workflow| is_named(workflow.name.span.file))
    };
    if checked.findings().tally().errors > 0 {
        return Err(invalid(&checked.findings()));
    }
    Suite::new(project, wanted).map_err(|error| match error {
        PlanError::Invalid(_) => invalid(&checked.findings()),
        error => Failure::new(Exit::Invalid, error.to_string()),
    })
}

fn invalid(found: &Found) -> Failure {
    talk(found.human(Look::stderr()).trim_end_matches('\n'));
    talk(&format!("\n{}; nothing was tested", found.tally().phrase()));
    Failure::explained(Exit::Invalid)
}

fn summary(results: &Results) -> String {
    let (look, failed) = (Look::stderr(), results.failed());
    let cases = count(results.cases.len(), "case");
    match failed {
        0 => format!("{cases}: {}", look.green("all passed")),
        _ => format!("{cases}: {}", look.red(&format!("{failed} failed"))),
    }
}
