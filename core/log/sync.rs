//! Group commit. Whoever needs a sync puts the partition into a queue; one
//! thread takes all that wait at once, so that requests made during a sync share
//! the next one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::config::Durability;
use super::partition::Partition;
use super::shared::Shared;
use super::work::Work;
use crate::error::Result;
use crate::mmap;

/// With more dirty files than this, writeback of all is started before the first
/// is waited for (measured: 64 files one by one 12 ms, this way 4.7 ms).
const FILES_ONE_BY_ONE: usize = 4;
const IDLE: Duration = Duration::from_hours(1);

/// The sync thread.
pub fn run(shared: &Shared) {
    while let Work::Partitions(partitions) = shared.syncs.take(IDLE) {
        sync_group(&partitions);
    }
}

/// Syncs partitions together and tells each result.
pub fn sync_group(partitions: &[Arc<Partition>]) {
    if partitions.len() > FILES_ONE_BY_ONE {
        for partition in partitions {
            partition.start_writeback();
        }
    }
    for partition in partitions {
        match partition.sync_now() {
            Ok(upto_offset) => partition.shared.events.synced(partition, upto_offset),
            // Told once by `fail`, and again to whoever asks later.
            Err(error) => partition.shared.events.sync_failed(partition, &error),
        }
    }
}

impl Partition {
    fn start_writeback(&self) {
        for segment in self.segments().iter().rev().take_while(|segment| !segment.is_finished()) {
            if let (true, Ok(file)) = (segment.is_dirty(), segment.file()) {
                mmap::start_writeback(&file);
            }
        }
    }

    /// Makes everything appended so far survive a power loss. Returns the offset
    /// below which that holds. Waits for the disk.
    ///
    /// # Errors
    /// `storage_failed`; a failed sync is final, because the kernel may have
    /// dropped the pages, and a second sync would lie.
    pub fn sync_now(&self) -> Result<u64> {
        if let Some(error) = self.failure() {
            return Err(error.clone());
        }
        if self.is_deleted() {
            return Err(self.deleted_error());
        }
        let _lock = self.sync_lock.lock();
        let target = self.next_offset();
        if let Err(error) = self.sync_directories().and_then(|()| self.sync_segments()) {
            // A log that is being deleted loses its files under us.
            return Err(if self.is_deleted() { self.deleted_error() } else { self.fail("a sync", &error) });
        }
        self.synced.fetch_max(target, Ordering::AcqRel);
        if self.config().durability == Durability::Synced
            && self.store_watermark(target)
            && let Some(this) = self.this()
        {
            self.shared.events.committed(&this);
        }
        Ok(target)
    }

    /// Oldest first, so that the log never has a hole that is synced behind.
    fn sync_segments(&self) -> std::io::Result<()> {
        for segment in self.segments().iter().filter(|segment| !segment.is_finished()) {
            let cleaned = match segment.sync() {
                Err(_) if segment.is_removed() => 0,
                other => other?,
            };
            self.shared.dirty_bytes.fetch_sub(cleaned, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Asks the maintenance thread for a checkpoint.
    pub(super) fn request_upkeep(&self) {
        self.checkpoint_due.store(true, Ordering::Release);
        if let Some(this) = self.this() {
            self.shared.maintenance.push(&this);
        }
    }
}
