//! Admission: whether an accepted event starts a run, decided on rows that many starts share.

use serde::{Deserialize, Serialize};
use wf_dsl::{EvalError, Limits, OnConflict, Time};

use super::gather::{Gather, gather};
use super::terms::key_id;
use crate::ids::{Position, RunId};
use crate::planted::{Bug, planted};
use crate::rows::{from_bytes, to_bytes};
use crate::run::{EventScope, Hash, Refusal};
use crate::store::gate::PACE_RULE;
use crate::store::{Commit, Gate, Key, LimitId, ROW_VERSION, Ready, Row, Rows, Write, read_number};

/// The rules in the keys of the rows of limits, beside [`PACE_RULE`].
pub(crate) const IDEMPOTENCY: u32 = 16;
const RATE: u32 = 17;
const UNIQUE: u32 = 18;

/// The reason of a start that is dropped because an earlier run stands for it.
pub(crate) const IDEMPOTENT: &str = "idempotency";

/// The reason of a start that is dropped because the expression of a key fails.
const KEY_FAILED: &str = "key";

/// The greatest `limit` of a `rate_limit`: the times of so many starts fit a row. The checker refuses more.
pub const RATE_LIMIT_MAX: u32 = 5_000;

/// How a start has come, which says what rules it meets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    /// By hand, by a tick or by `invoke`: for one run.
    Alone,
    /// With an event that a trigger took.
    Event {
        /// Its index in the commit.
        index: usize,
        /// How long its data is.
        bytes: u64,
        /// The definition that took it.
        plan: Hash,
    },
    /// With events that were gathered, each of which has met the rules before that.
    Gathered,
}

/// A start that is to be judged.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) run: RunId,
    pub(crate) at: Time,
    /// The key of `idempotency`, and its window in milliseconds.
    idempotency: Option<(LimitId, i64)>,
    /// The key of `rate_limit`, how many, and its window in milliseconds.
    rate: Option<(LimitId, u32, i64)>,
    /// `debounce` or `batch`.
    gather: Option<Gather>,
    unique: Option<(LimitId, OnConflict)>,
    /// The expression of a key fails.
    is_wrong: bool,
}

/// What becomes of a start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The run is born.
    Start,
    /// It is born and waits until the open run of its key has ended. These are cancelled for it.
    Wait { replaces: Vec<RunId> },
    /// It is not born: its event is gathered with others, under the run that the first of them would have been. When
    /// those are due, if that has changed, and when they were before.
    Gathered { first: RunId, due: Option<Time>, before: Option<Time> },
    /// It is not born.
    Drop(Dropped),
}

/// A start that came to nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dropped {
    /// The rule that dropped it.
    pub(crate) why: String,
    /// The run that it gave way to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<RunId>,
}

impl Dropped {
    /// What the run is told that invoked it.
    pub(crate) fn refusal(&self) -> Refusal {
        match self.run {
            Some(run) => Refusal::Named(run),
            None if self.why == IDEMPOTENT => Refusal::Gathered,
            None => Refusal::Dropped,
        }
    }

    /// The row that says so of the run that it would have been.
    pub(crate) fn row(&self, at: Time, run: RunId) -> Row {
        Row { key: Key::dropped(at, run), value: to_bytes(self) }
    }
}

#[derive(Serialize, Deserialize)]
struct IdempotencyRow {
    /// None if its event was gathered with others.
    run: Option<RunId>,
    until: Time,
}

/// When the starts of the last window were, each after the one before it.
#[derive(Default, Serialize, Deserialize)]
struct RateRow {
    first: i64,
    steps: Vec<i64>,
    /// When the last of them leaves the window.
    until: i64,
}

/// Who is open under a key, and how many wait for its end.
#[derive(Default, Serialize, Deserialize)]
struct UniqueRow {
    open: Option<RunId>,
    #[serde(default)]
    waiting: u32,
    /// The last one that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<RunId>,
}

impl Start {
    /// The start of a run, if its workflow has rules that may keep it from being born.
    ///
    /// # Errors
    /// The expression of a key fails.
    pub(crate) fn of(
        run: RunId,
        limits: &Limits,
        arrival: Arrival,
        scope: &EventScope<'_>,
    ) -> Result<Option<Self>, EvalError> {
        let id = |rule, key| key_id(rule, run.workflow, key, scope);
        let is_new = !matches!(arrival, Arrival::Gathered);
        let idempotency = limits.idempotency.as_ref().filter(|_| is_new);
        let rate = limits.rate_limit.as_ref().filter(|_| is_new);
        let gather = match arrival {
            Arrival::Event { index, bytes, plan } => Gather::of(run.workflow, limits, scope, (index, bytes, plan))?,
            _ => None,
        };
        let unique = limits.unique.as_ref().filter(|_| gather.is_none());
        let start = Start {
            run,
            at: scope.now,
            gather,
            is_wrong: false,
            idempotency: idempotency.map(|it| Ok((id("idempotency", Some(&it.key))?, it.within.0))).transpose()?,
            rate: rate.map(|it| Ok((id("rate_limit", it.key.as_ref())?, it.limit, it.per.0))).transpose()?,
            unique: unique.map(|it| Ok((id("unique", Some(&it.key))?, it.on_conflict))).transpose()?,
        };
        let judged = start.keys().next().is_some();
        Ok(judged.then_some(start))
    }

