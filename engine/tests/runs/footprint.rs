//! What the engine writes: commits, rows and bytes for an event, a step, and a run that sleeps.

use serde_json::json;
use wf_engine::{Engine, Event, MemoryStore, StepContext, StepError, kind};

use crate::faulty::Faulty;

/// What one event left behind.
#[derive(Debug)]
struct Footprint {
    /// Commits until everything came to rest.
    commits: usize,
    /// Rows there are more, and the bytes of their keys and values.
    rows: usize,
    bytes: usize,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

/// Sends one event to an engine with this workflow, if there is one.
fn footprint(workflow: Option<String>) -> Footprint {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let rows = MemoryStore::new();
        let store = Faulty::new(rows.clone(), None, 0);
        let noop = kind("test.noop", async |_: StepContext, _: Nothing| Ok::<(), StepError>(()));
        let builder = Engine::builder().store(store.clone()).kind(noop);
        let builder = workflow.into_iter().fold(builder, |builder, text| builder.file("flow.yaml", text));
        let engine = builder.build().await.unwrap();
        let sizes = || rows.rows().iter().map(|row| row.key.as_bytes().len() + row.value.len()).collect::<Vec<_>>();
        let (before, written) = (sizes(), store.writes());
        let receipt = engine.send(Event::new("go", json!({}))).await.unwrap();
        for run in receipt.runs {
            tokio::time::timeout(std::time::Duration::from_secs(60), engine.wait(run)).await.ok();
        }
        let after = sizes();
        let bytes = |sizes: &[usize]| sizes.iter().sum::<usize>();
        Footprint {
            commits: store.writes() - written,
            rows: after.len() - before.len(),
            bytes: bytes(&after) - bytes(&before),
        }
    })
}

fn steps(count: usize) -> String {
    let steps: String = (0..count).map(|step| format!("  - {{id: s{step}, test.noop: {{}}}}\n")).collect();
    format!("workflow: flow\ntriggers: [{{event: go}}]\nevents: {{go: {{data: {{}}}}}}\nsteps:\n{steps}")
}

#[test]
fn events_steps_and_sleepers_leave_few_rows() {
    let event = footprint(None);
    eprintln!("an event that starts nothing: {event:?}");
    assert_eq!((event.commits, event.rows), (1, 1));
    assert!(event.bytes <= 150, "{event:?}");

    let sleeper = "workflow: flow\ntriggers: [{event: go}]\nevents: {go: {data: {}}}\nsteps: [{id: nap, sleep: 1h}]\n";
    let sleeper = footprint(Some(sleeper.into()));
    eprintln!("an event and a run that sleeps: {sleeper:?}");
    assert_eq!((sleeper.commits, sleeper.rows), (1, 3), "event, head and timer, in one commit");
    assert!(sleeper.bytes <= 1_000, "{sleeper:?}");

    let (few, many) = (footprint(Some(steps(1))), footprint(Some(steps(201))));
    eprintln!("runs of 1 and of 201 steps: {few:?}, {many:?}");
    assert_eq!((few.commits, few.rows), (2, 4), "event, head, one journal row, one row of ended runs");
    assert_eq!(many.commits - few.commits, 200, "one commit a step");
    assert_eq!(many.rows - few.rows, 200, "one row a step");
    assert!(many.bytes - few.bytes <= 200 * 300, "{many:?}");
}
