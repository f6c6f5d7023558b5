//! What a space's logs and snapshot come to when they grow, end early or are damaged.

use std::path::{Path, PathBuf};

use super::kit::*;
use super::space_kit::*;
use crate::engine::QueueConsumer;

/// A small engine, whose spaces take snapshots often.
fn open(folder: Option<&Path>) -> Arc<Engine> {
    let options = options(folder.map(Path::to_path_buf), 1);
    Engine::open(EngineOptions { checkpoint_bytes: 16 << 10, ..options }).unwrap()
}

fn publish(rig: &mut Rig, connection: u32, correlation: u64, values: &[&str]) {
    let records: Vec<(&str, &str)> = values.iter().map(|value| ("k", *value)).collect();
    rig.worker.ingest(connection, &publish_to(correlation, &keyed(&records))).unwrap();
    rig.run();
}

/// Where the journal's segments lie.
fn journal_folder(folder: &Path) -> PathBuf {
    folder.join("logs").join(JOURNAL.to_string()).join("0")
}

fn received(rig: &mut Rig, connection: u32) -> Vec<Vec<u8>> {
    messages(&rig.frames(connection)).into_iter().flat_map(|(_, values)| values).collect()
}

#[test]
fn in_memory_the_logs_keep_only_what_a_queue_holds_and_a_space_closes() {
    let engine = open(None);
    let log = LogConfig { segment_bytes: 64 << 10, ..memory() };
    let mut rig = rig_on(&engine, &log, &[]);
    let connection = connect(&mut rig, 0);
    consume(&mut rig, connection, 1_000);
    let value = "v".repeat(1 << 10);
    for n in 0..2_000 {
        publish(&mut rig, connection, n, &[value.as_str(); 100]);
        rig.worker.ingest(connection, &settle(None, 0, &[n * 100 + 1, 100])).unwrap();
        rig.run();
        rig.frames(connection);
    }
    engine.spaces.get(SPACE).unwrap().close(engine.now_ms()).unwrap();
    for log in [JOURNAL, ACKS] {
        let partition = rig.worker.partition(log, 0).unwrap();
        assert!(partition.start_offset() > 0, "log {log} has let nothing go");
    }
    publish(&mut rig, connection, 5_000, &["last"]);
    assert_eq!(received(&mut rig, connection), [b"last"]);
}

#[test]
fn a_message_with_the_number_of_one_that_a_power_cut_took_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(Some(folder.path()));
    let mut rig = rig_with(&engine, &[]);
    let connection = connect(&mut rig, 0);
    consume(&mut rig, connection, 10);
    publish(&mut rig, connection, 1, &["a", "b"]);
    rig.worker.ingest(connection, &settle(None, 0, &[1, 2])).unwrap();
    rig.run();
    drop((rig, engine));
    // The ack log came to the disk and the journal did not.
    std::fs::remove_dir_all(journal_folder(folder.path())).unwrap();

    let engine = open(Some(folder.path()));
    let mut rig = rig_with(&engine, &[]);
    let connection = connect(&mut rig, 0);
    publish(&mut rig, connection, 1, &["new", "newer"]);
    drop((rig, engine));

    let engine = open(Some(folder.path()));
    let mut rig = rig_with(&engine, &[]);
    let connection = connect(&mut rig, 0);
    consume(&mut rig, connection, 10);
    rig.run();
    assert_eq!(received(&mut rig, connection), [b"new".to_vec(), b"newer".to_vec()]);
}

#[test]
fn a_damaged_snapshot_is_refused_by_name_and_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(Some(folder.path()));
    let mut rig = rig_with(&engine, &[]);
    let connection = connect(&mut rig, 0);
    publish(&mut rig, connection, 1, &["a"]);
    engine.close().unwrap();
    drop((rig, engine));
    let path = folder.path().join("spaces").join(SPACE.to_string());
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();

    let engine = open(Some(folder.path()));
    let mut rig = rig_with(&engine, &[]);
    let connection = connect(&mut rig, 0);
    let consumer = QueueConsumer { queue: QUEUE, prefetch: 10, priority: 0, flags: 0, lease_ms: 0 };
    let refused = rig.worker.queue_subscribe(connection, 1, SPACE, consumer).unwrap_err();
    assert_eq!(refused.code, ErrorCode::BAD_FORMAT);
    assert!(refused.message.contains("spaces/1 is damaged"), "{}", refused.message);
    // Whole again, it serves: the failed try has left nothing behind.
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    consume(&mut rig, connection, 10);
    rig.run();
    assert_eq!(received(&mut rig, connection), [b"a"]);
}

#[test]
fn a_message_that_cannot_be_read_ends_its_consumer_and_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(Some(folder.path()));
    let mut rig = rig_with(&engine, &[]);
    let connection = connect(&mut rig, 0);
    publish(&mut rig, connection, 1, &["a", "b"]);
    drop((rig, engine));
    let engine = open(Some(folder.path()));
    let mut rig = rig_with(&engine, &[]);
    let connection = connect(&mut rig, 0);
    assert_eq!(count(&rig, QUEUE, "ready"), 2);
    let path = journal_folder(folder.path()).join("00000000000000000000.log");
    let segment = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&segment, &[0; 1 << 10], 0).unwrap();
    consume(&mut rig, connection, 10);
    rig.run();
    let frames = rig.frames(connection);
    assert_eq!(messages(&frames), []);
    assert!(frames.iter().any(|got| got.op == 19), "the consumer is told that it ends");
    assert_eq!((count(&rig, QUEUE, "ready"), count(&rig, QUEUE, "inFlight")), (2, 0));
}
