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
        let prefix = self.prefix.load(Ordering::Acquire);
        // The usual case is a reader from the beginning: it only moves the prefix.
        let (mut start, mut end) = if start <= prefix { (0, end.max(prefix)) } else { (start, end) };
        let first = ranges.partition_point(|(_, other_end)| *other_end < start);
        let after = ranges.partition_point(|(other_start, _)| *other_start <= end);
        if first < after {
            start = start.min(ranges[first].0);
            end = end.max(ranges[after - 1].1);
        }
        if start == 0 {
            self.prefix.store(end, Ordering::Release);
            ranges.drain(..after);
        } else if first < after || ranges.len() < RANGES_MAX {
            ranges.splice(first..after, [(start, end)]);
        }
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

    #[test]
    fn random_marks_cover_exactly_what_was_marked() {
        let mut state = 9u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        for _ in 0..200 {
            let (verified, mut marked) = (Verified::from(200), [false; 200]);
            for _ in 0..30 {
                let start = next() % 200;
                let end = (start + 1 + next() % 20).min(200);
                verified.mark(start, end);
                marked[start as usize..end as usize].fill(true);
                assert!((0..200).all(|at| verified.needs(at) != marked[at as usize]));
            }
        }
    }
}
