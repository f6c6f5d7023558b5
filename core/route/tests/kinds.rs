//! What each kind of exchange does, by example.

use super::kit::{bind, message, queue, queues, queues_of, router};
use crate::route::{
    Arguments, DEFAULT_EXCHANGE, Destination, ExchangeKind, Message, NOWHERE, Predicate, RouteLimits, Router, Step,
    Target,
};

#[test]
fn a_direct_exchange_takes_the_key_itself() {
    let mut router = router(&[(1, ExchangeKind::Direct)]);
    bind(&mut router, 1, 10, "a.b");
    bind(&mut router, 1, 11, "a.b");
    bind(&mut router, 1, 12, "*");
    assert_eq!(queues(&mut router, 1, "a.b"), [10, 11]);
    assert_eq!(queues(&mut router, 1, "*"), [12]);
    assert_eq!(queues(&mut router, 1, "a"), []);
    assert_eq!(queues(&mut router, 2, "a.b"), [], "an exchange that is not there takes nothing");
}

#[test]
fn a_fanout_exchange_takes_every_key_and_a_queue_once() {
    let mut router = router(&[(1, ExchangeKind::Fanout)]);
    for (to, key) in [(12, ""), (11, "x"), (12, "y")] {
        bind(&mut router, 1, to, key);
    }
    assert_eq!(queues(&mut router, 1, "any"), [11, 12]);
    assert_eq!(router.sets_len(), 1);
}

#[test]
fn a_topic_exchange_matches_words() {
    let patterns =
        ["a.b", "a.*", "*.b", "a.#", "#.b", "#", "a.*.c", "a.#.c", "#.b.#", "*", "", "a..b", "*.*", "#.#", "#.*"];
    let mut router = router(&[(1, ExchangeKind::Topic)]);
    for (id, pattern) in patterns.iter().enumerate() {
        bind(&mut router, 1, id as u32, pattern);
    }
    let mut matched =
        |key: &str| -> Vec<&str> { queues(&mut router, 1, key).into_iter().map(|id| patterns[id as usize]).collect() };
    assert_eq!(matched("a.b"), ["a.b", "a.*", "*.b", "a.#", "#.b", "#", "#.b.#", "*.*", "#.#", "#.*"]);
    assert_eq!(matched("a"), ["a.#", "#", "*", "#.#", "#.*"]);
    assert_eq!(matched("b"), ["#.b", "#", "#.b.#", "*", "#.#", "#.*"]);
    assert_eq!(matched("a.b.c"), ["a.#", "#", "a.*.c", "a.#.c", "#.b.#", "#.#", "#.*"]);
    assert_eq!(matched("a.c"), ["a.*", "a.#", "#", "a.#.c", "*.*", "#.#", "#.*"]);
    assert_eq!(matched(""), ["#", "", "#.#"]);
    assert_eq!(matched("a..b"), ["a.#", "#.b", "#", "#.b.#", "a..b", "#.#", "#.*"]);
    assert_eq!(matched("ab"), ["#", "*", "#.#", "#.*"]);
}

#[test]
fn patterns_that_overlap_without_end_are_matched_in_bounded_time() {
    let mut router = router(&[(1, ExchangeKind::Topic)]);
    let pattern = ["#.a"; 60].join(".");
    bind(&mut router, 1, 1, &format!("{pattern}.b"));
    bind(&mut router, 1, 2, &format!("{pattern}.#"));
    let key = ["a"; 500].join(".");
    assert_eq!(queues(&mut router, 1, &key), [2]);
    assert_eq!(queues(&mut router, 1, &format!("{key}.b")), [1, 2]);
}

#[test]
fn a_key_over_the_limit_only_meets_a_plain_hash() {
    let mut router = router(&[(1, ExchangeKind::Topic)]);
    bind(&mut router, 1, 1, "#");
    bind(&mut router, 1, 2, "*");
    let key = "k".repeat(RouteLimits::default().key_bytes_max);
    assert_eq!(queues(&mut router, 1, &key), [1, 2]);
    assert_eq!(queues(&mut router, 1, &format!("{key}k")), [1]);
    assert!(router.bind(1, queue(3), format!("{key}k").as_bytes(), Arguments::none()).is_err());
}

