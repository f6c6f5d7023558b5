//! Messages come in.

use super::Queue;
use super::config::Overflow;
use super::delayed::Waiting;
use super::effect::{Effect, push_settled};
use super::extras::Extra;
use super::ordered::Behind;
use super::run::Run;
use super::settle::End;
use super::types::{Arrival, Number};

impl Queue {
    /// False only where the queue is full and refuses: asked before the messages are appended.
    pub fn admits(&self, count: u64, bytes: u64) -> bool {
        self.config.overflow != Overflow::Reject
            || self.config.length_max.is_none_or(|max| self.ready().saturating_add(count) <= max)
                && self.config.bytes_max.is_none_or(|max| self.bytes_ready().saturating_add(bytes) <= max)
    }

    /// Messages without attributes, with consecutive numbers.
    #[inline]
    pub fn enqueue_run(&mut self, first: Number, count: u32, bytes: u64, now_ms: u64, effects: &mut Vec<Effect>) {
        let run = Run { first, count, bytes, marked: false };
        if first < self.end || count == 0 {
            return self.enqueue_each(run, now_ms, effects);
        }
        self.note_run(run, now_ms);
        self.stand(0, run);
        self.limit_length(effects);
    }

    /// Numbers that came before: each of them may be here already.
    #[cold]
    fn enqueue_each(&mut self, run: Run, now_ms: u64, effects: &mut Vec<Effect>) {
        for one in run.each() {
            self.enqueue(&Arrival::plain(one.first, one.bytes.min(u64::from(u32::MAX)) as u32), now_ms, effects);
        }
    }

    /// Counts a run that comes behind all others.
    #[inline]
    pub(super) fn note_run(&mut self, run: Run, now_ms: u64) {
        if let Some(ttl_ms) = self.config.message_ttl_ms {
            self.ages.mark(run.first, now_ms, ttl_ms);
        }
        self.end = run.end();
        self.counts.enqueued += u64::from(run.count);
        self.counts.bytes += run.bytes;
    }

    /// A message with attributes, or one of a number that is not the highest so far. False: the queue holds it
    /// already, and nothing has changed.
    pub fn enqueue(&mut self, arrival: &Arrival, now_ms: u64, effects: &mut Vec<Effect>) -> bool {
        let late = arrival.number < self.end;
        if late && self.holds(arrival.number, self.group_of(arrival)) {
            // The same message by another way (a dead letter of a queue beside this one): it is here already,
            // and nothing is logged of it, since that would be about the one that is here.
            self.counts.enqueued += 1;
            self.counts.duplicates += 1;
            return false;
        }
        if !self.is_new_id(arrival, now_ms) {
            self.end = self.end.max(arrival.number + 1);
            self.counts.enqueued += 1;
            self.counts.duplicates += 1;
            push_settled(effects, arrival.number, 1);
            return true;
        }
        self.admit(arrival, now_ms, late, effects);
        self.limit_length(effects);
        self.limit_group(self.group_of(arrival), effects);
        true
    }

    pub(super) fn is_new_id(&mut self, arrival: &Arrival, now_ms: u64) -> bool {
        let Some(window_ms) = self.config.dedup_window_ms.filter(|_| arrival.message_id != 0) else { return true };
        self.dedup.is_new(arrival.message_id, now_ms, window_ms, self.config.dedup_entries_max)
    }

    /// The group of a message, folded to as many as may be.
    pub(super) fn group_of(&self, arrival: &Arrival) -> u64 {
        if arrival.group == 0 || !(self.config.ordered || self.config.fair_share) {
            return 0;
        }
        self.folded(arrival.group)
    }

    /// The extra of a message that arrives; the default where it needs none.
    pub(super) fn extra_of(&self, arrival: &Arrival, at_ms: u64, late: bool) -> Extra {
        // The marks of ages only know of messages that come in order.
        let since_ms = if late && self.config.message_ttl_ms.is_some() { at_ms.max(1) } else { 0 };
        let expires_ms = arrival.expires_ms.map_or(0, |expires_ms| expires_ms.max(1));
        Extra { expires_ms, since_ms, group: self.group_of(arrival), deliveries: 0 }
    }

