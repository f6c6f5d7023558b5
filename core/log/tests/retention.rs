//! Retention, deletion, and what becomes of the space while readers hold maps.

use std::os::unix::fs::MetadataExt;

use super::kit::*;
use crate::error::ErrorCode;
use crate::log::{AppendOutcome, compact};

/// The bytes a file system reports as free for the directory.
fn allocated_blocks(rig: &Rig) -> u64 {
    rig.segment_files().iter().map(|path| std::fs::metadata(path).unwrap().blocks()).sum()
}

fn maps_of(needle: &str) -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().filter(|line| line.contains(needle)).count()
}

#[test]
fn segments_go_by_age_and_an_idle_one_is_rolled_first() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    rig.config.retention_ms = 10_000;
    let partition = rig.open();
    for n in 0..30u8 {
        append(&partition, &batch(&[&[n; 500]]));
    }
    rig.clock.set(START_MS + 9_000);
    rig.store().maintain();
    assert_eq!(partition.start_offset(), 0);
    rig.clock.set(START_MS + 10_001);
    rig.store().maintain();
    assert_eq!((partition.start_offset(), partition.next_offset(), partition.info().bytes), (30, 30, 0));
    assert_eq!(append(&partition, &batch(&[b"on"])), 30);
    rig.crash();
    drop(partition);
    let partition = rig.open();
    assert_eq!((partition.start_offset(), partition.next_offset()), (30, 31));
}

#[test]
fn a_reader_between_two_steps_of_an_expiry_hears_of_it_and_skips_nothing_in_silence() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    let partition = rig.open();
    for n in 0..30u8 {
        append(&partition, &batch(&[&[n; 500]]));
    }
    let bases: Vec<u64> = partition.segments().iter().map(|segment| segment.base).collect();
    let mut cursor = partition.cursor_at(0).unwrap();
    let first = partition.read_run(&mut cursor, 1 << 20, None).unwrap().unwrap();
    assert_eq!(first.next_offset, bases[1]);
    // The first two segments are out of the list and not marked yet.
    partition.store_start(bases[2]);
    partition.change_segments(|segments| segments.retain(|segment| segment.base >= bases[2]));
    let refused = partition.read_run(&mut cursor, 1 << 20, None).map(|run| run.map(|run| run.first_offset));
    assert_eq!(refused.unwrap_err().code, ErrorCode::OFFSET_OUT_OF_RANGE);
}

#[test]
fn an_empty_log_remembers_where_it_was_after_a_crash() {
    let mut rig = Rig::new();
    rig.config.retention_ms = 10;
    let partition = rig.open();
    append(&partition, &produced(4, 0, 0, 3, b"x"));
    rig.clock.set(START_MS + 100);
    rig.store().maintain();
    assert_eq!((partition.start_offset(), partition.info().bytes), (3, 0));
    rig.crash();
    drop(partition);
    let partition = rig.open();
    assert_eq!((partition.start_offset(), partition.next_offset()), (3, 3));
    assert_eq!(rig.segment_files().len(), 1);
    assert!(read_from(&partition, 3).unwrap().is_empty());
}

#[test]
fn what_expired_segments_said_of_producers_survives_a_crash_right_after() {
    let mut rig = Rig::new();
    rig.config.retention_ms = 10;
    let partition = rig.open();
    // Only this thread may write the state file.
    rig.store().shared().maintenance.stop();
    for n in 0..6 {
        append(&partition, &produced(4, 0, n, 1, b"x"));
    }
    rig.clock.set(START_MS + 100);
    partition.expire().unwrap();
    assert_eq!(partition.start_offset(), 6);
    rig.crash();
    drop(partition);
    let partition = rig.open();
    let retry = append_if(&partition, &produced(4, 0, 5, 1, b"x"), None, None);
    assert_eq!(retry, AppendOutcome::Duplicate { base_offset: Some(5) });
}

#[test]
fn a_limit_in_a_gap_of_a_compacted_segment_is_reached() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    let partition = rig.open();
    for n in 0..200 {
        append(&partition, &keyed(&[("same", Some(&format!("{n:0100}")))]));
    }
    partition.checkpoint().unwrap();
    compact::run_with(&partition, compact::When::Now, &|_| ()).unwrap();
    let mut cursor = partition.cursor_at(0).unwrap();
    let first = partition.read_run(&mut cursor, 1, None).unwrap().unwrap().first_offset;
    assert!(first > 3, "nothing was compacted");
    let mut cursor = partition.cursor_at(0).unwrap();
    assert!(partition.read_run(&mut cursor, 1, Some(3)).unwrap().is_none());
    assert_eq!(cursor.next_offset(), 3, "a bounded read ends in the gap");
}

