//! What the tests build routers with.

use crate::route::{Arguments, Destination, ExchangeId, ExchangeKind, Message, RouteLimits, Router, Target};

pub fn router(exchanges: &[(ExchangeId, ExchangeKind)]) -> Router {
    let mut router = Router::new(RouteLimits::default());
    for &(id, kind) in exchanges {
        router.exchange_put(id, kind, None, None).unwrap();
    }
    router
}

pub fn queue(id: u32) -> Destination {
    Target::Queue(id).into()
}

pub fn bind(router: &mut Router, exchange: ExchangeId, to: u32, key: &str) {
    router.bind(exchange, queue(to), key.as_bytes(), Arguments::none()).unwrap();
}

pub fn message(key: &str) -> Message<'_> {
    Message { routing_key: key.as_bytes(), ..Message::default() }
}

/// The queues that a key goes to; twice, so that the cache answers as the tables do.
pub fn queues(router: &mut Router, exchange: ExchangeId, key: &str) -> Vec<u32> {
    queues_of(router, exchange, &message(key))
}

pub fn queues_of(router: &mut Router, exchange: ExchangeId, message: &Message<'_>) -> Vec<u32> {
    let first = router.route(exchange, message);
    assert_eq!(router.route(exchange, message), first, "the second time as the first");
    let queue = |target: &Target| match target {
        Target::Queue(id) => *id,
        Target::Topic(id) => panic!("topic {id}"),
    };
    router.targets(first).iter().map(queue).collect()
}

/// A small generator whose seed tells the whole run: xorshift64*.
pub struct Random(pub u64);

impl Random {
    /// Prints the seed, which a failing test then shows.
    pub fn seeded(seed: u64) -> Self {
        println!("seed {seed:#x}");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// One time in `in_all`.
    pub fn once(&mut self, in_all: usize) -> bool {
        self.below(in_all) == 0
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
