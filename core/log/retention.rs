//! What leaves the log by age and size, whole segments at a time.
//!
//! Age counts from the broker's time of the last append to a segment, not from
//! its records' timestamps: a producer that sends yesterday's data (or next
//! year's) must not see it expire at once (or never).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::partition::Partition;
use super::segment::Segment;
use crate::error::{ErrorCode, Result};

impl Partition {
    /// Expires segments by the log's settings, after closing an active one that
    /// is past its age. The caller holds no lock of the partition.
    ///
    /// # Errors
    /// When a segment cannot be rolled (disk full); nothing is lost by it.
    pub(super) fn expire(&self) -> Result<()> {
        let config = self.config();
        let now_ms = self.shared.now_ms();
        let past = |from: u64, limit: i64| limit >= 0 && now_ms.saturating_sub(from) > limit.unsigned_abs();
        self.roll_if(|active| {
            past(active.appended_ms(), config.retention_ms)
                || (config.segment_ms > 0 && past(active.created_ms(), config.segment_ms))
        })?;
        if config.compact && config.retention_ms < 0 && config.retention_bytes < 0 {
            return Ok(());
        }
        let due = self.expired(&self.segments(), &past);
        let Some(last) = self.segments().get(due.wrapping_sub(1)).cloned() else { return Ok(()) };
        // What the segments say of the producers goes with them: a state file has
        // to know it first. On a full disk there may be no room for one until
        // they are gone.
        let noted = if self.is_noted(&last) { Ok(()) } else { self.checkpoint() };
        match noted {
            Err(error) if error.code != ErrorCode::DISK_FULL => return Err(error),
            _ => {}
        }
        let upkeep = self.upkeep_lock.lock();
        let held = self.shared.held.read();
        let segments = self.segments();
        self.drop_first(&segments[..self.expired(&segments, &past)]);
        if noted.is_err() {
            self.drop_spares(true);
        }
        drop(held);
        drop(upkeep);
        if noted.is_err() { self.checkpoint() } else { self.settle_spares() }
    }

    /// Nobody needs what lies below `offset` any more; whole segments go with the next
    /// round of maintenance.
    pub fn release_below(&self, offset: u64) {
        self.released.fetch_max(offset, Ordering::AcqRel);
    }

    /// Expires by size at once, where a size is set.
    ///
    /// # Errors
    /// As `expire`.
    pub(super) fn shrink(&self) -> Result<()> {
        if self.config().retention_bytes < 0 || self.failure().is_some() { Ok(()) } else { self.expire() }
    }

    /// How many of `segments`, from the oldest on, are to go.
    fn expired(&self, segments: &[Arc<Segment>], past: &impl Fn(u64, i64) -> bool) -> usize {
        let config = self.config();
        let released = self.released.load(Ordering::Acquire);
        let mut bytes: u64 = segments.iter().map(|segment| segment.written()).sum();
        let mut expired = 0;
        for segment in segments {
            let unneeded = segment.next_offset() <= released;
            let aged = past(segment.appended_ms(), config.retention_ms);
            let oversize = u64::try_from(config.retention_bytes)
                .is_ok_and(|limit| bytes.saturating_sub(segment.written()) >= limit);
            if !self.is_droppable(segment) || !(unneeded || aged || oversize) {
                break;
            }
            bytes -= segment.written();
            expired += 1;
        }
        expired
    }

    /// Whether the state file on disk was written behind this segment.
    fn is_noted(&self, segment: &Segment) -> bool {
        self.is_memory() || self.noted_base.load(Ordering::Acquire) > segment.base
    }

    fn is_droppable(&self, segment: &Segment) -> bool {
        segment.is_sealed() && segment.next_offset() <= self.high_watermark()
    }

    fn roll_if(&self, due: impl FnOnce(&Segment) -> bool) -> Result<()> {
        if self.refusal().is_some() {
            return Ok(());
        }
        let mut appender = self.appender();
        let inner = appender.inner();
        // A sealed last segment without a successor cannot expire: its successor
        // is what remembers the log's end.
        let due = match &inner.active {
            Some(active) => active.written() > 0 && due(active),
            None => self.segments().last().is_some_and(|last| due(last)),
        };
        if due { appender.roll() } else { Ok(()) }
    }

    /// For memory logs: drops the oldest sealed segments until at most
    /// `bytes_max` are left. Called by the appender, under its lock.
    pub(super) fn drop_beyond(&self, bytes_max: u64) {
        let segments = self.segments();
        let mut bytes: u64 = segments.iter().map(|segment| segment.written()).sum();
        let mut count = 0;
        while bytes > bytes_max && segments.get(count).is_some_and(|segment| segment.is_sealed()) {
            bytes -= segments[count].written();
            count += 1;
        }
        self.drop_first(&segments[..count]);
    }

    /// Takes the oldest segments out: the start moves first, so that no new
    /// reader finds them; those that read them move on at their next run.
    fn drop_first(&self, expired: &[Arc<Segment>]) {
        let Some(last) = expired.last() else { return };
        let base = last.base;
        self.store_start(last.next_offset());
        self.change_segments(|segments| segments.retain(|segment| segment.base > base));
        self.let_go(expired);
    }
}
