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