#[test]
fn segments_go_by_bytes_but_never_the_active_one() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    rig.config.retention_bytes = 10_000;
    let partition = rig.open();
    for n in 0..60u8 {
        append(&partition, &batch(&[&[n; 500]]));
    }
    rig.store().maintain();
    let bytes = partition.info().bytes;
    assert!((10_000..15_000).contains(&bytes), "{bytes}");
    let start = partition.start_offset();
    assert_eq!(offsets(&read_from(&partition, start).unwrap()), (start..60).collect::<Vec<_>>());
    let error = partition.cursor_at(0).err().unwrap();
    assert_eq!((error.code, error.offset), (ErrorCode::OFFSET_OUT_OF_RANGE, Some(start)));
    let mut config = rig.config.clone();
    config.retention_bytes = 0;
    rig.store().ensure_log(LOG, 1, config).unwrap();
    rig.store().maintain();
    assert_eq!(partition.info().segments, 1);
    assert!(partition.info().bytes > 0);
}

#[test]
fn a_sealed_segment_is_when_a_log_shrinks_to_its_size() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    rig.config.retention_bytes = 10_000;
    let partition = rig.open();
    for n in 0..60u8 {
        append(&partition, &batch(&[&[n; 500]]));
    }
    // The rig's rounds are an hour apart.
    rig.wait_until("the log shrank", |_| partition.info().bytes < 15_000);
}

#[test]
fn a_reader_that_retention_overtook_is_told_the_start() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    rig.config.retention_bytes = 5_000;
    let partition = rig.open();
    for n in 0..60u8 {
        append(&partition, &batch(&[&[n; 500]]));
    }
    let mut cursor = partition.cursor_at(0).unwrap();
    let held = partition.read_run(&mut cursor, 1, None).unwrap().unwrap();
    let before = held.bytes().to_vec();
    rig.store().maintain();
    let error = partition.read_run(&mut cursor, 1000, None).err().unwrap();
    assert_eq!((error.code, error.offset), (ErrorCode::OFFSET_OUT_OF_RANGE, Some(partition.start_offset())));
    assert_eq!(held.bytes(), before, "what a reader holds stays as it was");
}

#[test]
fn space_of_expired_segments_comes_back_when_the_last_map_is_dropped() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 1 << 20;
    rig.config.retention_bytes = 0;
    let partition = rig.open();
    for n in 0..40u8 {
        append(&partition, &batch(&[&vec![n; 100_000]]));
    }
    let mut cursor = partition.cursor_at(0).unwrap();
    let run = partition.read_run(&mut cursor, 1 << 20, None).unwrap().unwrap();
    let name = rig.partition_directory().join(format!("{:020}.log", 0));
    let (name, map_id) = (name.to_string_lossy().into_owned(), run.map.id());
    assert_eq!(maps_of(&name), 1);
    let files = rig.segment_files().len();
    rig.store().maintain();
    assert!(files > 3 && rig.segment_files().len() == 1);
    rig.notes.wait_for(|told| *told == Told::Retired(map_id));
    // Unlinked, and still mapped: the kernel keeps it for the run's holder only.
    assert_eq!(maps_of(&name), 1);
    assert_eq!(run.bytes().len(), run.len);
    assert!(run.bytes().ends_with(&[0xc0]));
    drop(run);
    assert_eq!(maps_of(&name), 0);
    assert!(!open_descriptors().iter().any(|target| target.contains(&name)));
}

