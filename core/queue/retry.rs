//! How long a failed message waits. The jitter is a hash of number and attempt, so that a replay gives the same.

#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a delay may be off by a millisecond")]

use super::config::{RetryKind, RetryPolicy};
use super::types::Number;

/// The delay before the delivery that follows the `attempt`-th (from 1).
pub(super) fn delay_ms(policy: &RetryPolicy, number: Number, attempt: u32) -> u64 {
    let exact = match policy.kind {
        RetryKind::Fixed => policy.delay_ms,
        RetryKind::Linear => policy.delay_ms.saturating_mul(u64::from(attempt)),
        RetryKind::Exponential => doubled(policy.delay_ms, attempt.saturating_sub(1)),
    };
    let capped = exact.min(policy.delay_max_ms);
    if policy.jitter == 0.0 {
        return capped;
    }
    // -1 to 1, from 53 bits of the hash.
    let swing = (hash(number, attempt) >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
    let delay = capped as f64 * (1.0 + policy.jitter * swing);
    (delay.round() as u64).min(policy.delay_max_ms)
}

fn doubled(delay_ms: u64, times: u32) -> u64 {
    if times < delay_ms.leading_zeros() || delay_ms == 0 { delay_ms << times.min(63) } else { u64::MAX }
}

/// splitmix64.
fn hash(number: Number, attempt: u32) -> u64 {
    let mut mixed = number ^ u64::from(attempt) << 48;
    mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(kind: RetryKind, jitter: f64) -> RetryPolicy {
        RetryPolicy { kind, delay_ms: 100, delay_max_ms: 1000, jitter, attempts_max: None }
    }

    #[test]
    fn delays_grow_by_their_kind_up_to_the_cap() {
        let delays = |kind| [1, 2, 3, 9, u32::MAX].map(|attempt| delay_ms(&policy(kind, 0.0), 7, attempt));
        assert_eq!(delays(RetryKind::Fixed), [100, 100, 100, 100, 100]);
        assert_eq!(delays(RetryKind::Linear), [100, 200, 300, 900, 1000]);
        assert_eq!(delays(RetryKind::Exponential), [100, 200, 400, 1000, 1000]);
    }

    #[test]
    fn jitter_spreads_delays_and_is_the_same_again() {
        let policy = policy(RetryKind::Fixed, 0.2);
        let delays: Vec<u64> = (0..1000).map(|number| delay_ms(&policy, number, 1)).collect();
        assert!(delays.iter().all(|delay| (80..=120).contains(delay)));
        assert!(delays.iter().any(|delay| *delay < 85) && delays.iter().any(|delay| *delay > 115));
        assert_eq!(delays, (0..1000).map(|number| delay_ms(&policy, number, 1)).collect::<Vec<_>>());
    }
}
