//! The newest values of a kind, as many as there is room for. Memory is taken as they come.

pub struct Recent<T> {
    values: Vec<T>,
    max: usize,
    /// Where the next one goes once all room is taken: over the oldest.
    next: usize,
    /// How many there have been.
    pushed: u64,
}

impl<T: Copy> Recent<T> {
    /// `bytes_max` 0 keeps nothing.
    pub fn with_bytes(bytes_max: usize) -> Self {
        Self { values: Vec::new(), max: bytes_max / size_of::<T>().max(1), next: 0, pushed: 0 }
    }

    #[inline]
    pub fn push(&mut self, value: T) {
        self.pushed += 1;
        if self.values.len() < self.max {
            self.values.push(value);
        } else if let Some(slot) = self.values.get_mut(self.next) {
            *slot = value;
            self.next += 1;
            if self.next == self.max {
                self.next = 0;
            }
        }
    }

    /// How many there have been: where `since` goes on later.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// What came after so many, as far as it is still there, oldest first.
    pub fn since(&self, pushed: u64) -> impl Iterator<Item = &T> {
        let fresh = usize::try_from(self.pushed.saturating_sub(pushed)).unwrap_or(usize::MAX);
        self.iter().skip(self.values.len().saturating_sub(fresh))
    }

    /// The next one takes the place of the oldest.
    pub fn is_full(&self) -> bool {
        self.values.len() == self.max
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let (newer, older) = self.values.split_at(self.next);
        older.iter().chain(newer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_in_order() {
        let mut recent = Recent::<u32>::with_bytes(12);
        assert_eq!(recent.iter().count(), 0);
        for value in 0..8 {
            recent.push(value);
            let kept: Vec<u32> = recent.iter().copied().collect();
            assert_eq!(kept, (value.saturating_sub(2)..=value).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_came_since_is_told_as_far_as_it_is_there() {
        let mut recent = Recent::<u32>::with_bytes(12);
        (0..2).for_each(|value| recent.push(value));
        let seen = recent.pushed();
        assert_eq!(recent.since(seen).count(), 0);
        recent.push(2);
        assert_eq!(recent.since(seen).copied().collect::<Vec<_>>(), [2]);
        (3..9).for_each(|value| recent.push(value));
        assert_eq!(recent.since(seen).copied().collect::<Vec<_>>(), [6, 7, 8]);
        assert_eq!(recent.since(0).count(), 3);
    }

    #[test]
    fn keeps_nothing_without_room() {
        let mut recent = Recent::<u64>::with_bytes(7);
        recent.push(1);
        assert_eq!(recent.iter().count(), 0);
    }
}
