//! Exchanges and queues from the wire's side.

use super::kit::*;
use crate::engine::QueueConsumer;

const SPACE: u32 = 1;
const JOURNAL: u64 = 100;
const ACKS: u64 = 101;
const EXCHANGE: u32 = 7;
const QUEUE: u32 = 8;

const MESSAGES: u64 = 28;
const OK: u64 = 5;
const ERROR: u64 = 6;
const SETTLE_FAILED: u64 = 18;
const RETURNED: u64 = 29;

/// A change of a space, as src/routing writes it.
fn change(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn exchange(id: u32, kind: &str) -> Vec<u8> {
    change(|out| {
        msgpack::write_array(out, 5);
        msgpack::write_str(out, "exchange");
        msgpack::write_uint(out, u64::from(id));
        msgpack::write_str(out, kind);
        msgpack::write_nil(out);
        msgpack::write_map(out, 0);
    })
}

fn queue(id: u32, name: &str, config: &[(&str, u64)]) -> Vec<u8> {
    change(|out| {
        msgpack::write_array(out, 4);
        msgpack::write_str(out, "queue");
        msgpack::write_uint(out, u64::from(id));
        msgpack::write_str(out, name);
        msgpack::write_map(out, config.len());
        for (key, value) in config {
            msgpack::write_str(out, key);
            msgpack::write_uint(out, *value);
        }
    })
}

fn bind(exchange: u32, queue: u32, key: &str) -> Vec<u8> {
    change(|out| {
        msgpack::write_array(out, 6);
        msgpack::write_str(out, "bind");
        msgpack::write_uint(out, u64::from(exchange));
        msgpack::write_str(out, "queue");
        msgpack::write_uint(out, u64::from(queue));
        msgpack::write_str(out, key);
        msgpack::write_nil(out);
    })
}

fn settle(correlation: Option<u64>, outcome: u64, ranges: &[u64]) -> Vec<u8> {
    frame(|out| {
        msgpack::write_array(out, 6);
        msgpack::write_uint(out, 13);
        msgpack::write_uint(out, 1);
        msgpack::write_optional_uint(out, correlation);
        msgpack::write_uint(out, outcome);
        msgpack::write_nil(out);
        msgpack::write_array(out, ranges.len());
        for value in ranges {
            msgpack::write_uint(out, *value);
        }
    })
}

/// A batch for an exchange: partition nil.
fn publish_to(correlation: u64, batch: &[u8]) -> Vec<u8> {
    frame(|out| {
        msgpack::write_array(out, 6);
        for value in [10, 1, correlation] {
            msgpack::write_uint(out, value);
        }
        msgpack::write_nil(out);
        msgpack::write_uint(out, 2);
        msgpack::write_nil(out);
        out.extend_from_slice(batch);
    })
}

fn keyed(records: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(1_000_000);
    for (key, value) in records {
        builder.push(0, Some(key.as_bytes()), Some(value.as_bytes()));
    }
    builder.build()
}

/// A space with a direct exchange and one queue bound to it by "k".
fn rig_with(engine: &Arc<Engine>, config: &[(&str, u64)]) -> Rig {
    let rig = Rig::new(engine, 0);
    let log = if engine.options.data_dir.is_some() { LogConfig::default() } else { memory() };
    rig.worker.ensure_log(JOURNAL, 1, log.clone()).unwrap();
    rig.worker.ensure_log(ACKS, 1, log).unwrap();
    rig.worker.space_open(SPACE, JOURNAL, ACKS).unwrap();
    let changes = [exchange(EXCHANGE, "direct"), queue(QUEUE, "q", config), bind(EXCHANGE, QUEUE, "k")];
    for (version, change) in changes.iter().enumerate() {
        rig.worker.space_apply(SPACE, version as u64, change).unwrap();
    }
    rig
}

fn in_memory() -> Rig {
    rig_with(&Engine::open(options(None, 1)).unwrap(), &[])
}

fn connect(rig: &mut Rig, flags: u32) -> u32 {
    let connection = rig.worker.connection_open();
    rig.worker.exchange_publisher_open(connection, 1, SPACE, EXCHANGE, flags, 0, 0).unwrap();
    rig.sent.resize(rig.sent.len().max(connection as usize + 1), Vec::new());
    connection
}

fn consume(rig: &mut Rig, connection: u32, prefetch: u32) {
    let consumer = QueueConsumer { queue: QUEUE, prefetch, priority: 0, flags: 0, lease_ms: 0 };
    rig.worker.queue_subscribe(connection, 1, SPACE, consumer).unwrap();
}

/// First tag and values of each MESSAGES frame.
fn messages(frames: &[Got]) -> Vec<(u64, Vec<Vec<u8>>)> {
    let found = frames.iter().filter(|got| got.op == MESSAGES);
    found.map(|got| (got.numbers[1], values(&got.batches))).collect()
}

#[test]
fn a_routed_message_is_delivered_once_and_its_ack_is_answered() {
    let mut rig = in_memory();
    let (producer, consumer) = (connect(&mut rig, 0), connect(&mut rig, 0));
    consume(&mut rig, consumer, 10);
    rig.run();
    rig.worker.ingest(producer, &publish_to(5, &keyed(&[("k", "a"), ("other", "b"), ("k", "c")]))).unwrap();
    rig.run();
    let acks = rig.frames(producer);
    assert_eq!((acks[0].op, acks[0].numbers[1]), (20, 5));
    assert_eq!(messages(&rig.frames(consumer)), [(1, vec![b"a".to_vec(), b"c".to_vec()])]);
    rig.worker.ingest(consumer, &settle(Some(9), 0, &[1, 2])).unwrap();
    rig.run();
    let answers = rig.frames(consumer);
    assert_eq!((answers[0].op, answers[0].numbers[0]), (OK, 9));
    rig.worker.ingest(consumer, &settle(Some(10), 0, &[1, 1])).unwrap();
    rig.worker.ingest(consumer, &settle(None, 0, &[2, 1])).unwrap();
    rig.run();
    let refused: Vec<u64> = rig.frames(consumer).iter().map(|got| got.op).collect();
    assert_eq!(refused, [ERROR, SETTLE_FAILED], "a delivery is settled once, and the session lives");
}

#[test]
fn single_records_are_routed_and_answered_in_one_run() {
    let mut rig = in_memory();
    let producer = connect(&mut rig, 0);
    consume(&mut rig, producer, 10);
    let chunk: Vec<u8> = (0..5).flat_map(|n| publish_one(n, 2, Some(b"k"), &[n as u8])).collect();
    rig.worker.ingest(producer, &chunk).unwrap();
    rig.run();
    let frames = rig.frames(producer);
    let acked = frames.iter().find(|got| got.op == 20).unwrap();
    assert_eq!((acked.numbers.len(), acked.numbers[2]), (6, 5));
    assert_eq!(messages(&frames), [(1, (0..5).map(|n| vec![n]).collect::<Vec<_>>())]);
}

#[test]
fn what_reaches_nobody_is_returned_to_who_asked_before_its_ack() {
    let mut rig = in_memory();
    let mandatory = connect(&mut rig, 1);
    rig.worker.ingest(mandatory, &publish_to(1, &keyed(&[("k", "a"), ("nobody", "b")]))).unwrap();
    rig.worker.ingest(mandatory, &publish_one(2, 2, Some(b"nobody"), b"c")).unwrap();
    rig.run();
    let frames = rig.frames(mandatory);
    let told = frames.iter().filter(|got| got.op == RETURNED || got.op == 20);
    let ops: Vec<(u64, u64)> = told.map(|got| (got.op, got.numbers[1])).collect();
    assert_eq!(ops, [(RETURNED, 1), (20, 1), (RETURNED, 2), (20, 2)]);
    let answered = connect(&mut rig, 2);
    rig.worker.ingest(answered, &publish_to(3, &keyed(&[("k", "a")]))).unwrap();
    rig.run();
    assert_eq!(rig.frames(answered)[0].op, RETURNED, "the queue has no consumer");
}

#[test]
fn a_broken_connection_gives_its_messages_back() {
    let mut rig = in_memory();
    let (producer, first) = (connect(&mut rig, 0), connect(&mut rig, 0));
    consume(&mut rig, first, 2);
    rig.worker.ingest(producer, &publish_to(1, &keyed(&[("k", "a"), ("k", "b"), ("k", "c")]))).unwrap();
    rig.run();
    assert_eq!(messages(&rig.frames(first)), [(1, vec![b"a".to_vec(), b"b".to_vec()])]);
    rig.worker.connection_close(first);
    let second = connect(&mut rig, 0);
    rig.sent[second as usize].clear();
    consume(&mut rig, second, 10);
    rig.run();
    let all: Vec<Vec<u8>> = messages(&rig.frames(second)).into_iter().flat_map(|(_, values)| values).collect();
    assert_eq!(all, [b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]);
}
#[test]
fn after_a_restart_a_queue_holds_what_was_not_settled() {
    for orderly in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(options(Some(folder.path().to_path_buf()), 1)).unwrap();
        let mut rig = rig_with(&engine, &[]);
        let connection = connect(&mut rig, 0);
        consume(&mut rig, connection, 3);
        let records: Vec<(&str, &str)> = ["a", "b", "c", "d", "e"].map(|value| ("k", value)).to_vec();
        rig.worker.ingest(connection, &publish_to(1, &keyed(&records))).unwrap();
        rig.run();
        rig.worker.ingest(connection, &settle(None, 0, &[1, 1, 3, 1])).unwrap();
        rig.run();
        if orderly {
            engine.close().unwrap();
        }
        drop(rig);
        drop(engine);
        let engine = Engine::open(options(Some(folder.path().to_path_buf()), 1)).unwrap();
        let mut rig = rig_with(&engine, &[]);
        let connection = connect(&mut rig, 0);
        consume(&mut rig, connection, 10);
        rig.run();
        let left: Vec<Vec<u8>> = messages(&rig.frames(connection)).into_iter().flat_map(|(_, values)| values).collect();
        assert_eq!(left, [b"b".to_vec(), b"d".to_vec(), b"e".to_vec()], "orderly stop: {orderly}");
    }
}
