//! What is bounded, on both sides of its bound; and what is large but allowed.

use std::time::Duration;

use serde_json::{Value as Json, json};
use wf_engine::run::{
    ERROR_DATA_BYTES_MAX, ITEMS_MAX, KEY_BYTES_MAX, OUTPUT_BYTES_MAX, StateLimits, Status, UNDOS_MAX,
};
use wf_engine::{BUSY_RETRY_AFTER, EVENT_BYTES_MAX, Engine, ErrorKind, Event, MemoryStore, RunReport, Store};

use crate::case::Case;
use crate::journal;
use crate::kinds::Calls;
use crate::virtual_time::VirtualClock;

/// Runs a workflow that `go` with `x` starts, to its end.
async fn run(steps: &str, x: Json) -> RunReport {
    let (engine, _) = engine(steps).await;
    let sent = engine.send(Event::new("go", json!({"x": x}))).await.unwrap();
    engine.wait(sent.runs[0]).await.unwrap()
}

fn case(steps: &str) -> Case {
    let flow = "workflow: flow\ntriggers: [{event: go}]\nevents: {go: {data: {x: any}}, told: {data: {\"y?\": any}}}\n";
    Case::of("limits", format!("{flow}{steps}"))
}

async fn engine(steps: &str) -> (Engine, MemoryStore) {
    let (case, store) = (case(steps), MemoryStore::new());
    (case.engine(&Calls::default()).store(store.clone()).build().await.unwrap(), store)
}

/// The same in virtual time.
async fn virtual_engine(steps: &str) -> (Engine, MemoryStore) {
    let case = case(steps);
    let store = MemoryStore::new();
    let clock = VirtualClock::starting_at(case.begin());
    (case.engine(&Calls::default()).clock(clock).store(store.clone()).build().await.unwrap(), store)
}

fn code(report: &RunReport) -> Option<&str> {
    report.error.as_ref().map(|error| error.code.as_str())
}

#[tokio::test]
async fn an_output_has_at_most_1_mib() {
    let steps = "steps: [{id: a, test.call: {bytes: '${ event.data.x }'}}]";
    assert_eq!(code(&run(steps, json!(OUTPUT_BYTES_MAX)).await), None);
    assert_eq!(code(&run(steps, json!(OUTPUT_BYTES_MAX + 1)).await), Some("validation.output"));
}

#[tokio::test]
async fn outputs_of_every_length_around_a_chunk_come_back() {
    let steps = "steps: [{id: a, test.call: {bytes: '${ event.data.x }'}, returns: string}, {id: b, sleep: 1ms}, \
                 {id: c, finish: '${ steps.a.length() }'}]";
    for kib in [4, 32, 48, 63, 64, 65, 1024] {
        for bytes in [(kib << 10) - 1, kib << 10] {
            assert_eq!(run(steps, json!(bytes)).await.output, json!(bytes - 2));
        }
    }
}

#[tokio::test]
async fn the_outputs_of_a_loop_have_at_most_1_mib_together() {
    let steps = "steps: [{id: each, for_each: {in: '${ event.data.x }', as: bytes, key: '${ bytes }', steps: \
                 [{id: a, test.call: {bytes: '${ bytes }'}, returns: string}]}}, \
                 {id: b, finish: '${ steps.each.outputs.length() }'}]";
    let half = OUTPUT_BYTES_MAX / 2;
    assert_eq!(run(steps, json!([half - 1, half])).await.output, json!(2));
    let report = run(steps, json!([half, half + 1, 10])).await;
    assert_eq!(code(&report), Some("for_each.too_large"));
    assert_eq!(report.steps.len(), 3, "it fails at the item that crosses the limit");
}

