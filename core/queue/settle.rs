//! Consumers settle what they were given, and messages leave or come back.

use super::config::{Overflow, RetryPolicy};
use super::consumers::Slot;
use super::delayed::DUE_MAX;
use super::effect::{Effect, Reason, push_settled};
use super::extras::Extra;
use super::flight::{NO_LEASE, Piece, look_ms};
use super::run::Run;
use super::types::{Fault, Number, Outcome, RetryAfter};
use super::{Deferred, Queue, retry};

/// Why a message leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Acked,
    Rejected,
    Expired,
    Exhausted,
    Dropped,
    Cancelled,
    Purged,
    Removed,
}

impl Queue {
    /// Settles `count` messages of a consumer from tag `first_tag` on.
    ///
    /// # Errors
    /// `UnknownDelivery` names the first tag that is not in flight: all before it are settled, none after it.
    #[inline]
    pub fn settle(
        &mut self,
        consumer: u64,
        first_tag: u64,
        count: u64,
        outcome: Outcome<'_>,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let slot = self.consumers.slot(consumer).ok_or(Fault::UnknownConsumer)?;
        self.now_ms = self.now_ms.max(now_ms);
        if let Some(heard) = self.consumers.get_mut(slot) {
            heard.overdue = 0;
        }
        let (mut tag, mut left) = (first_tag, count);
        let mut result = Ok(());
        while left > 0 {
            match self.settle_piece(slot, tag, left, outcome, effects) {
                Ok(settled) => {
                    tag = tag.wrapping_add(u64::from(settled));
                    left -= u64::from(settled);
                }
                Err(fault) => {
                    result = Err(fault);
                    break;
                }
            }
        }
        self.consumers.join_turns(slot);
        result
    }

    /// The message that a consumer was given under a tag and has not settled.
    pub fn delivery(&mut self, consumer: u64, tag: u64) -> Option<Number> {
        let slot = self.consumers.slot(consumer)?;
        self.consumers.get_mut(slot)?.flight.number_of(tag)
    }

