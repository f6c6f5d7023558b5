//! Backups of logs that are written to, expired, compacted and deleted meanwhile. What is
//! opened is a copy of the backup: opening repairs, and a backup is not ours to change.
#![allow(clippy::wildcard_imports)]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::tests::kit::*;
use super::*;
use crate::log::{AppendOutcome, LogConfig, NoEvents, StoreOptions};

/// A backup's folder beside the rig's data directory.
fn target(rig: &Rig, name: &str) -> PathBuf {
    rig.directory.with_file_name(name)
}

/// A rig over a copy of a backup, as a restore makes it.
fn restored(backup: &Path) -> Rig {
    let directory = backup.with_extension("restored");
    copy_all(backup, &directory);
    Rig::at(directory)
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}

fn value(n: u64) -> Vec<u8> {
    let mut value = format!("{n:>8}").into_bytes();
    value.resize(100, b'.');
    value
}

/// Writes number after number, each first to log 21, then to log 22.
fn write_in_order(store: &LogStore, stop: &AtomicBool) -> u64 {
    let config = LogConfig { segment_bytes: 8192, retention_ms: -1, segment_ms: -1, ..LogConfig::default() };
    let [first, second] = [21, 22].map(|id| {
        let log = store.ensure_log(id, 1, config.clone()).unwrap();
        log.partition(0).unwrap()
    });
    let mut n = first.next_offset();
    while !stop.load(Ordering::Relaxed) {
        for partition in [&first, &second] {
            assert_eq!(append(partition, &batch(&[&value(n)])), n);
        }
        n += 1;
    }
    n
}

#[test]
fn a_backup_under_load_is_of_one_moment_and_opens_as_what_the_logs_held_then() {
    let mut rig = Rig::new();
    rig.options.checkpoint_bytes = 20_000;
    rig.open();
    let stop = AtomicBool::new(false);
    let store = Arc::clone(rig.store());
    let backups = std::thread::scope(|scope| {
        let writing = scope.spawn(|| write_in_order(&store, &stop));
        let mut backups = Vec::new();
        for round in 0..5u64 {
            let least = round * 300;
            rig.wait_until("enough was written", |rig| {
                rig.store().log(22).is_some_and(|log| log.partition(0).is_some_and(|first| first.next_offset() > least))
            });
            let folder = target(&rig, &format!("backup-{round}"));
            backups.push((folder.clone(), rig.store().backup(&folder, &[]).unwrap()));
        }
        stop.store(true, Ordering::Relaxed);
        writing.join().unwrap();
        backups
    });
    for (folder, backup) in backups {
        let stated = |id: u64| backup.partitions.iter().find(|found| found.log_id == id).unwrap().next_offset;
        assert!(stated(21) == stated(22) || stated(21) == stated(22) + 1, "{} and {}", stated(21), stated(22));
        let mut again = restored(&folder);
        again.open();
        assert_eq!(again.report.damage, []);
        for id in [21, 22] {
            let partition = again.store().log(id).unwrap().partition(0).unwrap();
            let records = read_from(&partition, 0).unwrap();
            assert_eq!(records.len() as u64, stated(id));
            assert!(
                records
                    .iter()
                    .enumerate()
                    .all(|(at, (offset, found))| { *offset == at as u64 && *found == value(at as u64) })
            );
            assert_eq!(append(&partition, &batch(&[b"more"])), stated(id));
        }
    }
}

#[test]
fn what_a_backup_holds_stays_when_the_data_directory_goes_on() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    rig.config.retention_bytes = 8192;
    let partition = rig.open();
    for n in 0..40 {
        append(&partition, &batch(&[&value(n)]));
    }
    partition.checkpoint().unwrap();
    let (folder, later) = (target(&rig, "one"), target(&rig, "two"));
    let backup = rig.store().backup(&folder, &[]).unwrap();
    assert!(backup.linked_bytes > 0 && backup.copied_bytes > 0, "{backup:?}");
    for n in 40..200 {
        append(&partition, &batch(&[&value(n)]));
    }
    rig.store().maintain();
    assert!(partition.start_offset() > 40, "the first segments have gone");
    rig.store().backup(&later, &[]).unwrap();
    for (folder, expected) in [(folder, 0..40), (later, partition.start_offset()..200)] {
        let mut again = restored(&folder);
        let found = read_from(&again.open(), expected.start).unwrap();
        assert_eq!(offsets(&found), expected.collect::<Vec<_>>());
        assert_eq!(again.report.damage, []);
    }
}

#[test]
fn producers_go_on_behind_a_backup_as_behind_a_crash() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    let partition = rig.open();
    for n in 0..40 {
        append(&partition, &produced(9, 3, n * 2, 2, &[0; 200]));
    }
    partition.checkpoint().unwrap();
    append(&partition, &produced(9, 3, 80, 2, &[0; 200]));
    let folder = target(&rig, "backup");
    rig.store().backup(&folder, &[]).unwrap();
    let mut again = restored(&folder);
    let partition = again.open();
    let retry = append_if(&partition, &produced(9, 3, 80, 2, &[0; 200]), None, None);
    assert_eq!(retry, AppendOutcome::Duplicate { base_offset: Some(80) });
    let next = append_if(&partition, &produced(9, 3, 82, 2, &[0; 200]), None, None);
    assert_eq!(next, AppendOutcome::Appended { base_offset: 82 });
}

