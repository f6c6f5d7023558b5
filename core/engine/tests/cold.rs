//! What is on disk only: who reads it in, and what becomes of what the disk does not give.

use std::fs::File;
use std::path::Path;

use super::kit::*;

const VALUE_BYTES: usize = 50_000;

fn value_at(n: u32) -> Vec<u8> {
    let mut value = vec![n as u8; VALUE_BYTES];
    value[..4].copy_from_slice(&n.to_be_bytes());
    value
}

/// A log of so many batches of one record.
fn filled(directory: &Path, count: u32) -> (Arc<Engine>, Rig) {
    let engine = Engine::open(options(Some(directory.into()), 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, config()).unwrap();
    let producer = rig.connect();
    for n in 0..count {
        rig.worker.ingest(producer, &publish(u64::from(n), 2, &batch_of(&[&value_at(n)]))).unwrap();
        rig.run();
    }
    (engine, rig)
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 32 << 20, ..LogConfig::default() }
}

/// The folder of the partition's files.
fn files(directory: &Path) -> Vec<File> {
    let folder = directory.join(format!("logs/{LOG}/0"));
    std::fs::read_dir(folder).unwrap().map(|entry| File::open(entry.unwrap().path()).unwrap()).collect()
}

/// What this thread has had read from a disk: the kernel counts for whoever asks it to read.
fn bytes_from_disk() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("read_bytes: ")).unwrap().parse().unwrap()
}

#[test]
fn the_loop_does_not_read_the_disk_for_sources_that_are_behind() {
    behind(0);
}

/// Finding the place reads the disk around it.
#[test]
fn nor_does_it_go_on_with_what_finding_the_place_has_begun() {
    behind(300);
}

fn behind(from: u32) {
    const COUNT: u32 = 1_000;
    let directory = tempfile::tempdir().unwrap();
    let (engine, rig) = filled(directory.path(), COUNT);
    drop(rig);
    engine.close().unwrap();
    drop(engine);
    let engine = Engine::open(options(Some(directory.path().into()), 1)).unwrap();
    for file in files(directory.path()) {
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, config()).unwrap();
    let consumers = [rig.connect(), rig.connect(), rig.connect()];
    let before = bytes_from_disk();
    for consumer in consumers {
        rig.subscribe(consumer, 64 << 20, SourceRange { from: u64::from(from), until: Some(u64::from(COUNT)) });
    }
    rig.run_until(|rig| rig.ended.len() == consumers.len());
    let read = bytes_from_disk() - before;
    // It loads its own code, too, and the kernel may take away what was just read in.
    assert!(read < u64::from(COUNT) * VALUE_BYTES as u64 / 4, "the loop's thread had {read} bytes read");
    for consumer in consumers {
        let frames = rig.frames(consumer);
        let got = frames.iter().filter(|got| got.op == 23).flat_map(|got| values(&got.batches));
        assert!(got.eq((from..COUNT).map(value_at)), "each once and in order");
    }
    engine.close().unwrap();
}

#[test]
fn what_lies_before_a_page_that_is_lost_is_delivered() {
    const KEPT_BYTES: usize = 366 * 4096;
    let directory = tempfile::tempdir().unwrap();
    let (_engine, mut rig) = filled(directory.path(), 60);
    lose(directory.path(), KEPT_BYTES as u64);
    let consumer = rig.connect();
    rig.subscribe(consumer, 64 << 20, FOLLOW);
    rig.run_until(|rig| rig.ended == [consumer]);
    let frames = rig.frames(consumer);
    let end = frames.last().unwrap();
    assert_eq!((end.op, end.numbers[3]), (25, u64::from(ErrorCode::STORAGE_FAILED.0)));
    let got: Vec<_> = frames.iter().filter(|got| got.op == 23).flat_map(|got| values(&got.batches)).collect();
    assert_eq!(got.len(), KEPT_BYTES / batch_of(&[&value_at(0)]).len());
    assert_eq!(end.numbers[2], got.len() as u64);
    assert!(got.into_iter().eq((0..end.numbers[2] as u32).map(value_at)));
}

#[test]
fn a_batch_longer_than_what_is_asked_for_at_a_time_comes_whole_or_not_at_all() {
    const RECORD_BYTES: usize = 500_000;
    const RECORDS: usize = 10;
    let directory = tempfile::tempdir().unwrap();
    let large = EngineOptions { publish_overdraft_bytes_max: 8 << 20, ..options(Some(directory.path().into()), 1) };
    let engine = Engine::open(large).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, config()).unwrap();
    let producer = rig.connect();
    for n in 0..3 {
        let value = vec![n as u8; RECORD_BYTES];
        rig.worker.ingest(producer, &publish(n, 2, &batch_of(&[&value[..]; RECORDS]))).unwrap();
        rig.run();
    }
    for file in files(directory.path()) {
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
    // Within the third batch.
    lose(directory.path(), 3_000 * 4096);
    // The second time, all that the disk gives is in memory.
    for from in [0, 2 * RECORDS] {
        let consumer = rig.connect();
        rig.subscribe(consumer, 64 << 20, SourceRange { from: from as u64, until: None });
        rig.run_until(|rig| rig.ended.last() == Some(&consumer));
        let frames = rig.frames(consumer);
        let end = frames.last().unwrap();
        assert_eq!(end.numbers[2..4], [2 * RECORDS as u64, u64::from(ErrorCode::STORAGE_FAILED.0)]);
        let got: Vec<_> = frames.iter().filter(|got| got.op == 23).flat_map(|got| values(&got.batches)).collect();
        assert!(got.into_iter().eq((from..2 * RECORDS).map(|n| vec![(n / RECORDS) as u8; RECORD_BYTES])));
    }
}

/// The only way to lose pages under a map without a broken disk.
fn lose(directory: &Path, from: u64) {
    let file = directory.join(format!("logs/{LOG}/0/{:020}.log", 0));
    File::options().write(true).open(file).unwrap().set_len(from).unwrap();
}

/// Such a page can never be read in, and touching it would end the process.
#[test]
fn a_source_whose_pages_cannot_be_read_from_disk_ends_with_storage_failed() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(Some(directory.path().into()), 1)).unwrap();
    let mut rig = Rig::new(&engine, 0);
    rig.worker.ensure_log(LOG, 1, LogConfig::default()).unwrap();
    let (producer, consumer) = (rig.connect(), rig.connect());
    rig.worker.ingest(producer, &publish(1, 2, &batch_of(&[&vec![0; 100_000]]))).unwrap();
    rig.run();
    lose(directory.path(), 0);
    rig.subscribe(consumer, 1 << 20, FOLLOW);
    rig.run_until(|rig| !rig.sent[consumer as usize].is_empty());
    let end = rig.frames(consumer).pop().unwrap();
    assert_eq!((end.op, end.numbers[3]), (25, u64::from(ErrorCode::STORAGE_FAILED.0)));
}
