//! Processes that are killed while they change a database.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, unconfigured};
use super::campaign::rounds;

/// In a process that is to be killed: the folder of the database, and the number of the first step.
const FOLDER: &str = "WF_TEST_KILL_FOLDER";
const FIRST: &str = "WF_TEST_KILL_FIRST";
const SCHEMA: &str = "create table effects (step integer not null); create table filled (times integer not null);";

/// Goal: every effect happens once, though processes die between the commit of an effect and the record of it.
/// Method: a process makes one step after another and tells of each when it is done, until it is killed. The next one
/// begins with the last step that was told of, as an engine would that had lost its last records.
#[tokio::test]
async fn a_killed_process_repeats_no_effect() {
    if let (Ok(folder), Ok(first)) = (std::env::var(FOLDER), std::env::var(FIRST)) {
        return steps_until_killed(Path::new(&folder), first.parse().unwrap()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut told: u64 = 0;
    for round in 0..rounds("db-kills") {
        let mut child = start(folder.path(), told);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The first kills come before the database is there, the later ones at ever another point of a step.
        let steps = if round % 5 == 0 { 0 } else { round % 7 };
        for _ in 0..steps {
            told = next(&mut lines).expect("the process makes steps until it is killed");
        }
        std::thread::sleep(Duration::from_micros((round as u64 * 379) % 3_000 + if steps == 0 { 20_000 } else { 0 }));
        child.kill().unwrap();
        while let Some(step) = next(&mut lines) {
            told = step;
        }
        child.wait().unwrap();
    }
    let mut bench = bench(folder.path());
    step(&mut bench, told).await;
    let row = "select count(*) as effects, count(distinct step) as steps, max(step) as last, \
               (select count(*) from filled) as filled from effects";
    let counted = bench.run("db.query", json!({"sql": row, "expect": "one"})).await.unwrap();
    let last = counted["last"].as_u64().unwrap();
    assert!(told > 0 && last >= told, "{told} {counted}");
    assert_eq!(counted, json!({"effects": last + 1, "steps": last + 1, "last": last, "filled": 1}));
}

async fn steps_until_killed(folder: &Path, first: u64) {
    let (mut bench, mut parent) = (bench(folder), std::io::stdout());
    for number in first.. {
        step(&mut bench, number).await;
        writeln!(parent, "done {number}").unwrap();
    }
}

async fn step(bench: &mut Bench, number: u64) {
    bench.next_step(&format!("wf_step{number}"));
    let body = json!({"sql": "insert into effects values (:step)", "params": {"step": number}});
    assert_eq!(bench.run("db.exec", body).await.unwrap(), json!({"rows_affected": 1}));
}

fn bench(folder: &Path) -> Bench {
    let mut bench = Bench::new();
    bench.project("schema.sql", SCHEMA);
    bench.project("sample.sql", "insert into filled values (1);");
    let stand_in = ["schema.sql", "sample.sql"].map(String::from).to_vec();
    bench.declare(wf_engine::Connection { stand_in, ..unconfigured("main_db", "sqlite", &[]) });
    bench.cx.stand_ins = Some(folder.into());
    bench
}

fn start(folder: &Path, first: u64) -> Child {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "kill::a_killed_process_repeats_no_effect", "--nocapture"]);
    again.env(FOLDER, folder).env(FIRST, first.to_string()).stdout(Stdio::piped()).spawn().unwrap()
}

/// The next step that a process tells of, whatever else it says in between.
fn next(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> Option<u64> {
    lines.map_while(Result::ok).find_map(|line| line.strip_prefix("done ")?.parse().ok())
}
