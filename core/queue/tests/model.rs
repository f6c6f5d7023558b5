//! A queue as plainly as it can be told: one map of messages, looked through for everything. All messages have
//! 100 bytes.

use std::collections::{BTreeMap, HashMap};

use crate::queue::{
    Arrival, ConsumerConfig, Counts, Effect, Fault, Number, Outcome, Overflow, QueueConfig, Reason, RetryAfter,
};

pub const BYTES: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Ready,
    Behind,
    Flight { consumer: u64, tag: u64, lease_end_ms: u64, warned: bool, from_deferred: bool },
    Delayed { due_ms: u64 },
    Deferred,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub lane: u8,
    pub group: u64,
    pub deliveries: u32,
    pub expires_ms: u64,
    pub since_ms: u64,
    pub place: Place,
    /// The delay it had last was one of a retry.
    pub retried: bool,
}

pub struct Consumer {
    pub config: ConsumerConfig,
    pub next_tag: u64,
    pub active: bool,
    /// Let go by leases that ran out, since it was heard of.
    pub overdue: u64,
}

pub struct Model {
    pub config: QueueConfig,
    pub messages: BTreeMap<Number, Message>,
    pub consumers: BTreeMap<u64, Consumer>,
    pub outs: HashMap<u64, Number>,
    /// Whose a session is, and until when where nothing of it is in flight.
    pub locks: BTreeMap<u64, (u64, Option<u64>)>,
    /// Of a queue that shares fairly: groups in the order of their turns, and what is left of each turn.
    pub turns: Vec<(u64, u32)>,
    pub ids: HashMap<u128, u64>,
    pub end: Number,
    pub now_ms: u64,
    pub enqueued: u64,
    /// What came back in the tick under way, in the queue's order.
    pub returned: Vec<Number>,
    /// What the queue has to say of the call under way.
    pub expected: Vec<Effect>,
}

impl Model {
    pub fn new(config: QueueConfig, now_ms: u64) -> Self {
        Self {
            config,
            messages: BTreeMap::new(),
            consumers: BTreeMap::new(),
            outs: HashMap::new(),
            locks: BTreeMap::new(),
            turns: Vec::new(),
            ids: HashMap::new(),
            end: 0,
            now_ms,
            enqueued: 0,
            returned: Vec::new(),
            expected: Vec::new(),
        }
    }

    fn count(&self, is: impl Fn(&Place) -> bool) -> u64 {
        self.messages.values().filter(|message| is(&message.place)).count() as u64
    }

    pub fn ready(&self) -> u64 {
        self.count(|place| matches!(place, Place::Ready | Place::Behind))
    }

    pub fn check(&self, counts: &Counts) {
        assert_eq!(counts.enqueued, counts.held() + counts.left(), "counts add up: {counts:?}");
        assert_eq!(counts.enqueued, self.enqueued, "enqueued");
        assert_eq!(counts.ready, self.ready(), "ready");
        assert_eq!(counts.in_flight, self.count(|place| matches!(place, Place::Flight { .. })), "in flight");
        assert_eq!(counts.delayed, self.count(|place| matches!(place, Place::Delayed { .. })), "delayed");
        assert_eq!(counts.deferred, self.count(|place| *place == Place::Deferred), "deferred");
        assert_eq!(counts.bytes, counts.held() * BYTES, "bytes");
        assert_eq!(counts.bytes_ready, counts.ready * BYTES, "bytes ready");
    }

    fn place(&mut self, number: Number, place: Place) {
        let message = self.messages.get_mut(&number).unwrap();
        message.place = place;
        let group = message.group;
        if !self.config.fair_share || place != Place::Ready {
            return;
        }
        // With nothing ready, nobody has a turn.
        if self.count(|place| *place == Place::Ready) == 1 {
            self.turns.clear();
        }
        if !self.turns.iter().any(|(other, _)| *other == group) {
            self.turns.push((group, 0));
        }
    }

