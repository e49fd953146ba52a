//! Gates: slots, paces, lanes, pauses.

use std::collections::BTreeMap;

use wf_dsl::Time;

use super::{Subject, accept, claims_at, give_back, put, run_id, value, writes};
use crate::ids::{Position, RunId};
use crate::store::gate::PACE_RULE;
use crate::store::layout::read_number;
use crate::store::{Claims, Gate, Key, LimitId, Pace, Ready, Slot, Store, Write};

const NEW: u8 = 100;

fn id(name: &str) -> LimitId {
    LimitId::of(&[name.as_bytes()])
}

fn slots(slots: &[(&str, u32)]) -> Gate {
    Gate { slots: slots.iter().map(|(of, limit)| Slot { of: id(of), limit: *limit }).collect(), pace: None }
}

fn pace(of: &str, every_ms: u64, burst: u32) -> Gate {
    Gate { slots: Vec::new(), pace: Some(Pace { of: id(of), every_us: every_ms * 1_000, burst }) }
}

/// Puts a run into the queue of workflow 1.
async fn line_up(store: &dyn Store, gate: &Gate, priority: u8, order: u64) -> RunId {
    let run = run_id();
    line_up_again(store, run, gate, priority, order).await;
    run
}

async fn line_up_again(store: &dyn Store, run: RunId, gate: &Gate, priority: u8, order: u64) {
    line_up_in(store, run, gate, Ready { workflow: 1, priority }, order).await;
}

async fn line_up_in(store: &dyn Store, run: RunId, gate: &Gate, ready: Ready, order: u64) {
    accept(store, writes([Write::Queue { run, ready, order: Position(order), gate: gate.clone() }])).await;
}

async fn claimed(store: &dyn Store, now: i64) -> Vec<RunId> {
    let Claims { runs, .. } = claims_at(store, 1_000, Time(now)).await;
    runs.into_iter().map(|claim| claim.run).collect()
}

async fn leave(store: &dyn Store, run: RunId, gate: &Gate, priority: u8, order: u64) {
    let key = Key::gated(Ready { workflow: 1, priority }, gate.lane(), Position(order), run);
    accept(store, writes([Write::Delete(key)])).await;
    give_back(store, &[run]);
}

pub(super) async fn slots_are_taken(subject: &dyn Subject) {
    let mut store = subject.fresh();
    let gate = slots(&[("a", 2)]);
    let runs = [
        line_up(&*store, &gate, NEW, 1).await,
        line_up(&*store, &gate, NEW, 2).await,
        line_up(&*store, &gate, NEW, 3).await,
        line_up(&*store, &gate, NEW, 4).await,
    ];
    assert_eq!(claimed(&*store, 0).await, runs[..2]);
    assert!(claimed(&*store, 0).await.is_empty(), "both slots are taken");
    leave(&*store, runs[0], &gate, NEW, 1).await;
    assert_eq!(claimed(&*store, 0).await, [runs[2]], "one slot is free");
    // One that has begun goes before one that has not.
    let woken = line_up(&*store, &gate, Ready::WOKEN, 9).await;
    leave(&*store, runs[1], &gate, NEW, 2).await;
    assert_eq!(claimed(&*store, 0).await, [woken]);
    // Slots are held by claims: after reopening there are none, and the rows are claimed again.
    store = subject.reopen(store);
    assert_eq!(claimed(&*store, 0).await, [woken, runs[2]]);
    assert!(claimed(&*store, 0).await.is_empty());
    // Given back with its row, a run stands in its place again.
    give_back(&*store, &[runs[2]]);
    assert_eq!(claimed(&*store, 0).await, [runs[2]]);
}

pub(super) async fn two_slots(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let of = |key| slots(&[("all", 2), (key, 1)]);
    let first = line_up(store, &of("x"), NEW, 1).await;
    let second = line_up(store, &of("x"), NEW, 2).await;
    let other = line_up(store, &of("y"), NEW, 3).await;
    let third = line_up(store, &of("z"), NEW, 4).await;
    let mut got = claimed(store, 0).await;
    got.sort();
    let mut expected = [first, other];
    expected.sort();
    assert_eq!(got, expected, "the second of x waits for x, and does not hold a slot of all");
    leave(store, first, &of("x"), NEW, 1).await;
    leave(store, other, &of("y"), NEW, 3).await;
    let mut got = claimed(store, 0).await;
    got.sort();
    let mut expected = [second, third];
    expected.sort();
    assert_eq!(got, expected);
}

