//! Appending: decides for each batch whether it is new, a duplicate or refused,
//! and writes runs of new ones with one `pwritev`.

use std::io::IoSlice;
use std::sync::Arc;

use parking_lot::MutexGuard;
use smallvec::SmallVec;

use super::config::{LogConfig, Storage};
use super::keyindex::KeyIndex;
use super::partition::{Origin, Partition};
use super::producers::{Producers, Undo, Verdict};
use super::segment::Segment;
use super::walk::IndexBuilder;
use crate::batch::{BatchHeader, BodyCrc, HEADER_BYTES, span_of};
use crate::error::{CoreError, ErrorCode, Result};

/// The kernel takes at most 1024 parts a call.
const PARTS_MAX: usize = 1024;
/// A memory log is cut into at least this many segments, so that its bound is
/// kept in steps and not by dropping everything.
const MEMORY_SEGMENTS: u64 = 4;
const MEMORY_SEGMENT_BYTES_MIN: u64 = 64 << 10;

/// One batch to append, as its producer sent it and verified.
pub struct BatchIn<'a> {
    pub header: BatchHeader,
    /// Bytes 64 to the end, in parts.
    pub body: &'a [&'a [u8]],
    /// The CRC of these bytes.
    pub body_crc: BodyCrc,
    /// Refuse with `offset_conflict` unless the batch would get this offset.
    pub expect_next: Option<u64>,
    /// Refuse with `key_conflict` unless the key's last record stands there.
    pub expect_key: Option<(&'a [u8], Option<u64>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    Appended {
        base_offset: u64,
    },
    /// Stored before; `None` when it is too long ago to know where.
    Duplicate {
        base_offset: Option<u64>,
    },
    Rejected(CoreError),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendSummary {
    /// The high watermark moved.
    pub committed: bool,
}

/// A batch that was accepted but not written yet.
struct Staged {
    /// Its place among the batches of this call.
    at: usize,
    header: BatchHeader,
    head: [u8; HEADER_BYTES],
}

pub struct Appender {
    config: Arc<LogConfig>,
    pub(super) active: Option<Arc<Segment>>,
    /// Log end, with what is staged.
    next_offset: u64,
    /// End of the active segment, with what is staged.
    position: u64,
    pub(super) last_epoch: u32,
    pub(super) producers: Producers,
    keys: Option<KeyIndex>,
    index: IndexBuilder,
    /// Position and CRC of the last batch of the active segment.
    pub(super) last_batch: (u64, u32),
    bytes_since_checkpoint: u64,
    staged: Vec<Staged>,
    staged_parts: usize,
    undo: Vec<Undo>,
    scratch: Vec<u8>,
}

impl Appender {
    pub(super) fn new(config: Arc<LogConfig>, origin: Origin) -> Self {
        let active = origin.segments.last().filter(|_| origin.active).cloned();
        Self {
            config,
            position: active.as_ref().map_or(0, |segment| segment.written()),
            next_offset: origin.next_offset,
            last_epoch: origin.last_epoch,
            producers: origin.producers,
            keys: None,
            index: IndexBuilder::new(0),
            last_batch: (0, 0),
            bytes_since_checkpoint: 0,
            staged: Vec::new(),
            staged_parts: 0,
            undo: Vec::new(),
            scratch: Vec::new(),
            active,
        }
    }

    /// Goes on with the index of a recovered active segment.
    pub(super) fn resume(&mut self, index: IndexBuilder, last_batch: (u64, u32)) {
        self.index = index;
        self.last_batch = last_batch;
    }

    pub(super) fn configure(&mut self, config: Arc<LogConfig>, partition: &Partition) {
        if let Some(active) = &self.active {
            // Only a hint: where it cannot be widened the segment rolls earlier.
            let _ = active.widen(segment_bytes(&config, partition));
        }
        self.config = config;
    }

    pub(super) fn forget_active(&mut self) {
        self.active = None;
        self.keys = None;
    }
}

/// The lock of a partition's appender.
pub struct AppenderGuard<'p> {
    partition: &'p Partition,
    inner: MutexGuard<'p, Appender>,
}

impl<'p> AppenderGuard<'p> {
    pub(super) fn new(partition: &'p Partition, inner: MutexGuard<'p, Appender>) -> Self {
        Self { partition, inner }
    }

