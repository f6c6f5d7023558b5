//! A histogram of durations with a bounded relative error, as `HdrHistogram` has it: buckets of equal
//! width within a power of two, 32 to each. Microseconds; below 32 they are exact, above within 3.2 %.

/// Buckets within one power of two.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// What lasts longer, four and a half hours, counts into the last bucket.
const US_MAX: u64 = (1 << 34) - 1;
/// How many buckets there are.
pub const BUCKETS: usize = index_of(US_MAX) + 1;

pub struct Histogram {
    counts: Box<[u64]>,
    sum_ns: u64,
    max_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), sum_ns: 0, max_us: 0 }
    }
}

impl Histogram {
    #[inline]
    pub fn note_ns(&mut self, ns: u64) {
        let us = ns / 1_000;
        match self.counts.get_mut(index_of(us)) {
            Some(count) => *count += 1,
            None => self.counts[BUCKETS - 1] += 1,
        }
        self.sum_ns = self.sum_ns.wrapping_add(ns);
        self.max_us = self.max_us.max(us);
    }

    /// As `note_ns(0)`.
    #[inline]
    pub fn note_none(&mut self) {
        self.counts[0] += 1;
    }

    /// The buckets that hold something, as index and count.
    pub fn filled(&self) -> impl Iterator<Item = (usize, u64)> {
        self.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    pub fn sum_us(&self) -> u64 {
        self.sum_ns / 1_000
    }

    pub fn max_us(&self) -> u64 {
        self.max_us
    }
}

/// The bucket of a duration, past the last one for what is above `US_MAX`. src/metrics/latencies.ts
/// knows where each begins.
#[inline]
const fn index_of(us: u64) -> usize {
    if us < STEPS {
        return us as usize;
    }
    let shift = us.ilog2() - STEP_BITS;
    shift as usize * STEPS as usize + (us >> shift) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first duration of a bucket: the inverse of `index_of`.
    fn lower_us(index: usize) -> u64 {
        let index = index as u64;
        let shift = (index / STEPS).saturating_sub(1);
        if index < STEPS { index } else { (index % STEPS + STEPS) << shift }
    }

    #[test]
    fn every_bucket_begins_where_the_one_before_ends() {
        for index in 0..BUCKETS {
            let lower = lower_us(index);
            assert_eq!(index_of(lower), index);
            assert!(index == 0 || index_of(lower - 1) == index - 1);
        }
    }

    #[test]
    fn counts_sum_and_maximum_are_those_of_what_was_noted() {
        let mut histogram = Histogram::default();
        for ns in [0, 999, 1_000, 50_000_000, US_MAX * 1_000_000] {
            histogram.note_ns(ns);
        }
        let filled: Vec<_> = histogram.filled().collect();
        assert_eq!(filled, [(0, 2), (1, 1), (index_of(50_000), 1), (BUCKETS - 1, 1)]);
        assert_eq!(histogram.sum_us(), 1 + 50_000 + US_MAX * 1_000);
        assert_eq!(histogram.max_us(), US_MAX * 1_000);
    }
}
