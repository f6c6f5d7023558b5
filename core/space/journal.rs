//! Finding messages by their numbers. The newest million are found by a table; older
//! ones by walking the log from where the queue last read, which is cheap for a
//! queue that is read in order.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::batch::{BatchHeader, HEADER_BYTES, Record, read_record};
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::{Cursor, Partition, Run, SegmentMap};
use crate::stdx::msgpack::write_uint;

/// msgpack array of 4.
const RECORD_HEAD: u8 = 0x94;
/// So many of the newest messages are found by the table; a power of two.
const RECENT_MAX: usize = 1 << 20;
/// The table's batches are at most so many bytes: their maps keep deleted segments alive.
const RECENT_BYTES_MAX: u64 = 256 << 20;
/// What is taken from the log at once on the way through a backlog.
const BACKLOG_RUN_BYTES: usize = 256 << 10;

/// A message as it is stored.
pub(super) struct Stored<'a> {
    pub record: Record<'a>,
    pub timestamp_ms: u64,
}

/// A batch of the newest messages.
struct Placed {
    first: u64,
    count: u32,
    header: BatchHeader,
    map: Arc<SegmentMap>,
    /// Where its records begin in the map.
    body_at: usize,
}

impl Stored<'_> {
    /// Appends the record with its absolute timestamp.
    #[inline]
    pub fn write_into(&self, out: &mut Vec<u8>) {
        out.push(RECORD_HEAD);
        write_uint(out, self.timestamp_ms);
        out.extend_from_slice(self.record.after_timestamp());
    }
}

pub(super) struct Journal {
    pub partition: Arc<Partition>,
    /// Behind the last batch in `recent`.
    tail: Option<Cursor>,
    recent: VecDeque<Placed>,
    recent_bytes: u64,
    /// Of each of the newest messages, by number modulo `RECENT_MAX`: where its record
    /// begins in its batch's body.
    starts: Vec<u32>,
    /// The batch that was found last: messages are read in order.
    last: usize,
}

impl Journal {
    pub fn new(partition: Arc<Partition>) -> Self {
        Self { partition, tail: None, recent: VecDeque::new(), recent_bytes: 0, starts: Vec::new(), last: 0 }
    }

    /// Notes where the batch lies that was appended at `base`; `starts` are the places of
    /// its records in its body.
    ///
    /// # Errors
    /// When the segment cannot be mapped: the messages are then found by walking.
    pub fn note(&mut self, base: u64, starts: &[u32]) -> Result<()> {
        if self.starts.is_empty() {
            self.starts = vec![0; RECENT_MAX];
        }
        let mut cursor = match self.tail.take() {
            Some(cursor) if cursor.next_offset() <= base => cursor,
            _ => self.partition.cursor_at(base)?,
        };
        while let Some(run) = self.partition.read_run(&mut cursor, usize::MAX, None)? {
            self.place(&run, base, starts.len() as u32);
        }
        self.tail = Some(cursor);
        for (at, start) in starts.iter().enumerate() {
            self.starts[(base as usize + at) % RECENT_MAX] = *start;
        }
        let forgotten = (base + starts.len() as u64).saturating_sub(RECENT_MAX as u64);
        let is_over = |bytes: u64, batch: &Placed| bytes > RECENT_BYTES_MAX || batch.first < forgotten;
        while let Some(batch) = self.recent.front().filter(|batch| is_over(self.recent_bytes, batch)) {
            self.recent_bytes -= u64::from(batch.header.records_bytes);
            self.recent.pop_front();
            self.last = self.last.saturating_sub(1);
        }
        Ok(())
    }

    fn place(&mut self, run: &Run, base: u64, count: u32) {
        let bytes = run.bytes();
        let mut at = 0;
        while let Some(Ok(header)) = bytes.get(at..).filter(|rest| !rest.is_empty()).map(BatchHeader::parse) {
            if header.base_offset == base {
                let body_at = run.start + at + HEADER_BYTES;
                self.recent_bytes += u64::from(header.records_bytes);
                self.recent.push_back(Placed { first: base, count, header, map: Arc::clone(&run.map), body_at });
                return;
            }
            at += header.batch_bytes();
        }
    }