    /// A start whose keys cannot be evaluated. It is judged like any other, so that what is written for it comes where that
    /// of others does.
    pub(crate) fn wrong(run: RunId, at: Time) -> Self {
        Start { run, at, idempotency: None, rate: None, gather: None, unique: None, is_wrong: true }
    }

    /// The rows that the verdict depends on.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        let idempotency = self.idempotency.map(|(id, _)| Key::limit(IDEMPOTENCY, id));
        let rate = self.rate.map(|(id, ..)| Key::limit(RATE, id));
        let gather = self.gather.as_ref().map(Gather::row);
        let unique = self.unique.map(|(id, _)| Key::limit(UNIQUE, id));
        let wrong = self.is_wrong.then(|| Key::dropped(self.at, self.run));
        idempotency.into_iter().chain(rate).chain(gather).chain(unique).chain(wrong)
    }

    /// Whether its event is gathered with others, if it gets so far.
    pub(crate) fn is_gathered(&self) -> bool {
        self.gather.is_some()
    }

    /// The key behind whose open run it may have to wait.
    pub(crate) fn unique(&self) -> Option<LimitId> {
        self.unique.map(|(id, _)| id)
    }
}

/// Decides on a start and adds the writes to `commit`. Later starts of the same commit see them in `rows`.
pub(crate) fn admit(start: &Start, rows: &mut Rows, commit: &mut Commit) -> Verdict {
    let drop = |why: &str, run| Verdict::Drop(Dropped { why: why.to_owned(), run });
    if start.is_wrong {
        return drop(KEY_FAILED, None);
    }
    if let Some((id, _)) = start.idempotency
        && let Some(row) = read::<IdempotencyRow>(rows, &Key::limit(IDEMPOTENCY, id))
        && row.until > start.at
    {
        return drop(IDEMPOTENT, row.run);
    }
    if let Some((id, limit, per)) = start.rate {
        let key = Key::limit(RATE, id);
        let mut times = read::<RateRow>(rows, &key).map(times).unwrap_or_default();
        let is_over = |time: &i64| start.at.0.saturating_sub(*time) >= per;
        if !planted(Bug::RateWindowStands) || times.first().is_some_and(is_over) {
            times.retain(|time| !is_over(time) && !planted(Bug::RateWindowStands));
        }
        if times.len() >= limit as usize {
            return drop("rate_limit", None);
        }
        times.push(start.at.0);
        write(rows, commit, key, Some(&RateRow { until: start.at.0.saturating_add(per), ..steps(&times) }));
    }
    let mut verdict = Verdict::Start;
    if let Some(rule) = &start.gather {
        verdict = gather(start.run, start.at, rule, rows, commit);
    } else if let Some((id, on_conflict)) = start.unique {
        let key = Key::limit(UNIQUE, id);
        let mut row = read::<UniqueRow>(rows, &key).unwrap_or_default();
        match (row.open, on_conflict) {
            (None, _) => row.open = Some(start.run),
            (Some(open), OnConflict::Skip) => return drop("unique", Some(open)),
            (Some(_), OnConflict::Queue) => {
                row.waiting += 1;
                row.last = Some(start.run);
                verdict = Verdict::Wait { replaces: Vec::new() };
            }
            (Some(open), OnConflict::Replace) => {
                row.waiting += 1;
                let replaces: Vec<RunId> = row.last.replace(start.run).into_iter().chain([open]).collect();
                let cancels = replaces.iter().map(|run| Row { key: Key::cancel(*run), value: reason(start.run) });
                commit.writes.extend(cancels.map(Write::Put));
                verdict = Verdict::Wait { replaces };
            }
        }
        write(rows, commit, key, Some(&row));
    }
    if let Some((id, within)) = start.idempotency {
        let run = Some(start.run).filter(|_| !start.is_gathered());
        let row = IdempotencyRow { run, until: Time(start.at.0.saturating_add(within)) };
        write(rows, commit, Key::limit(IDEMPOTENCY, id), Some(&row));
    }
    verdict
}

/// Why a run is cancelled that another one takes the place of.
pub(crate) fn replaced_by(run: RunId) -> String {
    format!("run {run} takes its place")
}

