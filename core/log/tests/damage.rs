//! What a crash or a bad disk leaves, and what recovery makes of it: bad data is
//! never served, good data before it never lost.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::kit::*;
use crate::batch::HEADER_BYTES;
use crate::error::ErrorCode;

/// Copies a data directory as a machine that lost power would present it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A crashed directory with one segment of batches (2 records each), and where
/// each batch begins.
fn crashed(values: &[usize]) -> (Rig, Vec<u64>, u64) {
    let mut rig = Rig::new();
    let partition = rig.open();
    let (mut starts, mut end) = (Vec::new(), 0);
    for (n, length) in values.iter().enumerate() {
        let built = produced(3, 0, n as u32 * 2, 2, &vec![n as u8; *length]);
        starts.push(end);
        end += built.len() as u64;
        append(&partition, &built);
    }
    rig.crash();
    (rig, starts, end)
}

fn damaged_copy(rig: &Rig, place: &Path, damage: impl FnOnce(&File)) -> Rig {
    let _ = std::fs::remove_dir_all(place);
    copy(&rig.directory, place);
    let copied = Rig::at(place.to_owned());
    let segment = copied.segment_files().pop().unwrap();
    damage(&File::options().read(true).write(true).open(segment).unwrap());
    copied
}

#[test]
fn every_truncation_point_keeps_exactly_the_whole_batches_before_it() {
    let (rig, starts, end) = crashed(&[10, 0, 33, 5]);
    let temporary = tempfile::tempdir().unwrap();
    let step = if is_long() { 1 } else { 3 };
    let near_a_start = |at: u64| starts.iter().chain([&end]).any(|start| at.abs_diff(*start) < 2);
    for length in (0..=end).filter(|at| at % step == 0 || near_a_start(*at)) {
        let mut cut = damaged_copy(&rig, &temporary.path().join("cut"), |file| file.set_len(length).unwrap());
        let partition = cut.open();
        let whole = starts.iter().skip(1).chain([&end]).filter(|next| **next <= length).count() as u64;
        let is_torn = length != end && !starts.contains(&length);
        assert_eq!(cut.report.damage.len(), usize::from(is_torn), "told at {length}");
        assert_eq!(offsets(&read_from(&partition, 0).unwrap()), (0..whole * 2).collect::<Vec<_>>(), "at {length}");
        let next = produced(3, 0, whole as u32 * 2, 2, b"next");
        assert_eq!(append(&partition, &next), whole * 2);
        cut.crash();
        drop(partition);
        assert_eq!(read_from(&cut.open(), 0).unwrap().len() as u64, whole * 2 + 2, "again at {length}");
    }
}

#[test]
fn a_flipped_bit_behind_the_state_point_ends_the_log_before_its_batch() {
    let (rig, starts, end) = crashed(&[10, 0, 33, 5, 70]);
    let temporary = tempfile::tempdir().unwrap();
    let mut random = Random::seeded(7);
    let mut bits: Vec<u64> = (0..HEADER_BYTES as u64 * 8).step_by(if is_long() { 1 } else { 5 }).collect();
    let bodies = if is_long() { 400 } else { 40 };
    bits.extend((0..bodies).map(|_| random.below(8 * 200)));
    for (n, bit) in bits.into_iter().enumerate() {
        let hit = n % starts.len();
        let batch_end = starts.get(hit + 1).copied().unwrap_or(end);
        let bit = bit % ((batch_end - starts[hit]) * 8);
        let at = starts[hit] + bit / 8;
        let mut bad = damaged_copy(&rig, &temporary.path().join("bad"), |file| flip(file, at, bit % 8));
        let partition = bad.open();
        let whole = hit as u64 * 2;
        assert_eq!(
            offsets(&read_from(&partition, 0).unwrap()),
            (0..whole).collect::<Vec<_>>(),
            "batch {hit} bit {bit}"
        );
        assert_eq!(bad.report.damage.len(), 1);
    }
}

fn flip(file: &File, at: u64, bit: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
}

#[test]
fn a_flipped_bit_before_the_state_point_is_never_served_and_costs_only_its_batch() {
    // With an index entry for every batch; with one a segment, where the way around
    // the damage has to be found by looking for the next whole batch; and with no
    // index file, where recovery has to find it.
    for (index_interval_bytes, with_index) in [(100, true), (1 << 20, true), (100, false)] {
        flip_before_the_state_point(index_interval_bytes, with_index);
    }
}

