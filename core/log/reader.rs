//! Reading committed batches as ranges of maps. A reader takes no lock of the
//! partition: it goes by the high watermark and the segments' published ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::partition::Partition;
use super::segment::Segment;
use super::walk::{self, corrupt};
use crate::error::{CoreError, ErrorCode, Result};
use crate::mmap::SegmentMap;

/// A place in a partition. It keeps no map and no disk space alive.
#[derive(Clone)]
pub struct Cursor {
    segment: Option<Arc<Segment>>,
    position: u64,
    next_offset: u64,
}

impl Cursor {
    /// The next offset to be read.
    pub fn next_offset(&self) -> u64 {
        self.next_offset
    }
}

/// Where a batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The first offset of its segment, which names the file.
    pub segment_offset: u64,
    /// The byte of the file at which it begins.
    pub position: u64,
}

/// Whole batches that lie one after another in one map.
pub struct Run {
    pub map: Arc<SegmentMap>,
    pub start: usize,
    pub len: usize,
    pub batches: u32,
    pub records: u64,
    /// Base offset of the first batch: may lie below the offset that was sought.
    pub first_offset: u64,
    pub next_offset: u64,
}

impl Run {
    pub fn bytes(&self) -> &[u8] {
        self.map.slice(self.start, self.len).unwrap_or(&[])
    }
}

fn out_of_range(partition: &Partition, offset: u64) -> CoreError {
    let (start, end) = (partition.start_offset(), partition.high_watermark());
    let message = format!("offset {offset} is outside [{start}, {end}]");
    CoreError::new(ErrorCode::OFFSET_OUT_OF_RANGE, message).at_offset(start)
}

impl Partition {
    /// A cursor at the batch that holds `offset`.
    ///
    /// # Errors
    /// `offset_out_of_range` (with the first readable offset) below the start or
    /// above the high watermark.
    pub fn cursor_at(&self, offset: u64) -> Result<Cursor> {
        if offset > self.high_watermark() {
            return Err(out_of_range(self, offset));
        }
        self.locate(offset)
    }

    /// Where the batch lies that holds `offset`.
    ///
    /// # Errors
    /// As `cursor_at`; `offset_out_of_range` at the high watermark, too.
    pub fn place_of(&self, offset: u64) -> Result<Place> {
        let cursor = self.locate(offset)?;
        match &cursor.segment {
            Some(segment) if offset < self.high_watermark() => {
                Ok(Place { segment_offset: segment.base, position: cursor.position })
            }
            _ => Err(out_of_range(self, offset)),
        }
    }

