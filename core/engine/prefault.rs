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

/// Touching such pages would end the process with SIGBUS.
fn is_lost(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EIO | libc::EHWPOISON))
}

/// How much is waited for at a time: what can be read before a broken page is told to this much.
const PIECE_BYTES: usize = 256 << 10;

/// Reads a range in, and starts to read as much behind it. Returns how much of the range
/// can be touched.
fn read_in(map: &SegmentMap, start: usize, length: usize) -> usize {
    for at in (0..2 * length).step_by(PIECE_BYTES) {
        map.start_reading(start + at, PIECE_BYTES);
    }
    for at in (0..length).step_by(PIECE_BYTES) {
        // Where the kernel cannot do this the loop reads cold pages itself.
        if map.prefault(start + at, PIECE_BYTES.min(length - at)).is_err_and(|error| is_lost(&error)) {
            return at;
        }
    }
    length
}

/// How many ranges may wait; a source that finds the queue full reads cold.
const QUEUE_MAX: usize = 1024;

/// How far the thread stands back when the processors are busy.
const NICE: i32 = 10;

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
            // The pages are for readers that are behind; the loop, which serves everybody,
            // goes first. A machine that refuses is as quick for those.
            let _ = rustix::process::setpriority_process(None, NICE);
            for Range { map, start, length, watch } in ranges {
                let bytes = read_in(&map, start, length);
                let Some(inbox) = inboxes.get(watch.worker as usize) else { continue };
                inbox.put(|items| items.warmed.push((watch, bytes)));
            }
        };
        let thread = std::thread::Builder::new()
            .name("millrace-prefault".to_owned())
            .spawn(run)
            .map_err(|error| CoreError::io("start the prefault thread", &error))?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    /// Asks for a range; the source is told when it is in memory. False when the queue
    /// is full.
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