    fn admit(&mut self, arrival: &Arrival, now_ms: u64, late: bool, effects: &mut Vec<Effect>) {
        self.counts.enqueued += 1;
        self.counts.bytes += u64::from(arrival.bytes);
        self.note_number(arrival.number, now_ms);
        let mut extra = self.extra_of(arrival, now_ms, late);
        let due_ms = arrival.due_ms.filter(|due_ms| *due_ms > now_ms);
        // A ready message may stand behind its group, where it needs no entry for the group alone.
        let group = if due_ms.is_none() { std::mem::take(&mut extra.group) } else { 0 };
        let marked = extra != Extra::default();
        if marked {
            self.extras.put(arrival.number, extra);
        }
        let run = Run::one(arrival.number, u64::from(arrival.bytes), marked);
        let priority = arrival.priority.min(self.config.priority_max);
        match due_ms {
            None => self.make_ready(run, priority, group),
            Some(_) if self.delayed.len() >= self.config.delayed_max => self.leave(run, End::Dropped, effects),
            Some(due_ms) => self.delay(run, priority, due_ms, false),
        }
    }

    /// A number that may be the highest so far.
    pub(super) fn note_number(&mut self, number: Number, at_ms: u64) {
        if number < self.end {
            return;
        }
        if let Some(ttl_ms) = self.config.message_ttl_ms {
            self.ages.mark(number, at_ms, ttl_ms);
        }
        self.end = number + 1;
    }

    pub(super) fn delay(&mut self, run: Run, lane: u8, due_ms: u64, retried: bool) {
        let (number, bytes, marked) = (run.first, run.bytes, run.marked);
        self.delayed.insert(Waiting { due_ms, number, bytes, lane, marked, retried });
    }

    /// One message into its lane, or behind its group.
    pub(super) fn make_ready(&mut self, run: Run, lane: u8, group: u64) {
        if self.config.fair_share {
            return self.stand_in_group(run, group);
        }
        if group == 0 {
            return self.lanes.push(lane, run);
        }
        let behind = Behind { number: run.first, bytes: run.bytes, lane, marked: run.marked };
        if self.ordered.arrive(group, behind) {
            self.extras.update(run.first, |extra| extra.group = group);
            self.lanes.push(lane, Run { marked: true, ..run });
        } else if !self.locks.is_empty() {
            self.locks.want(group);
        }
    }

    /// A message left its group; the next of it is ready, if that was the one that was out.
    pub(super) fn promote(&mut self, group: u64, left: Number) {
        if !self.locks.is_empty() && self.locks.is_idle(group) {
            return self.promote_for_holder(group, left);
        }
        let Some(next) = self.ordered.next(group, left) else { return };
        self.extras.update(next.number, |extra| extra.group = group);
        self.lanes.push(next.lane, Run::one(next.number, next.bytes, true));
    }

    #[inline]
    pub(super) fn limit_length(&mut self, effects: &mut Vec<Effect>) {
        if self.config.length_max.is_some() || self.config.bytes_max.is_some() {
            self.drop_heads(effects);
        }
    }

    /// How many messages are too many; by bytes, that is found out one by one.
    fn excess(&self) -> u64 {
        if self.config.overflow == Overflow::Reject {
            return 0;
        }
        let by_length = self.config.length_max.map_or(0, |max| self.ready().saturating_sub(max));
        let by_bytes = self.config.bytes_max.is_some_and(|max| self.bytes_ready() > max);
        if by_bytes { by_length.max(1) } else { by_length }
    }

    /// The oldest of the lowest priority make room.
    fn drop_heads(&mut self, effects: &mut Vec<Effect>) {
        loop {
            let excess = self.excess();
            let Some(lane) = self.lanes.lowest().filter(|_| excess > 0) else { return };
            let Some(run) = self.lanes.take(lane, u32::try_from(excess).unwrap_or(u32::MAX)) else { return };
            self.leave(run, End::Dropped, effects);
        }
    }

    /// Where all that is ready stands behind groups, the group that grew loses its oldest.
    pub(super) fn limit_group(&mut self, group: u64, effects: &mut Vec<Effect>) {
        while group != 0 && self.excess() > 0 {
            let Some(taken) = self.ordered.take_first(group) else { return };
            self.leave(Run::one(taken.number, taken.bytes, taken.marked), End::Dropped, effects);
        }
    }
}
