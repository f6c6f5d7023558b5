//! Consumers, and whose turn it is: round robin among those with credit, of the highest priority that has any.

use std::collections::VecDeque;

use super::flight::{Flight, NO_LEASE};
use super::number_map::NumberMap;
use super::types::ConsumerConfig;

pub(super) type Slot = usize;

pub(super) struct Consumer {
    pub id: u64,
    pub config: ConsumerConfig,
    pub flight: Flight,
    pub in_flight: u32,
    /// Idle sessions, each of which keeps the credit for its next message.
    pub held: u32,
    /// Messages it has let go by a lease that ran out, since it was last heard of. A consumer that hangs would be
    /// given one message after another, and each would come late to others and with one more delivery behind it.
    pub overdue: u32,
    pub next_tag: u64,
    /// No lease of it ends before; looked at again then.
    pub lease_next_ms: u64,
    /// Stands in the turns.
    waiting: bool,
    /// False for all but one of a queue with a single active consumer.
    pub active: bool,
    /// Earlier consumers go first where one has to be chosen.
    since: u64,
}

impl Consumer {
    #[inline]
    pub fn credit(&self) -> u32 {
        self.room().saturating_sub(self.held)
    }

    /// Whether a message of one of its sessions may come.
    pub fn has_room(&self) -> bool {
        self.active && self.room() > 0
    }

    #[inline]
    fn room(&self) -> u32 {
        self.config.prefetch.saturating_sub(self.in_flight).saturating_sub(self.overdue)
    }
}

struct Level {
    priority: i32,
    ring: VecDeque<Slot>,
}

#[derive(Default)]
pub(super) struct Consumers {
    slots: Vec<Option<Consumer>>,
    by_id: NumberMap<Slot>,
    /// Highest priority first.
    levels: Vec<Level>,
    /// How many stand in the rings.
    waiting: usize,
    added: u64,
}

impl Consumers {
    #[inline]
    pub fn slot(&self, id: u64) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    pub fn get(&self, slot: Slot) -> Option<&Consumer> {
        self.slots.get(slot)?.as_ref()
    }

    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Consumer> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.slots.iter().flatten()
    }

    pub fn look_at_leases(&mut self) {
        for consumer in self.slots.iter_mut().flatten() {
            consumer.lease_next_ms = 0;
        }
    }

    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        0..self.slots.len()
    }

    /// A consumer of the same id keeps its messages and gets the new settings.
    pub fn add(&mut self, id: u64, config: ConsumerConfig, active: bool) -> Slot {
        if let Some(slot) = self.slot(id) {
            self.leave_turns(slot);
            if let Some(consumer) = self.get_mut(slot) {
                consumer.config = config;
                consumer.overdue = 0;
            }
            self.join_turns(slot);
            return slot;
        }
        self.added += 1;
        let (flight, since) = (Flight::default(), self.added);
        let (in_flight, held, overdue, next_tag, lease_next_ms, waiting) = (0, 0, 0, 1, NO_LEASE, false);
        let consumer =
            Consumer { id, config, flight, in_flight, held, overdue, next_tag, lease_next_ms, waiting, active, since };
        let slot = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(consumer);
        self.by_id.insert(id, slot);
        self.join_turns(slot);
        slot
    }

    pub fn remove(&mut self, id: u64) -> Option<Consumer> {
        let slot = self.slot(id)?;
        self.leave_turns(slot);
        self.by_id.remove(&id);
        // Priorities are any number a client names: levels of those that are gone would add up.
        self.levels.retain(|level| !level.ring.is_empty());
        self.slots[slot].take()
    }

    fn level(&mut self, priority: i32) -> &mut Level {
        let at = self.levels.partition_point(|level| level.priority > priority);
        if self.levels.get(at).is_none_or(|level| level.priority != priority) {
            self.levels.insert(at, Level { priority, ring: VecDeque::new() });
        }
        &mut self.levels[at]
    }

    /// It has credit again, or may have.
    #[inline]
    pub fn join_turns(&mut self, slot: Slot) {
        let Some(consumer) = self.slots[slot].as_mut() else { return };
        if consumer.waiting || !consumer.active || consumer.credit() == 0 {
            return;
        }
        consumer.waiting = true;
        let priority = consumer.config.priority;
        self.waiting += 1;
        self.level(priority).ring.push_back(slot);
    }

    pub fn leave_turns(&mut self, slot: Slot) {
        let Some(consumer) = self.slots[slot].as_mut() else { return };
        if !std::mem::take(&mut consumer.waiting) {
            return;
        }
        let priority = consumer.config.priority;
        self.waiting -= 1;
        self.level(priority).ring.retain(|other| *other != slot);
    }

    /// How many have credit.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whose turn it is, and how many of its level share the turns.
    #[inline]
    pub fn next(&self) -> Option<(Slot, usize)> {
        let level = self.levels.iter().find(|level| !level.ring.is_empty())?;
        level.ring.front().map(|slot| (*slot, level.ring.len()))
    }

    /// The one whose turn it is was given something: it is the last now, or out where its credit is used up.
    #[inline]
    pub fn rotate(&mut self) {
        let Some(level) = self.levels.iter_mut().find(|level| !level.ring.is_empty()) else { return };
        let Some(slot) = level.ring.pop_front() else { return };
        let Some(consumer) = self.slots[slot].as_mut() else { return };
        if consumer.credit() > 0 {
            level.ring.push_back(slot);
        } else {
            consumer.waiting = false;
            self.waiting -= 1;
        }
    }

    pub fn set_prefetch(&mut self, id: u64, prefetch: u32) {
        let Some(slot) = self.slot(id) else { return };
        self.leave_turns(slot);
        if let Some(consumer) = self.get_mut(slot) {
            consumer.config.prefetch = prefetch;
            consumer.overdue = 0;
        }
        self.join_turns(slot);
    }

    /// Of several, the one of the highest priority that came first.
    pub fn best(&self) -> Option<u64> {
        let key = |consumer: &&Consumer| (std::cmp::Reverse(consumer.config.priority), consumer.since);
        self.iter().min_by_key(key).map(|consumer| consumer.id)
    }

    pub fn active(&self) -> Option<u64> {
        self.iter().find(|consumer| consumer.active).map(|consumer| consumer.id)
    }

    /// Returns whether that changed it.
    pub fn set_active(&mut self, id: u64, active: bool) -> bool {
        let Some(slot) = self.slot(id) else { return false };
        let Some(consumer) = self.slots[slot].as_mut() else { return false };
        if consumer.active == active {
            return false;
        }
        consumer.active = active;
        self.leave_turns(slot);
        self.join_turns(slot);
        true
    }
}
