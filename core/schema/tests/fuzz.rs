//! The fuzz target on mutations of good tables and bodies, and on random bytes, both from a seed.

use super::kit::{Body, FieldOf, Table, field, tick};
use crate::route::tests::kit::Random;
use crate::schema::fuzz_target::schema_any;

/// What announces something in msgpack and Avro.
const TELLING: &[u8] =
    b"\x00\x01\x02\x03\x07\x08\x09\x0a\x0b\x0c\x0d\x7f\x80\x81\x90\x91\x93\x94\xa1\xc0\xc4\xd9\xdc\xff";

/// Schemas of which each reads some of the others, and a body of each.
fn cases() -> Vec<(Table, Body)> {
    let seven = Body::new().long(7).0;
    let added = FieldOf { name: "added", aliases: &["bid"], of: 5, default: None };
    let default = FieldOf { name: "default", aliases: &[], of: 3, default: Some(&seven) };
    let other = Table::new(8)
        .record("Tick", &[field("time", 5), added, default, field("symbol", 6), field("venue", 9)])
        .symbols("Venue", &["XNYS", "X"], Some(1));
    let other_body = Body::new().double(1.0).double(2.0).long(3).text("x").long(1);
    let list = || [field("value", 3), field("next", 9)];
    let first = Table::new(8).record("List", &list()).union(&[0, 8]);
    let turned =
        [field("next", 9), field("value", 5), FieldOf { name: "x", aliases: &[], of: 3, default: Some(&seven) }];
    let second = Table::new(8).record("List", &turned).union(&[8, 0]);
    let nested = |of: u64| Table::new(8).array(9).map(10).union(&[0, of, 11, 12]).fixed("F", 2).record("Nothing", &[]);
    let body = || Body::new().long(-1).long(5).long(1).text("k").long(0).long(0).long(0);
    vec![
        tick(),
        (other, other_body),
        (first, Body::new().long(1).long(1).long(2).long(0)),
        (second, Body::new().long(0).long(1).double(2.0).long(3).double(4.0).long(5)),
        (nested(7), body()),
        (nested(5), body()),
        (Table::new(8).array(9).record("Nothing", &[]), Body::new().long(1_000).long(0)),
        (Table::new(8).array(9).record("Nothing", &[default_only(&seven)]), Body::new().long(1).long(1).long(0)),
    ]
}

fn default_only(default: &[u8]) -> FieldOf<'_> {
    FieldOf { name: "default", aliases: &[], of: 3, default: Some(default) }
}

fn joined(writer: &[u8], reader: &[u8], body: &[u8]) -> Vec<u8> {
    let lengths = [(writer.len() as u16).to_be_bytes(), (reader.len() as u16).to_be_bytes()].concat();
    [&lengths, writer, reader, body].concat()
}

fn mutate(random: &mut Random, data: &mut Vec<u8>) {
    if data.is_empty() {
        return data.push(*random.pick(TELLING));
    }
    let at = random.below(data.len());
    match random.below(5) {
        0 => data[at] ^= 1 << random.below(8),
        1 | 2 => data[at] = *random.pick(TELLING),
        3 => data.insert(at, *random.pick(TELLING)),
        _ => {
            data.remove(at);
        }
    }
}

#[test]
fn mutated_tables_and_bodies_keep_every_promise() {
    let cases = cases();
    let mut random = Random::seeded(0x0073_6368_656d_6131);
    for _ in 0..40_000 {
        let (table, body) = random.pick(&cases);
        let (mut writer, mut body) = (table.bytes(), body.0.clone());
        let mut reader = random.pick(&cases).0.bytes();
        for _ in 0..random.below(4) {
            mutate(&mut random, &mut body);
        }
        for _ in 0..random.below(3) {
            let table = if random.once(2) { &mut writer } else { &mut reader };
            mutate(&mut random, table);
        }
        schema_any(&joined(&writer, &reader, &body));
    }
}

#[test]
fn random_bytes_are_survived() {
    let mut random = Random::seeded(0x0073_6368_656d_6132);
    for _ in 0..40_000 {
        let mut bytes = |count: usize| -> Vec<u8> {
            (0..random.below(count))
                .map(|_| if random.once(2) { *random.pick(TELLING) } else { random.next() as u8 })
                .collect()
        };
        schema_any(&joined(&bytes(40), &bytes(40), &bytes(20)));
    }
}
