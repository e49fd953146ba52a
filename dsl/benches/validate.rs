//! How long it takes to check a project: `cargo bench -p wf-dsl`.
//!
//! The project is made up, the same each time: 300 workflows of 30 steps with effects, queries, loops, branches, waits,
//! conditions, templates and invokes between them, and a test for each tenth. Everything is in memory; reading the files is
//! the caller's. The second line is the check after one file has changed, as an editor asks for it.

#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use wf_dsl::{Catalog, InputFile, InputTemplate, Medium, Project, ProjectInput};

const FILES: usize = 300;
const STEPS: usize = 30;
/// So many workflows invoke each other in a ring.
const RING: usize = 10;
const ROUNDS: usize = 9;

const PROJECT: &str = "project: bench
connections:
  main_db:
    kind: sqlite
    url: sqlite:bench.db
retries:
  standard:
    max_attempts: 4
    delay: 2s
defaults:
  retry: standard
  timeout: 30s
";

const EVENTS: &str = "events:
  order.placed:
    external: true
    data:
      order_id: string
      customer_id: string
      email: string
      phone?: string
      total: number
      priority: [low, normal, high]
      placed_at: timestamp
      lines[]:
        sku: string
        quantity: int
  order.paid:
    external: true
    data:
      order_id: string
      paid_at: timestamp
";

const TEMPLATE: &str = "---
subject: \"Order {{ order }}\"
params:
  order: string
  total: number
  note?: string
---
Thank you for {{ order }} ({{ total }}).{% if note %} {{ note }}{% endif %}
";

