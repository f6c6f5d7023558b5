//! The snapshot: what all queues hold, in one file that is replaced as a whole. What lies
//! before it in the ack log is needed by nobody any more, and neither is what lies in the
//! journal before the first message that some queue holds.
//!
//! ```text
//! [version, journal next, acks next, queues]  and a CRC (core/log/files.rs)
//! queues  [queue id, machine's snapshot as bin, [number, deaths, number, deaths...], [group, state, group, state...]]...
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ledger::{Death, read_deaths, write_deaths};
use super::state::State;
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::{Partition, files};
use crate::queue::Queue;
use crate::stdx::msgpack::{Fault, Reader, write_array, write_bin, write_uint};

const VERSION: u64 = 1;
const FIELDS: usize = 4;
/// The last one, the sessions, is not in snapshots of earlier versions.
const QUEUE_FIELDS: usize = 4;
/// Between two snapshots there is `checkpointBytes` of ack log (or as much as the last
/// snapshot was, if that is more), which bounds what a start has to replay; or so many
/// times as much of journal, which bounds how much of it is kept that nobody needs.
const JOURNAL_FACTOR: u64 = 16;

/// Where a snapshot was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    pub journal_next: u64,
    pub acks_next: u64,
}

/// A snapshot that is taken and not written yet.
struct Taken {
    bytes: Vec<u8>,
    point: Point,
    /// The lowest number that a queue held.
    lowest: u64,
    path: PathBuf,
    journal: Arc<Partition>,
    acks: Arc<Partition>,
}

impl Taken {
    /// Writes it and lets the logs go as far as they are in it.
    fn write(self) -> Result<()> {
        // What the snapshot says was done must not be newer than what the disk has.
        self.journal.sync_now()?;
        self.acks.sync_now()?;
        let what = |error| CoreError::io("write the snapshot of a namespace's queues", &error);
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(what)?;
        }
        files::replace(&self.path, &files::seal(self.bytes)).map_err(what)?;
        self.journal.release_below(self.lowest.min(self.point.journal_next));
        self.acks.release_below(self.point.acks_next);
        Ok(())
    }
}

impl State {
    /// Takes a snapshot when enough has been logged since the last one, and has a thread
    /// of its own write it: it waits for the disk. One that fails is tried again after as
    /// much again: nothing is lost by it but time at the next start.
    pub(super) fn snapshot_if_due(&mut self) {
        let between = self.checkpoint_bytes.max(self.last_snapshot_bytes);
        let due = self.ledger.bytes_since_snapshot >= between
            || self.journal_bytes_since_snapshot >= between.saturating_mul(JOURNAL_FACTOR);
        if !due || self.is_writing_snapshot.load(Ordering::Acquire) {
            return;
        }
        let Some(taken) = self.take_snapshot() else { return };
        self.is_writing_snapshot.store(true, Ordering::Release);
        let writing = Arc::clone(&self.is_writing_snapshot);
        let write = move || {
            let _ = taken.write();
            writing.store(false, Ordering::Release);
        };
        if std::thread::Builder::new().name("millrace-snapshot".into()).spawn(write).is_err() {
            self.is_writing_snapshot.store(false, Ordering::Release);
        }
    }

    /// Takes a snapshot and waits until it is on the disk.
    ///
    /// # Errors
    /// `storage_failed`, `disk_full`.
    pub fn snapshot(&mut self) -> Result<()> {
        // An older one that is still on its way must not land on top of this one.
        while self.is_writing_snapshot.load(Ordering::Acquire) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        self.take_snapshot().map_or(Ok(()), Taken::write)
    }

    /// `None` in memory: there the logs are only kept to be read, and let go at once.
    fn take_snapshot(&mut self) -> Option<Taken> {
        let (journal, acks) = (Arc::clone(&self.journal.partition), Arc::clone(&self.ledger.partition));
        let point = Point { journal_next: journal.next_offset(), acks_next: acks.next_offset() };
        let lowest = self.lowest_live();
        self.ledger.bytes_since_snapshot = 0;
        self.journal_bytes_since_snapshot = 0;
        let Some(path) = self.snapshot_path.clone() else {
            journal.release_below(lowest);
            acks.release_below(point.acks_next);
            return None;
        };
        let mut bytes = Vec::new();
        self.write_snapshot(&point, &mut bytes);
        self.last_snapshot_bytes = bytes.len() as u64;
        self.named_sets.clear();
        Some(Taken { bytes, point, lowest, path, journal, acks })
    }

    fn write_snapshot(&self, point: &Point, out: &mut Vec<u8>) {
        let slots = self.queues.iter().enumerate().filter_map(|(id, slot)| Some((id, slot.as_deref()?)));
        let durable: Vec<_> = slots.filter(|(_, slot)| !slot.meta.transient).collect();
        write_array(out, FIELDS);
        write_uint(out, VERSION);
        write_uint(out, point.journal_next);
        write_uint(out, point.acks_next);
        write_array(out, durable.len());
        let mut machine = Vec::new();
        for (id, slot) in durable {
            write_array(out, QUEUE_FIELDS);
            write_uint(out, id as u64);
            machine.clear();
            slot.queue.write_snapshot(&mut machine);
            write_bin(out, &machine);
            write_array(out, slot.deaths.len() * 2);
            for (number, deaths) in &slot.deaths {
                write_uint(out, *number);
                write_deaths(out, deaths);
            }
            write_array(out, slot.sessions.len() * 2);
            for (group, state) in &slot.sessions {
                write_bin(out, group);
                write_bin(out, state);
            }
        }
    }

    /// Reads the snapshot into the queues that are still declared.
    ///
    /// # Errors
    /// `bad_format` for one that is damaged: without it settled messages would come again.
    pub(super) fn read_snapshot(&mut self, path: &Path) -> Result<Point> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Point::default()),
            read => read.map_err(|error| CoreError::io("read the snapshot of a namespace's queues", &error))?,
        };
        let restored = files::open_sealed(&bytes).and_then(|mut reader| self.restore_all(&mut reader).ok());
        restored.ok_or_else(|| {
            let message = format!(
                "{} is damaged; without it the queues are what their logs still tell, and settled messages may come again",
                path.display()
            );
            CoreError::new(ErrorCode::BAD_FORMAT, message)
        })
    }

    fn restore_all(&mut self, reader: &mut Reader<'_>) -> std::result::Result<Point, Fault> {
        if reader.array()? != FIELDS || reader.uint()? != VERSION {
            return Err(Fault::Malformed);
        }
        let point = Point { journal_next: reader.uint()?, acks_next: reader.uint()? };
        for _ in 0..reader.array()? {
            let fields = reader.array()?;
            let id = reader.uint32()?;
            let machine = reader.blob()?;
            let mut deaths: Vec<(u64, Vec<Death>)> = Vec::new();
            for _ in 0..reader.array()? / 2 {
                deaths.push((reader.uint()?, read_deaths(reader)?));
            }
            let mut sessions = Vec::new();
            for _ in 0..if fields < QUEUE_FIELDS { 0 } else { reader.array()? / 2 } {
                sessions.push((reader.blob()?.to_vec(), reader.blob()?.into()));
            }
            let Some(slot) = self.slot(id) else { continue };
            let config = slot.queue.config().clone();
            slot.queue = Queue::read_snapshot(config, machine).map_err(|_| Fault::Malformed)?;
            slot.deaths = deaths.into_iter().collect();
            slot.sessions = sessions.into_iter().collect();
        }
        Ok(point)
    }
}
