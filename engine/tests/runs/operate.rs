//! What a person does with runs: retry and what it keeps.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use wf_engine::run::Status;
use wf_engine::{Engine, ErrorKind, Event, MemoryStore, Retry, RunId, RunReport, Time};

use crate::case::Case;
use crate::journal;
use crate::kinds::{Call, Calls};
use crate::virtual_time::VirtualClock;

/// Fails for an hour after the run began.
const BREAKS: &str = "{id: breaks, if: '${ now() - run.started_at < 1h }', fail: {code: soft, message: not yet}}";

/// An engine in virtual time, on which a run of `flow` has failed.
struct Desk {
    engine: Engine,
    store: MemoryStore,
    calls: Calls,
    run: RunId,
}

impl Desk {
    async fn new(steps: &str) -> Desk {
        let flow = format!("workflow: flow\ntriggers: [{{event: go}}]\nevents: {{go: {{data: {{}}}}}}\n{steps}");
        let (case, calls, store) = (Case::of("operate", flow), Calls::default(), MemoryStore::new());
        let clock = VirtualClock::starting_at(case.begin());
        let engine = case.engine(&calls).clock(clock).store(store.clone()).build().await.unwrap();
        let run = engine.send(Event::new("go", json!({}))).await.unwrap().runs[0];
        assert_eq!(engine.wait(run).await.unwrap().status, Status::Failed);
        Desk { engine, store, calls, run }
    }

    /// Lets time pass, retries, and waits for the end.
    async fn retried(&self, hours: u64, from: Option<&str>) -> RunReport {
        tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_secs(3_600 * hours)).await;
        let retry = Retry { from: from.map(str::to_owned), newest: false };
        assert_eq!(self.engine.operator().retry(self.run, &retry).await.unwrap(), [self.run]);
        let report = self.engine.wait(self.run).await.unwrap();
        self.engine.quiet().await.unwrap();
        journal::check("operate", &self.store);
        assert_eq!(journal::leftovers(&self.store), []);
        report
    }

    fn calls(&self, step: &str) -> Vec<Call> {
        self.calls.lock().unwrap().iter().filter(|call| call.step == step).cloned().collect()
    }
}

fn hours(report: &RunReport) -> i64 {
    (report.ended_at.unwrap_or(Time(0)).0 - report.started_at.0) / 3_600_000
}

#[tokio::test(start_paused = true)]
async fn branches_go_on_where_they_were() {
    let steps = format!(
        "steps: [{{id: both, parallel: {{branches: {{slow: [{{id: nap, sleep: 3h}}], quick: [{{id: effect, test.call: {{}}}}], \
         bad: [{{id: pause, sleep: 1m}}, {BREAKS}]}}}}}}, {{id: done, finish: 5}}]"
    );
    let desk = Desk::new(&steps).await;
    let report = desk.retried(2, None).await;
    assert_eq!((report.status, &report.output, hours(&report)), (Status::Finished, &json!(5), 3));
    assert_eq!(desk.calls("effect").len(), 1, "what is done is not done again");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_given_up_is_made_again_with_its_key() {
    let steps = format!(
        "steps: [{{id: both, parallel: {{branches: {{long: [{{id: effect, test.call: {{takes: 30m}}}}], \
         bad: [{{id: pause, sleep: 1m}}, {BREAKS}]}}}}}}]"
    );
    let desk = Desk::new(&steps).await;
    assert_eq!(desk.retried(2, None).await.status, Status::Finished);
    let calls = desk.calls("effect");
    assert_eq!(calls.len(), 2);
    assert_eq!((&calls[0].key, calls[0].attempt), (&calls[1].key, calls[1].attempt));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_step_has_the_variables_and_the_keys_that_it_had() {
    let steps = format!(
        "vars: {{n: 0}}\nsteps: [{{id: count, set: {{n: '${{ vars.n + 1 }}'}}}}, {{id: effect, test.call: {{}}}}, {BREAKS}, \
         {{id: done, finish: '${{ vars.n }}'}}]"
    );
    let desk = Desk::new(&steps).await;
    let report = desk.retried(2, Some("count")).await;
    assert_eq!((report.status, &report.output), (Status::Finished, &json!(1)));
    let calls = desk.calls("effect");
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].key, calls[1].key);
}

