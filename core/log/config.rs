//! What the store and a log are opened with.

use std::path::PathBuf;
use std::sync::Arc;

use super::partition::Partition;
use crate::error::CoreError;

/// What moves a log's high watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Memory,
    Written,
    Synced,
}

/// Where a log's segments live: in files, or in memory files (memfd).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    Log,
    Memory,
}

/// The settings of one log; the TypeScript `LogConfig` field by field. A
/// negative limit means none.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    pub segment_bytes: u64,
    pub segment_ms: i64,
    pub retention_ms: i64,
    pub retention_bytes: i64,
    pub compact: bool,
    pub tombstone_retention_ms: i64,
    pub durability: Durability,
    pub message_bytes_max: u64,
    pub storage: Storage,
    /// Per partition, for memory storage.
    pub memory_bytes_max: u64,
    /// The broker stamps batches with its own clock.
    pub timestamp_append: bool,
    pub internal: bool,
    pub delivery_priority: DeliveryPriority,
}

/// Who goes first where a broker has more to deliver than it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryPriority {
    High,
    #[default]
    Normal,
    Low,
}

impl DeliveryPriority {
    /// By its name in a configuration; `None` for another word.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "high" => Some(Self::High),
            "normal" => Some(Self::Normal),
            "low" => Some(Self::Low),
            _ => None,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        const WEEK_MS: i64 = 7 * 24 * 3_600_000;
        Self {
            segment_bytes: 64 << 20,
            segment_ms: WEEK_MS,
            retention_ms: WEEK_MS,
            retention_bytes: -1,
            compact: false,
            tombstone_retention_ms: 24 * 3_600_000,
            durability: Durability::Written,
            message_bytes_max: 1 << 20,
            storage: Storage::Log,
            memory_bytes_max: 64 << 20,
            timestamp_append: false,
            internal: false,
            delivery_priority: DeliveryPriority::Normal,
        }
    }
}

/// The limits and paths of a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// `None` keeps everything in memory files.
    pub data_dir: Option<PathBuf>,
    /// Distance of the entries of the sparse index.
    pub index_interval_bytes: u64,
    /// Segments mapped at a time; the least recently read are let go.
    pub mapped_segments_max: usize,
    /// Segment files held open at a time; clean idle ones are closed.
    pub open_files_max: usize,
    /// Written bytes that are not yet synced, over all logs. Background syncs
    /// start at half of it.
    pub dirty_bytes_max: u64,
    /// A partition's state file is written each time this much was appended.
    pub checkpoint_bytes: u64,
    pub producers_per_partition_max: usize,
    pub key_index_entries_max: usize,
    pub compaction_keys_max: usize,
    pub retention_check_ms: u64,
    /// Threads that recover partitions; 0 takes one for each processor.
    pub recovery_threads: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            data_dir: None,
            index_interval_bytes: 64 << 10,
            mapped_segments_max: 1024,
            open_files_max: 4096,
            dirty_bytes_max: 1 << 30,
            checkpoint_bytes: 16 << 20,
            producers_per_partition_max: 10_000,
            key_index_entries_max: 1_000_000,
            compaction_keys_max: 10_000_000,
            retention_check_ms: 5_000,
            recovery_threads: 0,
        }
    }
}

/// How the store tells its owner what its threads did. Called from the sync and
/// maintenance threads; `map_retired` also from whoever maps, and `sync_failed`
/// from an append that could not be undone, partly under locks of the log:
/// implementations take a note and wake somebody, and never call back into it.
pub trait StoreEvents: Send + Sync {
    /// The high watermark moved because a sync finished.
    fn committed(&self, partition: &Arc<Partition>);
    /// Everything below `upto_offset` is synced.
    fn synced(&self, partition: &Arc<Partition>, upto_offset: u64);
    /// A sync failed. That is final: the partition refuses appends from now on.
    fn sync_failed(&self, partition: &Arc<Partition>, error: &CoreError);
    /// The store let go of this map; it is unmapped when the last `Arc` goes.
    fn map_retired(&self, map_id: u64);
}

/// For owners that want to hear nothing.
pub struct NoEvents;

impl StoreEvents for NoEvents {
    fn committed(&self, _: &Arc<Partition>) {}
    fn synced(&self, _: &Arc<Partition>, _: u64) {}
    fn sync_failed(&self, _: &Arc<Partition>, _: &CoreError) {}
    fn map_retired(&self, _: u64) {}
}
