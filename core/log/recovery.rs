//! Finding a partition's log again. README.md has the rules; in short: what an
//! index file or the state point covers was synced and is believed (and verified
//! at its first read); behind it every batch is read and checked, the log ends
//! at the first one that does not fit, and what lies behind that is zeroed and
//! synced before anything can be appended.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use super::config::LogConfig;
use super::index::{IndexEntry, SegmentSummary};
use super::partition::{Origin, Partition};
use super::producers::Producers;
use super::scan::{self, Chain, Found, Scan, Scanned};
use super::segment::Segment;
use super::shared::Shared;
use super::state::{self, StatePoint};
use super::stats::Damage;
use super::store::DELETED;
use super::walk::IndexBuilder;
use super::{compact, files, index};
use crate::error::{CoreError, Result};

/// What recovering one partition cost and found.
#[derive(Default)]
pub struct Findings {
    pub segments: usize,
    pub bytes: u64,
    pub scanned_bytes: u64,
    pub last_epoch: u32,
    pub tail_zeroed: bool,
    pub damage: Vec<Damage>,
}

/// A segment file as it lies on disk.
struct Candidate {
    base: u64,
    path: PathBuf,
    file_bytes: u64,
    modified_ms: u64,
    /// From a valid index file: the segment was synced as a whole.
    index: Option<SegmentSummary>,
}

/// What reading a segment behind the trusted part gave.
struct Reading {
    summary: SegmentSummary,
    /// Batches from here on were verified.
    verified_from: u64,
    entries: Option<Vec<IndexEntry>>,
    last_batch: (u64, u32),
}

struct Recovery<'r> {
    shared: &'r Arc<Shared>,
    directory: &'r Path,
    log_id: u64,
    partition: u32,
    state: Option<StatePoint>,
    producers: Producers,
    next_offset: u64,
    last_epoch: u32,
    last_batch: (u64, u32),
    segments: Vec<Arc<Segment>>,
    findings: Findings,
}

/// Opens the partition in `directory`.
///
/// # Errors
/// `storage_failed` when the directory or a file cannot be read or cleaned.
pub fn recover(
    shared: &Arc<Shared>,
    directory: &Path,
    log_id: u64,
    partition: u32,
    config: Arc<LogConfig>,
) -> Result<(Arc<Partition>, Findings)> {
    let cleaned = compact::recover(directory)?;
    let what = |error| CoreError::io(&format!("recover {}", directory.display()), &error);
    let candidates = list(directory).map_err(what)?;
    let producers_max = shared.options.producers_per_partition_max;
    let (state, producers) = match state::read_state(directory, producers_max) {
        Some((point, producers)) if is_state_of(&point, &candidates).map_err(what)? => (Some(point), producers),
        _ => (None, Producers::new(producers_max)),
    };
    let mut recovery = Recovery {
        shared,
        directory,
        log_id,
        partition,
        next_offset: candidates.first().map(|first| first.base).or(state.map(|point| point.next_offset)).unwrap_or(0),
        state,
        producers,
        last_epoch: 0,
        last_batch: (0, 0),
        segments: Vec::new(),
        findings: Findings::default(),
    };
    let active = recovery.walk(candidates).map_err(what)?;
    compact::limit(directory, cleaned, recovery.next_offset)?;
    Ok(recovery.finish(config, active))
}

/// The segments of a directory in order. Leftovers of interrupted replacements
/// are removed.
fn list(directory: &Path) -> io::Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if Path::new(name).extension().is_some_and(|extension| extension == "tmp") {
            std::fs::remove_file(entry.path())?;
        }
        let Some(base) = files::base_of(name) else { continue };
        let metadata = entry.metadata()?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut candidate = Candidate {
            base,
            path: entry.path(),
            file_bytes: metadata.len(),
            modified_ms: u64::try_from(modified.as_millis()).unwrap_or(0),
            index: None,
        };
        candidate.index = candidate.read_index(directory)?;
        candidates.push(candidate);
    }
    candidates.sort_by_key(|candidate| candidate.base);
    Ok(candidates)
}

