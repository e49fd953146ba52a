//! Explicit idempotency keys: the same step of the same workflow runs once per key. Pure rules over shared rows.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wf_dsl::{Period, Time};

use crate::ids::{FrameId, Position, RunId};
use crate::planted::{Bug, planted};
use crate::rows::{from_bytes, to_bytes};
use crate::run::{HeldKey, StepId, Stored};
use crate::store::{Commit, Key, Row, Rows, Write};

/// How long a used key is remembered.
pub const KEY_RETENTION: Period = Period(30 * 24 * 3_600_000);

/// How many steps may wait for one key to be woken; more of them ask again from time to time.
pub const KEY_WAITERS_MAX: usize = 50;

/// The row of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum OnceRow {
    /// A step is being attempted under this key.
    Held {
        run: RunId,
        frame: FrameId,
        step: StepId,
        #[serde(default)]
        waiters: Vec<Waiter>,
    },
    /// A step has succeeded under this key. A large output stands in the chunk rows of its run.
    Done { output: Stored, run: RunId, until: Time },
}

/// A step that waits for the holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiter {
    pub(crate) run: RunId,
    pub(crate) frame: FrameId,
    pub(crate) order: Position,
}

/// A key that a run wants or gives up.
#[derive(Clone, Debug)]
pub(crate) struct KeyUse {
    /// The key, and the frame and step that use it.
    pub(crate) held: HeldKey,
    /// The run, with its place in the queue.
    pub(crate) run: RunId,
    pub(crate) order: Position,
    pub(crate) hash: [u8; 16],
    pub(crate) wish: Wish,
}

#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// To hold it.
    Want,
    /// To be done with it; with the output of a success.
    Settle(Option<Stored>),
}

/// What the rule says of one use.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct KeyVerdict {
    /// For a wish to hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Told>,
    /// The runs that were woken because the key became free.
    #[serde(default)]
    pub(crate) woken: Vec<Waiter>,
}

/// What the run that wanted a key is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// It holds it now.
    Held,
    /// Another step holds it.
    Taken,
    /// Another step holds it, and no more can wait to be woken.
    Crowded,
    /// A step of this run has succeeded under it, with this output.
    Done { run: RunId, output: Stored },
}

/// The run whose step holds the key of a row.
pub(crate) fn holder(row: &Row) -> Option<RunId> {
    match from_bytes(&row.key, &row.value) {
        Ok(OnceRow::Held { run, .. }) => Some(run),
        _ => None,
    }
}

/// What names a key in the store: workflow, step and key.
pub(crate) fn key_hash(workflow: &str, step: &str, key: &str) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in [workflow, step, key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    hash[..16].try_into().expect("the first half")
}

/// The rows that may hold a key at `now`: of the present period of retention and of the one before.
pub(crate) fn key_rows(hash: &[u8; 16], now: Time) -> [Key; 2] {
    let bucket = now.0.div_euclid(KEY_RETENTION.0).rem_euclid(1 << 16) as u16;
    [Key::once(bucket, hash), Key::once(bucket.wrapping_sub(1), hash)]
}

