//! A thread that reads cold pages in before the loop touches them. A page fault
//! on the loop would stop every connection for the time of a disk read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::cold::Warmed;
use super::inbox::Inboxes;
use super::partition_state::Watch;
use crate::error::{CoreError, Result};
use crate::mmap::{PAGE_BYTES, SegmentMap};

/// How much is waited for at a time.
const PIECE_BYTES: usize = 256 << 10;

/// How many ranges may wait; a source that finds the queue full reads cold.
const QUEUE_MAX: usize = 1024;

/// How far the thread stands back when the processors are busy.
const NICE: i32 = 10;

struct Range {
    map: Arc<SegmentMap>,
    start: usize,
    length: usize,
    watch: Watch,
    ask: u64,
}

impl Range {
    /// Reads it in, and starts to read as much behind it. Returns how much of it can be
    /// touched.
    fn read_in(&self) -> usize {
        for at in (0..2 * self.length).step_by(PIECE_BYTES) {
            self.map.start_reading(self.start + at, PIECE_BYTES);
        }
        let lost = self.lost_from(0, self.length, PIECE_BYTES);
        let lost = lost.and_then(|at| self.lost_from(at, self.length, PAGE_BYTES));
        lost.unwrap_or(self.length)
    }

    /// Waits for `from..to` in steps and returns the first that the disk does not give:
    /// touching it would end the process with SIGBUS. Where the kernel cannot do this the
    /// loop reads cold pages itself.
    fn lost_from(&self, from: usize, to: usize, step: usize) -> Option<usize> {
        (from..to).step_by(step).find(|at| {
            let read = self.map.prefault(self.start + at, step.min(to - at));
            let code = read.err().and_then(|error| error.raw_os_error());
            matches!(code, Some(libc::EFAULT | libc::EIO | libc::EHWPOISON))
        })
    }
}

pub(super) struct Prefaulter {
    /// Tells the thread that nobody waits for answers any more.
    is_stopping: Arc<AtomicBool>,
    asks: AtomicU64,
    queue: Mutex<Option<SyncSender<Range>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Prefaulter {
    pub fn start(inboxes: Arc<Inboxes>) -> Result<Self> {
        let (queue, ranges) = sync_channel::<Range>(QUEUE_MAX);
        let is_stopping = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&is_stopping);
        let run = move || {
            // The pages are for readers that are behind; the loop, which serves everybody,
            // goes first. A machine that refuses is as quick for those.
            let _ = rustix::process::setpriority_process(None, NICE);
            for range in ranges {
                let Some(inbox) = inboxes.get(range.watch.worker as usize) else { continue };
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let warmed = Warmed { watch: range.watch, ask: range.ask, bytes: range.read_in() };
                inbox.put(|items| items.warmed.push(warmed));
            }
        };
        let thread = std::thread::Builder::new()
            .name("millrace-prefault".to_owned())
            .spawn(run)
            .map_err(|error| CoreError::io("start the prefault thread", &error))?;
        let (queue, thread) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { is_stopping, asks: AtomicU64::new(1), queue, thread })
    }

    /// Asks for a range; the source is told when it is in memory. Returns the number that
    /// the answer will have, or `None` when the queue is full.
    pub fn ask(&self, map: Arc<SegmentMap>, start: usize, length: usize, watch: Watch) -> Option<u64> {
        let ask = self.asks.fetch_add(1, Ordering::Relaxed);
        let queue = self.queue.lock();
        queue.as_ref()?.try_send(Range { map, start, length, watch, ask }).ok()?;
        Some(ask)
    }

    /// Ends the thread after the range that it is at.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.queue.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of that thread has been printed already; nothing is lost by it.
            let _ = thread.join();
        }
    }
}
