//! What a worker counts and remembers of messages on their way.

use super::kit::*;
use super::space_kit::{self, JOURNAL, QUEUE, SPACE, in_memory, publish_to, settle};

fn counts(rig: &Rig) -> Vec<(&'static str, u64)> {
    let stages = rig.worker.stages().each();
    stages.iter().map(|(name, histogram)| (*name, histogram.filled().map(|(_, count)| count).sum())).collect()
}

#[test]
fn each_stage_is_noted_once_for_what_a_waiting_consumer_gets() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.subscribe(consumer, 1 << 20, SourceRange { from: 0, until: None });
    rig.run();
    rig.worker.ingest(producer, &publish(1, 2, &batch_of(&[b"a", b"b"]))).unwrap();
    rig.run();
    let once = ["receive", "append", "commit", "dispatch", "send", "total"].map(|name| (name, 1));
    assert_eq!(counts(&rig), once);
}

#[test]
fn a_reader_of_what_was_there_counts_for_no_latency() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.worker.ingest(producer, &publish(1, 2, &batch_of(&[b"a"]))).unwrap();
    rig.run();
    rig.worker.engine().set_clock(5_000_000).unwrap();
    rig.subscribe(consumer, 1 << 20, SourceRange { from: 0, until: None });
    rig.run();
    assert!(!rig.frames(consumer).is_empty());
    assert_eq!(counts(&rig)[3..], [("dispatch", 0), ("send", 0), ("total", 0)]);
}

#[test]
fn time_between_chunk_and_turn_counts_as_received_and_in_total() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.subscribe(consumer, 1 << 20, SourceRange { from: 0, until: None });
    rig.run();
    rig.worker.ingest(producer, &publish_one(1, 2, None, b"a")).unwrap();
    rig.worker.engine().set_clock(1_000_007).unwrap();
    rig.run();
    let max_us = |at: usize| rig.worker.stages().each()[at].1.max_us();
    assert_eq!((max_us(0), max_us(1), max_us(5)), (7_000, 0, 7_000));
}

#[test]
fn a_synced_topic_is_committed_by_the_sync() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(Some(directory.path().into()), 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, LogConfig { durability: Durability::Synced, ..LogConfig::default() }).unwrap();
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.subscribe(consumer, 1 << 20, SourceRange { from: 0, until: None });
    rig.run();
    rig.worker.ingest(producer, &publish(1, 3, &batch_of(&[b"a"]))).unwrap();
    rig.run_until(|rig| !rig.sent[consumer as usize].is_empty());
    let mut committed = 0;
    engine.with_commits(|commits| committed = commits.filled().map(|(_, count)| count).sum());
    assert_eq!(committed, 1);
    assert_eq!(counts(&rig)[2..], [("commit", 0), ("dispatch", 1), ("send", 1), ("total", 1)]);
}

#[test]
fn a_record_is_traced_from_its_connection_to_those_that_were_sent_it() {
    let mut rig = Rig::in_memory(1);
    let (producer, other, consumer) = (rig.connect(), rig.connect(), rig.connect());
    rig.worker.ingest(producer, &publish(1, 2, &batch_of(&[b"a", b"b"]))).unwrap();
    rig.worker.ingest(other, &publish_one(1, 0, None, b"c")).unwrap();
    rig.run();
    rig.worker.engine().set_clock(1_000_500).unwrap();
    rig.subscribe(consumer, 1 << 20, SourceRange { from: 0, until: None });
    rig.run();
    let generation = rig.worker.connection_generation(other).unwrap();
    let traced = rig.worker.trace(LOG, 0, 2);
    let (arrival, times) = traced.arrival.unwrap();
    assert_eq!((arrival.connection, arrival.generation, arrival.base_offset), (other, generation, 2));
    assert!((times.received_ms - 1_000_000.0).abs() < 1e-3 && (times.appended_ms - 1_000_000.0).abs() < 1e-3);
    assert_eq!(traced.sent.len(), 1);
    assert_eq!((traced.sent[0].0.connection, traced.sent[0].0.first_offset), (consumer, 0));
    assert!((traced.sent[0].1 - 1_000_500.0).abs() < 1e-3);
    assert_eq!(rig.worker.trace(LOG, 0, 1).arrival.unwrap().0.connection, producer);
    assert!(rig.worker.trace(LOG, 0, 3).arrival.is_none());
    assert!(rig.worker.trace(LOG, 1, 0).arrival.is_none());
}

