//! Builds batches from records: for compaction, the internal logs and tests.
//! Clients build their own; single records are gathered without a copy.

use super::compression;
use super::crc::BodyCrc;
use super::header::{BatchFault, BatchHeader};
use super::sparse;
use crate::stdx::msgpack::{write_array, write_bin, write_nil, write_uint};

/// Collects records and turns them into one batch.
pub struct BatchBuilder {
    header: BatchHeader,
    records: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch whose record timestamps are deltas to `base_timestamp` ms.
    pub fn new(base_timestamp: u64) -> Self {
        let header = BatchHeader { base_timestamp, ..BatchHeader::EMPTY };
        Self { header, records: Vec::new() }
    }

    #[must_use]
    pub fn producer(mut self, id: u64, epoch: u16, base_sequence: u32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Adds a record without headers; key and value become bins.
    pub fn push(&mut self, timestamp_delta: u32, key: Option<&[u8]>, value: Option<&[u8]>) -> &mut Self {
        write_array(&mut self.records, 4);
        write_uint(&mut self.records, u64::from(timestamp_delta));
        for part in [key, value] {
            match part {
                Some(bytes) => write_bin(&mut self.records, bytes),
                None => write_nil(&mut self.records),
            }
        }
        write_nil(&mut self.records);
        self.header.record_count += 1;
        self.header.max_timestamp_delta = self.header.max_timestamp_delta.max(timestamp_delta);
        self
    }

    /// The finished batch.
    pub fn build(&self) -> Vec<u8> {
        finish(self.header, &self.records)
    }

    /// The finished batch with its records as one zstd frame.
    ///
    /// # Errors
    /// `Decompress` if zstd refuses.
    pub fn build_compressed(&self) -> Result<Vec<u8>, BatchFault> {
        let mut header = self.header;
        header.attributes = header.attributes.with_zstd();
        Ok(finish(header, &compression::compress(&self.records)?))
    }
}

/// Header and payload as one batch: sets length and CRC, keeps the rest of
/// `header` as it is.
pub fn finish(mut header: BatchHeader, records: &[u8]) -> Vec<u8> {
    header.records_bytes = records.len() as u32;
    let head = header.seal(&BodyCrc::of(records));
    let mut out = Vec::with_capacity(header.batch_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(records);
    out
}

/// A batch that keeps only the records at some positions of `header`'s span, in
/// order, each `(position, record as stored)`. Offset, epoch, producer and
/// timestamps stay as they were.
pub fn finish_sparse(mut header: BatchHeader, span: u32, kept: &[(u32, &[u8])]) -> Vec<u8> {
    let mut records = Vec::new();
    sparse::write(&mut records, span, kept.iter().map(|(position, _)| *position));
    for (_, raw) in kept {
        records.extend_from_slice(raw);
    }
    header.attributes = header.attributes.without_compression().with_sparse();
    header.record_count = kept.len() as u32;
    finish(header, &records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Attributes, HEADER_BYTES, records_of, span_of, verify, walk};

    fn three() -> Vec<u8> {
        let mut builder = BatchBuilder::new(1_000).producer(7, 1, 40);
        builder.push(0, Some(b"a"), Some(b"one")).push(5, None, Some(b"two")).push(9, Some(b"a"), None);
        builder.build()
    }

    #[test]
    fn a_built_batch_verifies_and_walks() {
        let batch = three();
        let (header, _) = verify(&batch).unwrap();
        assert_eq!((header.record_count, header.max_timestamp(), header.producer_id), (3, 1_009, 7));
        let found = walk(&batch[HEADER_BYTES..], header.attributes, 3, 1_000).unwrap();
        assert_eq!((found.count, found.keyless), (3, 1));
    }

    #[test]
    fn a_flip_of_any_bit_is_found() {
        let batch = three();
        for bit in 0..batch.len() * 8 {
            let mut bad = batch.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn sealing_again_with_another_offset_equals_hashing_the_whole_batch() {
        let batch = three();
        let (mut header, body) = verify(&batch).unwrap();
        header.base_offset = 123_456;
        header.epoch = 9;
        let head = header.seal(&body);
        let mut whole = head.to_vec();
        whole.extend_from_slice(&batch[HEADER_BYTES..]);
        assert!(verify(&whole).is_ok());
    }

    #[test]
    fn wrong_counts_and_large_records_are_refused() {
        let batch = three();
        let records = &batch[HEADER_BYTES..];
        assert_eq!(walk(records, Attributes::PLAIN, 4, 1_000), Err(BatchFault::Count { stated: 4, actual: 3 }));
        assert!(matches!(walk(records, Attributes::PLAIN, 3, 8), Err(BatchFault::RecordTooLarge { at: 0, .. })));
        assert!(walk(&records[..records.len() - 1], Attributes::PLAIN, 3, 1_000).is_err());
    }

    #[test]
    fn a_sparse_batch_keeps_offsets_and_span() {
        let batch = three();
        let (header, _) = verify(&batch).unwrap();
        let records: Vec<_> =
            records_of(&batch[HEADER_BYTES..], header.attributes).unwrap().map(Result::unwrap).collect();
        let sparse = finish_sparse(header, 3, &[(1, records[1].raw)]);
        let (header, _) = verify(&sparse).unwrap();
        assert_eq!(span_of(&header, &sparse[HEADER_BYTES..]), Ok(3));
        let kept: Vec<_> =
            records_of(&sparse[HEADER_BYTES..], header.attributes).unwrap().map(Result::unwrap).collect();
        assert_eq!((kept.len(), kept[0].position, kept[0].value), (1, 1, Some(&b"two"[..])));
    }

    #[test]
    fn a_compressed_batch_unfolds_and_a_bomb_does_not() {
        let mut builder = BatchBuilder::new(0);
        for _ in 0..1_000 {
            builder.push(0, None, Some(&[0; 1_000]));
        }
        let batch = builder.build_compressed().unwrap();
        let (header, _) = verify(&batch).unwrap();
        let plain = compression::plain_records(&header, &batch[HEADER_BYTES..], 2_000_000).unwrap();
        assert_eq!(walk(&plain, header.attributes, 1_000, 2_000).unwrap().count, 1_000);
        assert_eq!(compression::plain_records(&header, &batch[HEADER_BYTES..], 100_000), Err(BatchFault::Decompress));
    }
}