    fn first_of(&self, group: u64) -> Option<Number> {
        let mut inside = self.messages.iter().filter(|(_, m)| m.group == group && m.place == Place::Ready);
        inside.next().map(|(number, _)| *number)
    }

    /// What goes out next.
    fn next_out(&mut self) -> Option<Number> {
        if !self.config.fair_share {
            return (0..32).rev().find_map(|lane| self.front(lane));
        }
        while let Some((group, _)) = self.turns.first().copied() {
            if let Some(number) = self.first_of(group) {
                return Some(number);
            }
            self.turns.remove(0);
        }
        None
    }

    /// One of the group whose turn it is went out.
    fn turned(&mut self) {
        if !self.config.fair_share {
            return;
        }
        let (group, left) = self.turns.remove(0);
        let fold = |hash: u64| 1 + hash % self.config.groups_max;
        let own = self.config.weights.iter().rfind(|(hash, _)| fold(**hash) == group);
        let left = if left == 0 { own.map_or(1, |(_, weight)| *weight) } else { left } - 1;
        match self.first_of(group) {
            None => {}
            Some(_) if left == 0 => self.turns.push((group, 0)),
            Some(_) => self.turns.insert(0, (group, left)),
        }
    }

    pub fn enqueue(&mut self, arrival: &Arrival) {
        self.enqueued += 1;
        let late = arrival.number < self.end;
        self.end = self.end.max(arrival.number + 1);
        if late && self.messages.contains_key(&arrival.number) {
            return;
        }
        if self.is_duplicate(arrival.message_id) {
            self.expected.push(Effect::Settled { first: arrival.number, count: 1 });
            return;
        }
        let group =
            if self.config.has_groups() && arrival.group > 0 { 1 + arrival.group % self.config.groups_max } else { 0 };
        let message = Message {
            lane: arrival.priority.min(self.config.priority_max),
            group,
            deliveries: 0,
            expires_ms: arrival.expires_ms.unwrap_or(u64::MAX),
            since_ms: self.now_ms,
            place: Place::Ready,
            retried: false,
        };
        self.messages.insert(arrival.number, message);
        match arrival.due_ms.filter(|due_ms| *due_ms > self.now_ms) {
            None => self.make_ready(arrival.number),
            Some(due_ms) => {
                let full = self.count(|place| matches!(place, Place::Delayed { .. })) >= self.config.delayed_max;
                self.place(arrival.number, Place::Delayed { due_ms });
                if full {
                    self.leave(arrival.number, Some(Reason::Length));
                }
            }
        }
        self.limit(group);
    }

    fn is_duplicate(&mut self, id: u128) -> bool {
        let Some(window_ms) = self.config.dedup_window_ms.filter(|_| id != 0) else { return false };
        if self.ids.get(&id).is_some_and(|at_ms| at_ms + window_ms > self.now_ms) {
            return true;
        }
        self.ids.insert(id, self.now_ms);
        false
    }

    fn make_ready(&mut self, number: Number) {
        let group = self.messages[&number].group;
        // A retry comes back to the group that waits for it.
        let is_held = self.idle_holder(group).is_some();
        if group == 0 || self.config.fair_share || !is_held && *self.outs.entry(group).or_insert(number) == number {
            self.place(number, Place::Ready);
        } else {
            self.place(number, Place::Behind);
        }
    }

    /// After a recovery: those that stand behind nothing are ready.
    pub fn regroup(&mut self) {
        let behind = self.messages.iter().filter(|(_, message)| message.place == Place::Behind);
        let numbers: Vec<Number> = behind.map(|(number, _)| *number).collect();
        for number in numbers {
            self.make_ready(number);
        }
    }

    fn free_group(&mut self, group: u64, number: Number) {
        if group == 0 || self.outs.get(&group) != Some(&number) {
            return;
        }
        self.outs.remove(&group);
        if self.idle_holder(group).is_some() {
            return;
        }
        self.let_next_out(group);
    }

    fn let_next_out(&mut self, group: u64) {
        if let Some(next) = self.first_behind(group) {
            self.make_ready(next);
        }
    }

