//! Dead letters, delays and what the control plane does with waiting messages.

use super::kit::*;
use super::space_kit::*;

const GRAVES: u32 = 9;
const DEAD: u32 = 10;

fn apply(rig: &Rig, version: u64, change: &[u8]) {
    rig.worker.space_apply(SPACE, version, change).unwrap();
}

/// The queue of the kit, whose dead letters go through a fanout exchange to another.
fn with_graves(engine: &Arc<Engine>, config: &Config<'_>) -> Rig {
    let rig = rig_with(engine, &[]);
    apply(&rig, 10, &exchange(GRAVES, "fanout"));
    apply(&rig, 11, &queue(DEAD, "dead", &Config::default()));
    apply(&rig, 12, &bind(GRAVES, DEAD, ""));
    apply(&rig, 13, &queue(QUEUE, "q", config));
    rig
}

fn all_values(rig: &mut Rig, connection: u32) -> Vec<Vec<u8>> {
    messages(&rig.frames(connection)).into_iter().flat_map(|(_, values)| values).collect()
}

#[test]
fn a_rejected_message_goes_on_with_its_history_and_stays_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(Some(folder.path().to_path_buf()), 1)).unwrap();
    let to_graves = Config { dead_letter: Some((GRAVES, "why")), ..Config::default() };
    let mut rig = with_graves(&engine, &to_graves);
    let connection = connect(&mut rig, 0);
    consume(&mut rig, connection, 10);
    rig.worker.ingest(connection, &publish_to(1, &keyed(&[("k", "a"), ("k", "b")]))).unwrap();
    rig.run();
    rig.frames(connection);
    rig.worker.ingest(connection, &settle(None, 2, &[1, 1])).unwrap();
    rig.worker.ingest(connection, &settle(None, 0, &[2, 1])).unwrap();
    rig.run();
    drop((rig, engine));

    let engine = Engine::open(options(Some(folder.path().to_path_buf()), 1)).unwrap();
    let mut rig = with_graves(&engine, &to_graves);
    let connection = connect(&mut rig, 0);
    consume_from(&mut rig, connection, DEAD, 10);
    rig.run();
    let frames = rig.frames(connection);
    assert_eq!(messages(&frames), [(1, vec![b"a".to_vec()])]);
    assert_eq!((count(&rig, QUEUE, "ready"), count(&rig, DEAD, "inFlight")), (0, 1));
    let peeked = request(&rig, "peek", DEAD, |out| {
        msgpack::write_nil(out);
        msgpack::write_uint(out, 10);
    });
    let text = String::from_utf8_lossy(&peeked);
    assert!(text.contains("rejected") && text.contains("why"), "the history is kept: {text}");
}

#[test]
fn a_message_that_only_time_moves_round_is_dropped_when_it_comes_back() {
    let engine = Engine::open(options(None, 1)).unwrap();
    let ttl = Config { numbers: &[("messageTtlMs", 10)], dead_letter: Some((0, "back")), ..Config::default() };
    let rig = rig_with(&engine, &[]);
    apply(&rig, 10, &queue(QUEUE, "q", &ttl));
    let back = Config { numbers: &[("messageTtlMs", 10)], dead_letter: Some((0, "q")), ..Config::default() };
    apply(&rig, 11, &queue(DEAD, "back", &back));
    let mut rig = rig;
    let producer = connect(&mut rig, 0);
    rig.worker.ingest(producer, &publish_to(1, &keyed(&[("k", "a")]))).unwrap();
    rig.run();
    for step in 1..10 {
        engine.set_clock(1_000_000 + step * 20).unwrap();
        rig.run();
    }
    let held = |queue| count(&rig, queue, "ready") + count(&rig, queue, "delayed");
    assert_eq!((held(QUEUE), held(DEAD)), (0, 0));
}

#[test]
fn a_delayed_message_comes_when_the_timer_says_so() {
    let engine = Engine::open(options(None, 1)).unwrap();
    let mut rig = rig_with(&engine, &[]);
    let connection = connect(&mut rig, 0);
    consume(&mut rig, connection, 10);
    rig.worker.ingest(connection, &publish_to(1, &with_headers("k", &["late"], &[("x-delay-ms", 500)]))).unwrap();
    rig.worker.ingest(connection, &publish_to(2, &with_headers("k", &["now"], &[]))).unwrap();
    rig.run();
    assert_eq!(all_values(&mut rig, connection), [b"now"]);
    assert_eq!(rig.timer_ms, 1_000_500);
    engine.set_clock(1_000_499).unwrap();
    rig.run();
    assert!(all_values(&mut rig, connection).is_empty());
    engine.set_clock(1_000_500).unwrap();
    rig.run();
    assert_eq!(all_values(&mut rig, connection), [b"late"]);
}

