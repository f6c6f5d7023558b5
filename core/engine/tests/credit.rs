//! What holds a sender back, and what lets it go on.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::kit::*;
use crate::engine::{Pressure, Quota};
use crate::error::CoreError;
use crate::log::StoreEvents;

#[test]
fn credit_comes_back_and_a_sender_far_past_it_is_ended() {
    let mut rig = Rig::in_memory(1);
    let producer = rig.connect();
    let batch = batch_of(&[&vec![0; 20_000]]);
    rig.worker.ingest(producer, &publish(1, 2, &batch)).unwrap();
    rig.run();
    let credit: u64 = rig.frames(producer).iter().filter(|got| got.op == 22).map(|got| got.numbers[0]).sum();
    assert_eq!(credit as usize, publish(1, 2, &batch).len());
    let flood: Vec<u8> = (0..100).flat_map(|n| publish(n, 2, &batch)).collect();
    let flags = rig.worker.ingest(producer, &flood).unwrap();
    assert_eq!(flags & Flags::FATAL, Flags::FATAL);
    let goodbye = rig.worker.fatal_frame(producer).unwrap();
    assert_eq!(Reader::new(&goodbye[6..]).uint(), Ok(4));
}

#[test]
fn a_sender_that_leaves_its_answers_unread_is_paused_and_goes_on_when_it_reads() {
    let mut rig = Rig::in_memory(1);
    let producer = rig.connect();
    rig.run();
    // Nothing is reported as written from here on: the socket takes nothing.
    let refused = publish(1, 2, &[0; 64]);
    let chunk: Vec<u8> = std::iter::repeat_n(refused.clone(), 100).flatten().collect();
    let mut flags = 0;
    for _ in 0..1_000 {
        flags = rig.worker.ingest(producer, &chunk).unwrap();
        rig.worker.turn();
        if flags & Flags::PAUSE != 0 {
            break;
        }
    }
    assert_eq!(flags & (Flags::PAUSE | Flags::FATAL), Flags::PAUSE);
    assert!(!rig.worker.plan().words.contains(&f64::from(op::RESUME)));
    let mut resumed = false;
    while rig.worker.written(producer) {
        rig.worker.turn();
        resumed |= rig.worker.plan().words.contains(&f64::from(op::RESUME));
    }
    assert!(resumed);
    let flood: Vec<u8> = std::iter::repeat_n(refused, 500_000).flatten().collect();
    assert_eq!(rig.worker.ingest(producer, &flood).unwrap() & Flags::FATAL, Flags::FATAL);
    let goodbye = rig.worker.fatal_frame(producer).unwrap();
    assert_eq!(Reader::new(&goodbye[6..]).uint(), Ok(4));
}

/// A client waits with a frame that costs more than it has left, so whatever a
/// sender has used must come back although it is little.
#[test]
fn credit_comes_back_before_the_next_frame_could_want_it() {
    let mut rig = Rig::in_memory(1);
    let producer = rig.connect();
    let small = publish(1, 0, &batch_of(&[b"small"]));
    rig.worker.ingest(producer, &small).unwrap();
    rig.run();
    assert_eq!(credit_in(&rig.frames(producer)) as usize, small.len());
}

#[test]
fn a_window_far_larger_than_any_frame_comes_back_in_portions() {
    let options = EngineOptions { frame_bytes_max: 8 << 10, batch_bytes_max: 4 << 10, ..options(None, 1) };
    let mut rig = Rig::new(&Engine::open(options).unwrap(), 0);
    rig.worker.ensure_log(LOG, 1, memory()).unwrap();
    let producer = rig.connect();
    let batch = publish(1, 0, &batch_of(&[&[0; 2_000]]));
    let mut portions = Vec::new();
    for _ in 0..32 {
        rig.worker.ingest(producer, &batch).unwrap();
        rig.run();
        portions.extend(rig.frames(producer).iter().filter(|got| got.op == 22).map(|got| got.numbers[0]));
    }
    assert!((3..=4).contains(&portions.len()), "{portions:?}");
    assert!(portions.iter().all(|bytes| *bytes >= 16 << 10), "{portions:?}");
}