impl Candidate {
    fn open(&self) -> io::Result<File> {
        File::options().read(true).write(true).open(&self.path)
    }

    /// The summary of the index file, if that is whole and belongs to this file.
    fn read_index(&self, directory: &Path) -> io::Result<Option<SegmentSummary>> {
        let bytes = match std::fs::read(files::index_path(directory, self.base)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some((summary, _)) = index::decode(&bytes) else { return Ok(None) };
        if summary.base != self.base || summary.end > self.file_bytes {
            return Ok(None);
        }
        let check = files::header_at(&self.open()?, summary.check_position)?;
        let belongs = summary.end == 0 || check.is_some_and(|header| header.crc == summary.check_crc);
        Ok(belongs.then_some(summary))
    }
}

/// Whether a state point fits the files it lies beside.
fn is_state_of(point: &StatePoint, candidates: &[Candidate]) -> io::Result<bool> {
    let Some(candidate) = candidates.iter().find(|candidate| candidate.base == point.segment_base) else {
        // Its segment has expired since; what it says of the producers holds.
        return Ok(candidates.first().is_none_or(|first| first.base > point.segment_base));
    };
    if candidate.index.is_some_and(|summary| summary.end == point.position) || point.position == 0 {
        return Ok(true);
    }
    if point.position > candidate.file_bytes {
        return Ok(false);
    }
    let check = files::header_at(&candidate.open()?, point.check_position)?;
    Ok(check.is_some_and(|header| {
        header.crc == point.check_crc && point.check_position + header.batch_bytes() as u64 == point.position
    }))
}

impl Recovery<'_> {
    /// Goes through the segments in order. Returns whether the last one may be
    /// appended to.
    fn walk(&mut self, candidates: Vec<Candidate>) -> io::Result<bool> {
        // Everything before this was synced: damage there costs what is damaged,
        // never what comes after.
        let by_index = candidates.iter().rposition(|candidate| candidate.index.is_some()).map_or(0, |at| at + 1);
        let by_state = self.state.map_or(0, |point| candidates.partition_point(|c| c.base < point.segment_base));
        let synced = by_index.max(by_state);
        let count = candidates.len();
        let mut rest = candidates.into_iter().enumerate();
        while let Some((at, candidate)) = rest.next() {
            let fits = if at < synced || at == 0 {
                candidate.base >= self.next_offset
            } else {
                candidate.base == self.next_offset
            };
            if !fits {
                self.cut(&candidate)?;
                if at < synced {
                    continue;
                }
                for (_, candidate) in rest {
                    self.cut(&candidate)?;
                }
                return self.reopen_last();
            }
            self.next_offset = candidate.base;
            self.take_in(&candidate, at < synced, at + 1 == count)?;
        }
        Ok(self.segments.last().is_some_and(|last| !last.is_sealed()))
    }

    /// Removes a segment that does not continue the log.
    fn cut(&mut self, candidate: &Candidate) -> io::Result<()> {
        if candidate.file_bytes > 0 {
            self.note_damage(candidate.base, "a segment that does not continue the log was removed");
        }
        std::fs::remove_file(files::log_path(self.directory, candidate.base))?;
        match std::fs::remove_file(files::index_path(self.directory, candidate.base)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => files::sync_directory(self.directory),
        }
    }

    /// After later segments were cut: the last one that is left was sealed only
    /// by their existence.
    fn reopen_last(&mut self) -> io::Result<bool> {
        let Some(last) = self.segments.last().filter(|last| !last.is_finished()).cloned() else { return Ok(false) };
        last.unseal();
        let file_bytes = last.file_end();
        self.clear_tail(&last, &*last.file()?, file_bytes)?;
        Ok(true)
    }

