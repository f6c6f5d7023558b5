//! The delivery state of a queue as a pure machine: numbers in, effects out; no I/O, no message bytes, and time
//! comes in as an argument. README.md beside this file has the invariants and the map.
//!
//! A message is in exactly one place: a lane (ready), behind or in its group (ready, ordered queues and those that
//! share fairly), in flight,
//! delayed, or deferred. `leave` is the only way out.

mod ages;
mod browse;
mod claim;
mod config;
mod consumers;
mod dedup;
mod delayed;
mod dispatch;
mod effect;
mod enqueue;
mod extras;
mod fair;
mod flight;
mod intervals;
mod lanes;
mod locks;
mod number_map;
mod ordered;
mod read;
mod recover;
mod release;
mod retry;
mod run;
mod runs;
mod settle;
mod snapshot;
mod snapshot_read;
mod take;
#[cfg(test)]
mod tests;
mod time;
mod types;

pub use config::{Overflow, PRIORITY_MAX, QueueConfig, ReleaseConfig, Retry, RetryKind, RetryPolicy, Window};
pub use effect::{Effect, Reason, merge_settled};
pub use types::{
    Arrival, Browsed, ConsumerConfig, Counts, Dispatch, Fault, NUMBER_MAX, Number, Outcome, RetryAfter, Scheduled,
    State,
};

use std::collections::BTreeMap;

use ages::Ages;
use claim::Claims;
use consumers::Consumers;
use dedup::Dedup;
use delayed::Delayed;
use extras::Extras;
use fair::Fair;
use flight::NO_LEASE;
use lanes::Lanes;
use locks::Locks;
use ordered::Ordered;
use recover::Recovery;
use release::Release;

/// A message that was set aside.
#[derive(Clone, Copy)]
struct Deferred {
    bytes: u64,
    lane: u8,
}

pub struct Queue {
    config: QueueConfig,
    lanes: Lanes,
    consumers: Consumers,
    extras: Extras,
    /// Of places, only those that are kept nowhere else: `counts()` fills in the others.
    counts: Counts,
    /// All numbers so far are below.
    end: Number,
    ages: Ages,
    delayed: Delayed,
    deferred: BTreeMap<Number, Deferred>,
    claims: Claims,
    ordered: Ordered,
    locks: Locks,
    fair: Fair,
    dedup: Dedup,
    release: Release,
    /// No lease ends, and none is to be warned of, before.
    lease_next_ms: u64,
    /// The latest time that came in.
    now_ms: u64,
    /// Between the first `restore` and `recovered`.
    recovery: Option<Box<Recovery>>,
}

impl Queue {
    pub fn new(config: QueueConfig) -> Self {
        let mut queue = Self {
            config,
            lanes: Lanes::new(),
            consumers: Consumers::default(),
            extras: Extras::default(),
            counts: Counts::default(),
            end: 0,
            ages: Ages::default(),
            delayed: Delayed::default(),
            deferred: BTreeMap::new(),
            claims: Claims::default(),
            ordered: Ordered::default(),
            locks: Locks::default(),
            fair: Fair::default(),
            dedup: Dedup::default(),
            release: Release::default(),
            lease_next_ms: NO_LEASE,
            now_ms: 0,
            recovery: None,
        };
        queue.take_weights();
        queue
    }

    pub fn config(&self) -> &QueueConfig {
        &self.config
    }

    /// What is in the queue stays as it is: limits apply from the next message on, the delay of a retry from
    /// the next retry on. A TTL that is new counts from now. Sessions are free.
    pub fn reconfigure(&mut self, config: QueueConfig, now_ms: u64, effects: &mut Vec<Effect>) {
        self.unlock_all();
        self.config = config;
        self.take_weights();
        match self.config.message_ttl_ms {
            None => self.ages.clear(),
            Some(ttl_ms) if self.ages.is_empty() => self.ages.start(now_ms, ttl_ms),
            Some(_) => {}
        }
        if self.config.dedup_window_ms.is_none() {
            self.dedup = Dedup::default();
        }
        self.look_at_leases();
        self.choose_active(effects);
    }

    pub fn counts(&self) -> Counts {
        Counts {
            ready: self.ready(),
            bytes_ready: self.bytes_ready(),
            delayed: self.delayed.len(),
            deferred: self.deferred.len() as u64,
            consumers: self.consumers.len() as u64,
            ..self.counts
        }
    }

    #[inline]
    fn ready(&self) -> u64 {
        self.lanes.len + self.ordered.len + self.fair.len
    }

    #[inline]
    fn bytes_ready(&self) -> u64 {
        self.lanes.bytes + self.ordered.bytes + self.fair.bytes
    }

    /// A consumer of a known id keeps what it has in flight and gets the new settings.
    pub fn consumer_add(&mut self, id: u64, config: ConsumerConfig, effects: &mut Vec<Effect>) {
        self.consumers.add(id, config, !self.config.single_active);
        self.look_at_leases();
        self.choose_active(effects);
    }

    /// When to warn of leases may have changed: the next tick looks at all of them.
    fn look_at_leases(&mut self) {
        if self.counts.in_flight > 0 {
            self.consumers.look_at_leases();
            self.lease_next_ms = 0;
        }
    }

    /// What it has in flight goes back, as delivered once more.
    pub fn consumer_remove(&mut self, id: u64, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(mut consumer) = self.consumers.remove(id) else { return };
        while let Some(piece) = consumer.flight.take_first() {
            self.counts.in_flight -= u64::from(piece.run.count);
            self.unlock_session(piece.run);
            self.give_back(piece, effects);
        }
        self.unlock_of(id);
        self.now_ms = self.now_ms.max(now_ms);
        self.choose_active(effects);
    }

    pub fn set_prefetch(&mut self, id: u64, prefetch: u32) {
        self.consumers.set_prefetch(id, prefetch);
    }

    /// A queue with a single active consumer has exactly one as long as it has any; others have all.
    fn choose_active(&mut self, effects: &mut Vec<Effect>) {
        if !self.config.single_active {
            for slot in self.consumers.slots() {
                let Some(id) = self.consumers.get_mut(slot).map(|consumer| consumer.id) else { continue };
                self.consumers.set_active(id, true);
            }
            return;
        }
        let chosen = self.consumers.active().or_else(|| self.consumers.best());
        for slot in self.consumers.slots() {
            let Some(id) = self.consumers.get_mut(slot).map(|consumer| consumer.id) else { continue };
            let active = Some(id) == chosen;
            if self.consumers.set_active(id, active) {
                effects.push(Effect::Active { consumer: id, active });
            }
        }
    }
}
