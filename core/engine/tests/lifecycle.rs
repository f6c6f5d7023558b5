//! Workers, connections and logs that come and go.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::kit::*;

#[test]
fn workers_share_logs_and_answer_through_each_others_inboxes() {
    let engine = Engine::open(options(None, 2)).unwrap();
    let (mut first, mut second) = (Rig::new(&engine, 0), Rig::new(&engine, 1));
    first.worker.ensure_log(LOG, 1, memory()).unwrap();
    let (producer, consumer) = (first.connect(), second.connect());
    second.subscribe(consumer, 1 << 20, FOLLOW);
    second.run();
    first.worker.ingest(producer, &publish_one(1, 2, None, b"across")).unwrap();
    first.run();
    second.run();
    assert_eq!(values(&second.frames(consumer)[0].batches), [b"across"]);
    first.worker.engine().post(1, b"mail".to_vec()).unwrap();
    second.run();
    assert_eq!(second.worker.take_mail(), [b"mail"]);
}

#[test]
fn deleting_a_log_ends_its_sources() {
    let mut rig = Rig::in_memory(1);
    let consumer = rig.connect();
    rig.subscribe(consumer, 1 << 20, FOLLOW);
    rig.run();
    rig.worker.delete_log(LOG).unwrap();
    rig.run();
    let end = rig.frames(consumer).pop().unwrap();
    assert_eq!((end.op, end.numbers[3]), (25, u64::from(ErrorCode::TOPIC_DELETED.0)));
}

#[test]
fn a_closed_connection_leaves_nothing_behind_and_its_number_is_used_again() {
    let mut rig = Rig::in_memory(1);
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.subscribe(consumer, 1 << 20, FOLLOW);
    rig.run();
    rig.worker.ingest(producer, &publish_one(1, 2, None, b"staged")).unwrap();
    rig.worker.connection_close(consumer);
    rig.worker.connection_close(producer);
    rig.run();
    assert_eq!(rig.worker.partition(LOG, 0).unwrap().next_offset(), 1);
    let again = rig.connect();
    assert!([producer, consumer].contains(&again));
    rig.run();
    assert!(rig.frames(again).is_empty(), "the answer was for the connection before");
}

/// A worker's thread begins after the others, which may have written to it already.
#[test]
fn what_came_before_a_worker_could_be_woken_wakes_it() {
    let engine = Engine::open(options(None, 2)).unwrap();
    engine.post(1, b"early".to_vec()).unwrap();
    let wakes = Arc::new(AtomicUsize::new(0));
    let counter = wakes.clone();
    engine.on_wake(1, Box::new(move || _ = counter.fetch_add(1, Ordering::SeqCst)));
    engine.post(1, b"late".to_vec()).unwrap();
    assert!(wakes.load(Ordering::SeqCst) > 0);
    let mut second = Rig::new(&engine, 1);
    second.run();
    assert_eq!(second.worker.take_mail(), [b"early".to_vec(), b"late".to_vec()]);
}

/// TypeScript has no reason to turn after an append of its own.
#[test]
fn an_append_of_the_control_plane_wakes_the_loop_for_those_who_wait() {
    let mut rig = Rig::in_memory(1);
    let consumer = rig.connect();
    rig.subscribe(consumer, 1 << 20, FOLLOW);
    rig.run();
    let wakes = Arc::new(AtomicUsize::new(0));
    let counter = wakes.clone();
    rig.worker.engine().on_wake(0, Box::new(move || _ = counter.fetch_add(1, Ordering::SeqCst)));
    rig.run();
    let before = wakes.load(Ordering::SeqCst);
    rig.worker.append(LOG, 0, &batch_of(&[b"a"]), None).unwrap();
    assert_eq!(wakes.load(Ordering::SeqCst), before + 1);
    rig.run();
    assert_eq!(values(&rig.frames(consumer)[0].batches), [b"a"]);
}
