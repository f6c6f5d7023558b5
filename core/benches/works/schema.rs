//! Works of `schema`: ticks of 60 bytes checked, read with a newer schema, and filtered.

use std::hint::black_box;

use millrace_core::route::{Filter, Message};
use millrace_core::schema::{Enforcement, EnforcementMode, Memo, Schema, Schemas};
use millrace_core::stdx::msgpack::{write_array, write_bin, write_nil, write_str, write_uint};

use super::Prepared;

const TICKS: usize = 1_000;
const TICK_BYTES: usize = 60;
const OLD: u32 = 7;
const NEW: u32 = 8;

/// A field's name, type, and default where it has one.
type Field<'a> = (&'a str, u64, Option<&'a [u8]>);

/// The table of a record of these fields; 9 is the type of venues, 10 a string or null.
fn schema(fields: &[Field<'_>]) -> Schema {
    let mut out = Vec::new();
    write_array(&mut out, 3);
    write_uint(&mut out, 1);
    write_uint(&mut out, 8);
    write_array(&mut out, 3);
    head(&mut out, 4, 13, "Tick");
    write_array(&mut out, fields.len());
    for &(name, of, default) in fields {
        write_array(&mut out, 4);
        write_str(&mut out, name);
        write_array(&mut out, 0);
        write_uint(&mut out, of);
        match default {
            Some(body) => write_bin(&mut out, body),
            None => write_nil(&mut out),
        }
    }
    head(&mut out, 5, 9, "Venue");
    write_array(&mut out, 2);
    write_str(&mut out, "XNAS");
    write_str(&mut out, "XNYS");
    write_nil(&mut out);
    write_array(&mut out, 2);
    for value in [12, 0x92, 0, 7] {
        out.push(value);
    }
    Schema::read(&out).expect("a good table")
}

/// The beginning of a named type: its length, kind, name, and no alias.
fn head(out: &mut Vec<u8>, length: usize, kind: u64, name: &str) {
    write_array(out, length);
    write_uint(out, kind);
    write_str(out, name);
    write_array(out, 0);
}

fn long(out: &mut Vec<u8>, value: i64) {
    let mut raw = (value << 1 ^ value >> 63).cast_unsigned();
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    long(out, text.len().cast_signed() as i64);
    out.extend_from_slice(text.as_bytes());
}

/// A value with its schema's id in front of the body.
fn tick(index: u32) -> Vec<u8> {
    let mut out = [&[0], &OLD.to_be_bytes()[..]].concat();
    text(&mut out, ["AAPL", "MSFT", "AMZN", "GOOG"][index as usize % 4]);
    let price = 150.0 + f64::from(index % 100);
    for price in [price, price - 0.1, price + 0.1] {
        out.extend_from_slice(&price.to_le_bytes());
    }
    long(&mut out, 1_200_300 + i64::from(index) * 7);
    long(&mut out, 1_763_726_400_000 + i64::from(index));
    long(&mut out, i64::from(index % 2));
    long(&mut out, 1);
    text(&mut out, "regular hours only");
    assert_eq!(out.len() - 5, TICK_BYTES);
    out
}

struct House {
    schemas: Schemas,
    memo: Memo,
    ticks: Vec<Vec<u8>>,
}

fn house() -> House {
    let (price, volume): (Field<'_>, Field<'_>) = (("price", 5, None), ("volume", 3, None));
    let (bid, ask, time) = (("bid", 5, None), ("ask", 5, None), ("time", 3, None));
    let (venue, note) = (("venue", 9, None), ("note", 10, None));
    let schemas = Schemas::default();
    let old = schema(&[("symbol", 7, None), price, bid, ask, volume, time, venue, note]);
    // A field more and one less, and a long that became a double.
    let new =
        schema(&[("symbol", 7, None), price, bid, ask, ("lots", 3, Some(&[2])), ("volume", 5, None), time, venue]);
    schemas.put(OLD, old).expect("few schemas");
    schemas.put(NEW, new).expect("few schemas");
    House { schemas, memo: Memo::default(), ticks: (0..TICKS as u32).map(tick).collect() }
}

fn enforced(mode: EnforcementMode) -> Prepared {
    let House { schemas, mut memo, ticks } = house();
    let enforcement = Enforcement::new(mode, vec![3, OLD, NEW]);
    Prepared::new(TICKS, TICKS * TICK_BYTES, move || {
        for tick in &ticks {
            let checked = enforcement.check(&schemas, black_box(Some(tick)), &[0xc0], &mut memo);
            assert!(checked.is_ok());
        }
    })
}

/// The id is of the subject.
pub fn id() -> Prepared {
    enforced(EnforcementMode::Id)
}

/// And the body decodes with it.
pub fn validate() -> Prepared {
    enforced(EnforcementMode::Full)
}

/// Into a schema with a field more, one less, and one promoted.
pub fn resolve() -> Prepared {
    let House { schemas, mut memo, ticks } = house();
    let mut out = Vec::new();
    Prepared::new(TICKS, TICKS * TICK_BYTES, move || {
        out.clear();
        for tick in &ticks {
            let resolution = memo.resolution(&schemas, OLD, NEW).expect("one reads the other");
            assert!(resolution.apply(black_box(&tick[5..]), &mut out).is_ok());
        }
    })
}

/// By two fields; 12 of 100 go through.
pub fn filter() -> Prepared {
    let House { schemas, mut memo, ticks } = house();
    let filter = Filter::parse("price >= 200 and symbol == \"AAPL\"").expect("a good rule");
    Prepared::new(TICKS, TICKS * TICK_BYTES, move || {
        let takes = |value: &Vec<u8>| {
            let message = Message { routing_key: b"", headers: &[0xc0], value: black_box(value) };
            filter.takes(&message, &schemas, &mut memo)
        };
        let count = ticks.iter().map(takes).filter(|&takes| takes).count();
        assert_eq!(count, TICKS * 12 / 100);
    })
}
