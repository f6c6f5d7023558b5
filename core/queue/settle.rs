//! Consumers settle what they were given, and messages leave or come back.

use super::Queue;
use super::consumers::Slot;
use super::effect::{Effect, Reason, push_settled};
use super::flight::Piece;
use super::run::Run;
use super::types::{Fault, Outcome};

/// Why a message leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Acked,
    Rejected,
    Expired,
    Exhausted,
    Dropped,
    Duplicate,
    Cancelled,
    Purged,
    Removed,
}

impl End {
    /// The reason in the message's death history, where it is handed on to the dead-letter exchange.
    fn reason(self) -> Option<Reason> {
        match self {
            Self::Rejected => Some(Reason::Rejected),
            Self::Expired => Some(Reason::Expired),
            Self::Exhausted => Some(Reason::Deliveries),
            Self::Dropped => Some(Reason::Length),
            Self::Acked | Self::Duplicate | Self::Cancelled | Self::Purged | Self::Removed => None,
        }
    }
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
        let (mut tag, mut left) = (first_tag, count);
        let mut result = Ok(());
        while left > 0 {
            match self.settle_piece(slot, tag, left, outcome, now_ms, effects) {
                Ok(settled) => {
                    tag += u64::from(settled);
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

    /// Settles what follows `tag` in one piece, and says how many messages that was.
    #[inline]
    fn settle_piece(
        &mut self,
        slot: Slot,
        tag: u64,
        max: u64,
        outcome: Outcome<'_>,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<u32, Fault> {
        let unknown = Fault::UnknownDelivery { tag };
        let consumer = self.consumers.get_mut(slot).ok_or(Fault::UnknownConsumer)?;
        if outcome == Outcome::Renew {
            let lease_ms = consumer.config.lease_ms.or(self.config.lease_ms);
            let end_ms = lease_ms.map_or(u64::MAX, |lease_ms| now_ms.saturating_add(lease_ms));
            return consumer.flight.renew(tag, max, end_ms).ok_or(unknown);
        }
        let piece = consumer.flight.take(tag, max).ok_or(unknown)?;
        consumer.in_flight -= piece.run.count;
        self.counts.in_flight -= u64::from(piece.run.count);
        match outcome {
            Outcome::Ack => self.leave(piece.run, End::Acked, effects),
            Outcome::Reject => self.leave(piece.run, End::Rejected, effects),
            Outcome::Release => self.put_back(piece, effects),
            Outcome::Requeue | Outcome::Defer | Outcome::Retry(_) | Outcome::Renew => {
                self.give_back(piece, now_ms, effects);
            }
        }
        Ok(piece.run.count)
    }

    /// The only way out of a queue. The messages are in no place any more.
    #[inline]
    pub(super) fn leave(&mut self, run: Run, end: End, effects: &mut Vec<Effect>) {
        self.counts.bytes -= run.bytes;
        self.count_end(end, u64::from(run.count));
        if !run.marked && (!self.config.has_dead_letter || end.reason().is_none()) {
            return push_settled(effects, run.first, run.count);
        }
        self.leave_each(run, end, effects);
    }

    fn leave_each(&mut self, run: Run, end: End, effects: &mut Vec<Effect>) {
        let reason = end.reason().filter(|_| self.config.has_dead_letter);
        for number in run.first..run.end() {
            let extra = if run.marked { self.extras.remove(&number) } else { None };
            let extra = extra.unwrap_or_default();
            match reason {
                Some(reason) => {
                    self.counts.dead_lettered += 1;
                    effects.push(Effect::DeadLetter { number, reason, deliveries: extra.deliveries });
                }
                None => push_settled(effects, number, 1),
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
            End::Duplicate => &mut counts.duplicates,
            End::Cancelled => &mut counts.cancelled,
            End::Purged => &mut counts.purged,
            End::Removed => &mut counts.removed,
        } += count;
    }

    /// Back to its place, as if it had not been delivered.
    fn put_back(&mut self, piece: Piece, _effects: &mut Vec<Effect>) {
        self.lanes.put_back(piece.lane, piece.run);
    }

    /// Back to its place, with one more delivery behind it; or out, where those were too many.
    pub(super) fn give_back(&mut self, piece: Piece, _now_ms: u64, effects: &mut Vec<Effect>) {
        for one in piece.run.each() {
            let extra = self.extras.entry(one.first).or_default();
            extra.deliveries += 1;
            let deliveries = extra.deliveries;
            let run = Run { marked: true, ..one };
            if self.config.delivery_limit.is_some_and(|limit| deliveries >= limit) {
                self.leave(run, End::Exhausted, effects);
                continue;
            }
            effects.push(Effect::Returned { number: one.first, deliveries });
            self.lanes.put_back(piece.lane, run);
        }
    }
}
