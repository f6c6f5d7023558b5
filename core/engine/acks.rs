//! Answers to publishes. Consecutive ones merge into runs, so that a thousand
//! single records to one partition are answered by one entry of one frame.

use super::partition_state::PartitionState;
use crate::error::{CoreError, ErrorCode};
use crate::log::Partition;
use crate::wire::out::{self, AckRun};

/// The levels that an ack names.
pub const LEVEL_NONE: u8 = 0;
pub const LEVEL_MEMORY: u8 = 1;
pub const LEVEL_WRITTEN: u8 = 2;
pub const LEVEL_SYNCED: u8 = 3;

/// Whom to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    pub worker: u32,
    pub connection: u32,
    pub generation: u32,
}

/// An answer for a connection, possibly of another worker.
#[derive(Clone, Debug)]
pub(super) struct AckEvent {
    pub sender: Sender,
    pub run: AckRun,
    /// Set when the publishes of the run were refused.
    pub error: Option<CoreError>,
    /// Set when the record was stored and reached nobody: its publisher is told first.
    pub returned: Option<ErrorCode>,
}

impl AckEvent {
    #[must_use]
    pub fn failed(mut self, error: CoreError) -> Self {
        self.error = Some(error);
        self
    }
}

/// What a partition's next sync answers.
pub(super) enum Waiting {
    /// Worker of the sender, and the answer.
    Publish(u32, AckEvent),
    /// A control-plane sync of a worker.
    Token { worker: u32, token: u64 },
}

/// The answers a connection has not been sent yet.
#[derive(Default)]
pub(super) struct Answers {
    runs: Vec<AckRun>,
    /// NACK frames, whole.
    frames: Vec<u8>,
}

/// A peer that leaves more answers than this unread is not read from until they are out.
pub(super) const UNREAD_BYTES_MAX: usize = 1 << 20;
/// A peer that leaves more than this is ended: one chunk of what it sent while nothing
/// held it back, or a transport that cannot be paused.
pub(super) const UNREAD_BYTES_FATAL: usize = 32 << 20;

/// What one ACK frame holds at most; the rest goes into the next one.
const RUNS_PER_FRAME: usize = 2_000;
const RUN_BYTES_MAX: usize = out::ack_bytes_max(1) - out::ack_bytes_max(0);

impl Answers {
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.frames.is_empty()
    }

    /// Memory that the answers take.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.frames.len() + self.runs.len() * size_of::<AckRun>()
    }

    #[inline]
    pub fn ack(&mut self, run: AckRun) {
        if let Some(last) = self.runs.last_mut()
            && follows(last, &run)
        {
            last.count += run.count;
            return;
        }
        self.runs.push(run);
    }

    pub fn nack(&mut self, run: &AckRun, error: &CoreError) {
        out::write_nack(&mut self.frames, run.publisher, run.correlation, run.count, error);
    }

    /// Any other small frame for the connection, whole, in order with the NACKs.
    pub fn frame(&mut self) -> &mut Vec<u8> {
        &mut self.frames
    }

    /// Moves as much as fits under `bytes_max` into `out`. Acks come before the
    /// other frames; the two are independent of each other.
    pub fn write_into(&mut self, out: &mut Vec<u8>, bytes_max: usize) {
        let limit = out.len() + bytes_max;
        while !self.runs.is_empty() {
            let room = limit.saturating_sub(out.len()).saturating_sub(out::ack_bytes_max(0));
            let fitting = room / RUN_BYTES_MAX;
            let count = self.runs.len().min(RUNS_PER_FRAME).min(fitting);
            if count == 0 {
                return;
            }
            out::write_acks(out, &self.runs[..count]);
            self.runs.drain(..count);
        }
        let whole = whole_frames(&self.frames, limit.saturating_sub(out.len()));
        out.extend_from_slice(&self.frames[..whole]);
        self.frames.drain(..whole);
    }
}

/// How many bytes of `frames` are whole frames that fit into `bytes_max`.
fn whole_frames(frames: &[u8], bytes_max: usize) -> usize {
    if frames.len() <= bytes_max {
        return frames.len();
    }
    let mut end = 0;
    while let Some(&[_, a, b, c, d]) = frames.get(end..).and_then(|rest| rest.first_chunk()) {
        let next = end + 5 + u32::from_be_bytes([a, b, c, d]) as usize;
        if next > bytes_max {
            break;
        }
        end = next;
    }
    end
}

/// True when `next` continues `run`: same publisher, partition and level, the
/// following correlation ids and the following offsets.
#[inline]
fn follows(run: &AckRun, next: &AckRun) -> bool {
    let offsets = match (run.base_offset, next.base_offset) {
        (Some(base), Some(following)) => base + u64::from(run.count) == following,
        (None, None) => true,
        _ => false,
    };
    // A batch's ack covers one correlation id but many offsets, so a run of
    // batches never satisfies the offsets test by accident: only batches of one
    // record follow each other like singles, and for those the rule is right.
    offsets
        && run.publisher == next.publisher
        && run.partition == next.partition
        && run.level == next.level
        && run.correlation.wrapping_add(run.count) == next.correlation
}

/// The level a publish has reached once its append returned.
pub(super) fn level_after_append(partition: &Partition) -> u8 {
    if partition.is_memory() { LEVEL_MEMORY } else { LEVEL_WRITTEN }
}

/// Leaves an answer for the partition's next sync; the caller asks for that sync.
pub(super) fn defer(state: &PartitionState, upto_offset: u64, mut event: AckEvent) {
    event.run.level = LEVEL_SYNCED;
    state.wait_for_sync(upto_offset, Waiting::Publish(event.sender.worker, event));
}