#[test]
fn a_log_that_is_deleted_during_a_backup_is_in_it_whole_or_not_at_all() {
    let mut rig = Rig::new();
    rig.open();
    let config = LogConfig { segment_bytes: 4096, ..LogConfig::default() };
    for round in 0..20u64 {
        let ids: Vec<u64> = (0..30).map(|n| 100 + round * 30 + n).collect();
        for id in &ids {
            let partition = rig.store().ensure_log(*id, 1, config.clone()).unwrap().partition(0).unwrap();
            for n in 0..8 {
                append(&partition, &batch(&[&[n; 1000]]));
            }
        }
        let folder = target(&rig, &format!("backup-{round}"));
        let backup = std::thread::scope(|scope| {
            let deleting = scope.spawn(|| ids.iter().for_each(|id| rig.store().delete_log(*id).unwrap()));
            let backup = rig.store().backup(&folder, &[]).unwrap();
            deleting.join().unwrap();
            backup
        });
        let mut again = restored(&folder);
        again.open();
        assert_eq!(again.report.damage, []);
        for found in backup.partitions.iter().filter(|found| ids.contains(&found.log_id)) {
            let partition = again.store().log(found.log_id).unwrap().partition(0).unwrap();
            assert_eq!(read_from(&partition, 0).unwrap().len(), 8, "log {}", found.log_id);
        }
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::remove_dir_all(again.directory).unwrap();
    }
}

#[test]
fn nothing_is_removed_while_a_backup_links() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    rig.config.retention_bytes = 4096;
    let partition = rig.open();
    for n in 0..100 {
        append(&partition, &batch(&[&value(n)]));
    }
    let before = rig.segment_files();
    let held = rig.store().shared().held.write();
    std::thread::scope(|scope| {
        let maintaining = scope.spawn(|| rig.store().maintain());
        // It waits where it would remove, behind the state file that it writes first.
        rig.wait_until("the state was written", |rig| rig.partition_directory().join("state").exists());
        let looks = std::cell::Cell::new(0);
        rig.wait_until("it waits for the backup", |_| {
            looks.set(if partition.upkeep_lock.is_locked() { looks.get() + 1 } else { 0 });
            looks.get() == 25 || maintaining.is_finished()
        });
        assert!(before.iter().all(|path| path.exists()));
        drop(held);
        maintaining.join().unwrap();
    });
    assert!(!before[0].exists());
}

#[test]
fn a_backup_to_another_file_system_is_copied_and_leaves_nothing_in_the_data_directory() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    let partition = rig.open();
    for n in 0..60 {
        append(&partition, &batch(&[&value(n)]));
    }
    partition.checkpoint().unwrap();
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let folder = elsewhere.path().join("backup");
    let backup = rig.store().backup(&folder, &[]).unwrap();
    // Where both are on one file system after all, links are right.
    let device = |path: &Path| std::fs::metadata(path).unwrap().dev();
    let is_other = device(elsewhere.path()) != device(&rig.directory);
    assert_eq!((backup.linked_bytes == 0, backup.copied_bytes > 6000), (is_other, is_other));
    assert!(!rig.directory.join("backup.tmp").exists());
    assert_eq!(read_from(&restored(&folder).open(), 0).unwrap().len(), 60);
}

#[test]
fn what_an_interrupted_backup_left_in_the_data_directory_goes_at_the_next_start() {
    let mut rig = Rig::new();
    std::fs::create_dir_all(rig.directory.join("backup.tmp/logs")).unwrap();
    rig.open();
    assert!(!rig.directory.join("backup.tmp").exists());
}

#[test]
fn folders_of_files_that_are_replaced_as_a_whole_are_taken_but_not_what_is_half_written() {
    let mut rig = Rig::new();
    rig.open();
    std::fs::create_dir(rig.directory.join("spaces")).unwrap();
    std::fs::write(rig.directory.join("spaces/3"), b"snapshot").unwrap();
    std::fs::write(rig.directory.join("spaces/4.tmp"), b"half").unwrap();
    let folder = target(&rig, "backup");
    let backup = rig.store().backup(&folder, &["spaces", "absent"]).unwrap();
    let names: Vec<_> = backup.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["format", "epoch", "spaces/3"]);
    assert_eq!(std::fs::read(folder.join("spaces/3")).unwrap(), b"snapshot");
    assert!(!folder.join("spaces/4.tmp").exists() && !folder.join("clean").exists());
}

#[test]
fn a_backup_is_refused_in_memory_beside_another_on_a_folder_that_is_there_and_after_the_close() {
    let mut rig = Rig::new();
    rig.open();
    let folder = target(&rig, "backup");
    let refused = |rig: &Rig| rig.store().backup(&folder, &[]).unwrap_err().code;
    let running = rig.store().progress.running.lock();
    assert_eq!(refused(&rig), ErrorCode::BACKUP_RUNNING);
    drop(running);
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(refused(&rig), ErrorCode::STORAGE_FAILED);
    std::fs::remove_dir(&folder).unwrap();
    rig.store().close().unwrap();
    assert_eq!(refused(&rig), ErrorCode::SHUTTING_DOWN);
    let memory = StoreOptions { data_dir: None, ..rig.options.clone() };
    let (memory, _) = LogStore::open(memory, rig.clock.clone(), Arc::new(NoEvents)).unwrap();
    assert_eq!(memory.backup(&folder, &[]).unwrap_err().code, ErrorCode::INVALID_ARGUMENT);
}
