//! Message ids of the last while: a second message with one of them is a duplicate.

use std::collections::{HashSet, VecDeque};

use super::number_map::IdSet;

#[derive(Default)]
pub(super) struct Dedup {
    seen: IdSet,
    /// When each id of `seen` came, in that order; the id in two halves, since 16 bytes would be aligned to 32.
    order: VecDeque<(u64, u64, u64)>,
}

impl Dedup {
    /// Remembers an id, unless it came within the window: then false.
    pub fn is_new(&mut self, id: u128, now_ms: u64, window_ms: u64, entries_max: u64) -> bool {
        self.forget_old(now_ms, window_ms);
        if !self.seen.insert(id) {
            return false;
        }
        self.order.push_back((now_ms, (id >> 64) as u64, id as u64));
        while self.order.len() as u64 > entries_max {
            self.forget_first();
        }
        true
    }

    pub fn forget_old(&mut self, now_ms: u64, window_ms: u64) {
        while self.order.front().is_some_and(|(at_ms, ..)| at_ms.saturating_add(window_ms) <= now_ms) {
            self.forget_first();
        }
        if self.order.is_empty() && self.order.capacity() > 1024 {
            (self.seen, self.order) = (HashSet::default(), VecDeque::new());
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, high, low)) = self.order.pop_front() {
            self.seen.remove(&(u128::from(high) << 64 | u128::from(low)));
        }
    }

    /// When the first id was seen.
    pub fn first_ms(&self) -> Option<u64> {
        self.order.front().map(|(at_ms, ..)| *at_ms)
    }

    pub fn each(&self) -> impl ExactSizeIterator<Item = (u64, u64, u64)> + '_ {
        self.order.iter().copied()
    }

    pub fn memory_bytes(&self) -> usize {
        self.order.capacity() * 24 + self.seen.capacity() * 17
    }
}