/// Five steps of a workflow; `n` tells their ids apart.
fn block(text: &mut String, n: usize) {
    let _ = write!(
        text,
        "  - id: load_{n}
    db.query:
      sql: select id, status, total from orders where id = :id limit 1
      params:
        id: ${{ event.data.order_id }}
      expect: optional
    returns:
      id: string
      status: [open, shipped, closed]
      total: number
  - id: route_{n}
    switch:
      - when: ${{ steps.load_{n}?.status == \"open\" and event.data.priority == \"high\" }}
        steps:
          - id: mail_{n}
            email:
              to: ${{ event.data.email }}
              template: order
              with:
                order: ${{ event.data.order_id }}
                total: ${{ steps.load_{n}.total }}
            idempotency_key: mail-{n}-${{ event.data.order_id }}
            catch:
              - errors: [email.rejected]
      - when: true
  - id: each_{n}
    for_each:
      in: ${{ event.data.lines.filter(line => line.quantity > 0) }}
      as: line
      key: ${{ line.sku }}
      concurrency: 5
      steps:
        - id: stock_{n}
          db.exec:
            sql: update stock set reserved = reserved + :quantity where sku = :sku
            params:
              sku: ${{ line.sku }}
              quantity: ${{ line.quantity }}
"
    );
}

fn workflow(number: usize) -> String {
    let mut text = format!(
        "workflow: order-{number}\ntriggers:\n  - event: order.placed\n    if: ${{ event.data.total > {number} }}\nvars:\n  rounds: 0\nsteps:\n"
    );
    for n in 0..STEPS / 5 - 1 {
        block(&mut text, n);
    }
    let other = number / RING * RING + (number + 1) % RING;
    let _ = write!(
        text,
        "  - id: paid
    wait:
      - event: order.paid
        match:
          order_id: ${{ event.data.order_id }}
        next: hand_over
      - after: 3d
  - id: count
    set:
      rounds: ${{ vars.rounds + 1 }}
  - id: again
    switch:
      - when: ${{ vars.rounds < 3 }}
        next: paid
      - when: ${{ vars.rounds >= 3 }}
  - id: hand_over
    invoke:
      workflow: order-{other}
      with:
        order_id: ${{ event.data.order_id }}
        customer_id: ${{ event.data.customer_id }}
        email: ${{ event.data.email }}
        phone: ${{ event.data.phone }}
        total: ${{ event.data.total + 1 }}
        priority: ${{ event.data.priority }}
        placed_at: ${{ event.data.placed_at + 24h }}
        lines: ${{ event.data.lines }}
  - id: done
    finish:
      order: ${{ event.data.order_id }}
      waited: ${{ steps.paid.timed_out }}
"
    );
    text
}

fn project() -> ProjectInput {
    let file = |path: String, text: String| InputFile { path, bytes: text.into_bytes(), named: false };
    let mut files =
        vec![file("wf.yaml".to_owned(), PROJECT.to_owned()), file("events.yaml".to_owned(), EVENTS.to_owned())];
    files.extend((0..FILES).map(|number| file(format!("workflows/{number}.yaml"), workflow(number))));
    files.extend((0..FILES).step_by(10).map(|number| file(format!("tests/{number}.test.yaml"), test(number))));
    let path = "templates/order.txt".to_owned();
    let bytes = TEMPLATE.as_bytes().to_vec();
    let template = InputTemplate { path, name: "order".to_owned(), medium: Medium::Text, bytes };
    ProjectInput { files, templates: vec![template], ..ProjectInput::default() }
}

/// A test of a workflow, with a mock for each sort of step.
fn test(number: usize) -> String {
    format!(
        "test: order-{number}
defaults:
  trigger:
    event: order.placed
    data: {{order_id: o1, customer_id: c1, email: ada@example.org, total: 900, priority: high,
      placed_at: \"2026-01-01T00:00:00Z\", lines: [{{sku: s1, quantity: 2}}]}}
  mocks:
    db.query:
      output: {{id: o1, status: open, total: 900}}
    db.exec:
      output: {{rows_affected: 1}}
    email:
      output: {{message_id: m1, accepted_at: \"2026-01-01T00:00:00Z\"}}
    hand_over:
      output: {{order: o1, waited: true}}
cases:
  - name: nobody pays
    expect:
      status: finished
      elapsed: 3d
"
    )
}

/// Times a check, which must find nothing.
fn timed(check: impl FnOnce() -> Project) -> (Project, Duration) {
    let start = Instant::now();
    let project = black_box(check());
    let time = start.elapsed();
    let findings: Vec<_> = project.findings.clone().sorted();
    assert!(findings.is_empty(), "{}", findings[0].message);
    (project, time)
}

fn say(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "{what}: best {:?}, median {:?}, worst {:?}",
        times[0],
        times[times.len() / 2],
        times[times.len() - 1]
    );
}

fn main() {
    let catalog: Catalog =
        serde_json::from_str(include_str!("../tests/catalog.json")).expect("the catalog of the tests is one");
    let input = project();
    let steps: usize =
        input.files.iter().map(|file| String::from_utf8_lossy(&file.bytes).matches("- id: ").count()).sum();
    let bytes: usize = input.files.iter().map(|file| file.bytes.len()).sum();
    let first = (0..ROUNDS).map(|_| timed(|| Project::read(input.clone(), &catalog)).1).collect();
    say(&format!("validate {FILES} files, {steps} steps, {} KiB", bytes / 1024), first);
    let edits: [(&str, &str, &str); 4] = [
        ("one of the workflows", "workflows/150.yaml", "after: 3d"),
        ("what a workflow finishes with", "workflows/150.yaml", "waited: ${ steps.paid.timed_out }"),
        ("a text of the template", "templates/order.txt", "Thank you"),
        ("an event type that every workflow names", "events.yaml", "paid_at"),
    ];
    for (what, path, text) in edits {
        let mut last = Project::read(input.clone(), &catalog);
        let again = (0..ROUNDS).map(|round| {
            let edited = edited(&input, path, text, round);
            let (project, time) = timed(|| last.read_again(edited, &catalog));
            last = project;
            time
        });
        say(&format!("validate again after a change of {what}"), again.collect());
    }
}

/// The project after another change of one file.
fn edited(input: &ProjectInput, path: &str, text: &str, round: usize) -> ProjectInput {
    let mut input = input.clone();
    let files = input.files.iter_mut().map(|file| (&file.path, &mut file.bytes));
    let templates = input.templates.iter_mut().map(|file| (&file.path, &mut file.bytes));
    let (_, bytes) = files.chain(templates).find(|(name, _)| *name == path).expect("the file is there");
    let other = match text {
        "after: 3d" => format!("after: {}d", round + 4),
        // It may be null every second time.
        "waited: ${ steps.paid.timed_out }" if round.is_multiple_of(2) => {
            "waited: ${ if vars.rounds > 1 then true else null }".to_owned()
        }
        "waited: ${ steps.paid.timed_out }" => text.to_owned(),
        "paid_at" => format!("paid_{round}"),
        text => format!("{text} {round} times"),
    };
    *bytes = String::from_utf8_lossy(bytes).replace(text, &other).into_bytes();
    input
}
