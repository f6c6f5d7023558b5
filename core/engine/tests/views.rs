//! Deliveries through a filter, and in a reader's schema.

use super::kit::*;
use super::schemas::{ID, table_of, tick};
use crate::batch::{compression, records_of, span_of};

const DELIVER: u64 = 23;
const SOURCE_END: u64 = 25;
const READER: u32 = 9;

/// A topic of one partition, a producer and a subscriber that has not got a turn yet.
fn rig(range: SourceRange) -> (Rig, u32, u32) {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.subscribe(consumer, 16 << 20, range);
    (rig, producer, consumer)
}

fn filtered(range: SourceRange, rule: &str) -> (Rig, u32, u32) {
    let (mut rig, producer, consumer) = rig(range);
    rig.worker.subscription_filter(consumer, 1, rule).unwrap();
    (rig, producer, consumer)
}

/// Offset and value of each delivered record, and the offset behind the last batch.
fn delivered(frames: &[Got]) -> (Vec<(u64, Vec<u8>)>, u64) {
    let (mut found, mut next) = (Vec::new(), 0);
    for got in frames.iter().filter(|got| got.op == DELIVER) {
        let mut rest = &got.batches[..];
        while !rest.is_empty() {
            let (header, _) = verify(rest).unwrap();
            let body = &rest[HEADER_BYTES..header.batch_bytes()];
            let plain = compression::plain_records(&header, body, 8 << 20).unwrap();
            assert!(header.base_offset >= next, "batches follow each other");
            let records: Vec<_> = records_of(&plain, header.attributes).unwrap().map(Result::unwrap).collect();
            assert_eq!(records.len(), header.record_count as usize);
            for record in records {
                let offset = header.base_offset + u64::from(record.position);
                found.push((offset, record.value.unwrap_or_default().to_vec()));
            }
            next = header.base_offset + u64::from(span_of(&header, &plain).unwrap());
            rest = &rest[header.batch_bytes()..];
        }
    }
    (found, next)
}

fn price(value: u32) -> Vec<u8> {
    format!("{{\"price\":{value}}}").into_bytes()
}

#[test]
fn only_what_a_filter_takes_is_delivered_with_its_own_offsets() {
    let (mut rig, producer, consumer) = filtered(FOLLOW, "price > 2");
    let values: Vec<Vec<u8>> = (0..6).map(price).collect();
    let all: Vec<&[u8]> = values.iter().map(|value| &value[..]).collect();
    rig.worker.ingest(producer, &publish(1, 2, &batch_of(&all[..4]))).unwrap();
    rig.worker.ingest(producer, &publish(2, 2, &batch_of(&all[4..]))).unwrap();
    rig.worker.ingest(producer, &publish(3, 2, &batch_of(&[b"no JSON", &price(1)]))).unwrap();
    rig.run();
    let (found, next) = delivered(&rig.frames(consumer));
    assert_eq!(found, [(3, price(3)), (4, price(4)), (5, price(5))]);
    assert_eq!(next, 8, "an empty batch tells how far the subscriber has come");
}

#[test]
fn a_filter_that_takes_nothing_comes_to_the_end_of_a_long_log_and_ends_a_bounded_read() {
    const BATCHES: u64 = 200;
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    let large = format!("{{\"price\":1,\"text\":\"{}\"}}", "x".repeat(20_000));
    for correlation in 0..BATCHES {
        rig.worker.ingest(producer, &publish(correlation, 0, &batch_of(&[large.as_bytes()]))).unwrap();
        rig.run();
    }
    rig.subscribe(consumer, 16 << 20, SourceRange { from: 0, until: Some(BATCHES) });
    rig.worker.subscription_filter(consumer, 1, "price == 7").unwrap();
    rig.run();
    let frames = rig.frames(consumer);
    assert_eq!(delivered(&frames), (Vec::new(), BATCHES));
    let sent: usize = frames.iter().map(|got| got.content.len()).sum();
    assert!(sent < 10_000, "{sent} bytes for nothing");
    let end = frames.last().unwrap();
    assert_eq!((end.op, end.numbers[2], end.numbers[3]), (SOURCE_END, BATCHES, 0));
}