#[test]
fn a_hash_exchange_takes_one_binding_a_key_in_proportion_to_weights() {
    let mut router = router(&[(1, ExchangeKind::ConsistentHash)]);
    let weights = [1, 1, 2, 4];
    for (to, weight) in weights.iter().enumerate() {
        bind(&mut router, 1, to as u32, &weight.to_string());
    }
    let shares = |router: &mut Router| -> Vec<u32> {
        let one = |key: u32| {
            let queues = queues(router, 1, &format!("key-{key}"));
            assert_eq!(queues.len(), 1);
            queues[0]
        };
        (0..20_000).map(one).collect()
    };
    let before = shares(&mut router);
    for (to, weight) in weights.iter().enumerate() {
        let share = before.iter().filter(|&&found| found == to as u32).count() * 8 / weight;
        assert!((18_000..22_000).contains(&share), "queue {to} of weight {weight} has {share} eighths");
    }
    bind(&mut router, 1, 9, "8");
    let after = shares(&mut router);
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
    assert!(moved.clone().all(|(_, &after)| after == 9), "only to the new one");
    assert!((9_000..11_000).contains(&moved.count()), "half of the weight is the new one's");
    assert!(router.unbind(1, queue(9), b"8", &Arguments::none()));
    assert_eq!(shares(&mut router), before, "and back again");
}

#[test]
fn a_hash_exchange_may_hash_a_header_and_refuses_other_keys_than_weights() {
    let mut router = Router::new(RouteLimits::default());
    router.exchange_put(1, ExchangeKind::ConsistentHash, None, Some("user")).unwrap();
    for to in 0..8 {
        bind(&mut router, 1, to, "");
    }
    for user in [&[0x81, 0xa4, b'u', b's', b'e', b'r', 0xa1, b'a'][..], &[0x81, 0xa4, b'u', b's', b'e', b'r', 0x07]] {
        let mut of = |key: &[u8]| queues_of(&mut router, 1, &Message { routing_key: key, headers: user, value: b"" });
        let first = of(b"x");
        assert!((0..100_u8).all(|key| of(&[key]) == first), "the key says nothing");
    }
    let distinct: std::collections::HashSet<_> = (0..100).map(|key| queues(&mut router, 1, &key.to_string())).collect();
    assert_eq!(distinct.len(), 8, "without the header the key is hashed");
    for key in ["0", "-1", "1001", "x", "1.5"] {
        assert!(router.bind(1, queue(9), key.as_bytes(), Arguments::none()).is_err(), "{key}");
    }
    assert!(router.exchange_put(2, ExchangeKind::Direct, None, Some("user")).is_err());
}

#[test]
fn a_trace_names_every_step_also_over_alternates_and_ends_where_a_cycle_closes() {
    let mut router = router(&[(1, ExchangeKind::Topic), (2, ExchangeKind::Direct), (4, ExchangeKind::Fanout)]);
    router.exchange_put(3, ExchangeKind::Direct, Some(4), None).unwrap();
    bind(&mut router, 1, 10, "a.#");
    for (from, to, key) in [(1, 2, "a.b"), (2, 1, "a.b"), (1, 3, "x")] {
        router.bind(from, Destination::Exchange(to), key.as_bytes(), Arguments::none()).unwrap();
    }
    bind(&mut router, 2, 11, "a.b");
    bind(&mut router, 4, 12, "");
    let exchange = Destination::Exchange;
    let step = |from, to| Step { from, to };
    let mut steps = router.trace(1, &message("a.b"), 100);
    steps.sort_by_key(|step| format!("{step:?}"));
    let way = [step(1, exchange(2)), step(1, queue(10)), step(2, exchange(1)), step(2, queue(11))];
    assert_eq!(steps, way);
    assert_eq!(router.trace(1, &message("x"), 100), [step(1, exchange(3)), step(3, exchange(4)), step(4, queue(12))]);
    assert_eq!(router.trace(1, &message("nowhere"), 100), []);
    assert_eq!(router.trace(1, &message("a.b"), 2).len(), 2);
    router.name_put(b"jobs", 7);
    assert_eq!(router.trace(DEFAULT_EXCHANGE, &message("jobs"), 100), [step(DEFAULT_EXCHANGE, queue(7))]);
}