/// Decides what becomes of one use of a key and adds the writes to `commit`. Later uses of the same commit see them in
/// `rows`.
pub(crate) fn judge(usage: &KeyUse, now: Time, rows: &mut Rows, commit: &mut Commit) -> KeyVerdict {
    let keys = key_rows(&usage.hash, now);
    let found = keys.iter().find_map(|key| {
        let row = rows.get(key)?.as_ref()?;
        Some((key.clone(), from_bytes::<OnceRow>(key, &row.value).ok()?))
    });
    let mut put = |old: Option<&Key>, row: Option<&OnceRow>| {
        if let Some(old) = old.filter(|old| row.is_none() || **old != keys[0]) {
            rows.insert(old.clone(), None);
            commit.writes.push(Write::Delete(old.clone()));
        }
        if let Some(row) = row {
            let row = Row { key: keys[0].clone(), value: to_bytes(row) };
            rows.insert(row.key.clone(), Some(row.clone()));
            commit.writes.push(Write::Put(row));
        }
    };
    let HeldKey { frame, step, .. } = &usage.held;
    let mine = |run: &RunId, at: &FrameId| *run == usage.run && at == frame;
    match (&usage.wish, found) {
        (Wish::Want, Some((_, OnceRow::Done { output, run, until }))) if until > now => {
            KeyVerdict { answer: Some(Told::Done { run, output }), ..KeyVerdict::default() }
        }
        (Wish::Want, Some((key, OnceRow::Held { run, frame: at, step, mut waiters })))
            if !mine(&run, &at) && !planted(Bug::KeyShared) =>
        {
            let waiter = Waiter { run: usage.run, frame: *frame, order: usage.order };
            if waiters.contains(&waiter) {
                return KeyVerdict { answer: Some(Told::Taken), ..KeyVerdict::default() };
            }
            if waiters.len() >= KEY_WAITERS_MAX {
                return KeyVerdict { answer: Some(Told::Crowded), ..KeyVerdict::default() };
            }
            waiters.push(waiter);
            put(Some(&key), Some(&OnceRow::Held { run, frame: at, step, waiters }));
            KeyVerdict { answer: Some(Told::Taken), ..KeyVerdict::default() }
        }
        (Wish::Want, found) => {
            if !matches!(found, Some((_, OnceRow::Held { .. }))) {
                let row = OnceRow::Held { run: usage.run, frame: *frame, step: step.clone(), waiters: Vec::new() };
                put(found.as_ref().map(|(key, _)| key), Some(&row));
            }
            KeyVerdict { answer: Some(Told::Held), ..KeyVerdict::default() }
        }
        (Wish::Settle(output), found) => {
            let (key, waiters) = match found {
                Some((key, OnceRow::Held { run, frame: at, waiters, .. })) if mine(&run, &at) => (Some(key), waiters),
                // The key was never held, or somebody else holds it by now: nothing of it is ours to change.
                _ => return KeyVerdict::default(),
            };
            let done = output.clone().map(|output| OnceRow::Done {
                output,
                run: usage.run,
                until: Time(now.0.saturating_add(KEY_RETENTION.0)),
            });
            put(key.as_ref(), done.as_ref());
            for waiter in &waiters {
                commit.writes.push(Write::wake(waiter.run, waiter.order));
            }
            KeyVerdict { woken: waiters, ..KeyVerdict::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use wf_dsl::Value;

    use super::*;
    use crate::ids::EventId;

    fn run(n: u8) -> RunId {
        RunId { event: EventId([n; 12]), workflow: 1, nth: 0 }
    }

    fn usage(n: u8, wish: Wish) -> KeyUse {
        let held = HeldKey { frame: FrameId::ROOT, step: "send".into(), key: "k".into(), since: 0 };
        KeyUse { held, run: run(n), order: Position(u64::from(n)), hash: key_hash("w", "send", "k"), wish }
    }

    fn told(usage: &KeyUse, now: Time, rows: &mut Rows) -> KeyVerdict {
        judge(usage, now, rows, &mut Commit::default())
    }

    fn done(n: u8, output: Value) -> Told {
        Told::Done { run: run(n), output: Stored::small(output) }
    }

    #[test]
    fn no_more_wait_than_can_be_woken_at_once() {
        let mut rows = Rows::new();
        let now = Time(0);
        told(&usage(0, Wish::Want), now, &mut rows);
        for n in 0..KEY_WAITERS_MAX {
            let mut waiting = usage(1, Wish::Want);
            waiting.held.frame = FrameId(u32::try_from(n).unwrap());
            assert_eq!(told(&waiting, now, &mut rows).answer, Some(Told::Taken));
            assert_eq!(told(&waiting, now, &mut rows).answer, Some(Told::Taken), "asked again");
        }
        assert_eq!(told(&usage(2, Wish::Want), now, &mut rows).answer, Some(Told::Crowded));
        let settled = told(&usage(0, Wish::Settle(None)), now, &mut rows);
        assert_eq!(settled.woken.len(), KEY_WAITERS_MAX);
        assert!(rows.values().flatten().all(|row| row.value.len() <= crate::store::ROW_BYTES_MAX));
    }

    #[test]
    fn one_holds_the_key_and_the_others_get_its_output() {
        let mut rows = Rows::new();
        let now = Time(1_000);
        assert_eq!(told(&usage(1, Wish::Want), now, &mut rows).answer, Some(Told::Held));
        assert_eq!(told(&usage(1, Wish::Want), now, &mut rows).answer, Some(Told::Held), "asked again");
        assert_eq!(told(&usage(2, Wish::Want), now, &mut rows).answer, Some(Told::Taken));
        let settled = told(&usage(1, Wish::Settle(Some(Stored::small(Value::Int(7))))), now, &mut rows);
        assert_eq!(settled.woken.iter().map(|waiter| waiter.run).collect::<Vec<_>>(), [run(2)]);
        assert_eq!(told(&usage(2, Wish::Want), now, &mut rows).answer, Some(done(1, Value::Int(7))));
    }

    #[test]
    fn a_failure_frees_the_key() {
        let mut rows = Rows::new();
        let now = Time(1_000);
        told(&usage(1, Wish::Want), now, &mut rows);
        told(&usage(1, Wish::Settle(None)), now, &mut rows);
        assert_eq!(told(&usage(2, Wish::Want), now, &mut rows).answer, Some(Told::Held));
    }

    #[test]
    fn a_used_key_is_remembered_for_its_retention_and_not_longer() {
        let mut rows = Rows::new();
        told(&usage(1, Wish::Want), Time(5), &mut rows);
        told(&usage(1, Wish::Settle(Some(Stored::default()))), Time(5), &mut rows);
        let last = Time(5 + KEY_RETENTION.0 - 1);
        assert_eq!(told(&usage(2, Wish::Want), last, &mut rows).answer, Some(done(1, Value::Null)));
        let after = Time(5 + KEY_RETENTION.0);
        assert_eq!(told(&usage(2, Wish::Want), after, &mut rows).answer, Some(Told::Held));
    }

    #[test]
    fn only_the_holder_settles() {
        let mut rows = Rows::new();
        told(&usage(1, Wish::Want), Time(0), &mut rows);
        told(&usage(2, Wish::Settle(None)), Time(0), &mut rows);
        assert_eq!(told(&usage(3, Wish::Want), Time(0), &mut rows).answer, Some(Told::Taken));
    }
}
