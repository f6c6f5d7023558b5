//! Walking the batches of a mapped segment by their headers.

use std::sync::Arc;

use super::index::IndexEntry;
use super::segment::Segment;
use crate::batch::{BatchFault, BatchHeader, HEADER_BYTES, MARKER, span_of, verify};
use crate::error::{CoreError, ErrorCode, Result};
use crate::mmap::SegmentMap;

/// One batch of a segment.
#[derive(Clone, Copy)]
pub struct Step {
    pub header: BatchHeader,
    pub position: u64,
    /// Position behind the batch.
    pub end: u64,
    /// Offset behind the batch's span.
    pub next_offset: u64,
}

impl Step {
    /// The batch's bytes.
    pub fn bytes<'a>(&self, map: &'a SegmentMap) -> &'a [u8] {
        map.slice(self.position as usize, (self.end - self.position) as usize).unwrap_or(&[])
    }

    /// The content of the records field.
    pub fn records<'a>(&self, map: &'a SegmentMap) -> &'a [u8] {
        self.bytes(map).get(HEADER_BYTES..).unwrap_or(&[])
    }
}

/// Why a position of a segment holds no batch that can be served.
#[derive(Clone, Copy, Debug)]
pub enum Reason {
    Fault(BatchFault),
    Text(&'static str),
}

impl From<BatchFault> for Reason {
    fn from(fault: BatchFault) -> Self {
        Self::Fault(fault)
    }
}

impl Reason {
    pub fn at(self, offset: u64) -> CoreError {
        match self {
            Self::Fault(fault) => corrupt(offset, &CoreError::from(fault).message),
            Self::Text(text) => corrupt(offset, text),
        }
    }
}

pub fn corrupt(offset: u64, what: &str) -> CoreError {
    CoreError::new(ErrorCode::CORRUPT_BATCH, format!("the batch at offset {offset} is damaged: {what}"))
        .at_offset(offset)
}

/// Reads the header at `position` of `map`, of which `end` bytes are written.
/// `lowest` is the lowest offset that may stand there.
///
/// # Errors
/// Why the bytes are no batch that fits.
#[inline]
pub fn step(map: &SegmentMap, position: u64, end: u64, lowest: u64) -> std::result::Result<Step, Reason> {
    let room = end - position;
    let head = map.slice(position as usize, HEADER_BYTES.min(room as usize)).unwrap_or(&[]);
    let header = BatchHeader::parse(head)?;
    let bytes = header.batch_bytes() as u64;
    if bytes > room {
        return Err(Reason::Text("it is longer than its segment"));
    }
    if header.base_offset < lowest {
        return Err(Reason::Text("its offset is lower than the one before"));
    }
    let span = if header.attributes.is_sparse() {
        let records = map.slice(position as usize + HEADER_BYTES, header.records_bytes as usize).unwrap_or(&[]);
        span_of(&header, records)?
    } else {
        header.record_count
    };
    Ok(Step { header, position, end: position + bytes, next_offset: header.base_offset + u64::from(span) })
}

/// Verifies the CRC of a batch that was not verified since the start.
///
/// # Errors
/// Why it must not be served.
#[inline]
pub fn verify_once(segment: &Segment, map: &SegmentMap, step: &Step) -> std::result::Result<(), Reason> {
    if !segment.verified.needs(step.position) {
        return Ok(());
    }
    verify(step.bytes(map))?;
    segment.verified.mark(step.position, step.end);
    Ok(())
}

/// As `step`, and verified. Without the CRC a damaged count or length would lead
/// the walk astray.
///
/// # Errors
/// Why the bytes are no batch that fits.
pub fn verified_step(
    segment: &Segment,
    map: &SegmentMap,
    position: u64,
    end: u64,
    lowest: u64,
) -> std::result::Result<Step, Reason> {
    let step = step(map, position, end, lowest)?;
    verify_once(segment, map, &step)?;
    Ok(step)
}

/// The first whole, verified batch behind damage: at or after `from`, with an
/// offset not below `lowest`.
pub fn resync(map: &SegmentMap, from: u64, end: u64, lowest: u64) -> Option<Step> {
    let bytes = map.slice(from as usize, end.saturating_sub(from) as usize)?;
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == MARKER) {
        let position = from + at as u64;
        match step(map, position, end, lowest) {
            Ok(step) if verify(step.bytes(map)).is_ok() => return Some(step),
            _ => {}
        }
    }
    None
}

/// Calls `f` with each good batch of a segment from `position` (a batch boundary)
/// on, until it says stop (`false`) or the written part ends. Damaged batches are
/// stepped over: what lies behind them can still be found.
///
/// # Errors
/// What mapping says.
pub fn for_each(segment: &Arc<Segment>, position: u64, mut f: impl FnMut(&SegmentMap, &Step) -> bool) -> Result<()> {
    let end = segment.written();
    if position >= end {
        return Ok(());
    }
    let map = segment.map()?;
    let (mut at, mut lowest) = (position, segment.base);
    while at < end {
        let good = verified_step(segment, &map, at, end, lowest).ok();
        let Some(step) = good.or_else(|| resync(&map, at, end, lowest)) else { break };
        if !f(&map, &step) {
            break;
        }
        (at, lowest) = (step.end, step.next_offset);
    }
    Ok(())
}

/// Builds the sparse index of a segment anew.
///
/// # Errors
/// What mapping says.
pub fn rebuild_index(segment: &Arc<Segment>, interval_bytes: u64) -> Result<Vec<IndexEntry>> {
    let mut builder = IndexBuilder::new(interval_bytes);
    for_each(segment, 0, |_, step| {
        builder.note(step.header.base_offset, step.position, step.header.max_timestamp());
        true
    })?;
    Ok(builder.entries)
}

/// Decides which batches get an index entry.
pub struct IndexBuilder {
    pub entries: Vec<IndexEntry>,
    interval_bytes: u64,
    /// The next batch at or behind this position gets an entry.
    next_position: u64,
    max_timestamp: u64,
}

impl IndexBuilder {
    pub fn new(interval_bytes: u64) -> Self {
        Self { entries: Vec::new(), interval_bytes, next_position: 0, max_timestamp: 0 }
    }

    /// Goes on behind the entries of a segment that exist already.
    pub fn resume(interval_bytes: u64, entries: &[IndexEntry], max_timestamp: u64) -> Self {
        let next_position = entries.last().map_or(0, |last| last.position + interval_bytes);
        Self { entries: Vec::new(), interval_bytes, next_position, max_timestamp }
    }

    #[inline]
    pub fn note(&mut self, offset: u64, position: u64, max_timestamp: u64) {
        if position >= self.next_position {
            self.entries.push(IndexEntry { offset, position, max_timestamp_before: self.max_timestamp });
            self.next_position = position + self.interval_bytes;
        }
        self.max_timestamp = self.max_timestamp.max(max_timestamp);
    }
}
