//! When messages came, for a TTL of the queue: marks of (first number, time) instead of a time a message. Their
//! number is bounded, since messages that come within a four-thousandth of the TTL share a mark.

use std::collections::VecDeque;

use super::types::Number;

/// Marks within one TTL.
const MARKS_MAX: u64 = 4096;

#[derive(Default)]
pub(super) struct Ages {
    /// Messages from the number on came at the time, until the next mark's.
    marks: VecDeque<(Number, u64)>,
    /// All below are older than the TTL.
    horizon: Number,
}

impl Ages {
    /// The numbers from `first` on came now; times are rounded up, so that nothing expires early.
    #[inline]
    pub fn mark(&mut self, first: Number, now_ms: u64, ttl_ms: u64) {
        let at_ms = rounded(now_ms, ttl_ms);
        if self.marks.back().is_none_or(|(number, last_ms)| *last_ms < at_ms && *number < first) {
            self.marks.push_back((first, at_ms));
        }
    }

    /// Drops marks that are older than the TTL. `end` is above all numbers.
    #[inline]
    pub fn advance(&mut self, now_ms: u64, ttl_ms: u64, end: Number) {
        while self.marks.front().is_some_and(|(_, at_ms)| at_ms.saturating_add(ttl_ms) <= now_ms) {
            self.marks.pop_front();
            self.horizon = self.marks.front().map_or(end, |(number, _)| *number).max(self.horizon);
        }
    }

    /// When a number came; None where that was before the TTL.
    pub fn came_ms(&self, number: Number) -> Option<u64> {
        let at = self.marks.partition_point(|(first, _)| *first <= number).checked_sub(1)?;
        Some(self.marks[at].1)
    }

    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// All that came so far counts as having come now.
    pub fn start(&mut self, now_ms: u64, ttl_ms: u64) {
        self.clear();
        self.marks.push_back((0, rounded(now_ms, ttl_ms)));
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn each(&self) -> impl ExactSizeIterator<Item = (Number, u64)> + '_ {
        self.marks.iter().copied()
    }

    #[inline]
    pub fn horizon(&self) -> Number {
        self.horizon
    }

    pub fn restore(&mut self, marks: VecDeque<(Number, u64)>, horizon: Number) {
        *self = Self { marks, horizon };
    }
}

fn rounded(now_ms: u64, ttl_ms: u64) -> u64 {
    let grain_ms = (ttl_ms / MARKS_MAX).max(1);
    now_ms.div_ceil(grain_ms).saturating_mul(grain_ms)
}
