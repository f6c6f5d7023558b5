//! A consistent backup of a data directory that is being written to: what a `kill -9`
//! at one moment would have left. See README.md.

mod cut;
mod files;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::partition::Partition;
use super::segment::Segment;
use super::state::STATE_FILE;
use super::store::{EPOCH, LOGS, LogStore};
use super::{files as log_files, state};
use crate::error::{CoreError, ErrorCode, Result};
use cut::{Cut, Extent};
use files::{Item, Stage};

pub(super) use files::remove_stage;

/// A partition as it is in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionBackup {
    pub log_id: u64,
    pub index: u32,
    pub start_offset: u64,
    /// Every offset from the start up to here is in the backup.
    pub next_offset: u64,
    pub segments: Vec<SegmentBackup>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentBackup {
    pub base: u64,
    pub next_offset: u64,
    /// Bytes of batches; the file may be longer, with nothing of the log from there.
    pub bytes: u64,
}

/// Any other file of a backup; its last five bytes are the CRC of those before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileBackup {
    /// Below the backup's folder.
    pub path: String,
    pub bytes: u64,
}

/// What a backup holds, and what making it took.
#[derive(Clone, Debug, Default)]
pub struct Backup {
    /// The moment that it is of.
    pub at_ms: u64,
    pub epoch: u32,
    pub partitions: Vec<PartitionBackup>,
    pub files: Vec<FileBackup>,
    /// Bytes that the backup shares with the data directory, and bytes that were copied.
    pub linked_bytes: u64,
    pub copied_bytes: u64,
    /// How long nothing could be appended.
    pub stopped_us: u64,
    /// How long retention and compaction had to wait.
    pub held_us: u64,
}

/// How far the backup that is being made has come, and that there is only one.
#[derive(Default)]
pub struct Progress {
    running: Mutex<()>,
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// Files that are done, and all of them as far as they are known.
    pub fn files(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// Ends the backup that is being made; none is made any more.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    fn expect(&self, files: usize) {
        self.total.fetch_add(files as u64, Ordering::Relaxed);
    }

    fn step(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Acquire) {
            return Err(CoreError::new(ErrorCode::SHUTTING_DOWN, "the backup was given up, because the broker stops"));
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl LogStore {
    /// Makes a backup in `target`, a folder that is not there yet. `folders` are those of
    /// the data directory whose files are only ever replaced as a whole; what they say may
    /// be older than the logs, never newer. Takes its time: not for a loop's thread.
    ///
    /// When it returns, everything of it survives a loss of power.
    ///
    /// # Errors
    /// `invalid_argument` in memory, `backup_running`, `disk_full`, `storage_failed`,
    /// `shutting_down`. What was written by then is left for the caller to remove.
    pub fn backup(&self, target: &Path, folders: &[&str]) -> Result<Backup> {
        let Some(data_dir) = self.options().data_dir.clone() else {
            let message = "a broker that keeps everything in memory has no data directory to back up";
            return Err(CoreError::new(ErrorCode::INVALID_ARGUMENT, message));
        };
        let progress = &self.progress;
        let Some(_only) = progress.running.try_lock() else {
            return Err(CoreError::new(ErrorCode::BACKUP_RUNNING, "another backup is being made"));
        };
        progress.done.store(0, Ordering::Relaxed);
        progress.total.store(0, Ordering::Relaxed);
        let what = |error: io::Error| CoreError::io(&format!("begin the backup {}", target.display()), &error);
        let stage = Stage::prepare(&data_dir, target).map_err(what)?;
        let mut maker = Maker { store: self, data_dir, stage, items: Vec::new(), out: Backup::default() };
        maker.hold_and_link(folders)?;
        maker.settle()?;
        Ok(maker.out)
    }
}

struct Maker<'s> {
    store: &'s LogStore,
    data_dir: PathBuf,
    stage: Stage,
    items: Vec<Item>,
    out: Backup,
}

impl Maker<'_> {
    /// Everything that has to happen before a file may go: small files first, then the
    /// moment, then the segments as they were at it.
    fn hold_and_link(&mut self, folders: &[&str]) -> Result<()> {
        let held = self.store.shared().held.write();
        let began = Instant::now();
        self.link_small(folders)?;
        let Cut { at_ms, extents, took } = cut::take(self.store);
        self.out.at_ms = at_ms;
        self.out.stopped_us = micros(took);
        self.out.epoch = self.store.epoch();
        self.store.progress.expect(extents.iter().map(|extent| extent.segments.len()).sum());
        for extent in &extents {
            self.link_partition(extent)?;
        }
        drop(held);
        self.out.held_us = micros(began.elapsed());
        Ok(())
    }