    fn take_in(&mut self, candidate: &Candidate, synced: bool, last: bool) -> io::Result<()> {
        // Opened only while it is looked at: a partition may have thousands.
        let file = candidate.open()?;
        let reading = self.read(candidate, &file, synced && !last)?;
        let summary = &reading.summary;
        let segment = Arc::new(Segment::recovered(
            self.shared,
            self.directory,
            summary,
            candidate.file_bytes,
            reading.verified_from,
            reading.entries,
        ));
        self.next_offset = summary.next_offset;
        self.last_epoch = self.last_epoch.max(summary.last_epoch);
        self.last_batch = reading.last_batch;
        if candidate.index.is_some() {
            segment.mark_finished();
        } else if !last {
            segment.mark_sealed();
            if synced && files::has_data(&file, summary.end, candidate.file_bytes)? {
                segment.mark_damaged();
                self.note_damage(summary.next_offset, "batches of a sealed segment are lost");
            }
        } else {
            self.clear_tail(&segment, &file, candidate.file_bytes)?;
        }
        if !synced && candidate.index.is_none() {
            segment.mark_unsynced_from(reading.verified_from.min(summary.end));
            let dirty = summary.end - reading.verified_from.min(summary.end);
            self.shared.dirty_bytes.fetch_add(dirty, Ordering::Relaxed);
        }
        self.segments.push(segment);
        Ok(())
    }

    /// Reads what has to be read of a segment: all of it, or what lies behind
    /// the state point, or, with an index file before that point, nothing.
    fn read(&mut self, candidate: &Candidate, file: &File, gaps: bool) -> io::Result<Reading> {
        let point = self.state.filter(|point| point.segment_base == candidate.base);
        let behind = self.state.is_none_or(|point| candidate.base > point.segment_base);
        if let (Some(summary), None, false) = (candidate.index, point, behind) {
            return Ok(Reading { summary, verified_from: summary.end, entries: None, last_batch: (0, 0) });
        }
        let mut summary = start_summary(candidate, point.as_ref());
        let chain =
            if gaps || candidate.index.is_some_and(|index| index.compacted) { Chain::Rising } else { Chain::Exact };
        let mut verified_from = summary.end;
        let last_epoch = self.last_epoch.max(summary.last_epoch);
        let start = Scanned { position: summary.end, next_offset: summary.next_offset, last_epoch };
        let mut scan = Scan::new(file, candidate.file_bytes, chain, start);
        let mut builder = IndexBuilder::new(self.shared.options.index_interval_bytes);
        let mut last_batch = point.map_or((0, 0), |point| (point.check_position, point.check_crc));
        let learns = point.is_some() || behind;
        while let Some(batch) = self.next_batch(&mut scan, gaps, &mut verified_from)? {
            builder.note(batch.header.base_offset, batch.position, batch.header.max_timestamp());
            last_batch = (batch.position, batch.header.crc);
            summary.max_timestamp = summary.max_timestamp.max(batch.header.max_timestamp());
            if learns && batch.header.has_producer() {
                self.producers.note(&batch.header, batch.span, batch.header.base_offset);
            }
        }
        let end = scan.at;
        self.findings.scanned_bytes += end.position - summary.end;
        (summary.end, summary.next_offset, summary.last_epoch) = (end.position, end.next_offset, end.last_epoch);
        if let Some(index) = candidate.index {
            // It was synced whole; what the scan could not read shows at its
            // first read.
            let trusted = if end.position == index.end { verified_from } else { index.end };
            return Ok(Reading { summary: index, verified_from: trusted, entries: None, last_batch });
        }
        let entries = point.is_none().then_some(builder.entries);
        Ok(Reading { summary, verified_from, entries, last_batch })
    }

    /// The next batch of a scan. In a segment that was synced as a whole
    /// (`whole`) damage is stepped over, and everything is verified again when it
    /// is read, so that readers are told of it.
    fn next_batch(&mut self, scan: &mut Scan<'_>, whole: bool, verified_from: &mut u64) -> io::Result<Option<Found>> {
        if let Some(batch) = scan.next()? {
            return Ok(Some(batch));
        }
        let offset = scan.at.next_offset;
        if !whole || !scan.resync()? {
            return Ok(None);
        }
        *verified_from = u64::MAX;
        self.note_damage(offset, "a batch of a sealed segment cannot be read");
        scan.next()
    }

