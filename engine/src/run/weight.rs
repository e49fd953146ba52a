//! How much a run holds: what it keeps is bounded, whatever its journal says of the past.

use wf_dsl::{Step, Value};

use super::Run;
use super::decide::{Decision, OUTPUT_BYTES_MAX};
use super::fact::Failure;
use super::frame::{Exit, Place};
use super::stored::Stored;
use crate::ids::FrameId;

/// The most bytes that the outputs, variables and lists of one run have together, as JSON.
pub const STATE_BYTES_MAX: usize = 64_000_000;
/// The most branches and iterations of one run that have begun and are not put together yet.
pub const FRAMES_MAX: usize = 100_000;
/// What a branch or an iteration weighs by itself.
const FRAME_BYTES: usize = 256;

/// How much one run may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLimits {
    /// Bytes of outputs, variables and lists together: [`STATE_BYTES_MAX`] unless told. A step whose output would cross
    /// this fails with `limit.state`.
    pub bytes: usize,
    /// Branches and iterations: [`FRAMES_MAX`] unless told. The step that would begin one more fails with
    /// `limit.frames`.
    pub frames: usize,
}

impl Default for StateLimits {
    fn default() -> Self {
        StateLimits { bytes: STATE_BYTES_MAX, frames: FRAMES_MAX }
    }
}

/// No less than what a run holds, in bytes. It counts what comes; what goes is only seen when all is counted again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weight(usize);

/// It is an estimate, and so no part of what makes two runs equal.
impl PartialEq for Weight {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Weight {
    /// Adds a value.
    pub(super) fn take_in(&mut self, stored: &Stored) {
        self.0 = self.0.saturating_add(weight_of(stored));
    }

    /// Adds a branch or an iteration.
    pub(super) fn begin(&mut self) {
        self.0 = self.0.saturating_add(FRAME_BYTES);
    }
}

/// What a value weighs: nothing if there is none.
fn weight_of(stored: &Stored) -> usize {
    if stored.blob.is_none() && stored.value.is_null() { 0 } else { stored.size() }
}

impl Run {
    /// Counts all that the run holds.
    pub(crate) fn weigh(&mut self) {
        let mut bytes = self.parts().saturating_mul(FRAME_BYTES);
        self.each_stored(&mut |stored| bytes = bytes.saturating_add(weight_of(stored)));
        self.weight = Weight(bytes);
    }

    /// Its branches and iterations.
    fn parts(&self) -> usize {
        self.frames.len() - usize::from(self.frames.contains_key(&FrameId::ROOT))
    }

    /// Shows every value that the run holds.
    pub(crate) fn each_stored(&mut self, visit: &mut dyn FnMut(&mut Stored)) {
        visit(&mut self.head.output);
        self.head.events.iter_mut().for_each(&mut *visit);
        self.head.vars.values_mut().for_each(&mut *visit);
        for frame in self.frames.values_mut() {
            frame.outputs.values_mut().for_each(&mut *visit);
            match &mut frame.place {
                Place::Fork { fork, .. } => fork.items.iter_mut().chain(&mut fork.keys).for_each(&mut *visit),
                Place::Ended { output, .. } => visit(output),
                _ => {}
            }
            for block in &mut frame.blocks {
                if let Some(Exit::Finish(output)) = &mut block.then {
                    visit(output);
                }
                block.undo.iter_mut().for_each(|undo| visit(&mut undo.reads));
            }
            frame.undos.iter_mut().for_each(|undo| visit(&mut undo.reads));
        }
    }
}

impl Decision<'_> {
    /// Whether the run may hold one more value.
    pub(super) fn check_room(&mut self, step: &Step, value: &Value) -> Result<(), Failure> {
        let limit = self.cx.live.limits.bytes;
        if self.run.weight.0.saturating_add(OUTPUT_BYTES_MAX) <= limit {
            return Ok(()); // no value is longer
        }
        let size = value.size_within(limit).unwrap_or(usize::MAX);
        let fits = |run: &Run| run.weight.0.saturating_add(size) <= limit;
        if fits(self.run) {
            return Ok(());
        }
        self.run.weigh();
        if fits(self.run) {
            return Ok(());
        }
        let message = format!(
            "the run would hold more than {limit} bytes of outputs and variables: keep large data elsewhere, and pass on \
             where it is"
        );
        Err(Failure::new("limit.state", message, Some(&step.id)))
    }

    /// Whether the run may have one more branch or iteration; otherwise why the step that wants it fails.
    pub(super) fn check_frames(&self, step: &Step) -> Result<(), Failure> {
        let limit = self.cx.live.limits.frames;
        if self.run.parts() < limit {
            return Ok(());
        }
        let message = format!(
            "the run would have more than {limit} branches and iterations at once: loop over pages, or `invoke` a \
             workflow for each part"
        );
        Err(Failure::new("limit.frames", message, Some(&step.id)))
    }
}
