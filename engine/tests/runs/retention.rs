//! What goes in time, and what stays.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};
use wf_engine::store::{Key, Table};
use wf_engine::{
    BoxFuture, Engine, ErrorKind, Event, Kind, MemoryStore, Output, Retention, RunId, StepContext, StepError, StepKind,
    Store,
};

use crate::case::Case;
use crate::kinds::{self, Calls};
use crate::virtual_time::VirtualClock;

const DAY: Duration = Duration::from_secs(86_400);

/// Finishes, fails, invokes, waits and remembers.
const FLOWS: &str = "workflow: quick\ntriggers: [{event: go}]\nevents: {go: {external: true, data: {}}}\n\
    steps: [{id: a, test.call: {bytes: 5000}}, {id: b, sleep: 1m}, {id: c, finish: ok}]\n---\n\
    workflow: dead\ntriggers: [{event: die}]\nevents: {die: {external: true, data: {}}}\n\
    steps: [{id: a, fail: {code: c, message: m}}]\n---\n\
    workflow: breaks\ntriggers: [{event: break}]\nevents: {break: {external: true, data: {}}}\n\
    steps: [{id: a, test.call: {}}, {id: b, fail: {code: c, message: m}}]\n---\n\
    workflow: lends\ntriggers: [{event: lend}]\nevents: {lend: {external: true, data: {}}}\n\
    steps: [{id: a, test.call: {bytes: 50000}, idempotency_key: k}, {id: b, fail: {code: c, message: m}}]\n---\n\
    workflow: parent\ntriggers: [{event: parent}]\nevents: {parent: {external: true, data: {for: duration}}}\n\
    vars: {seen: false}\nsteps: [{id: a, invoke: {workflow: child}}, {id: b, invoke: {workflow: failing}, catch: [{errors: [invoke.*], steps: [{id: caught, set: {seen: true}}]}]}, \
    {id: c, sleep: '${ event.data.for }'}]\n---\n\
    workflow: child\nsteps: [{id: a, test.call: {}}]\n---\n\
    workflow: failing\nsteps: [{id: a, fail: {code: c, message: m}}]\n---\n\
    workflow: patient\ntriggers: [{event: wait}]\n\
    events: {wait: {external: true, data: {id: string}}, told: {external: true, data: {id: string}}}\n\
    steps: [{id: nap, sleep: 30d}, \
    {id: heard, wait: [{event: told, match: {id: '${ event.data.id }'}}, {after: 1d}]}, \
    {id: done, finish: '${ steps.heard.timed_out }'}]";

struct World {
    engine: Engine,
    store: MemoryStore,
}

impl World {
    async fn new(store: MemoryStore, kinds: Vec<Arc<dyn StepKind>>) -> World {
        World::of(FLOWS, store, kinds).await
    }

    async fn of(flows: &str, store: MemoryStore, kinds: Vec<Arc<dyn StepKind>>) -> World {
        let case = Case::of("retention", flows);
        let clock = VirtualClock::starting_at(case.begin());
        let builder = Engine::builder().plans(case.plans()).kinds(kinds).clock(clock).store(store.clone());
        World { engine: builder.build().await.unwrap(), store }
    }

    async fn fresh() -> World {
        World::new(MemoryStore::new(), kinds::all(&Calls::default())).await
    }

    async fn send(&self, name: &str, data: Json) -> RunId {
        let sent = self.engine.send(Event::new(name, data)).await.unwrap();
        sent.runs.first().copied().unwrap_or(RunId { event: sent.event, workflow: 0, nth: 0 })
    }

    async fn rows(&self, table: Table) -> usize {
        self.store.scan(Key::all(table), false, usize::MAX).await.unwrap().len()
    }

    async fn is_there(&self, run: RunId) -> bool {
        self.engine.report(run).await.is_ok()
    }
}

async fn pass(time: Duration) {
    tokio::time::sleep_until(tokio::time::Instant::now() + time).await;
}

