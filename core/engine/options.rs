//! Limits of the data plane; the names are those of the configuration.

use std::path::PathBuf;

use crate::log::StoreOptions;

#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    pub workers: usize,
    /// Starts with a clock that stands here until it is set.
    pub manual_clock_ms: Option<u64>,
    pub frame_bytes_max: usize,
    pub batch_bytes_max: usize,
    pub publishers_per_connection_max: usize,
    pub subscriptions_per_connection_max: usize,
    pub sources_per_subscription_max: usize,
    pub prefetch_max: u32,
    pub publish_credit_bytes: u64,
    pub publish_overdraft_bytes_max: u64,
    pub subscription_credit_bytes_max: u64,
    pub write_bytes_per_turn: usize,
    pub turn_bytes_max: usize,
    pub delivery_bytes_max: usize,
    pub view_bytes_min: usize,
    pub ring_bytes: usize,
    pub index_interval_bytes: u64,
    pub mapped_segments_max: usize,
    pub open_files_max: usize,
    pub dirty_bytes_max: u64,
    pub checkpoint_bytes: u64,
    pub retention_check_ms: u64,
    pub producers_per_partition_max: usize,
    pub key_index_entries_max: usize,
    pub compaction_keys_max: usize,
    /// What a worker, and a space, remember of what came and went; 0 is nothing.
    pub flight_recorder_bytes: usize,
}

impl EngineOptions {
    pub(super) fn store(&self) -> StoreOptions {
        StoreOptions {
            data_dir: self.data_dir.clone(),
            index_interval_bytes: self.index_interval_bytes,
            mapped_segments_max: self.mapped_segments_max,
            open_files_max: self.open_files_max,
            dirty_bytes_max: self.dirty_bytes_max,
            checkpoint_bytes: self.checkpoint_bytes,
            retention_check_ms: self.retention_check_ms,
            producers_per_partition_max: self.producers_per_partition_max,
            key_index_entries_max: self.key_index_entries_max,
            compaction_keys_max: self.compaction_keys_max,
            ..StoreOptions::default()
        }
    }
}
