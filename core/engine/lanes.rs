//! What waits to be sent, by priority: of sixteen turns twelve go to what is of high
//! priority, three to normal and one to low, and what a lane has no use for to the
//! others. So nothing waits for ever, however much there is above it.

use std::collections::VecDeque;

use crate::log::DeliveryPriority;

const LANES: usize = 3;
const HIGH: usize = 0;
const NORMAL: usize = 1;
const LOW: usize = 2;
/// Whose turn it is.
const TURNS: [usize; 16] =
    [HIGH, HIGH, HIGH, NORMAL, HIGH, HIGH, HIGH, NORMAL, HIGH, HIGH, HIGH, NORMAL, HIGH, HIGH, HIGH, LOW];

fn lane_of(priority: DeliveryPriority) -> usize {
    match priority {
        DeliveryPriority::High => HIGH,
        DeliveryPriority::Normal => NORMAL,
        DeliveryPriority::Low => LOW,
    }
}

/// Whether `one` goes before `other`.
pub(super) fn is_above(one: DeliveryPriority, other: DeliveryPriority) -> bool {
    lane_of(one) < lane_of(other)
}

pub(super) struct Lanes<T> {
    lanes: [VecDeque<T>; LANES],
    turn: usize,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { lanes: std::array::from_fn(|_| VecDeque::new()), turn: 0 }
    }
}

impl<T> Lanes<T> {
    #[inline]
    pub fn push(&mut self, priority: DeliveryPriority, item: T) {
        self.lanes[lane_of(priority)].push_back(item);
    }

    /// The next by turns, and of its lane the one that has waited longest.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let mine = TURNS[self.turn % TURNS.len()];
        self.turn = self.turn.wrapping_add(1);
        if let Some(item) = self.lanes[mine].pop_front() {
            return Some(item);
        }
        self.lanes.iter_mut().find_map(VecDeque::pop_front)
    }

    /// The highest priority that something has.
    #[inline]
    pub fn highest(&self) -> Option<DeliveryPriority> {
        let all = [DeliveryPriority::High, DeliveryPriority::Normal, DeliveryPriority::Low];
        all.into_iter().find(|priority| !self.lanes[lane_of(*priority)].is_empty())
    }

    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }

    pub fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for lane in &mut self.lanes {
            lane.retain(&mut keep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_the_priorities_and_nobody_waits_for_ever() {
        let mut lanes = Lanes::default();
        for n in 0..100 {
            lanes.push(DeliveryPriority::Low, ("low", n));
            lanes.push(DeliveryPriority::Normal, ("normal", n));
            lanes.push(DeliveryPriority::High, ("high", n));
        }
        let first: Vec<_> = std::iter::from_fn(|| lanes.pop()).take(32).collect();
        let count = |name| first.iter().filter(|(lane, _)| *lane == name).count();
        assert_eq!((count("high"), count("normal"), count("low")), (24, 6, 2));
        assert!(first.iter().filter(|(lane, _)| *lane == "high").map(|(_, n)| *n).eq(0..24), "in order");
        assert_eq!(std::iter::from_fn(|| lanes.pop()).count(), 300 - 32, "and everything comes");
    }
}
