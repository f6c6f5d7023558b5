//! What the store can tell about itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the sync latency buckets, in microseconds; one more bucket
/// holds everything above.
pub const SYNC_BOUNDS_US: [u64; 16] = [
    50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 204_800, 409_600, 819_200, 1_638_400,
];

/// How long the syncs took, in fixed buckets.
#[derive(Default)]
pub struct SyncHistogram {
    counts: [AtomicU64; SYNC_BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl SyncHistogram {
    pub fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = SYNC_BOUNDS_US.partition_point(|bound| *bound < us);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> SyncLatency {
        let mut counts = [0; SYNC_BOUNDS_US.len() + 1];
        for (out, count) in counts.iter_mut().zip(&self.counts) {
            *out = count.load(Ordering::Relaxed);
        }
        SyncLatency { counts, sum_us: self.sum_us.load(Ordering::Relaxed) }
    }
}

/// Counts per bucket of `SYNC_BOUNDS_US` (not cumulative) and the sum.
#[derive(Clone, Debug, Default)]
pub struct SyncLatency {
    pub counts: [u64; SYNC_BOUNDS_US.len() + 1],
    pub sum_us: u64,
}

#[derive(Clone, Debug, Default)]
pub struct StoreStats {
    /// Written, not yet synced, over all logs.
    pub dirty_bytes: u64,
    pub dirty_bytes_max: u64,
    pub mapped_segments: usize,
    pub open_files: usize,
    pub logs: usize,
    pub partitions: usize,
    pub segments: usize,
    pub bytes: u64,
    pub failed_partitions: usize,
    pub sync: SyncLatency,
}

/// Something recovery had to cut off or could not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub log_id: u64,
    pub partition: u32,
    /// The first offset that is affected.
    pub offset: u64,
    pub what: &'static str,
}

/// What was found at start.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// The last stop was an orderly one.
    pub clean: bool,
    pub epoch: u32,
    pub logs: usize,
    pub partitions: usize,
    pub segments: usize,
    pub bytes: u64,
    /// Bytes read and verified because they lay behind a state point.
    pub scanned_bytes: u64,
    /// Partitions whose log was followed by bytes that are no batch, now zeroed.
    pub tails_zeroed: usize,
    pub damage: Vec<Damage>,
    pub duration_ms: u64,
}

#[derive(Default)]
pub struct PartitionMetrics {
    pub records_in: AtomicU64,
    pub bytes_in: AtomicU64,
    /// Counted by whoever delivers, not by `read_run`.
    pub records_out: AtomicU64,
    pub bytes_out: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionInfo {
    pub start_offset: u64,
    pub next_offset: u64,
    pub high_watermark: u64,
    pub synced_offset: u64,
    pub bytes: u64,
    pub segments: usize,
    pub records_in: u64,
    pub bytes_in: u64,
    pub records_out: u64,
    pub bytes_out: u64,
    /// The highest timestamp in the log, ms; 0 when it is empty.
    pub last_timestamp: u64,
}