#[tokio::test]
async fn an_event_has_at_most_256_kib() {
    let (engine, _) = engine("steps: [{id: a, finish: ok}]").await;
    let around = json!({"x": ""}).to_string().len();
    let event = |bytes: usize| Event::new("go", json!({"x": "y".repeat(bytes - around)}));
    engine.send(event(EVENT_BYTES_MAX)).await.unwrap();
    assert_eq!(engine.send(event(EVENT_BYTES_MAX + 1)).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(engine.quiet().await.is_ok());
}

#[tokio::test]
async fn an_event_that_a_step_sends_has_the_same_limit() {
    let steps = "steps: [{id: big, set: {text: '${ event.data.x.map(a => vars.text).join(\"\") }'}}, \
                 {id: a, send_event: {name: told, data: {y: '${ vars.text }'}}}]\n\
                 vars: {text: '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}";
    let fits = vec![0; (EVENT_BYTES_MAX - 64) / 64];
    assert_eq!(code(&run(steps, json!(fits)).await), None);
    let large = vec![0; EVENT_BYTES_MAX / 64];
    assert_eq!(code(&run(steps, json!(large)).await), Some("validation.event"));
}

#[tokio::test]
async fn an_explicit_key_has_at_most_1_kib() {
    let steps = "steps: [{id: a, test.call: {}, idempotency_key: '${ event.data.x }'}]";
    assert_eq!(code(&run(steps, json!("k".repeat(KEY_BYTES_MAX))).await), None);
    assert_eq!(code(&run(steps, json!("k".repeat(KEY_BYTES_MAX + 1))).await), Some("validation.key"));
}

#[tokio::test]
async fn the_data_of_an_error_is_left_out_when_it_is_too_long() {
    let steps = "steps: [{id: a, fail: {code: c, message: m, data: '${ event.data.x }'}}]";
    let text = |bytes: usize| json!("d".repeat(bytes - 2));
    let kept = run(steps, text(ERROR_DATA_BYTES_MAX)).await.error.unwrap();
    assert_eq!((kept.message.as_str(), kept.data.to_json()), ("m", text(ERROR_DATA_BYTES_MAX)));
    let cut = run(steps, text(ERROR_DATA_BYTES_MAX + 1)).await.error.unwrap();
    assert_eq!(cut.message, "m (its data is left out: more than 16384 bytes)");
    assert_eq!(cut.data.to_json(), Json::Null);
}

#[tokio::test]
async fn a_loop_has_at_most_100_000_items() {
    let steps = "steps: [{id: each, for_each: {in: '${ event.data.x }', as: [n, i], key: '${ i }', steps: \
                 [{id: a, sleep: 1h}]}}]";
    let report = run(steps, json!(vec![0; ITEMS_MAX + 1])).await;
    assert_eq!(code(&report), Some("for_each.too_many"));
    let (engine, _) = engine(steps).await;
    let sent = engine.send(Event::new("go", json!({"x": vec![0; ITEMS_MAX]}))).await.unwrap();
    while engine.report(sent.runs[0]).await.unwrap().steps.len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(engine.report(sent.runs[0]).await.unwrap().status, Status::Open);
}

/// Runs a workflow whose runs may hold less than usual.
async fn run_within(limits: StateLimits, steps: &str, x: Json) -> RunReport {
    let engine = case(steps).engine(&Calls::default()).state_limits(limits).build().await.unwrap();
    let sent = engine.send(Event::new("go", json!({"x": x}))).await.unwrap();
    engine.wait(sent.runs[0]).await.unwrap()
}

#[tokio::test]
async fn a_run_holds_so_many_bytes_and_not_one_more() {
    let call = "test.call: {bytes: '${ event.data.x }'}, returns: string";
    let steps = format!(
        "steps: [{{id: a, {call}}}, {{id: b, {call}}}, \
         {{id: c, finish: '${{ (steps.a + steps.b).length() }}'}}]"
    );
    for each in [1_000, 10_000] {
        let fits = StateLimits { bytes: 2 * each, ..StateLimits::default() };
        assert_eq!(code(&run_within(fits, &steps, json!(each)).await), None, "{each}");
        let full = StateLimits { bytes: fits.bytes - 1, ..fits };
        let report = run_within(full, &steps, json!(each)).await;
        assert_eq!(code(&report), Some("limit.state"));
        assert_eq!(report.error.unwrap().step.as_deref(), Some("b"), "the one that crosses the bound");
    }
}

#[tokio::test]
async fn what_a_run_holds_no_more_does_not_count() {
    let steps = "vars: {left: 10}\nsteps: [{id: a, test.call: {bytes: 5000}}, {id: nap, sleep: 1ms}, \
                 {id: b, set: {left: '${ vars.left - 1 }'}}, \
                 {id: c, switch: [{when: '${ vars.left > 0 }', next: a}, {when: true}]}]";
    let limits = StateLimits { bytes: 11_000, ..StateLimits::default() };
    assert_eq!(code(&run_within(limits, steps, json!(0)).await), None);
}

#[tokio::test]
async fn everything_that_a_run_takes_in_counts() {
    let limits = StateLimits { bytes: 3_000, ..StateLimits::default() };
    let text = json!("t".repeat(4_000));
    for step in ["set: {text: '${ event.data.x }'}", "test.call: {gives: '${ event.data.x }'}"] {
        let steps = format!("vars: {{text: ''}}\nsteps: [{{id: a, {step}}}]");
        assert_eq!(code(&run_within(limits, &steps, text.clone()).await), Some("limit.state"), "{step}");
    }
    let each =
        "steps: [{id: a, for_each: {in: '${ [event.data.x] }', as: n, key: '${ n }', steps: [{id: b, sleep: 1ms}]}}]";
    assert_eq!(code(&run_within(limits, each, text.clone()).await), Some("limit.state"));
    let child = "steps: [{id: a, invoke: {workflow: child}}]\n---\nworkflow: child\n\
                 steps: [{id: b, finish: '${ [1, 2].map(n => \"0123456789\").join(\"\") }'}]";
    let tight = |bytes| StateLimits { bytes, ..StateLimits::default() };
    assert_eq!(code(&run_within(tight(22), child, text.clone()).await), None);
    assert_eq!(code(&run_within(tight(21), child, text).await), Some("limit.state"));
}

#[tokio::test]
async fn a_run_has_so_many_iterations_and_not_one_more() {
    let steps = "steps: [{id: each, for_each: {in: '${ event.data.x }', as: n, key: '${ n }', concurrency: 100, \
                 steps: [{id: a, sleep: 1ms}]}}, {id: done, finish: '${ steps.each.count }'}]";
    let limits = StateLimits { frames: 20, ..StateLimits::default() };
    let items = |count: i32| json!((0..count).collect::<Vec<_>>());
    assert_eq!(run_within(limits, steps, items(20)).await.output, json!(20));
    let report = run_within(limits, steps, items(21)).await;
    assert_eq!(code(&report), Some("limit.frames"));
    assert_eq!(report.error.unwrap().step.as_deref(), Some("each"));
}

#[test]
fn the_bounds_of_state_are_those_of_the_language() {
    assert_eq!(StateLimits::default(), StateLimits { bytes: 64_000_000, frames: 100_000 });
}

/// How many iterations are open at once: more than the rows of one commit.
const WIDE: usize = 1_500;

/// Iterations that all sleep, end, or are given up at once are begun, woken and given up page by page.
const SLEEPERS: &str = "steps: [{id: each, for_each: {in: '${ event.data.x }', as: n, key: '${ n }', \
                        concurrency: 100000, steps: [{id: nap, sleep: 1h}, {id: work, test.call: {}}]}}, \
                        {id: done, finish: '${ steps.each.count }'}]";

fn wide() -> Event {
    Event::new("go", json!({"x": (0..WIDE).collect::<Vec<_>>()}))
}

#[tokio::test(start_paused = true)]
async fn a_wide_loop_begins_wakes_and_ends_page_by_page() {
    let (engine, store) = virtual_engine(SLEEPERS).await;
    let sent = engine.send(wide()).await.unwrap();
    let report = engine.wait(sent.runs[0]).await.unwrap();
    assert_eq!(report.output, json!(WIDE));
    engine.quiet().await.unwrap();
    journal::check("wide", &store);
    assert_eq!(journal::leftovers(&store), []);
}

#[tokio::test(start_paused = true)]
async fn a_wide_loop_is_given_up_page_by_page() {
    let (engine, store) = virtual_engine(SLEEPERS).await;
    let sent = engine.send(wide()).await.unwrap();
    let run = sent.runs[0];
    while engine.report(run).await.unwrap().steps.len() < 1 + WIDE {
        tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_secs(1)).await;
    }
    engine.cancel(run, "enough").await.unwrap();
    assert_eq!(engine.wait(run).await.unwrap().status, Status::Cancelled);
    engine.quiet().await.unwrap();
    journal::check("wide", &store);
    assert_eq!(journal::leftovers(&store), []);
}

