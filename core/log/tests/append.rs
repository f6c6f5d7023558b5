//! Appending and reading back.

use super::kit::*;
use crate::batch::{BatchBuilder, verify};
use crate::error::ErrorCode;
use crate::log::{AppendOutcome, LogConfig};

#[test]
fn what_is_appended_is_read_back_in_order_over_segments_and_runs() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    let partition = rig.open();
    let values: Vec<Vec<u8>> = (0..300u32).map(|n| n.to_be_bytes().repeat(1 + n as usize % 40)).collect();
    for chunk in values.chunks(7) {
        let batches: Vec<_> = chunk.iter().map(|value| batch(&[value])).collect();
        append_all(&partition, &batches);
    }
    assert!(partition.info().segments > 5);
    let records = read_from(&partition, 0).unwrap();
    assert_eq!(offsets(&records), (0..300).collect::<Vec<_>>());
    assert!(records.iter().zip(&values).all(|((_, read), value)| read == value));
    for offset in [1, 77, 150, 299, 300] {
        assert_eq!(read_from(&partition, offset).unwrap(), records[offset as usize..]);
    }
}

#[test]
fn a_stored_batch_carries_its_offset_the_epoch_and_a_right_crc() {
    let mut rig = Rig::new();
    let partition = rig.open();
    append(&partition, &batch(&[b"a", b"b"]));
    append(&partition, &batch(&[b"c"]));
    let stored = split(&partition.read_copy(0, 1 << 20).unwrap());
    assert_eq!(stored.iter().map(|(header, _)| header.base_offset).collect::<Vec<_>>(), [0, 2]);
    assert!(stored.iter().all(|(header, _)| header.epoch == rig.store().epoch()));
}

#[test]
fn a_body_in_parts_is_stored_as_one() {
    let mut rig = Rig::new();
    let partition = rig.open();
    let whole = batch(&[b"abc", b"def", b"ghi"]);
    let (header, body_crc) = verify(&whole).unwrap();
    let parts: Vec<&[u8]> = whole[64..].chunks(5).collect();
    let input = crate::log::BatchIn { header, body: &parts, body_crc, expect_next: None, expect_key: None };
    let mut outcomes = Vec::new();
    let summary = partition.appender().append(&[input], &mut outcomes);
    assert!(summary.committed);
    assert_eq!(read_from(&partition, 0).unwrap().len(), 3);
}

#[test]
fn a_call_with_more_parts_than_the_kernel_takes_is_split() {
    let mut rig = Rig::new();
    let partition = rig.open();
    let batches: Vec<_> = (0..3000u32).map(|n| batch(&[&n.to_be_bytes()])).collect();
    let outcomes = append_all(&partition, &batches);
    assert!(outcomes.iter().enumerate().all(|(n, outcome)| base_of(outcome) == n as u64));
    assert_eq!(read_from(&partition, 0).unwrap().len(), 3000);
}

#[test]
fn a_batch_larger_than_a_segment_gets_one_of_its_own() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    let partition = rig.open();
    append(&partition, &batch(&[&[1; 100_000]]));
    append(&partition, &batch(&[b"small"]));
    append(&partition, &batch(&[&[2; 50_000]]));
    assert_eq!(
        read_from(&partition, 0).unwrap().iter().map(|(_, value)| value.len()).collect::<Vec<_>>(),
        [100_000, 5, 50_000]
    );
    rig.crash();
    drop(partition);
    let partition = rig.open();
    append(&partition, &batch(&[&[3; 70_000]]));
    assert_eq!(read_from(&partition, 0).unwrap().len(), 4);
}

#[test]
fn a_run_takes_at_least_one_batch_and_stops_at_bytes_and_limit() {
    let mut rig = Rig::new();
    let partition = rig.open();
    for _ in 0..10 {
        append(&partition, &batch(&[&[0; 1000], &[0; 1000]]));
    }
    let mut cursor = partition.cursor_at(0).unwrap();
    let run = partition.read_run(&mut cursor, 1, None).unwrap().unwrap();
    assert_eq!((run.batches, run.records, run.first_offset, run.next_offset), (1, 2, 0, 2));
    let run = partition.read_run(&mut cursor, 5000, None).unwrap().unwrap();
    assert_eq!((run.batches, run.next_offset), (2, 6));
    let run = partition.read_run(&mut cursor, 1 << 20, Some(10)).unwrap().unwrap();
    assert_eq!(run.next_offset, 10);
    assert!(partition.read_run(&mut cursor, 1 << 20, Some(10)).unwrap().is_none());
    partition.read_run(&mut cursor, 1 << 20, None).unwrap().unwrap();
    assert!(partition.read_run(&mut cursor, 1 << 20, None).unwrap().is_none());
    append(&partition, &batch(&[b"later"]));
    assert_eq!(partition.read_run(&mut cursor, 1, None).unwrap().unwrap().first_offset, 20);
}

