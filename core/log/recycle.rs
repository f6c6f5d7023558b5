//! Files of expired segments that become the next ones.
//!
//! Bytes that go over pages which are in memory cost the copy. Bytes that go to a new
//! file cost the pages besides, and the kernel's work to give the old file's back. So a
//! log that is cut to its size while it is written writes over what it cuts off, as
//! long as that is still in memory.
//!
//! ```text
//! <base>.log  --expires-->  spare-<n>.tmp  --directory synced, nobody reads it-->  <next offset>.log
//! ```
//!
//! Between the two names the directory is synced: nothing is written over before the
//! old name is gone for good. What lies behind the new log's end are batches with lower
//! offsets than the segment's first, which no reader takes for the log's.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::files;
use super::partition::Partition;
use super::segment::Segment;
use super::shared::Shared;
use crate::batch::BatchBuilder;
use crate::error::{CoreError, Result};
use crate::mmap::{PAGE_BYTES, SegmentMap};

/// Spares of all partitions together. They are beyond what retention keeps.
pub(super) const SPARES_MAX: usize = 32;
/// A partition's spares are at most this part of the bytes that its log keeps, or one
/// where it keeps as many.
const SPARE_SHARE: u64 = 8;
/// One that was not used by then is removed: its pages are on their way out of memory.
const SPARE_AGE_MS_MAX: u64 = 10_000;

/// Parts of a range that are so close to each other are told as one.
const GAP_BYTES: u64 = 64 << 10;

/// The parts of a range that are not in memory, by whole pages; without a map all of it.
pub(super) fn absent(map: Option<&SegmentMap>, range: Range<u64>) -> Vec<Range<u64>> {
    let mut gaps: Vec<Range<u64>> = Vec::new();
    let Some(map) = map else {
        gaps.push(range);
        return gaps;
    };
    let (start, length) = (range.start as usize, (range.end - range.start) as usize);
    let _ = map.pages(start, length, |at, is_resident| {
        if !is_resident {
            let page = (at as u64).max(range.start)..(at + PAGE_BYTES) as u64;
            match gaps.last_mut().filter(|gap| page.start - gap.end < GAP_BYTES) {
                Some(gap) => gap.end = page.end,
                None => gaps.push(page),
            }
        }
        ControlFlow::Continue(())
    });
    gaps
}

/// What stands at the end of a file that is written over: the smallest batch there is, with an offset below
/// those of every later segment. Recovery, which may find a batch half written over
/// behind the log's end, knows by it what that was.
pub(super) fn mark() -> Vec<u8> {
    let mut builder = BatchBuilder::new(0);
    builder.push(0, None, None);
    builder.build()
}

/// A file that is no longer part of the log and not yet part of it again.
struct Spare {
    shared: Arc<Shared>,
    path: PathBuf,
    /// Only taken at the end of its life.
    map: Option<Arc<SegmentMap>>,
    number: u64,
    since_ms: u64,
    /// The old name is gone for good.
    is_settled: bool,
}

impl Spare {
    /// Nobody reads the old segment any more, and nobody can begin to.
    fn is_free(&mut self) -> bool {
        self.is_settled && self.map.as_mut().is_some_and(|map| Arc::get_mut(map).is_some())
    }

