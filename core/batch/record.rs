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
    /// The headers as stored: nil or a map.
    pub headers: &'a [u8],
    /// The whole record as stored.
    pub raw: &'a [u8],
    /// Where the key begins in `raw`.
    key_at: usize,
    /// Where the value begins in `raw`, with its msgpack head.
    value_at: usize,
}

impl Record<'_> {
    /// Key, value and headers as stored, without the head and the timestamp.
    #[inline]
    pub fn after_timestamp(&self) -> &[u8] {
        &self.raw[self.key_at..]
    }

    /// Head, timestamp and key as stored.
    #[inline]
    pub fn before_value(&self) -> &[u8] {
        &self.raw[..self.value_at]
    }

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
    let key_at = reader.position();
    let key = reader.optional_blob()?;
    let value_at = reader.position();
    let value = reader.optional_blob()?;
    let headers_at = reader.position();
    if !reader.nil()? {
        for _ in 0..reader.map()? {
            if !matches!(reader.peek()?, 0xa0..=0xbf | 0xd9..=0xdb) {
                return Err(Fault::Malformed);
            }
            reader.blob()?;
            reader.skip_scalar()?;
        }
    }
    let raw = &bytes[..reader.position()];
    Ok(Record { position: 0, timestamp, key, value, headers: &raw[headers_at..], raw, key_at, value_at })
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
    if !attributes.is_sparse() {
        let (end, found) = walk_plain(records, message_bytes_max);
        if end == records.len() && found.count == stated {
            return Ok(found);
        }
    }
    walk_any(records, attributes, stated, message_bytes_max)
}

