//! Routing through 10,000 bindings: from the cache, through the tables, and by content.

use std::hint::black_box;

use millrace_core::route::{
    Arguments, ExchangeKind, HeaderOp, HeaderTest, HeadersMatch, Literal, Message, Predicate, RouteLimits, Router,
    Target,
};
use millrace_core::stdx::msgpack::{write_map, write_str};

use super::Prepared;

const EXCHANGE: u32 = 1;
const BINDINGS: usize = 10_000;
const KEYS: usize = 100_000;
/// Of one run; runs go on where the one before ended.
const ROUTES: usize = 10_000;
const QUEUES: usize = 1_000;
/// Words of a kind; every shop has a pattern. Neighbours, so that no key comes twice.
const SHOPS: usize = 3_333;
const ORDERS: usize = 3_334;
const RULES: usize = 100;

/// Distinct, of three words.
fn key(index: usize) -> String {
    format!("shop-{}.order-{}.event-{}", index % SHOPS, index % ORDERS, index % 4)
}

/// A third each exact, with `*` and with `#`; a key matches one to three.
fn pattern(index: usize) -> String {
    match index % 3 {
        0 => key(index * 7),
        1 => format!("*.order-{}.event-1", index / 3 % ORDERS),
        _ => format!("shop-{}.#", index / 3 % SHOPS),
    }
}

fn router(kind: ExchangeKind, route_cache_entries_max: usize) -> Router {
    let mut router = Router::new(RouteLimits { route_cache_entries_max, ..RouteLimits::default() });
    router.exchange_put(EXCHANGE, kind, None, None).expect("a fresh exchange");
    router
}

fn bind(router: &mut Router, index: usize, key: &str, arguments: Arguments) {
    let queue = Target::Queue((index % QUEUES) as u32);
    router.bind(EXCHANGE, queue, key.as_bytes(), arguments).expect("within the limits");
}

fn topic_router(cache_entries_max: usize) -> Router {
    let mut router = router(ExchangeKind::Topic, cache_entries_max);
    for index in 0..BINDINGS {
        bind(&mut router, index, &pattern(index), Arguments::none());
    }
    router
}

fn topic(cache_entries_max: usize) -> Prepared {
    let mut router = topic_router(cache_entries_max);
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    let mut route = move |index: usize| {
        let message = Message { routing_key: keys[index].as_bytes(), ..Message::default() };
        let set = router.route(EXCHANGE, black_box(&message));
        router.targets(set).len()
    };
    let matched: Vec<usize> = (0..KEYS).map(&mut route).collect();
    assert!(matched.iter().all(|count| (1..=3).contains(count)), "a key goes to one to three queues");
    let mut next = 0;
    Prepared::new(ROUTES, 0, move || {
        for index in next..next + ROUTES {
            black_box(route(index));
        }
        next = (next + ROUTES) % KEYS;
    })
}

pub fn topic_cached() -> Prepared {
    topic(RouteLimits::default().route_cache_entries_max)
}

pub fn topic_uncached() -> Prepared {
    topic(0)
}

/// One binding more and one less, among 10,000.
pub fn bind_unbind() -> Prepared {
    let mut router = topic_router(0);
    Prepared::new(1, 0, move || {
        let queue = Target::Queue(0);
        router.bind(EXCHANGE, queue, b"shop-1.*.more.#", Arguments::none()).expect("within the limits");
        assert!(router.unbind(EXCHANGE, queue, b"shop-1.*.more.#", &Arguments::none()));
    })
}

/// A headers exchange of 10,000 bindings, each on two headers, of which a message meets one.
pub fn headers_10k() -> Prepared {
    let mut router = router(ExchangeKind::Headers, 0);
    let test = |name: &str, value: String| HeaderTest {
        name: name.as_bytes().into(),
        op: HeaderOp::Equal,
        value: Literal::Text(value.into_bytes().into()),
    };
    for index in 0..BINDINGS {
        let tests = [test("shop", format!("shop-{index}")), test("kind", format!("kind-{}", index % 4))];
        bind(&mut router, index, "", Arguments::headers(HeadersMatch::All, &tests).expect("two headers"));
    }
    let headers = |index: usize| {
        let mut out = Vec::new();
        write_map(&mut out, 3);
        let shop = index * 7 % BINDINGS;
        for (name, value) in [("id", index), ("shop", shop), ("kind", shop % 4)] {
            write_str(&mut out, name);
            write_str(&mut out, &format!("{name}-{value}"));
        }
        out
    };
    let all: Vec<Vec<u8>> = (0..BINDINGS).map(headers).collect();
    let mut next = 0;
    Prepared::new(100, 0, move || {
        for headers in &all[next..next + 100] {
            let message = Message { headers, ..Message::default() };
            let set = router.route(EXCHANGE, black_box(&message));
            assert_eq!(router.targets(set).len(), 1);
        }
        next = (next + 100) % BINDINGS;
    })
}

/// 100 rules over four fields of a JSON body: the fields are read once.
pub fn where_100() -> Prepared {
    let mut router = router(ExchangeKind::Fanout, 0);
    for index in 0..RULES {
        let rule = match index % 2 {
            0 => format!("$.customer.region == \"region-{index}\" && $.amount > 100"),
            _ => format!(
                "$.amount >= {index} and prefix($.customer.name, \"n-{index}\") or $.items[0].sku == \"{index}\""
            ),
        };
        let predicate = Predicate::parse(&rule).expect("a good rule");
        bind(&mut router, index, "", Arguments::filter(predicate));
    }
    let body = |index: usize| {
        format!(
            r#"{{"id": {index}, "note": "left at the door", "customer": {{"name": "Ada", "region": "region-{}"}},
            "amount": 120.5, "items": [{{"sku": "x", "count": 2}}, {{"sku": "y", "count": 1}}]}}"#,
            index % RULES / 2 * 2
        )
    };
    let all: Vec<String> = (0..1_000).map(body).collect();
    Prepared::new(all.len(), 0, move || {
        for body in &all {
            let message = Message { value: body.as_bytes(), ..Message::default() };
            let set = router.route(EXCHANGE, black_box(&message));
            assert_eq!(router.targets(set).len(), 1);
        }
    })
}
