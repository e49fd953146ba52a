//! Retry: whether a failed step is tried again, and when.

use wf_dsl::{Delay, Period, Retry, Time};

use super::frame::Tries;
use crate::planted::{Bug, planted};

/// What a policy says about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Try again at this time; this policy counts it.
    Again {
        /// When.
        at: Time,
        /// The index of the policy.
        policy: u32,
    },
    /// No more attempts.
    Enough,
}

/// A failure as policies see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed<'a> {
    /// Its code.
    pub(crate) code: &'a str,
    /// Whether it is retried by a policy without `only`.
    pub(crate) retriable: bool,
    /// What the server asked for; raises the delay, never above `max_delay`.
    pub(crate) retry_after: Option<Period>,
}

/// Whether `pattern` (a code, `family.*` or `*`) names `code`.
pub(crate) fn code_matches(pattern: &str, code: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(family) => code.starts_with(family) || family.strip_suffix('.') == Some(code),
        None => pattern == code,
    }
}

/// Decides by the first of `policies` that matches. `chance` is evenly spread over 0 up to, not including, 1.
pub(crate) fn judge(policies: &[Retry], tries: &Tries, failed: Failed<'_>, now: Time, chance: f64) -> Verdict {
    let Some((index, policy)) = policies.iter().enumerate().find(|(_, policy)| applies(policy, failed)) else {
        return Verdict::Enough;
    };
    let failures = tries.counted.get(index).copied().unwrap_or(0).saturating_add(1);
    if policy.max_attempts.is_some_and(|most| failures >= most + u32::from(planted(Bug::OneAttemptMore))) {
        return Verdict::Enough;
    }
    let Some(delay) = regular_delay(policy, failures) else { return Verdict::Enough };
    let delay = if policy.jitter { Period((delay.0 as f64 * chance) as i64) } else { delay };
    let delay = delay.0.max(failed.retry_after.map_or(0, |after| after.0));
    let delay = policy.max_delay.map_or(delay, |most| delay.min(most.0));
    let at = Time(now.0.saturating_add(delay));
    if policy.max_elapsed.is_some_and(|most| at.0 > tries.since.0.saturating_add(most.0)) {
        return Verdict::Enough;
    }
    Verdict::Again { at, policy: u32::try_from(index).unwrap_or(u32::MAX) }
}

fn applies(policy: &Retry, failed: Failed<'_>) -> bool {
    let named = |patterns: &[String]| patterns.iter().any(|pattern| code_matches(pattern, failed.code));
    let wanted = if policy.only.is_empty() { failed.retriable } else { named(&policy.only) };
    wanted && !named(&policy.except)
}