#[test]
fn compressed_batches_are_looked_into_and_go_out_as_they_are_where_all_is_taken() {
    let (mut rig, producer, consumer) = filtered(FOLLOW, "price > 1");
    for (correlation, prices) in [(1, [1, 2]), (2, [3, 4])] {
        let mut builder = BatchBuilder::new(1_000_000);
        for value in prices {
            builder.push(0, None, Some(&price(value)));
        }
        let batch = builder.build_compressed().unwrap();
        rig.worker.ingest(producer, &publish(correlation, 2, &batch)).unwrap();
    }
    rig.run();
    let (found, next) = delivered(&rig.frames(consumer));
    assert_eq!((found, next), (vec![(1, price(2)), (2, price(3)), (3, price(4))], 4));
}

#[test]
fn a_rule_that_is_none_is_refused() {
    let (mut rig, _, consumer) = rig(FOLLOW);
    let refused = rig.worker.subscription_filter(consumer, 1, "price >").unwrap_err();
    assert_eq!(refused.code, ErrorCode::BAD_EXPRESSION);
    assert_eq!(rig.worker.subscription_filter(consumer, 2, "key").unwrap_err().code, ErrorCode::SUBSCRIPTION_NOT_FOUND);
}

/// The reader knows a volume too, whose default is 3.
fn reading() -> (Rig, u32, u32) {
    let (mut rig, producer, consumer) = rig(FOLLOW);
    let engine = Arc::clone(rig.worker.engine());
    engine.schema_put(ID, &table_of(&[("price", None)])).unwrap();
    engine.schema_put(READER, &table_of(&[("volume", Some(&[6])), ("price", None)])).unwrap();
    rig.worker.source_reader(consumer, 1, 1, READER).unwrap();
    (rig, producer, consumer)
}

#[test]
fn records_are_delivered_in_the_readers_schema_and_those_that_it_cannot_read_as_they_are() {
    let (mut rig, producer, consumer) = reading();
    let read_already = tick(READER, &[6, 8]);
    let broken = tick(ID, &[0x80]);
    let stored = [&tick(ID, &[42])[..], b"plain", &read_already, &broken, &tick(1_000, &[42])];
    rig.worker.ingest(producer, &publish(1, 2, &batch_of(&stored))).unwrap();
    rig.run();
    let (found, next) = delivered(&rig.frames(consumer));
    let values: Vec<&[u8]> = found.iter().map(|(_, value)| &value[..]).collect();
    assert_eq!(values, [&tick(READER, &[6, 42])[..], b"plain", &read_already, &broken, &tick(1_000, &[42])]);
    assert_eq!(next, 5);
}

#[test]
fn an_id_in_a_header_becomes_the_readers_and_other_headers_stay() {
    let (mut rig, producer, consumer) = reading();
    let headers = [("a", 1), ("x-schema-id", u64::from(ID)), ("b", 2)];
    let batch = super::space_kit::with_headers("k", &["\u{2a}"], &headers);
    rig.worker.ingest(producer, &publish(1, 2, &batch)).unwrap();
    rig.run();
    let frames = rig.frames(consumer);
    let got = frames.iter().find(|got| got.op == DELIVER).unwrap();
    let record = read_record(&got.batches[HEADER_BYTES..]).unwrap();
    assert_eq!((record.key, record.value), (Some(&b"k"[..]), Some(&[6, 42][..])));
    let mut read = Reader::new(record.headers);
    let names: Vec<(String, u64)> =
        (0..read.map().unwrap()).map(|_| (read.str().unwrap().to_owned(), read.uint().unwrap())).collect();
    let expected = [("a", 1), ("x-schema-id", u64::from(READER)), ("b", 2)];
    assert_eq!(names, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn a_filter_reads_what_is_stored_and_the_reader_gets_what_it_takes() {
    let (mut rig, producer, consumer) = reading();
    rig.worker.subscription_filter(consumer, 1, "price >= 20").unwrap();
    let stored: Vec<Vec<u8>> = [10, 30, 50].iter().map(|doubled| tick(ID, &[doubled * 2])).collect();
    let views: Vec<&[u8]> = stored.iter().map(|value| &value[..]).collect();
    rig.worker.ingest(producer, &publish(1, 2, &batch_of(&views[..2]))).unwrap();
    rig.worker.ingest(producer, &publish(2, 2, &batch_of(&views[2..]))).unwrap();
    rig.run();
    let (found, _) = delivered(&rig.frames(consumer));
    assert_eq!(found, [(1, tick(READER, &[6, 60])), (2, tick(READER, &[6, 100]))]);
}