#[test]
fn without_memory_nothing_is_remembered_and_with_little_the_oldest_goes() {
    for (bytes, remembered) in [(0, 0), (1_000, 12)] {
        let limits = EngineOptions { flight_recorder_bytes: bytes, ..options(None, 1) };
        let mut rig = Rig::new(&Engine::open(limits).unwrap(), 0);
        rig.worker.ensure_log(LOG, 1, memory()).unwrap();
        let producer = rig.connect();
        for n in 0..50 {
            rig.worker.ingest(producer, &publish(n, 2, &batch_of(&[b"v"]))).unwrap();
        }
        let known: Vec<u64> = (0..50).filter(|offset| rig.worker.trace(LOG, 0, *offset).arrival.is_some()).collect();
        assert!(known.len() <= remembered && (known.is_empty() || known.last() == Some(&49)), "{known:?}");
        assert_eq!(known.is_empty(), remembered == 0);
    }
}

/// What `[explain, QUEUE, number]` answers, as text of its strings and numbers.
fn explain(rig: &Rig, number: u64) -> String {
    let request = space_kit::change(|out| {
        msgpack::write_array(out, 3);
        msgpack::write_str(out, "explain");
        msgpack::write_uint(out, u64::from(QUEUE));
        msgpack::write_uint(out, number);
    });
    let answer = rig.worker.space_request(SPACE, &request).unwrap();
    let mut reader = Reader::new(&answer);
    let mut words = Vec::new();
    read_words(&mut reader, &mut words);
    words.join(" ")
}

fn read_words(reader: &mut Reader<'_>, words: &mut Vec<String>) {
    let mut ahead = *reader;
    if let Ok(count) = ahead.map() {
        *reader = ahead;
        (0..count * 2).for_each(|_| read_words(reader, words));
        return;
    }
    let mut ahead = *reader;
    if let Ok(count) = ahead.array() {
        *reader = ahead;
        words.push("[".to_owned());
        (0..count).for_each(|_| read_words(reader, words));
        words.push("]".to_owned());
        return;
    }
    if let Ok(text) = reader.str() {
        words.push(text.to_owned());
    } else if let Ok(number) = reader.uint() {
        words.push(number.to_string());
    } else {
        reader.skip(1).unwrap();
        words.push("nil".to_owned());
    }
}

#[test]
fn a_message_of_a_queue_is_explained_from_its_routing_to_its_end() {
    let mut rig = in_memory();
    let (producer, consumer) = (space_kit::connect(&mut rig, 0), space_kit::connect(&mut rig, 0));
    let batch = space_kit::keyed(&[("k", "a"), ("nobody", "b"), ("k", "c")]);
    rig.worker.ingest(producer, &publish_to(5, &batch)).unwrap();
    rig.run();
    // The routing result stands in front of the messages.
    let number = 1;
    assert_eq!(explain(&rig, number), format!("state ready destinations [ {QUEUE} ] handed [ ] became [ ] sinceMs 0"));
    assert_eq!(explain(&rig, number + 1), "state gone destinations [ ] handed [ ] became [ ] sinceMs 0");
    space_kit::consume(&mut rig, consumer, 10);
    rig.run();
    let generation = rig.worker.connection_generation(consumer).unwrap();
    let address = format!("[ 0 {consumer} {generation} 1 ]");
    let handed = format!("handed [ [ 1000000 0 {address} ] ]");
    assert_eq!(
        explain(&rig, number),
        format!("state in_flight destinations [ {QUEUE} ] {handed} became [ ] sinceMs 0")
    );
    rig.worker.ingest(consumer, &settle(None, 0, &[1, 1])).unwrap();
    rig.run();
    let became = format!("became [ [ 1000000 acked {address} ] ]");
    assert_eq!(explain(&rig, number), format!("state gone destinations [ {QUEUE} ] {handed} {became} sinceMs 0"));
    assert_eq!(rig.worker.trace(JOURNAL, 0, number).arrival.unwrap().0.connection, producer);
}

#[test]
fn queues_count_for_latency_when_the_message_is_new() {
    let mut rig = in_memory();
    let (producer, consumer) = (space_kit::connect(&mut rig, 0), space_kit::connect(&mut rig, 0));
    rig.worker.ingest(producer, &publish_to(5, &space_kit::keyed(&[("k", "old")]))).unwrap();
    rig.run();
    space_kit::consume(&mut rig, consumer, 10);
    rig.run();
    assert_eq!(counts(&rig)[5], ("total", 0), "it had waited for a consumer");
    rig.worker.ingest(producer, &publish_to(6, &space_kit::keyed(&[("k", "new")]))).unwrap();
    rig.run();
    assert_eq!(counts(&rig)[3..], [("dispatch", 1), ("send", 1), ("total", 1)]);
}