#[test]
fn higher_priorities_come_first_and_a_full_queue_refuses() {
    let engine = Engine::open(options(None, 1)).unwrap();
    let mut rig = rig_with(&engine, &[("priorityMax", 9)]);
    let connection = connect(&mut rig, 0);
    for (correlation, value, priority) in [(1, "low", 0), (2, "high", 9), (3, "middle", 5)] {
        let batch = with_headers("k", &[value], &[("x-priority", priority)]);
        rig.worker.ingest(connection, &publish_to(correlation, &batch)).unwrap();
    }
    rig.run();
    consume(&mut rig, connection, 10);
    rig.run();
    assert_eq!(all_values(&mut rig, connection), [b"high".to_vec(), b"middle".to_vec(), b"low".to_vec()]);
}

#[test]
fn a_topic_that_is_bound_gets_a_copy_in_the_partition_of_the_key() {
    let engine = Engine::open(options(None, 1)).unwrap();
    let mut rig = rig_with(&engine, &[]);
    rig.worker.ensure_log(LOG, 4, memory()).unwrap();
    apply(&rig, 10, &bind_topic(EXCHANGE, LOG, "k"));
    let connection = connect(&mut rig, 0);
    rig.worker.ingest(connection, &publish_to(1, &keyed(&[("k", "a"), ("other", "b"), ("k", "c")]))).unwrap();
    rig.run();
    let partition = crate::batch::murmur2::partition_of(b"k", 4);
    let stored = rig.worker.partition(LOG, partition).unwrap().read_copy(0, 1 << 20).unwrap();
    assert_eq!(values(&stored), [b"a".to_vec(), b"c".to_vec()]);
    assert_eq!(count(&rig, QUEUE, "ready"), 2);
}

#[test]
fn a_dead_letter_reaches_a_topic_too_and_wakes_its_readers() {
    let engine = Engine::open(options(None, 1)).unwrap();
    let mut rig = with_graves(&engine, &Config { dead_letter: Some((GRAVES, "")), ..Config::default() });
    rig.worker.ensure_log(LOG, 4, memory()).unwrap();
    apply(&rig, 14, &bind_topic(GRAVES, LOG, ""));
    let connection = connect(&mut rig, 0);
    consume(&mut rig, connection, 10);
    let partition = crate::batch::murmur2::partition_of(b"k", 4);
    let reader = connect(&mut rig, 0);
    rig.worker.subscription_open(reader, 1, 1 << 20, 0).unwrap();
    rig.worker.source_add(reader, 1, 1, LOG, partition, SourceRange { from: 0, until: None }).unwrap();
    rig.run();
    rig.worker.ingest(connection, &publish_to(1, &keyed(&[("k", "a")]))).unwrap();
    rig.run();
    rig.worker.ingest(connection, &settle(None, 2, &[1, 1])).unwrap();
    rig.run();
    let delivered: Vec<Vec<u8>> = rig.frames(reader).iter().flat_map(|got| values(&got.batches)).collect();
    assert_eq!(delivered, [b"a"]);
    assert_eq!(count(&rig, DEAD, "ready"), 1);
}

#[test]
fn dead_letters_are_driven_back_to_where_they_died() {
    let engine = Engine::open(options(None, 1)).unwrap();
    let to_graves = Config { dead_letter: Some((GRAVES, "")), ..Config::default() };
    let mut rig = with_graves(&engine, &to_graves);
    let connection = connect(&mut rig, 0);
    consume(&mut rig, connection, 2);
    rig.worker.ingest(connection, &publish_to(1, &keyed(&[("k", "a"), ("k", "b")]))).unwrap();
    rig.run();
    rig.worker.ingest(connection, &settle(None, 2, &[1, 2])).unwrap();
    rig.run();
    assert_eq!(count(&rig, DEAD, "ready"), 2);
    rig.frames(connection);
    let answer = request(&rig, "redrive", DEAD, |out| {
        msgpack::write_map(out, 1);
        msgpack::write_str(out, "max");
        msgpack::write_uint(out, 1);
    });
    assert!(answer.ends_with(&[1]), "one was moved");
    rig.run();
    assert_eq!(all_values(&mut rig, connection), [b"a"]);
    assert_eq!(count(&rig, DEAD, "ready"), 1);
}
