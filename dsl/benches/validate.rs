//! How long it takes to check a project: `cargo bench -p wf-dsl`.
//!
//! The project is made up, the same each time: 300 workflows of 30 steps with effects, queries, loops, branches, waits,
//! conditions, templates and invokes between them. Everything is in memory; reading the files is the caller's.

#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use wf_dsl::{Catalog, InputFile, InputTemplate, Medium, Project, ProjectInput};

const FILES: usize = 300;
const STEPS: usize = 30;
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
    let other = (number + 1) % FILES;
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
    let path = "templates/order.txt".to_owned();
    let bytes = TEMPLATE.as_bytes().to_vec();
    let template = InputTemplate { path, name: "order".to_owned(), medium: Medium::Text, bytes };
    ProjectInput { files, templates: vec![template], ..ProjectInput::default() }
}

fn main() {
    let catalog: Catalog =
        serde_json::from_str(include_str!("../tests/catalog.json")).expect("the catalog of the tests is one");
    let input = project();
    let steps: usize =
        input.files.iter().map(|file| String::from_utf8_lossy(&file.bytes).matches("- id: ").count()).sum();
    let bytes: usize = input.files.iter().map(|file| file.bytes.len()).sum();
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let input = input.clone();
        let start = Instant::now();
        let project = black_box(Project::read(input, &catalog));
        times.push(start.elapsed());
        let findings: Vec<_> = project.findings.clone().sorted();
        assert!(findings.is_empty(), "{}", findings[0].message);
    }
    times.sort();
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "validate {FILES} files, {steps} steps, {} KiB: best {:?}, median {:?}, worst {:?}",
        bytes / 1024,
        times[0],
        times[ROUNDS / 2],
        times[ROUNDS - 1]
    );
}
