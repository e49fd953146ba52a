//! Runs that are stopped and go on: Ctrl-C, `kill -9`, a limit of time, a store that somebody else holds.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use crate::binary::Desk;

const LONG: &str = "workflow: long\nsteps:\n  - id: nap\n    sleep: 1h\n  - id: done\n    finish: rested\n";

/// Steps with effects that leave a trace each, with pauses between them.
const ROWS: &str = "workflow: rows
vars:
  n: 0
steps:
  - id: write
    db.exec:
      sql: insert into rows (n) values (:n)
      params:
        n: ${ vars.n }
  - id: tell
    email:
      to: ada@example.org
      subject: row ${ vars.n }
      text: it is written
  - id: pause
    sleep: 5ms
  - id: count
    set:
      n: ${ vars.n + 1 }
  - id: again
    switch:
      - when: ${ vars.n < 60 }
        next: write
      - when: true
  - id: rows
    db.query:
      sql: select n from rows order by n
    returns[]:
      n: int
  - id: done
    finish: ${ steps.rows.map(row => row.n) }
";
const ROWS_PROJECT: &str = "project: rows
connections:
  main_db:
    kind: sqlite
    url: ${ secrets.database_url }
    stand_in: [schema.sql]
";

/// A command that runs in the background, past its first line.
struct Running {
    child: Child,
    run: String,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        stderr.read_line(&mut first).unwrap();
        let run = first.trim().strip_prefix("run ").unwrap_or_else(|| panic!("no run: {first}")).to_owned();
        Running { child, run, stderr }
    }

    /// Reads on until a line has these words.
    fn until(&mut self, words: &str) {
        loop {
            let mut line = String::new();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "it ended without `{words}`");
            if line.contains(words) {
                return;
            }
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// What it still said, and its exit code; none if the signal ended it.
    fn end(mut self) -> (String, Option<i32>) {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (rest, self.child.wait().unwrap().code())
    }
}

#[test]
fn ctrl_c_leaves_the_run_and_prints_how_to_go_on() {
    let desk = Desk::with(&[("long.yaml", LONG)]);
    let mut running = Running::start(desk.wf(["run", "long.yaml"]));
    running.until("sleeps until");
    running.signal("-INT");
    let run = running.run.clone();
    let (rest, code) = running.end();
    assert_eq!(code, Some(130), "{rest}");
    let command = format!("wf run long.yaml --resume {run}");
    assert!(rest.contains(&command), "{rest}");
    let args: Vec<&str> = command.split(' ').skip(1).chain(["--max-wait", "100ms"]).collect();
    let waits = desk.run(args).expect(9, "goes on here, due");
    assert_eq!(waits.run(), run);
}

#[test]
fn a_store_serves_one_process_at_a_time() {
    let desk = Desk::with(&[("long.yaml", LONG)]);
    let mut running = Running::start(desk.wf(["run", "long.yaml"]));
    running.until("sleeps until");
    let words = format!("the store `.wf` is in use by process {}", running.child.id());
    desk.run(["run", "long.yaml"]).expect(4, &words);
    desk.run(["run", "--resume", &running.run]).expect(4, &words);
    running.signal("-KILL");
    let run = running.run.clone();
    running.end();
    desk.run(["run", "--resume", &run, "--max-wait", "100ms"]).expect(9, "at `nap`, due");
}

#[test]
fn a_run_that_takes_too_long_is_left_open() {
    let desk = Desk::with(&[("long.yaml", LONG)]);
    let open = desk.run(["run", "long.yaml", "--max-wait", "100ms", "--json"]).expect(9, "1 run is still open");
    let json = open.json();
    assert_eq!((&json["status"], &json["ended_at"]), (&"open".into(), &serde_json::Value::Null));
    assert_eq!(json["steps"][0]["status"], "waiting");
    // Real time cannot be skipped, and a store never changes its sort of time.
    desk.run(["run", "long.yaml", "--fast-forward"]).expect(7, "holds real time");
    let skipped =
        desk.run(["run", "long.yaml", "--fast-forward", "--store", "other"]).expect(0, "long finished after 1h");
    assert_eq!(skipped.stdout, "\"rested\"\n");
    desk.run(["run", "long.yaml", "--store", "other"]).expect(7, "holds virtual time");
    // A run that has ended tells its result again, from anywhere.
    let elsewhere = Desk::new();
    let store = desk.path("other");
    let again = elsewhere.run(["run", "--store", store.to_str().unwrap(), "--resume", skipped.run()]);
    assert_eq!(again.expect(0, "long finished after 1h of virtual time").stdout, "\"rested\"\n");
    desk.run(["run", "--resume", &"0".repeat(32)]).expect(6, "there is no run 0000");
    elsewhere.run(["run", "--resume", &"0".repeat(32)]).expect(6, "there is no store here");
}

#[test]
fn an_event_that_is_gathered_is_listed_so() {
    let totals = "workflow: totals\ntriggers:\n  - event: order.placed\nlimits:\n  batch:\n    max: 10\n    \
                  within: 2h\nsteps:\n  - id: done\n    finish: ${ events.length() }\n";
    let events = "events:\n  order.placed:\n    external: true\n    data: {n: int}\n";
    let desk = Desk::with(&[
        ("wf.yaml", "project: shop\n"),
        ("totals.yaml", totals),
        ("events.yaml", events),
        ("order.json", r#"{"name": "order.placed", "data": {"n": 1}}"#),
    ]);
    desk.run(["run", ".", "--event", "order.json", "--max-wait", "100ms"]).expect(9, "");
    let listed = desk.run(["events", "list"]).expect(0, "");
    for words in ["gathered for totals since ", ", 1 event, due ", " (in 1h59m); {\"n\":1}"] {
        assert!(listed.stdout.contains(words), "`{words}` in {}", listed.stdout);
    }
    let json = desk.run(["events", "list", "--json"]).expect(0, "").json();
    let gathered = &json["events"][0]["gathered"][0];
    assert_eq!((&gathered["workflow"], &gathered["events"]), (&"totals".into(), &1.into()));
}

#[test]
fn kill_9_repeats_no_row_and_loses_none() {
    let desk = Desk::with(&[
        ("wf.yaml", ROWS_PROJECT),
        ("rows.yaml", ROWS),
        ("schema.sql", "create table rows (n integer not null);\n"),
    ]);
    let mut running = Running::start(desk.wf(["run", "rows.yaml"]));
    let run = running.run.clone();
    for words in ["row 3", "done: {\"rows_affected\":1}", "sleeps until", "rows.write"] {
        running.until(words);
        running.signal("-KILL");
        assert_eq!(running.end().1, None);
        running = Running::start(desk.wf(["run", "--resume", &run]));
        assert_eq!(running.run, run);
    }
    running.until("rows.tell");
    running.signal("-KILL");
    running.end();
    let ended = desk.run(["run", "--resume", &run, "--json"]).expect(0, "rows finished");
    let expected: Vec<u64> = (0..60).collect();
    assert_eq!(ended.json()["output"], serde_json::json!(expected));
    let mails = std::fs::read_dir(desk.path(".wf/outbox")).unwrap();
    let mails = mails.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|kind| kind == "eml"));
    assert_eq!(mails.count(), 60, "each mail once, however often it was handed over");
}
