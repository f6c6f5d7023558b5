//! Sessions: groups of an ordered queue that stay with the consumer that had a message of them last, until it has
//! settled nothing of them for `session_lock_ms`. Meanwhile the consumer's credit for the next message is kept, so
//! that it is never in the way of others, and what comes waits behind its group for this consumer alone.
//!
//! Nothing of it is logged: after a crash there are no consumers, and sessions are free.

use std::collections::{BTreeSet, VecDeque};

use super::Queue;
use super::consumers::Slot;
use super::effect::Effect;
use super::flight::Piece;
use super::number_map::NumberMap;
use super::run::Run;
use super::settle::End;
use super::types::{Dispatch, Number, Outcome};

#[derive(Clone, Copy)]
struct Lock {
    consumer: u64,
    /// Where nothing of the session is in flight: when it is free.
    idle_until_ms: Option<u64>,
    /// Stands among those that have something for their consumer.
    wanted: bool,
}

#[derive(Default)]
pub(super) struct Locks {
    by_group: NumberMap<Lock>,
    /// Of those that are idle: when they end, and their group.
    ends: BTreeSet<(u64, u64)>,
    /// Groups that are idle and have messages behind; some may be neither any more.
    wanted: VecDeque<u64>,
}

impl Locks {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.by_group.is_empty()
    }

    #[inline]
    pub fn has_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    pub fn is_idle(&self, group: u64) -> bool {
        self.by_group.get(&group).is_some_and(|lock| lock.idle_until_ms.is_some())
    }

    /// When the first idle one ends.
    pub fn first_ms(&self) -> Option<u64> {
        self.ends.first().map(|(until_ms, _)| *until_ms)
    }

    /// A message of the session is with a consumer now; true where the session was idle.
    fn take(&mut self, group: u64, consumer: u64) -> bool {
        let lock = Lock { consumer, idle_until_ms: None, wanted: false };
        let before = self.by_group.insert(group, lock).and_then(|before| before.idle_until_ms);
        before.is_some_and(|until_ms| self.ends.remove(&(until_ms, group)))
    }

    /// The consumer has settled its message of the session; false where the session is not its own.
    fn rest(&mut self, group: u64, consumer: u64, until_ms: u64) -> bool {
        let Some(lock) = self.by_group.get_mut(&group).filter(|lock| lock.consumer == consumer) else { return false };
        lock.idle_until_ms = Some(until_ms);
        self.ends.insert((until_ms, group));
        true
    }

    /// The session has something for its consumer, if it is idle.
    pub fn want(&mut self, group: u64) {
        let Some(lock) = self.by_group.get_mut(&group).filter(|lock| lock.idle_until_ms.is_some()) else { return };
        if !std::mem::replace(&mut lock.wanted, true) {
            self.wanted.push_back(group);
        }
    }

    /// All that are idle and have something for their consumers, with these.
    fn take_wanted(&mut self) -> Vec<(u64, u64)> {
        let Self { by_group, wanted, .. } = self;
        let mut found = Vec::with_capacity(wanted.len());
        for group in wanted.drain(..) {
            let Some(lock) = by_group.get_mut(&group) else { continue };
            if std::mem::take(&mut lock.wanted) && lock.idle_until_ms.is_some() {
                found.push((group, lock.consumer));
            }
        }
        found
    }

    /// The session is nobody's; returns whose it was where it was idle.
    fn remove(&mut self, group: u64) -> Option<u64> {
        let lock = self.by_group.remove(&group)?;
        self.ends.remove(&(lock.idle_until_ms?, group));
        Some(lock.consumer)
    }

    fn of(&self, consumer: u64) -> Vec<u64> {
        let own = self.by_group.iter().filter(|(_, lock)| lock.consumer == consumer);
        let mut groups: Vec<u64> = own.map(|(group, _)| *group).collect();
        groups.sort_unstable();
        groups
    }

    fn all(&self) -> Vec<u64> {
        self.by_group.keys().copied().collect()
    }

    pub fn memory_bytes(&self) -> usize {
        self.by_group.capacity() * (size_of::<Lock>() + 9) + self.ends.len() * 16 + self.wanted.capacity() * 8
    }
}

impl Queue {
    /// The group of a message that is out; 0 where it has none, or sessions are not locked.
    #[inline]
    fn session_of(&self, run: Run) -> u64 {
        if self.config.session_lock_ms.is_none() || !run.marked { 0 } else { self.extras.get(run.first).group }
    }