    /// Zeroes and syncs what follows the log's end, if anything does: a batch
    /// that was torn away from its predecessor must never line up again.
    fn clear_tail(&mut self, segment: &Segment, file: &File, file_bytes: u64) -> io::Result<()> {
        let end = segment.written();
        if files::has_data(file, end, file_bytes)? {
            let stale = scan::is_of_earlier(file, end, file_bytes, segment.base)?;
            files::zero(file, end, file_bytes)?;
            file.sync_data()?;
            segment.mark_punched(end);
            self.findings.tail_zeroed = true;
            if !stale {
                self.note_damage(segment.next_offset(), "bytes behind the log's end were no batch");
            }
        }
        Ok(())
    }

    fn note_damage(&mut self, offset: u64, what: &'static str) {
        let (log_id, partition) = (self.log_id, self.partition);
        self.findings.damage.push(Damage { log_id, partition, offset, what });
    }

    fn finish(mut self, config: Arc<LogConfig>, active: bool) -> (Arc<Partition>, Findings) {
        let synced_offset = self.synced_offset();
        self.findings.segments = self.segments.len();
        self.findings.bytes = self.segments.iter().map(|segment| segment.written()).sum();
        self.findings.last_epoch = self.last_epoch;
        let max_timestamp = self.segments.last().map_or(0, |last| last.max_timestamp());
        let mut index = IndexBuilder::new(self.shared.options.index_interval_bytes);
        if let (true, Some(last)) = (active, self.segments.last()) {
            let interval = self.shared.options.index_interval_bytes;
            let resumed = last.loaded_index(|entries| IndexBuilder::resume(interval, entries, max_timestamp));
            index = resumed.unwrap_or_else(|| IndexBuilder::resume(interval, &[], max_timestamp));
        }
        let origin = Origin {
            segments: self.segments,
            active,
            next_offset: self.next_offset,
            synced_offset,
            last_epoch: self.last_epoch,
            noted_base: self.state.map_or(0, |point| point.segment_base),
            producers: self.producers,
        };
        let directory = Some(self.directory.to_owned());
        let partition = Partition::new(self.shared, directory, self.log_id, self.partition, config, origin);
        partition.appender().inner().resume(index, self.last_batch);
        (partition, self.findings)
    }

    /// The end of the last segment that was synced whole, or the state point.
    fn synced_offset(&self) -> u64 {
        let dirty = self.segments.iter().find(|segment| segment.is_dirty());
        match (dirty, self.state) {
            (None, _) => self.next_offset,
            (Some(dirty), Some(point)) if dirty.base == point.segment_base => point.next_offset,
            (Some(dirty), _) => dirty.base,
        }
    }
}

/// Where reading a segment begins, as the summary of what is before.
fn start_summary(candidate: &Candidate, point: Option<&StatePoint>) -> SegmentSummary {
    match point {
        Some(point) => SegmentSummary {
            base: candidate.base,
            end: point.position,
            next_offset: point.next_offset,
            max_timestamp: point.max_timestamp,
            created_ms: point.created_ms,
            appended_ms: point.appended_ms.max(candidate.modified_ms),
            last_epoch: point.last_epoch,
            ..SegmentSummary::default()
        },
        None => SegmentSummary {
            base: candidate.base,
            next_offset: candidate.base,
            created_ms: candidate.modified_ms,
            appended_ms: candidate.modified_ms,
            ..SegmentSummary::default()
        },
    }
}

/// A partition's directory found on disk.
pub struct Place {
    pub log_id: u64,
    pub index: u32,
    pub path: PathBuf,
}

/// The partitions on disk, by log and index. Logs whose deletion was
/// interrupted are removed.
pub fn list_places(logs: &Path) -> io::Result<Vec<Place>> {
    let mut places = Vec::new();
    for entry in std::fs::read_dir(logs)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(DELETED) {
            std::fs::remove_dir_all(entry.path())?;
            continue;
        }
        let Ok(log_id) = name.parse::<u64>() else { continue };
        for entry in std::fs::read_dir(entry.path())? {
            let entry = entry?;
            if let Ok(index) = entry.file_name().to_string_lossy().parse::<u32>() {
                places.push(Place { log_id, index, path: entry.path() });
            }
        }
    }
    places.sort_by_key(|place| (place.log_id, place.index));
    Ok(places)
}
