//! What namespaces and users may have: how fast they publish, how many connections they
//! hold, and whether they may store more. A connection past a rate is not read from until
//! what it has sent is paid for, so its sender is held back by its socket and nothing is
//! refused; connections and stored bytes past theirs are refused.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::error::{CoreError, ErrorCode, Result};

/// What all connections of a bucket may have together; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    pub messages_per_sec: u64,
    /// Of publish frames.
    pub bytes_per_sec: u64,
    /// So much of a pause may be made up for at once.
    pub burst_ms: u64,
    pub connections_max: u64,
}

/// The virtual scheduling algorithm (ITU-T I.371, annex A): instead of tokens a bucket
/// keeps the time at which what it let through is paid for.
#[derive(Default)]
struct Ledger {
    quota: Quota,
    messages_paid_us: u64,
    bytes_paid_us: u64,
}

#[derive(Default)]
pub(super) struct Bucket {
    ledger: Mutex<Ledger>,
    connections: AtomicU64,
    /// Its stored bytes are used up. TypeScript measures them now and then.
    is_full: AtomicBool,
}

impl Bucket {
    /// Charges for what came in. Returns when the sender may go on, in ms.
    fn charge(&self, now_ms: u64, messages: u64, bytes: u64) -> u64 {
        let mut ledger = self.ledger.lock();
        let Quota { messages_per_sec, bytes_per_sec, burst_ms, .. } = ledger.quota;
        let at_us = now_ms.saturating_mul(1_000);
        pay(&mut ledger.messages_paid_us, at_us, messages, messages_per_sec);
        pay(&mut ledger.bytes_paid_us, at_us, bytes, bytes_per_sec);
        let paid_us = ledger.messages_paid_us.max(ledger.bytes_paid_us);
        paid_us.div_ceil(1_000).saturating_sub(burst_ms)
    }