#[test]
fn the_default_exchange_routes_by_queue_name() {
    let mut router = router(&[]);
    router.name_put(b"orders", 7);
    assert_eq!(queues(&mut router, 0, "orders"), [7]);
    router.name_remove(b"orders");
    assert_eq!(router.route(0, &message("orders")), NOWHERE);
    assert!(router.bind(0, queue(1), b"", Arguments::none()).is_err());
    assert!(router.exchange_put(0, ExchangeKind::Direct, None, None).is_err());
}

#[test]
fn exchanges_lead_to_exchanges_and_a_cycle_ends() {
    let kinds = [(1, ExchangeKind::Topic), (2, ExchangeKind::Fanout), (3, ExchangeKind::Direct)];
    let mut router = router(&kinds);
    for (from, to, key) in [(1, 2, "a.*"), (2, 3, ""), (3, 1, "a.b"), (1, 1, "#")] {
        router.bind(from, Destination::Exchange(to), key.as_bytes(), Arguments::none()).unwrap();
    }
    bind(&mut router, 1, 10, "#");
    bind(&mut router, 2, 20, "");
    bind(&mut router, 3, 30, "a.b");
    assert_eq!(queues(&mut router, 1, "a.b"), [10, 20, 30]);
    assert_eq!(queues(&mut router, 1, "a.c"), [10, 20]);
    assert_eq!(queues(&mut router, 2, "a.b"), [10, 20, 30]);
    router.exchange_remove(2);
    assert_eq!(queues(&mut router, 1, "a.b"), [10]);
    assert_eq!(queues(&mut router, 3, "a.b"), [10, 30]);
    assert_eq!(router.bindings_len(), 4);
    assert!(router.bind(1, Destination::Exchange(2), b"", Arguments::none()).is_err());
}

#[test]
fn the_alternate_takes_what_nothing_else_takes() {
    let mut router = router(&[(2, ExchangeKind::Fanout), (3, ExchangeKind::Direct)]);
    router.exchange_put(1, ExchangeKind::Direct, Some(2), None).unwrap();
    bind(&mut router, 1, 10, "a");
    bind(&mut router, 2, 20, "");
    assert_eq!(queues(&mut router, 1, "a"), [10]);
    assert_eq!(queues(&mut router, 1, "b"), [20]);
    // Bound on to an exchange that takes nothing: the message would be lost without the alternate.
    router.bind(1, Destination::Exchange(3), b"b", Arguments::none()).unwrap();
    assert_eq!(queues(&mut router, 1, "b"), [20]);
    bind(&mut router, 3, 30, "b");
    assert_eq!(queues(&mut router, 1, "b"), [30]);
    // The default exchange, and then an exchange that is its own alternate.
    router.exchange_put(1, ExchangeKind::Direct, Some(0), None).unwrap();
    assert_eq!(queues(&mut router, 1, "c"), []);
    router.name_put(b"c", 40);
    assert_eq!(queues(&mut router, 1, "c"), [40]);
    router.exchange_put(1, ExchangeKind::Direct, Some(1), None).unwrap();
    assert_eq!(queues(&mut router, 1, "c"), []);
}