    fn first_behind(&self, group: u64) -> Option<Number> {
        let behind = |(_, message): &(&Number, &Message)| message.group == group && message.place == Place::Behind;
        self.messages.iter().find(behind).map(|(number, _)| *number)
    }

    /// Who an idle session waits for.
    fn idle_holder(&self, group: u64) -> Option<u64> {
        self.locks.get(&group).and_then(|(holder, until_ms)| until_ms.map(|_| *holder))
    }

    /// The session is anybody's.
    pub fn unlock(&mut self, group: u64) {
        if let Some((_, Some(_))) = self.locks.remove(&group) {
            self.let_next_out(group);
        }
    }

    pub fn unlock_of(&mut self, id: u64) {
        let groups: Vec<u64> = self.locks.iter().filter(|(_, (holder, _))| *holder == id).map(|(g, _)| *g).collect();
        for group in groups {
            self.unlock(group);
        }
    }

    fn end_locks(&mut self) {
        let over = |(_, until_ms): &(u64, Option<u64>)| until_ms.is_some_and(|until_ms| until_ms <= self.now_ms);
        let groups: Vec<u64> = self.locks.iter().filter(|(_, lock)| over(lock)).map(|(group, _)| *group).collect();
        for group in groups {
            self.unlock(group);
        }
    }

    /// Idle sessions of consumers that may have their next message, and that message.
    fn waiting_for_holders(&self) -> Vec<(u64, Number)> {
        let idle = self.locks.keys().filter_map(|group| Some((self.idle_holder(*group)?, self.first_behind(*group)?)));
        idle.filter(|(holder, _)| self.room(*holder) > 0).collect()
    }

    /// `reason` where it may be dead-lettered.
    fn leave(&mut self, number: Number, reason: Option<Reason>) {
        let message = self.messages.remove(&number).unwrap();
        let by_length = self.config.overflow == Overflow::DeadLetter;
        match reason.filter(|reason| self.config.has_dead_letter && (*reason != Reason::Length || by_length)) {
            Some(reason) => {
                self.expected.push(Effect::DeadLetter { number, reason, deliveries: message.deliveries });
            }
            None => self.expected.push(Effect::Settled { first: number, count: 1 }),
        }
        self.free_group(message.group, number);
    }

    fn is_over(&self) -> bool {
        let over = |max: Option<u64>, value: u64| max.is_some_and(|max| value > max);
        self.config.overflow != Overflow::Reject
            && (over(self.config.length_max, self.ready()) || over(self.config.bytes_max, self.ready() * BYTES))
    }

    fn front(&self, lane: u8) -> Option<Number> {
        let mut inside = self.messages.iter().filter(|(_, m)| m.lane == lane && m.place == Place::Ready);
        inside.next().map(|(number, _)| *number)
    }

    pub fn limit(&mut self, group: u64) {
        while self.is_over() {
            let Some(number) = (0..32).find_map(|lane| self.front(lane)) else { break };
            self.leave(number, Some(Reason::Length));
        }
        while self.is_over() && group != 0 {
            let behind = |(_, m): &(&Number, &Message)| m.group == group && m.place == Place::Behind;
            let Some(number) = self.messages.iter().find(behind).map(|(number, _)| *number) else { break };
            self.leave(number, Some(Reason::Length));
        }
    }

    fn is_expired(&self, number: Number) -> bool {
        let message = &self.messages[&number];
        let by_age = self.config.message_ttl_ms.map_or(u64::MAX, |ttl_ms| message.since_ms.saturating_add(ttl_ms));
        message.expires_ms.min(by_age) <= self.now_ms
    }

    fn room(&self, id: u64) -> u64 {
        let consumer = &self.consumers[&id];
        let has = self.count(|place| matches!(place, Place::Flight { consumer, .. } if *consumer == id));
        if consumer.active { u64::from(consumer.config.prefetch).saturating_sub(has + consumer.overdue) } else { 0 }
    }