#[tokio::test]
async fn a_wide_loop_may_start_children_and_send_events() {
    let steps = "steps: [{id: each, for_each: {in: '${ event.data.x }', as: n, key: '${ n }', concurrency: 100000, \
                 steps: [{id: tell, send_event: {name: told, data: {}}}, \
                 {id: call, invoke: {workflow: child}}]}}, {id: done, finish: '${ steps.each.count }'}]\n---\n\
                 workflow: child\nsteps: [{id: a, test.call: {}}]";
    let (engine, store) = engine(steps).await;
    let sent = engine.send(Event::new("go", json!({"x": (0..300).collect::<Vec<_>>()}))).await.unwrap();
    assert_eq!(engine.wait(sent.runs[0]).await.unwrap().output, json!(300));
    engine.quiet().await.unwrap();
    assert_eq!(journal::leftovers(&store), []);
}

#[tokio::test]
async fn a_run_has_at_most_10000_steps_to_undo() {
    let steps = "steps: [{id: each, for_each: {in: '${ event.data.x }', as: item, key: '${ item }', steps: \
                 [{id: a, sleep: 0s, undo: [{id: b, sleep: 0s}]}]}}]";
    let items = |count: usize| json!((0..count).collect::<Vec<_>>());
    let report = run(steps, items(UNDOS_MAX)).await;
    assert_eq!((code(&report), report.steps.len()), (None, UNDOS_MAX + 1));
    let report = run(steps, items(UNDOS_MAX + 1)).await;
    assert_eq!(code(&report), Some("limit.undo"));
    let undone: Vec<_> = report.steps.iter().filter(|step| step.id == "b").collect();
    assert_eq!(undone.len(), UNDOS_MAX);
    assert_eq!(undone[0].iteration.as_deref(), Some("each[9999]"));
    assert_eq!(undone[UNDOS_MAX - 1].iteration.as_deref(), Some("each[0]"));
}

