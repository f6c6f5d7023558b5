//! A set of numbers as intervals: what was settled since a snapshot is few of them, since acks fill their gaps.

use std::collections::BTreeMap;

use super::types::Number;

#[derive(Default)]
pub(super) struct Intervals {
    /// First to the one after the last; no two touch.
    map: BTreeMap<Number, Number>,
}

impl Intervals {
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub fn insert(&mut self, mut first: Number, mut end: Number) {
        if first >= end {
            return;
        }
        while let Some((start, stop)) = self.map.range(..=end).next_back().map(|(start, stop)| (*start, *stop))
            && stop >= first
        {
            self.map.remove(&start);
            (first, end) = (first.min(start), end.max(stop));
        }
        self.map.insert(first, end);
    }

    /// The first interval that ends after `from`.
    pub fn next(&self, from: Number) -> Option<(Number, Number)> {
        let before = self.map.range(..=from).next_back().filter(|(_, end)| **end > from);
        before.or_else(|| self.map.range(from..).next()).map(|(first, end)| (*first, *end))
    }

    pub fn contains(&self, number: Number) -> bool {
        self.next(number).is_some_and(|(first, _)| first <= number)
    }

    /// Takes one out; false where it was not in.
    pub fn remove(&mut self, number: Number) -> bool {
        let Some((first, end)) = self.next(number).filter(|(first, _)| *first <= number) else { return false };
        self.map.remove(&first);
        if first < number {
            self.map.insert(first, number);
        }
        if number + 1 < end {
            self.map.insert(number + 1, end);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::tests::kit::Random;
    use std::collections::BTreeSet;

    #[test]
    fn intervals_are_the_set_of_what_was_put_in() {
        let mut random = Random::seeded(5);
        let (mut set, mut model) = (Intervals::default(), BTreeSet::new());
        for _ in 0..20_000 {
            let (first, count) = (random.below(200), random.below(6));
            if random.below(3) == 0 {
                assert_eq!(set.remove(first), model.remove(&first));
            } else {
                set.insert(first, first + count);
                model.extend(first..first + count);
            }
            let probe = random.below(210);
            assert_eq!(set.contains(probe), model.contains(&probe));
            let next = set.next(probe).map(|(first, _)| first.max(probe));
            assert_eq!(next, model.range(probe..).next().copied());
        }
    }
}
