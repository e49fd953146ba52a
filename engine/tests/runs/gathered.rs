//! `debounce` and `batch`: what is bounded, on both sides of its bound, and what is kept.

use std::time::Duration;

use serde_json::{Value as Json, json};
use wf_dsl::Time;
use wf_engine::limits::{GATHERED_BYTES_MAX, GATHERED_MAX};
use wf_engine::store::{Commit, Key, Table, Write};
use wf_engine::{
    EVENT_BYTES_MAX, Engine, Event, EventFilter, Fault, Gathered, LoggedEvent, MemoryStore, Page, Retention, RunId,
    Store,
};

use crate::case::Case;
use crate::kinds::Calls;
use crate::virtual_time::VirtualClock;

struct Desk {
    engine: Engine,
    store: MemoryStore,
}

impl Desk {
    /// An engine with a workflow that has these limits, and ends with how many events started it.
    async fn new(limits: &str) -> Desk {
        let output = if limits.contains("collect") || limits.contains("batch") { "events.length()" } else { "1" };
        let case = Case::of(
            "gathered",
            format!(
                "workflow: flow\ntriggers: [{{event: go}}]\nevents: {{go: {{data: {{x: any}}}}}}\nlimits: {limits}\n\
                 steps: [{{id: done, finish: '${{ {output} }}'}}]"
            ),
        );
        let (clock, store) = (VirtualClock::starting_at(case.begin()), MemoryStore::new());
        let builder = case.engine(&Calls::default()).retention(Some(Retention::default()));
        Desk { engine: builder.clock(clock).store(store.clone()).build().await.unwrap(), store }
    }

    async fn send(&self, x: Json) {
        let sent = self.engine.send(Event::new("go", json!({"x": x}))).await.unwrap();
        assert!(sent.gathered && sent.runs.is_empty());
    }

    async fn rows(&self, table: Table) -> usize {
        self.store.scan(Key::all(table), false, usize::MAX).await.unwrap().len()
    }

    /// What the runs that there are by now end with.
    async fn outputs(&self) -> Vec<Json> {
        pass(Duration::from_millis(1)).await;
        let heads = self.store.scan(Key::all(Table::Head), false, usize::MAX).await.unwrap();
        let mut outputs = Vec::new();
        for run in heads.iter().filter_map(|row| row.key.as_head()) {
            outputs.push(self.engine.wait(run).await.unwrap().output);
        }
        outputs
    }
}

async fn pass(time: Duration) {
    tokio::time::sleep_until(tokio::time::Instant::now() + time).await;
}