#[test]
fn a_rule_narrows_what_the_key_takes_and_is_never_cached() {
    let mut router = router(&[(1, ExchangeKind::Topic)]);
    let urgent = || Arguments::filter(Predicate::parse("$.priority == \"urgent\"").unwrap());
    router.bind(1, queue(10), b"mail.#", urgent()).unwrap();
    bind(&mut router, 1, 11, "mail.*");
    let of = |value| Message { routing_key: b"mail.out", headers: b"", value };
    assert_eq!(queues_of(&mut router, 1, &of(br#"{"priority": "bulk"}"#)), [11]);
    assert_eq!(queues_of(&mut router, 1, &of(br#"{"priority": "urgent"}"#)), [10, 11]);
    assert_eq!(queues_of(&mut router, 1, &of(b"")), [11]);
    assert!(!router.unbind(1, queue(10), b"mail.#", &Arguments::none()), "another binding");
    assert!(router.unbind(1, queue(10), b"mail.#", &urgent()));
    assert_eq!(queues_of(&mut router, 1, &of(br#"{"priority": "urgent"}"#)), [11]);
}

#[test]
fn rules_of_a_fanout_are_asked_for_every_message() {
    let mut router = router(&[(1, ExchangeKind::Fanout)]);
    for (to, rule) in [(1, "$.a == 1"), (2, "$.a == 2 or header('x') == 1"), (3, "$.a == 1.0 and $.b > 1"), (4, "!$.c")]
    {
        router.bind(1, queue(to), b"", Arguments::filter(Predicate::parse(rule).unwrap())).unwrap();
    }
    router.target_remove(Target::Queue(4));
    let of = |headers, value| Message { routing_key: b"", headers, value };
    assert_eq!(queues_of(&mut router, 1, &of(b"", b"")), [], "met by none of the values that rules need");
    assert_eq!(queues_of(&mut router, 1, &of(b"", br#"{"a": 1}"#)), [1]);
    assert_eq!(queues_of(&mut router, 1, &of(b"", br#"{"a": 1e0, "b": 2}"#)), [1, 3]);
    assert_eq!(queues_of(&mut router, 1, &of(b"\x81\xa1x\x01", br#"{"a": 1}"#)), [1, 2]);
    assert_eq!(queues_of(&mut router, 1, &of(b"\x82\xa1x\x02\xa1x\x01", b"")), [], "the first of two headers");
    assert_eq!(queues_of(&mut router, 1, &of(b"\x82\xa1x\x01\xa1x", b"")), [2], "of broken headers what is before");
    router.target_remove(Target::Queue(1));
    router.target_remove(Target::Queue(3));
    assert_eq!(queues_of(&mut router, 1, &of(b"", br#"{"a": 2}"#)), [2], "another value of the field is still filed");
}

#[test]
fn binding_twice_is_binding_once_and_kinds_do_not_change() {
    let mut router = router(&[(1, ExchangeKind::Topic)]);
    for _ in 0..2 {
        bind(&mut router, 1, 10, "a.*");
        router.bind(1, Target::Topic(7), b"a.*", Arguments::none()).unwrap();
    }
    assert_eq!(router.bindings_len(), 2);
    let set = router.route(1, &message("a.b"));
    assert_eq!(router.targets(set), [Target::Queue(10), Target::Topic(7)]);
    assert_eq!(router.intern(&[Target::Topic(7), Target::Queue(10), Target::Topic(7)]), set);
    assert!(router.exchange_put(1, ExchangeKind::Direct, None, None).is_err());
    router.target_remove(Target::Queue(10));
    router.target_remove(Target::Topic(7));
    assert_eq!(router.bindings_len(), 0);
    assert_eq!(router.route(1, &message("a.b")), NOWHERE);
}

#[test]
fn limits_are_kept() {
    let limits = RouteLimits { exchanges_max: 1, bindings_max: 1, ..RouteLimits::default() };
    let mut router = Router::new(limits);
    router.exchange_put(1, ExchangeKind::Fanout, None, None).unwrap();
    router.exchange_put(1, ExchangeKind::Fanout, None, None).unwrap();
    assert!(router.exchange_put(2, ExchangeKind::Fanout, None, None).is_err());
    bind(&mut router, 1, 1, "");
    bind(&mut router, 1, 1, "");
    assert!(router.bind(1, queue(2), b"", Arguments::none()).is_err());
}

#[test]
fn sets_that_nobody_keeps_go_and_their_numbers_come_back() {
    let mut router = Router::new(RouteLimits { destination_sets_max: 4, ..RouteLimits::default() });
    router.exchange_put(1, ExchangeKind::Direct, None, None).unwrap();
    for to in 0..8 {
        bind(&mut router, 1, to, &to.to_string());
    }
    let sets: Vec<_> = (0..4).map(|key| router.route(1, &message(&key.to_string()))).collect();
    assert!(router.sweep_due());
    router.forget(|set| set == sets[1]);
    assert!(!router.sweep_due());
    assert_eq!(router.sets_len(), 1);
    assert_eq!(router.targets(sets[1]), [Target::Queue(1)]);
    for key in 0..8 {
        assert_eq!(queues(&mut router, 1, &key.to_string()), [key]);
    }
    assert_eq!(router.route(1, &message("1")), sets[1]);
    assert_eq!(router.sets_len(), 8);
    assert!((1..=8).all(|set| router.targets(set).len() == 1), "the freed numbers were given again");
}
