//! The flight recorder: what a worker has lately taken in and handed out, for whoever asks later where
//! a message came from and went to (`millrace explain`). One entry a batch or run, never a message.

use super::acks::Sender;
use super::partition_state::Watch;
use super::worker::Worker;
use crate::clock::Stamp;
use crate::stdx::recent::Recent;

/// Records of one sender that were appended together.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub log_id: u64,
    pub partition: u32,
    pub count: u32,
    pub base_offset: u64,
    pub connection: u32,
    pub generation: u32,
    /// The publisher's number on its connection.
    pub publisher: u32,
    at: Stamp,
}

/// A run of records that one connection was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub log_id: u64,
    pub partition: u32,
    pub subscription: u32,
    pub first_offset: u64,
    pub next_offset: u64,
    pub connection: u32,
    pub generation: u32,
    at_ns: u64,
}

pub(super) struct Flight {
    arrivals: Recent<Arrival>,
    sent: Recent<Sent>,
    is_on: bool,
}

impl Flight {
    pub fn with_bytes(bytes_max: usize) -> Self {
        let half = bytes_max / 2;
        Self { arrivals: Recent::with_bytes(half), sent: Recent::with_bytes(half), is_on: bytes_max > 0 }
    }

    /// Records of one publisher of a connection that got the offsets from `base_offset` on; `at` is when they came in
    /// and when they were in the log.
    #[inline]
    pub fn arrived(&mut self, place: (u64, u32), base_offset: u64, count: u32, sender: (Sender, u32), at: Stamp) {
        if self.is_on {
            let (Sender { connection, generation, .. }, publisher) = sender;
            let (log_id, partition) = place;
            self.arrivals.push(Arrival {
                log_id,
                partition,
                count,
                base_offset,
                connection,
                generation,
                publisher,
                at,
            });
        }
    }

    /// Offsets `[first, next)` that a subscription was sent.
    #[inline]
    pub fn sent(&mut self, place: (u64, u32), (first_offset, next_offset): (u64, u64), watch: &Watch, at_ns: u64) {
        if self.is_on {
            let Watch { connection, generation, subscription, .. } = *watch;
            let (log_id, partition) = place;
            self.sent.push(Sent {
                log_id,
                partition,
                subscription,
                first_offset,
                next_offset,
                connection,
                generation,
                at_ns,
            });
        }
    }
}

/// What a worker remembers of one record. Times are ms of the core's clock.
pub struct Traced {
    pub arrival: Option<(Arrival, TracedTimes)>,
    pub sent: Vec<(Sent, f64)>,
    /// What happened before is forgotten.
    pub since_ms: f64,
}

pub struct TracedTimes {
    pub received_ms: f64,
    pub appended_ms: f64,
}

/// What a worker has noted since an earlier look.
pub struct Noted {
    pub arrivals: Vec<(Arrival, TracedTimes)>,
    pub sent: Vec<(Sent, f64)>,
    /// Where the next look goes on.
    pub next: (u64, u64),
}

/// So many deliveries of one record are told.
const SENT_MAX: usize = 1_000;

impl Worker {
    /// The newest of what this worker has noted since `seen`, at most `max` of each kind.
    pub fn noted_since(&self, seen: (u64, u64), max: usize) -> Noted {
        let flight = &self.hub.flight;
        let clock = Clock::of(self);
        let next = (flight.arrivals.pushed(), flight.sent.pushed());
        let from = |seen: u64, next: u64| seen.max(next.saturating_sub(max as u64));
        let arrivals = flight.arrivals.since(from(seen.0, next.0));
        let sent = flight.sent.since(from(seen.1, next.1));
        Noted {
            arrivals: arrivals.map(|one| (*one, clock.times(one.at))).collect(),
            sent: sent.map(|one| (*one, clock.ms(one.at_ns))).collect(),
            next,
        }
    }

    /// What this worker remembers of a record.
    pub fn trace(&self, log_id: u64, partition: u32, offset: u64) -> Traced {
        let flight = &self.hub.flight;
        let clock = Clock::of(self);
        let is_here = |log: u64, index: u32| log == log_id && index == partition;
        let arrival = flight.arrivals.iter().filter(|one| {
            is_here(one.log_id, one.partition)
                && (one.base_offset..one.base_offset + u64::from(one.count)).contains(&offset)
        });
        let sent = flight
            .sent
            .iter()
            .filter(|one| is_here(one.log_id, one.partition) && (one.first_offset..one.next_offset).contains(&offset));
        // Until it is full nothing is forgotten.
        let oldest_arrival = flight.arrivals.iter().next().filter(|_| flight.arrivals.is_full());
        let oldest_sent = flight.sent.iter().next().filter(|_| flight.sent.is_full());
        let since_ns = oldest_arrival.map_or(0, |one| one.at.arrived_ns).max(oldest_sent.map_or(0, |one| one.at_ns));
        Traced {
            arrival: arrival.last().map(|one| (*one, clock.times(one.at))),
            sent: sent.take(SENT_MAX).map(|one| (*one, clock.ms(one.at_ns))).collect(),
            since_ms: clock.ms(since_ns),
        }
    }
}

/// From ticks to ms of the day.
struct Clock {
    now_ms: f64,
    now_ns: u64,
}

impl Clock {
    #[allow(clippy::cast_precision_loss, reason = "ms stay below 2^53")]
    fn of(worker: &Worker) -> Self {
        let clock = &worker.hub.engine.clock;
        Self { now_ms: clock.now_ms() as f64, now_ns: clock.ticks_ns() }
    }

    fn times(&self, at: Stamp) -> TracedTimes {
        TracedTimes { received_ms: self.ms(at.arrived_ns), appended_ms: self.ms(at.visible_ns) }
    }

    #[allow(clippy::cast_precision_loss, reason = "an age in ns that passes 2^53 is not told to the ns")]
    fn ms(&self, ticks_ns: u64) -> f64 {
        self.now_ms - self.now_ns.saturating_sub(ticks_ns) as f64 / 1e6
    }
}
