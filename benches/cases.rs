//! How long 10,000 test cases take: `cargo bench --bench cases`.
//!
//! They are the cases of the language's `event-funnel.test.yaml`, in as many files as it takes, played as `wf test` plays
//! them on two threads. Reading and checking the files is timed apart.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use wf_dsl::{InputFile, Project};
use wf_engine::testing::Suite;

const CASES: usize = 10_000;
const THREADS: NonZeroUsize = NonZeroUsize::new(2).unwrap();
/// What 10,000 cases may take.
const LIMIT: Duration = Duration::from_secs(10);
const ROUNDS: usize = 3;

/// The allocator of the command.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples/language");
    let mut folders = wf_engine::folder::read(&[root]).expect("the examples are there");
    let input = &mut folders[0].input;
    let catalog = wf_stdlib::catalog();
    let place = input.files.iter().position(|file| file.path.ends_with("tests/event-funnel.test.yaml"));
    let cases = input.files.remove(place.expect("the example has a test"));
    input.files.retain(|file| !file.path.ends_with(".test.yaml"));
    let in_a_file = String::from_utf8_lossy(&cases.bytes).matches("\n  - name: ").count();
    let copies = (0..CASES.div_ceil(in_a_file)).map(|number| InputFile {
        path: format!("tests/{number}.test.yaml"),
        bytes: cases.bytes.clone(),
        named: true,
    });
    input.files.extend(copies);

    let start = Instant::now();
    let project = Project::read(input.clone(), &catalog);
    assert!(!project.findings.has_errors(), "the examples are right");
    println!("{CASES} cases in {} files: read and checked in {:.2?}", CASES.div_ceil(in_a_file), start.elapsed());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let suite = Suite::new(&project, |_| true).expect("the project has no errors");
        let made = start.elapsed();
        let report = suite.run(THREADS).expect("a runtime can be made");
        let took = start.elapsed();
        assert!(report.cases.len() >= CASES && report.cases.iter().all(|case| case.passed()), "all cases pass");
        let verdict = if took < LIMIT { "under" } else { "OVER" };
        println!(
            "{} cases: {took:.2?}, of which {made:.2?} to make them ready; {verdict} {LIMIT:?}",
            report.cases.len()
        );
    }
}
