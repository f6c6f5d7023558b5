//! One round of compaction over a partition: decides, reads, rewrites run by run.

use std::path::Path;
use std::sync::Arc;

use super::super::partition::Partition;
use super::super::segment::Segment;
use super::mapped::MappedSource;
use super::plan::{self, Dirt, Extent};
use super::rewrite::{Mapped, Mapper, Policy, Rewriter, Tally};
use super::source::Source;
use super::state::CleanerState;
use super::swap::{self, Outputs};
use super::{Step, Steps};
use crate::error::Result;

/// A round starts when at least this share of the sealed bytes is new.
const DIRTY_PERCENT: u64 = 50;
/// After a failed round (a damaged batch, a full disk) the next one waits, so
/// that it does not read everything again every few seconds.
const RETRY_MS: u64 = 10 * 60 * 1000;

/// A partition's compaction between rounds.
#[derive(Default)]
pub struct Cleaner {
    /// `None` until it was read from disk.
    state: Option<CleanerState>,
    retry_at_ms: u64,
}

/// What makes a round start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Enough new bytes, or tombstones whose time has come.
    Due,
    /// Always.
    Now,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub tally: Tally,
    /// Every key stands once below this offset.
    pub cleaner_point: u64,
    /// Runs of segments that were replaced.
    pub swaps: usize,
}

/// Compacts a partition if it is time to. For the maintenance thread: it may
/// take long, and ends early when the partition is deleted or the store closes.
///
/// Returns `None` when nothing was due.
///
/// # Errors
/// `corrupt_batch`, `disk_full`, `storage_failed`; the log is whole after each.
pub fn run(partition: &Arc<Partition>) -> Result<Option<Outcome>> {
    run_with(partition, When::Due, &|_| ())
}

/// As `run`, with a choice of when and a hook for tests to crash in.
///
/// # Errors
/// As `run`.
pub fn run_with(partition: &Arc<Partition>, when: When, steps: Steps<'_>) -> Result<Option<Outcome>> {
    let Some(mut cleaner) = partition.cleaner.try_lock() else { return Ok(None) };
    let now_ms = partition.shared.now_ms();
    if when == When::Due && now_ms < cleaner.retry_at_ms {
        return Ok(None);
    }
    let mut state = match cleaner.state.take() {
        Some(state) => state,
        None => partition.directory().map_or_else(|| Ok(CleanerState::default()), CleanerState::load)?,
    };
    let result = Round { partition, steps, now_ms }.run(when, &mut state);
    cleaner.state = Some(state);
    // A log that is being deleted loses its files under us.
    let result = result.map_err(|error| partition.refusal().unwrap_or(error));
    if result.is_err() {
        cleaner.retry_at_ms = now_ms.saturating_add(RETRY_MS);
        if let Some(directory) = partition.directory() {
            clean_up(partition, directory);
        }
    }
    result
}

/// After a failure: what was written and not decided goes at once, for the disk
/// may be full.
fn clean_up(partition: &Partition, directory: &Path) {
    let _upkeep = partition.upkeep_lock.lock();
    let pending = partition.segments().iter().any(|segment| segment.is_temporary());
    if !pending && !partition.is_deleted() {
        let _ = super::state::remove_temporaries(directory);
    }
}

struct Round<'r> {
    partition: &'r Arc<Partition>,
    steps: Steps<'r>,
    now_ms: u64,
}

