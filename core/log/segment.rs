//! One segment: a file (or memory file) of batches, its map, its index and what
//! is known about it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::index::{self, IndexEntry, SegmentSummary};
use super::shared::Shared;
use super::verified::Verified;
use super::walk;
use super::{files, recycle};
use crate::error::{CoreError, Result};
use crate::mmap::{PAGE_BYTES, SegmentMap};

/// How much of a file that was another segment's is looked at at a time.
const REUSE_BYTES: u64 = 4 << 20;

pub struct Segment {
    pub base: u64,
    shared: Arc<Shared>,
    /// The partition's directory; `None` in memory.
    directory: Option<PathBuf>,
    /// What the map covers and what may be written; fixed once mapped.
    capacity: AtomicU64,
    allocated: AtomicU64,
    /// Up to here, from `allocated` on, the file may hold what it held before it became
    /// this segment's.
    stale_end: AtomicU64,
    /// End of the batches that are wholly written. Stored before the offsets
    /// that readers go by, so whoever sees an offset sees its bytes.
    written: AtomicU64,
    synced: AtomicU64,
    next_offset: AtomicU64,
    max_timestamp: AtomicU64,
    created_ms: AtomicU64,
    appended_ms: AtomicU64,
    last_epoch: AtomicU32,
    compacted: AtomicBool,
    /// Batches at its end are lost although they were once synced.
    damaged: AtomicBool,
    sealed: AtomicBool,
    /// Sealed, synced, index file written, tail punched.
    finished: AtomicBool,
    /// No longer part of the log (retention, compaction, deletion).
    removed: AtomicBool,
    /// Written by compaction and still under its temporary name.
    temporary: AtomicBool,
    file: Mutex<Option<Arc<File>>>,
    map: RwLock<Option<Arc<SegmentMap>>>,
    /// Of a file that was another segment's, for who appends; the first who reads takes
    /// it over as the map.
    pages: Mutex<Option<SegmentMap>>,
    /// A map was let go that others hold on to, nobody knows how long.
    lent: AtomicBool,
    last_read: AtomicU64,
    index: RwLock<Option<Vec<IndexEntry>>>,
    pub verified: Verified,
}

impl Segment {
    /// A new, empty segment at `base`. Nothing is allocated yet.
    ///
    /// # Errors
    /// What creating the file says.
    pub fn create(shared: &Arc<Shared>, directory: Option<&Path>, base: u64, capacity: u64) -> io::Result<Arc<Self>> {
        let capacity = Self::capacity_for(capacity);
        let file = match directory {
            Some(directory) => files::create(&files::log_path(directory, base))?,
            None => files::create_memory(capacity)?,
        };
        let segment = Self::empty(shared, directory, base, capacity, file);
        segment.allocated.store(if directory.is_some() { 0 } else { capacity }, Ordering::Relaxed);
        Ok(Arc::new(segment))
    }

    /// A new, empty segment at `base` in a file that was another segment's, of whose
    /// pages `map` is the only map.
    pub(super) fn renewed(shared: &Arc<Shared>, directory: &Path, base: u64, file: File, map: SegmentMap) -> Arc<Self> {
        let capacity = map.length() as u64;
        let segment = Self::empty(shared, Some(directory), base, capacity, file);
        segment.stale_end.store(capacity, Ordering::Relaxed);
        *segment.pages.lock() = Some(map);
        Arc::new(segment)
    }

    fn empty(shared: &Arc<Shared>, directory: Option<&Path>, base: u64, capacity: u64, file: File) -> Self {
        let now = shared.now_ms();
        let summary =
            SegmentSummary { base, next_offset: base, created_ms: now, appended_ms: now, ..SegmentSummary::default() };
        let segment = Self::with(shared, directory, &summary, capacity, Verified::from(0));
        *segment.index.write() = Some(Vec::new());
        *segment.file.lock() = Some(Arc::new(file));
        shared.note_opened();
        segment
    }

