//! Gates: what must have room before a queued run goes on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// The rule in the keys of the rows that say how far a pace has come, in microseconds.
pub const PACE_RULE: u32 = 1;

/// What a queued run must pass to be claimed. All of it must have room at once.
///
/// It is kept beside the run's row in the queue, so that whoever claims runs needs to know nothing of workflows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// What it occupies from its claim until it is released.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<Slot>,
    /// What spaces it from others that were claimed before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
}

/// A place among those that may be claimed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// What is counted.
    pub of: LimitId,
    /// How many there are.
    pub limit: u32,
}

/// Claims at even intervals: the generic cell rate algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// What is spaced.
    pub of: LimitId,
    /// The interval, in microseconds.
    pub every_us: u64,
    /// How many may be claimed at once after a pause; at least one.
    pub burst: u32,
}

impl Gate {
    /// Whether anything passes it at any time.
    pub fn is_open(&self) -> bool {
        self.slots.is_empty() && self.pace.is_none()
    }

    /// The lane of the queue in which runs with this gate stand, one behind the other.
    pub fn lane(&self) -> u64 {
        let mut hash = Sha256::new();
        for slot in &self.slots {
            hash.update([1]);
            hash.update(slot.of.0);
            hash.update(slot.limit.to_be_bytes());
        }
        if let Some(pace) = &self.pace {
            hash.update([2]);
            hash.update(pace.of.0);
            hash.update(pace.every_us.to_be_bytes());
            hash.update(pace.burst.to_be_bytes());
        }
        let hash: [u8; 32] = hash.finalize().into();
        u64::from_be_bytes(hash[..8].try_into().expect("eight bytes"))
    }
}

impl Pace {
    /// The earliest time of the next claim, in microseconds, given the theoretical time of arrival that the claims
    /// before it led to.
    pub fn next_us(&self, arrival_us: u64) -> u64 {
        arrival_us.saturating_sub(u64::from(self.burst.saturating_sub(1)).saturating_mul(self.every_us))
    }

    /// The theoretical time of arrival after a claim.
    pub fn after_claim(&self, arrival_us: u64, now_us: u64) -> u64 {
        arrival_us.max(now_us).saturating_add(self.every_us)
    }
}

/// Names what a limit counts: a rule of a workflow and one value of its key, hashed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitId(pub [u8; 16]);

impl LimitId {
    /// The name of something that these parts tell from all others.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash: [u8; 32] = hash.finalize().into();
        LimitId(hash[..16].try_into().expect("the first half"))
    }
}

impl fmt::Display for LimitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LimitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LimitId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "it is not 32 hexadecimal digits";
        if text.len() != 32 || !text.is_ascii() {
            return Err(wrong);
        }
        u128::from_str_radix(text, 16).map(|number| LimitId(number.to_be_bytes())).map_err(|_| wrong)
    }
}

impl Serialize for LimitId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LimitId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims_in(pace: Pace, from_us: u64, to_us: u64) -> Vec<u64> {
        let (mut arrival, mut now, mut claims) = (0, from_us, Vec::new());
        while now < to_us {
            if pace.next_us(arrival) <= now {
                arrival = pace.after_claim(arrival, now);
                claims.push(now - from_us);
            } else {
                now = pace.next_us(arrival);
            }
        }
        claims
    }

    #[test]
    fn claims_are_spaced_evenly_and_a_burst_goes_at_once() {
        let pace = |burst| Pace { of: LimitId([0; 16]), every_us: 10, burst };
        assert_eq!(claims_in(pace(1), 1_000, 1_040), [0, 10, 20, 30]);
        assert_eq!(claims_in(pace(3), 1_000, 1_040), [0, 0, 0, 10, 20, 30]);
    }

    #[test]
    fn a_lane_is_of_one_gate() {
        let slot = |limit| Slot { of: LimitId([1; 16]), limit };
        let lane = |slots: Vec<Slot>| Gate { slots, pace: None }.lane();
        assert_ne!(lane(vec![slot(1)]), lane(vec![slot(2)]));
        assert_ne!(lane(vec![slot(1)]), lane(vec![]));
        assert_eq!(lane(vec![slot(1)]), lane(vec![slot(1)]));
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = LimitId::of(&[b"a", b"b"]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(LimitId::of(&[b"ab", b""]), id);
        assert!("+".repeat(32).parse::<LimitId>().is_err() && "é".repeat(16).parse::<LimitId>().is_err());
    }
}