impl Round<'_> {
    fn run(&self, when: When, state: &mut CleanerState) -> Result<Option<Outcome>> {
        let partition = self.partition;
        if state.swap.is_some() {
            swap::complete(partition, state, self.steps)?;
        }
        if !is_due(&eligible(partition), state, when, self.now_ms) {
            return Ok(None);
        }
        // The state file may speak of a segment that was sealed since: recovery
        // would look for its position in a file that is about to be replaced.
        partition.checkpoint()?;
        let segments = eligible(partition);
        let Some(last) = segments.last() else { return Ok(None) };
        let policy = self.policy();
        let producers = partition.appender.lock().producers.latest_offsets();
        let mapped = self.map(&segments, state.cleaner_point, last.next_offset(), policy.compaction_keys_max)?;
        let mut rewriter = Rewriter::new(&mapped, &producers, policy);
        let swaps = self.rewrite(&segments, &mut rewriter, &mapped, policy, state)?;
        let tally = rewriter.tally();
        state.cleaner_point = state.cleaner_point.max(mapped.end_offset);
        state.tombstones_until_ms = tally.tombstones_until_ms;
        if let Some(directory) = partition.directory() {
            // Behind this lock the directory is still this partition's.
            let _upkeep = partition.upkeep_lock.lock();
            self.check_alive()?;
            state.save(directory)?;
        }
        (self.steps)(Step::Finished);
        Ok(Some(Outcome { tally, cleaner_point: state.cleaner_point, swaps }))
    }

    fn policy(&self) -> Policy {
        let config = self.partition.config();
        Policy {
            tombstone_retention_ms: u64::try_from(config.tombstone_retention_ms).unwrap_or(u64::MAX),
            now_ms: self.now_ms,
            compaction_keys_max: self.partition.shared.options.compaction_keys_max,
            segment_bytes: config.segment_bytes,
        }
    }

    fn map(&self, segments: &[Arc<Segment>], from: u64, until: u64, keys_max: usize) -> Result<Mapped> {
        let mut mapper = Mapper::new(from, until, keys_max);
        let dirty = segments.partition_point(|segment| segment.next_offset() <= from);
        for segment in &segments[dirty..] {
            self.check_alive()?;
            if !mapper.add(&MappedSource::open(segment)?)? {
                break;
            }
        }
        Ok(mapper.finish())
    }

    /// Rewrites and replaces run by run, oldest first. The order matters: a
    /// tombstone may go only when what it hides, further down, is gone for good.
    fn rewrite(
        &self,
        segments: &[Arc<Segment>],
        rewriter: &mut Rewriter<'_>,
        mapped: &Mapped,
        policy: Policy,
        state: &mut CleanerState,
    ) -> Result<usize> {
        let covered = segments.partition_point(|segment| segment.base < mapped.end_offset);
        let segments = &segments[..covered];
        let mut swaps = 0;
        for group in plan::groups(&extents(segments), policy.segment_bytes) {
            self.check_alive()?;
            let group = &segments[group];
            let sources = group.iter().map(MappedSource::open).collect::<Result<Vec<_>>>()?;
            if let [only] = &sources[..]
                && rewriter.leaves(only)?
            {
                continue;
            }
            let sources: Vec<&dyn Source> = sources.iter().map(|source| source as &dyn Source).collect();
            let mut outputs = Outputs::new(self.partition, group, policy.segment_bytes, self.steps);
            rewriter.run(&sources, &mut |header, end_offset, bytes| {
                self.check_alive()?;
                outputs.add(header, end_offset, bytes)
            })?;
            let new = outputs.finish()?;
            if !new.is_empty() {
                swap::replace(self.partition, group, new, state, self.steps)?;
                swaps += 1;
            }
        }
        Ok(swaps)
    }

    fn check_alive(&self) -> Result<()> {
        self.partition.refusal().map_or(Ok(()), Err)
    }
}

/// The segments that may be rewritten: sealed and synced, all of them visible,
/// up to the first damaged one, and never the last one, whose successor names
/// the offset where the log goes on.
fn eligible(partition: &Partition) -> Vec<Arc<Segment>> {
    let segments = partition.segments();
    let visible = partition.high_watermark();
    let fit = |segment: &&Arc<Segment>| {
        let settled = segment.is_finished() || (segment.is_memory() && segment.is_sealed());
        settled && !segment.is_damaged() && segment.next_offset() <= visible
    };
    let before_last = segments.len().saturating_sub(1);
    segments[..before_last].iter().take_while(fit).cloned().collect()
}

fn extents(segments: &[Arc<Segment>]) -> Vec<Extent> {
    let extent = |segment: &Arc<Segment>| Extent {
        base_offset: segment.base,
        end_offset: segment.next_offset(),
        bytes: segment.written(),
    };
    segments.iter().map(extent).collect()
}

fn is_due(segments: &[Arc<Segment>], state: &CleanerState, when: When, now_ms: u64) -> bool {
    if segments.is_empty() {
        return false;
    }
    let tombstones = state.tombstones_until_ms.is_some_and(|until_ms| until_ms <= now_ms);
    when == When::Now || tombstones || Dirt::of(&extents(segments), state.cleaner_point).reaches(DIRTY_PERCENT)
}
