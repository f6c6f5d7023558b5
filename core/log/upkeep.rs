//! The maintenance thread: finishing sealed segments, checkpoints, retention,
//! compaction, closing idle files. Nothing here runs on a loop's thread.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::partition::Partition;
use super::segment::Segment;
use super::state::{self, StatePoint};
use super::store::Logs;
use super::work::Work;
use super::{files, index};
use crate::error::{CoreError, Result};

/// How often spares are looked at while there are any.
const SPARES_CHECK: Duration = Duration::from_secs(5);

/// The maintenance thread.
pub fn run(logs: &Logs) {
    let every = Duration::from_millis(logs.shared.options.retention_check_ms.max(1));
    let mut last = Instant::now();
    loop {
        let mut wait = every.saturating_sub(last.elapsed());
        if logs.shared.spares.load(Ordering::Relaxed) > 0 {
            wait = wait.min(SPARES_CHECK);
        }
        let Work::Partitions(partitions) = logs.shared.maintenance.take(wait) else { return };
        for partition in partitions {
            if partition.is_deleted() {
                partition.bury();
            } else {
                // A full disk shows at the next append; it is tried again.
                let _ = partition.checkpoint();
                // A segment that was sealed may put the log past its size: at the next
                // round it would be past by all that comes until then.
                let _ = partition.shrink();
            }
        }
        logs.remove_deleted();
        drop_spares(logs);
        close_idle_files(logs);
        if last.elapsed() >= every {
            round(logs);
            last = Instant::now();
        }
    }
}

/// One round over all partitions.
pub fn round(logs: &Logs) {
    for partition in logs.partitions() {
        if partition.is_deleted() || partition.failure().is_some() {
            continue;
        }
        // What fails here (a full disk) is tried again in the next round, and
        // shows to producers on its own.
        let _ = partition.expire();
        if partition.checkpoint_due.load(Ordering::Acquire) {
            let _ = partition.checkpoint();
        }
        if partition.config().compact {
            let _ = super::compact::run(&partition);
        }
    }
    drop_spares(logs);
    close_idle_files(logs);
}

/// Removes the spares that stayed too long, or all when a disk is full.
fn drop_spares(logs: &Logs) {
    let shared = &logs.shared;
    if shared.spares.load(Ordering::Relaxed) == 0 {
        return;
    }
    let is_full = shared.disk_full.swap(false, Ordering::AcqRel);
    for partition in logs.partitions() {
        partition.drop_spares(is_full || partition.failure().is_some());
    }
}

/// Closes clean files beyond `open_files_max`, those first that were appended to
/// longest ago, and has dirty ones synced, so that they can be closed later.
fn close_idle_files(logs: &Logs) {
    let limit = logs.shared.options.open_files_max;
    let is_over = || logs.shared.open_files.load(Ordering::Relaxed) > limit;
    if !is_over() {
        return;
    }
    let mut open: Vec<(Arc<Partition>, Arc<Segment>)> = Vec::new();
    for partition in logs.partitions() {
        let segments = partition.segments();
        let disk = segments.iter().filter(|segment| segment.is_open() && !segment.is_memory());
        open.extend(disk.map(|segment| (Arc::clone(&partition), Arc::clone(segment))));
    }
    open.sort_by_key(|(_, segment)| segment.appended_ms());
    let surplus = open.len().saturating_sub(limit);
    for (partition, segment) in &open[..surplus] {
        if segment.is_dirty() {
            logs.shared.syncs.push(partition);
        } else {
            segment.close_file();
        }
    }
}

impl Partition {
    /// Syncs, finishes what is sealed and writes the state file: from here on a
    /// recovery reads only what is appended later.
    ///
    /// # Errors
    /// `storage_failed` or `disk_full`; it is tried again in the next round.
    pub(super) fn checkpoint(&self) -> Result<()> {
        let Some(directory) = self.directory() else { return Ok(()) };
        let _upkeep = self.upkeep_lock.lock();
        self.checkpoint_due.store(false, Ordering::Release);
        let result = self.write_checkpoint(directory);
        if result.is_err() {
            self.checkpoint_due.store(true, Ordering::Release);
        }
        result
    }

    fn write_checkpoint(&self, directory: &Path) -> Result<()> {
        let state = self.state_content();
        self.sync_now()?;
        let io = |error| CoreError::io(&format!("checkpoint {}", self.name()), &error);
        // A segment that was sealed since then may be dirty: its turn comes. A
        // damaged one keeps the bytes that somebody may still want to look at.
        let due = |segment: &&Arc<Segment>| {
            segment.is_sealed() && !segment.is_finished() && !segment.is_dirty() && !segment.is_damaged()
        };
        for segment in self.segments().iter().filter(due) {
            // A failure that came meanwhile has written off what was not synced.
            if let Some(error) = self.failure() {
                return Err(error.clone());
            }
            self.finish(segment).map_err(io)?;
        }
        if let (Some((base, content)), false) = (state, self.is_deleted()) {
            files::replace(&directory.join(state::STATE_FILE), &content).map_err(io)?;
            self.noted_base.store(base, Ordering::Release);
        }
        Ok(())
    }

    /// The active segment's base and the state as of now, which may be written
    /// once all of it is synced. `None` while the partition has never held anything.
    fn state_content(&self) -> Option<(u64, Vec<u8>)> {
        let appender = self.appender.lock();
        let segments = self.segments();
        let last = segments.last()?;
        let (check_position, check_crc) = match &appender.active {
            Some(_) => appender.last_batch,
            None => (0, 0),
        };
        let point = StatePoint {
            segment_base: last.base,
            position: last.written(),
            next_offset: self.next_offset(),
            last_epoch: appender.last_epoch,
            max_timestamp: last.max_timestamp(),
            created_ms: last.created_ms(),
            appended_ms: last.appended_ms(),
            check_position,
            check_crc,
        };
        Some((last.base, state::encode_state(&point, &appender.producers)))
    }

    /// After a sealed segment was synced: gives the unused tail back, writes the
    /// index file (which says that the segment is synced) and closes the file.
    fn finish(&self, segment: &Arc<Segment>) -> std::io::Result<()> {
        if segment.is_memory() || segment.is_removed() {
            segment.mark_finished();
            return Ok(());
        }
        let (written, end) = (segment.written(), segment.file_end());
        if end > written {
            files::zero(&*segment.file()?, written, end)?;
            segment.mark_punched(written);
        }
        self.write_index(segment)?;
        segment.mark_finished();
        segment.close_file();
        Ok(())
    }

    fn write_index(&self, segment: &Arc<Segment>) -> std::io::Result<()> {
        let Some(directory) = self.directory() else { return Ok(()) };
        let other = |error: CoreError| std::io::Error::other(error.message);
        let entries = segment.with_index(<[_]>::to_vec).map_err(other)?;
        let check_position = entries.last().map_or(0, |entry| entry.position);
        let check_crc = files::header_at(&*segment.file()?, check_position)?.map_or(0, |header| header.crc);
        let content = index::encode(&segment.summary(check_position, check_crc), &entries);
        files::replace(&files::index_path(directory, segment.base), &content)
    }
}
