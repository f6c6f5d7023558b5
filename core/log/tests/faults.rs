//! Failing disks: writes, syncs, and a full file system.

use std::path::Path;
use std::process::Command;

use super::kit::*;
use crate::error::{CoreError, ErrorCode};
use crate::log::{AppendOutcome, Durability, Partition};

#[test]
fn a_write_that_fails_half_way_is_refused_whole_and_leaves_no_trace() {
    for stored in [0, 10, 64, 100, 250, 400] {
        let mut rig = Rig::new();
        let partition = rig.open();
        append(&partition, &produced(1, 0, 0, 1, &[1; 50]));
        rig.fail_write_after(stored);
        let run = [produced(1, 0, 1, 1, &[2; 50]), produced(1, 0, 1, 1, &[2; 50]), produced(1, 0, 2, 1, &[3; 50])];
        let outcomes = append_all(&partition, &run);
        assert!(outcomes.iter().all(|outcome| error_of(outcome).code == ErrorCode::STORAGE_FAILED));
        assert_eq!((partition.next_offset(), partition.high_watermark()), (1, 1));
        let outcomes = append_all(&partition, &run[2..]);
        assert_eq!(error_of(&outcomes[0]).code, ErrorCode::SEQUENCE_GAP);
        let outcomes = append_all(&partition, &run[..1]);
        assert_eq!(base_of(&outcomes[0]), 1);
        rig.crash();
        drop(partition);
        let partition = rig.open();
        assert_eq!((partition.next_offset(), rig.report.damage.len()), (2, 0));
        assert_eq!(read_from(&partition, 1).unwrap(), [(1, vec![2; 50])]);
    }
}

#[test]
fn duplicates_of_earlier_batches_stand_when_a_later_write_fails() {
    let mut rig = Rig::new();
    let partition = rig.open();
    let stored = produced(1, 0, 0, 1, b"a");
    append(&partition, &stored);
    rig.fail_write_after(0);
    let outcomes = append_all(&partition, &[stored, batch(&[b"b"])]);
    assert_eq!(outcomes[0], AppendOutcome::Duplicate { base_offset: Some(0) });
    assert_eq!(error_of(&outcomes[1]).code, ErrorCode::STORAGE_FAILED);
}

#[test]
fn a_failed_sync_is_final_for_its_partition_and_told() {
    let mut rig = Rig::new();
    rig.config.durability = Durability::Synced;
    let partition = rig.open();
    append(&partition, &batch(&[b"a"]));
    partition.sync_now().unwrap();
    append(&partition, &batch(&[b"b"]));
    rig.fail_syncs(true);
    rig.store().request_sync(&partition);
    rig.notes.wait_for(|told| *told == Told::Failed);
    rig.fail_syncs(false);
    assert_eq!(partition.sync_now().err().unwrap().code, ErrorCode::STORAGE_FAILED);
    assert_eq!(error_of(&append_if(&partition, &batch(&[b"c"]), None, None)).code, ErrorCode::STORAGE_FAILED);
    assert_eq!((partition.high_watermark(), partition.synced_offset()), (1, 1));
    assert_eq!(read_from(&partition, 0).unwrap().len(), 1);
    assert_eq!(rig.store().stats().failed_partitions, 1);
    assert!(rig.store().close().is_err());
    assert!(!rig.directory.join("clean").exists());
}

/// A small file system of its own, or a loud failure where it cannot be mounted.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Self {
        let place = tempfile::tempdir().unwrap();
        let options = format!("size={bytes}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(place.path()).output();
        let mounted = mount.expect("the test of a full disk needs the mount command");
        assert!(
            mounted.status.success(),
            "the test of a full disk has to mount a tmpfs, which needs root: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Self(place)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("could not unmount {}", self.path().display());
        }
    }
}

/// Appends until the disk is full.
fn fill(partition: &Partition, sent: &mut u32) -> CoreError {
    loop {
        let outcomes = append_all(partition, &[produced(7, 0, *sent, 1, &[*sent as u8; 50_000])]);
        match &outcomes[0] {
            AppendOutcome::Appended { .. } => *sent += 1,
            outcome => return error_of(outcome),
        }
        assert!(*sent < 1000, "the disk never filled");
    }
}

#[test]
fn on_a_full_disk_publishes_are_refused_reads_go_on_and_writes_resume() {
    let disk = SmallDisk::mount(6 << 20);
    let mut rig = Rig::at(disk.path().join("data"));
    rig.config.segment_bytes = 1 << 20;
    let partition = rig.open();
    let mut sent = 0;
    let refused = fill(&partition, &mut sent);
    assert_eq!(refused.code, ErrorCode::DISK_FULL);
    // Sealed segments give their unused tails back; what that frees is filled, too.
    let mut before = 0;
    while before < sent {
        before = sent;
        partition.checkpoint().ok();
        fill(&partition, &mut sent);
    }
    assert_eq!(refused.code, ErrorCode::DISK_FULL);
    assert!(sent > 60, "only {sent} batches fitted");
    assert_eq!(read_from(&partition, 0).unwrap().len(), sent as usize);
    let again = append_if(&partition, &produced(7, 0, sent, 1, &[0; 50_000]), None, None);
    assert_eq!(error_of(&again).code, ErrorCode::DISK_FULL);
    assert_eq!(partition.next_offset(), u64::from(sent));
    rig.config.retention_bytes = 1 << 20;
    rig.store().ensure_log(LOG, 1, rig.config.clone()).unwrap();
    rig.store().maintain();
    assert!(partition.start_offset() > 0);
    assert_eq!(append(&partition, &produced(7, 0, sent, 1, &[7; 50_000])), u64::from(sent));
    rig.crash();
    drop(partition);
    let partition = rig.open();
    assert_eq!((partition.next_offset(), rig.report.damage.len()), (u64::from(sent) + 1, 0));
    drop(partition);
    rig.crash();
}

#[test]
fn a_partition_that_is_synced_again_and_again_stands_once_among_the_dirty_ones() {
    let mut rig = Rig::new();
    let partition = rig.open();
    for _ in 0..1_000 {
        append(&partition, &batch(&[b"a"]));
        partition.sync_now().unwrap();
    }
    assert_eq!(rig.store().shared().dirty_listed(), 1);
}

#[test]
fn what_a_failed_partition_had_unsynced_holds_nobody_else_back() {
    let mut rig = Rig::new();
    let partition = rig.open();
    append(&partition, &batch(&[&[0; 5_000]]));
    rig.fail_syncs(true);
    assert!(partition.sync_now().is_err());
    rig.fail_syncs(false);
    assert_eq!(rig.store().stats().dirty_bytes, 0);
}