    /// Each idle session keeps the credit for its next message.
    pub fn credit(&self, id: u64) -> u64 {
        let held = self.locks.values().filter(|(holder, until_ms)| *holder == id && until_ms.is_some()).count();
        self.room(id).saturating_sub(held as u64)
    }

    /// Goes along with what was given out, and fails where something else should have been.
    pub fn dispatched(&mut self, given: &[(u64, u64, Number, u32)], max: u64) {
        let in_flight = self.count(|place| matches!(place, Place::Flight { .. }));
        let mut left = max.min(self.config.in_flight_max.saturating_sub(in_flight));
        let mut given = given.iter();
        let sessions: Vec<u64> =
            self.locks.keys().copied().filter(|group| self.idle_holder(*group).is_some()).collect();
        for group in sessions {
            while let Some(number) = self.first_behind(group).filter(|number| left > 0 && self.is_expired(*number)) {
                self.leave(number, Some(Reason::Expired));
            }
        }
        loop {
            let waiting = self.waiting_for_holders();
            if left == 0 || waiting.is_empty() {
                break;
            }
            let (id, tag, found, deliveries) = *given.next().expect("what waits for its holder goes first");
            assert!(waiting.contains(&(id, found)), "{found} for {id} is not of {waiting:?}");
            assert_eq!(deliveries, self.messages[&found].deliveries);
            self.outs.insert(self.messages[&found].group, found);
            self.fly(found, id, tag, false);
            left -= 1;
        }
        loop {
            let best =
                self.consumers.iter().filter(|(id, _)| self.credit(**id) > 0).map(|(_, c)| c.config.priority).max();
            let Some(best) = best.filter(|_| left > 0) else { break };
            let Some(number) = self.next_out() else { break };
            if self.is_expired(number) {
                self.leave(number, Some(Reason::Expired));
                continue;
            }
            let (id, tag, found, deliveries) = *given.next().unwrap_or_else(|| panic!("{number} was not given out"));
            assert_eq!((found, deliveries), (number, self.messages[&number].deliveries), "the next message");
            assert!(self.credit(id) > 0, "consumer {id} has no credit");
            assert_eq!(self.consumers[&id].config.priority, best, "a consumer of a higher priority has credit");
            self.fly(number, id, tag, false);
            self.turned();
            left -= 1;
        }
        assert_eq!(given.next(), None, "nothing more should have been given out");
    }

    pub fn fly(&mut self, number: Number, id: u64, tag: u64, from_deferred: bool) {
        let consumer = self.consumers.get_mut(&id).unwrap();
        assert_eq!(tag, consumer.next_tag, "tags are consecutive");
        consumer.next_tag += 1;
        let lease_ms = consumer.config.lease_ms.or(self.config.lease_ms);
        let lease_end_ms = lease_ms.map_or(u64::MAX, |lease_ms| self.now_ms + lease_ms);
        self.place(number, Place::Flight { consumer: id, tag, lease_end_ms, warned: false, from_deferred });
        let group = self.messages[&number].group;
        if group != 0 && !from_deferred && self.config.session_lock_ms.is_some() {
            self.locks.insert(group, (id, None));
        }
    }

    fn settle_session(&mut self, number: Number, id: u64, outcome: Outcome<'_>) {
        let group = self.messages[&number].group;
        let Some(lock_ms) = self.config.session_lock_ms.filter(|_| outcome != Outcome::Renew) else { return };
        if !matches!(outcome, Outcome::Ack | Outcome::Reject | Outcome::Defer) {
            return self.unlock(group);
        }
        if self.locks.get(&group).is_some_and(|(holder, _)| *holder == id) {
            self.locks.insert(group, (id, Some(self.now_ms + lock_ms)));
        }
    }