#[test]
fn offsets_outside_the_log_are_refused_with_the_start() {
    let mut rig = Rig::new();
    let partition = rig.open();
    assert!(read_from(&partition, 0).unwrap().is_empty());
    let error = partition.cursor_at(1).err().unwrap();
    assert_eq!((error.code, error.offset), (ErrorCode::OFFSET_OUT_OF_RANGE, Some(0)));
}

#[test]
fn a_cursor_taken_on_an_empty_partition_sees_the_first_batch() {
    let mut rig = Rig::new();
    let partition = rig.open();
    let mut cursor = partition.cursor_at(0).unwrap();
    assert!(partition.read_run(&mut cursor, 100, None).unwrap().is_none());
    append(&partition, &batch(&[b"first"]));
    assert_eq!(partition.read_run(&mut cursor, 100, None).unwrap().unwrap().next_offset, 1);
}

#[test]
fn a_condition_on_the_next_offset_holds_or_conflicts() {
    let mut rig = Rig::new();
    let partition = rig.open();
    let one = batch(&[b"x"]);
    assert_eq!(base_of(&append_if(&partition, &one, Some(0), None)), 0);
    let error = error_of(&append_if(&partition, &one, Some(0), None));
    assert_eq!((error.code, error.offset), (ErrorCode::OFFSET_CONFLICT, Some(1)));
    assert_eq!(base_of(&append_if(&partition, &one, Some(1), None)), 1);
}

#[test]
fn conditions_on_keys_see_old_new_and_compressed_records() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    let partition = rig.open();
    for n in 0..200u32 {
        append(&partition, &keyed(&[(&format!("k{}", n % 50), Some("v"))]));
    }
    let mut builder = BatchBuilder::new(START_MS);
    builder.push(0, Some(b"zipped"), Some(b"v"));
    append(&partition, &builder.build_compressed().unwrap());
    let write = keyed(&[("k3", Some("new"))]);
    let error = error_of(&append_if(&partition, &write, None, Some((b"k3", Some(3)))));
    assert_eq!((error.code, error.offset), (ErrorCode::KEY_CONFLICT, Some(153)));
    assert_eq!(error_of(&append_if(&partition, &write, None, Some((b"k3", None)))).code, ErrorCode::KEY_CONFLICT);
    assert_eq!(base_of(&append_if(&partition, &write, None, Some((b"k3", Some(153))))), 201);
    assert_eq!(base_of(&append_if(&partition, &write, None, Some((b"k3", Some(201))))), 202);
    assert_eq!(error_of(&append_if(&partition, &write, None, Some((b"zipped", None)))).offset, Some(200));
    assert_eq!(base_of(&append_if(&partition, &keyed(&[("n", Some("v"))]), None, Some((b"n", None)))), 203);
    append(&partition, &keyed(&[("n", None)]));
    assert_eq!(base_of(&append_if(&partition, &keyed(&[("n", Some("v"))]), None, Some((b"n", None)))), 205);
    rig.crash();
    drop(partition);
    let partition = rig.open();
    assert_eq!(error_of(&append_if(&partition, &write, None, Some((b"k3", None)))).offset, Some(202));
}

#[test]
fn more_keys_than_the_index_may_hold_are_a_typed_error() {
    let mut rig = Rig::new();
    rig.options.key_index_entries_max = 10;
    let partition = rig.open();
    for n in 0..10 {
        append(&partition, &keyed(&[(&n.to_string(), Some("v"))]));
    }
    let write = keyed(&[("new", Some("v"))]);
    append_if(&partition, &write, None, Some((b"new", None)));
    let error = error_of(&append_if(&partition, &write, None, Some((b"other", None))));
    assert_eq!(error.code, ErrorCode::LIMIT_EXCEEDED);
    append(&partition, &write);
}