    /// A place for one more connection.
    fn seat(self: Arc<Self>) -> Result<Seat> {
        let max = match self.ledger.lock().quota.connections_max {
            0 => u64::MAX,
            max => max,
        };
        let more = |count: u64| (count < max).then(|| count + 1);
        match self.connections.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => Ok(Seat(self)),
            Err(count) => Err(CoreError::new(
                ErrorCode::QUOTA_EXCEEDED,
                format!("{count} connections are open, and the quota (connectionsMax) is {max}"),
            )),
        }
    }

    /// A place for a connection that is there already, also where there are too many.
    fn seat_anyway(self: Arc<Self>) -> Seat {
        self.connections.fetch_add(1, Ordering::AcqRel);
        Seat(self)
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

/// A connection's place among those of a bucket, which it leaves when it is dropped.
pub(super) struct Seat(Arc<Bucket>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The buckets of an engine by name. TypeScript names them, and only those that have a quota.
#[derive(Default)]
pub(super) struct Quotas(Mutex<HashMap<String, Arc<Bucket>>>);

impl Quotas {
    /// Gives a bucket its quota; without one the bucket goes.
    pub fn set(&self, name: String, quota: Option<Quota>) {
        let mut buckets = self.0.lock();
        if let Some(quota) = quota {
            buckets.entry(name).or_default().ledger.lock().quota = quota;
        } else if let Some(bucket) = buckets.remove(&name) {
            // Who holds it from before stops paying.
            bucket.ledger.lock().quota = Quota::default();
            bucket.is_full.store(false, Ordering::Release);
        }
    }

    /// Says whether a bucket's stored bytes are used up.
    pub fn set_full(&self, name: &str, is_full: bool) {
        if let Some(bucket) = self.find(name) {
            bucket.is_full.store(is_full, Ordering::Release);
        }
    }

    /// How many connections a bucket has; 0 for one without a quota.
    pub fn connections(&self, name: &str) -> u64 {
        self.find(name).map_or(0, |bucket| bucket.connections.load(Ordering::Acquire))
    }

    pub fn find(&self, name: &str) -> Option<Arc<Bucket>> {
        self.0.lock().get(name).cloned()
    }
}

/// A connection's share: which buckets it pays into, and until when it waits.
#[derive(Default)]
pub(super) struct Meter {
    seats: SmallVec<[Seat; 2]>,
    /// Messages that were accepted and not charged for yet.
    pub messages: u64,
    pub wait_until_ms: u64,
}

impl Meter {
    /// Has the connection count for these buckets and no others.
    ///
    /// # Errors
    /// `quota_exceeded` when it is new and one of them has no place left.
    pub fn join(&mut self, buckets: impl Iterator<Item = Arc<Bucket>>, is_new: bool) -> Result<()> {
        self.seats.clear();
        for bucket in buckets {
            self.seats.push(if is_new { bucket.seat()? } else { bucket.seat_anyway() });
        }
        Ok(())
    }

    #[inline]
    pub fn is_free(&self) -> bool {
        self.seats.is_empty()
    }

    /// Charges for a chunk with `bytes` of publish frames. Returns whether the sender has to wait.
    pub fn charge(&mut self, now_ms: u64, bytes: u64) -> bool {
        let messages = std::mem::take(&mut self.messages);
        for Seat(bucket) in &self.seats {
            self.wait_until_ms = self.wait_until_ms.max(bucket.charge(now_ms, messages, bytes));
        }
        self.waits(now_ms)
    }

    pub fn waits(&self, now_ms: u64) -> bool {
        self.wait_until_ms > now_ms
    }

    /// Whether a bucket may store no more.
    pub fn is_full(&self) -> bool {
        self.seats.iter().any(|Seat(bucket)| bucket.is_full.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket_of(quota: Quota) -> Arc<Bucket> {
        let quotas = Quotas::default();
        quotas.set("namespace a".to_owned(), Some(quota));
        let Some(bucket) = quotas.find("namespace a") else { panic!("it has a quota") };
        bucket
    }

    #[test]
    fn a_bucket_lets_its_rate_and_its_burst_through() {
        let bucket = bucket_of(Quota { messages_per_sec: 100, burst_ms: 500, ..Quota::default() });
        assert!(bucket.charge(1_000, 50, 1 << 20) <= 1_000, "fifty are the burst");
        assert_eq!(bucket.charge(1_000, 10, 0), 1_100, "ten more cost a tenth of a second");
        assert!(bucket.charge(9_000, 50, 0) <= 9_000, "a long pause earns one burst");
        assert_eq!(bucket.charge(9_000, 100, 0), 10_000);
    }

    #[test]
    fn the_scarcer_of_messages_and_bytes_counts() {
        let bucket = bucket_of(Quota { messages_per_sec: 1_000, bytes_per_sec: 1_000, ..Quota::default() });
        assert_eq!(bucket.charge(0, 10, 5_000), 5_000);
    }

    #[test]
    fn a_quota_that_is_taken_away_lets_everybody_go_on() {
        let quotas = Quotas::default();
        quotas.set("namespace a".to_owned(), Some(Quota { messages_per_sec: 1, ..Quota::default() }));
        quotas.set_full("namespace a", true);
        let mut meter = Meter::default();
        meter.join(quotas.find("namespace a").into_iter(), true).unwrap();
        meter.messages = 100;
        assert!(meter.charge(0, 0) && meter.is_full());
        quotas.set("namespace a".to_owned(), None);
        let mut other = Meter::default();
        std::mem::swap(&mut meter.seats, &mut other.seats);
        assert!(!other.charge(0, 0) && !other.is_full());
        assert!(quotas.find("namespace a").is_none());
    }

    #[test]
    fn connections_past_the_quota_find_no_place_until_one_goes() {
        let bucket = bucket_of(Quota { connections_max: 2, ..Quota::default() });
        let (mut first, mut second, mut third) = (Meter::default(), Meter::default(), Meter::default());
        first.join([bucket.clone()].into_iter(), true).unwrap();
        second.join([bucket.clone()].into_iter(), true).unwrap();
        let refused = third.join([bucket.clone()].into_iter(), true).unwrap_err();
        assert_eq!(refused.code, ErrorCode::QUOTA_EXCEEDED);
        drop(first);
        third.join([bucket.clone()].into_iter(), true).unwrap();
        assert_eq!(bucket.connections.load(Ordering::Acquire), 2);
    }

    #[test]
    fn a_connection_that_was_there_before_the_quota_stays_and_counts() {
        let bucket = bucket_of(Quota { connections_max: 1, ..Quota::default() });
        let (mut first, mut second) = (Meter::default(), Meter::default());
        first.join([bucket.clone()].into_iter(), false).unwrap();
        second.join([bucket.clone()].into_iter(), false).unwrap();
        // Joining again, as after a change of the quota, counts nobody twice.
        second.join([bucket.clone()].into_iter(), false).unwrap();
        assert_eq!(bucket.connections.load(Ordering::Acquire), 2);
        assert!(Meter::default().join([bucket].into_iter(), true).is_err());
    }
}