pub(super) async fn unlike_slots(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let [narrow, wide] = [slots(&[("a", 1)]), slots(&[("a", 2)])];
    let first = line_up(store, &wide, NEW, 1).await;
    let second = line_up(store, &wide, NEW, 2).await;
    assert_eq!(claimed(store, 0).await, [first, second]);
    let alone = line_up(store, &narrow, NEW, 3).await;
    let third = line_up(store, &wide, NEW, 4).await;
    assert!(claimed(store, 0).await.is_empty());
    leave(store, first, &wide, NEW, 1).await;
    assert_eq!(claimed(store, 0).await, [third], "there is room for one of two, and none for one that is alone");
    leave(store, second, &wide, NEW, 2).await;
    assert!(claimed(store, 0).await.is_empty());
    leave(store, third, &wide, NEW, 4).await;
    assert_eq!(claimed(store, 0).await, [alone]);
}

pub(super) async fn given_up(subject: &dyn Subject) {
    for workflows in [[1, 2], [2, 1]] {
        let store = &*subject.fresh();
        let gate = slots(&[("all", 1)]);
        // The same slots, and a lane of its own.
        let other = Gate { slots: gate.slots.clone(), ..pace("p", 1, 1) };
        let [one, two] = workflows.map(|workflow| Ready { workflow, priority: NEW });
        let [first, gone, last] = [run_id(), run_id(), run_id()];
        line_up_in(store, first, &gate, one, 1).await;
        assert_eq!(claimed(store, 0).await, [first]);
        line_up_in(store, gone, &gate, one, 2).await;
        line_up_in(store, last, &other, two, 3).await;
        assert!(claimed(store, 0).await.is_empty());
        let key = |ready, order, run| Write::Delete(Key::gated(ready, gate.lane(), Position(order), run));
        accept(store, writes([key(one, 2, gone)])).await;
        accept(store, writes([key(one, 1, first)])).await;
        give_back(store, &[first]);
        assert_eq!(claimed(store, 0).await, [last], "workflow {} of {workflows:?}", two.workflow);
    }
}

pub(super) async fn paces(subject: &dyn Subject) {
    let mut store = subject.fresh();
    let gate = pace("p", 100, 2);
    let mut runs = Vec::new();
    for order in 0..5 {
        runs.push(line_up(&*store, &gate, NEW, order).await);
    }
    let claims = claims_at(&*store, 9, Time(1_000)).await;
    assert_eq!(claims.runs.iter().map(|claim| claim.run).collect::<Vec<_>>(), runs[..2], "a burst of two");
    assert_eq!(claims.due, Some(Time(1_100)));
    let raise = |claims: &Claims| {
        let raised = claims.runs.iter().filter_map(|claim| claim.pace);
        let raised = raised.map(|(of, to)| Write::Raise { key: Key::limit(PACE_RULE, of), to });
        let gone = claims.runs.iter().map(|claim| Write::Delete(claim.row.clone()));
        writes(raised.chain(gone).collect::<Vec<_>>())
    };
    accept(&*store, raise(&claims)).await;
    give_back(&*store, &runs[..2]);
    assert!(claimed(&*store, 1_099).await.is_empty());
    store = subject.reopen(store);
    assert!(claimed(&*store, 1_099).await.is_empty(), "it is remembered");
    let claims = claims_at(&*store, 9, Time(1_100)).await;
    assert_eq!(claims.runs.iter().map(|claim| claim.run).collect::<Vec<_>>(), [runs[2]]);
    assert_eq!(claims.due, Some(Time(1_200)));
    assert_eq!(claimed(&*store, 5_000).await, runs[3..], "after a pause there is a burst again");
}

pub(super) async fn fairness(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let of = |key| slots(&[("all", 1), (key, 1)]);
    let mut keys = BTreeMap::new();
    for order in 0..20 {
        keys.insert(line_up(store, &of("hot"), NEW, order).await, ("hot", order));
    }
    for order in 20..22 {
        keys.insert(line_up(store, &of("cold"), NEW, order).await, ("cold", order));
    }
    let mut order = Vec::new();
    while let [run] = claimed(store, 0).await[..] {
        let (key, place) = keys[&run];
        order.push(key);
        leave(store, run, &of(key), NEW, place).await;
    }
    assert_eq!(order.len(), 22);
    assert!(order[..4].contains(&"cold") && order[..6].iter().filter(|key| **key == "cold").count() == 2, "{order:?}");
}