    /// Settles what follows `tag` in one piece, and says how many messages that was.
    #[inline]
    fn settle_piece(
        &mut self,
        slot: Slot,
        tag: u64,
        max: u64,
        outcome: Outcome<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<u32, Fault> {
        let max = if outcome == Outcome::Defer { self.room_deferred(tag)?.min(max) } else { max };
        if outcome == Outcome::Renew {
            return self.renew(slot, tag, max);
        }
        let consumer = self.consumers.get_mut(slot).ok_or(Fault::UnknownConsumer)?;
        let piece = consumer.flight.take(tag, max).ok_or(Fault::UnknownDelivery { tag })?;
        consumer.in_flight -= piece.run.count;
        self.counts.in_flight -= u64::from(piece.run.count);
        self.settle_session(slot, piece.run, outcome);
        match outcome {
            Outcome::Ack => self.leave(piece.run, End::Acked, effects),
            Outcome::Reject => self.leave(piece.run, End::Rejected, effects),
            Outcome::Release => self.put_back(piece, effects),
            Outcome::Requeue | Outcome::Renew => self.give_back(piece, effects),
            Outcome::Defer => self.defer(piece, effects),
            Outcome::Retry(after) => self.retry(piece, after, effects),
        }
        Ok(piece.run.count)
    }

    fn renew(&mut self, slot: Slot, tag: u64, max: u64) -> Result<u32, Fault> {
        let consumer = self.consumers.get_mut(slot).ok_or(Fault::UnknownConsumer)?;
        let lease_ms = consumer.config.lease_ms.or(self.config.lease_ms);
        let end_ms = lease_ms.map_or(NO_LEASE, |lease_ms| self.now_ms.saturating_add(lease_ms));
        let renewed = consumer.flight.renew(tag, max, end_ms).ok_or(Fault::UnknownDelivery { tag })?;
        let next_ms = look_ms(end_ms, self.config.warning_ms(lease_ms));
        consumer.lease_next_ms = consumer.lease_next_ms.min(next_ms);
        self.lease_next_ms = self.lease_next_ms.min(next_ms);
        Ok(renewed)
    }

    fn room_deferred(&self, tag: u64) -> Result<u64, Fault> {
        let limit = self.config.deferred_max;
        let room = limit.saturating_sub(self.deferred.len() as u64);
        if room == 0 { Err(Fault::DeferredFull { tag, limit }) } else { Ok(room) }
    }

    /// The only way out of a queue. The messages are in no place any more.
    #[inline]
    pub(super) fn leave(&mut self, run: Run, end: End, effects: &mut Vec<Effect>) {
        self.counts.bytes -= run.bytes;
        self.count_end(end, u64::from(run.count));
        if !run.marked && self.reason(end).is_none() {
            return push_settled(effects, run.first, run.count);
        }
        self.leave_each(run, end, effects);
    }

    fn leave_each(&mut self, run: Run, end: End, effects: &mut Vec<Effect>) {
        let reason = self.reason(end);
        for number in run.first..run.end() {
            let extra = if run.marked { self.extras.remove(number) } else { Extra::default() };
            match reason {
                Some(reason) => {
                    self.counts.dead_lettered += 1;
                    effects.push(Effect::DeadLetter { number, reason, deliveries: extra.deliveries });
                }
                None => push_settled(effects, number, 1),
            }
            if extra.group != 0 {
                self.promote(extra.group, number);
            }
        }
    }

    #[inline]
    fn count_end(&mut self, end: End, count: u64) {
        let counts = &mut self.counts;
        *match end {
            End::Acked => &mut counts.acked,
            End::Rejected => &mut counts.rejected,
            End::Expired => &mut counts.expired,
            End::Exhausted => &mut counts.exhausted,
            End::Dropped => &mut counts.dropped,
            End::Cancelled => &mut counts.cancelled,
            End::Purged => &mut counts.purged,
            End::Removed => &mut counts.removed,
        } += count;
    }

    /// The reason in the message's death history, where it is handed on to the dead-letter exchange.
    #[inline]
    fn reason(&self, end: End) -> Option<Reason> {
        if !self.config.has_dead_letter {
            return None;
        }
        match end {
            End::Rejected => Some(Reason::Rejected),
            End::Expired => Some(Reason::Expired),
            End::Exhausted => Some(Reason::Deliveries),
            End::Dropped if self.config.overflow == Overflow::DeadLetter => Some(Reason::Length),
            _ => None,
        }
    }

    /// Back to its place, as if it had not been delivered.
    fn put_back(&mut self, piece: Piece, effects: &mut Vec<Effect>) {
        self.stand(piece.lane, piece.run);
        if !piece.from_deferred {
            return;
        }
        // The log has them as deferred, and now they are not.
        for number in piece.run.first..piece.run.end() {
            effects.push(Effect::Returned { number, deliveries: self.extras.get(number).deliveries });
        }
    }

    /// Counts a delivery that came to nothing. None where the message left, since those were too many.
    fn delivered_once_more(&mut self, one: Run, limit: Option<u32>, effects: &mut Vec<Effect>) -> Option<(Run, u32)> {
        let deliveries = self.mark_delivered(one);
        let run = Run { marked: true, ..one };
        if limit.is_some_and(|limit| deliveries >= limit) {
            self.leave(run, End::Exhausted, effects);
            return None;
        }
        Some((run, deliveries))
    }

    fn mark_delivered(&mut self, one: Run) -> u32 {
        let ttl = self.config.message_ttl_ms.is_some();
        // A mark of age may be gone before the message is; what it says now is kept with the message.
        let since_ms = if ttl && !one.marked { self.ages.came_ms(one.first).unwrap_or(1) } else { 0 };
        let extra = self.extras.update(one.first, |extra| {
            extra.deliveries = extra.deliveries.saturating_add(1);
            extra.since_ms = extra.since_ms.max(since_ms);
        });
        extra.deliveries
    }

    /// Back to its place, with one more delivery behind it; or out, where those were too many.
    pub(super) fn give_back(&mut self, piece: Piece, effects: &mut Vec<Effect>) {
        for one in piece.run.each() {
            let limit = self.config.delivery_limit;
            let Some((run, deliveries)) = self.delivered_once_more(one, limit, effects) else { continue };
            effects.push(Effect::Returned { number: run.first, deliveries });
            self.stand(piece.lane, run);
        }
    }

    fn defer(&mut self, piece: Piece, effects: &mut Vec<Effect>) {
        for one in piece.run.each() {
            let deliveries = self.mark_delivered(one);
            let group = if self.config.ordered { self.extras.get(one.first).group } else { 0 };
            if group != 0 {
                self.extras.update(one.first, |extra| extra.group = 0);
            }
            self.deferred.insert(one.first, Deferred { bytes: one.bytes, lane: piece.lane });
            effects.push(Effect::Deferred { number: one.first, deliveries });
            if group != 0 {
                self.promote(group, one.first);
            }
        }
    }

    fn retry(&mut self, piece: Piece, after: RetryAfter<'_>, effects: &mut Vec<Effect>) {
        let policy = self.policy(after);
        let attempts_max = policy.and_then(|policy| policy.attempts_max);
        let limit = self.config.delivery_limit.into_iter().chain(attempts_max).min();
        for one in piece.run.each() {
            let Some((run, deliveries)) = self.delivered_once_more(one, limit, effects) else { continue };
            let delay_ms = match (policy, after) {
                (Some(policy), _) => retry::delay_ms(&policy, run.first, deliveries),
                (None, RetryAfter::DelayMs(delay_ms)) => delay_ms,
                (None, _) => 0,
            };
            self.retry_after(run, piece.lane, delay_ms, deliveries, effects);
        }
    }

    fn policy(&self, after: RetryAfter<'_>) -> Option<RetryPolicy> {
        let retry = &self.config.retry;
        match after {
            RetryAfter::DelayMs(_) => None,
            RetryAfter::Policy => Some(retry.policy),
            RetryAfter::Class(class) => Some(retry.classes.get(class).copied().unwrap_or(retry.policy)),
        }
    }

    fn retry_after(&mut self, run: Run, lane: u8, delay_ms: u64, deliveries: u32, effects: &mut Vec<Effect>) {
        let number = run.first;
        if delay_ms == 0 || self.delayed.len() >= self.config.delayed_max {
            effects.push(Effect::Returned { number, deliveries });
            return self.stand(lane, run);
        }
        let due_ms = self.now_ms.saturating_add(delay_ms).min(DUE_MAX);
        effects.push(Effect::Delayed { number, due_ms, deliveries });
        self.delay(run, lane, due_ms, true);
    }
}