#[tokio::test(start_paused = true)]
async fn steps_to_undo_that_are_under_way_count() {
    let steps = "steps: [{id: each, for_each: {in: '${ event.data.x }', as: item, key: '${ item }', concurrency: 9, \
                 steps: [{id: a, sleep: 1s, undo: [{id: b, sleep: 0s}]}]}}]";
    let (engine, store) = virtual_engine(steps).await;
    let items = json!({"x": (0..=UNDOS_MAX).collect::<Vec<_>>()});
    let sent = engine.send(Event::new("go", items)).await.unwrap();
    assert_eq!(code(&engine.wait(sent.runs[0]).await.unwrap()), Some("limit.undo"));
    engine.quiet().await.unwrap();
    journal::check("undos under way", &store);
}

/// Every event wakes the whole run, but says something only of those that wait for it.
#[tokio::test(start_paused = true)]
async fn a_wide_loop_of_waits_records_only_what_was_for_each() {
    let steps = "steps: [{id: each, for_each: {in: '${ event.data.x }', as: item, key: '${ item }', concurrency: 1, \
                 steps: [{id: a, wait: [{event: told, match: {y: '${ item }'}}, {after: 1d}]}]}}]";
    let (engine, store) = virtual_engine(steps).await;
    let count = 100;
    let sent = engine.send(Event::new("go", json!({"x": (0..count).collect::<Vec<_>>()}))).await.unwrap();
    for y in 0..count {
        engine.send(Event::new("told", json!({"y": y}))).await.unwrap();
    }
    assert_eq!(engine.wait(sent.runs[0]).await.unwrap().status, Status::Finished);
    engine.quiet().await.unwrap();
    let histories = journal::check("a wide loop of waits", &store);
    let records = histories[0].records.len();
    assert!(records < count * 10, "{records} records for {count} waits");
}

