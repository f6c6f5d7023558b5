//! Messages that a transaction under way is going to ack: out of their consumer's hands, so that no lease, no
//! disconnect and no second settlement touches them, and not out of the queue. Nothing of it is logged: after a
//! crash they are ready like all that was in flight, unless the transaction was committed and settles them then.

use std::collections::BTreeMap;

use super::Queue;
use super::effect::Effect;
use super::flight::{NO_LEASE, Piece, look_ms};
use super::run::Run;
use super::settle::End;
use super::types::{Fault, Number};

#[derive(Clone, Copy)]
struct Claimed {
    consumer: u64,
    tag: u64,
    bytes: u64,
    lane: u8,
    marked: bool,
    from_deferred: bool,
}

impl Claimed {
    fn piece(&self, number: Number) -> Piece {
        Piece { run: Run::one(number, self.bytes, self.marked), lane: self.lane, from_deferred: self.from_deferred }
    }
}

#[derive(Default)]
pub(super) struct Claims {
    by_number: BTreeMap<Number, Claimed>,
}

impl Claims {
    pub fn holds(&self, number: Number) -> bool {
        self.by_number.contains_key(&number)
    }

    pub fn each(&self) -> impl Iterator<Item = Piece> + Clone + '_ {
        self.by_number.iter().map(|(number, claimed)| claimed.piece(*number))
    }

    pub fn memory_bytes(&self) -> usize {
        self.by_number.len() * (size_of::<Claimed>() + 16)
    }
}

impl Queue {
    /// Claims `count` messages of a consumer from tag `first_tag` on. They still count as in flight, and against the
    /// consumer's credit. The runs of numbers go to `out`.
    ///
    /// # Errors
    /// `UnknownDelivery` names the first tag that is not in flight; all before it are claimed and in `out`.
    pub fn claim(
        &mut self,
        consumer: u64,
        first_tag: u64,
        count: u64,
        out: &mut Vec<(Number, u32)>,
    ) -> Result<(), Fault> {
        let slot = self.consumers.slot(consumer).ok_or(Fault::UnknownConsumer)?;
        // A sign of life, as a settlement is.
        if let Some(heard) = self.consumers.get_mut(slot) {
            heard.overdue = 0;
        }
        self.consumers.join_turns(slot);
        let (mut tag, mut left) = (first_tag, count);
        while left > 0 {
            let found = self.consumers.get_mut(slot).ok_or(Fault::UnknownConsumer)?;
            let piece = found.flight.take(tag, left).ok_or(Fault::UnknownDelivery { tag })?;
            self.unlock_session(piece.run);
            for (at, one) in piece.run.each().enumerate() {
                let Run { first, bytes, marked, .. } = one;
                let (lane, from_deferred) = (piece.lane, piece.from_deferred);
                let claimed = Claimed { consumer, tag: tag + at as u64, bytes, lane, marked, from_deferred };
                self.claims.by_number.insert(first, claimed);
            }
            out.push((piece.run.first, piece.run.count));
            tag = tag.wrapping_add(u64::from(piece.run.count));
            left -= u64::from(piece.run.count);
        }
        Ok(())
    }

    /// The transaction came to nothing: claimed messages are their consumers' again, under their tags and with a new
    /// lease; those of a consumer that has gone return to the queue. What is not claimed is passed over.
    pub fn unclaim(&mut self, first: Number, count: u32, now_ms: u64, effects: &mut Vec<Effect>) {
        self.now_ms = self.now_ms.max(now_ms);
        for number in first..first.saturating_add(u64::from(count)) {
            let Some(claimed) = self.claims.by_number.remove(&number) else { continue };
            let piece = claimed.piece(number);
            let slot = self.consumers.slot(claimed.consumer);
            let Some(consumer) = slot.and_then(|slot| self.consumers.get_mut(slot)) else {
                self.counts.in_flight -= 1;
                self.give_back(piece, effects);
                continue;
            };
            let lease_ms = consumer.config.lease_ms.or(self.config.lease_ms);
            let end_ms = lease_ms.map_or(NO_LEASE, |lease_ms| self.now_ms.saturating_add(lease_ms));
            consumer.flight.put_back(claimed.tag, piece, end_ms);
            if lease_ms.is_some() {
                let next_ms = look_ms(end_ms, self.config.warning_ms(lease_ms));
                consumer.lease_next_ms = consumer.lease_next_ms.min(next_ms);
                self.lease_next_ms = self.lease_next_ms.min(next_ms);
            }
        }
    }

    /// Acks a message by its number for a transaction that was committed: claimed, or after a crash wherever it
    /// waits. False where the queue has it no more: it was acked before.
    pub fn settle_number(&mut self, number: Number, effects: &mut Vec<Effect>) -> bool {
        let Some(claimed) = self.claims.by_number.remove(&number) else {
            let Some(run) = self.take_out(number) else { return false };
            self.leave(run, End::Acked, effects);
            return true;
        };
        self.counts.in_flight -= 1;
        if let Some(slot) = self.consumers.slot(claimed.consumer) {
            if let Some(consumer) = self.consumers.get_mut(slot) {
                consumer.in_flight -= 1;
            }
            self.consumers.join_turns(slot);
        }
        self.leave(claimed.piece(number).run, End::Acked, effects);
        true
    }

    /// All that is out of the lanes and not settled: with consumers, and claimed.
    pub(super) fn flying(&self) -> impl Iterator<Item = Piece> + '_ {
        self.consumers.iter().flat_map(|consumer| consumer.flight.each()).chain(self.claims.each())
    }
}
