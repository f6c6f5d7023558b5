//! What compaction reads: the bytes of a sealed segment, and the batches in them.

use crate::batch::{self, BatchFault, BatchHeader, HEADER_BYTES};
use crate::error::{CoreError, ErrorCode, Result};

/// The bytes of one sealed segment: whole batches in offset order.
pub trait Source {
    /// The offset that names the segment: none of its batches is below it.
    fn base_offset(&self) -> u64;

    /// How many bytes of batches it has.
    fn bytes(&self) -> usize;

    /// `length` bytes at `at`, which must lie inside. A source over a map makes
    /// them resident first, so that a bad disk block is an error and no signal.
    ///
    /// # Errors
    /// `storage_failed` when they cannot be read.
    fn view(&self, at: usize, length: usize) -> Result<&[u8]>;
}

/// One verified batch of a source.
#[derive(Clone, Copy)]
pub struct StoredBatch<'a> {
    pub header: BatchHeader,
    /// All of it, header and records.
    pub bytes: &'a [u8],
    /// How many offsets it covers.
    pub span: u32,
}

impl<'a> StoredBatch<'a> {
    pub fn records(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The offset after its last one.
    pub fn end_offset(&self) -> u64 {
        self.header.base_offset + u64::from(self.span)
    }
}

/// Walks a source's batches and verifies each.
pub struct Batches<'a> {
    source: &'a dyn Source,
    at: usize,
    next_offset: u64,
}

impl<'a> Batches<'a> {
    pub fn of(source: &'a dyn Source) -> Self {
        Self { source, at: 0, next_offset: source.base_offset() }
    }

    /// The offset after the last batch that was read, the base before the first.
    pub fn next_offset(&self) -> u64 {
        self.next_offset
    }

    fn read(&mut self) -> Result<StoredBatch<'a>> {
        let left = self.source.bytes() - self.at;
        let head = self.source.view(self.at, left.min(HEADER_BYTES))?;
        let length = BatchHeader::parse(head).map_err(|fault| self.corrupt(fault))?.batch_bytes();
        if length > left {
            return Err(self.corrupt(BatchFault::Truncated));
        }
        let bytes = self.source.view(self.at, length)?;
        let (header, _) = batch::verify(bytes).map_err(|fault| self.corrupt(fault))?;
        let span = batch::span_of(&header, &bytes[HEADER_BYTES..]).map_err(|fault| self.corrupt(fault))?;
        if header.base_offset < self.next_offset {
            let message = format!("offset {} follows offset {}", header.base_offset, self.next_offset);
            return Err(CoreError::new(ErrorCode::CORRUPT_BATCH, message).at_offset(self.next_offset));
        }
        self.at += length;
        let found = StoredBatch { header, bytes, span };
        self.next_offset = found.end_offset();
        Ok(found)
    }

    fn corrupt(&self, fault: BatchFault) -> CoreError {
        let base = self.source.base_offset();
        let message = format!("segment {base}, byte {}: {}", self.at, CoreError::from(fault).message);
        CoreError::new(ErrorCode::CORRUPT_BATCH, message).at_offset(self.next_offset)
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<StoredBatch<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.source.bytes() {
            return None;
        }
        let found = self.read();
        if found.is_err() {
            self.at = self.source.bytes();
        }
        Some(found)
    }
}