#[tokio::test(start_paused = true)]
async fn no_more_runs_are_queued_than_the_backlog_may_have() {
    let steps = "limits: {concurrency: {limit: 1}}\nsteps: [{id: tell, send_event: {name: told, data: {y: 1}}}, \
                 {id: work, test.call: {takes: 1h}}]\n---\nworkflow: hearer\ntriggers: [{event: told}]\n\
                 limits: {concurrency: {limit: 1}}\nsteps: [{id: work, test.call: {takes: 3h}}]";
    let (case, store) = (case(steps), MemoryStore::new());
    let clock = VirtualClock::starting_at(case.begin());
    let builder = case.engine(&Calls::default()).clock(clock).store(store.clone()).backlog_max(3);
    let engine = builder.build().await.unwrap();
    let go = || Event { id: Some("the same".to_owned()), ..Event::new("go", json!({"x": 1})) };
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.extend(engine.send(Event::new("go", json!({"x": 1}))).await.unwrap().runs);
    }
    // The first runs, and so does the one that its event started; two stand behind it.
    tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_secs(60)).await;
    assert_eq!(store.backlog(), 2);
    runs.extend(engine.send(Event::new("go", json!({"x": 1}))).await.unwrap().runs);
    assert_eq!(store.backlog(), 3);
    for refused in [engine.send(go()).await.map(drop), engine.start("flow", json!({"x": 1})).await.map(drop)] {
        let error = refused.unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Busy, Some(BUSY_RETRY_AFTER)), "{error}");
    }
    // An hour later the second run has begun and sent its event, whose run has taken its place: nobody refuses that.
    tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_secs(3_600)).await;
    assert_eq!(store.backlog(), 3);
    assert_eq!(engine.send(go()).await.unwrap_err().kind(), ErrorKind::Busy);
    tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_secs(2 * 3_600)).await;
    assert_eq!(store.backlog(), 2);
    let again = engine.send(go()).await.unwrap();
    assert!(!again.duplicate, "what was refused is not remembered");
    runs.extend(again.runs);
    for run in runs {
        assert_eq!(engine.wait(run).await.unwrap().status, Status::Finished, "nothing that was accepted is lost");
    }
    engine.quiet().await.unwrap();
    assert_eq!(store.backlog(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_knows_the_backlog() {
    let steps = "limits: {concurrency: {limit: 1}}\nsteps: [{id: work, test.call: {takes: 1h}}]";
    let (case, store) = (case(steps), MemoryStore::new());
    let build = async |store: MemoryStore, most: u64| {
        let clock = VirtualClock::starting_at(case.begin());
        case.engine(&Calls::default()).clock(clock).store(store).backlog_max(most).build().await.unwrap()
    };
    let engine = build(store.clone(), u64::MAX).await;
    for _ in 0..4 {
        engine.send(Event::new("go", json!({"x": 1}))).await.unwrap();
    }
    engine.shutdown().await;
    let store = MemoryStore::from_rows(store.rows()).unwrap();
    let engine = build(store.clone(), 3).await;
    tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_secs(1)).await;
    assert_eq!(store.backlog(), 3);
    assert_eq!(engine.send(Event::new("go", json!({"x": 1}))).await.unwrap_err().kind(), ErrorKind::Busy);
}