    /// The capacity of a segment that is to hold `bytes`: whole pages.
    pub(super) fn capacity_for(bytes: u64) -> u64 {
        bytes.next_multiple_of(PAGE_BYTES as u64).max(PAGE_BYTES as u64)
    }

    /// A segment found on disk. `trusted` is the position from which recovery
    /// has verified the batches; `index` is `None` to be loaded when wanted.
    pub fn recovered(
        shared: &Arc<Shared>,
        directory: &Path,
        summary: &SegmentSummary,
        file_bytes: u64,
        trusted: u64,
        index: Option<Vec<IndexEntry>>,
    ) -> Self {
        let capacity = file_bytes.max(summary.end).next_multiple_of(PAGE_BYTES as u64).max(PAGE_BYTES as u64);
        let segment = Self::with(shared, Some(directory), summary, capacity, Verified::from(trusted));
        segment.allocated.store(file_bytes, Ordering::Relaxed);
        *segment.index.write() = index;
        segment
    }

    /// A segment that compaction has written, synced and indexed; on disk it
    /// lies under its temporary name until `settle`.
    pub(super) fn rewritten(
        shared: &Arc<Shared>,
        directory: Option<&Path>,
        summary: &SegmentSummary,
        file: File,
        index: Vec<IndexEntry>,
    ) -> Arc<Self> {
        let capacity = summary.end.next_multiple_of(PAGE_BYTES as u64).max(PAGE_BYTES as u64);
        let segment = Self::with(shared, directory, summary, capacity, Verified::from(0));
        segment.allocated.store(summary.end, Ordering::Relaxed);
        segment.temporary.store(directory.is_some(), Ordering::Release);
        segment.mark_finished();
        *segment.index.write() = Some(index);
        *segment.file.lock() = Some(Arc::new(file));
        shared.open_files.fetch_add(1, Ordering::Relaxed);
        Arc::new(segment)
    }

    fn with(
        shared: &Arc<Shared>,
        directory: Option<&Path>,
        summary: &SegmentSummary,
        capacity: u64,
        verified: Verified,
    ) -> Self {
        if directory.is_none() {
            shared.memory_bytes.fetch_add(summary.end, Ordering::Relaxed);
        }
        Self {
            base: summary.base,
            shared: Arc::clone(shared),
            directory: directory.map(Path::to_owned),
            capacity: capacity.into(),
            allocated: 0.into(),
            stale_end: 0.into(),
            written: summary.end.into(),
            synced: summary.end.into(),
            next_offset: summary.next_offset.into(),
            max_timestamp: summary.max_timestamp.into(),
            created_ms: summary.created_ms.into(),
            appended_ms: summary.appended_ms.into(),
            last_epoch: summary.last_epoch.into(),
            compacted: summary.compacted.into(),
            damaged: false.into(),
            sealed: false.into(),
            finished: false.into(),
            removed: false.into(),
            temporary: false.into(),
            file: Mutex::new(None),
            map: RwLock::new(None),
            pages: Mutex::new(None),
            lent: false.into(),
            last_read: 0.into(),
            index: RwLock::new(None),
            verified,
        }
    }

