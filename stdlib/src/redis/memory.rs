//! The stand-in: a store in this process, for connections that are not configured. It ends with the process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wf_engine::{StepError, Time};

use super::{FAMILY, MARKER_TTL};

/// Values and when they expire, by key. Time is the engine's, so that values expire in simulated time too.
#[derive(Default)]
pub(super) struct Memory {
    values: Mutex<HashMap<String, Value>>,
}

struct Value {
    text: String,
    expires_at: Option<Time>,
}

impl Memory {
    pub(super) fn get(&self, key: &str, now: Time) -> Option<Vec<u8>> {
        self.live(now, &[key]).get(key).map(|value| value.text.clone().into_bytes())
    }

    pub(super) fn set(&self, key: &str, text: &str, ttl: Option<Duration>, now: Time) {
        let expires_at = ttl.map(|ttl| after(now, ttl));
        self.live(now, &[key]).insert(key.to_owned(), Value { text: text.to_owned(), expires_at });
    }

    pub(super) fn incr(&self, key: &str, by: i64, marker: &str, now: Time) -> Result<i64, StepError> {
        let mut values = self.live(now, &[key, marker]);
        if let Some(counted) = values.get(marker) {
            return integer(&counted.text);
        }
        let (before, expires_at) = match values.get(key) {
            Some(counter) => (integer(&counter.text)?, counter.expires_at),
            None => (0, None),
        };
        let overflow = || FAMILY.error("rejected", "the sum does not fit 64 bits");
        let count = before.checked_add(by).ok_or_else(overflow)?;
        let text = count.to_string();
        values.insert(marker.to_owned(), Value { text: text.clone(), expires_at: Some(after(now, MARKER_TTL)) });
        values.insert(key.to_owned(), Value { text, expires_at });
        Ok(count)
    }

    pub(super) fn del(&self, key: &str, now: Time) -> bool {
        self.live(now, &[key]).remove(key).is_some()
    }

    /// The values; those of `keys` only if they have not expired.
    fn live(&self, now: Time, keys: &[&str]) -> MutexGuard<'_, HashMap<String, Value>> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if values.get(*key).is_some_and(|value| value.expires_at.is_some_and(|at| at <= now)) {
                values.remove(*key);
            }
        }
        values
    }
}

fn after(now: Time, ttl: Duration) -> Time {
    Time(now.0.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)))
}

fn integer(text: &str) -> Result<i64, StepError> {
    // What a server takes for an integer: no plus sign, no zeros in front, no space.
    let value = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
    value.ok_or_else(|| FAMILY.error("rejected", "the value is not an integer of 64 bits"))
}
