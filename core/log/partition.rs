//! One partition: its segments, offsets and appender.

use std::any::Any;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Mutex, RwLock};

use super::appender::{Appender, AppenderGuard};
use super::compact::Cleaner;
use super::config::{Durability, LogConfig};
use super::files;
use super::producers::Producers;
use super::recycle::Spares;
use super::segment::Segment;
use super::shared::Shared;
use super::stats::{PartitionInfo, PartitionMetrics};
use crate::error::{CoreError, ErrorCode, Result};

/// The segments of a partition in order, as readers hold them.
pub type Segments = Arc<Vec<Arc<Segment>>>;

pub struct Partition {
    pub log_id: u64,
    pub index: u32,
    pub metrics: PartitionMetrics,
    /// Opaque tokens of the engine: who wants to hear of the watermark.
    pub watchers: Mutex<Vec<u64>>,
    /// The engine's own state of this partition.
    pub slot: OnceLock<Box<dyn Any + Send + Sync>>,
    pub(super) shared: Arc<Shared>,
    pub(super) directory: Option<PathBuf>,
    pub(super) appender: Mutex<Appender>,
    /// Held while one thread syncs; never while appending.
    pub(super) sync_lock: Mutex<()>,
    /// Held while segments are finished, expired or replaced.
    pub(super) upkeep_lock: Mutex<()>,
    /// Held while the partition is compacted.
    pub(super) cleaner: Mutex<Cleaner>,
    config: RwLock<Arc<LogConfig>>,
    segments: RwLock<Segments>,
    start: AtomicU64,
    next: AtomicU64,
    pub(super) watermark: AtomicU64,
    pub(super) synced: AtomicU64,
    /// What lies below is needed by nobody (`release_below`).
    pub(super) released: AtomicU64,
    /// The directory itself has entries that are not synced yet.
    pub(super) directory_dirty: AtomicBool,
    pub(super) parents_dirty: AtomicBool,
    pub(super) checkpoint_due: AtomicBool,
    /// Base of the active segment when the state file was last written.
    pub(super) noted_base: AtomicU64,
    /// Behind every other lock of the partition.
    pub(super) spares: Mutex<Spares>,
    dirty_listed: AtomicBool,
    closed: AtomicBool,
    deleted: AtomicBool,
    failure: OnceLock<CoreError>,
    this: Weak<Partition>,
}

/// What a partition starts from: recovery's findings, or nothing.
pub struct Origin {
    pub segments: Vec<Arc<Segment>>,
    /// The last of `segments` may be appended to.
    pub active: bool,
    pub next_offset: u64,
    pub synced_offset: u64,
    pub last_epoch: u32,
    /// Base of the segment that the state file points into.
    pub noted_base: u64,
    pub producers: Producers,
}

