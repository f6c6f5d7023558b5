//! A connection's publishers or subscriptions, by the numbers that the peer chose for them.

/// Sorted by number. There are few and they come and go rarely, but one is looked
/// up for every frame; a peer mostly stays with the same one, so that is tried first.
pub(super) struct Numbered<T> {
    items: Vec<(u32, T)>,
    last: usize,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { items: Vec::new(), last: 0 }
    }
}

impl<T> Numbered<T> {
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn contains(&self, number: u32) -> bool {
        self.find(number).is_ok()
    }

    #[inline]
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        if self.items.get(self.last).is_none_or(|(other, _)| *other != number) {
            self.last = self.find(number).ok()?;
        }
        self.items.get_mut(self.last).map(|(_, item)| item)
    }

    /// Adds an item, in place of one with the same number.
    pub fn insert(&mut self, number: u32, item: T) {
        match self.find(number) {
            Ok(at) => self.items[at].1 = item,
            Err(at) => self.items.insert(at, (number, item)),
        }
    }

    pub fn remove(&mut self, number: u32) -> Option<T> {
        let at = self.find(number).ok()?;
        Some(self.items.remove(at).1)
    }

    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.items.iter().map(|(number, _)| *number)
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut().map(|(_, item)| item)
    }

    fn find(&self, number: u32) -> Result<usize, usize> {
        self.items.binary_search_by_key(&number, |(other, _)| *other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_any_and_are_free_again_after_removal() {
        let mut items = Numbered::default();
        for number in [7, u32::MAX, 0, 1 << 20] {
            items.insert(number, number);
        }
        assert_eq!(items.len(), 4);
        for number in [0, u32::MAX, 7, 7, 1 << 20] {
            assert_eq!(items.get_mut(number), Some(&mut number.clone()));
        }
        assert_eq!(items.remove(7), Some(7));
        assert_eq!(items.get_mut(7), None);
        assert_eq!((items.contains(7), items.remove(7)), (false, None));
        assert_eq!(items.numbers().collect::<Vec<_>>(), [0, 1 << 20, u32::MAX]);
        items.insert(7, 8);
        items.insert(7, 9);
        assert_eq!(items.get_mut(7), Some(&mut 9));
        assert_eq!(items.len(), 4);
    }
}
