//! The sparse index of a segment: every `index_interval_bytes` one entry that
//! says which offset stands at which position, and how late the records before
//! it were. It lives in memory for the active segment and in `<base>.idx` for a
//! sealed one.
//!
//! An index file is written only after its segment was synced, so a valid one
//! also says: everything in this segment survived.

use super::files;
use crate::stdx::msgpack::{write_array, write_uint};

const VERSION: u64 = 1;
const FIELDS: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    pub offset: u64,
    pub position: u64,
    /// The highest timestamp of all batches of the segment before this one.
    pub max_timestamp_before: u64,
}

/// Where a search for `offset` starts: the position of the last entry at or
/// below it.
pub fn position_by_offset(entries: &[IndexEntry], offset: u64) -> u64 {
    let after = entries.partition_point(|entry| entry.offset <= offset);
    after.checked_sub(1).map_or(0, |at| entries[at].position)
}

/// Where a search for the first record at or after `timestamp` starts.
pub fn position_by_time(entries: &[IndexEntry], timestamp: u64) -> u64 {
    let after = entries.partition_point(|entry| entry.max_timestamp_before < timestamp);
    after.checked_sub(1).map_or(0, |at| entries[at].position)
}

/// What is known of a sealed segment without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentSummary {
    pub base: u64,
    /// Bytes of batches; the file may be longer, and is a hole from there.
    pub end: u64,
    pub next_offset: u64,
    pub max_timestamp: u64,
    pub created_ms: u64,
    /// Broker's time of the last append: what retention by age counts from.
    pub appended_ms: u64,
    pub last_epoch: u32,
    /// Offsets may be missing between batches.
    pub compacted: bool,
    /// Position and CRC field of the last indexed batch: an index that belongs
    /// to another version of the file (a crash amid a compaction) is found out.
    pub check_position: u64,
    pub check_crc: u32,
}

/// The content of an index file.
pub fn encode(summary: &SegmentSummary, entries: &[IndexEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + entries.len() * 24);
    write_array(&mut out, FIELDS);
    for value in [
        VERSION,
        summary.base,
        summary.end,
        summary.next_offset,
        summary.max_timestamp,
        summary.created_ms,
        summary.appended_ms,
        u64::from(summary.last_epoch),
        u64::from(summary.compacted),
        summary.check_position,
        u64::from(summary.check_crc),
    ] {
        write_uint(&mut out, value);
    }
    write_array(&mut out, entries.len() * 3);
    for entry in entries {
        write_uint(&mut out, entry.offset);
        write_uint(&mut out, entry.position);
        write_uint(&mut out, entry.max_timestamp_before);
    }
    files::seal(out)
}

/// Reads an index file's content; `None` for anything not whole and not ours.
pub fn decode(bytes: &[u8]) -> Option<(SegmentSummary, Vec<IndexEntry>)> {
    let mut reader = files::open_sealed(bytes)?;
    if reader.array().ok()? != FIELDS || reader.uint().ok()? != VERSION {
        return None;
    }
    let mut next = || reader.uint().ok();
    let summary = SegmentSummary {
        base: next()?,
        end: next()?,
        next_offset: next()?,
        max_timestamp: next()?,
        created_ms: next()?,
        appended_ms: next()?,
        last_epoch: u32::try_from(next()?).ok()?,
        compacted: next()? != 0,
        check_position: next()?,
        check_crc: u32::try_from(next()?).ok()?,
    };
    let values = reader.array().ok()?;
    if values % 3 != 0 || values > reader.rest().len() {
        return None;
    }
    let mut entries = Vec::with_capacity(values / 3);
    for _ in 0..values / 3 {
        entries.push(IndexEntry {
            offset: reader.uint().ok()?,
            position: reader.uint().ok()?,
            max_timestamp_before: reader.uint().ok()?,
        });
    }
    Some((summary, entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<IndexEntry> {
        (0..100).map(|n| IndexEntry { offset: n * 10, position: n * 1000, max_timestamp_before: n * 7 }).collect()
    }

    #[test]
    fn a_search_starts_at_or_before_what_is_sought() {
        let entries = entries();
        assert_eq!(position_by_offset(&entries, 0), 0);
        assert_eq!(position_by_offset(&entries, 19), 1000);
        assert_eq!(position_by_offset(&entries, 20), 2000);
        assert_eq!(position_by_offset(&entries, 5000), 99_000);
        assert_eq!(position_by_time(&entries, 0), 0);
        assert_eq!(position_by_time(&entries, 14), 1000);
        assert_eq!(position_by_time(&entries, 15), 2000);
        assert_eq!(position_by_offset(&[], 5), 0);
    }

    #[test]
    fn an_index_file_comes_back_whole_or_not_at_all() {
        let summary =
            SegmentSummary { base: 5, end: 100_000, next_offset: 1000, compacted: true, ..Default::default() };
        let bytes = encode(&summary, &entries());
        assert_eq!(decode(&bytes), Some((summary, entries())));
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None);
        }
    }
}