fn open_descriptors() -> Vec<String> {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_deleted_log_ends_its_readers_and_leaves_nothing() {
    let mut rig = Rig::new();
    let partition = rig.open();
    append(&partition, &batch(&[b"a"]));
    append(&partition, &batch(&[b"b"]));
    let mut cursor = partition.cursor_at(0).unwrap();
    let run = partition.read_run(&mut cursor, 1, None).unwrap().unwrap();
    rig.store().delete_log(LOG).unwrap();
    assert!(partition.is_deleted());
    assert!(!rig.directory.join("logs").join(LOG.to_string()).exists());
    assert_eq!(partition.read_run(&mut cursor, 1, None).err().unwrap().code, ErrorCode::TOPIC_DELETED);
    assert_eq!(error_of(&append_if(&partition, &batch(&[b"c"]), None, None)).code, ErrorCode::TOPIC_DELETED);
    assert_eq!(split(run.bytes()).len(), 1);
    rig.notes.wait_for(|told| *told == Told::Retired(run.map.id()));
    rig.wait_until("the log is gone", |rig| {
        std::fs::read_dir(rig.directory.join("logs")).unwrap().count() == 0 && rig.store().stats().dirty_bytes == 0
    });
    assert_eq!(maps_of(&rig.directory.to_string_lossy()), 1);
    drop(run);
    assert_eq!(maps_of(&rig.directory.to_string_lossy()), 0);
    rig.store().delete_log(LOG).unwrap();
    let again = rig.store().ensure_log(LOG, 1, rig.config.clone()).unwrap().partition(0).unwrap();
    assert_eq!(append(&again, &batch(&[b"new"])), 0);
}

#[test]
fn an_interrupted_deletion_is_finished_at_the_next_start() {
    let mut rig = Rig::new();
    let partition = rig.open();
    append(&partition, &batch(&[b"a"]));
    rig.crash();
    drop(partition);
    let logs = rig.directory.join("logs");
    std::fs::rename(logs.join(LOG.to_string()), logs.join(format!("{LOG}.deleted"))).unwrap();
    let partition = rig.open();
    assert_eq!(partition.next_offset(), 0);
    assert!(!logs.join(format!("{LOG}.deleted")).exists());
}

#[test]
fn small_logs_allocate_little_and_sealed_segments_only_what_they_hold() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 8 << 20;
    rig.config.segment_ms = 1000;
    let partition = rig.open();
    append(&partition, &batch(&[b"a"]));
    let blocks = allocated_blocks(&rig);
    assert!(blocks * 512 <= (1 << 20) + 65_536, "{blocks}");
    rig.clock.set(START_MS + 2000);
    rig.store().maintain();
    rig.store().maintain();
    rig.wait_until("the sealed segment gives its tail back", |rig| allocated_blocks(rig) * 512 <= 65_536);
    assert_eq!(read_from(&partition, 0).unwrap().len(), 1);
}

#[test]
fn memory_of_a_memory_log_is_given_back() {
    let mut rig = Rig::new();
    rig.config.storage = crate::log::Storage::Memory;
    let partition = rig.open();
    append(&partition, &batch(&[&[1; 100_000]]));
    let mut cursor = partition.cursor_at(0).unwrap();
    let run = partition.read_run(&mut cursor, 1, None).unwrap().unwrap();
    let file = partition.segments()[0].file().unwrap();
    assert!(file.metadata().unwrap().blocks() * 512 >= 100_000);
    drop(file);
    let open = rig.store().stats().open_files;
    rig.store().delete_log(LOG).unwrap();
    rig.wait_until("the file is closed", |rig| rig.store().stats().open_files == open - 1);
    assert_eq!(run.len, run.bytes().len());
    assert!(partition.segments().is_empty());
}

#[test]
fn what_logs_in_memory_hold_is_counted_until_it_is_gone() {
    let mut rig = Rig::new();
    rig.config.storage = crate::log::Storage::Memory;
    rig.config.segment_bytes = 4096;
    let partition = rig.open();
    for n in 0..30u8 {
        append(&partition, &batch(&[&[n; 500]]));
    }
    assert_eq!(rig.store().memory_bytes(), partition.info().bytes);
    rig.config.retention_bytes = 4096;
    rig.store().ensure_log(LOG, 1, rig.config.clone()).unwrap();
    rig.store().maintain();
    assert!(partition.info().bytes < 10_000, "most of it is gone");
    // The maintenance thread may be looking at the segments as they were.
    rig.wait_until("what is gone is not counted", |rig| rig.store().memory_bytes() == partition.info().bytes);
    drop(partition);
    rig.store().delete_log(LOG).unwrap();
    rig.wait_until("all of it is given back", |rig| rig.store().memory_bytes() == 0);
}