#[test]
fn producers_are_checked_within_a_call_and_across_calls() {
    let mut rig = Rig::new();
    let partition = rig.open();
    let first = produced(5, 0, 0, 3, b"a");
    let second = produced(5, 0, 3, 2, b"b");
    let outcomes = append_all(&partition, &[first.clone(), first.clone(), second.clone(), produced(5, 0, 9, 1, b"c")]);
    assert_eq!(base_of(&outcomes[0]), 0);
    assert_eq!(outcomes[1], AppendOutcome::Duplicate { base_offset: Some(0) });
    assert_eq!(base_of(&outcomes[2]), 3);
    assert_eq!(error_of(&outcomes[3]).code, ErrorCode::SEQUENCE_GAP);
    assert_eq!(append_all(&partition, &[second])[0], AppendOutcome::Duplicate { base_offset: Some(3) });
    assert_eq!(base_of(&append_all(&partition, &[produced(5, 1, 0, 1, b"d")])[0]), 5);
    assert_eq!(error_of(&append_all(&partition, &[produced(5, 0, 5, 1, b"e")])[0]).code, ErrorCode::PRODUCER_FENCED);
    assert_eq!(read_from(&partition, 0).unwrap().len(), 6);
}

#[test]
fn a_retry_of_a_conditional_publish_is_a_duplicate_and_no_conflict() {
    let mut rig = Rig::new();
    let partition = rig.open();
    let publish = produced(5, 0, 0, 1, b"a");
    append_if(&partition, &publish, Some(0), None);
    let retried = append_if(&partition, &publish, Some(0), None);
    assert_eq!(retried, AppendOutcome::Duplicate { base_offset: Some(0) });
}

#[test]
fn offsets_are_found_by_time_to_the_record() {
    let mut rig = Rig::new();
    rig.config.segment_bytes = 4096;
    let partition = rig.open();
    for n in 0..100u64 {
        let mut builder = BatchBuilder::new(START_MS + n * 100);
        builder.push(0, None, Some(&[0; 100])).push(50, None, Some(&[0; 100]));
        let built = if n % 3 == 0 { builder.build_compressed().unwrap() } else { builder.build() };
        append(&partition, &built);
    }
    assert!(partition.info().segments > 2);
    for n in 0..100u64 {
        let time = START_MS + n * 100;
        assert_eq!(partition.offset_at(time).unwrap(), n * 2);
        assert_eq!(partition.offset_at(time + 1).unwrap(), n * 2 + 1);
        assert_eq!(partition.offset_at(time + 51).unwrap(), n * 2 + 2);
        assert_eq!(partition.timestamp_at(n * 2 + 1).unwrap(), Some(time));
    }
    assert_eq!(partition.offset_at(0).unwrap(), 0);
    assert_eq!(partition.offset_at(u64::MAX).unwrap(), 200);
    assert_eq!(partition.timestamp_at(200).unwrap(), None);
}

#[test]
fn append_time_replaces_the_producers_time_and_keeps_the_records() {
    let mut rig = Rig::new();
    rig.config = LogConfig { timestamp_append: true, ..rig.config.clone() };
    let partition = rig.open();
    rig.clock.set(START_MS + 5_000);
    append(&partition, &batch(&[b"a", b"b"]));
    let (header, _) = split(&partition.read_copy(0, 1000).unwrap())[0].clone();
    assert!(header.attributes.is_append_time());
    assert_eq!((header.base_timestamp, header.max_timestamp_delta), (START_MS + 5_000, 0));
    assert_eq!(partition.offset_at(START_MS + 5_000).unwrap(), 0);
}

#[test]
fn a_segment_older_than_its_age_is_rolled_by_the_next_append() {
    let mut rig = Rig::new();
    rig.config.segment_ms = 1000;
    let partition = rig.open();
    append(&partition, &batch(&[b"a"]));
    rig.clock.set(START_MS + 500);
    append(&partition, &batch(&[b"b"]));
    assert_eq!(partition.info().segments, 1);
    rig.clock.set(START_MS + 1500);
    append(&partition, &batch(&[b"c"]));
    assert_eq!(partition.info().segments, 2);
    assert_eq!(read_from(&partition, 0).unwrap().len(), 3);
}
