//! The moment that a backup is of: where all logs ended while nobody appended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::partition::{Partition, Segments};
use super::super::segment::Segment;
use super::super::store::LogStore;

/// A partition at that moment.
pub struct Extent {
    pub partition: Arc<Partition>,
    pub start_offset: u64,
    pub next_offset: u64,
    pub segments: Segments,
    /// Bytes of the last segment.
    pub end: u64,
    /// The last segment was still appended to.
    active: bool,
}

impl Extent {
    /// Whether a segment may have grown since.
    pub fn grows(&self, segment: &Arc<Segment>) -> bool {
        self.active && self.segments.last().is_some_and(|last| Arc::ptr_eq(last, segment))
    }
}

pub struct Cut {
    pub at_ms: u64,
    pub extents: Vec<Extent>,
    /// How long appends had to wait.
    pub took: Duration,
}

/// Holds every appender at once and notes where the logs end. Nobody holds two appenders,
/// and who holds one waits for nothing that is held here, so this cannot lock up; logs are
/// neither made nor deleted meanwhile.
pub fn take(store: &LogStore) -> Cut {
    store.with_disk_partitions(|partitions| {
        let started = Instant::now();
        let appenders: Vec<_> = partitions.iter().map(|partition| partition.appender.lock()).collect();
        let at_ms = store.shared().now_ms();
        let extents = partitions.iter().map(extent).collect();
        drop(appenders);
        Cut { at_ms, extents, took: started.elapsed() }
    })
}

fn extent(partition: &Arc<Partition>) -> Extent {
    let segments = partition.segments();
    let last = segments.last();
    Extent {
        partition: Arc::clone(partition),
        start_offset: partition.start_offset(),
        next_offset: partition.next_offset(),
        end: last.map_or(0, |last| last.written()),
        active: last.is_some_and(|last| !last.is_sealed()),
        segments,
    }
}
