//! Files of expired segments that become the next ones.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::kit::*;
use crate::log::{Partition, Segment, files};

const SEGMENT_BYTES: u64 = 64 << 10;

/// Opens a log of small segments, which only this thread maintains.
fn open(rig: &mut Rig) -> Arc<Partition> {
    let partition = rig.open();
    rig.store().shared().maintenance.stop();
    partition
}

fn rig(segments_kept: u64) -> Rig {
    let mut rig = Rig::new();
    rig.config.segment_bytes = SEGMENT_BYTES;
    rig.config.retention_bytes = (segments_kept * SEGMENT_BYTES).cast_signed();
    rig
}

/// A log of six segments, the oldest of which is to expire.
fn expiring() -> (Rig, Arc<Partition>) {
    let mut rig = rig(3);
    let partition = open(&mut rig);
    roll(&partition, 6);
    (rig, partition)
}

/// The value that belongs to an offset. All batches are of one size, so that old ones in a
/// file begin where new ones end.
fn value_at(offset: u64) -> Vec<u8> {
    format!("{offset:08}").repeat(250).into_bytes()
}

fn append_next(partition: &Partition) {
    let offset = partition.next_offset();
    assert_eq!(append(partition, &batch(&[&value_at(offset)])), offset);
}

/// Appends until the log has rolled `count` times.
fn roll(partition: &Partition, count: usize) {
    for _ in 0..count {
        let base = active(partition).map(|active| active.base);
        while active(partition).map(|active| active.base) == base {
            append_next(partition);
        }
    }
}

fn active(partition: &Partition) -> Option<Arc<Segment>> {
    partition.segments().last().cloned()
}

/// Which file it is, whatever its name: a new one may get the number of one that is gone.
fn identity(path: &Path) -> (u64, SystemTime) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.ino(), metadata.created().unwrap())
}

fn file_of(segment: &Segment) -> (u64, SystemTime) {
    identity(&segment.path().unwrap())
}

fn spares(rig: &Rig) -> Vec<PathBuf> {
    files_ending(&rig.partition_directory(), ".tmp")
}

fn check_all(partition: &Partition) {
    let records = read_from(partition, partition.start_offset()).unwrap();
    assert_eq!(records.len() as u64, partition.next_offset() - partition.start_offset());
    for (offset, value) in records {
        assert_eq!(value, value_at(offset), "offset {offset}");
    }
}

#[test]
fn the_file_of_an_expired_segment_becomes_the_next_one() {
    let (rig, partition) = expiring();
    let oldest = file_of(&partition.segments()[0]);
    rig.store().maintain();
    assert_eq!(spares(&rig).len(), 1);
    roll(&partition, 1);
    let renewed = active(&partition).unwrap();
    assert_eq!((file_of(&renewed), spares(&rig).len()), (oldest, 0));
    check_all(&partition);
    // Full, and sealed like any other.
    roll(&partition, 1);
    partition.checkpoint().unwrap();
    let file = File::open(renewed.path().unwrap()).unwrap();
    assert!(renewed.is_finished() && !files::has_data(&file, renewed.written(), SEGMENT_BYTES).unwrap());
    check_all(&partition);
}

#[test]
fn a_file_that_somebody_reads_is_not_written_over_until_they_let_go() {
    let (rig, partition) = expiring();
    let mut cursor = partition.cursor_at(0).unwrap();
    let held = partition.read_run(&mut cursor, 1 << 20, None).unwrap().unwrap();
    let (before, read) = (held.bytes().to_vec(), file_of(&partition.segments()[0]));
    rig.store().maintain();
    roll(&partition, 2);
    assert_ne!(file_of(&active(&partition).unwrap()), read);
    assert_eq!(held.bytes(), before);
    let map_id = held.map.id();
    drop(held);
    roll(&partition, 1);
    let renewed = active(&partition).unwrap();
    assert_eq!(file_of(&renewed), read);
    assert_ne!(renewed.map().unwrap().id(), map_id, "to readers it is another map");
    check_all(&partition);
}

#[test]
fn a_map_that_the_log_let_go_and_somebody_holds_keeps_its_file_from_being_written_over() {
    let mut rig = rig(3);
    rig.options.mapped_segments_max = 1;
    let partition = open(&mut rig);
    roll(&partition, 6);
    let mut cursor = partition.cursor_at(0).unwrap();
    let held = partition.read_run(&mut cursor, 1 << 20, None).unwrap().unwrap();
    let (before, oldest) = (held.bytes().to_vec(), partition.segments()[0].clone());
    let read = file_of(&oldest);
    check_all(&partition);
    assert!(!oldest.is_mapped() && oldest.is_lent());
    rig.store().maintain();
    assert_eq!(spares(&rig).len(), 0);
    roll(&partition, 3);
    assert_eq!(held.bytes(), before);
    assert!(partition.segments().iter().all(|segment| file_of(segment) != read));
}

