//! The fuzz target on seeded random bytes and on mutations of good rules and messages.

use super::kit::Random;
use super::values::{Content, Rule};
use crate::route::fuzz_target::route_any;

/// What opens, ends or announces something in rules, JSON and msgpack.
const TELLING: &[u8] = b"\"'\\$.[](){},:=!<>&|-0e \x00\x80\x81\x91\x92\xc0\xc1\xc4\xcb\xcf\xd3\xdd\xdf\xff";

fn case(random: &mut Random) -> Vec<u8> {
    let content = Content::random(random, "a".to_owned());
    let (headers, value) = content.bytes(random);
    let mut rule = Rule::random(random, 2).text(random).into_bytes();
    rule.truncate(255);
    let mut data = vec![rule.len() as u8, headers.len() as u8, 1];
    for part in [&rule[..], &headers, b"a", &value] {
        data.extend_from_slice(part);
    }
    data
}

fn mutate(random: &mut Random, data: &mut Vec<u8>) {
    let at = random.below(data.len());
    match random.below(6) {
        0 => data[at] ^= 1 << random.below(8),
        1 | 2 => data[at] = *random.pick(TELLING),
        3 => data.insert(at, *random.pick(TELLING)),
        4 if data.len() > 8 => {
            data.remove(at);
        }
        _ => {
            let other = case(random);
            let from = random.below(other.len());
            let end = (from + random.below(20)).min(other.len());
            data.splice(at..at, other[from..end].iter().copied());
        }
    }
}

#[test]
fn rules_decide_mutated_messages_together_as_each_alone() {
    let mut random = Random::seeded(0x0066_757a_7a01);
    for _ in 0..4_000 {
        let mut data = case(&mut random);
        for _ in 0..random.below(6) {
            mutate(&mut random, &mut data);
        }
        route_any(&data);
    }
}

#[test]
fn random_bytes_are_survived() {
    let mut random = Random::seeded(0x0066_757a_7a02);
    for _ in 0..4_000 {
        let data: Vec<u8> = (0..3 + random.below(80))
            .map(|_| if random.once(2) { *random.pick(TELLING) } else { random.next() as u8 })
            .collect();
        route_any(&data);
    }
}