    /// Appends batches in order. Consecutive new ones are written by one
    /// `pwritev`; `outcomes` is cleared and then holds one outcome a batch.
    ///
    /// A write that fails rejects its run and everything behind it, and what it
    /// may have left in the file is zeroed before anything else is written.
    pub fn append(&mut self, batches: &[BatchIn<'_>], outcomes: &mut Vec<AppendOutcome>) -> AppendSummary {
        outcomes.clear();
        let mut summary = AppendSummary::default();
        if let Some(error) = self.partition.refusal() {
            outcomes.resize(batches.len(), AppendOutcome::Rejected(error));
            return summary;
        }
        let mut call = Call {
            partition: self.partition,
            appender: &mut self.inner,
            batches,
            outcomes,
            now_ms: self.partition.shared.now_ms(),
            committed: false,
        };
        if let Err(error) = call.run() {
            call.reject_rest(&error);
            if error.code == ErrorCode::DISK_FULL {
                self.partition.shared.note_disk_full();
            }
        }
        summary.committed = call.committed;
        summary
    }

    pub fn next_offset(&self) -> u64 {
        self.inner.next_offset
    }

    /// Whether a batch would be stored now: its producer has none, or it is what comes
    /// next of its producer.
    pub fn is_next(&self, header: &BatchHeader) -> bool {
        !header.has_producer() || matches!(self.inner.producers.check(header, header.record_count), Ok(Verdict::Next))
    }

    /// The sequence that an idempotent producer's next record has to have.
    pub fn expected_sequence(&self, producer_id: u64, epoch: u16) -> u32 {
        self.inner.producers.expected(producer_id, epoch)
    }

    /// Closes the active segment and opens an empty one at the log's end.
    pub(super) fn roll(&mut self) -> Result<()> {
        self.inner.roll(self.partition, 0)
    }

    pub(super) fn inner(&mut self) -> &mut Appender {
        &mut self.inner
    }
}

/// One call of `append`.
struct Call<'c, 'b> {
    partition: &'c Partition,
    appender: &'c mut Appender,
    batches: &'b [BatchIn<'b>],
    outcomes: &'c mut Vec<AppendOutcome>,
    now_ms: u64,
    committed: bool,
}

impl Call<'_, '_> {
    fn run(&mut self) -> Result<()> {
        for at in 0..self.batches.len() {
            let outcome = match self.admit(at) {
                Ok(outcome) => outcome,
                Err(Refusal::Batch(error)) => AppendOutcome::Rejected(error),
                Err(Refusal::Write(error)) => return Err(error),
            };
            self.outcomes.push(outcome);
        }
        self.flush()
    }

    /// Decides about one batch and stages it if it is new.
    fn admit(&mut self, at: usize) -> std::result::Result<AppendOutcome, Refusal> {
        let batch = &self.batches[at];
        let span = span_of(&batch.header, batch.body.first().copied().unwrap_or(&[]))
            .map_err(|fault| Refusal::Batch(fault.into()))?;
        if span == 0 {
            return Err(Refusal::Batch(CoreError::new(ErrorCode::BAD_BATCH, "the batch holds no record")));
        }
        if batch.header.has_producer() {
            let verdict = self.appender.producers.check(&batch.header, span).map_err(Refusal::Batch)?;
            if let Verdict::Duplicate(base_offset) = verdict {
                return Ok(AppendOutcome::Duplicate { base_offset });
            }
        }
        self.check_conditions(batch)?;
        let bytes = batch.header.batch_bytes() as u64;
        if self.appender.staged_parts + 1 + batch.body.len() > PARTS_MAX {
            self.flush().map_err(Refusal::Write)?;
        }
        if self.appender.must_roll(self.partition, bytes, self.now_ms) {
            self.flush().map_err(Refusal::Write)?;
            self.appender.roll(self.partition, bytes).map_err(Refusal::Write)?;
        }
        Ok(AppendOutcome::Appended { base_offset: self.stage(at, span) })
    }

    fn check_conditions(&mut self, batch: &BatchIn<'_>) -> std::result::Result<(), Refusal> {
        let next_offset = self.appender.next_offset;
        if let Some(expected) = batch.expect_next.filter(|expected| *expected != next_offset) {
            let message = format!("the next offset is {next_offset}, not {expected}");
            let error = CoreError::new(ErrorCode::OFFSET_CONFLICT, message).at_offset(next_offset);
            return Err(Refusal::Batch(error));
        }
        if let Some((key, expected)) = batch.expect_key {
            // What is staged has to be in the log before its keys are known.
            self.flush().map_err(Refusal::Write)?;
            let partition = self.partition;
            let keys = self.appender.keys(partition).map_err(Refusal::Batch)?;
            keys.check(key, expected, partition.start_offset()).map_err(Refusal::Batch)?;
        }
        Ok(())
    }