/// The answers grew only after the chunk was taken in, so the sender was never paused.
#[test]
fn credit_that_waited_for_the_answers_to_be_read_comes_back_when_they_are() {
    let turn_bytes = 4 << 20;
    let options = EngineOptions {
        publish_credit_bytes: 4 << 20,
        write_bytes_per_turn: turn_bytes,
        turn_bytes_max: turn_bytes,
        ..options(None, 1)
    };
    let mut rig = Rig::new(&Engine::open(options).unwrap(), 0);
    rig.worker.ensure_log(LOG, 2, memory()).unwrap();
    let producer = rig.connect();
    // Two partitions by turns, so that no answer joins the one before it.
    let chunk: Vec<u8> = (0..60_000).flat_map(|n| publish_one_to(n, n % 2, 2)).collect();
    let flags = rig.worker.ingest(producer, &chunk).unwrap();
    assert_eq!(flags & (Flags::PAUSE | Flags::FATAL), 0);
    let mut returned = 0;
    while rig.turn() {
        returned += credit_in(&rig.frames(producer));
    }
    returned += credit_in(&rig.frames(producer));
    assert_eq!(returned as usize, chunk.len());
}

fn credit_in(frames: &[Got]) -> u64 {
    frames.iter().filter(|got| got.op == 22).map(|got| got.numbers[0]).sum()
}

/// A small record without sequence to a partition of the sender's choice.
fn publish_one_to(correlation: u64, partition: u64, acks: u64) -> Vec<u8> {
    frame(|out| {
        msgpack::write_array(out, 8);
        for value in [11, 1, correlation, partition, acks] {
            msgpack::write_uint(out, value);
        }
        msgpack::write_nil(out);
        msgpack::write_nil(out);
        msgpack::write_array(out, 4);
        for _ in 0..4 {
            msgpack::write_nil(out);
        }
    })
}

/// The loop turns only when something tells it to, as in TypeScript.
#[test]
fn credit_withheld_over_unsynced_bytes_comes_back_with_the_sync_that_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let options = EngineOptions { dirty_bytes_max: 1, ..options(Some(directory.path().into()), 1) };
    let engine = Engine::open(options).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, LogConfig::default()).unwrap();
    let producer = rig.connect();
    let (wakes, turns) = (Arc::new(AtomicUsize::new(0)), &mut 0);
    let counter = wakes.clone();
    engine.on_wake(0, Box::new(move || _ = counter.fetch_add(1, Ordering::SeqCst)));
    let batch = publish(1, 0, &batch_of(&[b"dirty"]));
    for round in 0..500u64 {
        rig.worker.ingest(producer, &batch).unwrap();
        // So that the sync ends before, in and after the turn.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_nanos(round * 100) {}
        rig.run();
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut returned = credit_in(&rig.frames(producer));
        while returned == 0 {
            let woken = wakes.load(Ordering::SeqCst);
            if woken > *turns {
                *turns = woken;
                rig.run();
                returned = credit_in(&rig.frames(producer));
            }
            assert!(Instant::now() < deadline, "nobody woke the loop in round {round}");
            std::thread::yield_now();
        }
    }
    engine.close().unwrap();
}

#[test]
fn a_sync_that_fails_lets_senders_look_for_room_again_too() {
    let rig = Rig::in_memory(1);
    let engine = rig.worker.engine();
    let partition = rig.worker.partition(LOG, 0).unwrap();
    let wakes = Arc::new(AtomicUsize::new(0));
    let counter = wakes.clone();
    engine.on_wake(0, Box::new(move || _ = counter.fetch_add(1, Ordering::SeqCst)));
    engine.inboxes.wake_at_next_sync();
    let before = wakes.load(Ordering::SeqCst);
    let error = CoreError::new(ErrorCode::STORAGE_FAILED, "no disk");
    StoreEvents::sync_failed(&*engine.inboxes, &partition, &error);
    assert_eq!(wakes.load(Ordering::SeqCst), before + 1);
}

/// Codes of the NACK frames among these.
fn refused(frames: &[Got]) -> Vec<u64> {
    frames.iter().filter(|got| got.op == 21).map(|got| got.numbers[3]).collect()
}

