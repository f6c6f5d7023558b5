//! Messages taken out by their numbers.

use super::Queue;
use super::effect::Effect;
use super::flight::Piece;
use super::run::Run;
use super::settle::End;
use super::types::{Dispatch, Fault, Number};

impl Queue {
    /// Gives deferred messages to a consumer, whatever its credit; those that are not deferred are passed over.
    /// Returns how many it got.
    ///
    /// # Errors
    /// `UnknownConsumer`.
    pub fn take_deferred(
        &mut self,
        numbers: &[Number],
        consumer: u64,
        now_ms: u64,
        out: &mut Vec<Dispatch>,
        _effects: &mut Vec<Effect>,
    ) -> Result<u64, Fault> {
        let slot = self.consumers.slot(consumer).ok_or(Fault::UnknownConsumer)?;
        self.now_ms = self.now_ms.max(now_ms);
        // Those that took turns before may be without credit then.
        self.consumers.leave_turns(slot);
        let mut taken = 0;
        for number in numbers {
            let Some(deferred) = self.deferred.remove(number) else { continue };
            let run = Run::one(*number, deferred.bytes, true);
            self.deliver(slot, Piece { run, lane: deferred.lane, from_deferred: true }, now_ms, out);
            taken += 1;
        }
        self.consumers.join_turns(slot);
        Ok(taken)
    }

    /// Takes delayed messages out; returns how many of the numbers were delayed.
    pub fn cancel(&mut self, numbers: &[Number], effects: &mut Vec<Effect>) -> u64 {
        let mut cancelled = 0;
        for number in numbers {
            let Some(item) = self.delayed.remove(*number) else { continue };
            self.leave(Run::one(item.number, item.bytes, item.marked), End::Cancelled, effects);
            cancelled += 1;
        }
        cancelled
    }

    /// Takes all ready messages out; returns how many.
    pub fn purge(&mut self, now_ms: u64, effects: &mut Vec<Effect>) -> u64 {
        self.now_ms = self.now_ms.max(now_ms);
        let ready = self.ready();
        for behind in self.ordered.take_all() {
            self.leave(Run::one(behind.number, behind.bytes, behind.marked), End::Purged, effects);
        }
        for run in self.fair.take_all() {
            self.leave(run, End::Purged, effects);
        }
        while let Some(lane) = self.lanes.highest() {
            let Some(run) = self.lanes.take(lane, u32::MAX) else { break };
            self.leave(run, End::Purged, effects);
        }
        ready
    }

    /// Takes one message out that is not in flight (redrive); false where there is none.
    pub fn remove(&mut self, number: Number, effects: &mut Vec<Effect>) -> bool {
        let Some(run) = self.take_out(number) else { return false };
        self.leave(run, End::Removed, effects);
        true
    }

    pub(super) fn take_out(&mut self, number: Number) -> Option<Run> {
        if let Some((_, run)) = self.lanes.remove(number) {
            return Some(run);
        }
        if let Some(deferred) = self.deferred.remove(&number) {
            return Some(Run::one(number, deferred.bytes, true));
        }
        if let Some(item) = self.delayed.remove(number) {
            return Some(Run::one(number, item.bytes, item.marked));
        }
        let behind = self.ordered.remove(number).map(|behind| Run::one(number, behind.bytes, behind.marked));
        behind.or_else(|| self.fair.remove(number))
    }

    /// The message is somewhere in the queue.
    pub(super) fn holds(&self, number: Number, group: u64) -> bool {
        self.lanes.holds(number)
            || self.deferred.contains_key(&number)
            || self.ordered.holds(group, number)
            || self.fair.holds(group, number)
            // What came in as a run has no group.
            || self.fair.holds(0, number)
            || self.claims.holds(number)
            || self.consumers.iter().any(|consumer| consumer.flight.holds(number))
            || self.delayed.find(number).is_some()
    }
}
