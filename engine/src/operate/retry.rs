//! Retry: a run that has failed goes on from an earlier state, with the keys that it had.

use wf_dsl::Workflow;

use super::migrate::{misfits_of, refuse};
use super::{Operator, State};
use crate::driver::{Message, load, rewritten};
use crate::error::{Error, ErrorKind};
use crate::ids::{FrameId, RunId};
use crate::rows;
use crate::run::{BLOB_BYTES, Blob, Fact, Hash, NoRetry, Record, Rewound, Run, Stored};
use crate::store::{Commit, Fence, Guard, Key, Row, Table, Write};

/// Rows that one commit of a retry puts ahead of the last one.
const ROWS_AHEAD: usize = 400;

/// How a run is retried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// The step of the outermost list from which it goes on; the step that failed if it is not said.
    pub from: Option<String>,
    /// It goes on in the newest definition of its workflow, if it fits there.
    pub newest: bool,
}

impl Operator {
    /// Lets a run that has failed go on, from the step that failed or from another one. It keeps its id, and its steps
    /// keep their idempotency keys, so that what was done is not done again. A run that it invoked and that failed is
    /// retried in its stead. Gives the runs that go on, the one that was named last.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run or step, [`ErrorKind::Conflict`] if it has not failed or there is
    /// no state from which it can go on, and whatever the store answers.
    pub async fn retry(&self, run: RunId, retry: &Retry) -> Result<Vec<RunId>, Error> {
        let mut done = Vec::new();
        let mut open = vec![(run, retry.clone())];
        // What was invoked goes first: whoever waits for it looks at it as soon as it goes on itself.
        let mut ready = Vec::new();
        while let Some((id, how)) = open.pop() {
            let loaded = self.load(id).await?;
            let (rewound, children) = self.rewind(&loaded, &how).await?;
            open.extend(children.into_iter().map(|child| (child, Retry { from: None, ..how.clone() })));
            ready.push((loaded, rewound));
        }
        while let Some((loaded, rewound)) = ready.pop() {
            done.push(loaded.run.id);
            self.go_on(*loaded, rewound).await?;
        }
        self.tell(Message::Changed(None));
        Ok(done)
    }

    /// The state from which a run goes on, and the runs that it invoked and that are retried with it.
    async fn rewind(&self, loaded: &load::Loaded, how: &Retry) -> Result<(Rewound, Vec<RunId>), Error> {
        let run = &loaded.run;
        let state = State::of(run, &loaded.definition.plan, None);
        if state != State::Failed {
            let message = format!("run {} is {state}; only a run that has failed is retried", run.id);
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let workflow = &loaded.definition.plan.workflow;
        let (records, dropped) = crate::report::history(&*self.store, loaded).await?;
        let rewound = run.rewound(&records, dropped, workflow, how.from.as_deref(), self.now());
        let mut rewound = rewound.map_err(|why| refused(run.id, &why, workflow))?;
        if how.newest || !rewound.was_there {
            let old = &loaded.definition;
            let new = if how.newest { self.newest(run.id.workflow).await? } else { old.clone() };
            refuse(run.id, &misfits_of(old, &new, &rewound.run))?;
            rewound.run.head.plan = Hash(new.plan.hash);
        }
        let mut children = Vec::new();
        for (frame, child) in std::mem::take(&mut rewound.children) {
            match self.head(child).await.map(|head| head.status) {
                Ok(crate::run::Status::Failed) => children.push(child),
                Ok(crate::run::Status::Open | crate::run::Status::Finished) => {}
                // What was cancelled or is gone is invoked anew.
                Ok(crate::run::Status::Cancelled) => self.invoke_again(&mut rewound.run, frame, workflow),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.invoke_again(&mut rewound.run, frame, workflow);
                }
                Err(error) => return Err(error),
            }
        }
        rewound.run.count_all_working();
        Ok((rewound, children))
    }