#[tokio::test(start_paused = true)]
async fn so_many_events_start_a_run_and_not_one_less() {
    let most = usize::try_from(GATHERED_MAX).unwrap();
    for limits in
        [format!("{{batch: {{max: {most}, within: 1h}}}}"), "{debounce: {quiet: 1h, collect: all}}".to_owned()]
    {
        let desk = Desk::new(&limits).await;
        for n in 1..most {
            desk.send(json!(n)).await;
        }
        assert_eq!(desk.outputs().await, [json!(null); 0]);
        assert_eq!(desk.rows(Table::Gathered).await, most - 1);
        desk.send(json!(most)).await;
        assert_eq!(desk.outputs().await, [json!(most)]);
        assert_eq!([desk.rows(Table::Gathered).await, desk.rows(Table::Timer).await], [0, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_so_many_bytes_and_begins_when_it_has_one_more() {
    let desk = Desk::new("{batch: {max: 1000, within: 1h}}").await;
    let longest = EVENT_BYTES_MAX - r#"{"x":""}"#.len();
    let full = GATHERED_BYTES_MAX / EVENT_BYTES_MAX as u64;
    for _ in 0..full {
        desk.send(json!("x".repeat(longest))).await;
    }
    assert_eq!(desk.outputs().await, [json!(null); 0], "exactly as much as it may hold");
    desk.send(json!(null)).await;
    assert_eq!(desk.outputs().await, [json!(full + 1)]);
}

#[tokio::test(start_paused = true)]
async fn of_events_that_replace_each_other_one_is_kept() {
    let desk = Desk::new("{debounce: {quiet: 1m}}").await;
    for n in 0..50 {
        desk.send(json!(n)).await;
        pass(Duration::from_secs(1)).await;
        assert_eq!([desk.rows(Table::Gathered).await, desk.rows(Table::Timer).await], [1, 1]);
    }
    desk.engine.quiet().await.unwrap();
    assert_eq!(desk.outputs().await, [json!(1)]);
    let rows = [Table::Gathered, Table::Timer, Table::Limit, Table::Dropped];
    for table in rows {
        assert_eq!(desk.rows(table).await, 0, "{table}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gathered_outlives_what_is_kept_of_events() {
    let desk = Desk::new("{batch: {max: 10, within: 20d}}").await;
    desk.engine.send(Event::new("nobody.wants.it", json!({}))).await.unwrap();
    desk.send(json!("a")).await;
    pass(Duration::from_secs(15 * 86_400)).await;
    desk.send(json!("b")).await;
    assert_eq!(desk.rows(Table::Event).await, 2, "what nobody gathers has gone");
    pass(Duration::from_secs(5 * 86_400 + 60)).await;
    assert_eq!(desk.outputs().await, [json!(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_has_all_the_events_of_the_run_that_it_repeats() {
    let desk = Desk::new("{batch: {max: 3, within: 1h}}").await;
    for n in 0..3 {
        desk.send(json!(format!("{n}{}", "x".repeat(3_000)))).await;
    }
    assert_eq!(desk.outputs().await, [json!(3)]);
    let heads = desk.store.scan(Key::all(Table::Head), false, 1).await.unwrap();
    let run: RunId = heads[0].key.as_head().unwrap();
    let again = desk.engine.operator().replay_run(run).await.unwrap();
    desk.engine.quiet().await.unwrap();
    assert_eq!(desk.engine.report(again).await.unwrap().output, json!(3));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_fails_is_a_start_that_was_dropped() {
    let desk = Desk::new("{batch: {max: 3, within: 1h, key: '${ [1][event.data.x.length()] }'}}").await;
    let sent = desk.engine.send(Event::new("go", json!({"x": "long"}))).await.unwrap();
    assert!(!sent.gathered && sent.runs.is_empty());
    let dropped = desk.engine.operator().dropped_starts(None, 10).await.unwrap();
    let dropped: Vec<_> = dropped.iter().map(|start| (start.event, start.limit.as_str(), start.run)).collect();
    assert_eq!(dropped, [(sent.event, "key", None)]);
}

#[tokio::test(start_paused = true)]
async fn a_check_finds_a_timer_that_is_missing_and_writes_it() {
    let desk = Desk::new("{batch: {max: 3, within: 1h}}").await;
    desk.send(json!(1)).await;
    let right = wf_engine::check(&desk.store, false).await.unwrap();
    assert_eq!(right.differences, []);
    let timer = desk.store.scan(Key::all(Table::Timer), false, 1).await.unwrap().remove(0);
    let writes = vec![Write::Delete(timer.key.clone())];
    desk.store.commit(Commit { writes, ..Commit::default() }).await.unwrap();
    let found = wf_engine::check(&desk.store, true).await.unwrap().differences;
    assert_eq!(found.iter().map(|it| (it.table, it.what)).collect::<Vec<_>>(), [("timer", Fault::Missing)]);
    assert_eq!(desk.store.get(std::slice::from_ref(&timer.key)).await.unwrap(), [Some(timer)]);
}

#[tokio::test(start_paused = true)]
async fn the_log_says_what_an_event_is_gathered_for() {
    for (limits, told) in [("{batch: {max: 3, within: 1h}}", [2, 2]), ("{debounce: {quiet: 1h}}", [0, 1])] {
        let desk = Desk::new(limits).await;
        let operator = desk.engine.operator();
        let begin = operator.now();
        for x in [1, 2] {
            desk.send(json!(x)).await;
            pass(Duration::from_secs(60)).await;
        }
        let log = |page: Page<LoggedEvent, _>| page.items.into_iter().rev().map(|event| event.gathered);
        let gathered: Vec<_> = log(operator.events(&EventFilter::default(), None, 10).await.unwrap()).collect();
        let due = |minutes: i64| Time(begin.0 + minutes * 60_000);
        let until = if limits.contains("batch") { due(60) } else { due(61) };
        let wanted = told.map(|events| {
            let one = Gathered { workflow: "flow".into(), since: begin, due: until, events };
            Vec::from_iter((events > 0).then_some(one))
        });
        assert_eq!(gathered, wanted, "{limits}");
        pass(Duration::from_secs(3600)).await;
        let page = operator.events(&EventFilter::default(), None, 10).await.unwrap();
        assert!(page.items.iter().any(|event| event.runs.len() == 1), "they have started their run");
        assert!(log(page).all(|gathered| gathered.is_empty()));
    }
}
