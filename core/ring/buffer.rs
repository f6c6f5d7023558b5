//! The memory of the ring and the protocol that shares it between threads.
//!
//! One 64-bit cursor packs a slot number (high bits) and a byte position (low
//! `log2(arena) + 1` bits, so that full and empty differ):
//!
//! ```text
//!        released           claimed by pushers, in this order          free
//!  ... ------------> tail ====================================> head ------> ...
//!                     |  ready  | being filled |  ready  |
//!                     '-- a drain walks to here, and waits --'
//! ```
//!
//! A pusher claims one slot and its bytes by one CAS on `head`, copies, and sets the
//! slot's ready flag (Release). A drain waits for the flags (Acquire) from `tail` up to
//! where `head` was when it began, shows what it found, clears the flags and moves
//! `tail` (Release), which pushers acquire before they write into that memory again.
//! A pusher cannot block or panic between its claim and its flag, so the wait is short.
//! Flags are clear in every slot outside `tail..head`, so nothing has to be derived
//! from what a slot held a lap ago.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::sync::{AtomicBool, AtomicU64, Mutex, Ordering, Shadow, lock, look_at, wait_for};
use super::{Drained, Entry, PushError};

/// Pushers hammer `head`, the drain `tail`: each has its cache line (two, because
/// processors fetch lines in pairs).
#[repr(align(128))]
struct Padded(AtomicU64);

type Cells<T> = Box<[UnsafeCell<MaybeUninit<T>>]>;

pub struct Buffer {
    head: Padded,
    tail: Padded,
    /// Held by a drain from its first look to the release.
    draining: Mutex<()>,
    ready: Box<[AtomicBool]>,
    entries: Cells<Entry>,
    entries_shadow: Shadow,
    arena: Cells<u8>,
    arena_shadow: Shadow,
    /// Width of the byte position in a cursor.
    byte_bits: u32,
}

// SAFETY: the cells are what keeps `Buffer` from being `Sync` by itself. Between its
// claim and its ready flag a slot with its bytes belongs to the pusher that claimed it,
// between the flag and the move of `tail` to the drain (one at a time, by `draining`),
// which only reads; the Release/Acquire pairs above order these. Entries and bytes are
// plain data that any thread may own.
unsafe impl Sync for Buffer {}

/// The published stretch that a drain has found behind `tail`.
struct Found {
    slot: usize,
    count: usize,
    /// How many of them lie before the arena's wrap.
    wrapped_at: usize,
    /// Arena positions of the bytes before the wrap, and of those behind it.
    front: Range<usize>,
    back: Range<usize>,
}

impl Buffer {
    /// Both must be powers of two, at most 2^30.
    pub fn new(arena_bytes: usize, slots: usize) -> Buffer {
        assert!(arena_bytes.is_power_of_two() && arena_bytes <= 1 << 30);
        assert!(slots.is_power_of_two() && slots <= 1 << 30);
        Buffer {
            head: Padded(AtomicU64::new(0)),
            tail: Padded(AtomicU64::new(0)),
            draining: Mutex::new(()),
            ready: (0..slots).map(|_| AtomicBool::new(false)).collect(),
            entries: uninit_cells(slots),
            entries_shadow: Shadow::new(slots),
            arena: uninit_cells(arena_bytes),
            arena_shadow: Shadow::new(arena_bytes),
            byte_bits: arena_bytes.trailing_zeros() + 1,
        }
    }

    pub fn record_bytes_max(&self) -> usize {
        self.arena.len() / 2
    }

    pub fn memory_bytes(&self) -> usize {
        let slot_bytes = size_of::<Entry>() + size_of::<AtomicBool>();
        size_of::<Buffer>() + self.arena.len() + self.entries.len() * slot_bytes
    }

    pub fn is_empty(&self) -> bool {
        self.head.0.load(Ordering::Acquire) == self.tail.0.load(Ordering::Acquire)
    }

    #[inline]
    pub fn push(&self, mut entry: Entry, bytes: &[u8]) -> Result<(), PushError> {
        if bytes.len() > self.record_bytes_max() {
            return Err(PushError::TooLarge);
        }
        let (slot, start) = self.claim(bytes.len())?;
        entry.start = start as u32;
        entry.len = bytes.len() as u32;
        self.store(slot, entry, bytes);
        Ok(())
    }

