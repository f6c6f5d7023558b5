//! Where each key's last record stands, for publishes that are conditional on
//! it. Built at the first such publish by reading the partition once, then kept
//! up by the appender. Keys are held as 128-bit hashes under secret seeds.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::partition::Partition;
use crate::batch::{BatchHeader, HEADER_BYTES, compression, records_of};
use crate::error::{CoreError, ErrorCode, Result};

/// A compressed batch may unfold to no more than this while it is indexed.
const PLAIN_BYTES_MAX: usize = 64 << 20;
/// Offsets are below 2^53, so a high bit can say: the last record is a tombstone.
const TOMBSTONE: u64 = 1 << 63;

pub struct KeyIndex {
    low: RandomState,
    high: RandomState,
    offsets: HashMap<u128, u64>,
    entries_max: usize,
}

impl KeyIndex {
    pub fn new(entries_max: usize) -> Self {
        Self { low: RandomState::new(), high: RandomState::new(), offsets: HashMap::new(), entries_max }
    }

    /// The index of everything in `partition` below `end`. Reads all of it once.
    ///
    /// # Errors
    /// `limit_exceeded` for too many keys; what reading says.
    pub fn build(partition: &Partition, end: u64) -> Result<Self> {
        const RUN_BYTES: usize = 1 << 20;
        let mut keys = Self::new(partition.shared.options.key_index_entries_max);
        let mut cursor = partition.locate(partition.start_offset())?;
        loop {
            let run = match partition.read_below(&mut cursor, RUN_BYTES, end) {
                // Retention overtook the reading: what it took has no keys any more.
                Err(error) if error.code == ErrorCode::OFFSET_OUT_OF_RANGE => {
                    cursor = partition.locate(partition.start_offset())?;
                    continue;
                }
                run => run?,
            };
            let Some(run) = run else { return Ok(keys) };
            let mut bytes = run.bytes();
            while let Ok(header) = BatchHeader::parse(bytes) {
                let (batch, rest) = bytes.split_at(header.batch_bytes().min(bytes.len()));
                keys.note(&header, &batch[HEADER_BYTES..])?;
                bytes = rest;
            }
        }
    }

    fn hash(&self, key: &[u8]) -> u128 {
        u128::from(self.high.hash_one(key)) << 64 | u128::from(self.low.hash_one(key))
    }

    /// Checks a condition: with `Some(offset)` the key's last record must stand
    /// exactly there (a tombstone counts); with `None` the key must not exist (a
    /// tombstone, or a record that retention took, counts as not existing).
    ///
    /// # Errors
    /// `key_conflict` with the offset of the key's last record.
    pub fn check(&self, key: &[u8], expected: Option<u64>, start_offset: u64) -> Result<()> {
        let entry = self.offsets.get(&self.hash(key)).copied();
        let last = entry.map(|entry| entry & !TOMBSTONE).filter(|offset| *offset >= start_offset);
        let live = last.filter(|_| entry.is_some_and(|entry| entry & TOMBSTONE == 0));
        let holds = match expected {
            Some(_) => last == expected,
            None => live.is_none(),
        };
        if holds {
            return Ok(());
        }
        let error = match last {
            Some(offset) => {
                CoreError::new(ErrorCode::KEY_CONFLICT, format!("the key's last record is at offset {offset}"))
                    .at_offset(offset)
            }
            None => CoreError::new(ErrorCode::KEY_CONFLICT, "the key has no record"),
        };
        Err(error)
    }

    /// Takes in the keys of one batch; `header.base_offset` is its place in the
    /// log.
    ///
    /// # Errors
    /// `limit_exceeded` when there are more keys than the index may hold,
    /// `decompress_failed` or `bad_record` for records that cannot be read.
    pub fn note(&mut self, header: &BatchHeader, records: &[u8]) -> Result<()> {
        let plain = compression::plain_records(header, records, PLAIN_BYTES_MAX)?;
        for record in records_of(&plain, header.attributes)? {
            let record = record?;
            let Some(key) = record.key else { continue };
            let flag = if record.value.is_none() { TOMBSTONE } else { 0 };
            let hash = self.hash(key);
            self.offsets.insert(hash, (header.base_offset + u64::from(record.position)) | flag);
        }
        if self.offsets.len() > self.entries_max {
            let message = format!("the partition holds more than keyIndexEntriesMax ({}) keys", self.entries_max);
            return Err(CoreError::new(ErrorCode::LIMIT_EXCEEDED, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, verify};

    fn note(index: &mut KeyIndex, base: u64, records: &[(&str, Option<&[u8]>)], compressed: bool) -> Result<()> {
        let mut builder = BatchBuilder::new(0);
        for (key, value) in records {
            builder.push(0, Some(key.as_bytes()), *value);
        }
        let batch = if compressed { builder.build_compressed().unwrap() } else { builder.build() };
        let (mut header, _) = verify(&batch).unwrap();
        header.base_offset = base;
        index.note(&header, &batch[HEADER_BYTES..])
    }

    #[test]
    fn conditions_hold_only_for_the_last_record_of_a_key() {
        let mut index = KeyIndex::new(10);
        note(&mut index, 100, &[("a", Some(b"1")), ("b", Some(b"1")), ("a", Some(b"2"))], false).unwrap();
        assert!(index.check(b"a", Some(102), 0).is_ok());
        assert_eq!(index.check(b"a", Some(100), 0).unwrap_err().offset, Some(102));
        assert_eq!(index.check(b"a", None, 0).unwrap_err().code, ErrorCode::KEY_CONFLICT);
        assert!(index.check(b"c", None, 0).is_ok());
        assert!(index.check(b"c", Some(5), 0).is_err());
    }

    #[test]
    fn tombstones_and_expired_records_count_as_absent() {
        let mut index = KeyIndex::new(10);
        note(&mut index, 0, &[("a", Some(b"1")), ("a", None), ("b", Some(b"1"))], true).unwrap();
        assert!(index.check(b"a", None, 0).is_ok());
        assert!(index.check(b"a", Some(1), 0).is_ok());
        assert!(index.check(b"b", None, 0).is_err());
        assert!(index.check(b"b", None, 3).is_ok());
    }

    #[test]
    fn more_keys_than_allowed_are_refused() {
        let mut index = KeyIndex::new(1);
        let error = note(&mut index, 0, &[("a", Some(b"1")), ("b", Some(b"1"))], false).unwrap_err();
        assert_eq!(error.code, ErrorCode::LIMIT_EXCEEDED);
    }
}
