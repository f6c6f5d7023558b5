//! What all partitions of a store share: options, clock, counters, the map LRU
//! and the queues of the two threads.

use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use super::config::{StoreEvents, StoreOptions};
use super::files;
use super::partition::Partition;
use super::recycle::SPARES_MAX;
use super::segment::Segment;
use super::stats::SyncHistogram;
use super::work::WorkQueue;
use crate::clock::Clock;

pub struct Shared {
    pub options: StoreOptions,
    pub clock: Arc<dyn Clock>,
    pub events: Arc<dyn StoreEvents>,
    pub epoch: AtomicU32,
    pub dirty_bytes: AtomicU64,
    /// Of logs in memory. Their files are nobody's resident memory until they are mapped.
    pub memory_bytes: AtomicU64,
    pub open_files: AtomicUsize,
    /// Files of expired segments that are kept to be the next ones.
    pub spares: AtomicUsize,
    /// An append found no room: spares are to make some.
    pub disk_full: AtomicBool,
    /// Moves with every map made: the time scale of the LRU.
    pub tick: AtomicU64,
    pub sync_latency: SyncHistogram,
    pub syncs: WorkQueue,
    pub maintenance: WorkQueue,
    /// Whoever removes files of the log reads it; a backup that links them writes it, so
    /// that none goes meanwhile. Behind `upkeep_lock`, before an appender's.
    pub held: RwLock<()>,
    mapped: Mutex<Vec<Weak<Segment>>>,
    dirty: Mutex<Vec<Weak<Partition>>>,
    #[cfg(test)]
    pub faults: Faults,
}

/// Faults that tests inject below the log.
#[cfg(test)]
#[derive(Default)]
pub struct Faults {
    pub fail_sync: std::sync::atomic::AtomicBool,
    /// Bytes the next write stores before it fails; -1 for no fault.
    pub fail_write_after: std::sync::atomic::AtomicI64,
}

impl Shared {
    pub fn new(options: StoreOptions, clock: Arc<dyn Clock>, events: Arc<dyn StoreEvents>) -> Arc<Self> {
        let shared = Self {
            options,
            clock,
            events,
            epoch: AtomicU32::new(0),
            dirty_bytes: AtomicU64::new(0),
            memory_bytes: AtomicU64::new(0),
            open_files: AtomicUsize::new(0),
            spares: AtomicUsize::new(0),
            disk_full: AtomicBool::new(false),
            tick: AtomicU64::new(1),
            sync_latency: SyncHistogram::default(),
            syncs: WorkQueue::default(),
            maintenance: WorkQueue::default(),
            held: RwLock::new(()),
            mapped: Mutex::new(Vec::new()),
            dirty: Mutex::new(Vec::new()),
            #[cfg(test)]
            faults: Faults { fail_write_after: (-1).into(), ..Faults::default() },
        };
        Arc::new(shared)
    }

    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Counts an open file; beyond the limit the maintenance thread closes some.
    pub fn note_opened(&self) {
        if self.open_files.fetch_add(1, Ordering::Relaxed) >= self.options.open_files_max {
            self.maintenance.wake();
        }
    }

    /// Has the maintenance thread remove the spares, if there are any.
    pub fn note_disk_full(&self) {
        if self.spares.load(Ordering::Relaxed) > 0 {
            self.disk_full.store(true, Ordering::Release);
            self.maintenance.wake();
        }
    }

    /// Counts one more spare, if there may be one.
    pub fn take_spare_place(&self) -> bool {
        let taken = self.spares.fetch_add(1, Ordering::Relaxed) < SPARES_MAX;
        if !taken {
            self.spares.fetch_sub(1, Ordering::Relaxed);
        }
        taken
    }

    pub fn mapped_segments(&self) -> usize {
        self.mapped.lock().len()
    }

    /// Takes a segment that was just mapped into the LRU, and lets the least
    /// recently read ones go (a sixteenth at a time) once there are too many.
    pub fn note_mapped(&self, segment: &Arc<Segment>) {
        self.tick.fetch_add(1, Ordering::Relaxed);
        let mut mapped = self.mapped.lock();
        mapped.push(Arc::downgrade(segment));
        let limit = self.options.mapped_segments_max.max(1);
        if mapped.len() <= limit {
            return;
        }
        let mut live: Vec<Arc<Segment>> = mapped.drain(..).filter_map(|weak| weak.upgrade()).collect();
        live.retain(|candidate| candidate.is_mapped());
        live.sort_by_key(|candidate| std::cmp::Reverse(candidate.last_read()));
        let keep = if live.len() > limit { limit - limit / 16 } else { live.len() };
        let retired = live.split_off(keep);
        *mapped = live.iter().map(Arc::downgrade).collect();
        drop(mapped);
        for old in retired {
            old.unmap();
        }
    }

    pub fn forget_mapped(&self, segment: &Segment) {
        let address: *const Segment = segment;
        self.mapped.lock().retain(|weak| !std::ptr::eq(weak.as_ptr(), address));
    }

    pub fn list_dirty(&self, partition: Weak<Partition>) {
        self.dirty.lock().push(partition);
    }

    /// Hands every dirty partition to the sync thread.
    pub fn sync_all_dirty(&self) {
        let dirty: Vec<_> = self.dirty.lock().drain(..).collect();
        for partition in dirty.iter().filter_map(Weak::upgrade) {
            partition.unlist_dirty();
            self.syncs.push(&partition);
        }
    }

    /// True when background syncs should start, long before credit is withheld.
    pub fn is_dirty_high(&self) -> bool {
        self.dirty_bytes.load(Ordering::Relaxed) > self.options.dirty_bytes_max / 2
    }

    /// Writes all parts at `position`, with the injected fault of tests.
    #[cfg_attr(not(test), allow(clippy::unused_self, reason = "only tests inject faults"))]
    pub fn write_file(&self, file: &File, parts: &mut [IoSlice<'_>], position: u64) -> io::Result<()> {
        #[cfg(test)]
        if let Ok(bytes) = usize::try_from(self.faults.fail_write_after.swap(-1, Ordering::Relaxed)) {
            let content: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).take(bytes).collect();
            files::write_all(file, &mut [IoSlice::new(&content)], position)?;
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        files::write_all(file, parts, position)
    }

    /// `fdatasync` with the injected fault of tests.
    pub fn sync_file(&self, file: &File) -> io::Result<()> {
        #[cfg(test)]
        if self.faults.fail_sync.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let started = std::time::Instant::now();
        file.sync_data()?;
        self.sync_latency.note(started.elapsed());
        Ok(())
    }
}

#[cfg(test)]
impl Shared {
    pub fn dirty_listed(&self) -> usize {
        self.dirty.lock().len()
    }
}
