//! Messages go out: round robin among the consumers with credit, from the highest lane that holds something.

use super::Queue;
use super::consumers::Slot;
use super::effect::Effect;
use super::flight::{ENTRY_TAGS, NO_LEASE, Piece};
use super::run::Run;
use super::settle::End;
use super::types::Dispatch;

/// With so many waiting for each consumer, they take turns in runs instead of singly.
const MUCH_WAITING: u64 = ENTRY_TAGS as u64;

impl Queue {
    /// Gives out up to `messages_max` messages.
    pub fn dispatch(&mut self, now_ms: u64, messages_max: usize, out: &mut Vec<Dispatch>, effects: &mut Vec<Effect>) {
        self.now_ms = self.now_ms.max(now_ms);
        if (self.lanes.len + self.fair.len == 0 || self.consumers.waiting() == 0) && !self.locks.has_wanted() {
            return;
        }
        let room = self.config.in_flight_max.saturating_sub(self.counts.in_flight);
        let mean_bytes = match self.config.release.bytes_per_sec {
            Some(_) => self.bytes_ready() / self.ready().max(1),
            None => 0,
        };
        let released = self.release.available(&self.config.release, mean_bytes, now_ms);
        let may_go = room.min(messages_max as u64).min(released);
        self.age(now_ms);
        let left = if self.locks.has_wanted() { self.deal_sessions(may_go, now_ms, out, effects) } else { may_go };
        let left = if self.config.fair_share {
            self.deal_fairly(left, now_ms, out, effects)
        } else {
            self.deal_all(left, now_ms, out, effects)
        };
        self.release.spend(&self.config.release, may_go - left, now_ms);
    }

    /// Gives out up to `may_go` messages, the highest lane's first; returns how many it did not.
    #[inline]
    fn deal_all(&mut self, may_go: u64, now_ms: u64, out: &mut Vec<Dispatch>, effects: &mut Vec<Effect>) -> u64 {
        let mut left = may_go;
        while left > 0 {
            let Some((_, sharing)) = self.consumers.next() else { break };
            let Some(lane) = self.lanes.highest() else { break };
            let much = self.lanes.len >= sharing as u64 * MUCH_WAITING;
            let turn = if much { ENTRY_TAGS } else { 1 };
            // A round at once, if it comes to that; what nobody has credit for goes back to where it was.
            let wanted = if sharing == 1 { left } else { left.min(sharing as u64 * MUCH_WAITING) };
            let count = u32::try_from(wanted).unwrap_or(u32::MAX);
            let Some(run) = self.take_ready(lane, count, now_ms, effects) else { continue };
            left -= u64::from(run.count);
            let Some(rest) = self.deal(run, lane, turn, now_ms, out) else { continue };
            left += u64::from(rest.count);
            self.lanes.push(lane, rest);
        }
        left
    }

    /// Gives a run out, up to `turn` messages in turn; returns what nobody has credit for.
    #[inline]
    fn deal(&mut self, mut run: Run, lane: u8, turn: u32, now_ms: u64, out: &mut Vec<Dispatch>) -> Option<Run> {
        loop {
            let Some((slot, sharing)) = self.consumers.next() else { return Some(run) };
            let credit = self.consumers.get_mut(slot).map_or(0, |consumer| consumer.credit());
            let count = if sharing == 1 { credit } else { credit.min(turn) };
            let is_last = count >= run.count;
            let part = if is_last { run } else { run.split(count) };
            self.deliver(slot, Piece { run: part, lane, from_deferred: false }, now_ms, out);
            self.consumers.rotate();
            if is_last {
                return None;
            }
        }
    }

    /// The next messages of a lane that may be delivered; None where what stood in front has expired, and left.
    #[inline]
    fn take_ready(&mut self, lane: u8, count: u32, now_ms: u64, effects: &mut Vec<Effect>) -> Option<Run> {
        if self.may_expire() {
            let expired = self.expired_in_front(lane, now_ms);
            if expired > 0 {
                let run = self.lanes.take(lane, expired)?;
                self.leave(run, End::Expired, effects);
                return None;
            }
        }
        self.lanes.take(lane, count)
    }

    #[inline]
    pub(super) fn may_expire(&self) -> bool {
        self.config.message_ttl_ms.is_some() || self.extras.may_expire()
    }

    /// Moves the horizon of the queue's TTL.
    #[inline]
    pub(super) fn age(&mut self, now_ms: u64) {
        if let Some(ttl_ms) = self.config.message_ttl_ms {
            self.ages.advance(now_ms, ttl_ms, self.end);
        }
    }

    /// How many messages of the front run of a lane have expired.
    pub(super) fn expired_in_front(&self, lane: u8, now_ms: u64) -> u32 {
        self.lanes.front(lane).map_or(0, |front| self.expired_of(front, now_ms))
    }

    /// How many messages at the beginning of a run have expired.
    pub(super) fn expired_of(&self, front: Run, now_ms: u64) -> u32 {
        let ttl_ms = self.config.message_ttl_ms;
        if !front.marked {
            let below = if ttl_ms.is_some() { self.ages.horizon() } else { 0 };
            return below.saturating_sub(front.first).min(u64::from(front.count)) as u32;
        }
        let expiry_ms = self.extras.get(front.first).expiry_ms(front.first, ttl_ms, &self.ages);
        u32::from(expiry_ms.is_some_and(|expiry_ms| expiry_ms <= now_ms))
    }

    /// The messages are in flight now.
    #[inline]
    pub(super) fn deliver(&mut self, slot: Slot, piece: Piece, now_ms: u64, out: &mut Vec<Dispatch>) {
        self.release.given_bytes += piece.run.bytes;
        let run = piece.run;
        self.lock_session(slot, run);
        let deliveries = if run.marked { self.extras.get(run.first).deliveries } else { 0 };
        let Some(consumer) = self.consumers.get_mut(slot) else { return };
        let lease_ms = consumer.config.lease_ms.or(self.config.lease_ms);
        let lease_end_ms = lease_ms.map_or(NO_LEASE, |lease_ms| now_ms.saturating_add(lease_ms));
        let tag = consumer.next_tag;
        consumer.next_tag += u64::from(run.count);
        consumer.in_flight += run.count;
        consumer.flight.push(tag, piece, lease_end_ms);
        let dispatch =
            Dispatch { consumer: consumer.id, first_tag: tag, first: run.first, count: run.count, deliveries };
        if lease_ms.is_some() {
            let next_ms = lease_end_ms.saturating_sub(self.config.warning_ms(lease_ms));
            consumer.lease_next_ms = consumer.lease_next_ms.min(next_ms);
            self.lease_next_ms = self.lease_next_ms.min(next_ms);
        }
        let count = u64::from(run.count);
        self.counts.in_flight += count;
        self.counts.delivered += count;
        self.counts.redelivered += if deliveries > 0 { count } else { 0 };
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
        if !follows || self.deliveries > 0 || next.deliveries > 0 {
            return false;
        }
        self.count += next.count;
        true
    }
}
