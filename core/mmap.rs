//! The only place that maps memory, and the few system calls that need
//! `unsafe` because no safe wrapper has them (`mincore`, `sync_file_range`).
//!
//! A map is read-only, covers a segment's full capacity from the day it is made,
//! and lives as long as its last `Arc`. The file behind it may be shorter than
//! the map: pages past the end of the file fault, so callers look only at
//! `slice(start, length)` of what the log has published as written. Files behind
//! maps are never truncated, only extended, punched or unlinked (the pages of an
//! unlinked file stay until the map goes), and written over when the map's last
//! holder has let it go or gives it to the next segment.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags};

/// The page size the kernel uses on every machine we serve; `mincore` and the
/// rounding of capacities depend on it only as a lower bound.
pub const PAGE_BYTES: usize = 4096;

static NEXT_MAP_ID: AtomicU64 = AtomicU64::new(1);

/// One segment file, mapped read-only.
pub struct SegmentMap {
    id: u64,
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the map is read-only for the whole process and its address and length
// never change, so any thread may read through it and any thread may drop it.
unsafe impl Send for SegmentMap {}
// SAFETY: as above; there is no interior mutability.
unsafe impl Sync for SegmentMap {}

impl SegmentMap {
    /// Maps the first `length` bytes of `file`, which may be longer than the file.
    ///
    /// # Errors
    /// What `mmap` says (too many maps, no address space).
    pub fn new(file: &File, length: usize) -> io::Result<Self> {
        let length = length.next_multiple_of(PAGE_BYTES).max(PAGE_BYTES);
        // SAFETY: a fresh shared read-only mapping at an address of the kernel's
        // choice touches no memory that Rust knows of.
        let address =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, file, 0)? };
        let base = NonNull::new(address.cast()).ok_or_else(|| io::Error::other("mmap returned null"))?;
        Ok(Self { id: NEXT_MAP_ID.fetch_add(1, Ordering::Relaxed), base, length })
    }

    /// Unique in this process, never reused.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Makes it another map of the same memory, for the next file's life.
    pub fn renew(&mut self) {
        self.id = NEXT_MAP_ID.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of address space, a multiple of the page size.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The address of the map's first byte, for a view handed to JavaScript.
    pub fn address(&self) -> *const u8 {
        self.base.as_ptr()
    }

    /// `length` bytes at `start`, or `None` outside the map. The caller asks only
    /// for bytes that the log has published as written: they no longer change,
    /// and the file holds them.
    #[inline]
    pub fn slice(&self, start: usize, length: usize) -> Option<&[u8]> {
        if start.checked_add(length)? > self.length {
            return None;
        }
        // SAFETY: the range lies inside the mapping, which lives as long as self.
        Some(unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(start), length) })
    }

    /// The whole capacity. Only the written part may be touched.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: exactly the mapping, which lives as long as self.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.length) }
    }

    /// Whether every page of the range is in memory, so that reading it cannot
    /// wait for the disk. An error of `mincore` counts as "no".
    pub fn resident(&self, start: usize, length: usize) -> bool {
        self.looked_up(start, length, |_, pages| match pages.iter().fold(1, |all, page| all & page) & 1 {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .is_continue()
    }

    /// Tells of each page of the range, by its position, whether it is in memory, until
    /// `tell` breaks off. An error of `mincore` counts as "no".
    pub fn pages(
        &self,
        start: usize,
        length: usize,
        mut tell: impl FnMut(usize, bool) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.looked_up(start, length, |at, pages| {
            pages.iter().enumerate().try_for_each(|(nth, page)| tell(at + nth * PAGE_BYTES, page & 1 == 1))
        })
    }

    /// Tells what `mincore` says of the range's pages, many at a time, with the position of
    /// the first. An error of it tells zeros.
    fn looked_up(
        &self,
        start: usize,
        length: usize,
        mut tell: impl FnMut(usize, &[u8]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        const PAGES: usize = 512;
        let end = start.saturating_add(length).min(self.length);
        let mut at = start - start % PAGE_BYTES;
        let mut pages = [0u8; PAGES];
        while at < end {
            let bytes = (end - at).min(PAGES * PAGE_BYTES);
            let count = bytes.div_ceil(PAGE_BYTES);
            // SAFETY: the range starts at a page inside the mapping, ends inside
            // it, and `pages` has a byte for each of its pages.
            let result = unsafe { libc::mincore(self.base.as_ptr().add(at).cast(), bytes, pages.as_mut_ptr().cast()) };
            if result != 0 {
                pages = [0u8; PAGES];
            }
            tell(at, &pages[..count])?;
            at += count * PAGE_BYTES;
        }
        ControlFlow::Continue(())
    }

    /// Has the kernel begin to read what of the range is not in memory. Only a hint, so
    /// its result does not matter.
    pub fn start_reading(&self, start: usize, length: usize) {
        let end = start.saturating_add(length).min(self.length);
        let from = start - start % PAGE_BYTES;
        if from < end {
            // SAFETY: the range lies inside the mapping and starts at a page; no content changes.
            let _ = unsafe { rustix::mm::madvise(self.base.as_ptr().add(from).cast(), end - from, Advice::WillNeed) };
        }
    }

    /// Reads the range into memory and into the page table. Waits for the disk:
    /// call it from a thread that may wait.
    ///
    /// # Errors
    /// What `madvise` says: a read error of the disk, or a range past the file.
    pub fn prefault(&self, start: usize, length: usize) -> io::Result<()> {
        let end = start.saturating_add(length).min(self.length);
        let from = start - start % PAGE_BYTES;
        if from >= end {
            return Ok(());
        }
        // SAFETY: the range lies inside the mapping and starts at a page;
        // populating for reading changes no content.
        let result =
            unsafe { rustix::mm::madvise(self.base.as_ptr().add(from).cast(), end - from, Advice::LinuxPopulateRead) };
        result.map_err(io::Error::from)
    }
}

impl Drop for SegmentMap {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`; self was its last user. An
        // error can only mean that the arguments are wrong, and leaks the map.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

/// Starts writing the dirty pages of a whole file back, without waiting and
/// without making anything durable: an `fdatasync` that follows finds less to do.
pub fn start_writeback(file: &File) {
    // SAFETY: a plain system call on a descriptor that `file` keeps open. It is
    // only a hint, so its result does not matter.
    unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_map_sees_what_is_written_later_and_outlives_the_file_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("map");
        let file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
        let map = SegmentMap::new(&file, 1 << 20).unwrap();
        file.set_len(8192).unwrap();
        file.write_all_at(b"later", 4096).unwrap();
        assert_eq!(map.slice(4096, 5), Some(&b"later"[..]));
        assert_eq!(map.slice(1 << 20, 1), None);
        map.prefault(4096, 5).unwrap();
        assert!(map.resident(4096, 5));
        std::fs::remove_file(&path).unwrap();
        drop(file);
        assert_eq!(map.slice(4096, 5), Some(&b"later"[..]));
    }
}