    pub fn settle(&mut self, id: u64, tag: u64, outcome: Outcome<'_>) -> Result<(), Fault> {
        let deferred = self.count(|place| *place == Place::Deferred);
        if outcome == Outcome::Defer && deferred >= self.config.deferred_max {
            return Err(Fault::DeferredFull { tag, limit: self.config.deferred_max });
        }
        let is =
            |place: &Place| matches!(place, Place::Flight { consumer, tag: own, .. } if *consumer == id && *own == tag);
        let found = self.messages.iter().find(|(_, message)| is(&message.place));
        let (number, place) = found.map(|(n, m)| (*n, m.place)).ok_or(Fault::UnknownDelivery { tag })?;
        let Place::Flight { from_deferred, .. } = place else { return Ok(()) };
        self.settle_session(number, id, outcome);
        match outcome {
            Outcome::Ack => self.leave(number, None),
            Outcome::Reject => self.leave(number, Some(Reason::Rejected)),
            Outcome::Release => {
                self.place(number, Place::Ready);
                let deliveries = self.messages[&number].deliveries;
                if from_deferred {
                    self.expected.push(Effect::Returned { number, deliveries });
                }
            }
            Outcome::Requeue => self.give_back(number),
            Outcome::Defer => self.defer(number),
            Outcome::Retry(after) => self.retry(number, after),
            Outcome::Renew => {
                let lease_ms = self.consumers[&id].config.lease_ms.or(self.config.lease_ms);
                let lease_end_ms = lease_ms.map_or(u64::MAX, |lease_ms| self.now_ms + lease_ms);
                self.place(number, Place::Flight { consumer: id, tag, lease_end_ms, warned: false, from_deferred });
            }
        }
        Ok(())
    }

    /// False where it left, delivered too often.
    fn delivered(&mut self, number: Number, limit: Option<u32>) -> Option<u32> {
        let message = self.messages.get_mut(&number).unwrap();
        message.deliveries += 1;
        let deliveries = message.deliveries;
        if limit.is_some_and(|limit| deliveries >= limit) {
            self.leave(number, Some(Reason::Deliveries));
            return None;
        }
        Some(deliveries)
    }

    pub fn give_back(&mut self, number: Number) {
        let Some(deliveries) = self.delivered(number, self.config.delivery_limit) else { return };
        self.place(number, Place::Ready);
        self.expected.push(Effect::Returned { number, deliveries });
    }

    fn defer(&mut self, number: Number) {
        let Some(deliveries) = self.delivered(number, None) else { return };
        self.place(number, Place::Deferred);
        if self.config.ordered {
            let group = std::mem::take(&mut self.messages.get_mut(&number).unwrap().group);
            self.free_group(group, number);
        }
        self.expected.push(Effect::Deferred { number, deliveries });
    }

    fn retry(&mut self, number: Number, after: RetryAfter<'_>) {
        let policy = match after {
            RetryAfter::DelayMs(_) => None,
            RetryAfter::Policy => Some(self.config.retry.policy),
            RetryAfter::Class(name) => Some(*self.config.retry.classes.get(name).unwrap_or(&self.config.retry.policy)),
        };
        let limits = [self.config.delivery_limit, policy.and_then(|policy| policy.attempts_max)];
        let Some(deliveries) = self.delivered(number, limits.into_iter().flatten().min()) else { return };
        let delay_ms = match (after, policy) {
            (RetryAfter::DelayMs(delay_ms), _) => delay_ms,
            (_, Some(policy)) => crate::queue::retry::delay_ms(&policy, number, deliveries),
            _ => 0,
        };
        let full = self.count(|place| matches!(place, Place::Delayed { .. })) >= self.config.delayed_max;
        if delay_ms == 0 || full {
            self.place(number, Place::Ready);
            self.expected.push(Effect::Returned { number, deliveries });
            return;
        }
        let due_ms = self.now_ms + delay_ms;
        self.messages.get_mut(&number).unwrap().retried = true;
        self.place(number, Place::Delayed { due_ms });
        self.expected.push(Effect::Delayed { number, due_ms, deliveries });
    }

