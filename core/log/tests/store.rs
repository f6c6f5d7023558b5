//! The store as a whole: opening, locking, closing, durability, limits.

use std::sync::Arc;

use super::kit::*;
use crate::error::ErrorCode;
use crate::log::{AppendOutcome, Durability, LogStore, NoEvents, Storage};

#[test]
fn a_directory_in_use_is_refused_and_free_after_close_or_crash() {
    let mut rig = Rig::new();
    let partition = rig.open();
    let mut other = Rig::at(rig.directory.clone());
    assert_eq!(other.try_open().err().unwrap().code, ErrorCode::DATA_DIR_LOCKED);
    rig.crash();
    drop(partition);
    other.open();
    other.close();
    rig.open();
}

#[test]
fn a_directory_of_a_newer_format_is_refused_and_untouched() {
    let mut rig = Rig::new();
    let partition = rig.open();
    append(&partition, &batch(&[b"a"]));
    rig.close();
    super::super::state::write_number(&rig.directory.join("format"), 2).unwrap();
    assert_eq!(rig.try_open().err().unwrap().code, ErrorCode::FORMAT_TOO_NEW);
    std::fs::write(rig.directory.join("format"), b"?").unwrap();
    assert_eq!(rig.try_open().err().unwrap().code, ErrorCode::BAD_FORMAT);
    super::super::state::write_number(&rig.directory.join("format"), 1).unwrap();
    assert_eq!(read_from(&rig.open(), 0).unwrap().len(), 1);
}

#[test]
fn the_epoch_rises_with_every_start_and_survives_its_file() {
    let mut rig = Rig::new();
    let partition = rig.open();
    assert_eq!((rig.store().epoch(), rig.store().clean_start()), (1, false));
    append(&partition, &batch(&[b"a"]));
    rig.close();
    rig.open();
    assert_eq!((rig.store().epoch(), rig.store().clean_start()), (2, true));
    rig.crash();
    let partition = rig.open();
    assert_eq!((rig.store().epoch(), rig.store().clean_start()), (3, false));
    append(&partition, &batch(&[b"b"]));
    rig.crash();
    std::fs::remove_file(rig.directory.join("epoch")).unwrap();
    rig.open();
    assert_eq!(rig.store().epoch(), 4);
}

#[test]
fn after_a_clean_stop_nothing_is_scanned_and_after_a_crash_only_what_is_new() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 64 << 10;
    let partition = rig.open();
    for _ in 0..100 {
        append(&partition, &batch(&[&[0; 4000]]));
    }
    rig.close();
    let partition = rig.open();
    assert_eq!((rig.report.clean, rig.report.scanned_bytes, rig.report.damage.len()), (true, 0, 0));
    assert_eq!(partition.synced_offset(), 100);
    append(&partition, &batch(&[&[0; 4000]]));
    rig.crash();
    drop(partition);
    let partition = rig.open();
    assert!(!rig.report.clean);
    assert!((4000..4200).contains(&rig.report.scanned_bytes), "{}", rig.report.scanned_bytes);
    assert_eq!((partition.next_offset(), partition.high_watermark(), partition.synced_offset()), (101, 101, 100));
    assert_eq!(rig.store().stats().dirty_bytes, rig.report.scanned_bytes);
    assert_eq!(read_from(&partition, 0).unwrap().len(), 101);
}

