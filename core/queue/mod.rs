//! The delivery state of a queue as a pure machine: numbers in, effects out; no I/O, no message bytes, and time
//! comes in as an argument. README.md beside this file has the invariants and the map.
//!
//! A message is in exactly one place: a lane (ready), behind its group (ready, ordered queues), in flight,
//! delayed, or deferred. `leave` is the only way out.

mod config;
mod consumers;
mod dispatch;
mod effect;
mod enqueue;
mod flight;
mod lanes;
mod number_map;
mod pending;
mod read;
mod run;
mod runs;
mod settle;
#[cfg(test)]
mod tests;
mod types;

pub use config::{Overflow, PRIORITY_MAX, QueueConfig, ReleaseConfig, Retry, RetryKind, RetryPolicy, Window};
pub use effect::{Effect, Reason, merge_settled};
pub use types::{
    Arrival, Browsed, ConsumerConfig, Counts, Dispatch, Fault, NUMBER_MAX, Number, Outcome, RetryAfter, Scheduled,
    State,
};

use consumers::Consumers;
use lanes::Lanes;
use number_map::NumberMap;

/// What only some messages have; a message with an entry here is marked wherever it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Extra {
    /// Its own expiry; 0 is none.
    expires_ms: u64,
    /// From when the queue's TTL counts for it; 0: its number tells.
    since_ms: u64,
    /// 0 is none.
    group: u64,
    deliveries: u32,
}

pub struct Queue {
    config: QueueConfig,
    lanes: Lanes,
    consumers: Consumers,
    extras: NumberMap<Extra>,
    counts: Counts,
    /// All numbers so far are below.
    end: Number,
}

impl Queue {
    pub fn new(config: QueueConfig) -> Self {
        Self {
            config,
            lanes: Lanes::new(),
            consumers: Consumers::default(),
            extras: NumberMap::default(),
            counts: Counts::default(),
            end: 0,
        }
    }

    pub fn config(&self) -> &QueueConfig {
        &self.config
    }

    /// What is in the queue stays; limits apply from the next message on.
    pub fn reconfigure(&mut self, config: QueueConfig, _now_ms: u64, effects: &mut Vec<Effect>) {
        self.config = config;
        self.choose_active(effects);
    }

    pub fn counts(&self) -> Counts {
        let held = self.counts;
        Counts { ready: self.lanes.len, bytes_ready: self.lanes.bytes, consumers: self.consumers.len() as u64, ..held }
    }

    /// A consumer of a known id keeps what it has in flight and gets the new settings.
    pub fn consumer_add(&mut self, id: u64, config: ConsumerConfig, effects: &mut Vec<Effect>) {
        self.consumers.add(id, config, !self.config.single_active);
        self.choose_active(effects);
    }

    /// What it has in flight goes back, as delivered once more.
    pub fn consumer_remove(&mut self, id: u64, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(mut consumer) = self.consumers.remove(id) else { return };
        while let Some(piece) = consumer.flight.take_first() {
            self.counts.in_flight -= u64::from(piece.run.count);
            self.give_back(piece, now_ms, effects);
        }
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
