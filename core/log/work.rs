//! A queue of partitions for one of the store's threads. A partition waits in it
//! at most once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::partition::Partition;

#[derive(Default)]
pub struct WorkQueue {
    inner: Mutex<Inner>,
    ready: Condvar,
}

#[derive(Default)]
struct Inner {
    /// By address, which is unique while the `Arc` is held.
    waiting: HashMap<usize, Arc<Partition>>,
    woken: bool,
    stopped: bool,
}

/// What a thread got from the queue.
pub enum Work {
    Partitions(Vec<Arc<Partition>>),
    Stop,
}

impl WorkQueue {
    pub fn push(&self, partition: &Arc<Partition>) {
        let mut inner = self.inner.lock();
        if inner.stopped {
            return;
        }
        let fresh = inner.waiting.insert(Arc::as_ptr(partition).addr(), Arc::clone(partition)).is_none();
        if fresh {
            self.ready.notify_one();
        }
    }

    /// Wakes the thread with whatever waits, even nothing.
    pub fn wake(&self) {
        self.inner.lock().woken = true;
        self.ready.notify_one();
    }

    /// Lets the thread end; what still waits is dropped.
    pub fn stop(&self) {
        let mut inner = self.inner.lock();
        inner.stopped = true;
        inner.waiting.clear();
        self.ready.notify_all();
    }

    /// Waits for work, at most `timeout`; an empty list after the timeout.
    pub fn take(&self, timeout: Duration) -> Work {
        let mut inner = self.inner.lock();
        if !inner.stopped && !inner.woken && inner.waiting.is_empty() {
            self.ready.wait_for(&mut inner, timeout);
        }
        if inner.stopped {
            return Work::Stop;
        }
        inner.woken = false;
        let mut partitions: Vec<_> = inner.waiting.drain().map(|(_, partition)| partition).collect();
        partitions.sort_by_key(|partition| (partition.log_id, partition.index));
        Work::Partitions(partitions)
    }
}
