//! Many at once: what must happen once happens once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use wf_dsl::Period;
use wf_engine::run::{Exit, Fact, Role, Status};
use wf_engine::{Engine, ErrorKind, Event, KEY_WAITERS_MAX, MemoryStore, RunId};

use crate::case::Case;
use crate::faulty::{Crash, Faulty};
use crate::journal;
use crate::kinds::Calls;
use crate::virtual_time::VirtualClock;
use crate::world::{self, Weather, World};

const CHARGE: &str = "
workflow: flow
triggers:
  - event: go
events:
  go:
    data:
      n: int
      results: string[]
steps:
  - id: charge
    test.call: {gives: '${ event.data.n }', results: '${ event.data.results }', takes: 30ms}
    returns: int
    idempotency_key: only
  - id: done
    finish: ${ steps.charge }
";

/// Sends events from as many tasks, and gives the runs that they started.
async fn send_all(engine: &Engine, events: impl IntoIterator<Item = Event>) -> Vec<RunId> {
    let sends = events.into_iter().map(|event| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.send(event).await.unwrap().runs })
    });
    let sends: Vec<_> = sends.collect();
    let mut runs = Vec::new();
    for send in sends {
        runs.extend(send.await.unwrap());
    }
    runs
}

fn go(n: usize, results: &[&str]) -> Event {
    Event::new("go", json!({"n": n, "results": results}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_has_the_effect_and_all_get_its_output() {
    let calls = Calls::default();
    let engine = Case::of("charge", CHARGE).engine(&calls).build().await.unwrap();
    let runs = send_all(&engine, (0..100).map(|n| go(n, &["ok"]))).await;
    let mut outputs = BTreeSet::new();
    for run in &runs {
        let report = engine.wait(*run).await.unwrap();
        assert_eq!(report.status, Status::Finished);
        outputs.insert(report.output.as_i64().unwrap());
    }
    assert_eq!((runs.len(), outputs.len()), (100, 1), "{outputs:?}");
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_fail_let_the_next_one_try_until_one_succeeds() {
    let calls = Calls::default();
    let engine = Case::of("charge", CHARGE).engine(&calls).build().await.unwrap();
    let mut runs = send_all(&engine, (0..5).map(|n| go(n, &["test.broken"]))).await;
    runs.extend(send_all(&engine, (5..40).map(|n| go(n, &["ok"]))).await);
    let (mut failed, mut outputs) = (0, BTreeSet::new());
    for run in &runs {
        let report = engine.wait(*run).await.unwrap();
        match report.status {
            Status::Finished => drop(outputs.insert(report.output.as_i64().unwrap())),
            _ => failed += 1,
        }
    }
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    let calls = calls.lock().unwrap();
    let succeeded = calls.iter().filter(|call| call.result.as_deref() == Some("ok")).count();
    assert_eq!((succeeded, calls.len()), (1, failed + 1));
}

/// Time is virtual here: those who are too many to be woken ask again after a while.
#[tokio::test(start_paused = true)]
async fn more_than_can_be_woken_at_once_get_there_too() {
    let calls = Calls::default();
    let case = Case::of("charge", CHARGE);
    let clock = VirtualClock::starting_at(case.begin());
    let engine = case.engine(&calls).clock(clock).build().await.unwrap();
    let many = KEY_WAITERS_MAX + 50;
    let runs = send_all(&engine, (0..many).map(|n| go(n, &["ok"]))).await;
    for run in &runs {
        assert_eq!(engine.wait(*run).await.unwrap().status, Status::Finished);
    }
    assert_eq!((runs.len(), calls.lock().unwrap().len()), (many, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_64_senders_send_starts_one_run() {
    let engine = Case::of("charge", CHARGE).engine(&Calls::default()).build().await.unwrap();
    let sends: Vec<_> = (0..64)
        .map(|n| {
            let engine = engine.clone();
            tokio::spawn(
                async move { engine.send(Event { id: Some("the-one".into()), ..go(n, &["ok"]) }).await.unwrap() },
            )
        })
        .collect();
    let (mut started, mut events) = (Vec::new(), BTreeSet::new());
    for send in sends {
        let receipt = send.await.unwrap();
        assert_eq!(receipt.duplicate, receipt.runs.is_empty());
        assert_eq!(receipt.id, "the-one");
        started.extend(receipt.runs);
        events.insert(receipt.event);
    }
    assert_eq!((started.len(), events.len()), (1, 1), "everybody is told the same event");
}

/// What the store has can be seen before the engine hears of it.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_asked_for_before_its_birth_is_heard_of_is_one() {
    for lag in [10, 100, 1_000] {
        let (calls, store, case) = (
            Calls::default(),
            MemoryStore::new(),
            Case::of("charge", CHARGE.replace("    idempotency_key: only\n", "")),
        );
        let clock = VirtualClock::starting_at(case.begin());
        let slow = Faulty::new(store.clone(), None, lag);
        let engine = case.engine(&calls).clock(clock).store(slow).build().await.unwrap();
        let sending = tokio::spawn({
            let engine = engine.clone();
            async move { engine.send(go(0, &["ok"])).await.unwrap() }
        });
        let born = loop {
            if let Some(run) = store.rows().iter().find_map(|row| row.key.as_head()) {
                break run;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(engine.wait(born).await.unwrap().status, Status::Finished);
        assert_eq!((sending.await.unwrap().runs, calls.lock().unwrap().len()), (vec![born], 1));
        engine.quiet().await.unwrap();
        journal::check("a run that was asked for early", &store);
        assert_eq!(journal::leftovers(&store), []);
    }
}

const FAMILY: &str = "
workflow: parent
triggers:
  - event: go
events:
  go:
    data:
      n: int
steps:
  - id: each
    for_each:
      in: ${ [1, 2, 3] }
      as: item
      key: ${ item }
      concurrency: 3
      steps:
        - id: call
          invoke: {workflow: child, with: {n: '${ event.data.n * item }'}}
          returns: int
  - id: done
    finish: ${ steps.each.outputs }
---
workflow: child
input:
  n: int
steps:
  - id: maybe
    if: ${ event.data.n % 2 == 0 }
    test.call: {}
  - id: back
    finish: ${ event.data.n }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_that_end_at_once_are_not_missed_by_their_parents() {
    let engine = Case::of("family", FAMILY).engine(&Calls::default()).build().await.unwrap();
    let runs = send_all(&engine, (0..60).map(|n| Event::new("go", json!({"n": n})))).await;
    for run in runs {
        let report = engine.wait(run).await.unwrap();
        let output: Vec<i64> = serde_json::from_value(report.output).unwrap();
        assert_eq!(output, [output[0], output[0] * 2, output[0] * 3]);
    }
    assert!(engine.open_runs().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_and_an_end_at_once_leave_one_of_them() {
    // Half of the runs take so long that they are still there to be cancelled.
    let takes = "takes: \"${ if event.data.n % 2 == 0 then 1ms else 10m }\"";
    let case = Case::of(
        "short",
        CHARGE.replace("    idempotency_key: only\n", "").replace("takes: 30ms", takes).replace("'", "\""),
    );
    let engine = case.engine(&Calls::default()).build().await.unwrap();
    let runs = send_all(&engine, (0..40).map(|n| go(n, &["ok"]))).await;
    let (mut finished, mut cancelled) = (0, 0);
    for (n, run) in runs.iter().enumerate() {
        tokio::time::sleep_until(tokio::time::Instant::now() + std::time::Duration::from_millis(n as u64 % 4)).await;
        let asked = engine.cancel(*run, "a race").await;
        let report = engine.wait(*run).await.unwrap();
        match report.status {
            Status::Cancelled => cancelled += 1,
            Status::Finished => finished += 1,
            status => panic!("{status:?}"),
        }
        if let Err(error) = asked {
            assert_eq!((error.kind(), report.status), (ErrorKind::Conflict, Status::Finished));
        }
    }
    assert_eq!(finished + cancelled, 40);
    assert!(cancelled >= 20, "{cancelled}");
}

/// What may happen to a run at the instant at which it comes to its end, and how the script says it.
const HAPPENINGS: [(&str, Option<&str>); 4] = [
    ("timeout", None),
    ("event", Some("send: came, data: {}")),
    ("cancel", Some("cancel: flow")),
    ("stop", Some("send: stop, data: {}")),
];

/// What a run does that is over at that instant, or when the event comes.
const DOINGS: [&str; 5] = [
    "test.call: {takes: 10s}",
    "sleep: 10s",
    "wait: [{event: came}, {after: 10s}]",
    "wait: [{event: came}, {event: stop}, {after: forever}]",
    "for_each: {in: [1, 2], as: item, key: '${ item }', concurrency: 2, steps: [{id: in_it, sleep: 10s}]}",
];

/// A run to which these things happen at one instant, those of the script in this order.
fn at_once(doing: &str, happenings: &[&str]) -> Case {
    let head =
        "workflow: flow\ntriggers: [{event: go}]\nevents: {go: {data: {}}, came: {data: {}}, stop: {data: {}}}\n";
    let timeout = if happenings.contains(&"timeout") { "timeout: 10s\n" } else { "" };
    let steps = format!(
        "cancel_on: [{{event: stop}}]\nsteps:\n  - id: first\n    {doing}\n    undo: [{{id: undone, test.call: {{}}}}]\n  \
         - id: after\n    test.call: {{}}\nfinally:\n  - id: last\n    test.call: {{}}\n"
    );
    let said = |what: &&str| HAPPENINGS.iter().find(|(name, _)| name == what).and_then(|(_, entry)| *entry);
    let entries = happenings.iter().filter_map(said).map(|entry| format!("  - {{at: 10s, {entry}}}\n"));
    let script: String = std::iter::once("  - {send: go, data: {}}\n".to_owned()).chain(entries).collect();
    // The instant passes, even if nothing that happens has ended the run.
    let script = format!("{script}  - {{at: 1h, cancel: flow}}\n");
    Case::of(format!("{doing}, {happenings:?}"), format!("{head}{timeout}{steps}---\nscript:\n{script}"))
}

/// Any number of those, in every order.
fn orders() -> Vec<Vec<&'static str>> {
    let mut orders = vec![Vec::new()];
    let mut next = 0;
    while let Some(order) = orders.get(next).cloned() {
        let others = HAPPENINGS.iter().map(|(name, _)| *name).filter(|name| !order.contains(name));
        orders.extend(others.map(|name| [order.as_slice(), &[name]].concat()));
        next += 1;
    }
    orders
}

/// The run has one end, which what happened can have led to and which the journal explains; and what it did fits that.
fn explain(case: &Case, world: &World, happenings: &[&str]) -> Status {
    let histories = journal::check(&case.name, &world.store);
    let [history] = histories.as_slice() else { panic!("{}: {} runs", case.name, histories.len()) };
    let facts: Vec<&Fact> = history.records.iter().map(|record| &record.fact).collect();
    let count = |wanted: &dyn Fn(&Fact) -> bool| facts.iter().filter(|fact| wanted(fact)).count();
    let given_up = count(&|fact| matches!(fact, Fact::GivenUp { exit: Exit::Cancel }));
    let cut = count(&|fact| matches!(fact, Fact::GivenUp { exit: Exit::Cut { depth: None, .. } }));
    let asked = count(&|fact| matches!(fact, Fact::CancelRequested { .. }));
    let calls = |step: &str| world.calls.iter().filter(|call| call.step == step && call.result.is_some()).count();
    let report = &world.reports[0];
    let code = report.error.as_ref().map(|error| error.code.as_str());
    let explained = match report.status {
        Status::Finished => (given_up, cut) == (0, 0) && calls("after") > 0 && calls("undone") == 0,
        Status::Failed => (given_up, cut) == (0, 1) && code == Some("timeout") && happenings.contains(&"timeout"),
        // It may have timed out before.
        Status::Cancelled => asked == 1 && given_up > 0,
        Status::Open => false,
    };
    let done = count(&|fact| matches!(fact, Fact::Finished { step, .. } if **step == *"first"));
    let undone = count(&|fact| matches!(fact, Fact::Opened { role: Role::Undo, .. }));
    let fits = done <= 1 && cut <= 1 && undone == done * cut && calls("last") > 0;
    assert!(explained && fits && asked <= 1, "{}: {:?}: {facts:#?}", case.name, report.status);
    report.status
}

/// Goal: whatever happens to a run at one instant, it ends once, and nothing of another end is seen.
/// Method: its own completion, its timeout, an event that it waits for, a cancel and an event that cancels it, all of them
/// or some, in every order, while it does different things; with commits that take their time; and for each two of them
/// with a process that ends at any write.
#[test]
fn what_happens_at_one_instant_ends_a_run_once() {
    let mut ends = BTreeMap::new();
    for doing in DOINGS {
        for happenings in orders() {
            let case = at_once(doing, &happenings);
            let calm = world::run(&case, &Weather::default());
            *ends.entry(format!("{:?}", explain(&case, &calm, &happenings))).or_insert(0) += 1;
            for lag in [1, 7] {
                explain(&case, &world::run(&case, &Weather { lag, ..Weather::default() }), &happenings);
            }
            for at in (0..calm.writes).filter(|_| happenings.len() < 3) {
                let crashes = vec![Crash { at, written: at % 2 == 0 }];
                explain(&case, &world::run(&case, &Weather { crashes, ..Weather::default() }), &happenings);
            }
        }
    }
    assert!(ends.len() == 3 && ends.values().all(|times| *times >= 20), "{ends:?}");
}

#[test]
fn an_event_that_cancels_a_run_beats_a_wait_for_it() {
    let case = at_once(DOINGS[3], &["stop"]);
    for lag in [0, 1, 7] {
        let world = world::run(&case, &Weather { lag, ..Weather::default() });
        assert_eq!(explain(&case, &world, &["stop"]), Status::Cancelled);
        assert_eq!(world.reports[0].ended_at.map(|at| at.since(world.begin)), Some(Period::seconds(10)));
    }
}
