//! Messages go out: round robin among the consumers with credit, from the highest lane that holds something.

use super::Queue;
use super::consumers::Slot;
use super::effect::Effect;
use super::flight::{ENTRY_TAGS, NO_LEASE, Piece};
use super::run::Run;
use super::types::Dispatch;

/// With so many waiting for each consumer, they take turns in runs instead of singly.
const MUCH_WAITING: u64 = ENTRY_TAGS as u64;

impl Queue {
    /// Gives out up to `messages_max` messages.
    pub fn dispatch(&mut self, now_ms: u64, messages_max: usize, out: &mut Vec<Dispatch>, effects: &mut Vec<Effect>) {
        let room = self.config.in_flight_max.saturating_sub(self.counts.in_flight);
        let mut left = room.min(messages_max as u64);
        while left > 0 {
            let Some((slot, sharing)) = self.consumers.next() else { break };
            let Some(lane) = self.lanes.highest() else { break };
            let portion = self.portion(slot, sharing).min(u32::try_from(left).unwrap_or(u32::MAX));
            let Some(run) = self.take_ready(lane, portion, now_ms, effects) else { continue };
            left -= u64::from(run.count);
            self.deliver(slot, Piece { run, lane, from_deferred: false }, now_ms, out);
            self.consumers.rotate();
        }
    }

    /// How many the consumer gets at once.
    #[inline]
    fn portion(&mut self, slot: Slot, sharing: usize) -> u32 {
        let credit = self.consumers.get_mut(slot).map_or(0, |consumer| consumer.credit());
        if sharing == 1 {
            return credit;
        }
        let much = self.lanes.len >= sharing as u64 * MUCH_WAITING;
        if much { credit.min(ENTRY_TAGS) } else { 1 }
    }

    /// The next messages of a lane that may be delivered; None where what stood in front could not, and left.
    #[inline]
    fn take_ready(&mut self, lane: u8, count: u32, _now_ms: u64, _effects: &mut Vec<Effect>) -> Option<Run> {
        let front = self.lanes.front(lane)?;
        self.lanes.take(lane, if front.marked { 1 } else { count })
    }

    /// The messages are in flight now.
    #[inline]
    pub(super) fn deliver(&mut self, slot: Slot, piece: Piece, now_ms: u64, out: &mut Vec<Dispatch>) {
        let run = piece.run;
        let deliveries = if run.marked { self.extras.get(&run.first).map_or(0, |extra| extra.deliveries) } else { 0 };
        let queue_lease_ms = self.config.lease_ms;
        let warning_ms = self.config.lease_warning_ms;
        let Some(consumer) = self.consumers.get_mut(slot) else { return };
        let lease_ms = consumer.config.lease_ms.or(queue_lease_ms);
        let lease_end_ms = lease_ms.map_or(NO_LEASE, |lease_ms| now_ms.saturating_add(lease_ms));
        let tag = consumer.next_tag;
        consumer.next_tag += u64::from(run.count);
        consumer.in_flight += run.count;
        consumer.lease_next_ms = consumer.lease_next_ms.min(lease_end_ms.saturating_sub(warning_ms));
        consumer.flight.push(tag, piece, lease_end_ms);
        let count = u64::from(run.count);
        self.counts.in_flight += count;
        self.counts.delivered += count;
        self.counts.redelivered += if deliveries > 0 { count } else { 0 };
        let dispatch =
            Dispatch { consumer: consumer.id, first_tag: tag, first: run.first, count: run.count, deliveries };
        if !out.last_mut().is_some_and(|last| last.join(&dispatch)) {
            out.push(dispatch);
        }
    }
}

impl Dispatch {
    /// Takes in what follows for the same consumer.
    #[inline]
    fn join(&mut self, next: &Self) -> bool {
        let follows = self.consumer == next.consumer
            && self.first + u64::from(self.count) == next.first
            && self.first_tag + u64::from(self.count) == next.first_tag;
        if !follows || self.deliveries + next.deliveries > 0 {
            return false;
        }
        self.count += next.count;
        true
    }
}