#[tokio::test(start_paused = true)]
async fn what_was_undone_is_done_anew() {
    let steps = format!(
        "steps: [{{id: effect, test.call: {{}}, undo: [{{id: back, test.call: {{}}}}]}}, {BREAKS}, {{id: done, finish: 1}}]"
    );
    let desk = Desk::new(&steps).await;
    assert_eq!(desk.calls("back").len(), 1);
    let error = desk.engine.operator().retry(desk.run, &Retry::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("one of effect, breaks, done"), "{error}");
    assert_eq!(desk.retried(2, Some("effect")).await.status, Status::Finished);
    let calls = desk.calls("effect");
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0].key, calls[1].key, "it is a new effect");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_begins_anew() {
    let desk = Desk::new("timeout: 2h\nsteps: [{id: nap, sleep: 4h}, {id: done, finish: 1}]").await;
    let report = desk.retried(1, None).await;
    assert_eq!((report.status, hours(&report)), (Status::Finished, 4));
}

#[tokio::test(start_paused = true)]
async fn a_large_state_comes_back() {
    let steps = format!(
        "steps: [{{id: large, test.call: {{bytes: 100000}}, returns: string}}, {{id: all, for_each: {{in: '${{ [1, 2, 3] }}', \
         as: n, key: '${{ n }}', concurrency: 3, steps: [{{id: each, test.call: {{bytes: 3000}}, returns: string}}, {BREAKS}, \
         {{id: last, test.call: {{gives: '${{ steps.each.length() }}'}}}}]}}}}, \
         {{id: done, finish: '${{ steps.large.length() }}'}}]"
    );
    let desk = Desk::new(&steps).await;
    assert_eq!(desk.retried(2, None).await.output, json!(99_998));
    assert_eq!((desk.calls("large").len(), desk.calls("last").len()), (1, 3));
    // Attempts that were being made when the first item failed are made again.
    let keys: BTreeSet<String> = desk.calls("each").into_iter().map(|call| call.key).collect();
    assert_eq!(keys.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_retry_may_go_on_in_the_newest_definition() {
    let flow = |steps: &str| {
        let head = "workflow: flow\ntriggers: [{event: go}]\nevents: {go: {data: {}}}\nsteps: [{id: effect, test.call: {gives: 1}}";
        Case::of("operate", format!("{head}, {steps}]")).plans()
    };
    let desk = Desk::new(
        "steps: [{id: effect, test.call: {gives: 1}}, {id: breaks, if: '${ run.id != \"\" }', fail: {code: hard, message: no}}, {id: done, finish: 1}]",
    )
    .await;
    let operator = desk.engine.operator();
    let newest = Retry { from: None, newest: true };
    // Where it failed is gone, so that it fits nowhere.
    operator.register(flow("{id: done, finish: 2}")).await.unwrap();
    let error = operator.retry(desk.run, &newest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("it stands at `breaks`, which is gone"), "{error}");
    assert_eq!(desk.engine.report(desk.run).await.unwrap().status, Status::Failed, "it is as it was");
    // From a step that is there it may, and without `newest` it fails again.
    operator
        .register(flow(
            "{id: breaks, if: '${ run.id == \"\" }', fail: {code: hard, message: no}}, {id: done, finish: 3}",
        ))
        .await
        .unwrap();
    operator.retry(desk.run, &Retry::default()).await.unwrap();
    assert_eq!(desk.engine.wait(desk.run).await.unwrap().status, Status::Failed);
    assert_eq!(operator.retry(desk.run, &newest).await.unwrap(), [desk.run]);
    let report = desk.engine.wait(desk.run).await.unwrap();
    assert_eq!((report.status, &report.output), (Status::Finished, &json!(3)));
    assert_eq!(desk.calls("effect").len(), 1, "what is done is not done again");
    journal::check("operate", &desk.store);
}

#[tokio::test(start_paused = true)]
async fn only_a_failed_run_is_retried_and_from_its_outermost_steps() {
    let desk = Desk::new(&format!("steps: [{{id: outer, do: [{BREAKS}]}}, {{id: done, finish: 1}}]")).await;
    let operator = desk.engine.operator();
    let from = |step: &str| Retry { from: Some(step.to_owned()), newest: false };
    assert_eq!(operator.retry(desk.run, &from("breaks")).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(operator.retry(desk.run, &from("nothing")).await.unwrap_err().kind(), ErrorKind::NotFound);
    let report = desk.retried(2, Some("done")).await;
    assert_eq!(report.output, json!(1));
    assert_eq!(operator.retry(desk.run, &Retry::default()).await.unwrap_err().kind(), ErrorKind::Conflict);
}

/// Runs of a workflow with these limits, of which only one at a time is let through: they sleep for an hour.
async fn limited(limits: &str) -> (Engine, RunId) {
    let flow = format!(
        "workflow: flow\ntriggers: [{{event: go}}]\nevents: {{go: {{data: {{}}}}}}\nlimits: {limits}\nsteps: [{{id: nap, sleep: 1h}}]"
    );
    let case = Case::of("operate", flow);
    let clock = VirtualClock::starting_at(case.begin());
    let engine = case.engine(&Calls::default()).clock(clock).build().await.unwrap();
    let run = engine.send(Event::new("go", json!({}))).await.unwrap().runs[0];
    engine.wait(run).await.unwrap();
    (engine, run)
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_dropped_like_a_start_by_hand() {
    let (engine, run) = limited("{unique: {key: one, on_conflict: skip}}").await;
    let operator = engine.operator();
    let replays = [operator.replay_run(run).await.unwrap(), operator.replay_run(run).await.unwrap()];
    engine.quiet().await.unwrap();
    // Both are due at one instant, in the order of their ids.
    let [replayed, refused] = [*replays.iter().min().unwrap(), *replays.iter().max().unwrap()];
    assert_eq!(engine.report(replayed).await.unwrap().status, Status::Finished);
    assert_eq!(engine.report(refused).await.unwrap_err().kind(), ErrorKind::NotFound);
    let dropped = operator.dropped_starts(None, 10).await.unwrap();
    let dropped: Vec<_> = dropped.iter().map(|start| (start.event, start.limit.as_str(), start.run)).collect();
    assert_eq!(dropped, [(refused.event, "unique", Some(replayed))]);
}

#[tokio::test(start_paused = true)]
async fn replays_begin_at_the_pace_of_a_throttle() {
    let (engine, run) = limited("{throttle: {limit: 1, per: 10m}}").await;
    let operator = engine.operator();
    let replays = [operator.replay_run(run).await.unwrap(), operator.replay_run(run).await.unwrap()];
    engine.quiet().await.unwrap();
    let first = engine.report(replays[0]).await.unwrap().steps[0].started_at;
    let second = engine.report(replays[1]).await.unwrap().steps[0].started_at;
    assert_eq!(second.since(first).0.abs(), 600_000, "whichever is the first");
    let event = operator.event(&replays[0].event.to_string()).await.unwrap();
    assert_eq!((event.runs, event.replay_of), (vec![replays[0]], Some(run.event)));
}

#[tokio::test(start_paused = true)]
async fn retried_runs_share_their_slots() {
    let flow = format!(
        "workflow: flow\ntriggers: [{{event: go}}]\nevents: {{go: {{data: {{}}}}}}\n\
         limits: {{concurrency: {{limit: 1}}, unique: {{key: '${{ event.id }}', on_conflict: skip}}}}\n\
         steps: [{BREAKS}, {{id: slow, test.call: {{takes: 1m}}}}]"
    );
    let case = Case::of("operate", flow);
    let (clock, store) = (VirtualClock::starting_at(case.begin()), MemoryStore::new());
    let engine = case.engine(&Calls::default()).clock(clock).store(store.clone()).build().await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.extend(engine.send(Event::new("go", json!({}))).await.unwrap().runs);
    }
    for run in &runs {
        assert_eq!(engine.wait(*run).await.unwrap().status, Status::Failed);
    }
    tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_secs(3_600)).await;
    let mut ends = Vec::new();
    for run in &runs {
        engine.operator().retry(*run, &Retry { from: None, newest: false }).await.unwrap();
    }
    for run in &runs {
        let report = engine.wait(*run).await.unwrap();
        assert_eq!(report.status, Status::Finished);
        ends.extend(report.ended_at);
    }
    ends.sort();
    let apart: Vec<_> = ends.windows(2).map(|ends| ends[1].since(ends[0]).0).collect();
    assert_eq!(apart, [60_000, 60_000], "one after the other");
    engine.quiet().await.unwrap();
    assert_eq!(journal::leftovers(&store), []);
}
