//! A queue with a clock that stands where the test puts it, and shorthand for what tests do with it.

use crate::queue::{Arrival, ConsumerConfig, Dispatch, Effect, Fault, Number, Outcome, Queue, QueueConfig};

pub struct Kit {
    pub queue: Queue,
    pub now_ms: u64,
    pub effects: Vec<Effect>,
}

impl Kit {
    pub fn new(config: QueueConfig) -> Self {
        Self { queue: Queue::new(config), now_ms: 1_000_000, effects: Vec::new() }
    }

    pub fn plain() -> Self {
        Self::new(QueueConfig::default())
    }

    pub fn consumer(&mut self, id: u64, prefetch: u32) {
        let config = ConsumerConfig { prefetch, priority: 0, lease_ms: None };
        self.queue.consumer_add(id, config, &mut self.effects);
    }

    /// Messages of 100 bytes.
    pub fn enqueue(&mut self, first: Number, count: u32) {
        self.queue.enqueue_run(first, count, u64::from(count) * 100, self.now_ms, &mut self.effects);
    }

    pub fn enqueue_one(&mut self, arrival: Arrival) {
        self.queue.enqueue(&arrival, self.now_ms, &mut self.effects);
    }

    pub fn tick(&mut self) {
        self.queue.tick(self.now_ms, &mut self.effects);
    }

    pub fn dispatch(&mut self) -> Vec<Dispatch> {
        let mut out = Vec::new();
        self.queue.dispatch(self.now_ms, usize::MAX, &mut out, &mut self.effects);
        out
    }

    /// Who got which numbers, in order.
    pub fn given(&mut self) -> Vec<(u64, Number)> {
        let each = |run: Dispatch| (run.first..run.first + u64::from(run.count)).map(move |n| (run.consumer, n));
        self.dispatch().into_iter().flat_map(each).collect()
    }

    pub fn numbers(&mut self) -> Vec<Number> {
        self.given().into_iter().map(|(_, number)| number).collect()
    }

    pub fn settle(&mut self, consumer: u64, tag: u64, count: u64, outcome: Outcome<'_>) -> Result<(), Fault> {
        self.queue.settle(consumer, tag, count, outcome, self.now_ms, &mut self.effects)
    }

    /// The effects since the last call.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub fn check_counts(&self) {
        let counts = self.queue.counts();
        assert_eq!(counts.enqueued, counts.held() + counts.left(), "{counts:?}");
    }
}

/// A small generator (xorshift64*), so that a printed seed repeats a run.
pub struct Random(u64);

impl Random {
    /// From `MILLRACE_SEED`, or this test's own default.
    pub fn seeded(default: u64) -> Self {
        let seed = std::env::var("MILLRACE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(default);
        println!("MILLRACE_SEED={seed}");
        Self::of(seed)
    }

    pub fn of(seed: u64) -> Self {
        Self(seed.max(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Mostly below the first bound, sometimes below the second.
    pub fn mostly(&mut self, bound: u64, rare: u64) -> u64 {
        let chosen = if self.below(10) == 0 { rare } else { bound };
        self.below(chosen)
    }
}

pub fn is_long() -> bool {
    std::env::var_os("MILLRACE_LONG").is_some_and(|value| value == "1")
}
