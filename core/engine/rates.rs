//! How fast may be published: buckets that connections share. A connection past a
//! rate is not read from until what it has sent is paid for, so its sender is held
//! back by its socket, and nothing is refused.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

/// What a bucket lets through; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    pub messages_per_sec: u64,
    /// Of publish frames.
    pub bytes_per_sec: u64,
    /// So much of a pause may be made up for at once.
    pub burst_ms: u64,
}

/// The virtual scheduling algorithm (ITU-T I.371, annex A): instead of tokens a bucket
/// keeps the time at which what it let through is paid for.
#[derive(Default)]
struct Ledger {
    rate: Rate,
    messages_paid_us: u64,
    bytes_paid_us: u64,
}

#[derive(Default)]
pub(super) struct Bucket(Mutex<Ledger>);

impl Bucket {
    /// Charges for what came in. Returns when the sender may go on, in ms.
    fn charge(&self, now_ms: u64, messages: u64, bytes: u64) -> u64 {
        let mut ledger = self.0.lock();
        let Rate { messages_per_sec, bytes_per_sec, burst_ms } = ledger.rate;
        let at_us = now_ms.saturating_mul(1_000);
        pay(&mut ledger.messages_paid_us, at_us, messages, messages_per_sec);
        pay(&mut ledger.bytes_paid_us, at_us, bytes, bytes_per_sec);
        let paid_us = ledger.messages_paid_us.max(ledger.bytes_paid_us);
        paid_us.div_ceil(1_000).saturating_sub(burst_ms)
    }
}

fn pay(paid_us: &mut u64, at_us: u64, count: u64, per_sec: u64) {
    let cost_us = u128::from(count) * 1_000_000 / u128::from(per_sec.max(1));
    // A rate that was taken away leaves no debt.
    *paid_us = match per_sec {
        0 => 0,
        _ => (*paid_us).max(at_us).saturating_add(u64::try_from(cost_us).unwrap_or(u64::MAX)),
    };
}

/// The buckets of an engine by name. TypeScript names them, and only those that have a rate.
#[derive(Default)]
pub(super) struct Rates(Mutex<HashMap<String, Arc<Bucket>>>);

impl Rates {
    /// Gives a bucket its rate; a rate without limits takes the bucket away.
    pub fn set(&self, name: String, rate: Rate) {
        let mut buckets = self.0.lock();
        if (rate.messages_per_sec, rate.bytes_per_sec) != (0, 0) {
            buckets.entry(name).or_default().0.lock().rate = rate;
        } else if let Some(bucket) = buckets.remove(&name) {
            // Who holds it from before stops paying.
            bucket.0.lock().rate = rate;
        }
    }

    pub fn find(&self, name: &str) -> Option<Arc<Bucket>> {
        self.0.lock().get(name).cloned()
    }
}

/// A connection's share: which buckets it pays into, and until when it waits.
#[derive(Default)]
pub(super) struct Meter {
    pub buckets: SmallVec<[Arc<Bucket>; 2]>,
    /// Messages that were accepted and not charged for yet.
    pub messages: u64,
    pub wait_until_ms: u64,
}

impl Meter {
    /// Charges for a chunk with `bytes` of publish frames. Returns whether the sender has to wait.
    pub fn charge(&mut self, now_ms: u64, bytes: u64) -> bool {
        let messages = std::mem::take(&mut self.messages);
        for bucket in &self.buckets {
            self.wait_until_ms = self.wait_until_ms.max(bucket.charge(now_ms, messages, bytes));
        }
        self.waits(now_ms)
    }

    pub fn waits(&self, now_ms: u64) -> bool {
        self.wait_until_ms > now_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_its_rate_and_its_burst_through() {
        let bucket = Bucket::default();
        bucket.0.lock().rate = Rate { messages_per_sec: 100, bytes_per_sec: 0, burst_ms: 500 };
        assert!(bucket.charge(1_000, 50, 1 << 20) <= 1_000, "fifty are the burst");
        assert_eq!(bucket.charge(1_000, 10, 0), 1_100, "ten more cost a tenth of a second");
        assert!(bucket.charge(9_000, 50, 0) <= 9_000, "a long pause earns one burst");
        assert_eq!(bucket.charge(9_000, 100, 0), 10_000);
    }

    #[test]
    fn the_scarcer_of_messages_and_bytes_counts() {
        let bucket = Bucket::default();
        bucket.0.lock().rate = Rate { messages_per_sec: 1_000, bytes_per_sec: 1_000, burst_ms: 0 };
        assert_eq!(bucket.charge(0, 10, 5_000), 5_000);
    }

    #[test]
    fn a_rate_that_is_taken_away_lets_everybody_go_on() {
        let rates = Rates::default();
        rates.set("namespace a".to_owned(), Rate { messages_per_sec: 1, ..Rate::default() });
        let held = rates.find("namespace a");
        let Some(bucket) = held else { panic!("it has a rate") };
        assert!(bucket.charge(0, 100, 0) > 0);
        rates.set("namespace a".to_owned(), Rate::default());
        assert_eq!(bucket.charge(0, 100, 0), 0);
        assert!(rates.find("namespace a").is_none());
    }
}