    /// The message is being delivered: its session is this consumer's.
    #[inline]
    pub(super) fn lock_session(&mut self, slot: Slot, run: Run) {
        let group = self.session_of(run);
        if group == 0 {
            return;
        }
        let Some(consumer) = self.consumers.get_mut(slot) else { return };
        if self.locks.take(group, consumer.id) {
            consumer.held -= 1;
        }
    }

    /// The consumer settles a message: it keeps the session where that is done, and loses it where it gives the message
    /// back.
    #[inline]
    pub(super) fn settle_session(&mut self, slot: Slot, run: Run, outcome: Outcome<'_>) {
        let group = self.session_of(run);
        if group == 0 {
            return;
        }
        let Some(lock_ms) = self.config.session_lock_ms else { return };
        if !matches!(outcome, Outcome::Ack | Outcome::Reject | Outcome::Defer) {
            return self.unlock(group);
        }
        let until_ms = self.now_ms.saturating_add(lock_ms);
        let Some(consumer) = self.consumers.get_mut(slot) else { return };
        if self.locks.rest(group, consumer.id, until_ms) {
            consumer.held += 1;
        }
    }

    /// A message left its consumer's hands otherwise than by being done.
    #[inline]
    pub(super) fn unlock_session(&mut self, run: Run) {
        for one in run.each() {
            let group = self.session_of(one);
            if group != 0 {
                self.unlock(group);
            }
        }
    }

    /// The session is anybody's; what stands behind it, too.
    fn unlock(&mut self, group: u64) {
        let Some(consumer) = self.locks.remove(group) else { return };
        if let Some(slot) = self.consumers.slot(consumer) {
            if let Some(consumer) = self.consumers.get_mut(slot) {
                consumer.held -= 1;
            }
            self.consumers.join_turns(slot);
        }
        self.promote(group, super::ordered::NOBODY);
    }

    pub(super) fn unlock_of(&mut self, consumer: u64) {
        for group in self.locks.of(consumer) {
            self.unlock(group);
        }
    }

    pub(super) fn unlock_all(&mut self) {
        for group in self.locks.all() {
            self.unlock(group);
        }
    }

    /// Sessions whose consumers have settled nothing of them for long enough.
    pub(super) fn end_locks(&mut self, now_ms: u64) {
        while let Some((until_ms, group)) = self.locks.ends.first().copied() {
            if until_ms > now_ms {
                return;
            }
            self.unlock(group);
        }
    }

    /// Gives consumers what their idle sessions have for them, up to `may_go` messages; returns how many it did not.
    pub(super) fn deal_sessions(
        &mut self,
        may_go: u64,
        now_ms: u64,
        out: &mut Vec<Dispatch>,
        effects: &mut Vec<Effect>,
    ) -> u64 {
        if may_go == 0 {
            return 0;
        }
        let mut left = may_go;
        let wanted = self.locks.take_wanted();
        for (group, _) in &wanted {
            self.expire_behind(*group, now_ms, effects);
        }
        for (group, consumer) in wanted {
            let slot = self.consumers.slot(consumer);
            let has_room = |slot: &Slot| self.consumers.get(*slot).is_some_and(super::consumers::Consumer::has_room);
            let Some(slot) = slot.filter(|slot| left > 0 && has_room(slot)) else {
                self.locks.want(group);
                continue;
            };
            let Some(next) = self.ordered.next_of(group) else { continue };
            self.extras.update(next.number, |extra| extra.group = group);
            let run = Run::one(next.number, next.bytes, true);
            self.deliver(slot, Piece { run, lane: next.lane, from_deferred: false }, now_ms, out);
            left -= 1;
        }
        left
    }

    /// What is first behind an idle session leaves where it has expired.
    fn expire_behind(&mut self, group: u64, now_ms: u64, effects: &mut Vec<Effect>) {
        if !self.may_expire() {
            return;
        }
        while let Some(front) = self.ordered.front_of(group) {
            if self.expired_of(Run::one(front.number, front.bytes, front.marked), now_ms) == 0 {
                return;
            }
            let Some(expired) = self.ordered.take_first(group) else { return };
            self.leave(Run::one(expired.number, expired.bytes, expired.marked), End::Expired, effects);
        }
    }

    /// A message left its group, which is an idle session: the next waits for its consumer.
    pub(super) fn promote_for_holder(&mut self, group: u64, left: Number) {
        if self.ordered.vacate(group, left) {
            self.locks.want(group);
        }
    }
}