/// The delay after the `failures`th failure, from 1, without jitter; none if a list of delays is used up.
pub(crate) fn regular_delay(policy: &Retry, failures: u32) -> Option<Period> {
    let computed = match &policy.delay {
        Delay::Exponential { first, factor } => {
            let exponent = i32::try_from(failures - 1).unwrap_or(i32::MAX);
            // A cast saturates, so a delay too long to count is the longest that can be.
            Period((first.0 as f64 * factor.powi(exponent)) as i64)
        }
        Delay::List(delays) => *delays.get(failures as usize - 1)?,
    };
    Some(policy.max_delay.map_or(computed, |most| computed.min(most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubling() -> Retry {
        Retry {
            max_attempts: Some(4),
            delay: Delay::Exponential { first: Period(1_000), factor: 2.0 },
            max_delay: None,
            max_elapsed: None,
            jitter: false,
            only: vec![],
            except: vec![],
        }
    }

    fn unavailable() -> Failed<'static> {
        Failed { code: "http.status.503", retriable: true, retry_after: None }
    }

    fn after(failures: u32) -> Tries {
        Tries { since: Time(0), attempt: failures, interrupted: 0, counted: vec![failures - 1] }
    }

    fn delay_of(policy: &Retry, failures: u32, failed: Failed<'_>) -> Option<i64> {
        match judge(std::slice::from_ref(policy), &after(failures), failed, Time(0), 0.5) {
            Verdict::Again { at, .. } => Some(at.0),
            Verdict::Enough => None,
        }
    }

    #[test]
    fn delays_double_until_the_attempts_are_used_up() {
        let delays: Vec<_> = (1..=4).map(|n| delay_of(&doubling(), n, unavailable())).collect();
        assert_eq!(delays, [Some(1_000), Some(2_000), Some(4_000), None]);
    }

    #[test]
    fn a_list_of_delays_is_one_attempt_longer_than_the_list() {
        let policy =
            Retry { max_attempts: None, delay: Delay::List(vec![Period(60_000), Period(300_000)]), ..doubling() };
        let delays: Vec<_> = (1..=3).map(|n| delay_of(&policy, n, unavailable())).collect();
        assert_eq!(delays, [Some(60_000), Some(300_000), None]);
    }

    #[test]
    fn retry_after_raises_a_delay_up_to_the_longest() {
        let asked = Failed { retry_after: Some(Period(10_000)), ..unavailable() };
        assert_eq!(delay_of(&doubling(), 1, asked), Some(10_000));
        assert_eq!(delay_of(&Retry { max_delay: Some(Period(3_000)), ..doubling() }, 1, asked), Some(3_000));
        let short = Failed { retry_after: Some(Period(10)), ..unavailable() };
        assert_eq!(delay_of(&doubling(), 2, short), Some(2_000));
    }

    #[test]
    fn jitter_draws_between_zero_and_the_delay() {
        assert_eq!(delay_of(&Retry { jitter: true, ..doubling() }, 2, unavailable()), Some(1_000));
    }

    #[test]
    fn no_attempt_starts_later_than_the_first_plus_max_elapsed() {
        let policy = Retry { max_attempts: None, max_elapsed: Some(Period(4_000)), ..doubling() };
        assert_eq!(delay_of(&policy, 3, unavailable()), Some(4_000));
        assert_eq!(delay_of(&policy, 4, unavailable()), None);
    }

    #[test]
    fn only_makes_a_code_retriable_and_except_takes_it_out() {
        let rejected = Failed { code: "email.rejected", retriable: false, retry_after: None };
        assert_eq!(delay_of(&doubling(), 1, rejected), None);
        assert_eq!(delay_of(&Retry { only: vec!["email.*".into()], ..doubling() }, 1, rejected), Some(1_000));
        assert_eq!(delay_of(&Retry { except: vec!["http.*".into()], ..doubling() }, 1, unavailable()), None);
    }

    #[test]
    fn each_policy_of_a_list_counts_its_own_failures() {
        let slow = Retry { only: vec!["http.status.429".into()], max_attempts: Some(2), ..doubling() };
        let policies = [slow, doubling()];
        let tries = Tries { since: Time(0), attempt: 2, interrupted: 0, counted: vec![1, 0] };
        let limited = Failed { code: "http.status.429", retriable: true, retry_after: None };
        assert_eq!(judge(&policies, &tries, limited, Time(0), 0.0), Verdict::Enough);
        assert_eq!(
            judge(&policies, &tries, unavailable(), Time(0), 0.0),
            Verdict::Again { at: Time(1_000), policy: 1 }
        );
    }

    #[test]
    fn huge_numbers_saturate() {
        let policy = Retry { max_attempts: None, ..doubling() };
        assert_eq!(delay_of(&policy, u32::MAX, unavailable()), Some(i64::MAX));
    }

    #[test]
    fn a_family_names_its_members_and_itself() {
        assert!(code_matches("*", "timeout"));
        assert!(code_matches("http.*", "http.status.503"));
        assert!(code_matches("http.status.*", "http.status.503"));
        assert!(!code_matches("http.*", "https.timeout"));
        assert!(!code_matches("peer", "peer.timeout"));
    }
}