    /// Files that are replaced as a whole: a link keeps what they said when it was made.
    fn link_small(&mut self, folders: &[&str]) -> Result<()> {
        for name in [state::FORMAT_FILE, EPOCH] {
            self.link_file(Path::new(name))?;
        }
        for folder in folders {
            let listed = match std::fs::read_dir(self.data_dir.join(folder)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                listed => listed.map_err(|error| self.failed(&error))?,
            };
            for entry in listed {
                let name = entry.map_err(|error| self.failed(&error))?.file_name();
                let path = Path::new(folder).join(name);
                if path.extension().is_none_or(|extension| extension != "tmp") {
                    self.link_file(&path)?;
                }
            }
        }
        for partition in self.store.with_disk_partitions(<[_]>::to_vec) {
            self.link_file(&directory_of(&partition).join(STATE_FILE))?;
        }
        Ok(())
    }

    /// Links a file of the data directory if it is there.
    fn link_file(&mut self, path: &Path) -> Result<()> {
        let Some(bytes) = self.stage.link(&self.data_dir.join(path), path).map_err(|error| self.failed(&error))? else {
            return Ok(());
        };
        self.store.progress.expect(1);
        self.store.progress.step()?;
        self.out.files.push(FileBackup { path: path.to_string_lossy().into_owned(), bytes });
        self.items.push(Item::whole(path, bytes));
        Ok(())
    }

    fn link_partition(&mut self, extent: &Extent) -> Result<()> {
        let Extent { partition, start_offset, next_offset, segments, end, .. } = extent;
        let directory = directory_of(partition);
        let mut listed = Vec::with_capacity(segments.len());
        for (at, segment) in segments.iter().enumerate() {
            // Only the last one grows.
            let bytes = if at + 1 == segments.len() { *end } else { segment.written() };
            let next_offset = if at + 1 == segments.len() { *next_offset } else { segment.next_offset() };
            self.link_segment(extent, segment, &directory, bytes)?;
            listed.push(SegmentBackup { base: segment.base, next_offset, bytes });
        }
        self.out.partitions.push(PartitionBackup {
            log_id: partition.log_id,
            index: partition.index,
            start_offset: *start_offset,
            next_offset: *next_offset,
            segments: listed,
        });
        Ok(())
    }

    fn link_segment(&mut self, extent: &Extent, segment: &Arc<Segment>, directory: &Path, bytes: u64) -> Result<()> {
        let grows = extent.grows(segment);
        let log = log_files::log_path(directory, segment.base);
        let item = if grows { Item::tail(&log, bytes) } else { Item::whole(&log, bytes) };
        let (Some(log_source), Some(index_source)) = (segment.path(), segment.index_path()) else { return Ok(()) };
        let linked = self.link_moved(&log_source, &item.linked, extent)?;
        if linked.is_none() {
            let gone = io::Error::new(io::ErrorKind::NotFound, format!("{} is gone", log_source.display()));
            return Err(self.failed(&gone));
        }
        self.items.push(item);
        if !grows {
            let index = log_files::index_path(directory, segment.base);
            if let Some(bytes) = self.link_moved(&index_source, &index, extent)? {
                self.out.files.push(FileBackup { path: index.to_string_lossy().into_owned(), bytes });
                self.items.push(Item::whole(&index, bytes));
            }
        }
        self.store.progress.step()
    }

    /// Links a file of a partition, also where its log was deleted since: then the folder
    /// has another name, and stays for as long as removals are held.
    fn link_moved(&self, source: &Path, name: &Path, extent: &Extent) -> Result<Option<u64>> {
        let found = self.stage.link(source, name).map_err(|error| self.failed(&error))?;
        if found.is_some() {
            return Ok(found);
        }
        let Some(away) = self.store.deleted_path(extent.partition.log_id) else { return Ok(None) };
        let Some(file) = source.file_name() else { return Ok(None) };
        let moved = away.join(extent.partition.index.to_string()).join(file);
        self.stage.link(&moved, name).map_err(|error| self.failed(&error))
    }

    /// Copies what has to be copied and has the disk take everything.
    fn settle(&mut self) -> Result<()> {
        let items = std::mem::take(&mut self.items);
        let copied = items.iter().filter(|item| self.stage.has_to_copy(item)).count();
        self.store.progress.expect(copied);
        for item in &items {
            if self.stage.has_to_copy(item) {
                self.stage.copy(item).map_err(|error| self.failed(&error))?;
                self.out.copied_bytes += item.bytes;
                self.store.progress.step()?;
            } else {
                self.out.linked_bytes += item.bytes;
            }
        }
        self.stage.finish().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> CoreError {
        CoreError::io(&format!("write the backup {}", self.stage.target().display()), error)
    }
}

fn directory_of(partition: &Partition) -> PathBuf {
    Path::new(LOGS).join(partition.log_id.to_string()).join(partition.index.to_string())
}

fn micros(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
