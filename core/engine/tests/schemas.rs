//! Topics and queues that take only records of their schemas.

use super::kit::*;
use super::space_kit;
use crate::schema::{Enforcement, EnforcementMode, Taker};

pub const ID: u32 = 7;
const NACK: u64 = 21;
const ACK: u64 = 20;

/// The table of `record Tick { price: long }`.
fn table() -> Vec<u8> {
    table_of(&[("price", None)])
}

/// The table of a record Tick of longs, with the bodies of their defaults.
pub fn table_of(fields: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    const RECORD: u64 = 13;
    const LONG: u64 = 3;
    let mut out = Vec::new();
    msgpack::write_array(&mut out, 3);
    msgpack::write_uint(&mut out, 1);
    msgpack::write_uint(&mut out, 8);
    msgpack::write_array(&mut out, 1);
    msgpack::write_array(&mut out, 4);
    msgpack::write_uint(&mut out, RECORD);
    msgpack::write_str(&mut out, "Tick");
    msgpack::write_array(&mut out, 0);
    msgpack::write_array(&mut out, fields.len());
    for (name, default) in fields {
        msgpack::write_array(&mut out, 4);
        msgpack::write_str(&mut out, name);
        msgpack::write_array(&mut out, 0);
        msgpack::write_uint(&mut out, LONG);
        match default {
            Some(body) => msgpack::write_bin(&mut out, body),
            None => msgpack::write_nil(&mut out),
        }
    }
    out
}

pub fn tick(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], body].concat()
}

/// A price of 21.
fn good() -> Vec<u8> {
    tick(ID, &[42])
}

/// The body ends inside the price.
fn bad() -> Vec<u8> {
    tick(ID, &[0x80])
}

fn enforce(rig: &Rig, taker: Taker, version: u64, mode: EnforcementMode) {
    rig.worker.engine().schema_put(ID, &table()).unwrap();
    rig.worker.engine().enforce(taker, version, Some(Enforcement::new(mode, vec![ID])));
}

fn topic(mode: EnforcementMode) -> (Rig, u32) {
    let mut rig = Rig::in_memory(1);
    let connection = rig.connect();
    enforce(&rig, Taker::Topic(LOG), 1, mode);
    (rig, connection)
}

/// Op and correlation id of each answered publish, by correlation id. Acks may come in runs.
fn answers(rig: &mut Rig, connection: u32) -> Vec<(u64, u64)> {
    const RUN_VALUES: usize = 6;
    rig.run();
    let mut found = Vec::new();
    for got in rig.frames(connection).iter().filter(|got| got.op == ACK || got.op == NACK) {
        let runs = if got.op == ACK { got.numbers.len() / RUN_VALUES } else { 1 };
        for run in got.numbers.chunks(RUN_VALUES).take(runs) {
            found.extend((run[1]..run[1] + run[2]).map(|correlation| (got.op, correlation)));
        }
    }
    found.sort_unstable_by_key(|(_, correlation)| *correlation);
    found
}

fn stored(rig: &Rig, log: u64) -> u64 {
    rig.worker.partition(log, 0).unwrap().next_offset()
}

#[test]
fn a_record_that_is_no_value_of_its_schema_refuses_its_batch_and_says_where() {
    let (mut rig, connection) = topic(EnforcementMode::Full);
    rig.worker.ingest(connection, &publish(1, 2, &batch_of(&[&good(), &good()]))).unwrap();
    rig.worker.ingest(connection, &publish(2, 2, &batch_of(&[&good(), &bad(), &good()]))).unwrap();
    rig.run();
    let frames = rig.frames(connection);
    assert_eq!(stored(&rig, LOG), 2, "nothing of the second batch is stored");
    let nack = frames.iter().find(|got| got.op == NACK).unwrap();
    assert_eq!(nack.numbers[1], 2);
    let reader = &mut Reader::new(&nack.content);
    reader.array().unwrap();
    for _ in 0..4 {
        reader.uint().unwrap();
    }
    assert_eq!(reader.uint().unwrap(), u64::from(ErrorCode::SCHEMA_VIOLATION.0));
    assert_eq!(reader.str().unwrap(), "schema_violation");
    let message = reader.str().unwrap();
    assert!(message.starts_with("record 1: ") && message.contains("price") && message.contains("encode"), "{message}");
    reader.skip(1).unwrap();
    assert_eq!(reader.map().unwrap(), 4);
    assert_eq!((reader.str().unwrap(), reader.uint().unwrap()), ("position", 1));
    assert_eq!((reader.str().unwrap(), reader.uint().unwrap()), ("schemaId", u64::from(ID)));
    assert_eq!((reader.str().unwrap(), reader.str().unwrap()), ("field", "price"));
    assert_eq!((reader.str().unwrap(), reader.str().unwrap()), ("reason", "the body ends inside a value of type long"));
}

