//! Workers, connections and logs that come and go.

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
