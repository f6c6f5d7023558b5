//! The log: segments on disk or in memory, appended by one writer a partition
//! and read through maps by any number of readers. See README.md.

mod appender;
mod backup;
pub mod compact;
mod config;
pub(crate) mod files;
mod index;
mod keyindex;
mod partition;
mod producers;
mod reader;
mod recovery;
mod recycle;
mod retention;
mod scan;
mod segment;
mod shared;
mod state;
mod stats;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod times;
mod upkeep;
mod verified;
mod walk;
mod work;

pub use crate::mmap::SegmentMap;
pub use appender::{AppendOutcome, AppendSummary, AppenderGuard, BatchIn};
pub use backup::{Backup, FileBackup, PartitionBackup, Progress, SegmentBackup};
pub use config::{DeliveryPriority, Durability, LogConfig, NoEvents, Storage, StoreEvents, StoreOptions};
pub use index::{IndexEntry, SegmentSummary};
pub use partition::{Partition, Segments};
pub use reader::{Cursor, Place, Run};
pub use segment::Segment;
pub use stats::{
    Damage, PartitionInfo, PartitionMetrics, RecoveryReport, SYNC_BOUNDS_US, StoreStats, SyncHistogram, SyncLatency,
};
pub use store::{Log, LogStore};
