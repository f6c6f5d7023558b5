//! Sessions of an ordered queue: what consumers keep of a group, by itself and together with an ack.

use super::kit::*;
use super::space_kit::*;

fn open_ordered(folder: &std::path::Path) -> (Arc<Engine>, Rig) {
    let engine = Engine::open(options(Some(folder.to_path_buf()), 1)).unwrap();
    let rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(JOURNAL, 1, LogConfig::default()).unwrap();
    rig.worker.ensure_log(ACKS, 1, LogConfig::default()).unwrap();
    rig.worker.space_open(SPACE, JOURNAL, ACKS).unwrap();
    let numbers = [("sessionStatesMax", 2), ("sessionStateBytesMax", 8)];
    let config = Config { numbers: &numbers, flags: &[("ordered", true)], ..Config::default() };
    let changes = [exchange(EXCHANGE, "fanout"), queue(QUEUE, "q", &config), bind(EXCHANGE, QUEUE, "")];
    for (version, change) in changes.iter().enumerate() {
        rig.worker.space_apply(SPACE, version as u64, change).unwrap();
    }
    (engine, rig)
}

fn ask(rig: &Rig, what: &str, group: &str, state: Option<&str>) -> crate::error::Result<Vec<u8>> {
    let request = change(|out| {
        msgpack::write_array(out, 4);
        msgpack::write_str(out, what);
        msgpack::write_uint(out, u64::from(QUEUE));
        msgpack::write_str(out, group);
        match state {
            Some(state) => msgpack::write_bin(out, state.as_bytes()),
            None => msgpack::write_nil(out),
        }
    });
    rig.worker.space_request(SPACE, &request)
}

fn state(rig: &Rig, group: &str) -> Option<String> {
    let answer = ask(rig, "session", group, None).unwrap();
    let found = Reader::new(&answer).optional_blob().unwrap();
    found.map(|state| String::from_utf8_lossy(state).into_owned())
}

fn set(rig: &Rig, group: &str, state: Option<&str>) -> crate::error::Result<Vec<u8>> {
    ask(rig, "set_session", group, state)
}

fn ack_with(correlation: u64, state: Option<&str>, ranges: &[u64]) -> Vec<u8> {
    frame(|out| {
        msgpack::write_array(out, 6);
        for value in [13, 1, correlation, 7] {
            msgpack::write_uint(out, value);
        }
        match state {
            Some(state) => msgpack::write_bin(out, state.as_bytes()),
            None => msgpack::write_nil(out),
        }
        msgpack::write_array(out, ranges.len());
        for value in ranges {
            msgpack::write_uint(out, *value);
        }
    })
}

fn answers(rig: &mut Rig, connection: u32) -> Vec<u64> {
    rig.run();
    rig.frames(connection).iter().map(|got| got.op).filter(|op| [OK, ERROR].contains(op)).collect()
}

#[test]
fn a_state_is_kept_across_a_crash_and_behind_a_snapshot_until_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, rig) = open_ordered(folder.path());
    assert_eq!(state(&rig, "a"), None);
    set(&rig, "a", Some("one")).unwrap();
    set(&rig, "b", Some("two")).unwrap();
    set(&rig, "b", None).unwrap();
    drop((rig, engine));
    let (engine, rig) = open_ordered(folder.path());
    assert_eq!((state(&rig, "a"), state(&rig, "b")), (Some("one".into()), None));
    engine.close().unwrap();
    drop((rig, engine));
    let (_engine, rig) = open_ordered(folder.path());
    assert_eq!((state(&rig, "a"), state(&rig, "b")), (Some("one".into()), None));
}

#[test]
fn an_ack_and_the_state_that_it_carries_happen_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, mut rig) = open_ordered(folder.path());
    let connection = connect(&mut rig, 0);
    consume(&mut rig, connection, 10);
    rig.worker.ingest(connection, &publish_to(1, &keyed(&[("a", "1"), ("a", "2"), ("b", "3")]))).unwrap();
    rig.run();
    rig.frames(connection);
    rig.worker.ingest(connection, &ack_with(5, Some("done 1"), &[1, 1])).unwrap();
    assert_eq!(answers(&mut rig, connection), [OK]);
    assert_eq!(state(&rig, "a"), Some("done 1".into()));
    // Settled before; too large; not one message: nothing of it happens.
    for (value, ranges) in [("again", [1, 1]), ("too large", [2, 1]), ("two", [2, 2])] {
        rig.worker.ingest(connection, &ack_with(6, Some(value), &ranges)).unwrap();
        assert_eq!(answers(&mut rig, connection), [ERROR], "{value}");
    }
    assert_eq!((count(&rig, QUEUE, "acked"), state(&rig, "a"), state(&rig, "b")), (1, Some("done 1".into()), None));
    // Without a turn, neither is in the ack log.
    rig.worker.ingest(connection, &ack_with(7, None, &[3, 1])).unwrap();
    drop((rig, engine));
    let (_engine, mut rig) = open_ordered(folder.path());
    assert_eq!((count(&rig, QUEUE, "ready"), state(&rig, "a")), (2, Some("done 1".into())));
    let connection = connect(&mut rig, 0);
    consume(&mut rig, connection, 1);
    rig.run();
    rig.worker.ingest(connection, &ack_with(8, None, &[1, 1])).unwrap();
    assert_eq!(answers(&mut rig, connection), [OK]);
    assert_eq!(state(&rig, "a"), None, "an ack may end a session");
}

#[test]
fn states_are_bounded_in_number_and_size_and_only_ordered_queues_have_them() {
    let folder = tempfile::tempdir().unwrap();
    let (_engine, rig) = open_ordered(folder.path());
    assert_eq!(set(&rig, "a", Some("123456789")).unwrap_err().code, ErrorCode::LIMIT_EXCEEDED);
    set(&rig, "a", Some("12345678")).unwrap();
    set(&rig, "b", Some("1")).unwrap();
    assert_eq!(set(&rig, "c", Some("1")).unwrap_err().code, ErrorCode::LIMIT_EXCEEDED);
    set(&rig, "b", Some("2")).unwrap();
    set(&rig, "a", None).unwrap();
    set(&rig, "c", Some("1")).unwrap();
    let rig = in_memory();
    assert_eq!(set(&rig, "a", Some("1")).unwrap_err().code, ErrorCode::INVALID_ARGUMENT);
}
