//! Exchanges and queues from the wire's side.

use super::kit::*;
use super::space_kit::*;

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
fn a_window_is_never_larger_than_the_broker_allows() {
    let limits = EngineOptions { prefetch_max: 3, ..options(None, 1) };
    let mut rig = rig_with(&Engine::open(limits).unwrap(), &[]);
    let (producer, consumer) = (connect(&mut rig, 0), connect(&mut rig, 0));
    consume(&mut rig, consumer, 1);
    rig.worker.ingest(producer, &publish_to(1, &keyed(&[("k", "x"); 10]))).unwrap();
    rig.run();
    assert_eq!(count(&rig, QUEUE, "inFlight"), 1);
    rig.worker.ingest(consumer, &prefetch(u64::from(u32::MAX))).unwrap();
    rig.run();
    assert_eq!(count(&rig, QUEUE, "inFlight"), 3);
    rig.worker.ingest(consumer, &prefetch(2)).unwrap();
    rig.worker.ingest(consumer, &settle(None, 0, &[1, 2])).unwrap();
    rig.run();
    assert_eq!(count(&rig, QUEUE, "inFlight"), 2, "a smaller one is taken as it is");
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
    rig.worker.ingest(mandatory, &publish_one(3, 0, Some(b"nobody"), b"d")).unwrap();
    rig.run();
    let ops: Vec<u64> =
        rig.frames(mandatory).iter().map(|got| got.op).filter(|op| *op == RETURNED || *op == 20).collect();
    assert_eq!(ops, [RETURNED], "who asked for no ack gets none");
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

#[test]
fn a_publish_to_an_exchange_that_was_deleted_is_refused() {
    let mut rig = in_memory();
    let producer = connect(&mut rig, 0);
    let delete = change(|out| {
        msgpack::write_array(out, 2);
        msgpack::write_str(out, "exchange_delete");
        msgpack::write_uint(out, u64::from(EXCHANGE));
    });
    rig.worker.space_apply(SPACE, 20, &delete).unwrap();
    rig.worker.ingest(producer, &publish_to(1, &keyed(&[("k", "a")]))).unwrap();
    rig.run();
    assert_eq!(rig.frames(producer)[0].op, 21, "NACK");
}

#[test]
fn messages_behind_the_table_are_found_by_walking() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(Some(folder.path().to_path_buf()), 1)).unwrap();
    let mut rig = rig_with(&engine, &[]);
    let producer = connect(&mut rig, 0);
    let value = "v".repeat(500 << 10);
    // More than the table holds, so that the first ones are read from the log.
    for n in 0..600_u64 {
        rig.worker.ingest(producer, &publish_to(n, &keyed(&[("k", "small"), ("other", ""), ("k", &value)]))).unwrap();
        rig.run();
    }
    assert_eq!(count(&rig, QUEUE, "ready"), 1_200);
    let consumer = connect(&mut rig, 0);
    consume(&mut rig, consumer, 2_000);
    rig.run();
    let frames = rig.frames(consumer);
    let sizes: Vec<usize> = messages(&frames).iter().flat_map(|(_, values)| values).map(Vec::len).collect();
    assert!(sizes == [5, value.len()].repeat(600), "every message comes once, in order, as it was sent");
}

#[test]
fn what_no_queue_holds_any_more_leaves_the_disk_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(Some(folder.path().to_path_buf()), 1)).unwrap();
    let log = LogConfig { segment_bytes: 64 << 10, ..LogConfig::default() };
    let mut rig = rig_on(&engine, &log, &[]);
    let connection = connect(&mut rig, 0);
    consume(&mut rig, connection, 1_000);
    let value = "v".repeat(1 << 10);
    let full = keyed(&[("k", value.as_str()); 100]);
    for n in 0..200 {
        rig.worker.ingest(connection, &publish_to(n, &full)).unwrap();
        rig.run();
        rig.worker.ingest(connection, &settle(None, 0, &[n * 100 + 1, 100])).unwrap();
        rig.run();
        rig.frames(connection);
    }
    rig.worker.ingest(connection, &publish_to(1_000, &keyed(&[("k", "last")]))).unwrap();
    rig.run();
    // Numbers are let go by tens of thousands: enough of them have to be behind.
    let nobody: Vec<(&str, &str)> = std::iter::repeat_n(("nobody", ""), 10_000).collect();
    let batch = keyed(&nobody);
    for n in 0..10 {
        rig.worker.ingest(connection, &publish_to(2_000 + n, &batch)).unwrap();
        rig.run();
    }
    engine.spaces.get(SPACE).unwrap().close(engine.now_ms()).unwrap();
    engine.store.maintain();
    let journal = rig.worker.partition(JOURNAL, 0).unwrap();
    assert_eq!(journal.start_offset(), 0, "the last message is held, and lies among the first tens of thousands");
    rig.worker.ingest(connection, &settle(None, 0, &[20_001, 1])).unwrap();
    rig.run();
    engine.spaces.get(SPACE).unwrap().close(engine.now_ms()).unwrap();
    engine.store.maintain();
    assert!(journal.start_offset() > 20_000, "the journal begins at {}", journal.start_offset());
    drop((rig, journal, engine));

    let engine = Engine::open(options(Some(folder.path().to_path_buf()), 1)).unwrap();
    let mut rig = rig_on(&engine, &log, &[]);
    rig.run();
    assert_eq!(count(&rig, QUEUE, "ready"), 0);
}

#[test]
fn what_is_of_high_priority_goes_before_a_backlog_of_low_priority_that_still_moves() {
    let engine = Engine::open(options(None, 1)).unwrap();
    let mut rig = rig_with(&engine, &[]);
    let urgent = Config { texts: &[("deliveryPriority", "high")], ..Config::default() };
    rig.worker.space_apply(SPACE, 20, &queue(QUEUE, "q", &urgent)).unwrap();
    let bulk = LogConfig { delivery_priority: DeliveryPriority::Low, ..memory() };
    rig.worker.ensure_log(LOG, 1, bulk).unwrap();
    let producer = rig.connect();
    for n in 0..100 {
        rig.worker.ingest(producer, &publish(n, 2, &batch_of(&[&vec![b'v'; 10_000]]))).unwrap();
        rig.run();
    }
    // More readers than a turn serves, each with more to read than its part of a turn.
    let readers: Vec<u32> = (0..20).map(|_| connect(&mut rig, 0)).collect();
    for reader in &readers {
        rig.subscribe(*reader, 64 << 20, SourceRange { from: 0, until: None });
    }
    let consumer = connect(&mut rig, 0);
    consume(&mut rig, consumer, 10);
    rig.worker.ingest(consumer, &publish_to(1, &keyed(&[("k", "urgent")]))).unwrap();
    rig.turn();
    assert_eq!(messages(&rig.frames(consumer)), [(1, vec![b"urgent".to_vec()])], "within one turn");
    let served = readers.iter().filter(|reader| !rig.sent[**reader as usize].is_empty()).count();
    assert!((1..20).contains(&served), "{served} of the others were served in it");
    rig.run();
    for reader in readers {
        let count: usize = rig.frames(reader).iter().map(|got| values(&got.batches).len()).sum();
        assert_eq!(count, 100);
    }
}
