//! Keys: one byte for the table, then big-endian fields, so that every query is a range.

use std::ops::Range;

use wf_dsl::Time;

use super::gate::{Gate, LimitId};
use super::{Due, InboxKey, Ready};
use crate::ids::{EventId, FrameId, Position, RunId};

/// The kinds of rows. The letter is the first byte of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// `m|name`: format, workflow numbers, clock.
    Meta = b'm',
    /// `p|hash32|chunk2`: plans.
    Plan = b'p',
    /// `n|workflow2`: a workflow's name and newest plan.
    Name = b'n',
    /// `e|position8|chunk2`: events.
    Event = b'e',
    /// `d|bucket2|hash16`: ids that senders gave.
    Dedupe = b'd',
    /// `g|workflow2|lane8|priority1|order8|run16`: runnable runs that must pass a gate.
    Gated = b'g',
    /// `h|run16|n4`: positions of events that are gathered, under the run that the first of them would have been.
    Gathered = b'h',
    /// `i|signature4|hash8|position8`: events by what waits may look for.
    Inbox = b'i',
    /// `r|run16`: heads of runs.
    Head = b'r',
    /// `f|run16|frame4`: parked and finished frames.
    Frame = b'f',
    /// `j|run16|seq4`: records.
    Journal = b'j',
    /// `c|run16|n4`: pieces of large values.
    Chunk = b'c',
    /// `t|due8|run16|frame4`: timers.
    Timer = b't',
    /// `u|id16|priority1|order8|run16`: runs that wait for the end of the one that is open under a key.
    Line = b'u',
    /// `v|workflow2|time8|run16`: starts that came to nothing.
    Dropped = b'v',
    /// `w|signature4|hash8|run16|frame4`: what runs wait for.
    Wait = b'w',
    /// `q|workflow2|priority1|order8|run16`: runnable runs.
    Queue = b'q',
    /// `l|rule4|hash16`: state of limits.
    Limit = b'l',
    /// `o|bucket2|hash16`: explicit idempotency keys.
    Once = b'o',
    /// `s|workflow2|status1|ended8|run16`: ended runs.
    Ended = b's',
    /// `k|cron4`: where each schedule stands.
    Cron = b'k',
    /// `x|run16`: requests to cancel.
    Cancel = b'x',
}

impl std::fmt::Display for Table {
    /// Its name for people, in the plural where there are many.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", format!("{self:?}").to_lowercase())
    }
}

impl Table {
    /// All tables, in the order of their keys.
    pub const ALL: [Table; 22] = [
        Table::Chunk,
        Table::Dedupe,
        Table::Event,
        Table::Frame,
        Table::Gated,
        Table::Gathered,
        Table::Inbox,
        Table::Journal,
        Table::Cron,
        Table::Limit,
        Table::Meta,
        Table::Name,
        Table::Once,
        Table::Plan,
        Table::Queue,
        Table::Head,
        Table::Ended,
        Table::Timer,
        Table::Line,
        Table::Dropped,
        Table::Wait,
        Table::Cancel,
    ];
}

/// How the names of the meta rows of paused workflows begin.
const PAUSED: &[u8] = b"paused/";

/// What a [`Key::ended`] is built of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedKey {
    /// The workflow's number.
    pub workflow: u16,
    /// How the run ended.
    pub status: u8,
    /// When.
    pub at: Time,
    /// The run.
    pub run: RunId,
}