#[test]
fn a_file_is_not_written_over_before_its_old_name_is_gone_for_good() {
    let (_rig, partition) = expiring();
    let oldest = partition.segments()[0].clone();
    let number = file_of(&oldest);
    partition.store_start(oldest.next_offset());
    partition.change_segments(|segments| drop(segments.remove(0)));
    partition.let_go(&[oldest]);
    roll(&partition, 1);
    assert_ne!(file_of(&active(&partition).unwrap()), number);
    partition.settle_spares().unwrap();
    roll(&partition, 1);
    assert_eq!(file_of(&active(&partition).unwrap()), number);
    check_all(&partition);
}

#[test]
fn a_file_that_a_backup_has_linked_stays_as_it_is() {
    let (rig, partition) = expiring();
    let oldest = partition.segments()[0].path().unwrap();
    let link = rig.directory.join("link");
    fs::hard_link(&oldest, &link).unwrap();
    let before = fs::read(&link).unwrap();
    rig.store().maintain();
    roll(&partition, 4);
    assert!(!oldest.exists() && fs::read(&link).unwrap() == before);
}

#[test]
fn what_a_file_held_before_does_not_come_back_after_a_crash() {
    for batches in [1, 2, 7] {
        let mut rig = rig(3);
        let mut partition = open(&mut rig);
        roll(&partition, 6);
        rig.store().maintain();
        let oldest = identity(&spares(&rig)[0]);
        roll(&partition, 1);
        assert_eq!(file_of(&active(&partition).unwrap()), oldest);
        for _ in 1..batches {
            append_next(&partition);
        }
        for _ in 0..2 {
            let (start, next) = (partition.start_offset(), partition.next_offset());
            rig.crash();
            drop(partition);
            partition = open(&mut rig);
            assert_eq!((partition.start_offset(), partition.next_offset()), (start, next));
            assert_eq!(rig.report.damage, [], "what is older than the segment is no damage");
            check_all(&partition);
            append_next(&partition);
        }
    }
}

#[test]
fn pages_that_are_no_longer_in_memory_are_not_written_over() {
    for evicted in [false, true] {
        let mut rig = rig(3);
        let partition = open(&mut rig);
        roll(&partition, 6);
        rig.store().maintain();
        let path = spares(&rig)[0].clone();
        let (spare, kept) = (File::open(&path).unwrap(), identity(&path));
        if evicted {
            spare.sync_all().unwrap();
            rustix::fs::fadvise(&spare, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
        roll(&partition, 1);
        let renewed = active(&partition).unwrap();
        assert_eq!(file_of(&renewed), kept);
        let holds_old = files::has_data(&spare, renewed.written(), SEGMENT_BYTES).unwrap();
        assert_eq!(holds_old, !evicted);
        check_all(&partition);
    }
}

#[test]
fn a_batch_too_large_for_a_segment_finds_room_after_a_failed_write() {
    let (rig, partition) = expiring();
    rig.store().maintain();
    let length = batch(&[&value_at(0)]).len() as u64;
    while active(&partition).unwrap().written() + length <= SEGMENT_BYTES {
        append_next(&partition);
    }
    let next = partition.next_offset();
    rig.fail_write_after(0);
    error_of(&append_if(&partition, &batch(&[&value_at(next)]), None, None));
    assert_eq!(active(&partition).unwrap().written(), 0, "the write that failed was the first of its segment");
    let large = vec![1; 3 * SEGMENT_BYTES as usize];
    assert_eq!(append(&partition, &batch(&[&large])), next);
    assert_eq!(read_from(&partition, next).unwrap(), [(next, large)]);
}

#[test]
fn spares_are_few_and_are_gone_after_a_while_when_the_disk_is_full_and_at_the_end() {
    let mut rig = rig(24);
    let partition = open(&mut rig);
    roll(&partition, 40);
    rig.store().maintain();
    assert_eq!(spares(&rig).len(), 3, "an eighth of what the log keeps");
    rig.clock.set(START_MS + 9_999);
    rig.store().maintain();
    assert_eq!(spares(&rig).len(), 3);
    rig.clock.set(START_MS + 10_000);
    rig.store().maintain();
    assert_eq!(spares(&rig).len(), 0);
    roll(&partition, 3);
    rig.store().maintain();
    assert_eq!(spares(&rig).len(), 3);
    rig.store().shared().note_disk_full();
    rig.store().maintain();
    assert_eq!(spares(&rig).len(), 0);
    for is_clean in [false, true] {
        let partition = rig.store().log(LOG).unwrap().partition(0).unwrap();
        roll(&partition, 3);
        rig.store().maintain();
        roll(&partition, 1);
        assert_eq!(spares(&rig).len(), 2);
        drop(partition);
        if is_clean {
            rig.close();
        } else {
            rig.crash();
        }
        assert_eq!(spares(&rig).len(), if is_clean { 0 } else { 2 });
        check_all(&open(&mut rig));
        assert_eq!((spares(&rig).len(), rig.report.tails_zeroed), (0, usize::from(!is_clean)));
    }
}
