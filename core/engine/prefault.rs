//! A thread that reads cold pages in before the loop touches them. A page fault
//! on the loop would stop every connection for the time of a disk read.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::inbox::Inboxes;
use super::partition_state::Watch;
use crate::error::{CoreError, Result};
use crate::mmap::SegmentMap;

/// How many ranges may wait; a source that finds the queue full reads cold.
const QUEUE_MAX: usize = 1024;

struct Range {
    map: Arc<SegmentMap>,
    start: usize,
    length: usize,
    watch: Watch,
}

pub(super) struct Prefaulter {
    queue: Mutex<Option<SyncSender<Range>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Prefaulter {
    pub fn start(inboxes: Arc<Inboxes>) -> Result<Self> {
        let (queue, ranges) = sync_channel::<Range>(QUEUE_MAX);
        let run = move || {
            for range in ranges {
                // A range that cannot be read in now is read when it is sent, and fails there.
                let _ = range.map.prefault(range.start, range.length);
                if let Some(inbox) = inboxes.get(range.watch.worker as usize) {
                    inbox.put(|items| items.ready.push(range.watch));
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("millrace-prefault".to_owned())
            .spawn(run)
            .map_err(|error| CoreError::io("start the prefault thread", &error))?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    /// Asks for a range; the source is made ready when it is in memory. False when
    /// the queue is full.
    pub fn ask(&self, map: Arc<SegmentMap>, start: usize, length: usize, watch: Watch) -> bool {
        let queue = self.queue.lock();
        queue.as_ref().is_some_and(|queue| queue.try_send(Range { map, start, length, watch }).is_ok())
    }

    /// Ends the thread after what is queued.
    pub fn stop(&self) {
        self.queue.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of that thread has been printed already; nothing is lost by it.
            let _ = thread.join();
        }
    }
}