#[test]
fn every_checkpoint_bytes_a_state_is_written_and_dirty_bytes_fall() {
    let mut rig = Rig::new();
    rig.options.checkpoint_bytes = 10_000;
    rig.config.segment_bytes = 20_000;
    let partition = rig.open();
    for _ in 0..100 {
        append(&partition, &batch(&[&[0; 1000]]));
    }
    let state = rig.partition_directory().join("state");
    for _ in 0..2000 {
        if state.exists() && super::kit::files_ending(&rig.partition_directory(), ".idx").len() >= 4 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    rig.crash();
    drop(partition);
    let partition = rig.open();
    assert!(rig.report.scanned_bytes < 60_000, "{}", rig.report.scanned_bytes);
    assert_eq!(read_from(&partition, 0).unwrap().len(), 100);
}

#[test]
fn producers_survive_a_clean_stop_and_a_crash() {
    for clean in [true, false] {
        let mut rig = Rig::new();
        rig.config.segment_bytes = 4096;
        let partition = rig.open();
        for n in 0..40 {
            append(&partition, &produced(9, 3, n * 2, 2, &[0; 200]));
        }
        if clean {
            rig.close();
        } else {
            rig.crash();
        }
        drop(partition);
        let partition = rig.open();
        let retry = append_if(&partition, &produced(9, 3, 78, 2, &[0; 200]), None, None);
        assert_eq!(retry, AppendOutcome::Duplicate { base_offset: Some(78) });
        let gap = append_if(&partition, &produced(9, 3, 81, 2, &[0; 200]), None, None);
        assert_eq!(error_of(&gap).code, ErrorCode::SEQUENCE_GAP);
        let fenced = append_if(&partition, &produced(9, 2, 80, 2, &[0; 200]), None, None);
        assert_eq!(error_of(&fenced).code, ErrorCode::PRODUCER_FENCED);
        assert_eq!(append(&partition, &produced(9, 3, 80, 2, &[0; 200])), 80);
    }
}

#[test]
fn producers_are_learnt_again_when_the_state_file_is_lost() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    let partition = rig.open();
    for n in 0..40 {
        append(&partition, &produced(9, 0, n, 1, &[0; 200]));
    }
    rig.close();
    std::fs::remove_file(rig.partition_directory().join("state")).unwrap();
    drop(partition);
    let partition = rig.open();
    assert_eq!(append(&partition, &produced(9, 0, 40, 1, &[0; 200])), 40);
}

#[test]
fn with_durability_synced_readers_see_only_what_is_synced() {
    let mut rig = Rig::new();
    rig.config.durability = Durability::Synced;
    let partition = rig.open();
    append(&partition, &batch(&[b"a", b"b"]));
    assert_eq!((partition.next_offset(), partition.high_watermark()), (2, 0));
    assert!(read_from(&partition, 0).unwrap().is_empty());
    rig.store().request_sync(&partition);
    rig.notes.wait_for(|told| *told == Told::Committed(2));
    rig.notes.wait_for(|told| *told == Told::Synced(2));
    assert_eq!(read_from(&partition, 0).unwrap().len(), 2);
    append(&partition, &batch(&[b"c"]));
    rig.crash();
    drop(partition);
    let partition = rig.open();
    assert_eq!((partition.high_watermark(), partition.synced_offset()), (3, 3));
}

#[test]
fn changing_durability_moves_the_watermark_only_up() {
    let mut rig = Rig::new();
    rig.config.durability = Durability::Synced;
    let partition = rig.open();
    append(&partition, &batch(&[b"a"]));
    let mut config = rig.config.clone();
    config.durability = Durability::Written;
    rig.store().ensure_log(LOG, 1, config.clone()).unwrap();
    assert_eq!(partition.high_watermark(), 1);
    append(&partition, &batch(&[b"b"]));
    config.durability = Durability::Synced;
    rig.store().ensure_log(LOG, 1, config).unwrap();
    assert_eq!((partition.high_watermark(), partition.synced_offset()), (2, 2));
}

#[test]
fn a_sync_request_is_answered_even_when_nothing_is_dirty() {
    let mut rig = Rig::new();
    let partition = rig.open();
    rig.store().request_sync(&partition);
    rig.notes.wait_for(|told| *told == Told::Synced(0));
}

#[test]
fn dirty_bytes_start_syncs_by_themselves() {
    let mut rig = Rig::new();
    rig.options.dirty_bytes_max = 100_000;
    let partition = rig.open();
    for _ in 0..60 {
        append(&partition, &batch(&[&[0; 1000]]));
    }
    rig.notes.wait_for(|told| matches!(told, Told::Synced(_)));
    assert!(rig.store().stats().dirty_bytes < 60_000);
    assert!(!rig.store().is_over_dirty_limit());
    let latency = rig.store().stats().sync;
    assert!(latency.counts.iter().sum::<u64>() > 0 && latency.sum_us > 0);
}

#[test]
fn logs_grow_are_listed_and_found_again() {
    let mut rig = Rig::new();
    rig.open();
    rig.store().ensure_log(40, 2, rig.config.clone()).unwrap();
    let log = rig.store().ensure_log(40, 5, rig.config.clone()).unwrap();
    assert_eq!(log.partition_count(), 5);
    for index in 0..5 {
        append(&log.partition(index).unwrap(), &batch(&[&[index as u8]]));
    }
    assert_eq!(rig.store().ensure_log(40, 4, rig.config.clone()).err().unwrap().code, ErrorCode::INVALID_ARGUMENT);
    drop(log);
    rig.crash();
    rig.open();
    assert_eq!(rig.store().log_ids(), [LOG, 40]);
    let log = rig.store().log(40).unwrap();
    assert_eq!(log.partition_count(), 5);
    for index in 0..5 {
        assert_eq!(read_from(&log.partition(index).unwrap(), 0).unwrap(), [(0, vec![index as u8])]);
    }
}