    /// The stored message; `backlog` is the reader's own place among the older ones.
    ///
    /// # Errors
    /// `offset_out_of_range`, `corrupt_batch`, `storage_failed`: it cannot be read.
    #[inline]
    pub fn read<'a>(&'a mut self, backlog: &'a mut Backlog, number: u64) -> Result<Stored<'a>> {
        match self.recent_batch(number) {
            Some(at) => {
                self.last = at;
                let batch = &self.recent[at];
                let start = batch.body_at + self.starts[number as usize % RECENT_MAX] as usize;
                let end = batch.body_at + batch.header.records_bytes as usize;
                let bytes = batch.map.slice(start, end.saturating_sub(start)).unwrap_or(&[]);
                stored(bytes, &batch.header, number)
            }
            None => backlog.read(&self.partition, number),
        }
    }

    /// Where the message's batch stands in the table.
    #[inline]
    fn recent_batch(&self, number: u64) -> Option<usize> {
        let holds = |at: usize| {
            self.recent.get(at).is_some_and(|batch| number.wrapping_sub(batch.first) < u64::from(batch.count))
        };
        if holds(self.last) {
            return Some(self.last);
        }
        if holds(self.last + 1) {
            return Some(self.last + 1);
        }
        let after = self.recent.partition_point(|batch| batch.first <= number);
        after.checked_sub(1).filter(|at| holds(*at))
    }
}

#[inline]
fn stored<'a>(bytes: &'a [u8], header: &BatchHeader, number: u64) -> Result<Stored<'a>> {
    let record = read_record(bytes).map_err(|_| unreadable(number))?;
    Ok(Stored { timestamp_ms: record.timestamp_ms(header), record })
}

fn unreadable(number: u64) -> CoreError {
    CoreError::new(ErrorCode::CORRUPT_BATCH, format!("message {number} of the journal cannot be read"))
        .at_offset(number)
}

/// A reader's place in the journal, a little way before what it reads next.
#[derive(Default)]
pub(super) struct Backlog {
    cursor: Option<Cursor>,
    run: Option<Run>,
    /// Where in the run the batch at hand begins, and its header.
    batch: Option<(usize, BatchHeader)>,
    /// The number of the next record of the batch, and where it begins.
    next: u64,
    record_at: usize,
}

impl Backlog {
    /// Lets go of the map that the last message lies in.
    pub fn release(&mut self) {
        *self = Self::default();
    }

    fn read(&mut self, partition: &Partition, number: u64) -> Result<Stored<'_>> {
        if !self.holds(number) {
            self.seek(partition, number)?;
        }
        let (Some(run), Some((start, header))) = (&self.run, self.batch) else { return Err(unreadable(number)) };
        let batch = run.bytes().get(start..start + header.batch_bytes()).unwrap_or(&[]);
        while self.next < number {
            let record = batch.get(self.record_at..).map(read_record);
            let Some(Ok(record)) = record else { return Err(unreadable(number)) };
            self.record_at += record.raw.len();
            self.next += 1;
        }
        stored(batch.get(self.record_at..).unwrap_or(&[]), &header, number)
    }

    /// Whether the message lies in the batch at hand and has not been passed.
    fn holds(&self, number: u64) -> bool {
        self.batch.is_some_and(|(_, header)| {
            number >= self.next && number < header.base_offset + u64::from(header.record_count)
        })
    }

    /// Goes to the message's batch: within the run where it is there, else by the log.
    fn seek(&mut self, partition: &Partition, number: u64) -> Result<()> {
        let forwards = self.run.as_ref().is_some_and(|run| number >= self.next && number < run.next_offset);
        if !forwards {
            let near = self.cursor.take().filter(|cursor| cursor.next_offset() == number);
            let mut cursor = match near {
                Some(cursor) => cursor,
                None => partition.cursor_at(number)?,
            };
            self.run = partition.read_run(&mut cursor, BACKLOG_RUN_BYTES, None)?;
            self.cursor = Some(cursor);
            self.batch = None;
        }
        let Some(run) = &self.run else { return Err(unreadable(number)) };
        let mut at = self.batch.map_or(0, |(start, _)| start);
        while let Some(Ok(header)) = run.bytes().get(at..).filter(|rest| !rest.is_empty()).map(BatchHeader::parse) {
            let span = u64::from(header.record_count);
            if (header.base_offset..header.base_offset + span).contains(&number) {
                if self.batch.is_none_or(|(start, _)| start != at) || number < self.next {
                    self.next = header.base_offset;
                    self.record_at = HEADER_BYTES;
                }
                self.batch = Some((at, header));
                return Ok(());
            }
            at += header.batch_bytes();
        }
        Err(unreadable(number))
    }
}