fn flip_before_the_state_point(index_interval_bytes: u64, with_index: bool) {
    let mut rig = Rig::new();
    rig.options.index_interval_bytes = index_interval_bytes;
    rig.config.segment_bytes = 4096;
    let partition = rig.open();
    let mut starts = Vec::new();
    for n in 0..100u8 {
        let before = partition.segments().last().map_or(0, |last| last.written());
        append(&partition, &batch(&[&[n; 100]]));
        let last = partition.segments().last().cloned().unwrap();
        starts.push((last.base, if last.next_offset() == last.base + 1 { 0 } else { before }));
    }
    rig.close();
    drop(partition);
    let temporary = tempfile::tempdir().unwrap();
    let mut random = Random::seeded(11);
    for round in 0..if is_long() { 600 } else { 80 } {
        let hit = random.below(98);
        let (base, start) = starts[hit as usize];
        let bit = if round % 2 == 0 { random.below(64 * 8) } else { random.below(170 * 8) };
        let place = temporary.path().join("bad");
        let _ = std::fs::remove_dir_all(&place);
        copy(&rig.directory, &place);
        let mut bad = Rig::at(place);
        (bad.options, bad.config) = (rig.options.clone(), rig.config.clone());
        bad.options.data_dir = Some(bad.directory.clone());
        for index in files_ending(&bad.partition_directory(), ".idx") {
            if !with_index {
                std::fs::remove_file(index).unwrap();
            }
        }
        let segment = super::super::files::log_path(&bad.partition_directory(), base);
        flip(&File::options().read(true).write(true).open(segment).unwrap(), start + bit / 8, bit % 8);
        let partition = bad.open();
        check_hole(&partition, hit, bit);
    }
}

/// Everything but `hit` can be read, and reading `hit` is a typed error (or the
/// log was cut at it, when the damage made recovery look again).
fn check_hole(partition: &crate::log::Partition, hit: u64, bit: u64) {
    let mut cursor = partition.cursor_at(0).unwrap();
    let mut next = 0;
    loop {
        match partition.read_run(&mut cursor, 1 << 20, None) {
            Ok(Some(run)) => {
                for (header, _) in split(run.bytes()) {
                    assert_eq!(header.base_offset, next);
                    next += 1;
                }
            }
            Ok(None) => break,
            Err(error) => {
                assert_eq!((error.code, error.offset), (ErrorCode::CORRUPT_BATCH, Some(hit)), "bit {bit}");
                break;
            }
        }
    }
    assert_eq!(next, hit, "bit {bit}");
    let end = partition.next_offset();
    if end == 100 {
        let rest = read_from(partition, hit + 1).unwrap();
        assert_eq!(offsets(&rest), (hit + 1..100).collect::<Vec<_>>(), "batch {hit} bit {bit}");
    }
}

#[test]
fn the_ghost_of_a_batch_behind_a_torn_one_does_not_come_back() {
    let (rig, starts, end) = crashed(&[50, 50, 50, 50]);
    let temporary = tempfile::tempdir().unwrap();
    for tear in [HEADER_BYTES as u64 + 3, 3, 0] {
        let mut torn = damaged_copy(&rig, &temporary.path().join("torn"), |file| {
            // Batch 2 is torn, batch 3 stays whole behind it.
            let length = starts[3] - starts[2] - tear;
            file.write_all_at(&vec![0; length as usize], starts[2] + tear).unwrap();
        });
        let partition = torn.open();
        assert_eq!((partition.next_offset(), torn.report.tails_zeroed), (4, 1));
        let equal = produced(3, 0, 4, 2, &[9; 50]);
        assert_eq!(append(&partition, &equal), 4);
        torn.crash();
        drop(partition);
        let partition = torn.open();
        assert_eq!(partition.next_offset(), 6, "the old batch at 6 must not come back");
        let records = read_from(&partition, 0).unwrap();
        assert_eq!(records[4..], [(4, vec![9; 50]), (5, vec![9; 50])]);
        assert_eq!(torn.report.tails_zeroed, 0);
        drop(partition);
        torn.crash();
        let file = File::open(torn.segment_files().pop().unwrap()).unwrap();
        assert!(!super::super::files::has_data(&file, starts[3], end).unwrap());
    }
}