    pub fn tick(&mut self) {
        let due = |(number, message): (&Number, &Message)| match message.place {
            Place::Delayed { due_ms } if due_ms <= self.now_ms => Some((due_ms, *number)),
            _ => None,
        };
        let mut fired: Vec<(u64, Number)> = self.messages.iter().filter_map(due).collect();
        fired.sort_unstable();
        for (due_ms, number) in fired {
            let message = self.messages.get_mut(&number).unwrap();
            message.since_ms = due_ms;
            let group = if message.retried { 0 } else { message.group };
            if message.retried {
                self.place(number, Place::Ready);
            } else {
                self.make_ready(number);
            }
            self.limit(group);
        }
        self.end_leases();
        self.end_locks();
        while let Some(number) = self.fronts().into_iter().find(|number| self.is_expired(*number)) {
            self.leave(number, Some(Reason::Expired));
        }
    }

    /// What is first in each lane, or in each group that shares.
    fn fronts(&self) -> Vec<Number> {
        if !self.config.fair_share {
            return (0..32).filter_map(|lane| self.front(lane)).collect();
        }
        let groups: std::collections::BTreeSet<u64> = self.messages.values().map(|message| message.group).collect();
        groups.into_iter().filter_map(|group| self.first_of(group)).collect()
    }

    /// How long before their end a consumer's leases are warned of.
    fn warning_ms(&self, id: u64) -> u64 {
        let lease_ms = self.consumers[&id].config.lease_ms.or(self.config.lease_ms);
        self.config.lease_warning_ms.unwrap_or(lease_ms.unwrap_or(0) / 4)
    }

    fn end_leases(&mut self) {
        let warnings: HashMap<u64, u64> = self.consumers.keys().map(|id| (*id, self.warning_ms(*id))).collect();
        let (mut ended, now_ms) = (Vec::new(), self.now_ms);
        for (number, message) in &mut self.messages {
            let Place::Flight { consumer, tag, lease_end_ms, warned, .. } = &mut message.place else { continue };
            let warning_ms = warnings[consumer];
            if *lease_end_ms <= now_ms {
                ended.push(*number);
                self.consumers.get_mut(consumer).unwrap().overdue += 1;
            } else if warning_ms > 0 && !*warned && lease_end_ms.saturating_sub(warning_ms) <= now_ms {
                *warned = true;
                self.expected.push(Effect::LeaseWarning { consumer: *consumer, tag: *tag, number: *number });
            }
        }
        // Which of several consumers' leases end first is the queue's to say, and groups take turns by it.
        ended.sort_by_key(|number| self.returned.iter().position(|returned| returned == number));
        for number in ended {
            self.unlock(self.messages[&number].group);
            self.give_back(number);
        }
    }

    /// Takes messages out by number, if they are where they may be taken.
    pub fn take(&mut self, number: Number, may: impl Fn(&Place) -> bool) -> bool {
        let found = self.messages.get(&number).is_some_and(|message| may(&message.place));
        if found {
            self.leave(number, None);
        }
        found
    }

    /// When a tick would do something: leases, their warnings, delays, and what expires in front.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let ttl_ms = self.config.message_ttl_ms;
        let fronts = self.fronts();
        let timed = self.messages.iter().filter_map(|(number, message)| match message.place {
            Place::Flight { lease_end_ms: u64::MAX, .. } => None,
            Place::Flight { consumer, lease_end_ms, warned: false, .. } => {
                Some(lease_end_ms.saturating_sub(self.warning_ms(consumer)))
            }
            Place::Flight { lease_end_ms, .. } => Some(lease_end_ms),
            Place::Delayed { due_ms } => Some(due_ms),
            Place::Ready if fronts.contains(number) => {
                let by_age = ttl_ms.map_or(u64::MAX, |ttl_ms| message.since_ms.saturating_add(ttl_ms));
                Some(message.expires_ms.min(by_age)).filter(|at_ms| *at_ms < u64::MAX)
            }
            _ => None,
        });
        timed.chain(self.locks.values().filter_map(|(_, until_ms)| *until_ms)).min()
    }
}