pub(super) async fn pauses(subject: &dyn Subject) {
    let mut store = subject.fresh();
    let gate = slots(&[("a", 9)]);
    accept(&*store, writes([put(Key::paused(1), b"\x01")])).await;
    let new = line_up(&*store, &gate, NEW, 1).await;
    let begun = line_up(&*store, &gate, Ready::WOKEN, 2).await;
    assert_eq!(claimed(&*store, 0).await, [begun]);
    leave(&*store, begun, &gate, Ready::WOKEN, 2).await;
    let begun = line_up(&*store, &gate, Ready::WOKEN, 3).await;
    assert_eq!(claimed(&*store, 0).await, [begun], "one behind which stands one that may not begin");
    leave(&*store, begun, &gate, Ready::WOKEN, 3).await;
    store = subject.reopen(store);
    assert!(claimed(&*store, 0).await.is_empty());
    accept(&*store, writes([Write::Delete(Key::paused(1))])).await;
    assert_eq!(claimed(&*store, 0).await, [new]);
}

pub(super) async fn cancelled_in_line(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let of = |key| slots(&[("all", 1), (key, 1)]);
    let first = line_up(store, &of("x"), NEW, 1).await;
    let second = line_up(store, &of("y"), NEW, 2).await;
    let third = line_up(store, &of("z"), NEW, 3).await;
    assert_eq!(claimed(store, 0).await, [first]);
    let key = Key::gated(Ready { workflow: 1, priority: NEW }, of("y").lane(), Position(2), second);
    accept(store, writes([Write::Delete(key)])).await;
    leave(store, first, &of("x"), NEW, 1).await;
    assert_eq!(claimed(store, 0).await, [third]);
}

pub(super) async fn many_lanes(subject: &dyn Subject) {
    let mut store = subject.fresh();
    let gates: Vec<Gate> = (0..700).map(|n| slots(&[("all", 10), (&format!("key {n}"), 1)])).collect();
    let mut places = BTreeMap::new();
    for (n, gate) in gates.iter().enumerate() {
        for second in 0..2 {
            let order = (n * 2 + second) as u64;
            places.insert(line_up(&*store, gate, NEW, order).await, (n, order));
        }
    }
    store = subject.reopen(store);
    let mut seen = 0;
    loop {
        let claims = claims_at(&*store, 1_000, Time(0)).await;
        assert!(claims.runs.len() <= 10);
        if claims.runs.is_empty() && !claims.more {
            break;
        }
        for claim in claims.runs {
            let (n, order) = places.remove(&claim.run).expect("claimed once");
            leave(&*store, claim.run, &gates[n], NEW, order).await;
            seen += 1;
        }
    }
    assert_eq!(seen, 1_400);
}

pub(super) async fn raised(subject: &dyn Subject) {
    let store = &*subject.fresh();
    let key = Key::limit(PACE_RULE, id("n"));
    for (to, is) in [(5, 5), (3, 5), (8, 8), (u64::MAX, u64::MAX), (0, u64::MAX)] {
        accept(store, writes([Write::Raise { key: key.clone(), to }])).await;
        assert_eq!(value(store, key.clone()).await.as_deref().and_then(read_number), Some(is));
    }
}

pub(super) async fn backlog(subject: &dyn Subject) {
    let mut store = subject.fresh();
    assert_eq!(store.backlog(), 0);
    let gate = slots(&[("a", 1)]);
    let first = line_up(&*store, &gate, NEW, 1).await;
    line_up(&*store, &gate, NEW, 2).await;
    let free = line_up(&*store, &Gate::default(), NEW, 3).await;
    let behind = Key::line(id("b"), NEW, Position(4), run_id());
    accept(&*store, writes([put(behind.clone(), b"")])).await;
    assert_eq!(store.backlog(), 4);
    let woken = line_up(&*store, &Gate::default(), Ready::WOKEN, 5).await;
    assert_eq!(store.backlog(), 4, "a run that has begun is none of it");
    let mut runs = claimed(&*store, 0).await;
    runs.sort();
    let mut expected = [first, free, woken];
    expected.sort();
    assert_eq!(runs, expected);
    assert_eq!(store.backlog(), 2, "what was taken is none of it");
    give_back(&*store, &[free]);
    assert_eq!(store.backlog(), 3);
    accept(&*store, writes([Write::Delete(behind)])).await;
    assert_eq!(store.backlog(), 2);
    store = subject.reopen(store);
    assert_eq!(store.backlog(), 3, "nothing is taken after a start");
    leave(&*store, first, &gate, NEW, 1).await;
    assert_eq!(store.backlog(), 2);
}