    /// Gives the batch its offset, epoch and CRC.
    fn stage(&mut self, at: usize, span: u32) -> u64 {
        let batch = &self.batches[at];
        let appender = &mut *self.appender;
        let mut header = batch.header;
        header.base_offset = appender.next_offset;
        header.epoch = self.partition.shared.epoch.load(std::sync::atomic::Ordering::Relaxed);
        if appender.config.timestamp_append {
            // Readers give every record of such a batch the base timestamp; the
            // records themselves stay as they came.
            header.attributes = header.attributes.with_append_time();
            header.base_timestamp = self.now_ms;
            header.max_timestamp_delta = 0;
        }
        let head = header.seal(&batch.body_crc);
        if header.has_producer() {
            appender.undo.push(appender.producers.note(&header, span, header.base_offset));
        }
        appender.next_offset += u64::from(span);
        appender.position += header.batch_bytes() as u64;
        appender.staged_parts += 1 + batch.body.len();
        appender.staged.push(Staged { at, header, head });
        header.base_offset
    }

    /// Writes what is staged and publishes it.
    fn flush(&mut self) -> Result<()> {
        if self.appender.staged.is_empty() {
            return Ok(());
        }
        let staged = std::mem::take(&mut self.appender.staged);
        let result = self.write(&staged);
        match &result {
            Ok(()) => self.publish(&staged),
            Err(_) => self.take_back(&staged),
        }
        self.appender.staged = staged;
        self.appender.staged.clear();
        self.appender.staged_parts = 0;
        self.appender.undo.clear();
        result
    }

    fn write(&mut self, staged: &[Staged]) -> Result<()> {
        let Some(segment) = self.appender.active.clone() else {
            return Err(CoreError::new(ErrorCode::INTERNAL, "a batch was staged without a segment"));
        };
        let what = || format!("append to {}", self.partition.name());
        let file = segment.file().map_err(|error| CoreError::io(&what(), &error))?;
        let start = segment.written();
        segment.allocate(&file, self.appender.position).map_err(|error| CoreError::io(&what(), &error))?;
        let mut parts: SmallVec<[IoSlice<'_>; 32]> = SmallVec::with_capacity(self.appender.staged_parts);
        for batch in staged {
            parts.push(IoSlice::new(&batch.head));
            parts.extend(self.batches[batch.at].body.iter().map(|part| IoSlice::new(part)));
        }
        let written = self.partition.shared.write_file(&file, &mut parts, start);
        written.map_err(|error| {
            self.partition.erase(&segment, &file, start, self.appender.position);
            CoreError::io(&what(), &error)
        })
    }

    fn publish(&mut self, staged: &[Staged]) {
        let appender = &mut *self.appender;
        let Some(segment) = appender.active.clone() else { return };
        let start = segment.written();
        let (mut position, mut records, mut max_timestamp) = (start, 0, 0);
        for batch in staged {
            appender.index.note(batch.header.base_offset, position, batch.header.max_timestamp());
            appender.last_batch = (position, batch.header.crc);
            position += batch.header.batch_bytes() as u64;
            records += u64::from(batch.header.record_count);
            max_timestamp = max_timestamp.max(batch.header.max_timestamp());
            appender.last_epoch = batch.header.epoch;
        }
        if !appender.index.entries.is_empty() {
            segment.push_index(&appender.index.entries);
            appender.index.entries.clear();
        }
        let bytes = position - start;
        if start == 0 {
            segment.restart_age(self.now_ms);
        }
        segment.publish(position, appender.next_offset, max_timestamp, appender.last_epoch, self.now_ms);
        let metrics = &self.partition.metrics;
        metrics.records_in.fetch_add(records, std::sync::atomic::Ordering::Relaxed);
        metrics.bytes_in.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        self.committed |= self.partition.store_next(appender.next_offset, appender.config.durability);
        self.partition.note_dirty(bytes);
        self.note_keys(staged);
        self.note_checkpoint(bytes);
    }

    fn note_keys(&mut self, staged: &[Staged]) {
        let appender = &mut *self.appender;
        let Some(keys) = &mut appender.keys else { return };
        for batch in staged {
            let noted = match self.batches[batch.at].body {
                [records] => keys.note(&batch.header, records),
                parts => {
                    appender.scratch.clear();
                    for part in parts {
                        appender.scratch.extend_from_slice(part);
                    }
                    keys.note(&batch.header, &appender.scratch)
                }
            };
            if noted.is_err() {
                // Too many keys: the next conditional publish builds the index
                // again and is told so.
                appender.keys = None;
                return;
            }
        }
    }

    fn note_checkpoint(&mut self, bytes: u64) {
        let appender = &mut *self.appender;
        appender.bytes_since_checkpoint += bytes;
        if appender.bytes_since_checkpoint >= self.partition.shared.options.checkpoint_bytes {
            appender.bytes_since_checkpoint = 0;
            self.partition.request_upkeep();
        }
    }

    /// Forgets what was staged after its write failed.
    fn take_back(&mut self, staged: &[Staged]) {
        let appender = &mut *self.appender;
        while let Some(undo) = appender.undo.pop() {
            appender.producers.undo(undo);
        }
        if let Some(first) = staged.first() {
            appender.next_offset = first.header.base_offset;
        }
        appender.position = appender.active.as_ref().map_or(0, |segment| segment.written());
    }

    /// After a failed write: every outcome that rested on it, and every batch
    /// behind it, is rejected.
    fn reject_rest(&mut self, error: &CoreError) {
        let log_end = self.appender.next_offset;
        for outcome in self.outcomes.iter_mut() {
            let stands = match outcome {
                AppendOutcome::Appended { base_offset }
                | AppendOutcome::Duplicate { base_offset: Some(base_offset) } => *base_offset < log_end,
                // It may be older than the window only because of what is taken back.
                AppendOutcome::Duplicate { base_offset: None } => false,
                AppendOutcome::Rejected(_) => true,
            };
            if !stands {
                *outcome = AppendOutcome::Rejected(error.clone());
            }
        }
        self.outcomes.resize(self.batches.len(), AppendOutcome::Rejected(error.clone()));
    }
}

enum Refusal {
    /// Only this batch is refused.
    Batch(CoreError),
    /// The log cannot be written now.
    Write(CoreError),
}

impl Appender {
    fn must_roll(&self, partition: &Partition, bytes: u64, now_ms: u64) -> bool {
        let Some(active) = &self.active else { return true };
        if self.position == 0 {
            // An empty segment takes any batch it has room for.
            return bytes > active.capacity();
        }
        let aged = self.config.segment_ms > 0
            && active.written() > 0
            && now_ms.saturating_sub(active.created_ms()) > self.config.segment_ms.unsigned_abs();
        // The settings may ask for less by now than when the segment was made.
        let limit = active.capacity().min(segment_bytes(&self.config, partition));
        aged || self.position + bytes > limit
    }

