//! Reading batches out of a segment file with `pread`, as recovery does: a file
//! that is shorter than expected is an end here, and a SIGBUS through a map.

use std::fs::File;
use std::io;

use super::{files, recycle};
use crate::batch::{BatchHeader, HEADER_BYTES, MARKER, span_of, verify};
use crate::mmap::PAGE_BYTES;

const BUFFER_BYTES: usize = 1 << 20;

/// Whether what lies behind `end` is what the file held before it became the file of the
/// segment at `base` (`recycle.rs`): the first whole batch there has a lower offset, or
/// there is no room for one. A file that is no number of whole pages was never written
/// over: something cut it.
///
/// # Errors
/// Only when the file cannot be read.
pub fn is_of_earlier(file: &File, end: u64, file_bytes: u64, base: u64) -> io::Result<bool> {
    if file_bytes - end < recycle::mark().len() as u64 {
        return Ok(file_bytes.is_multiple_of(PAGE_BYTES as u64));
    }
    let start = Scanned { position: end, next_offset: 0, last_epoch: 0 };
    let mut scan = Scan::new(file, file_bytes, Chain::Rising, start);
    let mut found = scan.next()?;
    if found.is_none() && scan.resync()? {
        found = scan.next()?;
    }
    Ok(found.is_some_and(|found| found.header.base_offset < base))
}

/// What must hold between a batch and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// The offset is exactly the next one.
    Exact,
    /// The offset is not lower: a compacted segment.
    Rising,
}

/// One batch that passed every check.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub header: BatchHeader,
    pub span: u32,
    pub position: u64,
}

/// How far a scan has come.
#[derive(Clone, Copy, Debug)]
pub struct Scanned {
    pub position: u64,
    pub next_offset: u64,
    pub last_epoch: u32,
}

/// Walks valid batches until the first position that holds none.
pub struct Scan<'f> {
    file: &'f File,
    file_bytes: u64,
    chain: Chain,
    pub at: Scanned,
    buffer: Vec<u8>,
    /// Position of the buffer's first byte.
    buffer_at: u64,
}

impl<'f> Scan<'f> {
    pub fn new(file: &'f File, file_bytes: u64, chain: Chain, start: Scanned) -> Self {
        Self { file, file_bytes, chain, at: start, buffer: Vec::new(), buffer_at: 0 }
    }

    /// The batch at the current position, if it is whole, has a right CRC, an
    /// offset that continues the log and an epoch that does not fall. Moves
    /// behind it.
    ///
    /// # Errors
    /// Only when the file cannot be read.
    pub fn next(&mut self) -> io::Result<Option<Found>> {
        let position = self.at.position;
        let head = self.view(position, HEADER_BYTES)?;
        let Ok(header) = BatchHeader::parse(head) else { return Ok(None) };
        let bytes = header.batch_bytes();
        if position + bytes as u64 > self.file_bytes || !self.continues(&header) {
            return Ok(None);
        }
        let batch = self.view(position, bytes)?;
        if verify(batch).is_err() {
            return Ok(None);
        }
        let Ok(span) = span_of(&header, &batch[HEADER_BYTES..]) else { return Ok(None) };
        if span == 0 {
            return Ok(None);
        }
        self.at = Scanned {
            position: position + bytes as u64,
            next_offset: header.base_offset + u64::from(span),
            last_epoch: header.epoch,
        };
        Ok(Some(Found { header, span, position }))
    }

    /// Moves to the next good batch behind damage. False, and no move, when there
    /// is none. Only for segments that were synced as a whole: behind the log's
    /// end a good batch is a stale one.
    ///
    /// # Errors
    /// Only when the file cannot be read.
    pub fn resync(&mut self) -> io::Result<bool> {
        let start = self.at;
        if !files::has_data(self.file, start.position, self.file_bytes)? {
            return Ok(false);
        }
        let mut position = start.position + 1;
        while position < self.file_bytes {
            self.view(position, HEADER_BYTES)?;
            let ahead = &self.buffer[(position - self.buffer_at) as usize..];
            let Some(skip) = ahead.iter().position(|byte| *byte == MARKER) else {
                position += ahead.len().max(1) as u64;
                continue;
            };
            let candidate = Scanned { position: position + skip as u64, ..start };
            self.at = candidate;
            if self.next()?.is_some() {
                self.at = candidate;
                return Ok(true);
            }
            position = candidate.position + 1;
        }
        self.at = start;
        Ok(false)
    }

    fn continues(&self, header: &BatchHeader) -> bool {
        let offset = match self.chain {
            Chain::Exact => header.base_offset == self.at.next_offset,
            Chain::Rising => header.base_offset >= self.at.next_offset,
        };
        offset && header.epoch >= self.at.last_epoch
    }

    /// Up to `length` bytes from `position` on, fewer at the end of the file.
    fn view(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
        let buffered = self.buffer_at..self.buffer_at + self.buffer.len() as u64;
        if position < buffered.start || position + length as u64 > buffered.end {
            let left = self.file_bytes.saturating_sub(position);
            let want = (length.max(BUFFER_BYTES) as u64).min(left) as usize;
            self.buffer.resize(want, 0);
            let got = files::read_up_to(self.file, &mut self.buffer, position)?;
            self.buffer.truncate(got);
            self.buffer_at = position;
        }
        let start = (position - self.buffer_at) as usize;
        let end = (start + length).min(self.buffer.len());
        Ok(&self.buffer[start.min(end)..end])
    }
}