    /// Claims the next slot and `len` contiguous bytes; returns where they are.
    #[inline]
    fn claim(&self, len: usize) -> Result<(usize, usize), PushError> {
        let arena_bytes = self.arena.len();
        let mut head = self.head.0.load(Ordering::Relaxed);
        loop {
            // Acquire: what the drain read has been read before we write over it.
            let tail = self.tail.0.load(Ordering::Acquire);
            let position = self.byte(head) & (arena_bytes - 1);
            // A record never wraps: the rest of the arena is skipped instead, and
            // counts as used until this record is released.
            let rest = arena_bytes - position;
            let (start, needed) = if len <= rest { (position, len) } else { (0, rest + len) };
            let (slots_used, bytes_used) = self.used(head, tail);
            let fits = bytes_used + needed <= arena_bytes && slots_used < self.ready.len();
            let moved = if fits {
                let next = self.advance(head, 1, needed);
                let swap = self.head.0.compare_exchange_weak(head, next, Ordering::Relaxed, Ordering::Relaxed);
                match swap {
                    Ok(_) => return Ok((self.slot_index(head), start)),
                    Err(now) => now,
                }
            } else {
                // A `tail` newer than our `head` looks like a full ring: look again.
                match self.head.0.load(Ordering::Relaxed) {
                    now if now == head => return Err(PushError::Full),
                    now => now,
                }
            };
            head = moved;
        }
    }

