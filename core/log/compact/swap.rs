//! Writing the new segments of a run beside the old ones, and putting them in
//! their place. README.md says why each step comes where it does.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use super::super::files;
use super::super::index;
use super::super::partition::Partition;
use super::super::segment::Segment;
use super::state::{self, CleanerState, Swap};
use super::writer::Writer;
use super::{Step, Steps};
use crate::batch::BatchHeader;
use crate::error::{CoreError, ErrorCode, Result};

/// The new segments of one run, as they are written.
pub struct Outputs<'o> {
    partition: &'o Arc<Partition>,
    segment_bytes: u64,
    steps: Steps<'o>,
    created_ms: u64,
    appended_ms: u64,
    capacity: u64,
    writer: Option<Writer>,
    /// The offset behind what was written; the base of the next segment.
    end_offset: u64,
    done: Vec<Arc<Segment>>,
}

impl<'o> Outputs<'o> {
    /// For the segments that replace `sources`, which are not empty. Their ages
    /// are the creation of the oldest and the last append of the youngest, so
    /// that retention by age takes no record early.
    pub fn new(partition: &'o Arc<Partition>, sources: &[Arc<Segment>], segment_bytes: u64, steps: Steps<'o>) -> Self {
        Self {
            partition,
            segment_bytes,
            steps,
            created_ms: sources.iter().map(|source| source.created_ms()).min().unwrap_or(0),
            appended_ms: sources.iter().map(|source| source.appended_ms()).max().unwrap_or(0),
            capacity: sources.iter().map(|source| source.written()).sum(),
            writer: None,
            end_offset: sources.first().map_or(0, |source| source.base),
            done: Vec::new(),
        }
    }

    /// Appends a batch that ends before `end_offset`. Opens a second segment
    /// where decompressed batches outgrow the first.
    ///
    /// # Errors
    /// `disk_full`, `storage_failed`.
    pub fn add(&mut self, header: &BatchHeader, end_offset: u64, bytes: &[u8]) -> Result<()> {
        let full = |writer: &Writer| writer.bytes() + bytes.len() as u64 > self.segment_bytes.max(self.capacity);
        if self.writer.as_ref().is_some_and(full) {
            self.seal()?;
        }
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.open().map_err(|error| self.failed(&error))?,
        };
        writer.add(header, bytes).map_err(|error| self.failed(&error))?;
        self.writer = Some(writer);
        self.end_offset = end_offset;
        (self.steps)(Step::Writing);
        Ok(())
    }

    fn open(&self) -> io::Result<Writer> {
        let file = match self.partition.directory() {
            Some(directory) => files::create(&state::temporary(&files::log_path(directory, self.end_offset)))?,
            None => files::create_memory(self.capacity)?,
        };
        let interval_bytes = self.partition.shared.options.index_interval_bytes;
        Ok(Writer::new(file, self.end_offset, interval_bytes))
    }

    fn seal(&mut self) -> Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let segment = self.finish_one(writer).map_err(|error| self.failed(&error))?;
        self.done.push(segment);
        (self.steps)(Step::Written);
        Ok(())
    }

    fn finish_one(&self, writer: Writer) -> io::Result<Arc<Segment>> {
        let output = writer.finish(self.end_offset, self.created_ms, self.appended_ms)?;
        let directory = self.partition.directory();
        if let Some(directory) = directory {
            let path = state::temporary(&files::index_path(directory, output.summary.base));
            let mut file = File::create(path)?;
            file.write_all(&index::encode(&output.summary, &output.entries))?;
            file.sync_data()?;
        }
        let shared = &self.partition.shared;
        Ok(Segment::rewritten(shared, directory, &output.summary, output.file, output.entries))
    }

    fn failed(&self, error: &io::Error) -> CoreError {
        CoreError::io(&format!("write a compacted segment of {}", self.partition.name()), error)
    }

    /// Closes the last segment.
    ///
    /// # Errors
    /// `disk_full`, `storage_failed`.
    pub fn finish(mut self) -> Result<Vec<Arc<Segment>>> {
        self.seal()?;
        Ok(self.done)
    }
}