/// The walk that takes every form of record, and says what is wrong where.
fn walk_any(records: &[u8], attributes: Attributes, stated: u32, message_bytes_max: usize) -> Result<Walk, BatchFault> {
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

/// Walks records of the common form, up to the first of another form or a fault:
/// nearly all batches hold nothing else, and this is several times as fast.
/// Returns where it stopped.
fn walk_plain(records: &[u8], message_bytes_max: usize) -> (usize, Walk) {
    let (mut at, mut found) = (0, Walk::default());
    while let Some((bytes, is_keyless)) = short_record(&records[at..]).or_else(|| plain_record(&records[at..]))
        && bytes <= message_bytes_max
    {
        at += bytes;
        found.count += 1;
        found.keyless += u32::from(is_keyless);
        found.record_bytes_max = found.record_bytes_max.max(bytes);
    }
    (at, found)
}

/// Hands the value and the headers of each record to `each`, in order with their number, until it returns an error.
/// The records are those of a batch that is not sparse, and `walk` has passed them.
///
/// # Errors
/// The first one of `each`.
#[inline]
pub fn each_value<E>(
    records: &[u8],
    mut each: impl FnMut(u32, Option<&[u8]>, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let (mut at, mut position) = (0, 0);
    while at < records.len() {
        let rest = &records[at..];
        if let Some((value_at, bytes)) = plain_value(rest) {
            at += bytes;
            each(position, rest.get(value_at..bytes - 1), &[])?;
        } else {
            let Ok(record) = read_record(rest) else { return Ok(()) };
            at += record.raw.len();
            each(position, record.value, record.headers)?;
        }
        position += 1;
    }
    Ok(())
}

/// As `plain_record`, for those whose head is five bytes, looked at in one piece: a
/// timestamp of one byte, no key, and a value of up to 255 bytes.
#[inline]
fn short_record(bytes: &[u8]) -> Option<(usize, bool)> {
    const HEAD: u64 = 0xffff_80ff;
    const BIN: u64 = 0xc4c0_0094;
    const STR: u64 = 0xd9c0_0094;
    let head = u64::from_le_bytes(*bytes.first_chunk()?);
    if !matches!(head & HEAD, BIN | STR) {
        return None;
    }
    let headers_at = 5 + usize::from((head >> 32) as u8);
    (*bytes.get(headers_at)? == 0xc0).then_some((headers_at + 1, true))
}

/// The length of a record with a timestamp of up to four bytes, a key of up to 255
/// bytes or nil, a value of up to 65,535 bytes and no headers, and whether
/// its key is nil. `None` for every other.
#[inline]
fn plain_record(bytes: &[u8]) -> Option<(usize, bool)> {
    let (value_at, key) = plain_head(bytes)?;
    let &[head, high, low] = bytes.get(value_at..)?.first_chunk()?;
    let headers_at = match head {
        0xc4 | 0xd9 => value_at + 2 + usize::from(high),
        0xc5 | 0xda => value_at + 3 + usize::from(u16::from_be_bytes([high, low])),
        _ => return None,
    };
    (*bytes.get(headers_at)? == 0xc0).then_some((headers_at + 1, key == 0xc0))
}

/// Where the content of the value of such a record begins, and the record's length. Its headers are the last byte.
#[inline]
fn plain_value(bytes: &[u8]) -> Option<(usize, usize)> {
    let (value_at, _) = plain_head(bytes)?;
    let &[head, high, low] = bytes.get(value_at..)?.first_chunk()?;
    let (content_at, content_bytes) = match head {
        0xc4 | 0xd9 => (value_at + 2, usize::from(high)),
        0xc5 | 0xda => (value_at + 3, usize::from(u16::from_be_bytes([high, low]))),
        _ => return None,
    };
    let headers_at = content_at + content_bytes;
    (*bytes.get(headers_at)? == 0xc0).then_some((content_at, headers_at + 1))
}

/// Where the value of a record with a short timestamp and key begins, and the head of its key.
#[inline]
fn plain_head(bytes: &[u8]) -> Option<(usize, u8)> {
    let [RECORD_HEAD, timestamp, ..] = *bytes else { return None };
    let key_at = match timestamp {
        0x00..=0x7f => 2,
        0xcc => 3,
        0xcd => 4,
        0xce => 6,
        _ => return None,
    };
    let key = *bytes.get(key_at)?;
    let value_at = match key {
        0xc0 => key_at + 1,
        0xa0..=0xbf => key_at + 1 + usize::from(key - 0xa0),
        0xc4 | 0xd9 => key_at + 2 + usize::from(*bytes.get(key_at + 1)?),
        _ => return None,
    };
    Some((value_at, key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stdx::msgpack::{write_bin, write_nil, write_str, write_uint};

    fn blob() -> impl Strategy<Value = Option<(bool, Vec<u8>)>> {
        let short = prop::collection::vec(b'a'..=b'z', 0..40);
        let long = prop::collection::vec(b'a'..=b'z', 200..300);
        prop::option::of((any::<bool>(), prop_oneof![4 => short, 1 => long]))
    }

    fn write_blob(out: &mut Vec<u8>, blob: Option<&(bool, Vec<u8>)>) {
        match blob {
            None => write_nil(out),
            Some((true, text)) => write_str(out, std::str::from_utf8(text).unwrap()),
            Some((false, bytes)) => write_bin(out, bytes),
        }
    }

    proptest! {
        #[test]
        fn the_quick_walk_answers_as_the_long_one(
            records in prop::collection::vec((any::<u32>(), 0..33_u32, blob(), blob(), 0..20_u8), 1..12),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
            stated_more in 0..2_u32,
        ) {
            let mut bytes = Vec::new();
            let stated = records.len() as u32 + u32::from(stated_more == 1 && records.len() % 5 == 0);
            for (timestamp, shift, key, value, headers) in &records {
                bytes.push(RECORD_HEAD);
                write_uint(&mut bytes, u64::from(timestamp.checked_shr(*shift).unwrap_or(0)));
                write_blob(&mut bytes, key.as_ref());
                write_blob(&mut bytes, value.as_ref());
                bytes.extend_from_slice(if *headers == 0 { &[0x81, 0xa1, b'h', 0x01] } else { &[0xc0] });
            }
            for (index, byte) in flips {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            let end = cut.map_or(bytes.len(), |index| index.index(bytes.len()));
            for attributes in [Attributes::PLAIN, Attributes::PLAIN.with_absolute()] {
                let quick = walk(&bytes[..end], attributes, stated, 280);
                prop_assert_eq!(quick, walk_any(&bytes[..end], attributes, stated, 280));
                if quick.is_err() {
                    continue;
                }
                let mut read = records_of(&bytes[..end], attributes).unwrap().map(Result::unwrap);
                each_value(&bytes[..end], |position, value, headers| {
                    let record = read.next().unwrap();
                    prop_assert_eq!((position, value), (record.position, record.value));
                    prop_assert!(headers == record.headers || (headers.is_empty() && record.headers == [0xc0]));
                    Ok(())
                })?;
                prop_assert!(read.next().is_none());
            }
        }
    }
}