#[test]
fn while_resources_are_low_credit_is_kept_back_and_comes_when_they_are_not() {
    let engine = Engine::open(options(None, 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, memory()).unwrap();
    let producer = rig.connect();
    engine.set_pressure(Pressure::Hold);
    let small = publish(1, 2, &batch_of(&[b"small"]));
    let flags = rig.worker.ingest(producer, &small).unwrap();
    assert_eq!(flags & Flags::PAUSE, 0, "its acks and requests are still read");
    rig.run();
    let frames = rig.frames(producer);
    assert_eq!(credit_in(&frames), 0);
    assert_eq!(refused(&frames), []);
    engine.set_pressure(Pressure::None);
    rig.run();
    assert_eq!(credit_in(&rig.frames(producer)) as usize, small.len());
}

#[test]
fn a_sender_past_its_credit_is_read_no_further_until_resources_are_back() {
    let engine = Engine::open(options(None, 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, memory()).unwrap();
    let producer = rig.connect();
    engine.set_pressure(Pressure::Hold);
    let batch = publish(1, 2, &batch_of(&[&vec![0; 20_000]]));
    let mut flags = 0;
    while flags & Flags::PAUSE == 0 {
        flags = rig.worker.ingest(producer, &batch).unwrap();
        assert_eq!(flags & Flags::FATAL, 0);
    }
    rig.run();
    assert_eq!(rig.resumed, []);
    engine.set_pressure(Pressure::None);
    rig.run();
    assert_eq!(rig.resumed, [producer]);
}

#[test]
fn what_is_published_although_resources_are_lower_still_is_refused() {
    let engine = Engine::open(options(None, 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, memory()).unwrap();
    let producer = rig.connect();
    engine.set_pressure(Pressure::Refuse);
    rig.worker.ingest(producer, &publish(1, 2, &batch_of(&[b"batch"]))).unwrap();
    rig.run();
    let code = u64::from(ErrorCode::LOW_RESOURCES.0);
    assert_eq!(refused(&rig.frames(producer)), [code]);
    assert_eq!(rig.worker.connection_charge(producer, 1, 10).unwrap_err().code, ErrorCode::LOW_RESOURCES);
    engine.set_pressure(Pressure::None);
    rig.worker.ingest(producer, &publish(2, 2, &batch_of(&[b"batch"]))).unwrap();
    rig.run();
    assert_eq!(refused(&rig.frames(producer)), []);
    assert_eq!(rig.worker.partition(LOG, 0).unwrap().next_offset(), 1);
}

#[test]
fn a_bucket_without_room_refuses_what_its_connections_publish_and_nobody_elses() {
    let engine = Engine::open(options(None, 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, memory()).unwrap();
    let (full, free) = (rig.connect(), rig.connect());
    engine.quota_set("namespace full".to_owned(), Some(Quota::default()));
    rig.worker.connection_quotas(full, vec!["namespace full".to_owned()], true).unwrap();
    assert_eq!(engine.quota_connections("namespace full"), 1);
    engine.quota_full("namespace full", true);
    for connection in [full, free] {
        rig.worker.ingest(connection, &publish(1, 2, &batch_of(&[b"batch"]))).unwrap();
    }
    rig.run();
    assert_eq!(refused(&rig.frames(full)), [u64::from(ErrorCode::QUOTA_EXCEEDED.0)]);
    assert_eq!(refused(&rig.frames(free)), []);
    rig.worker.connection_close(full);
    assert_eq!(engine.quota_connections("namespace full"), 0);
}

#[test]
fn without_a_connection_a_publish_past_a_rate_or_without_room_is_refused() {
    let engine = Engine::open(options(None, 1)).unwrap();
    let buckets = ["namespace a".to_owned(), "user nobody".to_owned()];
    engine.publish_charge(&buckets, 1_000, 0).unwrap();
    engine.quota_set(buckets[0].clone(), Some(Quota { messages_per_sec: 10, ..Quota::default() }));
    engine.publish_charge(&buckets, 1, 0).unwrap();
    let code = |engine: &Engine| engine.publish_charge(&buckets, 1, 0).unwrap_err().code;
    assert_eq!(code(&engine), ErrorCode::QUOTA_EXCEEDED);
    engine.set_clock(1_000_100).unwrap();
    engine.publish_charge(&buckets, 1, 0).unwrap();
    engine.set_clock(1_000_200).unwrap();
    engine.quota_full("namespace a", true);
    assert_eq!(code(&engine), ErrorCode::QUOTA_EXCEEDED);
    engine.quota_full("namespace a", false);
    engine.set_pressure(Pressure::Hold);
    assert_eq!(code(&engine), ErrorCode::LOW_RESOURCES);
    engine.set_pressure(Pressure::None);
    engine.publish_charge(&buckets, 1, 0).unwrap();
    assert_eq!(engine.quota_connections("namespace a"), 0);
}