#[tokio::test(start_paused = true)]
async fn a_finished_run_goes_after_seven_days_with_all_it_has() {
    let world = World::fresh().await;
    let run = world.send("go", json!({})).await;
    world.engine.wait(run).await.unwrap();
    pass(7 * DAY - Duration::from_secs(7200)).await;
    assert!(world.is_there(run).await);
    pass(Duration::from_secs(4 * 3600)).await;
    assert!(!world.is_there(run).await);
    for table in [Table::Head, Table::Frame, Table::Journal, Table::Chunk, Table::Ended, Table::Event, Table::Queue] {
        assert_eq!(world.rows(table).await, 0, "{table:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ended_in_line_goes_with_its_place_there() {
    const FLOW: &str = "workflow: narrow\ntriggers: [{event: go}]\n\
        events: {go: {external: true, data: {takes: duration}}}\nlimits: {concurrency: {limit: 1}}\n\
        steps: [{id: nap, sleep: 1m}, {id: busy, test.call: {takes: '${ event.data.takes }'}, timeout: 60d}]";
    let world = World::of(FLOW, MemoryStore::new(), kinds::all(&Calls::default())).await;
    let busy = world.send("go", json!({"takes": "P30D"})).await;
    pass(Duration::from_secs(30)).await;
    let late = world.send("go", json!({"takes": "PT0S"})).await;
    pass(Duration::from_secs(600)).await;
    assert_eq!(world.rows(Table::Gated).await, 2, "one has the slot, and one waits for it");
    world.engine.cancel(late, "enough").await.unwrap();
    world.engine.wait(late).await.unwrap();
    pass(8 * DAY).await;
    assert!(!world.is_there(late).await && world.is_there(busy).await);
    assert_eq!(world.rows(Table::Gated).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_stays() {
    let world = World::fresh().await;
    let run = world.send("die", json!({})).await;
    world.engine.wait(run).await.unwrap();
    pass(400 * DAY).await;
    assert!(world.is_there(run).await);
    assert_eq!(world.rows(Table::Event).await, 1, "the event that it was born of");
}

#[tokio::test(start_paused = true)]
async fn invoked_runs_go_with_their_root() {
    let world = World::fresh().await;
    let root = world.send("parent", json!({"for": "P20D"})).await;
    pass(19 * DAY).await;
    assert_eq!(world.rows(Table::Head).await, 3, "the root is open, and the others are its");
    world.engine.wait(root).await.unwrap();
    pass(6 * DAY).await;
    assert_eq!(world.rows(Table::Head).await, 3);
    pass(2 * DAY).await;
    for table in [Table::Head, Table::Ended, Table::Journal, Table::Event] {
        assert_eq!(world.rows(table).await, 0, "{table:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_stands_for_an_invoked_one_may_be_gone() {
    let flows = "workflow: flow\ntriggers: [{event: go}]\nevents: {go: {external: true, data: {}}}\n\
        vars: {told: ''}\nsteps: [{id: a, invoke: {workflow: child}, \
        catch: [{errors: [invoke.refused], steps: [{id: b, set: {told: '${ error.message }'}}]}]}, \
        {id: c, finish: '${ vars.told }'}]\n---\n\
        workflow: child\nlimits: {idempotency: {key: all, within: 30d}}\nsteps: [{id: a, sleep: 1m}]";
    let world = World::of(flows, MemoryStore::new(), kinds::all(&Calls::default())).await;
    let mut told = Vec::new();
    for _ in 0..2 {
        let run = world.send("go", json!({})).await;
        told.push(world.engine.wait(run).await.unwrap().output);
        pass(8 * DAY).await;
        assert!(!world.is_there(run).await);
    }
    assert_eq!(told, [json!(""), json!("the run that stands for it is not kept any more")]);
    for table in [Table::Head, Table::Ended, Table::Wait, Table::Queue, Table::Event] {
        assert_eq!(world.rows(table).await, 0, "{table:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_stays_as_long_as_an_open_run_may_look_for_it() {
    let world = World::fresh().await;
    let run = world.send("wait", json!({"id": "x"})).await;
    pass(DAY).await;
    world.send("told", json!({"id": "x"})).await;
    world.send("told", json!({"id": "other"})).await;
    world.send("go", json!({})).await;
    pass(25 * DAY).await;
    assert_eq!(world.rows(Table::Event).await, 3, "its own, and two that it may look at");
    assert_eq!(world.engine.wait(run).await.unwrap().output, json!(false), "it heard of the event of day 1 on day 30");
    pass(8 * DAY).await;
    assert_eq!((world.rows(Table::Event).await, world.rows(Table::Inbox).await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_overdue_deadline_finds_its_place_in_a_log_with_gaps() {
    let world = World::fresh().await;
    let run = world.send("wait", json!({"id": "x"})).await;
    for _ in 0..20 {
        world.send("go", json!({})).await;
        pass(DAY).await;
    }
    assert_eq!(world.engine.wait(run).await.unwrap().output, json!(true));
}

#[tokio::test(start_paused = true)]
async fn ids_of_events_are_forgotten_by_the_bucket() {
    let world = World::fresh().await;
    for day in 0..40 {
        world
            .engine
            .send(Event { id: Some(format!("id-{day}")), ..Event::new("told", json!({"id": "x"})) })
            .await
            .unwrap();
        pass(DAY).await;
    }
    let left = world.rows(Table::Dedupe).await;
    assert!((7..=15).contains(&left), "{left} of 40");
}

#[tokio::test(start_paused = true)]
async fn without_retention_nothing_goes() {
    let case = Case::of("retention", FLOWS);
    let store = MemoryStore::new();
    let builder = case.engine(&Calls::default()).clock(VirtualClock::starting_at(case.begin())).store(store.clone());
    let engine = builder.build().await.unwrap();
    let run = engine.send(Event::new("go", json!({}))).await.unwrap().runs[0];
    pass(100 * DAY).await;
    assert!(engine.report(run).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_pass_is_taken_up() {
    let world = World::fresh().await;
    let run = world.send("go", json!({})).await;
    world.engine.wait(run).await.unwrap();
    world.engine.shutdown().await;
    // As after the first commit of a pass.
    let rows = world.store.rows().into_iter().filter(|row| row.key != Key::head(run));
    let store = MemoryStore::from_rows(rows).unwrap();
    let world = World::new(store, kinds::all(&Calls::default())).await;
    assert!(world.rows(Table::Journal).await > 0);
    pass(8 * DAY).await;
    assert_eq!(world.rows(Table::Journal).await, 0);
}

#[tokio::test(start_paused = true)]
async fn many_runs_go_in_parts() {
    let world = World::fresh().await;
    for _ in 0..1_500 {
        world.send("go", json!({})).await;
    }
    pass(7 * DAY + Duration::from_secs(2 * 3600)).await;
    assert_eq!(world.rows(Table::Head).await, 0);
    assert_eq!(world.rows(Table::Event).await, 0);
}

/// A kind that notes what it is to forget, and refuses so many times.
struct Remembering {
    told: Arc<Mutex<Vec<RunId>>>,
    refuses: Mutex<u32>,
}

impl StepKind for Remembering {
    fn describe(&self) -> Kind {
        kinds::all(&Calls::default())[0].describe()
    }

    fn execute<'a>(&'a self, _cx: &'a StepContext, _args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(std::future::ready(Ok(Output { value: Json::Null })))
    }

    fn forget<'a>(
        &'a self,
        _cx: &'a StepContext,
        connection: Option<&'a str>,
        runs: &'a [RunId],
    ) -> BoxFuture<'a, Result<(), StepError>> {
        assert_eq!(connection, None);
        self.told.lock().unwrap().extend(runs);
        let mut refuses = self.refuses.lock().unwrap();
        let refused = *refuses > 0;
        *refuses = refuses.saturating_sub(1);
        let answer = if refused { Err(StepError::new("test.busy", "not now")) } else { Ok(()) };
        Box::pin(std::future::ready(answer))
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_is_told_before_and_may_have_the_run_kept_for_some_time() {
    for (refuses, days) in [(0, 8), (30, 10), (u32::MAX, 29)] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let kind = Remembering { told: told.clone(), refuses: Mutex::new(refuses) };
        let kinds: Vec<Arc<dyn StepKind>> = vec![Arc::new(kind), kinds::all(&Calls::default()).remove(1)];
        let world = World::new(MemoryStore::new(), kinds).await;
        let run = world.send("go", json!({})).await;
        pass((days - 1) * DAY).await;
        assert!(world.is_there(run).await || days == 10, "{refuses}");
        pass(2 * DAY).await;
        assert!(!world.is_there(run).await, "{refuses}");
        assert!(told.lock().unwrap().len() as u32 > refuses.min(100));
        assert!(told.lock().unwrap().iter().all(|told| *told == run));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_dropped_when_its_kinds_have_forgotten_it() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let kind = Remembering { told: told.clone(), refuses: Mutex::new(1) };
    let kinds: Vec<Arc<dyn StepKind>> = vec![Arc::new(kind), kinds::all(&Calls::default()).remove(1)];
    let world = World::new(MemoryStore::new(), kinds).await;
    let run = world.send("break", json!({})).await;
    assert_eq!(world.engine.wait(run).await.unwrap().status.as_str(), "failed");
    let operator = world.engine.operator();
    assert_eq!(operator.drop_dead(run).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(world.is_there(run).await);
    operator.drop_dead(run).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [run, run]);
    for table in [Table::Head, Table::Frame, Table::Journal, Table::Chunk, Table::Ended, Table::Queue] {
        assert_eq!(world.rows(table).await, 0, "{table:?}");
    }
    assert_eq!(operator.drop_dead(run).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_whose_output_a_key_lends_is_not_dropped() {
    let world = World::fresh().await;
    let run = world.send("lend", json!({})).await;
    assert_eq!(world.engine.wait(run).await.unwrap().status.as_str(), "failed");
    let operator = world.engine.operator();
    let error = operator.drop_dead(run).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("until 2026-02-04T09:00:00Z"), "{error}");
    pass(31 * DAY).await;
    operator.drop_dead(run).await.unwrap();
    assert!(!world.is_there(run).await);
}

/// Workflows of which each has something else that needs its old definition.
const VERSIONS: &str = "workflow: idle\nsteps: [{id: a, finish: 1}]\n---\n\
    workflow: quick\ntriggers: [{event: go}]\nevents: {go: {external: true, data: {}}}\nsteps: [{id: a, finish: 1}]\n---\n\
    workflow: slow\ntriggers: [{event: crawl}]\nevents: {crawl: {external: true, data: {}}}\n\
    steps: [{id: nap, sleep: 20d}, {id: a, finish: 1}]\n---\n\
    workflow: paused\ntriggers: [{event: hold}]\nevents: {hold: {external: true, data: {}}}\nsteps: [{id: a, finish: 1}]\n---\n\
    workflow: dead\ntriggers: [{event: die}]\nevents: {die: {external: true, data: {}}}\n\
    steps: [{id: a, if: '${ run.id != \"\" }', fail: {code: c, message: m}}, {id: b, finish: 1}]\n---\n\
    workflow: gathers\ntriggers: [{event: pick}]\nevents: {pick: {external: true, data: {}}}\n\
    limits: {batch: {max: 10, within: 10d}}\nsteps: [{id: a, finish: 1}]";

#[tokio::test(start_paused = true)]
async fn a_definition_stays_as_long_as_anything_needs_it() {
    let kinds = || kinds::all(&Calls::default());
    let world = World::of(VERSIONS, MemoryStore::new(), kinds()).await;
    let quick = world.send("go", json!({})).await;
    let slow = world.send("crawl", json!({})).await;
    let dead = world.send("die", json!({})).await;
    world.engine.operator().pause_workflow("paused").await.unwrap();
    let queued = world.send("hold", json!({})).await;
    world.send("pick", json!({})).await;
    for run in [quick, dead] {
        world.engine.wait(run).await.unwrap();
    }
    assert_eq!(world.rows(Table::Plan).await, 6);
    world.engine.shutdown().await;
    let world = World::of(&VERSIONS.replace("finish: 1", "finish: 2"), world.store, kinds()).await;
    assert_eq!(world.rows(Table::Plan).await, 12);
    pass(Duration::from_secs(600)).await;
    assert_eq!(world.rows(Table::Plan).await, 12, "one pass alone lets nothing go");
    pass(Duration::from_secs(2 * 3_600)).await;
    assert_eq!(world.rows(Table::Plan).await, 11, "nothing was ever started with that of `idle`");
    pass(8 * DAY).await;
    assert_eq!(world.rows(Table::Plan).await, 10, "the run of `quick` is gone");
    // What the engine has loaded stays, though it is neither the newest nor named by any row.
    let newest = Case::of("retention", VERSIONS.replace("finish: 1", "finish: 3"));
    world.engine.operator().register(newest.plans()).await.unwrap();
    assert_eq!(world.rows(Table::Plan).await, 16);
    pass(DAY).await;
    assert_eq!(world.rows(Table::Plan).await, 16);
    let now = world.send("go", json!({})).await;
    assert_eq!(world.engine.wait(now).await.unwrap().output, json!(2));
    // What was queued, gathered or asleep ends with the definition that it began with.
    world.engine.operator().resume_workflow("paused").await.unwrap();
    assert_eq!(world.engine.wait(queued).await.unwrap().output, json!(1));
    assert_eq!(world.engine.wait(slow).await.unwrap().output, json!(1));
    pass(9 * DAY).await;
    assert_eq!(world.rows(Table::Plan).await, 13, "of the first ones only that of the dead letter is left");
    world.engine.operator().drop_dead(dead).await.unwrap();
    pass(DAY).await;
    assert_eq!(world.rows(Table::Plan).await, 12);
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_comes_back_is_there_again() {
    let kinds = || kinds::all(&Calls::default());
    let other = VERSIONS.replace("finish: 1", "finish: 2");
    let mut store = MemoryStore::new();
    for flows in [VERSIONS, &other, VERSIONS] {
        let world = World::of(flows, store, kinds()).await;
        let run = world.send("go", json!({})).await;
        world.engine.wait(run).await.unwrap();
        pass(9 * DAY).await;
        assert_eq!(world.rows(Table::Plan).await, 6);
        world.engine.shutdown().await;
        store = world.store;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_by_hand_needs_no_engine() {
    let world = World::fresh().await;
    let run = world.send("go", json!({})).await;
    world.engine.wait(run).await.unwrap();
    world.engine.shutdown().await;
    let builder = |retention| {
        let later = VirtualClock::starting_at("2026-01-06T09:00:00Z".parse().unwrap());
        Engine::builder().clock(later).store(world.store.clone()).retention(retention)
    };
    assert_eq!(builder(Retention::default()).prune().await.unwrap(), wf_engine::Pruned::default());
    let short = Retention { runs: "1h".parse().unwrap(), events: "1h".parse().unwrap() };
    let pruned = builder(short).prune().await.unwrap();
    assert_eq!((pruned.runs, pruned.events), (1, 1));
    assert_eq!(world.rows(Table::Head).await, 0);
}