/// A row's key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (table, rest) = self.0.split_first().unwrap_or((&b'?', &[]));
        write!(f, "{}|", char::from(*table))?;
        rest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Key {
    /// A key from its bytes, table letter first.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Key(bytes.into())
    }

    /// The bytes, table letter first.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The table that the key belongs to.
    pub fn table(&self) -> Option<Table> {
        let letter = *self.0.first()?;
        Table::ALL.into_iter().find(|table| *table as u8 == letter)
    }

    fn build(table: Table, parts: &[&[u8]]) -> Self {
        let mut bytes = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
        bytes.push(table as u8);
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        Key(bytes)
    }

    /// `m|name`
    pub fn meta(name: &str) -> Self {
        Key::build(Table::Meta, &[name.as_bytes()])
    }

    /// `p|hash|chunk`
    pub fn plan(hash: &[u8; 32], chunk: u16) -> Self {
        Key::build(Table::Plan, &[hash, &chunk.to_be_bytes()])
    }

    /// The hash of a [`Key::plan`].
    pub fn as_plan(&self) -> Option<[u8; 32]> {
        let bytes: &[u8; 35] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Plan as u8).then(|| part(bytes, 1))
    }

    /// `n|workflow`
    pub fn name(workflow: u16) -> Self {
        Key::build(Table::Name, &[&workflow.to_be_bytes()])
    }

    /// `e|position|chunk`
    pub fn event(position: Position, chunk: u16) -> Self {
        Key::build(Table::Event, &[&position.0.to_be_bytes(), &chunk.to_be_bytes()])
    }

    /// The position and the chunk of a [`Key::event`].
    pub fn as_event(&self) -> Option<(Position, u16)> {
        let bytes: &[u8; 11] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Event as u8)
            .then(|| (Position(u64::from_be_bytes(part(bytes, 1))), u16::from_be_bytes(part(bytes, 9))))
    }

    /// `d|bucket|hash`
    pub fn dedupe(bucket: u16, hash: &[u8; 16]) -> Self {
        Key::build(Table::Dedupe, &[&bucket.to_be_bytes(), hash])
    }

    /// `i|signature|hash|position`
    pub fn inbox(inbox: InboxKey, position: Position) -> Self {
        let parts: [&[u8]; 3] =
            [&inbox.signature.to_be_bytes(), &inbox.matched.to_be_bytes(), &position.0.to_be_bytes()];
        Key::build(Table::Inbox, &parts)
    }

    /// What a [`Key::inbox`] was built of.
    pub fn as_inbox(&self) -> Option<(InboxKey, Position)> {
        let bytes: &[u8; 21] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Inbox as u8).then(|| {
            let signature = u32::from_be_bytes(part(bytes, 1));
            let inbox = InboxKey { signature, matched: u64::from_be_bytes(part(bytes, 5)) };
            (inbox, Position(u64::from_be_bytes(part(bytes, 13))))
        })
    }

    /// All rows of an inbox key behind a position.
    pub fn inbox_after(inbox: InboxKey, position: Position) -> Range<Key> {
        Key::inbox(inbox, position).next()..Key::inbox(inbox, Position(u64::MAX)).next()
    }

    /// `r|run`
    pub fn head(run: RunId) -> Self {
        Key::build(Table::Head, &[&run.bytes()])
    }

    /// The run of a [`Key::head`].
    pub fn as_head(&self) -> Option<RunId> {
        let bytes: &[u8; 17] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Head as u8).then(|| RunId::from_bytes(part(bytes, 1)))
    }

    /// `f|run|frame`
    pub fn frame(run: RunId, frame: FrameId) -> Self {
        Key::build(Table::Frame, &[&run.bytes(), &frame.0.to_be_bytes()])
    }

    /// `j|run|seq`, `seq` being the number of the row's first record
    pub fn journal(run: RunId, seq: u32) -> Self {
        Key::build(Table::Journal, &[&run.bytes(), &seq.to_be_bytes()])
    }

    /// The run of a [`Key::journal`] and the number of the row's first record.
    pub fn as_journal(&self) -> Option<(RunId, u32)> {
        let bytes: &[u8; 21] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Journal as u8)
            .then(|| (RunId::from_bytes(part(bytes, 1)), u32::from_be_bytes(part(bytes, 17))))
    }

    /// All rows of a run's journal.
    pub fn journal_of(run: RunId) -> Range<Key> {
        Key::build(Table::Journal, &[&run.bytes()]).and_below()
    }

    /// `c|run|n`
    pub fn chunk(run: RunId, n: u32) -> Self {
        Key::build(Table::Chunk, &[&run.bytes(), &n.to_be_bytes()])
    }

    /// `t|due|run|frame`; instants before 1970 sort before those after
    pub fn timer(due: Due) -> Self {
        Key::build(Table::Timer, &[&time_bytes(due.at), &due.run.bytes(), &due.frame.0.to_be_bytes()])
    }

    /// The timer of a [`Key::timer`].
    pub fn as_timer(&self) -> Option<Due> {
        let bytes: &[u8; 29] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Timer as u8).then(|| Due {
            at: Time(i64::from_be_bytes(part(bytes, 1)) ^ i64::MIN),
            run: RunId::from_bytes(part(bytes, 9)),
            frame: FrameId(u32::from_be_bytes(part(bytes, 25))),
        })
    }

    /// `w|signature|hash|run|frame`
    pub fn wait(inbox: InboxKey, run: RunId, frame: FrameId) -> Self {
        let parts: [&[u8]; 4] =
            [&inbox.signature.to_be_bytes(), &inbox.matched.to_be_bytes(), &run.bytes(), &frame.0.to_be_bytes()];
        Key::build(Table::Wait, &parts)
    }

    /// All rows of those that wait for an inbox key.
    pub fn waits_for(inbox: InboxKey) -> Range<Key> {
        Key::build(Table::Wait, &[&inbox.signature.to_be_bytes(), &inbox.matched.to_be_bytes()]).and_below()
    }

    /// The run and the frame of a [`Key::wait`].
    pub fn as_wait(&self) -> Option<(RunId, FrameId)> {
        let bytes: &[u8; 33] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Wait as u8)
            .then(|| (RunId::from_bytes(part(bytes, 13)), FrameId(u32::from_be_bytes(part(bytes, 29)))))
    }

    /// `q|workflow|priority|order|run`
    pub fn queue(ready: Ready, order: Position, run: RunId) -> Self {
        let parts: [&[u8]; 4] =
            [&ready.workflow.to_be_bytes(), &[ready.priority], &order.0.to_be_bytes(), &run.bytes()];
        Key::build(Table::Queue, &parts)
    }

    /// All rows of a workflow's queue.
    pub fn queue_of(workflow: u16) -> Range<Key> {
        Key::build(Table::Queue, &[&workflow.to_be_bytes()]).and_below()
    }

    /// What a [`Key::queue`] was built of.
    pub fn as_queue(&self) -> Option<(Ready, Position, RunId)> {
        let bytes: &[u8; 28] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Queue as u8).then(|| {
            let ready = Ready { workflow: u16::from_be_bytes(part(bytes, 1)), priority: bytes[3] };
            (ready, Position(u64::from_be_bytes(part(bytes, 4))), RunId::from_bytes(part(bytes, 12)))
        })
    }

    /// `g|workflow|lane|priority|order|run`
    pub fn gated(ready: Ready, lane: u64, order: Position, run: RunId) -> Self {
        let parts: [&[u8]; 5] = [
            &ready.workflow.to_be_bytes(),
            &lane.to_be_bytes(),
            &[ready.priority],
            &order.0.to_be_bytes(),
            &run.bytes(),
        ];
        Key::build(Table::Gated, &parts)
    }

    /// [`Key::queue`], or [`Key::gated`] if the gate asks for anything.
    pub fn in_queue(ready: Ready, gate: &Gate, order: Position, run: RunId) -> Self {
        match gate.is_open() {
            true => Key::queue(ready, order, run),
            false => Key::gated(ready, gate.lane(), order, run),
        }
    }

    /// All rows of a workflow's runs that must pass a gate.
    pub fn gated_of(workflow: u16) -> Range<Key> {
        Key::build(Table::Gated, &[&workflow.to_be_bytes()]).and_below()
    }

    /// All rows of the lane of a workflow's runs with this gate.
    pub fn lane_of(workflow: u16, gate: &Gate) -> Range<Key> {
        match gate.is_open() {
            true => Key::queue_of(workflow),
            false => Key::gated_lane(workflow, gate.lane()),
        }
    }

    /// All rows of one lane of those.
    pub fn gated_lane(workflow: u16, lane: u64) -> Range<Key> {
        Key::build(Table::Gated, &[&workflow.to_be_bytes(), &lane.to_be_bytes()]).and_below()
    }

    /// The run of a row of [`Table::Frame`], [`Table::Journal`] or [`Table::Chunk`].
    pub fn run_behind_table(&self) -> Option<RunId> {
        let bytes: &[u8; 21] = self.0.as_slice().try_into().ok()?;
        let is_one = [Table::Frame, Table::Journal, Table::Chunk].iter().any(|table| *table as u8 == bytes[0]);
        is_one.then(|| RunId::from_bytes(part(bytes, 1)))
    }

    /// What a [`Key::gated`] was built of.
    pub fn as_gated(&self) -> Option<(Ready, u64, Position, RunId)> {
        let bytes: &[u8; 36] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Gated as u8).then(|| {
            let ready = Ready { workflow: u16::from_be_bytes(part(bytes, 1)), priority: bytes[11] };
            let order = Position(u64::from_be_bytes(part(bytes, 12)));
            (ready, u64::from_be_bytes(part(bytes, 3)), order, RunId::from_bytes(part(bytes, 20)))
        })
    }

    /// What a [`Key::queue`] or a [`Key::gated`] says of its run: where it stands, and which it is.
    pub fn queued(&self) -> Option<(Ready, RunId)> {
        let open = self.as_queue().map(|(ready, _, run)| (ready, run));
        open.or_else(|| self.as_gated().map(|(ready, _, _, run)| (ready, run)))
    }

    /// `l|rule|id`
    pub fn limit(rule: u32, id: LimitId) -> Self {
        Key::build(Table::Limit, &[&rule.to_be_bytes(), &id.0])
    }

    /// `u|id|priority|order|run`
    pub fn line(id: LimitId, priority: u8, order: Position, run: RunId) -> Self {
        Key::build(Table::Line, &[&id.0, &[priority], &order.0.to_be_bytes(), &run.bytes()])
    }

    /// All rows of those that wait under a key.
    pub fn line_of(id: LimitId) -> Range<Key> {
        Key::build(Table::Line, &[&id.0]).and_below()
    }

    /// The priority, the order and the run of a [`Key::line`].
    pub fn as_line(&self) -> Option<(u8, Position, RunId)> {
        let bytes: &[u8; 42] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Line as u8)
            .then(|| (bytes[17], Position(u64::from_be_bytes(part(bytes, 18))), RunId::from_bytes(part(bytes, 26))))
    }

    /// `v|workflow|time|run`, the run being the one that was not born
    pub fn dropped(at: Time, run: RunId) -> Self {
        Key::build(Table::Dropped, &[&run.workflow.to_be_bytes(), &time_bytes(at), &run.bytes()])
    }

    /// All rows of a workflow's starts that came to nothing.
    pub fn dropped_of(workflow: u16) -> Range<Key> {
        Key::build(Table::Dropped, &[&workflow.to_be_bytes()]).and_below()
    }

    /// The time and the run of a [`Key::dropped`].
    pub fn as_dropped(&self) -> Option<(Time, RunId)> {
        let bytes: &[u8; 27] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Dropped as u8)
            .then(|| (Time(i64::from_be_bytes(part(bytes, 3)) ^ i64::MIN), RunId::from_bytes(part(bytes, 11))))
    }

    /// `h|run|n`, the run being the one that the first of the gathered events would have been
    pub fn gathered(first: RunId, n: u32) -> Self {
        Key::build(Table::Gathered, &[&first.bytes(), &n.to_be_bytes()])
    }

    /// All rows of the events that are gathered together.
    pub fn gathered_of(first: RunId) -> Range<Key> {
        Key::build(Table::Gathered, &[&first.bytes()]).and_below()
    }

    /// What a [`Key::gathered`] was built of.
    pub fn as_gathered(&self) -> Option<(RunId, u32)> {
        let bytes: &[u8; 21] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Gathered as u8)
            .then(|| (RunId::from_bytes(part(bytes, 1)), u32::from_be_bytes(part(bytes, 17))))
    }

    /// What a [`Key::limit`] was built of.
    pub fn as_limit(&self) -> Option<(u32, LimitId)> {
        let bytes: &[u8; 21] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Limit as u8).then(|| (u32::from_be_bytes(part(bytes, 1)), LimitId(part(bytes, 5))))
    }

    /// The rule of a [`Key::limit`].
    pub fn limit_rule(&self) -> Option<u32> {
        self.as_limit().map(|(rule, _)| rule)
    }

    /// `m|paused/workflow`: the workflow's runs do not begin.
    pub fn paused(workflow: u16) -> Self {
        Key::build(Table::Meta, &[PAUSED, &workflow.to_be_bytes()])
    }

    /// All rows of workflows that are paused.
    pub fn all_paused() -> Range<Key> {
        Key::build(Table::Meta, &[PAUSED]).and_below()
    }

    /// The workflow of a [`Key::paused`].
    pub fn as_paused(&self) -> Option<u16> {
        let number = self.0.strip_prefix(&[Table::Meta as u8])?.strip_prefix(PAUSED)?;
        number.try_into().ok().map(u16::from_be_bytes)
    }

    /// `o|bucket|hash`
    pub fn once(bucket: u16, hash: &[u8; 16]) -> Self {
        Key::build(Table::Once, &[&bucket.to_be_bytes(), hash])
    }

    /// `s|workflow|status|ended|run`
    pub fn ended(workflow: u16, status: u8, ended: Time, run: RunId) -> Self {
        Key::build(Table::Ended, &[&workflow.to_be_bytes(), &[status], &time_bytes(ended), &run.bytes()])
    }

    /// What a [`Key::ended`] was built of.
    pub fn as_ended(&self) -> Option<EndedKey> {
        let bytes: &[u8; 28] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Ended as u8).then(|| EndedKey {
            workflow: u16::from_be_bytes(part(bytes, 1)),
            status: bytes[3],
            at: Time(i64::from_be_bytes(part(bytes, 4)) ^ i64::MIN),
            run: RunId::from_bytes(part(bytes, 12)),
        })
    }

    /// All rows of a workflow's runs that ended with a status.
    pub fn ended_of(workflow: u16, status: u8) -> Range<Key> {
        Key::build(Table::Ended, &[&workflow.to_be_bytes(), &[status]]).and_below()
    }

    /// The bucket of a row of [`Table::Dedupe`] or [`Table::Once`].
    pub fn bucket(&self) -> Option<u16> {
        let bytes: &[u8; 19] = self.0.as_slice().try_into().ok()?;
        Some(u16::from_be_bytes(part(bytes, 1)))
    }

    /// All rows of a bucket.
    pub fn bucket_of(table: Table, bucket: u16) -> Range<Key> {
        Key::build(table, &[&bucket.to_be_bytes()]).and_below()
    }

    /// The heads of all runs that are born of an event.
    pub fn heads_of(event: EventId) -> Range<Key> {
        Key::build(Table::Head, &[&event.0]).and_below()
    }

    /// All frames of a run.
    pub fn frames_of(run: RunId) -> Range<Key> {
        Key::build(Table::Frame, &[&run.bytes()]).and_below()
    }

    /// All chunks of a run.
    pub fn chunks_of(run: RunId) -> Range<Key> {
        Key::build(Table::Chunk, &[&run.bytes()]).and_below()
    }

    /// `k|cron`
    pub fn cron(schedule: u32) -> Self {
        Key::build(Table::Cron, &[&schedule.to_be_bytes()])
    }

    /// `x|run`
    pub fn cancel(run: RunId) -> Self {
        Key::build(Table::Cancel, &[&run.bytes()])
    }

    /// The run of a [`Key::cancel`].
    pub fn as_cancel(&self) -> Option<RunId> {
        let bytes: &[u8; 17] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Cancel as u8).then(|| RunId::from_bytes(part(bytes, 1)))
    }

    /// The workflow's number of a [`Key::name`].
    pub fn as_name(&self) -> Option<u16> {
        let bytes: &[u8; 3] = self.0.as_slice().try_into().ok()?;
        (bytes[0] == Table::Name as u8).then(|| u16::from_be_bytes(part(bytes, 1)))
    }

    /// All keys that begin with this one.
    pub fn and_below(&self) -> Range<Key> {
        let mut end = self.0.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                break;
            }
        }
        self.clone()..Key(end)
    }

    /// All keys of a table.
    pub fn all(table: Table) -> Range<Key> {
        Key(vec![table as u8]).and_below()
    }

    /// The first key of a table whose next eight bytes are an instant (timers) at or after `at`.
    pub fn timers_from(at: Time) -> Key {
        Key::build(Table::Timer, &[&time_bytes(at)])
    }

    /// The smallest key greater than this one.
    pub fn next(&self) -> Key {
        let mut bytes = self.0.clone();
        bytes.push(0);
        Key(bytes)
    }
}

fn time_bytes(time: Time) -> [u8; 8] {
    (time.0 ^ i64::MIN).to_be_bytes()
}

fn part<const N: usize, const M: usize>(bytes: &[u8; M], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("within the key")
}
