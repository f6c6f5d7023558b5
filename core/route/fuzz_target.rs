//! What the fuzzer (core/fuzz) and the ordinary test run on any bytes: a rule that parses decides alike
//! whether it is alone or among others that share its fields, whatever the message holds.

use super::{Arguments, ExchangeKind, Message, Predicate, RouteLimits, Router, Target};

/// Rules beside the one that is tried: they have other fields read, and values that rules are filed under.
const RULES: [&str; 10] = [
    "$.a == 1",
    "$.a == 'x' or $.b == true",
    "$.a.b == 1 and $.c > 2",
    "$.a[1].b != null",
    "exists($.c) and not exists($.a.b.c.d)",
    "prefix($.b, 'x')",
    "header('x') == 1 or header('y') == 'z'",
    "exists(header('x')) and key == 'a'",
    "$ == 7 or $[0] == 'x'",
    "$.a < $.b",
];

/// `data`: length of the rule, length of the headers, length of the key; then these, and the rest is the value.
///
/// # Panics
/// When the room breaks a promise: that is the finding.
pub fn route_any(data: &[u8]) {
    let Some((&[rule, headers, key], rest)) = data.split_first_chunk() else { return };
    let (rule, rest) = rest.split_at(usize::from(rule).min(rest.len()));
    let (headers, rest) = rest.split_at(usize::from(headers).min(rest.len()));
    let (routing_key, value) = rest.split_at(usize::from(key).min(rest.len()));
    let message = Message { routing_key, headers, value };
    let text = String::from_utf8_lossy(rule);
    let rules: Vec<&str> = RULES.into_iter().chain(Predicate::parse(&text).ok().map(|_| &*text)).collect();
    let mut router = Router::new(RouteLimits::default());
    router.exchange_put(1, ExchangeKind::Fanout, None, None).expect("a fresh exchange");
    let mut alone = Vec::new();
    for (queue, rule) in rules.iter().enumerate() {
        let parse = || Predicate::parse(rule).expect("it parsed before");
        let queue = Target::Queue(queue as u32);
        router.bind(1, queue, b"", Arguments::filter(parse())).expect("few bindings");
        if parse().holds(&message) {
            alone.push(queue);
        }
    }
    let set = router.route(1, &message);
    assert_eq!(router.targets(set), alone, "together as each alone: {rules:?}");
}
