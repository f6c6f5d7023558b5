//! Records inside a batch.
//!
//! ```text
//! msgpack array of 4: timestamp | key | value | headers
//! timestamp  uint delta to the base timestamp; with "absolute timestamps": uint ms or nil
//! key        nil, str or bin
//! value      nil (a tombstone), str or bin
//! headers    nil, or a map of str to nil, bool, number, str or bin
//! ```

use super::header::{Attributes, BatchFault, BatchHeader};
use super::sparse::Bitmap;
use crate::stdx::msgpack::{Fault, Reader};

const RECORD_HEAD: u8 = 0x94;

/// One record, as views of the batch.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Position in the batch's span: the offset is base offset + position.
    pub position: u32,
    /// As stored: a delta, or absolute ms; `None` for nil.
    pub timestamp: Option<u64>,
    /// The content of the key, without its msgpack head.
    pub key: Option<&'a [u8]>,
    /// The content of the value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The whole record as stored.
    pub raw: &'a [u8],
}

impl Record<'_> {
    /// The record's time in ms since the epoch. Where the broker stamped the batch,
    /// all of its records have the base timestamp, whatever they say themselves.
    pub fn timestamp_ms(&self, header: &BatchHeader) -> u64 {
        match self.timestamp {
            _ if header.attributes.is_append_time() => header.base_timestamp,
            None => header.base_timestamp,
            Some(at) if header.attributes.is_absolute() => at,
            Some(delta) => header.base_timestamp.saturating_add(delta),
        }
    }
}

/// Reads the record at the start of `bytes`.
///
/// # Errors
/// `NeedMore` when it is cut, `Malformed` when it is no record.
#[inline]
pub fn read_record(bytes: &[u8]) -> Result<Record<'_>, Fault> {
    let mut reader = Reader::new(bytes);
    if reader.take(1)? != [RECORD_HEAD] {
        return Err(Fault::Malformed);
    }
    let timestamp = reader.optional_uint()?;
    let key = reader.optional_blob()?;
    let value = reader.optional_blob()?;
    if !reader.nil()? {
        for _ in 0..reader.map()? {
            if !matches!(reader.peek()?, 0xa0..=0xbf | 0xd9..=0xdb) {
                return Err(Fault::Malformed);
            }
            reader.blob()?;
            reader.skip_scalar()?;
        }
    }
    Ok(Record { position: 0, timestamp, key, value, raw: &bytes[..reader.position()] })
}

/// The records of a plain (decompressed) payload with their positions.
pub struct RecordIter<'a> {
    records: &'a [u8],
    at: usize,
    position: u32,
    bitmap: Option<Bitmap<'a>>,
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchFault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.records.len() {
            return None;
        }
        let at = self.at;
        let Ok(mut record) = read_record(&self.records[at..]) else {
            self.at = self.records.len();
            return Some(Err(BatchFault::Record { at }));
        };
        self.at += record.raw.len();
        let position = match &self.bitmap {
            None => Some(self.position),
            Some(bitmap) => bitmap.next(self.position),
        };
        let Some(position) = position else {
            self.at = self.records.len();
            return Some(Err(BatchFault::Record { at }));
        };
        self.position = position + 1;
        record.position = position;
        Some(Ok(record))
    }
}

/// Iterates a plain payload: `records` must be decompressed already.
///
/// # Errors
/// `Record { at: 0 }` when a sparse batch's bitmap is malformed.
pub fn records_of(records: &[u8], attributes: Attributes) -> Result<RecordIter<'_>, BatchFault> {
    if attributes.is_sparse() {
        let (bitmap, rest) = Bitmap::read(records)?;
        return Ok(RecordIter { records: rest, at: 0, position: 0, bitmap: Some(bitmap) });
    }
    Ok(RecordIter { records, at: 0, position: 0, bitmap: None })
}

/// How many offsets the batch covers: its record count, or a sparse batch's span.
///
/// # Errors
/// `Record { at: 0 }` when a sparse batch's bitmap is malformed.
#[inline]
pub fn span_of(header: &BatchHeader, records: &[u8]) -> Result<u32, BatchFault> {
    if !header.attributes.is_sparse() {
        return Ok(header.record_count);
    }
    Bitmap::read(records).map(|(bitmap, _)| bitmap.span())
}

/// What a walk over the records found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    pub count: u32,
    pub keyless: u32,
    pub record_bytes_max: usize,
}

/// Walks the boundaries of a plain payload once: every record is well-formed,
/// none is larger than `message_bytes_max`, and there are as many as stated.
///
/// # Errors
/// `Record`, `RecordTooLarge` or `Count`.
pub fn walk(records: &[u8], attributes: Attributes, stated: u32, message_bytes_max: usize) -> Result<Walk, BatchFault> {
    let mut found = Walk::default();
    let mut at = 0;
    for record in records_of(records, attributes)? {
        let record = record?;
        let bytes = record.raw.len();
        if bytes > message_bytes_max {
            return Err(BatchFault::RecordTooLarge { at, bytes });
        }
        if record.timestamp.is_none() && !attributes.is_absolute() {
            return Err(BatchFault::Record { at });
        }
        at += bytes;
        found.count += 1;
        found.keyless += u32::from(record.key.is_none());
        found.record_bytes_max = found.record_bytes_max.max(bytes);
    }
    if found.count != stated {
        return Err(BatchFault::Count { stated, actual: found.count });
    }
    Ok(found)
}
