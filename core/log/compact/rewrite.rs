//! What survives: the rules of compaction over batches, with no files in them.
//!
//! A round first maps the dirty part of the log (key -> offset of its last
//! record), then rewrites everything from the start of the log to the end of
//! what was mapped. A record stays unless a later record of its key was mapped,
//! or it is a tombstone that is old enough.

use std::borrow::Cow;
use std::collections::HashMap;

use super::keys::KeyMap;
use super::source::{Batches, Source, StoredBatch};
use crate::batch::{self, BatchHeader, Record, compression};
use crate::error::Result;

/// What a compressed batch may unfold to; one that unfolds to more is kept whole.
const PLAIN_BYTES_MAX: usize = 64 << 20;

/// The settings of one round.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// A tombstone stays readable this long after its record's timestamp.
    pub tombstone_retention_ms: u64,
    pub now_ms: u64,
    /// Keys per round; with more, the round covers a prefix of the dirty part.
    pub compaction_keys_max: usize,
    /// Bytes of a rewritten segment.
    pub segment_bytes: u64,
}

/// The keys of the dirty part.
pub struct Mapped {
    pub keys: KeyMap,
    /// The log is compacted up to here once the rewrite is in place.
    pub end_offset: u64,
}

/// Gathers the keys of the dirty part, segment by segment in offset order.
pub struct Mapper {
    mapped: Mapped,
    from_offset: u64,
    full: bool,
}

impl Mapper {
    /// For the records in `[from_offset, until_offset)`.
    pub fn new(from_offset: u64, until_offset: u64, keys_max: usize) -> Self {
        let mapped = Mapped { keys: KeyMap::new(keys_max), end_offset: until_offset };
        Self { mapped, from_offset, full: false }
    }

    /// Reads one segment. Returns false when the keys do not fit any more: the
    /// round then ends before the first record that found no room.
    ///
    /// # Errors
    /// `corrupt_batch`, or what the source says.
    pub fn add(&mut self, source: &dyn Source) -> Result<bool> {
        for batch in Batches::of(source) {
            let batch = batch?;
            let outside = batch.end_offset() <= self.from_offset || batch.header.base_offset >= self.mapped.end_offset;
            if self.full || outside || batch.header.attributes.is_control() {
                continue;
            }
            if let Some(end_offset) = self.add_batch(&batch) {
                self.mapped.end_offset = end_offset;
                self.full = true;
                return Ok(false);
            }
        }
        Ok(!self.full)
    }

    /// Returns the offset of the first record whose key did not fit.
    fn add_batch(&mut self, batch: &StoredBatch<'_>) -> Option<u64> {
        // An unreadable batch is kept whole by the rewrite, so its keys replace none.
        let plain = plain_of(batch)?;
        let records = batch::records_of(&plain, batch.header.attributes).ok()?;
        let range = self.from_offset..self.mapped.end_offset;
        for record in records.flatten() {
            let offset = batch.header.base_offset + u64::from(record.position);
            if let Some(key) = record.key
                && range.contains(&offset)
                && !self.mapped.keys.put(key, offset)
            {
                return Some(offset);
            }
        }
        None
    }

    pub fn finish(self) -> Mapped {
        self.mapped
    }
}

/// The records of a batch in which every record can be read, decompressed.
fn plain_of<'a>(batch: &StoredBatch<'a>) -> Option<Cow<'a, [u8]>> {
    let plain = compression::plain_records(&batch.header, batch.records(), PLAIN_BYTES_MAX).ok()?;
    let stated = batch.header.record_count;
    batch::walk(&plain, batch.header.attributes, stated, usize::MAX).ok()?;
    Some(plain)
}

/// What the rewrite did; all counts are of what it read or wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub records_in: u64,
    pub records_out: u64,
    /// Batches that were kept because their records cannot be read.
    pub opaque_batches: u64,
    /// Tombstones kept only for their age, and when the youngest may go. None
    /// when none was kept.
    pub tombstones_until_ms: Option<u64>,
}

/// What becomes of a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// Stored as it was.
    Whole(&'a [u8]),
    /// Fewer records, with the offsets they had.
    Sparse(BatchHeader, Vec<u8>),
    Gone,
}

/// Where rewritten batches go: header, the offset behind the batch, all its bytes.
pub type BatchSink<'s> = dyn FnMut(&BatchHeader, u64, &[u8]) -> Result<()> + 's;

/// Rewrites batches one by one. One rewriter serves a whole round, from the
/// start of the log on.
pub struct Rewriter<'m> {
    mapped: &'m Mapped,
    /// Producer id -> base offset of its latest batch, anywhere in the partition.
    producers: &'m HashMap<u64, u64>,
    policy: Policy,
    tally: Tally,
}