#[test]
fn a_stale_batch_of_an_older_epoch_behind_the_end_is_no_continuation() {
    let mut rig = Rig::new();
    let partition = rig.open();
    let old = batch(&[b"old"]);
    append(&partition, &old);
    append(&partition, &old);
    rig.crash();
    drop(partition);
    // A second start appends under a higher epoch; then the first epoch's batch
    // with the next offset is put behind it, as a stale block would be.
    let segment = rig.segment_files().pop().unwrap();
    let mut stale = vec![0; old.len()];
    File::open(&segment).unwrap().read_exact_at(&mut stale, old.len() as u64).unwrap();
    let partition = rig.open();
    let end = partition.segments()[0].written();
    append(&partition, &batch(&[b"new"]));
    rig.crash();
    drop(partition);
    let (mut header, body) = crate::batch::verify(&stale).unwrap();
    header.base_offset = 3;
    stale[..HEADER_BYTES].copy_from_slice(&header.seal(&body));
    File::options().write(true).open(&segment).unwrap().write_all_at(&stale, end + old.len() as u64).unwrap();
    let partition = rig.open();
    assert_eq!(partition.next_offset(), 3);
}

#[test]
fn a_batch_behind_the_end_whose_offset_leaves_a_gap_is_no_continuation() {
    let (mut rig, _, end) = crashed(&[10, 20]);
    let mut stale = produced(3, 0, 6, 2, b"stale");
    let (mut header, body) = crate::batch::verify(&stale).unwrap();
    (header.base_offset, header.epoch) = (6, 1);
    stale[..HEADER_BYTES].copy_from_slice(&header.seal(&body));
    let segment = rig.segment_files().pop().unwrap();
    File::options().write(true).open(segment).unwrap().write_all_at(&stale, end).unwrap();
    let partition = rig.open();
    assert_eq!((partition.next_offset(), rig.report.tails_zeroed), (4, 1));
}

#[test]
fn a_torn_segment_before_a_later_one_cuts_the_log_there() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    rig.options.checkpoint_bytes = 1 << 40;
    let partition = rig.open();
    rig.fail_syncs(true);
    for n in 0..60u8 {
        append_if(&partition, &batch(&[&[n; 300]]), None, None);
        if partition.info().segments == 3 {
            break;
        }
    }
    // The seal asked for a checkpoint, whose sync failed: no state, no index file.
    rig.crash();
    let (first, second) = (partition.segments()[0].clone(), partition.segments()[1].clone());
    drop(partition);
    let files = rig.segment_files();
    let half = first.written() / 2;
    File::options().write(true).open(&files[0]).unwrap().write_all_at(&[0; 400], half).unwrap();
    let partition = rig.open();
    assert!(partition.next_offset() < second.base && partition.next_offset() > 0);
    assert_eq!(rig.segment_files().len(), 1);
    assert!(rig.report.damage.len() >= 2);
    let next = partition.next_offset();
    assert_eq!(append(&partition, &batch(&[b"on"])), next);
    rig.crash();
    drop(partition);
    assert_eq!(rig.open().next_offset(), next + 1);
}

#[test]
fn a_lost_or_foreign_index_file_is_rebuilt_and_changes_nothing() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    let partition = rig.open();
    for n in 0..60u8 {
        append(&partition, &batch(&[&[n; 300]]));
    }
    rig.close();
    drop(partition);
    let indexes = files_ending(&rig.partition_directory(), ".idx");
    assert!(indexes.len() >= 3);
    std::fs::remove_file(&indexes[0]).unwrap();
    std::fs::copy(&indexes[2], &indexes[1]).unwrap();
    let partition = rig.open();
    assert_eq!((read_from(&partition, 0).unwrap().len(), rig.report.damage.len()), (60, 0));
    for offset in 0..60 {
        assert_eq!(read_from(&partition, offset).unwrap()[0].0, offset);
    }
}

#[test]
fn a_state_file_of_other_content_is_not_believed() {
    let (mut rig, _, _) = crashed(&[10, 20, 30]);
    rig.open();
    rig.close();
    let state = std::fs::read(rig.partition_directory().join("state")).unwrap();
    let (other, _, _) = crashed(&[77, 11, 5, 9, 8]);
    std::fs::write(other.partition_directory().join("state"), state).unwrap();
    let mut other = other;
    let partition = other.open();
    assert_eq!(partition.next_offset(), 10);
    assert_eq!(append(&partition, &produced(3, 0, 10, 2, b"x")), 10);
}