    fn capacity(&self) -> u64 {
        self.map.as_ref().map_or(0, |map| map.length() as u64)
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.shared.spares.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The spares of a partition, the longest there first.
#[derive(Default)]
pub(super) struct Spares {
    queue: VecDeque<Spare>,
    /// Of the spare that was made last.
    number: u64,
}

impl Partition {
    /// Takes expired segments out of the world, and keeps the files of some for later.
    /// The caller holds the locks under which files are removed.
    pub(super) fn let_go(&self, expired: &[Arc<Segment>]) {
        for segment in expired {
            let map = segment.withdraw();
            // A file that cannot be kept is removed, whatever the reason.
            if !self.keep(segment, map).unwrap_or(false) {
                segment.unlink();
            }
        }
    }

    /// Gives the file of a withdrawn segment a spare's name, if it is one to be written
    /// over soon and at little cost. Returns whether it is.
    fn keep(&self, segment: &Segment, map: Option<Arc<SegmentMap>>) -> io::Result<bool> {
        let (Some(directory), Some(path)) = (self.directory(), segment.path()) else { return Ok(false) };
        if segment.is_lent() || !self.wants_spare(segment) {
            return Ok(false);
        }
        let file = File::open(&path)?;
        // A backup that has linked the file wants it as it is.
        if file.metadata()?.nlink() != 1 {
            return Ok(false);
        }
        let map = match map {
            Some(map) => map,
            None => Arc::new(SegmentMap::new(&file, segment.capacity() as usize)?),
        };
        let absent: u64 = absent(Some(&map), 0..segment.written()).iter().map(|gap| gap.end - gap.start).sum();
        if absent > segment.written() / 2 || !self.shared.take_spare_place() {
            return Ok(false);
        }
        let mut spares = self.spares.lock();
        spares.number += 1;
        let number = spares.number;
        let spare = Spare {
            shared: Arc::clone(&self.shared),
            path: directory.join(format!("spare-{number}.tmp")),
            map: Some(map),
            number,
            since_ms: self.shared.now_ms(),
            is_settled: false,
        };
        fs::rename(&path, &spare.path)?;
        spares.queue.push_back(spare);
        drop(spares);
        // An index file that stays belongs to nothing.
        let _ = segment.index_path().map(fs::remove_file);
        Ok(true)
    }

    fn wants_spare(&self, segment: &Segment) -> bool {
        let config = self.config();
        let capacity = segment.capacity();
        // Compaction reads segments through maps of its own.
        let fits =
            !config.compact && !segment.is_compacted() && capacity == Segment::capacity_for(config.segment_bytes);
        let held = self.spares.lock().queue.len() as u64;
        let kept: u64 = self.segments().iter().map(|segment| segment.written()).sum();
        let bytes_max = if held == 0 { kept } else { kept / SPARE_SHARE };
        fits && (held + 1).saturating_mul(capacity) <= bytes_max
    }

    /// Makes sure that no spare comes back under its old name: from here on they may be
    /// written over. Waits for the disk.
    ///
    /// # Errors
    /// `storage_failed` when the directory cannot be synced; the spares are given up.
    pub(super) fn settle_spares(&self) -> Result<()> {
        let Some(directory) = self.directory() else { return Ok(()) };
        let newest = self.spares.lock().queue.back().filter(|spare| !spare.is_settled).map(|spare| spare.number);
        let Some(newest) = newest else { return Ok(()) };
        let what = |error| CoreError::io(&format!("sync the directory of {}", self.name()), &error);
        if let Err(error) = files::sync_directory(directory) {
            // A second attempt may answer well without having done it.
            self.drop_spares(true);
            return Err(what(error));
        }
        for spare in &mut self.spares.lock().queue {
            spare.is_settled |= spare.number <= newest;
        }
        Ok(())
    }

    /// Removes the spares that nobody wanted for long, or all.
    pub(super) fn drop_spares(&self, all: bool) {
        let now_ms = self.shared.now_ms();
        let is_due = |spare: &Spare| all || now_ms.saturating_sub(spare.since_ms) >= SPARE_AGE_MS_MAX;
        let mut spares = self.spares.lock();
        let (due, rest): (VecDeque<Spare>, VecDeque<Spare>) = spares.queue.drain(..).partition(is_due);
        spares.queue = rest;
        // An appender that wants a file need not wait for the disk.
        drop(spares);
        for spare in due {
            // A name that stays is removed at the next start.
            let _ = fs::remove_file(&spare.path);
        }
    }

    /// At the end of a run: a file that ends where its log does needs no look when it is
    /// opened again.
    ///
    /// # Errors
    /// `storage_failed`.
    pub(super) fn leave_no_spares(&self) -> Result<()> {
        self.drop_spares(true);
        let active = self.appender.lock().active.clone();
        let cleared = active.map_or(Ok(()), |active| active.clear_stale());
        cleared.map_err(|error| CoreError::io(&format!("clear the end of {}", self.name()), &error))
    }

    /// A new segment at `base`: of a spare if there is one that nobody reads, or else of
    /// a new file.
    ///
    /// # Errors
    /// What creating the file says.
    pub(super) fn new_segment(&self, base: u64, capacity: u64) -> io::Result<Arc<Segment>> {
        if let Some(segment) = self.segment_of_spare(base, Segment::capacity_for(capacity)) {
            return Ok(segment);
        }
        Segment::create(&self.shared, self.directory(), base, capacity)
    }

    fn segment_of_spare(&self, base: u64, capacity: u64) -> Option<Arc<Segment>> {
        let directory = self.directory()?;
        let mut spares = self.spares.lock();
        let at = spares.queue.iter_mut().position(|spare| spare.capacity() == capacity && spare.is_free())?;
        let mut spare = spares.queue.remove(at)?;
        drop(spares);
        let path = files::log_path(directory, base);
        let opened = fs::rename(&spare.path, &path).and_then(|()| File::options().read(true).write(true).open(&path));
        let file = opened.ok()?;
        let mut map = spare.map.take().and_then(Arc::into_inner)?;
        map.renew();
        let (mark, last_page) = (mark(), map.length() - PAGE_BYTES);
        // Without it a crash may tell of damage that is none, which is not worth a read from the disk.
        if map.resident(last_page, PAGE_BYTES) {
            let _ = file.write_all_at(&mark, (map.length() - mark.len()) as u64);
        }
        Some(Segment::renewed(&self.shared, directory, base, file, map))
    }
}