impl<'m> Rewriter<'m> {
    /// `producers` says where each producer's latest batch stands: it keeps its
    /// header even without records, so that the sequences can be found again
    /// when the partition's state file is lost.
    pub fn new(mapped: &'m Mapped, producers: &'m HashMap<u64, u64>, policy: Policy) -> Self {
        Self { mapped, producers, policy, tally: Tally::default() }
    }

    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Decides about one batch. With `last`, one that loses everything stays as
    /// a sparse batch without records, so that the segment still ends at the
    /// offset where the next one begins.
    pub fn batch<'a>(&mut self, batch: &StoredBatch<'a>, last: bool) -> Fate<'a> {
        let fate = self.fate(batch, last || self.is_latest_of_producer(&batch.header));
        let (bytes, records) = match &fate {
            Fate::Whole(bytes) => (bytes.len(), batch.header.record_count),
            Fate::Sparse(header, bytes) => (bytes.len(), header.record_count),
            Fate::Gone => (0, 0),
        };
        self.tally.bytes_in += batch.bytes.len() as u64;
        self.tally.records_in += u64::from(batch.header.record_count);
        self.tally.bytes_out += bytes as u64;
        self.tally.records_out += u64::from(records);
        fate
    }

    fn is_latest_of_producer(&self, header: &BatchHeader) -> bool {
        header.has_producer() && self.producers.get(&header.producer_id) == Some(&header.base_offset)
    }

    fn fate<'a>(&mut self, batch: &StoredBatch<'a>, must_stay: bool) -> Fate<'a> {
        if batch.header.attributes.is_control() || batch.header.base_offset >= self.mapped.end_offset {
            return Fate::Whole(batch.bytes);
        }
        let Some(plain) = plain_of(batch) else {
            self.tally.opaque_batches += 1;
            return Fate::Whole(batch.bytes);
        };
        let Ok(records) = batch::records_of(&plain, batch.header.attributes) else {
            return Fate::Whole(batch.bytes);
        };
        let kept: Vec<(u32, &[u8])> = records
            .flatten()
            .filter(|record| self.keeps(batch, record))
            .map(|record| (record.position, record.raw))
            .collect();
        if kept.is_empty() && !must_stay {
            // Also a mark without records that an earlier round left and that is
            // no longer the last of its segment or producer.
            return Fate::Gone;
        }
        if kept.len() == batch.header.record_count as usize {
            return Fate::Whole(batch.bytes);
        }
        let bytes = batch::finish_sparse(batch.header, batch.span, &kept);
        match BatchHeader::parse(&bytes) {
            Ok(header) => Fate::Sparse(header, bytes),
            Err(_) => Fate::Whole(batch.bytes),
        }
    }

    fn keeps(&mut self, batch: &StoredBatch<'_>, record: &Record<'_>) -> bool {
        let offset = batch.header.base_offset + u64::from(record.position);
        let Some(key) = record.key else {
            return true;
        };
        if self.mapped.keys.get(key).is_some_and(|last| last > offset) {
            return false;
        }
        if record.value.is_some() || offset >= self.mapped.end_offset || self.tally.opaque_batches > 0 {
            // Behind an unreadable batch every tombstone stays: that batch may
            // hold an older value of the key, which would be alive again.
            return true;
        }
        let header = &batch.header;
        let at_ms =
            if header.attributes.is_append_time() { header.base_timestamp } else { record.timestamp_ms(header) };
        let until_ms = at_ms.saturating_add(self.policy.tombstone_retention_ms);
        if until_ms <= self.policy.now_ms {
            return false;
        }
        self.tally.tombstones_until_ms = self.tally.tombstones_until_ms.max(Some(until_ms));
        true
    }
}

impl Rewriter<'_> {
    /// Rewrites a run of segments, in offset order, into `out`.
    ///
    /// # Errors
    /// `corrupt_batch`, what a source says, what `out` says.
    pub fn run(&mut self, sources: &[&dyn Source], out: &mut BatchSink<'_>) -> Result<()> {
        let mut batches = sources.iter().flat_map(|source| Batches::of(*source)).peekable();
        while let Some(batch) = batches.next() {
            let batch = batch?;
            match self.batch(&batch, batches.peek().is_none()) {
                Fate::Whole(bytes) => out(&batch.header, batch.end_offset(), bytes)?,
                Fate::Sparse(header, bytes) => out(&header, batch.end_offset(), &bytes)?,
                Fate::Gone => {}
            }
        }
        Ok(())
    }

    /// Whether rewriting `source` alone would leave it as it is: it is then read
    /// and not written. Stops at the first loss, and counts only without one.
    ///
    /// # Errors
    /// `corrupt_batch`, or what the source says.
    pub fn leaves(&mut self, source: &dyn Source) -> Result<bool> {
        let before = self.tally;
        let mut batches = Batches::of(source).peekable();
        while let Some(batch) = batches.next() {
            let batch = batch?;
            let last = batches.peek().is_none();
            if !matches!(self.batch(&batch, last), Fate::Whole(_)) {
                self.tally = before;
                return Ok(false);
            }
        }
        Ok(true)
    }
}