    fn invoke_again(&self, run: &mut Run, frame: FrameId, workflow: &Workflow) {
        if let Some(step) = run.frame(frame).place.step().cloned() {
            run.enter_again(frame, &step, workflow, false, self.now());
        }
    }

    /// Writes the state of a run and the record of its retry.
    async fn go_on(&self, mut loaded: load::Loaded, rewound: Rewound) -> Result<(), Error> {
        let id = loaded.run.id;
        let fence = Guard::Run { run: id, fence: Fence { version: loaded.run.version, epoch: 0 } };
        let ended = Key::ended(id.workflow, loaded.run.head.status as u8, ended_at(&loaded.run), id);
        let mut ahead = Vec::new();
        let value = rewound.run.as_value();
        let mut state = Stored::small(value);
        if state.value.size_within(BLOB_BYTES).is_none() {
            let json = serde_json::to_vec(&state.value).expect("a text is JSON");
            let bytes = u32::try_from(json.len()).expect("states are bounded");
            let first = rewound.run.head.next_chunk;
            state.blob = Some(Blob { first, bytes });
            ahead.extend(rows::chunks(id, first, &json).map(Write::Put));
        }
        let fact = Fact::Retried { step: rewound.step, state };
        let record = Record { frame: rewound.frame, at: self.now(), fact };
        loaded.run.apply(&record);
        // Rows of frames that are no more would be taken for parts of those that are there again.
        let frames = rows::pieces_of(id)[0].clone();
        for row in load::scan(&*self.store, frames).await? {
            let frame = load::frame_of(&row.key)?;
            if !loaded.run.frames.contains_key(&frame) {
                ahead.push(Write::Delete(row.key));
            }
        }
        loaded.run.gone.clear();
        let timers = super::timers_of(&loaded.run);
        let (position, writes) = (loaded.run.position, rewritten(loaded, &record));
        let is_ahead = |write: &Write| {
            let table = match write {
                Write::Put(Row { key, .. }) | Write::Delete(key) => key.table(),
                _ => None,
            };
            // The chunks of a long head stay with their head.
            table == Some(Table::Frame)
        };
        let (more, mut last): (Vec<Write>, Vec<Write>) = writes.into_iter().partition(is_ahead);
        ahead.extend(more);
        let fits = ahead.len().min(ROWS_AHEAD);
        let rest = ahead.split_off(fits);
        if !rest.is_empty() {
            for page in std::iter::once(ahead.as_slice()).chain(rest.chunks(ROWS_AHEAD)) {
                let commit = Commit { guards: vec![fence.clone()], writes: page.to_vec(), ..Commit::default() };
                self.store.commit(commit).await?;
            }
            ahead.clear();
        }
        last.extend(ahead);
        last.push(Write::Delete(ended));
        last.push(Write::Delete(Key::cancel(id)));
        last.push(Write::wake(id, position));
        self.store.commit(Commit { guards: vec![fence], writes: last, ..Commit::default() }).await?;
        timers.into_iter().for_each(|due| self.tell(Message::Changed(Some(due))));
        Ok(())
    }
}

fn ended_at(run: &Run) -> wf_dsl::Time {
    run.head.ended.unwrap_or(run.head.started)
}

fn refused(run: RunId, why: &NoRetry, workflow: &Workflow) -> Error {
    let kind = if matches!(why, NoRetry::NoStep(_)) { ErrorKind::NotFound } else { ErrorKind::Conflict };
    let steps = || {
        let steps = &workflow.list(Workflow::ROOT).steps;
        steps.iter().map(|ix| workflow.step(*ix).id.to_string()).collect::<Vec<_>>().join(", ")
    };
    let what = match why {
        NoRetry::NotBegun => "; replay it".to_owned(),
        NoRetry::Forgotten | NoRetry::Undone => format!("; name the step from which it goes on, one of {}", steps()),
        NoRetry::NoStep(_) | NoRetry::Inside(_) => format!("; it goes on from one of {}", steps()),
    };
    Error::new(kind, format!("run {run} cannot be retried so: {why}{what}"))
}