fn reason(run: RunId) -> Vec<u8> {
    let mut value = vec![ROW_VERSION];
    value.extend_from_slice(replaced_by(run).as_bytes());
    value
}

/// The first of those that wait under a key.
#[derive(Clone, Debug)]
pub(crate) struct First {
    pub(crate) row: Key,
    pub(crate) run: RunId,
    pub(crate) ready: Ready,
    pub(crate) order: Position,
    pub(crate) gate: Gate,
}

/// Ends a run's part in its key: the next one may begin. False if there must be a next one and `first` is not there any
/// more: the caller looks again, and nothing is to be committed.
pub(crate) fn settle(
    run: RunId,
    mine: &Key,
    id: LimitId,
    first: Option<&First>,
    rows: &mut Rows,
    commit: &mut Commit,
) -> bool {
    let key = Key::limit(UNIQUE, id);
    let Some(mut row) = read::<UniqueRow>(rows, &key) else { return true };
    if row.last == Some(run) {
        row.last = None;
    }
    if row.open == Some(run) {
        row.open = None;
        if row.waiting > 0 {
            let there = |first: &&First| rows.get(&first.row).is_some_and(Option::is_some);
            let Some(First { row: place, run, ready, order, gate }) = first.filter(there) else { return false };
            row.open = Some(*run);
            row.waiting -= 1;
            if row.last == Some(*run) {
                row.last = None;
            }
            commit.writes.push(Write::Delete(place.clone()));
            commit.writes.push(Write::Queue { run: *run, ready: *ready, order: *order, gate: gate.clone() });
        }
    } else if rows.get(mine).is_some_and(Option::is_some) {
        row.waiting = row.waiting.saturating_sub(1);
        commit.writes.push(Write::Delete(mine.clone()));
    } else {
        return true;
    }
    let is_over = row.open.is_none() && row.waiting == 0;
    write(rows, commit, key, Some(&row).filter(|_| !is_over));
    true
}

/// Whether what a row of limits remembers is over by now.
pub(crate) fn is_over(row: &Row, now: Time) -> bool {
    match row.key.limit_rule() {
        Some(PACE_RULE) => {
            let arrival = read_number(&row.value).map_or(0, |arrival_us| arrival_us / 1_000);
            u64::try_from(now.0).is_ok_and(|now| arrival < now)
        }
        Some(IDEMPOTENCY) => from_bytes::<IdempotencyRow>(&row.key, &row.value).is_ok_and(|row| row.until <= now),
        Some(RATE) => from_bytes::<RateRow>(&row.key, &row.value).is_ok_and(|row| row.until <= now.0),
        _ => false,
    }
}

/// The row that says who is open under a key.
pub(crate) fn unique_row(id: LimitId) -> Key {
    Key::limit(UNIQUE, id)
}

/// The run that such a row says is open.
pub(crate) fn open_under(row: &Row) -> Option<RunId> {
    from_bytes::<UniqueRow>(&row.key, &row.value).ok()?.open
}

pub(super) fn read<T: for<'de> Deserialize<'de>>(rows: &Rows, key: &Key) -> Option<T> {
    let row = rows.get(key)?.as_ref()?;
    from_bytes(key, &row.value).ok()
}

/// Puts a row, or deletes it; later rules see that in `rows`.
pub(super) fn write<T: Serialize>(rows: &mut Rows, commit: &mut Commit, key: Key, value: Option<&T>) {
    let row = value.map(|value| Row { key: key.clone(), value: to_bytes(value) });
    commit.writes.push(row.clone().map_or_else(|| Write::Delete(key.clone()), Write::Put));
    rows.insert(key, row);
}

fn times(row: RateRow) -> Vec<i64> {
    let mut at = row.first;
    let later = row.steps.into_iter().map(|step| {
        at += step;
        at
    });
    std::iter::once(row.first).chain(later.collect::<Vec<_>>()).collect()
}