/// Replaces `old` by `new` in the log: on disk so that a crash at any point
/// leaves one of the two, in memory so that readers of the old ones keep what
/// they hold and go on in the new ones.
///
/// # Errors
/// `storage_failed` or `disk_full` before the swap is decided: the old segments
/// stand. Behind that point the new ones stand, and what is left to do is done
/// by the next round or the next start. `internal` when `old` is no longer in
/// the log (retention was there first).
pub fn replace(
    partition: &Arc<Partition>,
    old: &[Arc<Segment>],
    new: Vec<Arc<Segment>>,
    state: &mut CleanerState,
    steps: Steps<'_>,
) -> Result<()> {
    let _upkeep = partition.upkeep_lock.lock();
    let _held = partition.shared.held.read();
    if !stands(&partition.segments(), old) {
        return Err(gone(partition));
    }
    if let Some(directory) = partition.directory() {
        // The names of the new files, of the state file and of the segment that
        // follows have to be there before the decision is.
        let synced = files::sync_directory(directory);
        synced.map_err(|error| CoreError::io(&format!("sync the directory of {}", partition.name()), &error))?;
        let bases = |segments: &[Arc<Segment>]| segments.iter().map(|segment| segment.base).collect();
        let decided = Swap { outputs: bases(&new), replaced: bases(old) };
        let next = CleanerState { swap: Some(decided), ..state.clone() };
        next.save(directory)?;
        *state = next;
        steps(Step::Decided);
    }
    if !exchange(partition, old, new) {
        if let Some(directory) = partition.directory() {
            let withdrawn = CleanerState { swap: None, ..state.clone() };
            withdrawn.save(directory)?;
            *state = withdrawn;
        }
        return Err(gone(partition));
    }
    for segment in old {
        segment.withdraw();
    }
    finish(partition, state, steps)
}

/// Does what an earlier round left undone behind its decision.
///
/// # Errors
/// `storage_failed`.
pub fn complete(partition: &Arc<Partition>, state: &mut CleanerState, steps: Steps<'_>) -> Result<()> {
    let _upkeep = partition.upkeep_lock.lock();
    let _held = partition.shared.held.read();
    finish(partition, state, steps)
}

fn finish(partition: &Arc<Partition>, state: &mut CleanerState, steps: Steps<'_>) -> Result<()> {
    let (Some(directory), Some(swap)) = (partition.directory(), &state.swap) else { return Ok(()) };
    for segment in partition.segments().iter().filter(|segment| segment.is_temporary()) {
        segment.settle(|| state::place(directory, segment.base, steps))?;
    }
    state::carry_out(directory, swap, steps)?;
    let done = CleanerState { swap: None, ..state.clone() };
    done.save(directory)?;
    *state = done;
    steps(Step::Swapped);
    Ok(())
}

fn stands(segments: &[Arc<Segment>], old: &[Arc<Segment>]) -> bool {
    let Some(first) = old.first() else { return false };
    let at = segments.partition_point(|segment| segment.base < first.base);
    let here = segments.get(at..at + old.len()).unwrap_or(&[]);
    here.len() == old.len() && here.iter().zip(old).all(|(here, old)| Arc::ptr_eq(here, old))
}

fn exchange(partition: &Partition, old: &[Arc<Segment>], new: Vec<Arc<Segment>>) -> bool {
    let mut done = false;
    partition.change_segments(|segments| {
        if stands(segments, old) {
            let at = segments.partition_point(|segment| segment.base < old[0].base);
            segments.splice(at..at + old.len(), new);
            done = true;
        }
    });
    done
}

fn gone(partition: &Partition) -> CoreError {
    let message = format!("the segments of {} went while they were compacted", partition.name());
    CoreError::new(ErrorCode::INTERNAL, message)
}