    pub(super) fn locate(&self, offset: u64) -> Result<Cursor> {
        loop {
            if offset < self.start_offset() {
                return Err(out_of_range(self, offset));
            }
            let segments = self.segments();
            let after = segments.partition_point(|segment| segment.base <= offset);
            let Some(segment) = after.checked_sub(1).map(|at| &segments[at]) else {
                return Ok(Cursor { segment: None, position: 0, next_offset: offset });
            };
            match position_of(segment, offset) {
                Ok(position) => {
                    return Ok(Cursor { segment: Some(Arc::clone(segment)), position, next_offset: offset });
                }
                Err(error) if !segment.is_removed() => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// The next run of whole committed batches: at least one if there is any,
    /// else as many as fit `bytes_max`, none that starts at or behind
    /// `limit_offset`. Touches the first one, and nothing else behind `bytes_max`.
    /// `None` at the high watermark or limit.
    ///
    /// # Errors
    /// `corrupt_batch` (with its offset) for a batch that fails its CRC; the
    /// cursor stays before it. `offset_out_of_range` when retention overtook the
    /// cursor. `storage_failed` when a segment cannot be mapped.
    pub fn read_run(&self, cursor: &mut Cursor, bytes_max: usize, limit_offset: Option<u64>) -> Result<Option<Run>> {
        let bound = self.high_watermark().min(limit_offset.unwrap_or(u64::MAX));
        self.read_below(cursor, bytes_max, bound)
    }

    /// As `read_run` with a bound of the caller's, which may lie above the high
    /// watermark: the key index looks at what is not yet committed, too.
    pub(super) fn read_below(&self, cursor: &mut Cursor, bytes_max: usize, bound: u64) -> Result<Option<Run>> {
        while cursor.next_offset < bound {
            let Some(segment) = self.settle(cursor)? else { return Ok(None) };
            let end = segment.written();
            if cursor.position < end {
                match read_segment(&segment, cursor, end, bytes_max, bound) {
                    Err(_) if segment.is_removed() => {}
                    Err(_) if self.is_deleted() => return Err(self.deleted_error()),
                    other => return other,
                }
            } else if !self.enter_next(cursor, &segment)? {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The cursor's segment; found anew when the cursor has none or its one is
    /// gone. `None` while the partition holds nothing.
    fn settle(&self, cursor: &mut Cursor) -> Result<Option<Arc<Segment>>> {
        if self.is_deleted() {
            return Err(self.deleted_error());
        }
        if let Some(segment) = cursor.segment.as_ref().filter(|segment| !segment.is_removed()) {
            return Ok(Some(Arc::clone(segment)));
        }
        *cursor = self.locate(cursor.next_offset)?;
        Ok(cursor.segment.clone())
    }

    /// Moves a cursor at the end of its segment into the next one.
    fn enter_next(&self, cursor: &mut Cursor, segment: &Arc<Segment>) -> Result<bool> {
        if segment.is_removed() {
            cursor.segment = None;
            return Ok(true);
        }
        let segments = self.segments();
        let after = segments.partition_point(|other| other.base <= segment.base);
        let Some(next) = segments.get(after) else { return Ok(false) };
        // Retention may be in the middle of taking this segment and later ones out:
        // the start moves first, then the list, and what is out is marked last.
        if cursor.next_offset < self.start_offset() {
            return Err(out_of_range(self, cursor.next_offset));
        }
        if segment.is_damaged() && cursor.next_offset < next.base {
            return Err(corrupt(cursor.next_offset, "the rest of its segment is lost"));
        }
        cursor.next_offset = cursor.next_offset.max(next.base);
        cursor.position = 0;
        cursor.segment = Some(Arc::clone(next));
        Ok(true)
    }

    /// The range of a map that the cursor's next run will lie in, at most
    /// `bytes_max` long: what to prefault before `read_run` touches it.
    ///
    /// # Errors
    /// As `read_run`.
    pub fn upcoming(&self, cursor: &mut Cursor, bytes_max: usize) -> Result<Option<(Arc<SegmentMap>, usize, usize)>> {
        while cursor.next_offset < self.high_watermark() {
            let Some(segment) = self.settle(cursor)? else { return Ok(None) };
            let end = segment.written();
            if cursor.position < end {
                let length = (end - cursor.position).min(bytes_max as u64);
                return Ok(Some((segment.map()?, cursor.position as usize, length as usize)));
            }
            if !self.enter_next(cursor, &segment)? {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Copies whole batches from the one that holds `offset` on; empty at the
    /// high watermark. Fewer than fit when retention overtakes the call.
    ///
    /// # Errors
    /// As `cursor_at` and `read_run`.
    pub fn read_copy(&self, offset: u64, bytes_max: usize) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut cursor = self.cursor_at(offset)?;
        while out.len() < bytes_max {
            let run = match self.read_run(&mut cursor, bytes_max - out.len(), None) {
                Err(error) if error.code == ErrorCode::OFFSET_OUT_OF_RANGE && !out.is_empty() => break,
                read => read?,
            };
            let Some(run) = run else { break };
            if !out.is_empty() && out.len() + run.len > bytes_max {
                break;
            }
            out.extend_from_slice(run.bytes());
        }
        Ok(out)
    }

    /// The first offset whose record is not earlier than `timestamp_ms`, or the
    /// high watermark.
    ///
    /// # Errors
    /// `corrupt_batch`, `storage_failed`.
    pub fn offset_at(&self, timestamp_ms: u64) -> Result<u64> {
        let watermark = self.high_watermark();
        for segment in self.segments().iter() {
            if segment.written() == 0 || segment.max_timestamp() < timestamp_ms {
                continue;
            }
            match super::times::first_at(segment, timestamp_ms) {
                Ok(Some(offset)) => return Ok(offset.clamp(self.start_offset(), watermark)),
                // Retention overtook the search: what this segment held is gone.
                Err(_) if segment.is_removed() => {}
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(watermark)
    }

    /// The base timestamp of the batch that holds `offset`; `None` outside the
    /// committed log.
    ///
    /// # Errors
    /// `corrupt_batch`, `storage_failed`.
    pub fn timestamp_at(&self, offset: u64) -> Result<Option<u64>> {
        if offset < self.start_offset() || offset >= self.high_watermark() {
            return Ok(None);
        }
        let run = self.locate(offset).and_then(|mut cursor| self.read_run(&mut cursor, 1, None));
        let run = match run {
            Err(_) if offset < self.start_offset() => return Ok(None),
            run => run?,
        };
        let Some(run) = run else { return Ok(None) };
        let header = crate::batch::BatchHeader::parse(run.bytes()).map_err(CoreError::from)?;
        Ok(Some(header.base_timestamp))
    }

    /// How many bytes lie between a cursor and the log's end in its segment; a
    /// hint for planning.
    pub fn bytes_ahead(&self, cursor: &Cursor) -> u64 {
        cursor.segment.as_ref().map_or(0, |segment| segment.written().saturating_sub(cursor.position))
    }

    pub(super) fn store_watermark(&self, offset: u64) -> bool {
        self.watermark.fetch_max(offset, Ordering::AcqRel) < offset
    }
}

/// Position of the batch that holds `offset`, or of the first one behind it.
fn position_of(segment: &Arc<Segment>, offset: u64) -> Result<u64> {
    if offset >= segment.next_offset() {
        return Ok(segment.written());
    }
    if offset == segment.base {
        return Ok(0);
    }
    let start = segment.with_index(|entries| super::index::position_by_offset(entries, offset))?;
    let (map, end) = (segment.map()?, segment.written());
    let (mut at, mut lowest) = (start, segment.base);
    while at < end {
        let step = match walk::verified_step(segment, &map, at, end, lowest) {
            Ok(step) => step,
            // Damage costs what is damaged: an offset in it is found at the place
            // whose reading says so, an offset behind it at its own.
            Err(_) => match walk::resync(&map, at, end, lowest) {
                Some(step) if step.header.base_offset <= offset => step,
                _ => return Ok(at),
            },
        };
        if step.next_offset > offset {
            return Ok(step.position);
        }
        (at, lowest) = (step.end, step.next_offset);
    }
    Ok(end)
}

/// One run out of one segment.
fn read_segment(
    segment: &Arc<Segment>,
    cursor: &mut Cursor,
    end: u64,
    bytes_max: usize,
    bound: u64,
) -> Result<Option<Run>> {
    let map = segment.map()?;
    let start = cursor.position;
    let mut run = Run {
        map: Arc::clone(&map),
        start: start as usize,
        len: 0,
        batches: 0,
        records: 0,
        first_offset: 0,
        next_offset: cursor.next_offset,
    };
    let mut at = start;
    // The batch under a fresh cursor may begin below the offset that was sought.
    let mut lowest = 0;
    // Behind the first batch nothing is touched that is not sent: it may be on disk only.
    let end_of_others = end.min(start.saturating_add(bytes_max as u64));
    let mut reach = end;
    while at < reach {
        let step = match walk::verified_step(segment, &map, at, reach, lowest) {
            Ok(step) => step,
            Err(_) if run.batches > 0 => break,
            Err(reason) => return Err(reason.at(cursor.next_offset)),
        };
        if step.header.base_offset >= bound {
            if run.batches == 0 {
                // Compaction left nothing before the bound: that was read, too.
                cursor.next_offset = bound;
            }
            break;
        }
        if run.batches == 0 {
            run.first_offset = step.header.base_offset;
        }
        run.batches += 1;
        run.records += u64::from(step.header.record_count);
        run.next_offset = run.next_offset.max(step.next_offset);
        lowest = step.next_offset;
        at = step.end;
        reach = end_of_others;
    }
    if run.batches == 0 {
        return Ok(None);
    }
    run.len = (at - start) as usize;
    cursor.position = at;
    cursor.next_offset = run.next_offset;
    Ok(Some(run))
}