    /// Seals the active segment, if there is one, and opens a new one with room
    /// for a batch of `bytes`. Everything staged is written before.
    fn roll(&mut self, partition: &Partition, bytes: u64) -> Result<()> {
        let what = |error| CoreError::io(&format!("open a segment of {}", partition.name()), &error);
        let capacity = segment_bytes(&self.config, partition).max(bytes);
        if let Some(empty) = self.active.as_ref().filter(|active| active.written() == 0) {
            return empty.widen(capacity).map_err(what);
        }
        let base = self.next_offset;
        let fresh = partition.new_segment(base, capacity).map_err(what)?;
        partition.directory_dirty.store(true, std::sync::atomic::Ordering::Release);
        let sealed = self.active.replace(Arc::clone(&fresh));
        partition.change_segments(|segments| segments.push(fresh));
        self.position = 0;
        self.last_batch = (0, 0);
        self.index = IndexBuilder::new(partition.shared.options.index_interval_bytes);
        if let Some(sealed) = sealed {
            sealed.mark_sealed();
            partition.request_upkeep();
        }
        if self.config.storage == Storage::Memory {
            partition.drop_beyond(self.config.memory_bytes_max.saturating_sub(capacity));
        }
        Ok(())
    }

    /// The key index, built by reading the partition when there is none.
    fn keys(&mut self, partition: &Partition) -> Result<&KeyIndex> {
        if self.keys.is_none() {
            self.keys = Some(KeyIndex::build(partition, self.next_offset)?);
        }
        self.keys.as_ref().ok_or_else(|| CoreError::new(ErrorCode::INTERNAL, "the key index is missing"))
    }
}

fn segment_bytes(config: &LogConfig, partition: &Partition) -> u64 {
    if partition.is_memory() && config.storage == Storage::Memory {
        let share = (config.memory_bytes_max / MEMORY_SEGMENTS).max(MEMORY_SEGMENT_BYTES_MIN);
        return config.segment_bytes.min(share);
    }
    config.segment_bytes
}