#[test]
fn a_single_record_that_is_refused_refuses_itself_alone() {
    let (mut rig, connection) = topic(EnforcementMode::Full);
    let values = [good(), bad(), good(), b"plain".to_vec(), good()];
    let chunk: Vec<u8> = (0..).zip(&values).flat_map(|(at, value)| publish_one(at, 2, None, value)).collect();
    rig.worker.ingest(connection, &chunk).unwrap();
    assert_eq!(answers(&mut rig, connection), [(ACK, 0), (NACK, 1), (ACK, 2), (NACK, 3), (ACK, 4)]);
    assert_eq!(stored(&rig, LOG), 3);
}

#[test]
fn compressed_batches_and_those_of_transactions_are_looked_at_too() {
    let (mut rig, connection) = topic(EnforcementMode::Full);
    let mut builder = BatchBuilder::new(1_000_000);
    builder.push(0, None, Some(&good())).push(0, None, Some(&bad()));
    let batch = builder.build_compressed().unwrap();
    rig.worker.ingest(connection, &publish(1, 2, &batch)).unwrap();
    assert_eq!(answers(&mut rig, connection), [(NACK, 1)]);
    let refused = rig.worker.batch_check(LOG, false, &batch).unwrap_err();
    assert_eq!(refused.record.map(|record| record.position), Some(1));
    assert_eq!(rig.worker.batch_check(LOG, false, &batch_of(&[&good()])), Ok(1));
}

#[test]
fn ids_alone_let_any_body_pass_and_tombstones_always_do() {
    let (mut rig, connection) = topic(EnforcementMode::Id);
    let mut builder = BatchBuilder::new(1_000_000);
    builder.push(0, Some(b"k"), Some(&bad())).push(0, Some(b"k"), None);
    rig.worker.ingest(connection, &publish(1, 2, &builder.build())).unwrap();
    rig.worker.ingest(connection, &publish(2, 2, &batch_of(&[&tick(ID + 1, &[42])]))).unwrap();
    rig.worker.ingest(connection, &publish(3, 2, &batch_of(&[b"{}"]))).unwrap();
    assert_eq!(answers(&mut rig, connection), [(ACK, 1), (NACK, 2), (NACK, 3)]);
}

#[test]
fn open_publishers_follow_a_change_and_an_older_one_changes_nothing() {
    let (mut rig, connection) = topic(EnforcementMode::Full);
    let publish_bad = |rig: &mut Rig, correlation: u64| {
        rig.worker.ingest(connection, &publish(correlation, 2, &batch_of(&[&bad()]))).unwrap();
        answers(rig, connection)
    };
    assert_eq!(publish_bad(&mut rig, 1), [(NACK, 1)]);
    let engine = Arc::clone(rig.worker.engine());
    engine.enforce(Taker::Topic(LOG), 5, None);
    assert_eq!(publish_bad(&mut rig, 2), [(ACK, 2)]);
    enforce(&rig, Taker::Topic(LOG), 4, EnforcementMode::Full);
    assert_eq!(publish_bad(&mut rig, 3), [(ACK, 3)], "a worker that lags behind");
    enforce(&rig, Taker::Topic(LOG), 6, EnforcementMode::Full);
    assert_eq!(publish_bad(&mut rig, 4), [(NACK, 4)]);
}

const COPIES: u64 = 50;

