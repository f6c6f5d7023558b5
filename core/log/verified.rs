//! Which bytes of a recovered segment were verified since the start. Bytes that
//! this process wrote, or that recovery scanned, need no second look; all others
//! are verified at their first read.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Ranges remembered apart from the prefix; more are simply verified again.
const RANGES_MAX: usize = 256;

pub struct Verified {
    /// `[0, prefix)` was verified.
    prefix: AtomicU64,
    /// `[trusted, end)` needs no verification.
    trusted: AtomicU64,
    /// Sorted, disjoint, all of it between prefix and trusted.
    ranges: Mutex<Vec<(u64, u64)>>,
}

impl Verified {
    /// Everything from `trusted` on needs no verification.
    pub fn from(trusted: u64) -> Self {
        Self { prefix: AtomicU64::new(0), trusted: AtomicU64::new(trusted), ranges: Mutex::new(Vec::new()) }
    }

    /// Whether the batch at `position` has to be verified before it is served.
    #[inline]
    pub fn needs(&self, position: u64) -> bool {
        if position >= self.trusted.load(Ordering::Acquire) || position < self.prefix.load(Ordering::Acquire) {
            return false;
        }
        let ranges = self.ranges.lock();
        let after = ranges.partition_point(|(start, _)| *start <= position);
        after.checked_sub(1).is_none_or(|at| position >= ranges[at].1)
    }

    /// Notes `[start, end)` as verified; both are batch boundaries.
    pub fn mark(&self, start: u64, end: u64) {
        let mut ranges = self.ranges.lock();
        let at = ranges.partition_point(|(other, _)| *other < start);
        ranges.insert(at, (start, end));
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for &(start, end) in ranges.iter() {
            match merged.last_mut() {
                Some(last) if last.1 >= start => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        let prefix = self.prefix.load(Ordering::Acquire);
        if merged.first().is_some_and(|first| first.0 <= prefix) {
            let first = merged.remove(0);
            self.prefix.fetch_max(first.1, Ordering::AcqRel);
        }
        merged.truncate(RANGES_MAX);
        *ranges = merged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_reach_the_prefix() {
        let verified = Verified::from(1000);
        assert!(verified.needs(0) && !verified.needs(1000));
        verified.mark(200, 300);
        verified.mark(300, 400);
        assert!(!verified.needs(200) && !verified.needs(399) && verified.needs(400) && verified.needs(100));
        verified.mark(0, 200);
        assert_eq!(verified.prefix.load(Ordering::Relaxed), 400);
        assert!(!verified.needs(150) && verified.needs(400));
    }
}
