//! Migration: an open run goes on in the newest definition of its workflow, if it fits there.

use std::collections::BTreeSet;
use std::sync::Arc;

use wf_dsl::{Misfit, Plan, PlanHash, Standpoint, misfits};

use super::{Operator, RunFilter, RunLine, State};
use crate::definition::Definition;
use crate::driver::{Message, load, rewritten};
use crate::error::{Error, ErrorKind};
use crate::ids::{FrameId, RunId};
use crate::run::{Fact, Hash, Record, Run};
use crate::start;
use crate::store::{Commit, Fence, Guard, Write};

/// Whether one run can move.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The run.
    pub run: RunLine,
    /// Why it cannot; nothing if it can.
    pub misfits: Vec<String>,
}

impl Operator {
    /// Makes plans the newest of their workflows, as an engine does that is given them. Nothing moves by that.
    ///
    /// # Errors
    /// Whatever the store answers.
    pub async fn register(&self, plans: impl IntoIterator<Item = Plan>) -> Result<(), Error> {
        let definitions = plans.into_iter().map(|plan| Arc::new(Definition::new(Arc::new(plan))));
        start::register(&*self.store, definitions.collect()).await.map(drop)
    }

    /// Which open runs of a workflow, pinned to a plan whose hash begins with `from`, can move to the newest one, newest
    /// run first.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the store has no such workflow, and whatever it answers.
    pub async fn moves(&self, workflow: &str, from: &str) -> Result<Vec<Move>, Error> {
        let number = self.number(workflow).await?;
        let newest = self.newest(number).await?;
        let states = State::ALL.into_iter().filter(|state| !state.is_ended()).collect();
        let filter = RunFilter { workflow: Some(workflow.to_owned()), states, ..RunFilter::default() };
        let mut moves = Vec::new();
        for run in self.all_runs(&filter).await? {
            if run.plan == newest.plan.hash || !run.plan.to_string().starts_with(from) {
                continue;
            }
            let loaded = self.load(run.run).await?;
            let misfits = misfits_of(&loaded.definition, &newest, &loaded.run);
            moves.push(Move { run, misfits });
        }
        Ok(moves)
    }

    /// Moves an open run to the newest plan of its workflow.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run, [`ErrorKind::Conflict`] if it has ended or does not fit, and
    /// whatever the store answers.
    pub async fn migrate(&self, run: RunId) -> Result<(), Error> {
        let mut loaded = self.load(run).await?;
        if loaded.run.is_ended() {
            return Err(Error::new(ErrorKind::Conflict, format!("run {run} has ended")));
        }
        let newest = self.newest(run.workflow).await?;
        refuse(run, &misfits_of(&loaded.definition, &newest, &loaded.run))?;
        let fence = Guard::Run { run, fence: Fence { version: loaded.run.version, epoch: 0 } };
        let fact = Fact::Migrated { plan: Hash(newest.plan.hash) };
        let record = Record { frame: FrameId::ROOT, at: self.now(), fact };
        loaded.run.apply(&record);
        let position = loaded.run.position;
        let mut writes = rewritten(*loaded, &record);
        // Whoever has it in memory loads it again.
        writes.push(Write::wake(run, position));
        self.store.commit(Commit { guards: vec![fence], writes, ..Commit::default() }).await?;
        self.tell(Message::Changed(None));
        Ok(())
    }

    /// The newest definition of a workflow.
    pub(super) async fn newest(&self, workflow: u16) -> Result<Arc<Definition>, Error> {
        let names = self.workflows().await?;
        let hash: Option<PlanHash> = names.get(&workflow).map(|(_, hash)| *hash);
        let hash = hash.ok_or_else(|| Error::new(ErrorKind::NotFound, "the store does not know the workflow"))?;
        load::definition(&*self.store, &self.registry, hash).await
    }
}

/// Why a run cannot go on in another definition.
pub(super) fn misfits_of(old: &Definition, new: &Definition, run: &Run) -> Vec<String> {
    let mut standpoint = Standpoint::default();
    for frame in run.frames.values() {
        standpoint.at.extend(frame.place.step().cloned());
        standpoint.undos.extend(frame.undos.iter().map(|undo| undo.step.clone()));
        let outputs = frame.outputs.iter().map(|(step, output)| (step.clone(), output.value.clone()));
        standpoint.outputs.extend(outputs);
    }
    let vars = run.head.vars.iter().map(|(name, stored)| (name.clone(), stored.value.clone()));
    standpoint.vars.extend(vars);
    let fits = |step: &wf_dsl::Step, value: &wf_dsl::Value| {
        new.output_type(step).is_none_or(|ty| value.is_null() || ty.accept(&value.to_json()).is_ok())
    };
    let found: BTreeSet<Misfit> = misfits(&old.plan.workflow, &new.plan.workflow, &standpoint, &fits);
    let mut found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let event = &run.trigger.name;
    let wrong = new.plan.events.get(event).and_then(|ty| ty.data.accept(&run.trigger.data.to_json()).err());
    found.extend(wrong.map(|_| format!("the event `{event}` that it was born of does not fit its type now")));
    found
}

/// Refuses what does not fit.
pub(super) fn refuse(run: RunId, misfits: &[String]) -> Result<(), Error> {
    match misfits {
        [] => Ok(()),
        misfits => Err(Error::new(ErrorKind::Conflict, format!("run {run} does not fit: {}", misfits.join("; ")))),
    }
}