    /// Fills the claimed slot and publishes it. Nothing in here may panic: a slot that
    /// is never published would hold up the ring for ever.
    #[inline]
    fn store(&self, slot: usize, entry: Entry, bytes: &[u8]) {
        let start = entry.start as usize;
        let cells = &self.arena[start..start + bytes.len()];
        self.arena_shadow.write(start..start + bytes.len());
        // SAFETY: `claim` gave these cells to this thread alone, until the flag below
        // is set; `cells` is as long as `bytes`, and `bytes` cannot overlap them,
        // because nobody outside a drain holds a reference into the arena.
        unsafe {
            let to = cells.as_ptr().cast::<u8>().cast_mut();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        self.entries_shadow.write(slot..slot + 1);
        // SAFETY: as above, for the slot's cell.
        unsafe {
            (*self.entries[slot].get()).write(entry);
        }
        self.ready[slot].store(true, Ordering::Release);
    }

    pub fn drain<F>(&self, entries_max: usize, f: F) -> usize
    where
        F: FnOnce(Drained<'_>),
    {
        let held = lock(&self.draining);
        let tail = self.tail.0.load(Ordering::Relaxed);
        let found = self.find(tail, entries_max);
        if found.count == 0 {
            return 0;
        }
        self.trace_reads(&found);
        f(self.show(&found));
        self.trace_reads(&found);
        self.release(tail, &found);
        drop(held);
        found.count
    }

    /// Walks the slots that are claimed from `tail` on, `entries_max` at most, and waits
    /// for those that are being filled: else a record that this thread has pushed could
    /// be left behind one that another thread is about to publish, and what this thread
    /// appends next would overtake it.
    fn find(&self, tail: u64, entries_max: usize) -> Found {
        let slot = self.slot_index(tail);
        let position = self.byte(tail) & (self.arena.len() - 1);
        let mut found = Found { slot, count: 0, wrapped_at: 0, front: position..position, back: 0..0 };
        let mut end = position;
        let mut wrapped = false;
        let (claimed, _) = self.used(look_at(&self.head.0), tail);
        let limit = entries_max.min(claimed);
        while found.count < limit {
            let index = (slot + found.count) & (self.ready.len() - 1);
            let is_ready = || self.ready[index].load(Ordering::Acquire);
            if !is_ready() {
                wait_for(is_ready);
            }
            self.entries_shadow.read(index..index + 1);
            // SAFETY: the flag says that the entry was written, and it stays as it is
            // until `release`, which only the holder of `draining` calls: us.
            let entry = unsafe { (*self.entries[index].get()).assume_init_ref() };
            let start = entry.start as usize;
            wrapped |= start < end;
            end = start + entry.len as usize;
            found.count += 1;
            found.wrapped_at += usize::from(!wrapped);
            if wrapped {
                found.back.end = end;
            } else {
                found.front.end = end;
            }
        }
        found
    }

    fn show(&self, found: &Found) -> Drained<'_> {
        let [older, newer] = self.slot_ranges(found);
        // SAFETY: `find` saw all these slots ready, so the entries and the bytes
        // between the first one's start and the last one's end (without gaps on either
        // side of the wrap) are written, and no pusher writes to them before `release`.
        // `Drained` cannot outlive the call of `f`, which comes before that.
        unsafe {
            Drained {
                older: initialised(&self.entries[older]),
                newer: initialised(&self.entries[newer]),
                front: initialised(&self.arena[found.front.clone()]),
                front_start: found.front.start,
                back: initialised(&self.arena[found.back.clone()]),
                wrapped_at: found.wrapped_at,
            }
        }
    }

    /// Gives the found slots and their bytes back to the pushers.
    fn release(&self, tail: u64, found: &Found) {
        for range in self.slot_ranges(found) {
            for flag in &self.ready[range] {
                flag.store(false, Ordering::Relaxed);
            }
        }
        let wrapped = found.wrapped_at < found.count;
        let bytes = if wrapped { self.arena.len() - found.front.start + found.back.end } else { found.front.len() };
        let next = self.advance(tail, found.count, bytes);
        let next = self.rewind(next).unwrap_or(next);
        self.tail.0.store(next, Ordering::Release);
    }

    /// If the ring is empty at cursor `at`, moves `head` to the beginning of slots and
    /// arena, so that a ring with little in it keeps to its first pages (a process with
    /// thousands of rings stays small, and the copy stays in the cache). Until `tail`
    /// has followed, pushers find less room than there is, never more.
    fn rewind(&self, at: u64) -> Option<u64> {
        let slots_left = self.slot_index(at).wrapping_neg() & (self.ready.len() - 1);
        let bytes_left = self.byte(at).wrapping_neg() & (self.arena.len() - 1);
        let to = self.advance(at, slots_left, bytes_left);
        let swap = self.head.0.compare_exchange(at, to, Ordering::Relaxed, Ordering::Relaxed);
        swap.ok().map(|_| to)
    }

    fn slot_ranges(&self, found: &Found) -> [Range<usize>; 2] {
        let end = found.slot + found.count;
        let slots = self.ready.len();
        if end <= slots { [found.slot..end, 0..0] } else { [found.slot..slots, 0..end - slots] }
    }

    fn trace_reads(&self, found: &Found) {
        for range in self.slot_ranges(found) {
            self.entries_shadow.read(range);
        }
        self.arena_shadow.read(found.front.clone());
        self.arena_shadow.read(found.back.clone());
    }

    /// The byte position, in two laps of the arena.
    #[inline]
    fn byte(&self, cursor: u64) -> usize {
        (cursor & ((1 << self.byte_bits) - 1)) as usize
    }

    #[inline]
    fn slot_index(&self, cursor: u64) -> usize {
        (cursor >> self.byte_bits) as usize & (self.ready.len() - 1)
    }

    /// Slots and bytes between two cursors; both numbers wrap in their own bits.
    #[inline]
    fn used(&self, head: u64, tail: u64) -> (usize, usize) {
        let bytes = self.byte(head.wrapping_sub(tail));
        let high = u64::MAX << self.byte_bits;
        let slots = (head & high).wrapping_sub(tail & high) >> self.byte_bits;
        (slots as usize, bytes)
    }

    #[inline]
    fn advance(&self, cursor: u64, slots: usize, bytes: usize) -> u64 {
        let low = (1u64 << self.byte_bits) - 1;
        let slot = (cursor & !low).wrapping_add((slots as u64) << self.byte_bits);
        slot | (cursor.wrapping_add(bytes as u64) & low)
    }
}

/// Memory that is not touched before it is used.
fn uninit_cells<T>(count: usize) -> Cells<T> {
    let cells = Box::<[UnsafeCell<MaybeUninit<T>>]>::new_uninit_slice(count);
    // SAFETY: the elements are `MaybeUninit` themselves, which need no initialisation.
    unsafe { cells.assume_init() }
}

/// # Safety
/// All `cells` must have been written and must not be written to during `'a`.
unsafe fn initialised<T>(cells: &[UnsafeCell<MaybeUninit<T>>]) -> &[T] {
    // SAFETY: `UnsafeCell` and `MaybeUninit` have the layout of `T`; the rest is the
    // caller's promise.
    unsafe { std::slice::from_raw_parts(cells.as_ptr().cast::<T>(), cells.len()) }
}
