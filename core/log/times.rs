//! Finding offsets by time.

use std::sync::Arc;

use super::segment::Segment;
use super::{index, walk};
use crate::batch::{BatchHeader, compression, records_of};
use crate::error::Result;

/// A compressed batch that unfolds to more than this is searched only to its
/// base offset.
const PLAIN_BYTES_MAX: usize = 64 << 20;

/// The first offset of `segment` whose record is not earlier than
/// `timestamp_ms`.
///
/// # Errors
/// `storage_failed`.
pub fn first_at(segment: &Arc<Segment>, timestamp_ms: u64) -> Result<Option<u64>> {
    let start = segment.with_index(|entries| index::position_by_time(entries, timestamp_ms))?;
    let mut found = None;
    walk::for_each(segment, start, |map, step| {
        if step.header.max_timestamp() < timestamp_ms {
            return true;
        }
        found = record_at(&step.header, step.records(map), timestamp_ms);
        found.is_none()
    })?;
    Ok(found)
}

/// The offset of the first record of a batch at or after `timestamp_ms`. A batch
/// that cannot be looked into counts as a whole; one whose stated maximum no
/// record reaches (compaction took it) has none.
fn record_at(header: &BatchHeader, records: &[u8], timestamp_ms: u64) -> Option<u64> {
    if header.attributes.is_append_time() || header.base_timestamp >= timestamp_ms && !header.attributes.is_absolute() {
        return Some(header.base_offset);
    }
    let Ok(plain) = compression::plain_records(header, records, PLAIN_BYTES_MAX) else {
        return Some(header.base_offset);
    };
    for record in records_of(&plain, header.attributes).ok()? {
        let Ok(record) = record else { return Some(header.base_offset) };
        if record.timestamp_ms(header) >= timestamp_ms {
            return Some(header.base_offset + u64::from(record.position));
        }
    }
    None
}
