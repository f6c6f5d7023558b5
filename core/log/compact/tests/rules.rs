//! The rules over batches in memory.

use std::collections::HashMap;

use super::super::{Mapped, Mapper, Policy, Rewriter, Source};
use crate::batch::{self, BatchBuilder, BatchHeader, HEADER_BYTES, compression};
use crate::error::{ErrorCode, Result};

/// A segment in memory.
pub struct Bytes {
    pub base: u64,
    pub bytes: Vec<u8>,
}

impl Source for Bytes {
    fn base_offset(&self) -> u64 {
        self.base
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn view(&self, at: usize, length: usize) -> Result<&[u8]> {
        Ok(&self.bytes[at..at + length])
    }
}

/// A record: key, value, timestamp.
type Row<'a> = (Option<&'a str>, Option<&'a str>, u64);

fn at_offset(batch: &[u8], base_offset: u64) -> Vec<u8> {
    let header = BatchHeader { base_offset, epoch: 3, ..BatchHeader::parse(batch).unwrap() };
    batch::finish(header, &batch[HEADER_BYTES..])
}

fn plain(base_offset: u64, rows: &[Row<'_>]) -> Vec<u8> {
    at_offset(&builder(rows).build(), base_offset)
}

fn builder(rows: &[Row<'_>]) -> BatchBuilder {
    let mut builder = BatchBuilder::new(1_000).producer(7, 1, 40);
    for (key, value, at) in rows {
        builder.push((at - 1_000) as u32, key.map(str::as_bytes), value.map(str::as_bytes));
    }
    builder
}

fn segment(base: u64, batches: &[Vec<u8>]) -> Bytes {
    Bytes { base, bytes: batches.concat() }
}

fn policy(now_ms: u64) -> Policy {
    Policy { tombstone_retention_ms: 100, now_ms, compaction_keys_max: 1_000, segment_bytes: 1 << 20 }
}

struct Round {
    batches: Vec<(BatchHeader, Vec<u8>)>,
    end_offset: u64,
    tombstones_until_ms: Option<u64>,
}

impl Round {
    /// Offset, key and value of every record.
    fn rows(&self) -> Vec<(u64, String, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut rows = Vec::new();
        for (header, bytes) in &self.batches {
            assert!(batch::verify(bytes).is_ok());
            let plain = compression::plain_records(header, &bytes[HEADER_BYTES..], 1 << 20).unwrap();
            for record in batch::records_of(&plain, header.attributes).unwrap().flatten() {
                let offset = header.base_offset + u64::from(record.position);
                rows.push((offset, record.key.map_or_else(|| "-".to_owned(), text), record.value.map(text)));
            }
        }
        rows
    }

    fn offsets(&self) -> Vec<u64> {
        self.rows().into_iter().map(|(offset, ..)| offset).collect()
    }
}

fn map_keys(sources: &[&dyn Source], from: u64, until: u64, keys_max: usize) -> Result<Mapped> {
    let mut mapper = Mapper::new(from, until, keys_max);
    for source in sources {
        if !mapper.add(*source)? {
            break;
        }
    }
    Ok(mapper.finish())
}

fn compact(sources: &[Bytes], from: u64, until: u64, policy: Policy) -> Round {
    compact_for(sources, from, until, policy, &HashMap::new())
}

fn compact_for(sources: &[Bytes], from: u64, until: u64, policy: Policy, producers: &HashMap<u64, u64>) -> Round {
    let sources: Vec<&dyn Source> = sources.iter().map(|source| source as &dyn Source).collect();
    let mapped = map_keys(&sources, from, until, policy.compaction_keys_max).unwrap();
    let mut rewriter = Rewriter::new(&mapped, producers, policy);
    let mut batches = Vec::new();
    let mut out = |header: &BatchHeader, _, bytes: &[u8]| {
        batches.push((*header, bytes.to_vec()));
        Ok(())
    };
    rewriter.run(&sources, &mut out).unwrap();
    let tombstones_until_ms = rewriter.tally().tombstones_until_ms;
    Round { batches, end_offset: mapped.end_offset, tombstones_until_ms }
}

const A: Option<&str> = Some("a");
const B: Option<&str> = Some("b");
const V: Option<&str> = Some("v");

#[test]
fn the_last_record_of_a_key_stays_with_its_offset_and_batch_header() {
    let first = plain(10, &[(A, V, 1_000), (B, V, 1_001), (A, V, 1_002)]);
    let second = plain(13, &[(A, V, 1_003), (Some("c"), V, 1_009)]);
    let round = compact(&[segment(10, &[first.clone(), second.clone()])], 0, 15, policy(0));
    assert_eq!(round.offsets(), [11, 13, 14]);
    let (header, bytes) = &round.batches[0];
    let before = BatchHeader::parse(&first).unwrap();
    assert!(header.attributes.is_sparse());
    assert_eq!(batch::span_of(header, &bytes[HEADER_BYTES..]), Ok(3));
    assert_eq!((header.base_offset, header.epoch, header.base_timestamp), (10, 3, before.base_timestamp));
    assert_eq!(header.max_timestamp_delta, before.max_timestamp_delta);
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 1, 40));
    assert_eq!(round.batches[1].1, second, "an untouched batch is copied as it is");
}

#[test]
fn str_and_bin_keys_of_the_same_content_are_one_key() {
    let mut bin = plain(0, &[(A, V, 1_000)]);
    let head = bin.iter().rposition(|byte| *byte == 0xc4).unwrap() - 3;
    assert_eq!(bin[head..head + 3], [0xc4, 1, b'a']);
    bin.splice(head..head + 2, [0xa1]);
    let header = BatchHeader::parse(&at_offset(&bin[..HEADER_BYTES], 0)).unwrap();
    let bin = batch::finish(header, &bin[HEADER_BYTES..]);
    let round = compact(&[segment(0, &[bin, plain(1, &[(A, V, 1_000)])])], 0, 2, policy(0));
    assert_eq!(round.offsets(), [1]);
}

#[test]
fn records_without_a_key_and_control_batches_stay() {
    let mut header = BatchHeader::parse(&plain(2, &[(A, V, 1_000)])).unwrap();
    header.attributes.0 |= 1 << 11;
    let control = batch::finish(header, &plain(2, &[(A, V, 1_000)])[HEADER_BYTES..]);
    let batches = [plain(0, &[(None, V, 1_000), (None, None, 1_000)]), control, plain(3, &[(A, V, 1_000)])];
    let round = compact(&[segment(0, &batches)], 0, 4, policy(u64::MAX));
    assert_eq!(round.offsets(), [0, 1, 2, 3]);
}

#[test]
fn a_tombstone_hides_at_once_and_goes_after_its_retention() {
    let source = || [segment(0, &[plain(0, &[(A, V, 1_000), (A, None, 1_050), (B, None, 1_020), (B, V, 1_030)])])];
    let young = compact(&source(), 0, 4, policy(1_149));
    assert_eq!(young.offsets(), [1, 3]);
    assert_eq!(young.tombstones_until_ms, Some(1_150));
    let old = compact(&source(), 0, 4, policy(1_150));
    assert_eq!(old.offsets(), [3]);
    assert_eq!(old.tombstones_until_ms, None);
}

#[test]
fn with_append_time_the_brokers_clock_decides_about_a_tombstone() {
    let mut header = BatchHeader::parse(&plain(0, &[(A, None, 1_050)])).unwrap();
    header.attributes = header.attributes.with_append_time();
    let stamped = batch::finish(header, &plain(0, &[(A, None, 1_050)])[HEADER_BYTES..]);
    let source = || [segment(0, &[stamped.clone(), plain(1, &[(B, V, 1_000)])])];
    assert_eq!(compact(&source(), 0, 2, policy(1_099)).offsets(), [0, 1]);
    assert_eq!(compact(&source(), 0, 2, policy(1_100)).offsets(), [1]);
}

#[test]
fn nothing_behind_the_mapped_end_is_touched() {
    let batches = [plain(0, &[(A, V, 1_000)]), plain(1, &[(A, V, 1_000), (A, None, 1_000), (B, None, 1_000)])];
    let round = compact(&[segment(0, &batches)], 0, 2, policy(u64::MAX));
    assert_eq!(round.offsets(), [1, 2, 3]);
}

#[test]
fn more_keys_than_the_map_holds_compact_a_prefix_and_the_next_rounds_the_rest() {
    let rows: Vec<String> = (0..40).map(|n| format!("k{}", n % 10)).collect();
    let rows: Vec<Row<'_>> = rows.iter().map(|key| (Some(key.as_str()), V, 1_000)).collect();
    let mut sources = vec![segment(0, &[plain(0, &rows[..20]), plain(20, &rows[20..])])];
    let (mut from, mut rounds) = (0, 0);
    while from < 40 {
        let small = Policy { compaction_keys_max: 3, ..policy(0) };
        let round = compact(&sources, from, 40, small);
        assert!(round.end_offset > from, "every round moves the cleaner point");
        from = round.end_offset;
        sources = vec![segment(0, &round.batches.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>())];
        rounds += 1;
    }
    let last = compact(&sources, 40, 40, policy(0));
    assert_eq!(last.offsets(), (30..40).collect::<Vec<_>>());
    assert!(rounds > 3);
}

#[test]
fn a_compressed_batch_that_loses_records_is_stored_plain() {
    let compressed = at_offset(&builder(&[(A, V, 1_000), (B, V, 1_000)]).build_compressed().unwrap(), 0);
    let whole = at_offset(&builder(&[(A, V, 1_000)]).build_compressed().unwrap(), 2);
    let round = compact(&[segment(0, &[compressed, whole.clone()])], 0, 3, policy(0));
    assert_eq!(round.offsets(), [1, 2]);
    assert!(round.batches[0].0.attributes.is_sparse());
    assert_eq!(round.batches[1].1, whole);
}

#[test]
fn behind_a_batch_that_cannot_be_read_tombstones_stay() {
    let mut header = BatchHeader::parse(&plain(1, &[(A, V, 1_000)])).unwrap();
    header.attributes = header.attributes.with_zstd();
    let opaque = batch::finish(header, b"no zstd frame");
    let batches = [
        plain(0, &[(B, None, 1_000)]),
        opaque.clone(),
        plain(2, &[(A, V, 1_000), (A, None, 1_000)]),
        plain(4, &[(Some("c"), V, 1_000)]),
    ];
    let sources = [segment(0, &batches)];
    let sources: Vec<&dyn Source> = sources.iter().map(|source| source as &dyn Source).collect();
    let mapped = map_keys(&sources, 0, 5, 10).unwrap();
    let (mut kept, producers) = (Vec::new(), HashMap::new());
    let mut rewriter = Rewriter::new(&mapped, &producers, policy(u64::MAX));
    let mut out = |header: &BatchHeader, _, bytes: &[u8]| {
        kept.push((header.base_offset, header.record_count, bytes.to_vec()));
        Ok(())
    };
    rewriter.run(&sources, &mut out).unwrap();
    assert_eq!(kept.iter().map(|(at, count, _)| (*at, *count)).collect::<Vec<_>>(), [(1, 1), (2, 1), (4, 1)]);
    assert_eq!(kept[0].2, opaque);
    assert_eq!(rewriter.tally().opaque_batches, 1);
}

#[test]
fn the_last_batch_of_a_run_keeps_its_span_even_without_records() {
    let batches = [plain(0, &[(A, V, 1_000)]), plain(1, &[(A, V, 1_000), (A, None, 1_000)])];
    let round = compact(&[segment(0, &batches)], 0, 3, policy(u64::MAX));
    assert_eq!(round.rows(), []);
    let [(header, bytes)] = &round.batches[..] else { panic!("one mark") };
    assert_eq!((header.base_offset, header.record_count), (1, 0));
    assert_eq!(batch::span_of(header, &bytes[HEADER_BYTES..]), Ok(2));
    // Merged with a later segment it is no longer the last, and goes.
    let merged =
        compact(&[segment(0, std::slice::from_ref(bytes)), segment(3, &[plain(3, &[(B, V, 1_000)])])], 0, 4, policy(0));
    assert_eq!(merged.batches.len(), 1);
    assert_eq!(merged.offsets(), [3]);
}

#[test]
fn the_latest_batch_of_a_producer_keeps_its_header() {
    let batches = [plain(0, &[(A, V, 1_000)]), plain(1, &[(A, V, 1_000)]), plain(2, &[(A, V, 1_000)])];
    let round = compact_for(&[segment(0, &batches)], 0, 3, policy(0), &HashMap::from([(7, 1)]));
    let found: Vec<_> = round.batches.iter().map(|(header, _)| (header.base_offset, header.record_count)).collect();
    assert_eq!(found, [(1, 0), (2, 1)]);
}

#[test]
fn compacting_what_is_compacted_changes_nothing() {
    let batches = [plain(0, &[(A, V, 1_000), (B, None, 1_090)]), plain(2, &[(A, V, 1_000), (None, V, 1_000)])];
    let once = compact(&[segment(0, &batches)], 0, 4, policy(1_100));
    let bytes: Vec<Vec<u8>> = once.batches.iter().map(|(_, bytes)| bytes.clone()).collect();
    for from in [0, 2, 4] {
        let twice = compact(&[segment(0, &bytes)], from, 4, policy(1_100));
        assert!(twice.batches == once.batches, "from {from}");
    }
}

#[test]
fn a_corrupt_batch_and_offsets_that_go_back_end_the_round() {
    let mut flipped = plain(3, &[(A, V, 1_000)]);
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [flipped, plain(1, &[(A, V, 1_000)]), vec![0; 100], plain(3, &[(A, V, 1_000)])[..70].to_vec()] {
        let source = segment(0, &[plain(0, &[(A, V, 1_000), (A, V, 1_000), (B, V, 1_000)]), bad]);
        let error = map_keys(&[&source], 0, 10, 10).err().unwrap();
        assert_eq!((error.code, error.offset), (ErrorCode::CORRUPT_BATCH, Some(3)));
    }
}
