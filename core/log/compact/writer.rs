//! Streams one rewritten segment into its file and builds its index on the way.

use std::fs::File;
use std::io::{self, IoSlice};

use super::super::files;
use super::super::index::{IndexEntry, SegmentSummary};
use crate::batch::BatchHeader;

/// What is gathered before a write; larger batches are written from where they lie.
const BUFFER_BYTES: usize = 256 << 10;

/// A rewritten segment in the making.
pub struct Writer {
    file: File,
    buffer: Vec<u8>,
    interval_bytes: u64,
    summary: SegmentSummary,
    entries: Vec<IndexEntry>,
}

/// A rewritten segment, synced, under its temporary name.
pub struct Output {
    pub file: File,
    pub summary: SegmentSummary,
    pub entries: Vec<IndexEntry>,
}

impl Writer {
    /// Starts a segment in the empty `file` whose first offset is `base`.
    pub fn new(file: File, base: u64, interval_bytes: u64) -> Self {
        let summary = SegmentSummary { base, next_offset: base, compacted: true, ..SegmentSummary::default() };
        Self { file, buffer: Vec::with_capacity(BUFFER_BYTES), interval_bytes, summary, entries: Vec::new() }
    }

    /// Bytes of batches so far.
    pub fn bytes(&self) -> u64 {
        self.summary.end
    }

    /// Appends one whole batch.
    ///
    /// # Errors
    /// What the file system says; the file is then worthless.
    pub fn add(&mut self, header: &BatchHeader, bytes: &[u8]) -> io::Result<()> {
        let position = self.summary.end;
        if self.entries.last().is_none_or(|entry| position - entry.position >= self.interval_bytes) {
            let max_timestamp_before = self.summary.max_timestamp;
            self.entries.push(IndexEntry { offset: header.base_offset, position, max_timestamp_before });
            self.summary.check_position = position;
            self.summary.check_crc = header.crc;
        }
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() > BUFFER_BYTES {
            files::write_all(&self.file, &mut [IoSlice::new(bytes)], position)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        self.summary.end += bytes.len() as u64;
        self.summary.max_timestamp = self.summary.max_timestamp.max(header.max_timestamp());
        self.summary.last_epoch = self.summary.last_epoch.max(header.epoch);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let position = self.summary.end - self.buffer.len() as u64;
        files::write_all(&self.file, &mut [IoSlice::new(&self.buffer)], position)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left and syncs.
    ///
    /// # Errors
    /// What the file system says; the file is then worthless.
    pub fn finish(mut self, next_offset: u64, created_ms: u64, appended_ms: u64) -> io::Result<Output> {
        self.flush()?;
        self.file.sync_data()?;
        let summary = SegmentSummary { next_offset, created_ms, appended_ms, ..self.summary };
        Ok(Output { file: self.file, summary, entries: self.entries })
    }
}