#[test]
fn maps_and_open_files_stay_within_their_limits() {
    let mut rig = Rig::new();
    rig.options.mapped_segments_max = 8;
    rig.options.open_files_max = 4;
    rig.open();
    let log = rig.store().ensure_log(40, 40, rig.config.clone()).unwrap();
    for index in 0..40 {
        append(&log.partition(index).unwrap(), &batch(&[b"x"]));
    }
    for index in 0..40 {
        let partition = log.partition(index).unwrap();
        partition.sync_now().unwrap();
        read_from(&partition, 0).unwrap();
    }
    assert!(rig.store().stats().mapped_segments <= 8);
    assert!(rig.notes.all().iter().filter(|told| matches!(told, Told::Retired(_))).count() >= 30);
    rig.store().maintain();
    assert!(rig.store().stats().open_files <= 4, "{}", rig.store().stats().open_files);
    for index in 0..40 {
        let partition = log.partition(index).unwrap();
        append(&partition, &batch(&[b"y"]));
        assert_eq!(read_from(&partition, 0).unwrap().len(), 2);
    }
}

#[test]
fn a_store_in_memory_works_without_a_directory() {
    let mut rig = Rig::new();
    rig.options.data_dir = None;
    rig.config.segment_bytes = 4096;
    rig.config.durability = Durability::Synced;
    let partition = rig.open();
    for n in 0..50u8 {
        append(&partition, &batch(&[&[n; 500]]));
    }
    assert!(partition.is_memory());
    assert_eq!(read_from(&partition, 0).unwrap().len(), 50);
    assert_eq!(rig.store().stats().dirty_bytes, 0);
    rig.store().request_sync(&partition);
    rig.notes.wait_for(|told| *told == Told::Synced(50));
    rig.close();
}

#[test]
fn a_memory_log_keeps_its_bound_and_a_reader_that_fell_off_is_told_the_start() {
    let mut rig = Rig::new();
    rig.config.storage = Storage::Memory;
    rig.config.memory_bytes_max = 400_000;
    let partition = rig.open();
    let mut cursor = partition.cursor_at(0).unwrap();
    for _ in 0..2000 {
        append(&partition, &batch(&[&[0; 1000]]));
        assert!(partition.info().bytes <= 400_000);
    }
    assert!(partition.info().bytes > 200_000);
    let error = partition.read_run(&mut cursor, 1000, None).err().unwrap();
    assert_eq!((error.code, error.offset), (ErrorCode::OFFSET_OUT_OF_RANGE, Some(partition.start_offset())));
    let records = read_from(&partition, partition.start_offset()).unwrap();
    assert_eq!(records.last().unwrap().0, 1999);
}

#[test]
fn after_close_appends_are_refused_and_reads_go_on() {
    let mut rig = Rig::new();
    let partition = rig.open();
    append(&partition, &batch(&[b"a"]));
    rig.store().close().unwrap();
    assert_eq!(error_of(&append_if(&partition, &batch(&[b"b"]), None, None)).code, ErrorCode::SHUTTING_DOWN);
    assert_eq!(read_from(&partition, 0).unwrap().len(), 1);
    rig.store().close().unwrap();
}

#[test]
fn readers_and_an_appender_go_on_side_by_side() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 32 << 10;
    let partition = rig.open();
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let partition = Arc::clone(&partition);
            std::thread::spawn(move || {
                let mut cursor = partition.cursor_at(0).unwrap();
                let mut next = 0;
                while next < 5000 {
                    let Some(run) = partition.read_run(&mut cursor, 8192, None).unwrap() else { continue };
                    for (header, _) in split(run.bytes()) {
                        assert_eq!(header.base_offset, next);
                        next += u64::from(header.record_count);
                    }
                }
            })
        })
        .collect();
    for n in 0..5000u32 {
        append(&partition, &batch(&[&n.to_be_bytes().repeat(n as usize % 50)]));
    }
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn a_store_that_tells_nobody_opens_and_closes() {
    let rig = Rig::new();
    let (store, report) = LogStore::open(rig.options.clone(), rig.clock.clone(), Arc::new(NoEvents)).unwrap();
    assert_eq!((report.logs, report.partitions), (0, 0));
    store.close().unwrap();
}