impl Partition {
    pub(super) fn new(
        shared: &Arc<Shared>,
        directory: Option<PathBuf>,
        log_id: u64,
        index: u32,
        config: Arc<LogConfig>,
        origin: Origin,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            log_id,
            index,
            metrics: PartitionMetrics::default(),
            watchers: Mutex::new(Vec::new()),
            slot: OnceLock::new(),
            shared: Arc::clone(shared),
            directory,
            sync_lock: Mutex::new(()),
            upkeep_lock: Mutex::new(()),
            cleaner: Mutex::new(Cleaner::default()),
            start: origin.segments.first().map_or(origin.next_offset, |first| first.base).into(),
            next: origin.next_offset.into(),
            watermark: origin.next_offset.into(),
            synced: origin.synced_offset.into(),
            released: 0.into(),
            directory_dirty: false.into(),
            parents_dirty: false.into(),
            checkpoint_due: false.into(),
            noted_base: origin.noted_base.into(),
            spares: Mutex::new(Spares::default()),
            dirty_listed: false.into(),
            closed: false.into(),
            deleted: false.into(),
            failure: OnceLock::new(),
            this: Weak::clone(this),
            segments: RwLock::new(Arc::new(origin.segments.clone())),
            appender: Mutex::new(Appender::new(Arc::clone(&config), origin)),
            config: RwLock::new(config),
        })
    }

    /// An empty partition.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub(super) fn create(
        shared: &Arc<Shared>,
        directory: Option<PathBuf>,
        log_id: u64,
        index: u32,
        config: Arc<LogConfig>,
    ) -> io::Result<Arc<Self>> {
        if let Some(directory) = &directory {
            std::fs::create_dir_all(directory)?;
        }
        let origin = Origin {
            segments: Vec::new(),
            active: false,
            next_offset: 0,
            synced_offset: 0,
            last_epoch: 0,
            noted_base: 0,
            producers: Producers::new(shared.options.producers_per_partition_max),
        };
        let partition = Self::new(shared, directory, log_id, index, config, origin);
        partition.directory_dirty.store(true, Ordering::Relaxed);
        partition.parents_dirty.store(true, Ordering::Relaxed);
        Ok(partition)
    }

    /// The partition's lock: one appends at a time.
    pub fn appender(&self) -> AppenderGuard<'_> {
        AppenderGuard::new(self, self.appender.lock())
    }

    pub fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&self.config.read())
    }

    /// The first offset that may still be read.
    #[inline]
    pub fn start_offset(&self) -> u64 {
        self.start.load(Ordering::Acquire)
    }

    /// The offset the next record gets.
    #[inline]
    pub fn next_offset(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Readers see what is below.
    #[inline]
    pub fn high_watermark(&self) -> u64 {
        self.watermark.load(Ordering::Acquire)
    }

    /// What is below survives a power loss.
    pub fn synced_offset(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    pub fn is_memory(&self) -> bool {
        self.directory.is_none()
    }

    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// The error that ended this partition's writes for good, if any.
    pub fn failure(&self) -> Option<&CoreError> {
        self.failure.get()
    }

    /// What is known of the partition in numbers.
    pub fn info(&self) -> PartitionInfo {
        let segments = self.segments();
        PartitionInfo {
            start_offset: self.start_offset(),
            next_offset: self.next_offset(),
            high_watermark: self.high_watermark(),
            synced_offset: self.synced_offset(),
            bytes: segments.iter().map(|segment| segment.written()).sum(),
            segments: segments.len(),
            records_in: self.metrics.records_in.load(Ordering::Relaxed),
            bytes_in: self.metrics.bytes_in.load(Ordering::Relaxed),
            records_out: self.metrics.records_out.load(Ordering::Relaxed),
            bytes_out: self.metrics.bytes_out.load(Ordering::Relaxed),
            last_timestamp: segments.iter().map(|segment| segment.max_timestamp()).max().unwrap_or(0),
        }
    }

    /// The segments as they stand now.
    pub fn segments(&self) -> Segments {
        Arc::clone(&self.segments.read())
    }

    /// A name for messages.
    pub fn name(&self) -> String {
        format!("partition {} of log {}", self.index, self.log_id)
    }

    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    pub(super) fn this(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    /// Changes the list of segments; the caller holds the appender's or the
    /// upkeep lock as its change requires, this only orders the swaps.
    pub(super) fn change_segments(&self, change: impl FnOnce(&mut Vec<Arc<Segment>>)) {
        let mut slot = self.segments.write();
        let mut segments = Vec::clone(&slot);
        change(&mut segments);
        *slot = Arc::new(segments);
    }

    pub(super) fn store_start(&self, offset: u64) {
        self.start.fetch_max(offset, Ordering::AcqRel);
    }

    /// Publishes what the appender wrote. Returns whether readers see more.
    pub(super) fn store_next(&self, offset: u64, durability: Durability) -> bool {
        self.next.store(offset, Ordering::Release);
        if self.is_memory() {
            self.synced.store(offset, Ordering::Release);
        }
        (durability != Durability::Synced || self.is_memory()) && self.store_watermark(offset)
    }

    /// Why the partition takes no appends, if it does not.
    pub(super) fn refusal(&self) -> Option<CoreError> {
        if self.is_deleted() {
            return Some(self.deleted_error());
        }
        if let Some(error) = self.failure.get() {
            return Some(error.clone());
        }
        let closed = self.closed.load(Ordering::Acquire);
        closed.then(|| CoreError::new(ErrorCode::SHUTTING_DOWN, "the log store is closed"))
    }

    pub(super) fn deleted_error(&self) -> CoreError {
        CoreError::new(ErrorCode::TOPIC_DELETED, format!("{} is deleted", self.name()))
    }

    /// Ends all writes for good: after a failed sync the pages may be gone, and
    /// after a failed clean-up the file holds what must not come back.
    pub(super) fn fail(&self, what: &str, error: &io::Error) -> CoreError {
        let message = format!("{what} of {} failed, its writes have ended: {error}", self.name());
        let error = CoreError::new(ErrorCode::STORAGE_FAILED, message);
        let fresh = self.failure.set(error.clone()).is_ok();
        if fresh {
            // Left in the count they would hold credit back from everybody for good.
            self.segments().iter().for_each(|segment| segment.write_off());
        }
        if let (true, Some(this)) = (fresh, self.this()) {
            self.shared.events.sync_failed(&this, &error);
        }
        self.failure.get().cloned().unwrap_or(error)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Counts bytes as dirty and sees to it that somebody syncs them; in memory counts them as such.
    pub(super) fn note_dirty(&self, bytes: u64) {
        if self.is_memory() {
            self.shared.memory_bytes.fetch_add(bytes, Ordering::Relaxed);
            return;
        }
        self.shared.dirty_bytes.fetch_add(bytes, Ordering::Relaxed);
        if !self.dirty_listed.swap(true, Ordering::AcqRel) {
            self.shared.list_dirty(Weak::clone(&self.this));
        }
        if self.shared.is_dirty_high() {
            self.shared.sync_all_dirty();
        }
    }

    pub(super) fn unlist_dirty(&self) {
        self.dirty_listed.store(false, Ordering::Release);
    }

    /// Takes over new settings. Raising visibility from `synced` shows readers
    /// what is written; lowering it syncs first, so that the watermark, which
    /// never goes back, keeps its word.
    ///
    /// # Errors
    /// When that sync fails.
    pub(super) fn configure(&self, config: &Arc<LogConfig>) -> Result<()> {
        let mut appender = self.appender.lock();
        appender.configure(Arc::clone(config), self);
        *self.config.write() = Arc::clone(config);
        drop(appender);
        if config.durability == Durability::Synced && self.synced_offset() < self.high_watermark() {
            self.sync_now()?;
        } else if config.durability != Durability::Synced
            && self.store_watermark(self.next_offset())
            && let Some(this) = self.this()
        {
            self.shared.events.committed(&this);
        }
        Ok(())
    }

    /// Ends the partition for appenders and readers. Its space comes back with
    /// `bury`.
    pub(super) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    /// Lets go of a deleted partition's maps and files, which the store has moved
    /// away; the space comes back as soon as no reader holds a map. Takes its
    /// time: not for a loop's thread.
    pub(super) fn bury(&self) {
        let _upkeep = self.upkeep_lock.lock();
        let mut appender = self.appender.lock();
        appender.forget_active();
        let segments = self.segments();
        self.change_segments(Vec::clear);
        drop(appender);
        self.drop_spares(true);
        for segment in segments.iter() {
            segment.withdraw();
        }
    }

    /// Zeroes what a failed write may have left in `[from, to)`, so that it can
    /// never line up with later batches; if even that fails, the partition's
    /// writes end.
    pub(super) fn erase(&self, segment: &Segment, file: &File, from: u64, to: u64) {
        let erased = files::zero(file, from, to).and_then(|()| self.shared.sync_file(file));
        segment.mark_punched(from);
        if let Err(error) = erased {
            self.fail("cleaning up after a failed write", &error);
        }
    }

    pub(super) fn sync_directories(&self) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        if self.directory_dirty.swap(false, Ordering::AcqRel) {
            files::sync_directory(directory)?;
        }
        if self.parents_dirty.swap(false, Ordering::AcqRel) {
            for parent in directory.ancestors().skip(1).take(3) {
                files::sync_directory(parent)?;
            }
        }
        Ok(())
    }
}
