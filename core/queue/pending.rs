//! Signatures whose behaviour follows: they stand here so that the space can be built against them.
#![allow(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "not built yet")]

use super::effect::Effect;
use super::types::{Arrival, Browsed, Dispatch, Fault, Number, Scheduled};
use super::{Queue, QueueConfig};
use crate::error::Result;

impl Queue {
    /// Everything that time alone does: leases, expiry, delays, the dedup window.
    pub fn tick(&mut self, _now_ms: u64, _effects: &mut Vec<Effect>) {}

    /// When `tick` and then `dispatch` have something to do again, if nothing else happens.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        None
    }

    /// Gives deferred messages to a consumer, whatever its credit; those that are not deferred are passed over.
    /// Returns how many it got.
    ///
    /// # Errors
    /// `UnknownConsumer`.
    pub fn take_deferred(
        &mut self,
        _numbers: &[Number],
        consumer: u64,
        _now_ms: u64,
        _out: &mut Vec<Dispatch>,
        _effects: &mut Vec<Effect>,
    ) -> std::result::Result<u64, Fault> {
        self.consumers.slot(consumer).map(|_| 0).ok_or(Fault::UnknownConsumer)
    }

    /// Takes delayed messages out; returns how many of the numbers were delayed.
    pub fn cancel(&mut self, _numbers: &[Number], _effects: &mut Vec<Effect>) -> u64 {
        0
    }

    /// Takes all ready messages out; returns how many.
    pub fn purge(&mut self, _now_ms: u64, _effects: &mut Vec<Effect>) -> u64 {
        0
    }

    /// Up to `max` messages from a number on, in order of numbers, wherever they are.
    pub fn browse(&self, _from: Option<Number>, _max: usize, _out: &mut Vec<Browsed>) {}

    /// Up to `max` delayed messages that come after `after`, in order of their time.
    pub fn scheduled(&self, _after: Option<Scheduled>, _max: usize, _out: &mut Vec<Scheduled>) {}

    /// Takes one message out that is not in flight (redrive); false where there is none.
    pub fn remove(&mut self, _number: Number, _effects: &mut Vec<Effect>) -> bool {
        false
    }

    /// The lowest number that the queue holds: the journal below is not needed for it.
    pub fn oldest(&self) -> Option<Number> {
        None
    }

    /// Calls `each` with every run of numbers that the queue holds, in no order.
    pub fn visit(&self, _each: &mut dyn FnMut(Number, u32)) {}

    /// Heap memory of the queue, about.
    pub fn memory_bytes(&self) -> usize {
        self.lanes.memory_bytes()
    }

    /// Recovery, in this order: `read_snapshot` (or `new`), what was enqueued since then by `restore*`, the
    /// effects logged since then by `replay`, `recovered`. A dead letter that came into this queue is a
    /// `restore` among the effects, where it was logged.
    pub fn restore_run(&mut self, first: Number, count: u32, bytes: u64, at_ms: u64) {
        self.enqueue_run(first, count, bytes, at_ms, &mut Vec::new());
    }

    /// One message with attributes; `at_ms` is when it was enqueued.
    pub fn restore(&mut self, arrival: &Arrival, at_ms: u64) {
        self.enqueue(arrival, at_ms, &mut Vec::new());
    }

    pub fn replay(&mut self, _effect: &Effect) {}

    /// Ends the recovery: applies what was replayed. Nothing else may be called between `restore*` or `replay`
    /// and this.
    pub fn recovered(&mut self, _now_ms: u64) {}

    /// The whole state; what is in flight is written as ready, since nobody will settle it.
    pub fn write_snapshot(&self, _out: &mut Vec<u8>) {}

    /// # Errors
    /// `corrupt_batch` where the bytes are no snapshot.
    pub fn read_snapshot(config: QueueConfig, _bytes: &[u8]) -> Result<Self> {
        Ok(Self::new(config))
    }
}