    pub fn path(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| self.named(files::log_path(directory, self.base)))
    }

    pub(super) fn index_path(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| self.named(files::index_path(directory, self.base)))
    }

    fn named(&self, path: PathBuf) -> PathBuf {
        if self.is_temporary() { super::compact::temporary(&path) } else { path }
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.temporary.load(Ordering::Acquire)
    }

    /// Gives a rewritten segment its final name by `rename`. Nobody opens its
    /// file meanwhile, so nobody finds the one it replaces under that name.
    pub(super) fn settle(&self, rename: impl FnOnce() -> Result<()>) -> Result<()> {
        let _closed = self.file.lock();
        rename()?;
        self.temporary.store(false, Ordering::Release);
        Ok(())
    }

    pub fn is_memory(&self) -> bool {
        self.directory.is_none()
    }

    pub fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Acquire)
    }

    /// Bytes of whole batches that readers may look at.
    #[inline]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub fn next_offset(&self) -> u64 {
        self.next_offset.load(Ordering::Acquire)
    }

    pub fn max_timestamp(&self) -> u64 {
        self.max_timestamp.load(Ordering::Acquire)
    }

    pub fn created_ms(&self) -> u64 {
        self.created_ms.load(Ordering::Relaxed)
    }

    /// Broker's time of the last append.
    pub fn appended_ms(&self) -> u64 {
        self.appended_ms.load(Ordering::Relaxed)
    }

    pub fn last_epoch(&self) -> u32 {
        self.last_epoch.load(Ordering::Relaxed)
    }

    pub fn is_compacted(&self) -> bool {
        self.compacted.load(Ordering::Relaxed)
    }

    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    #[inline]
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    pub fn is_dirty(&self) -> bool {
        !self.is_memory() && self.synced.load(Ordering::Acquire) < self.written()
    }

    pub fn last_read(&self) -> u64 {
        self.last_read.load(Ordering::Relaxed)
    }

    pub fn is_mapped(&self) -> bool {
        self.map.read().is_some()
    }

    pub fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    pub(super) fn mark_damaged(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    pub(super) fn mark_sealed(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    /// For recovery, before anybody else sees the segment.
    pub(super) fn unseal(&self) {
        self.sealed.store(false, Ordering::Release);
    }

    pub(super) fn mark_finished(&self) {
        *self.pages.lock() = None;
        self.sealed.store(true, Ordering::Release);
        self.finished.store(true, Ordering::Release);
    }

    /// Bytes that recovery found written but that may not have been synced.
    pub(super) fn mark_unsynced_from(&self, position: u64) {
        self.synced.store(position, Ordering::Release);
    }

    /// Lets a segment that nobody has mapped yet grow to `capacity`.
    ///
    /// # Errors
    /// When a memory file cannot be extended.
    pub(super) fn widen(&self, capacity: u64) -> io::Result<()> {
        let map = self.map.write();
        let capacity = capacity.next_multiple_of(PAGE_BYTES as u64);
        if map.is_some() || capacity <= self.capacity() {
            return Ok(());
        }
        *self.pages.lock() = None;
        if self.is_memory() {
            self.file()?.set_len(capacity)?;
            self.allocated.store(capacity, Ordering::Relaxed);
        }
        self.capacity.store(capacity, Ordering::Release);
        Ok(())
    }

    /// The open file; opened again when it was closed to save descriptors.
    ///
    /// # Errors
    /// What `open` says.
    pub fn file(&self) -> io::Result<Arc<File>> {
        let mut slot = self.file.lock();
        if let Some(file) = &*slot {
            return Ok(Arc::clone(file));
        }
        let path = self.path().ok_or_else(|| io::Error::other("the memory segment is gone"))?;
        if self.is_removed() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = Arc::new(File::options().read(true).write(true).open(path)?);
        self.shared.note_opened();
        *slot = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Closes the file of a disk segment; `file` opens it again. Only for clean
    /// segments: an open descriptor is what remembers a failed writeback.
    pub(super) fn close_file(&self) {
        if !self.is_memory() && !self.is_dirty() {
            self.drop_file();
        }
    }

    fn drop_file(&self) {
        if self.file.lock().take().is_some() {
            self.shared.open_files.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.lock().is_some()
    }

    /// The map, made at the first use at full capacity.
    ///
    /// # Errors
    /// `storage_failed` when the file cannot be opened or mapped.
    pub fn map(self: &Arc<Self>) -> Result<Arc<SegmentMap>> {
        self.last_read.store(self.shared.tick.load(Ordering::Relaxed), Ordering::Relaxed);
        if let Some(map) = &*self.map.read() {
            return Ok(Arc::clone(map));
        }
        self.make_map().map_err(|error| CoreError::io("map a segment", &error))
    }

    fn make_map(self: &Arc<Self>) -> io::Result<Arc<SegmentMap>> {
        let mut slot = self.map.write();
        if let Some(map) = &*slot {
            return Ok(Arc::clone(map));
        }
        let file = self.file()?;
        let map = match self.pages.lock().take() {
            Some(map) => map,
            None => SegmentMap::new(&file, self.capacity() as usize)?,
        };
        let map = Arc::new(map);
        // Whoever removes the segment says so before it takes the map from here: nobody
        // gets one that it does not know of.
        if self.is_removed() {
            return Err(io::ErrorKind::NotFound.into());
        }
        *slot = Some(Arc::clone(&map));
        drop(slot);
        if self.is_finished() {
            self.close_file();
        }
        self.shared.note_mapped(self);
        if self.is_removed() {
            self.shared.forget_mapped(self);
        }
        Ok(map)
    }

    /// Lets go of the map; who holds an `Arc` of it reads on.
    pub(super) fn unmap(&self) {
        // Out of the slot, so that nobody new gets it.
        if self.take_map().is_some_and(|map| Arc::strong_count(&map) > 1) {
            self.lent.store(true, Ordering::Release);
        }
    }

    /// Others may hold maps of the segment that it has no more.
    pub(super) fn is_lent(&self) -> bool {
        self.lent.load(Ordering::Acquire)
    }

    fn take_map(&self) -> Option<Arc<SegmentMap>> {
        let taken = self.map.write().take();
        if let Some(map) = &taken {
            if self.is_finished() && !self.is_memory() {
                *self.index.write() = None;
            }
            self.shared.events.map_retired(map.id());
        }
        taken
    }

    /// Makes room for writing up to `end`, which is at most the capacity.
    pub(super) fn allocate(&self, file: &File, end: u64) -> io::Result<()> {
        let allocated = self.allocated.load(Ordering::Relaxed);
        if end > allocated {
            let now = if allocated < self.stale_end.load(Ordering::Relaxed) {
                self.reuse(file, allocated, end)?
            } else {
                files::allocate(file, allocated, end, self.capacity())?
            };
            self.allocated.store(now, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Makes the next stretch of a file that was another segment's fit to be written
    /// over. Where its pages are no longer in memory it becomes as a new file's: of a
    /// page that is written in part, the rest would have to be read from the disk.
    fn reuse(&self, file: &File, from: u64, end: u64) -> io::Result<u64> {
        let to = (from + REUSE_BYTES).max(end).next_multiple_of(PAGE_BYTES as u64).min(self.capacity());
        let map = self.map.read().clone();
        let pages = self.pages.lock();
        for gap in recycle::absent(map.as_deref().or(pages.as_ref()), from..to) {
            files::zero(file, gap.start, gap.end)?;
            files::allocate(file, gap.start, gap.end, gap.end)?;
        }
        Ok(to)
    }

    /// Gives back what the file still holds of another segment.
    pub(super) fn clear_stale(&self) -> io::Result<()> {
        let (written, end) = (self.written(), self.stale_end.swap(0, Ordering::Relaxed));
        if end > written && !self.is_removed() {
            let file = self.file()?;
            files::zero(&file, written, end)?;
            self.mark_punched(written);
            self.shared.sync_file(&file)?;
        }
        Ok(())
    }

    /// Behind the batches, the file holds nothing from here on.
    pub(super) fn file_end(&self) -> u64 {
        self.allocated.load(Ordering::Relaxed).max(self.stale_end.load(Ordering::Relaxed))
    }

    /// After `[position, ..)` was punched.
    pub(super) fn mark_punched(&self, position: u64) {
        if !self.is_memory() {
            self.allocated.store(position, Ordering::Relaxed);
        }
    }

    /// Publishes written batches: the bytes first, then the offsets.
    pub(super) fn publish(&self, end: u64, next_offset: u64, max_timestamp: u64, epoch: u32, now_ms: u64) {
        self.max_timestamp.fetch_max(max_timestamp, Ordering::Relaxed);
        self.appended_ms.store(now_ms, Ordering::Relaxed);
        self.last_epoch.store(epoch, Ordering::Relaxed);
        self.written.store(end, Ordering::Release);
        self.next_offset.store(next_offset, Ordering::Release);
    }

    pub(super) fn restart_age(&self, now_ms: u64) {
        self.created_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn push_index(&self, entries: &[IndexEntry]) {
        if let Some(index) = &mut *self.index.write() {
            index.extend_from_slice(entries);
        }
    }

    /// Runs `f` on the index, loading or rebuilding it first where it was let go.
    ///
    /// # Errors
    /// What reading the segment says.
    pub fn with_index<T>(self: &Arc<Self>, f: impl FnOnce(&[IndexEntry]) -> T) -> Result<T> {
        if let Some(index) = &*self.index.read() {
            return Ok(f(index));
        }
        let loaded = match self.load_index() {
            Some(entries) => entries,
            None => walk::rebuild_index(self, self.shared.options.index_interval_bytes)?,
        };
        let mut slot = self.index.write();
        Ok(f(slot.get_or_insert(loaded)))
    }

    /// Runs `f` on the index if it is in memory.
    pub(super) fn loaded_index<T>(&self, f: impl FnOnce(&[IndexEntry]) -> T) -> Option<T> {
        self.index.read().as_deref().map(f)
    }

    fn load_index(&self) -> Option<Vec<IndexEntry>> {
        let bytes = std::fs::read(self.index_path()?).ok()?;
        let (summary, entries) = index::decode(&bytes)?;
        (summary.end == self.written()).then_some(entries)
    }

    /// Syncs the data. Returns how many bytes were dirty before.
    pub(super) fn sync(&self) -> io::Result<u64> {
        if !self.is_dirty() || self.is_removed() {
            return Ok(0);
        }
        let end = self.written();
        self.shared.sync_file(&*self.file()?)?;
        let before = self.synced.fetch_max(end, Ordering::AcqRel);
        Ok(end.saturating_sub(before))
    }

    /// The summary as it stands, with the check of the last indexed batch.
    pub(super) fn summary(&self, check_position: u64, check_crc: u32) -> SegmentSummary {
        SegmentSummary {
            base: self.base,
            end: self.written(),
            next_offset: self.next_offset(),
            max_timestamp: self.max_timestamp(),
            created_ms: self.created_ms(),
            appended_ms: self.appended_ms(),
            last_epoch: self.last_epoch(),
            compacted: self.is_compacted(),
            check_position,
            check_crc,
        }
    }

    /// Takes the unsynced bytes out of the store's count, because nobody will
    /// sync them any more; a second call finds none.
    pub(super) fn write_off(&self) {
        let dirty = self.written().saturating_sub(self.synced.swap(u64::MAX, Ordering::AcqRel));
        if !self.is_memory() {
            self.shared.dirty_bytes.fetch_sub(dirty, Ordering::Relaxed);
        }
    }

    /// Takes the segment out of the world: readers move on, the file is closed.
    /// Returns the map, if there is one: from here on nobody gets it who has it not.
    pub(super) fn withdraw(&self) -> Option<Arc<SegmentMap>> {
        self.removed.store(true, Ordering::Release);
        self.write_off();
        *self.pages.lock() = None;
        let map = self.take_map();
        self.shared.forget_mapped(self);
        self.drop_file();
        map
    }

    /// Removes the names of a segment that was withdrawn. The space comes back when
    /// the last holder of the map is gone.
    pub(super) fn unlink(&self) {
        if let (Some(path), Some(index_path)) = (self.path(), self.index_path()) {
            // A name that stays is found and removed at the next start.
            let _ = std::fs::remove_file(path);
            let _ = std::fs::remove_file(index_path);
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.is_memory() {
            self.shared.memory_bytes.fetch_sub(self.written(), Ordering::Relaxed);
        }
        if self.file.get_mut().is_some() {
            self.shared.open_files.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
