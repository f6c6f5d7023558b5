//! What the data plane hangs on a partition: its ring, the sources that wait at
//! its end, and the acks that wait for its sync.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::acks::Waiting;
use crate::clock::SharedStamp;
use crate::log::Partition;
use crate::ring::Ring;

/// A source of a subscription that waits for a partition's watermark to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    pub worker: u32,
    pub connection: u32,
    pub generation: u32,
    pub subscription: u32,
    pub source: u32,
}

#[derive(Default)]
pub(super) struct PartitionState {
    ring: OnceLock<Ring>,
    /// True while some worker has the partition on its list of rings to drain.
    staged: AtomicBool,
    watchers: Mutex<Vec<Watch>>,
    watched: AtomicBool,
    /// Ascending by offset.
    waiting: Mutex<VecDeque<(u64, Waiting)>>,
    /// Of the last records that consumers could see.
    pub moved: SharedStamp,
    /// Of the oldest that wait for a sync to be seen.
    pub pending: SharedStamp,
}

impl PartitionState {
    /// The partition's ring, allocated at the first use.
    pub fn ring(&self, ring_bytes: usize) -> &Ring {
        self.ring.get_or_init(|| Ring::with_bytes(ring_bytes))
    }

    pub fn ring_if_used(&self) -> Option<&Ring> {
        self.ring.get()
    }

    /// After a push: whether it falls to the caller to have the ring drained.
    pub fn stage(&self) -> bool {
        !self.staged.swap(true, Ordering::AcqRel)
    }

    /// Before a drain. Both sides exchange the flag: a push that found it set is seen
    /// by the drain that follows, and any other is staged anew. A mere store here may
    /// become visible after the drain's look at the ring, and a push in between would
    /// be drained by nobody.
    pub fn unstage(&self) {
        self.staged.swap(false, Ordering::AcqRel);
    }

    /// Registers a source. The caller reads the watermark again afterwards: an
    /// append between its last look and this call would wake nobody.
    pub fn watch(&self, watch: Watch) {
        let mut watchers = self.watchers.lock();
        watchers.push(watch);
        self.watched.store(true, Ordering::SeqCst);
    }

    pub fn unwatch(&self, watch: &Watch) {
        self.watchers.lock().retain(|other| other != watch);
    }

    pub fn take_watchers(&self) -> Vec<Watch> {
        if !self.watched.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let mut watchers = self.watchers.lock();
        self.watched.store(false, Ordering::SeqCst);
        std::mem::take(&mut *watchers)
    }

    /// Leaves an ack to be sent when everything below `upto_offset` is synced.
    pub fn wait_for_sync(&self, upto_offset: u64, waiting: Waiting) {
        self.waiting.lock().push_back((upto_offset, waiting));
    }

    pub fn take_synced(&self, upto_offset: u64) -> Vec<Waiting> {
        let mut queue = self.waiting.lock();
        let count = queue.iter().take_while(|(upto, _)| *upto <= upto_offset).count();
        queue.drain(..count).map(|(_, waiting)| waiting).collect()
    }
}

/// The data plane's state of a partition.
pub(super) fn state_of(partition: &Partition) -> &PartitionState {
    let slot = partition.slot.get_or_init(|| Box::new(PartitionState::default()));
    let Some(state) = slot.downcast_ref() else {
        unreachable!("the slot of a partition belongs to the engine alone");
    };
    state
}
