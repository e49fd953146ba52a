//! Keys and chance: everything that must be the same again in a repetition, derived from where it is needed.

use sha2::{Digest, Sha256};
use wf_dsl::Time;

use super::Run;
use crate::ids::{EventId, FrameId};

/// What identifies one visit of one step of one run: the root of its keys and of its chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visit([u8; 32]);

impl Visit {
    /// The visit of `step` that `frame` is in: run, iteration path, rounds, step.
    pub(crate) fn of(run: &Run, frame: FrameId, step: &str) -> Visit {
        let mut hash = Sha256::new();
        hash.update(run.id.bytes());
        for frame in run.with_parents(frame) {
            hash.update(frame.round.to_be_bytes());
            for undo in frame.blocks.iter().filter_map(|block| block.undo.as_ref()) {
                hash.update(b"undo");
                hash.update(undo.number.to_be_bytes());
            }
            if let Some(parent) = &frame.parent {
                hash.update(parent.step.as_bytes());
                hash.update([0]);
                hash.update(run.iteration_key(parent).as_bytes());
                hash.update([0]);
            }
        }
        hash.update(step.as_bytes());
        Visit(hash.finalize().into())
    }

    /// The automatic idempotency key: `wf_` and 26 letters and digits (130 bits in Crockford's base 32, lower case).
    pub(crate) fn idempotency_key(&self) -> String {
        const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut key = String::from("wf_");
        for digit in 0..26 {
            let bits = (0..5).fold(0, |bits, bit| {
                let at = digit * 5 + bit;
                bits << 1 | usize::from(self.0[at / 8] >> (7 - at % 8) & 1)
            });
            key.push(char::from(DIGITS[bits]));
        }
        key
    }

    /// The `n`th draw of chance for one `purpose`.
    pub(crate) fn chance(&self, purpose: &str, n: u32) -> [u8; 32] {
        Sha256::new().chain_update(self.0).chain_update(purpose).chain_update(n.to_be_bytes()).finalize().into()
    }

    /// The id of an event that this visit sends.
    pub(crate) fn event(&self, at: Time) -> EventId {
        let mut id = [0; 12];
        id[..6].copy_from_slice(&at.0.max(0).to_be_bytes()[2..]);
        id[6..].copy_from_slice(&self.chance("event", 0)[..6]);
        EventId(id)
    }
}
