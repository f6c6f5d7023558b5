//! What time alone does: delays end, leases run out, messages expire, ids are forgotten.

use super::Queue;
use super::consumers::Slot;
use super::delayed::Waiting;
use super::effect::Effect;
use super::extras::Extra;
use super::flight::{Leases, NO_LEASE};
use super::run::Run;
use super::settle::End;

/// Delays that end in one tick, so that millions of one moment do not hold up all others. The next deadline is
/// then past, which asks for another tick.
const FIRES_MAX: usize = 1 << 14;

impl Queue {
    /// Everything that time alone does: leases, expiry, delays, the dedup window.
    pub fn tick(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        self.now_ms = self.now_ms.max(now_ms);
        for _ in 0..FIRES_MAX {
            let Some(item) = self.delayed.pop_due(now_ms) else { break };
            self.fire(item, effects);
        }
        if self.lease_next_ms <= now_ms {
            self.end_leases(now_ms, effects);
        }
        self.end_locks(now_ms);
        self.expire_heads(now_ms, effects);
        if let Some(window_ms) = self.config.dedup_window_ms {
            self.dedup.forget_old(now_ms, window_ms);
        }
    }

    /// A delay has ended. A retry still stands for its group; a message that arrived with a delay joins it now.
    fn fire(&mut self, item: Waiting, effects: &mut Vec<Effect>) {
        let mut marked = item.marked;
        if self.config.message_ttl_ms.is_some() {
            self.extras.update(item.number, |extra| extra.since_ms = item.due_ms.max(1));
            marked = true;
        }
        let extra = if marked { self.extras.get(item.number) } else { Extra::default() };
        let group = if item.retried { 0 } else { extra.group };
        self.make_ready(Run::one(item.number, item.bytes, marked), item.lane, group);
        self.limit_length(effects);
        self.limit_group(group, effects);
    }

    fn end_leases(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        self.lease_next_ms = NO_LEASE;
        for slot in self.consumers.slots() {
            self.end_leases_of(slot, now_ms, effects);
        }
    }

    fn end_leases_of(&mut self, slot: Slot, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(consumer) = self.consumers.get_mut(slot) else { return };
        let warning_ms = self.config.warning_ms(consumer.config.lease_ms.or(self.config.lease_ms));
        if consumer.lease_next_ms <= now_ms {
            let mut found = Leases::new();
            consumer.flight.leases(now_ms, warning_ms, &mut found);
            consumer.lease_next_ms = found.next_ms;
            let id = consumer.id;
            let warn = |(tag, number)| Effect::LeaseWarning { consumer: id, tag, number };
            effects.extend(found.warned.into_iter().map(warn));
            for tag in found.ended {
                self.end_lease(slot, tag, effects);
            }
        }
        if let Some(consumer) = self.consumers.get_mut(slot) {
            self.lease_next_ms = self.lease_next_ms.min(consumer.lease_next_ms);
        }
        self.consumers.join_turns(slot);
    }

    fn end_lease(&mut self, slot: Slot, tag: u64, effects: &mut Vec<Effect>) {
        let Some(consumer) = self.consumers.get_mut(slot) else { return };
        let Some(piece) = consumer.flight.take(tag, 1) else { return };
        consumer.in_flight -= piece.run.count;
        consumer.overdue = consumer.overdue.saturating_add(piece.run.count);
        self.counts.in_flight -= u64::from(piece.run.count);
        self.unlock_session(piece.run);
        self.give_back(piece, effects);
    }

    /// Messages expire at the front of their lane; those behind one that stays are looked at when it is gone.
    fn expire_heads(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        if !self.may_expire() {
            return;
        }
        self.age(now_ms);
        // What leaves may let another of its group into a lane that was looked at before.
        self.expire_groups(now_ms, effects);
        while self.lanes.filled().any(|lane| self.expire_front(lane, now_ms, effects)) {}
    }

    /// True where something expired.
    fn expire_front(&mut self, lane: u8, now_ms: u64, effects: &mut Vec<Effect>) -> bool {
        let expired = self.expired_in_front(lane, now_ms);
        let Some(run) = (expired > 0).then(|| self.lanes.take(lane, expired)).flatten() else { return false };
        self.leave(run, End::Expired, effects);
        true
    }

    /// When `tick` and then `dispatch` have something to do again, if nothing else happens.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let lease = (self.lease_next_ms != NO_LEASE).then_some(self.lease_next_ms);
        let due = self.delayed.next_ms();
        // Ids do no harm for a while longer: twice the window saves a timer for each of them.
        let window_ms = self.config.dedup_window_ms.map(|window_ms| window_ms.saturating_mul(2).max(1));
        let forget = window_ms.and_then(|window_ms| Some(self.dedup.first_ms()?.saturating_add(window_ms)));
        let known = lease.into_iter().chain(due).chain(forget).chain(self.locks.first_ms());
        known.chain(self.expiry_next_ms()).chain(self.release_next_ms()).min()
    }

    fn expiry_next_ms(&self) -> Option<u64> {
        if !self.may_expire() {
            return None;
        }
        let ttl_ms = self.config.message_ttl_ms;
        let fronts = self.lanes.filled().filter_map(|lane| self.lanes.front(lane));
        let expiry = |run: Run| {
            let extra = if run.marked { self.extras.get(run.first) } else { Extra::default() };
            extra.expiry_ms(run.first, ttl_ms, &self.ages)
        };
        let of_groups = self.fair.fronts().map(|(_, front)| front);
        fronts.chain(of_groups).filter_map(expiry).min()
    }

    /// Only where somebody waits for messages that wait to be released.
    fn release_next_ms(&self) -> Option<u64> {
        if (self.lanes.len + self.fair.len == 0 || self.consumers.waiting() == 0) && !self.locks.has_wanted() {
            return None;
        }
        self.release.next_ms(&self.config.release, self.now_ms)
    }
}
