//! Redrive with an edit: the edited message is a new one, stored in place of the old one in one step.

use super::kit::*;
use super::space_kit::*;

const GRAVES: u32 = 9;
const DEAD: u32 = 10;
const OTHER: u32 = 11;

fn open(folder: &std::path::Path) -> (Arc<Engine>, Rig) {
    let engine = Engine::open(options(Some(folder.to_path_buf()), 1)).unwrap();
    let rig = rig_with(&engine, &[]);
    let to_graves = Config { dead_letter: Some((GRAVES, "")), ..Config::default() };
    let changes = [
        exchange(GRAVES, "fanout"),
        queue(DEAD, "dead", &Config::default()),
        bind(GRAVES, DEAD, ""),
        queue(QUEUE, "q", &to_graves),
        queue(OTHER, "other", &to_graves),
        bind(EXCHANGE, OTHER, "k"),
    ];
    for (at, change) in changes.iter().enumerate() {
        rig.worker.space_apply(SPACE, 10 + at as u64, change).unwrap();
    }
    (engine, rig)
}

/// Publishes one message with an id and has `queue` reject it.
fn bury(rig: &mut Rig) {
    let producer = connect(rig, 0);
    rig.worker
        .ingest(producer, &publish_to(1, &with_headers("k", &["old"], &[("x-message-id", 7), ("n", 1)])))
        .unwrap();
    rig.run();
    reject(rig, QUEUE);
}

fn reject(rig: &mut Rig, from: u32) {
    let consumer = connect(rig, 0);
    consume_from(rig, consumer, from, 1);
    rig.run();
    rig.worker.ingest(consumer, &settle(None, 2, &[1, 1])).unwrap();
    rig.run();
    rig.frames(consumer);
    rig.worker.connection_close(consumer);
}

fn redrive(rig: &Rig, dry: bool) -> Vec<u8> {
    request(rig, "redrive", DEAD, |out| {
        msgpack::write_map(out, 2);
        msgpack::write_str(out, "dryRun");
        msgpack::write_bool(out, dry);
        msgpack::write_str(out, "edit");
        msgpack::write_map(out, 2);
        msgpack::write_str(out, "value");
        msgpack::write_str(out, "new");
        msgpack::write_str(out, "headers");
        msgpack::write_map(out, 1);
        msgpack::write_str(out, "n");
        msgpack::write_nil(out);
    })
}

fn peek(rig: &Rig, queue: u32) -> String {
    let peeked = request(rig, "peek", queue, |out| {
        msgpack::write_nil(out);
        msgpack::write_uint(out, 10);
    });
    String::from_utf8_lossy(&peeked).into_owned()
}

#[test]
fn an_edited_message_is_a_new_one_where_the_old_one_died() {
    let folder = tempfile::tempdir().unwrap();
    let (_engine, mut rig) = open(folder.path());
    bury(&mut rig);
    let shown = String::from_utf8_lossy(&redrive(&rig, true)).into_owned();
    assert!(shown.contains("new") && !shown.contains("old") && shown.contains("queues"), "{shown}");
    assert_eq!((count(&rig, DEAD, "ready"), count(&rig, QUEUE, "ready")), (1, 0), "a dry run moves nothing");
    redrive(&rig, false);
    rig.run();
    assert_eq!((count(&rig, DEAD, "ready"), count(&rig, DEAD, "removed")), (0, 1));
    let moved = peek(&rig, QUEUE);
    assert!(moved.contains("new") && !moved.contains("x-message-id"), "{moved}");
    let consumer = connect(&mut rig, 0);
    consume(&mut rig, consumer, 10);
    rig.run();
    assert_eq!(messages(&rig.frames(consumer)), [(1, vec![b"new".to_vec()])]);
}

#[test]
fn a_crash_right_after_the_edited_message_was_stored_leaves_it_alone_there() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, mut rig) = open(folder.path());
    bury(&mut rig);
    redrive(&rig, false);
    // Without a turn, the ack log knows nothing of it.
    drop((rig, engine));

    let (engine, rig) = open(folder.path());
    assert_eq!((count(&rig, DEAD, "ready"), count(&rig, QUEUE, "ready")), (0, 1));
    assert!(peek(&rig, QUEUE).contains("new"));
    engine.close().unwrap();
    drop((rig, engine));
    let (_engine, rig) = open(folder.path());
    assert_eq!((count(&rig, DEAD, "ready"), count(&rig, QUEUE, "ready")), (0, 1), "nor behind a snapshot");
}

#[test]
fn a_message_that_comes_into_the_queue_again_after_it_was_replaced_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, mut rig) = open(folder.path());
    bury(&mut rig);
    redrive(&rig, false);
    rig.run();
    // The same message was in the other queue all the time.
    reject(&mut rig, OTHER);
    assert_eq!(count(&rig, DEAD, "ready"), 1);
    drop((rig, engine));

    let (_engine, rig) = open(folder.path());
    assert_eq!((count(&rig, DEAD, "ready"), count(&rig, QUEUE, "ready"), count(&rig, OTHER, "ready")), (1, 1, 0));
    assert!(peek(&rig, DEAD).contains("old"));
}

#[test]
fn edits_that_fit_no_message_are_refused_and_nothing_moves() {
    let folder = tempfile::tempdir().unwrap();
    let (_engine, mut rig) = open(folder.path());
    bury(&mut rig);
    let large = "x".repeat(2 << 20);
    for (value, code) in [(large.as_str(), ErrorCode::MESSAGE_TOO_LARGE), ("", ErrorCode::INVALID_ARGUMENT)] {
        let asked = change(|out| {
            msgpack::write_array(out, 3);
            msgpack::write_str(out, "redrive");
            msgpack::write_uint(out, u64::from(DEAD));
            msgpack::write_map(out, 1);
            msgpack::write_str(out, "edit");
            msgpack::write_map(out, 1);
            msgpack::write_str(out, if value.is_empty() { "body" } else { "value" });
            msgpack::write_str(out, value);
        });
        assert_eq!(rig.worker.space_request(SPACE, &asked).unwrap_err().code, code);
    }
    assert_eq!((count(&rig, DEAD, "ready"), count(&rig, QUEUE, "ready")), (1, 0));
}