fn steps(times: &[i64]) -> RateRow {
    RateRow {
        first: times.first().copied().unwrap_or(0),
        steps: times.windows(2).map(|pair| pair[1] - pair[0]).collect(),
        until: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EventId;

    fn run(n: u8) -> RunId {
        RunId { event: EventId([n; 12]), workflow: 1, nth: 0 }
    }

    const ID: LimitId = LimitId([7; 16]);

    fn start(n: u8, at: i64) -> Start {
        Start { run: run(n), at: Time(at), idempotency: None, rate: None, gather: None, unique: None, is_wrong: false }
    }

    fn judged(start: &Start, rows: &mut Rows) -> Verdict {
        admit(start, rows, &mut Commit::default())
    }

    fn dropped(why: &str, run: Option<RunId>) -> Verdict {
        Verdict::Drop(Dropped { why: why.to_owned(), run })
    }

    #[test]
    fn no_window_has_more_starts_than_the_limit() {
        let mut rows = Rows::new();
        let mut started = Vec::new();
        for (n, at) in [0, 1, 5, 9, 10, 11, 12, 15, 19, 20, 30, 31, 32, 33].into_iter().enumerate() {
            let start = Start { rate: Some((ID, 3, 10)), ..start(n as u8, at) };
            if judged(&start, &mut rows) == Verdict::Start {
                started.push(at);
            }
        }
        assert_eq!(started, [0, 1, 5, 10, 11, 15, 20, 30, 31, 32]);
        let row = rows.values().flatten().next().unwrap().clone();
        assert!(!is_over(&row, Time(41)) && is_over(&row, Time(42)));
    }

    #[test]
    fn the_longest_window_fits_its_row() {
        let mut rows = Rows::new();
        let spread = 365 * 86_400_000 / i64::from(RATE_LIMIT_MAX);
        for n in 0..i64::from(RATE_LIMIT_MAX) {
            let start =
                Start { rate: Some((ID, RATE_LIMIT_MAX, i64::MAX)), ..start(0, 1_800_000_000_000 + n * spread) };
            assert_eq!(judged(&start, &mut rows), Verdict::Start);
        }
        let beyond = Start { rate: Some((ID, RATE_LIMIT_MAX, i64::MAX)), ..start(0, i64::MAX) };
        assert_eq!(judged(&beyond, &mut rows), dropped("rate_limit", None));
        let row = rows.values().flatten().next().unwrap();
        assert!(row.value.len() <= crate::store::ROW_BYTES_MAX, "{} bytes", row.value.len());
    }

    #[test]
    fn an_earlier_run_stands_for_its_key_until_the_window_is_over() {
        let mut rows = Rows::new();
        let at = |n, at| Start { idempotency: Some((ID, 10)), ..start(n, at) };
        assert_eq!(judged(&at(1, 0), &mut rows), Verdict::Start);
        assert_eq!(judged(&at(2, 9), &mut rows), dropped("idempotency", Some(run(1))));
        assert_eq!(judged(&at(3, 10), &mut rows), Verdict::Start);
        let row = rows.values().flatten().next().unwrap().clone();
        assert!(!is_over(&row, Time(19)) && is_over(&row, Time(20)));
    }

    /// What a run's last commit does to the key, with the first of those that wait.
    fn ended(n: u8, first: Option<u8>, rows: &mut Rows) -> bool {
        let place = |n: u8| Key::line(ID, 1, Position(n.into()), run(n));
        let first = first.map(|n| First {
            row: place(n),
            run: run(n),
            ready: Ready { workflow: 1, priority: 1 },
            order: Position(n.into()),
            gate: Gate::default(),
        });
        let mut commit = Commit::default();
        let settled = settle(run(n), &place(n), ID, first.as_ref(), rows, &mut commit);
        for write in commit.writes {
            if let Write::Delete(key) = write {
                rows.insert(key, None);
            }
        }
        settled
    }

    fn lined_up(n: u8, on_conflict: OnConflict, rows: &mut Rows) -> Verdict {
        let verdict = judged(&Start { unique: Some((ID, on_conflict)), ..start(n, 0) }, rows);
        if let Verdict::Wait { .. } = verdict {
            let key = Key::line(ID, 1, Position(n.into()), run(n));
            rows.insert(key.clone(), Some(Row { key, value: Vec::new() }));
        }
        verdict
    }

    #[test]
    fn one_is_open_and_the_others_follow() {
        let mut rows = Rows::new();
        let wait = |replaces: &[u8]| Verdict::Wait { replaces: replaces.iter().map(|n| run(*n)).collect() };
        assert_eq!(lined_up(1, OnConflict::Queue, &mut rows), Verdict::Start);
        assert_eq!(lined_up(2, OnConflict::Skip, &mut rows), dropped("unique", Some(run(1))));
        assert_eq!(lined_up(3, OnConflict::Queue, &mut rows), wait(&[]));
        assert_eq!(lined_up(4, OnConflict::Replace, &mut rows), wait(&[3, 1]));
        assert_eq!(lined_up(5, OnConflict::Replace, &mut rows), wait(&[4, 1]));
        assert!(ended(3, Some(3), &mut rows), "cancelled while it waits");
        assert!(!ended(1, Some(3), &mut rows), "that one is gone: look again");
        assert!(ended(1, Some(4), &mut rows));
        assert!(ended(4, Some(5), &mut rows));
        assert_eq!(lined_up(6, OnConflict::Skip, &mut rows), dropped("unique", Some(run(5))));
        assert!(ended(5, None, &mut rows));
        assert!(rows.values().all(Option::is_none), "nothing is left: {rows:?}");
        assert_eq!(lined_up(7, OnConflict::Skip, &mut rows), Verdict::Start);
    }
}
