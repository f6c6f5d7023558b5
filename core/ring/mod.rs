//! The ring: bounded staging of single records, one ring a partition.
//!
//! Any thread pushes; one drain at a time walks what was published, in the order in
//! which the space was claimed. README.md beside this file has the invariants.

mod buffer;
mod drained;
#[cfg(all(test, loom))]
mod loom_test;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;

use buffer::Buffer;
pub use drained::Drained;

/// Bytes of the arena when the configuration does not say otherwise (`ringBytes`).
pub const RING_BYTES_DEFAULT: usize = 1 << 20;

/// `Entry::timestamp` of a record that left its timestamp nil.
pub const NO_TIMESTAMP: u64 = u64::MAX;

/// One slot per this many arena bytes: a record with a value of 100 bytes is about as
/// long, so that neither slots nor arena run out far before the other.
const BYTES_PER_SLOT: usize = 128;
const ARENA_BYTES_MIN: usize = 4096;
const ARENA_BYTES_MAX: usize = 1 << 30;

/// What the drain has to know of a record: who sent it and how it wants to be answered.
///
/// 56 bytes, `Copy`. No byte from the network is ever taken for a position or a length:
/// those stand here, apart from the records, and `push` sets them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Producer id, 0 = none.
    pub producer_id: u64,
    /// The record's absolute timestamp in ms, or [`NO_TIMESTAMP`].
    pub timestamp: u64,
    /// The worker's connection that sent the record, and which use of that (reused) number.
    pub worker: u32,
    pub connection: u32,
    pub generation: u32,
    /// The connection's publisher and its correlation id, for the ack.
    pub publisher: u32,
    pub correlation: u32,
    /// Idempotent producers: the record's sequence.
    pub sequence: u32,
    /// Where `push` has put the record in the arena; whatever the caller set is overwritten.
    pub start: u32,
    pub len: u32,
    pub producer_epoch: u16,
    /// 0 none, 1 memory, 2 written, 3 synced.
    pub acks: u8,
}

impl Entry {
    /// Length of the record's bytes; 0 before the entry was pushed.
    pub fn record_bytes(&self) -> usize {
        self.len as usize
    }
}

/// Why a record was not taken. The ring is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// No slot or no bytes free: drain and push again. A thread that pushes while
    /// another one drains may see this although the ring is just being emptied.
    Full,
    /// Longer than [`Ring::record_bytes_max`]: it would not fit into an empty ring
    /// either. Append it as a batch of its own, after draining.
    TooLarge,
}

/// A bounded buffer of single records: many pushers, one drain at a time.
pub struct Ring {
    buffer: Buffer,
}

impl Ring {
    /// Allocates a ring whose arena holds `ring_bytes`, rounded up to a power of two
    /// within 4 KiB and 1 GiB, and one slot per 128 bytes of it. The pages are touched
    /// only as records come in.
    pub fn with_bytes(ring_bytes: usize) -> Ring {
        let arena = ring_bytes.clamp(ARENA_BYTES_MIN, ARENA_BYTES_MAX).next_power_of_two();
        Ring::with_capacity(arena, arena / BYTES_PER_SLOT)
    }

    /// Both figures have to be powers of two; tests use tiny ones.
    pub(in crate::ring) fn with_capacity(arena_bytes: usize, slots: usize) -> Ring {
        Ring { buffer: Buffer::new(arena_bytes, slots) }
    }

    /// Copies one record in. `bytes` is stored verbatim and contiguously.
    ///
    /// # Errors
    /// [`PushError`]; nothing was stored then.
    #[inline]
    pub fn push(&self, entry: Entry, bytes: &[u8]) -> Result<(), PushError> {
        self.buffer.push(entry, bytes)
    }

    /// Hands up to `entries_max` records to `f`, oldest first, and frees their space
    /// when `f` returns. Returns how many; `f` is not called for 0. Unless limited by
    /// `entries_max` these are all whose push had returned or was under way when the
    /// drain began.
    ///
    /// Drains exclude each other (a second one waits), and `f` must not drain the
    /// same ring. If `f` panics nothing is freed: the next drain gives the same records.
    pub fn drain<F>(&self, entries_max: usize, f: F) -> usize
    where
        F: FnOnce(Drained<'_>),
    {
        self.buffer.drain(entries_max, f)
    }

    /// True when nothing is claimed. A record whose push is under way counts as there.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Longest record that `push` takes: half the arena, which always fits into an
    /// empty ring wherever its cursor stands.
    pub fn record_bytes_max(&self) -> usize {
        self.buffer.record_bytes_max()
    }

    /// Bytes of memory reserved, for the statistics.
    pub fn memory_bytes(&self) -> usize {
        self.buffer.memory_bytes()
    }
}
