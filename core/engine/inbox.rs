//! What other threads have for a worker. The worker empties its inbox at the
//! start of a turn; putting something in wakes its loop once, however much is
//! put in before the loop runs.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::acks::{AckEvent, Waiting};
use super::cold::Warmed;
use super::partition_state::{Watch, state_of};
use crate::clock::{Clock, Stamp};
use crate::error::CoreError;
use crate::log::{Partition, StoreEvents};
use crate::space::Address;
use crate::stdx::histogram::Histogram;

#[derive(Default)]
pub(super) struct Items {
    /// Sources that have something to read again.
    pub ready: Vec<Watch>,
    /// What was read in for sources.
    pub warmed: Vec<Warmed>,
    pub acks: Vec<AckEvent>,
    /// Consumers of queues that are owed something.
    pub queues: Vec<(Address, Stamp)>,
    /// Frames for connections, whole.
    pub frames: Vec<(Address, Vec<u8>)>,
    /// Control-plane syncs that ended: token, and the error if it failed.
    pub synced: Vec<(u64, Option<CoreError>)>,
    pub retired_maps: Vec<u64>,
    pub mail: Vec<Vec<u8>>,
}

#[derive(Default)]
pub(super) struct Inbox {
    items: Mutex<Items>,
    signalled: AtomicBool,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Inbox {
    /// Wakes the loop at once, too: whoever put something in before could not.
    pub fn set_wake(&self, wake: Box<dyn Fn() + Send + Sync>) {
        // A second call is a bug of the binding, and harmless: the first stays.
        let _ = self.wake.set(wake);
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// Puts something in and wakes the loop if nobody has yet.
    pub fn put(&self, put: impl FnOnce(&mut Items)) {
        put(&mut self.items.lock());
        if !self.signalled.swap(true, Ordering::AcqRel)
            && let Some(wake) = self.wake.get()
        {
            wake();
        }
    }

    pub fn has_items(&self) -> bool {
        self.signalled.load(Ordering::Acquire)
    }

    /// Everything that was put in since the last call. One atomic load when there
    /// is nothing.
    pub fn take(&self) -> Option<Items> {
        if !self.signalled.swap(false, Ordering::AcqRel) {
            return None;
        }
        Some(std::mem::take(&mut *self.items.lock()))
    }
}

/// One inbox a worker. Also the receiver of the store's events, which the sync
/// and maintenance threads send.
pub(super) struct Inboxes {
    all: Vec<Inbox>,
    /// Some worker withholds credit until less is unsynced.
    credit_withheld: AtomicBool,
    clock: Arc<dyn Clock>,
    /// How long records waited for the sync that let consumers see them: the oldest of each sync.
    pub commit: Mutex<Histogram>,
}

impl Inboxes {
    pub fn new(workers: usize, clock: Arc<dyn Clock>) -> Self {
        let all = (0..workers.max(1)).map(|_| Inbox::default()).collect();
        Self { all, credit_withheld: AtomicBool::new(false), clock, commit: Mutex::default() }
    }

    pub fn get(&self, worker: usize) -> Option<&Inbox> {
        self.all.get(worker)
    }

    /// Wakes the sources that wait at the end of a partition.
    pub fn wake_watchers(&self, partition: &Partition) {
        for watch in state_of(partition).take_watchers() {
            self.wake_source(watch);
        }
    }

    pub fn wake_source(&self, watch: Watch) {
        if let Some(inbox) = self.get(watch.worker as usize) {
            inbox.put(|items| items.ready.push(watch));
        }
    }

    /// Every worker gets a turn after the next sync, to look at its dirty bytes again.
    /// The caller looks once more after this; what a sync did before it missed the
    /// flag is seen then, because both sides exchange it.
    pub fn wake_at_next_sync(&self) {
        self.credit_withheld.swap(true, Ordering::AcqRel);
    }

    /// A sync has ended, well or badly: there may be room again.
    fn wake_withholding(&self) {
        if self.credit_withheld.swap(false, Ordering::AcqRel) {
            self.wake_all();
        }
    }

    /// Has every worker run a turn.
    pub fn wake_all(&self) {
        for inbox in &self.all {
            inbox.put(|_| {});
        }
    }

    /// Answers what waited for a sync: all of it with an error, or what lies
    /// below the offset that was reached.
    pub fn answer(&self, waiting: impl IntoIterator<Item = Waiting>, error: Option<&CoreError>) {
        for one in waiting {
            match one {
                Waiting::Publish(worker, event) => {
                    let Some(inbox) = self.get(worker as usize) else { continue };
                    let event = match error {
                        Some(error) => event.failed(error.clone()),
                        None => event,
                    };
                    inbox.put(|items| items.acks.push(event));
                }
                Waiting::Token { worker, token } => {
                    let Some(inbox) = self.get(worker as usize) else { continue };
                    inbox.put(|items| items.synced.push((token, error.cloned())));
                }
            }
        }
    }
}

impl StoreEvents for Inboxes {
    fn committed(&self, partition: &Arc<Partition>) {
        let state = state_of(partition);
        let pending = state.pending.take();
        if pending.is_known() {
            let visible_ns = self.clock.ticks_ns();
            self.commit.lock().note_ns(visible_ns.saturating_sub(pending.visible_ns));
            state.moved.set(Stamp { visible_ns, ..pending });
        }
        self.wake_watchers(partition);
    }

    fn synced(&self, partition: &Arc<Partition>, upto_offset: u64) {
        self.answer(state_of(partition).take_synced(upto_offset), None);
        self.wake_withholding();
    }

    fn sync_failed(&self, partition: &Arc<Partition>, error: &CoreError) {
        self.answer(state_of(partition).take_synced(u64::MAX), Some(error));
        self.wake_withholding();
    }

    fn map_retired(&self, map_id: u64) {
        for inbox in &self.all {
            inbox.put(|items| items.retired_maps.push(map_id));
        }
    }
}
