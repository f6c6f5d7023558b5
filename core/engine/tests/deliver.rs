//! From the log to a subscriber.

use super::kit::*;

#[test]
fn delivery_stops_at_the_credit_and_goes_on_when_more_is_granted() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    let value = vec![b'v'; 1_000];
    for n in 0..50 {
        rig.worker.ingest(producer, &publish(n, 2, &batch_of(&[&value]))).unwrap();
        rig.run();
    }
    rig.subscribe(consumer, 5_000, FOLLOW);
    rig.run();
    let first: usize = rig.frames(consumer).iter().map(|got| values(&got.batches).len()).sum();
    assert!((4..=6).contains(&first), "{first}");
    rig.worker.ingest(consumer, &flow(1 << 20)).unwrap();
    rig.run();
    let rest: usize = rig.frames(consumer).iter().map(|got| values(&got.batches).len()).sum();
    assert_eq!(first + rest, 50);
}

#[test]
fn a_bounded_read_ends_at_its_offset_and_says_so() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    for n in 0..10 {
        rig.worker.ingest(producer, &publish(n, 2, &batch_of(&[b"v"]))).unwrap();
    }
    rig.subscribe(consumer, 1 << 20, SourceRange { from: 2, until: Some(7) });
    rig.run();
    let frames = rig.frames(consumer);
    let count: usize = frames.iter().filter(|got| got.op == 23).map(|got| values(&got.batches).len()).sum();
    assert_eq!(count, 5);
    let end = frames.last().unwrap();
    assert_eq!((end.op, &end.numbers[..4]), (25, &[1, 1, 7, 0][..]));
}

#[test]
fn a_large_run_goes_out_as_views_and_comes_back_whole() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(Some(directory.path().into()), 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, LogConfig { segment_bytes: 1 << 20, ..LogConfig::default() }).unwrap();
    let (producer, consumer) = (rig.connect(), rig.connect());
    let value = vec![b'v'; 50_000];
    for n in 0..100 {
        rig.worker.ingest(producer, &publish(n, 2, &batch_of(&[&value]))).unwrap();
        rig.run();
    }
    rig.subscribe(consumer, 64 << 20, FOLLOW);
    let mut got = Vec::new();
    rig.run_until(|rig| rig.sent[consumer as usize].len() > 100 * 50_000);
    for frame in rig.frames(consumer) {
        got.extend(values(&frame.batches));
    }
    assert_eq!(got.len(), 100);
    assert!(got.iter().all(|other| *other == value));
    assert!(rig.maps.iter().flatten().count() > 1, "several segments were viewed");
    engine.close().unwrap();
}

#[test]
fn a_synced_topic_shows_records_only_after_the_sync() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(Some(directory.path().into()), 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, LogConfig { durability: Durability::Synced, ..LogConfig::default() }).unwrap();
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.subscribe(consumer, 1 << 20, FOLLOW);
    rig.run();
    rig.worker.ingest(producer, &publish(1, 2, &batch_of(&[b"a"]))).unwrap();
    rig.run_until(|rig| !rig.sent[consumer as usize].is_empty());
    let partition = rig.worker.partition(LOG, 0).unwrap();
    assert_eq!(partition.synced_offset(), 1);
    engine.close().unwrap();
}

#[test]
fn an_at_most_once_subscriber_that_falls_behind_is_told_how_much_it_missed() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.worker.subscription_open(consumer, 1, 0, 4_096).unwrap();
    rig.worker.source_add(consumer, 1, 1, LOG, 0, FOLLOW).unwrap();
    for n in 0..20 {
        rig.worker.ingest(producer, &publish(n, 2, &batch_of(&[&[0; 1_000]]))).unwrap();
        rig.run();
    }
    rig.worker.ingest(consumer, &flow(1 << 20)).unwrap();
    rig.run();
    rig.worker.ingest(producer, &publish(99, 2, &batch_of(&[b"live"]))).unwrap();
    rig.run();
    let frames = rig.frames(consumer);
    let dropped: u64 = frames.iter().filter(|got| got.op == 26).map(|got| got.numbers[2]).sum();
    let received: usize = frames.iter().filter(|got| got.op == 23).map(|got| values(&got.batches).len()).sum();
    assert_eq!(dropped, 20);
    assert_eq!(received, 1);
}