/// A direct exchange with an enforcing queue at "k", one that takes anything at "other", and a topic at "t".
fn house() -> (Rig, u32) {
    let mut rig = space_kit::in_memory();
    let other = space_kit::QUEUE + 1;
    rig.worker.ensure_log(COPIES, 1, memory()).unwrap();
    let changes = [
        space_kit::queue(other, "other", &space_kit::Config::default()),
        space_kit::bind(space_kit::EXCHANGE, other, "other"),
        space_kit::bind_topic(space_kit::EXCHANGE, COPIES, "t"),
    ];
    for (version, change) in (10..).zip(&changes) {
        rig.worker.space_apply(space_kit::SPACE, version, change).unwrap();
    }
    enforce(&rig, Taker::Queue(space_kit::QUEUE), 1, EnforcementMode::Full);
    let producer = space_kit::connect(&mut rig, 0);
    (rig, producer)
}

fn routed(records: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1_000_000);
    for (key, value) in records {
        builder.push(0, Some(key.as_bytes()), Some(value));
    }
    builder.build()
}

#[test]
fn an_exchange_refuses_a_batch_where_a_queue_that_gets_the_record_does() {
    let (mut rig, producer) = house();
    let other = space_kit::QUEUE + 1;
    let elsewhere = routed(&[("k", good()), ("other", bad()), ("nobody", bad())]);
    rig.worker.ingest(producer, &space_kit::publish_to(1, &elsewhere)).unwrap();
    let refused = routed(&[("other", good()), ("k", bad())]);
    rig.worker.ingest(producer, &space_kit::publish_to(2, &refused)).unwrap();
    assert_eq!(answers(&mut rig, producer), [(ACK, 1), (NACK, 2)]);
    assert_eq!(space_kit::count(&rig, space_kit::QUEUE, "ready"), 1);
    assert_eq!(space_kit::count(&rig, other, "ready"), 1, "nothing of the refused batch is stored");
}

#[test]
fn single_records_through_an_exchange_are_refused_one_by_one() {
    let (mut rig, producer) = house();
    let sent = [("k", bad()), ("k", good()), ("other", bad()), ("k", bad()), ("k", good()), ("k", bad())];
    let chunk: Vec<u8> =
        (0..).zip(&sent).flat_map(|(at, (key, value))| publish_one(at, 2, Some(key.as_bytes()), value)).collect();
    rig.worker.ingest(producer, &chunk).unwrap();
    let expected = [(NACK, 0), (ACK, 1), (ACK, 2), (NACK, 3), (ACK, 4), (NACK, 5)];
    assert_eq!(answers(&mut rig, producer), expected);
    assert_eq!(space_kit::count(&rig, space_kit::QUEUE, "ready"), 2);
    assert_eq!(space_kit::count(&rig, space_kit::QUEUE + 1, "ready"), 1);
    rig.worker.ingest(producer, &publish_one(9, 2, Some(b"k"), &bad())).unwrap();
    assert_eq!(answers(&mut rig, producer), [(NACK, 9)], "where nothing is left to publish");
}

#[test]
fn a_topic_behind_an_exchange_refuses_as_it_does_itself() {
    let (mut rig, producer) = house();
    rig.worker.ingest(producer, &space_kit::publish_to(1, &routed(&[("t", bad())]))).unwrap();
    enforce(&rig, Taker::Topic(COPIES), 2, EnforcementMode::Full);
    rig.worker.ingest(producer, &space_kit::publish_to(2, &routed(&[("t", bad())]))).unwrap();
    rig.worker.ingest(producer, &space_kit::publish_to(3, &routed(&[("t", good())]))).unwrap();
    assert_eq!(answers(&mut rig, producer), [(ACK, 1), (NACK, 2), (ACK, 3)]);
    assert_eq!(stored(&rig, COPIES), 2);
}

#[test]
fn a_transaction_that_would_give_a_queue_what_it_refuses_is_not_let_through() {
    let (mut rig, _) = house();
    let mut check = |batch: &[u8]| {
        let request = space_kit::change(|out| {
            msgpack::write_array(out, 2);
            msgpack::write_str(out, "check");
            msgpack::write_array(out, 1);
            msgpack::write_array(out, 3);
            msgpack::write_uint(out, u64::from(space_kit::EXCHANGE));
            msgpack::write_uint(out, 0);
            msgpack::write_bin(out, batch);
        });
        rig.worker.space_transact(space_kit::SPACE, &request).map(drop).map_err(|error| error.code)
    };
    assert_eq!(check(&routed(&[("k", good()), ("other", bad())])), Ok(()));
    assert_eq!(check(&routed(&[("k", good()), ("k", bad())])), Err(ErrorCode::SCHEMA_VIOLATION));
}
