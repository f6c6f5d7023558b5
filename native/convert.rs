//! Conversions between JavaScript's values and the core's, and errors.

use std::sync::atomic::Ordering;

use millrace_core::engine::{EngineOptions, Quota, Worker};
use millrace_core::error::{CoreError, ErrorCode};
use millrace_core::log::{self, DeliveryPriority, Durability, RecoveryReport, SYNC_BOUNDS_US, Storage};
use napi_derive::napi;

/// An error as `code|offset|message`, which src/log/native.ts takes apart. Where it is about a record, its position,
/// schema id, field and reason follow, each behind a byte 1.
#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
pub fn failed(error: CoreError) -> napi::Error {
    let offset = error.offset.map_or_else(String::new, |offset| offset.to_string());
    let mut text = format!("{}|{offset}|{}", error.code.0, error.message);
    if let Some(record) = &error.record {
        let schema_id = record.schema_id.map_or_else(String::new, |id| id.to_string());
        for part in [&record.position.to_string(), &schema_id, &record.field, &record.reason] {
            text.push('\u{1}');
            text.push_str(part);
        }
    }
    napi::Error::from_reason(text)
}

pub fn misuse(message: &str) -> napi::Error {
    failed(CoreError::new(ErrorCode::INVALID_ARGUMENT, message))
}

/// A JS number as a non-negative integer below 2^53.
#[inline]
pub fn integer(value: f64) -> napi::Result<u64> {
    if (0.0..=9_007_199_254_740_991.0).contains(&value) && value.fract() == 0.0 {
        #[allow(clippy::cast_sign_loss, reason = "checked above")]
        return Ok(value as u64);
    }
    Err(misuse(&format!("{value} is not an integer between 0 and 2^53")))
}

/// -1 stands for none.
#[inline]
pub fn offset_or_none(value: f64) -> napi::Result<Option<u64>> {
    if value < 0.0 { Ok(None) } else { integer(value).map(Some) }
}

#[allow(clippy::cast_precision_loss, reason = "offsets, ids, sizes and times stay below 2^53")]
pub fn number(value: u64) -> f64 {
    value as f64
}

fn signed(value: f64) -> napi::Result<i64> {
    if value < 0.0 { Ok(-1) } else { integer(value).map(u64::cast_signed) }
}

fn size(value: f64) -> napi::Result<usize> {
    integer(value).map(|value| value as usize)
}

/// `EngineOptions` of src/log/engine.ts.
#[napi(object)]
pub struct Options {
    pub data_dir: Option<String>,
    pub workers: u32,
    pub manual_clock_ms: Option<f64>,
    pub frame_bytes_max: f64,
    pub batch_bytes_max: f64,
    pub publishers_per_connection_max: f64,
    pub subscriptions_per_connection_max: f64,
    pub sources_per_subscription_max: f64,
    pub prefetch_max: u32,
    pub publish_credit_bytes: f64,
    pub publish_overdraft_bytes_max: f64,
    pub subscription_credit_bytes_max: f64,
    pub write_bytes_per_turn: f64,
    pub turn_bytes_max: f64,
    pub delivery_bytes_max: f64,
    pub view_bytes_min: f64,
    pub ring_bytes: f64,
    pub index_interval_bytes: f64,
    pub mapped_segments_max: f64,
    pub open_files_max: f64,
    pub dirty_bytes_max: f64,
    pub checkpoint_bytes: f64,
    pub retention_check_ms: f64,
    pub producers_per_partition_max: f64,
    pub key_index_entries_max: f64,
    pub compaction_keys_max: f64,
    pub flight_recorder_bytes: f64,
}

impl TryFrom<Options> for EngineOptions {
    type Error = napi::Error;

    fn try_from(from: Options) -> napi::Result<Self> {
        Ok(Self {
            data_dir: from.data_dir.map(Into::into),
            workers: from.workers as usize,
            manual_clock_ms: from.manual_clock_ms.map(integer).transpose()?,
            frame_bytes_max: size(from.frame_bytes_max)?,
            batch_bytes_max: size(from.batch_bytes_max)?,
            publishers_per_connection_max: size(from.publishers_per_connection_max)?,
            subscriptions_per_connection_max: size(from.subscriptions_per_connection_max)?,
            sources_per_subscription_max: size(from.sources_per_subscription_max)?,
            prefetch_max: from.prefetch_max,
            publish_credit_bytes: integer(from.publish_credit_bytes)?,
            publish_overdraft_bytes_max: integer(from.publish_overdraft_bytes_max)?,
            subscription_credit_bytes_max: integer(from.subscription_credit_bytes_max)?,
            write_bytes_per_turn: size(from.write_bytes_per_turn)?,
            turn_bytes_max: size(from.turn_bytes_max)?,
            delivery_bytes_max: size(from.delivery_bytes_max)?,
            view_bytes_min: size(from.view_bytes_min)?,
            ring_bytes: size(from.ring_bytes)?,
            index_interval_bytes: integer(from.index_interval_bytes)?,
            mapped_segments_max: size(from.mapped_segments_max)?,
            open_files_max: size(from.open_files_max)?,
            dirty_bytes_max: integer(from.dirty_bytes_max)?,
            checkpoint_bytes: integer(from.checkpoint_bytes)?,
            retention_check_ms: integer(from.retention_check_ms)?,
            producers_per_partition_max: size(from.producers_per_partition_max)?,
            key_index_entries_max: size(from.key_index_entries_max)?,
            compaction_keys_max: size(from.compaction_keys_max)?,
            flight_recorder_bytes: size(from.flight_recorder_bytes)?,
        })
    }
}

/// `LogConfig` of src/log/engine.ts.
#[napi(object)]
pub struct LogConfig {
    pub segment_bytes: f64,
    pub segment_ms: f64,
    pub retention_ms: f64,
    pub retention_bytes: f64,
    pub compact: bool,
    pub tombstone_retention_ms: f64,
    pub durability: String,
    pub message_bytes_max: f64,
    pub storage: String,
    pub memory_bytes_max: f64,
    pub timestamp_type: String,
    pub internal: bool,
    pub delivery_priority: String,
}

impl TryFrom<LogConfig> for log::LogConfig {
    type Error = napi::Error;

    fn try_from(from: LogConfig) -> napi::Result<Self> {
        let durability = match from.durability.as_str() {
            "memory" => Durability::Memory,
            "written" => Durability::Written,
            "synced" => Durability::Synced,
            other => return Err(misuse(&format!("durability {other} is not memory, written or synced"))),
        };
        Ok(Self {
            segment_bytes: integer(from.segment_bytes)?,
            segment_ms: signed(from.segment_ms)?,
            retention_ms: signed(from.retention_ms)?,
            retention_bytes: signed(from.retention_bytes)?,
            compact: from.compact,
            tombstone_retention_ms: signed(from.tombstone_retention_ms)?,
            durability,
            message_bytes_max: integer(from.message_bytes_max)?,
            storage: if from.storage == "memory" { Storage::Memory } else { Storage::Log },
            memory_bytes_max: integer(from.memory_bytes_max)?,
            timestamp_append: from.timestamp_type == "append",
            internal: from.internal,
            delivery_priority: DeliveryPriority::named(&from.delivery_priority)
                .ok_or_else(|| misuse("deliveryPriority is high, normal or low"))?,
        })
    }
}

/// `RecoveryReport` of src/log/engine.ts.
#[napi(object)]
pub struct Recovery {
    pub clean: bool,
    pub epoch: u32,
    pub logs: u32,
    pub partitions: u32,
    pub segments: u32,
    pub bytes: f64,
    pub scanned_bytes: f64,
    pub tails_zeroed: u32,
    pub elapsed_ms: f64,
    pub notes: Vec<String>,
}

impl From<&RecoveryReport> for Recovery {
    fn from(from: &RecoveryReport) -> Self {
        let note = |damage: &log::Damage| {
            format!("log {} partition {}: {} at offset {}", damage.log_id, damage.partition, damage.what, damage.offset)
        };
        Self {
            clean: from.clean,
            epoch: from.epoch,
            logs: from.logs as u32,
            partitions: from.partitions as u32,
            segments: from.segments as u32,
            bytes: number(from.bytes),
            scanned_bytes: number(from.scanned_bytes),
            tails_zeroed: from.tails_zeroed as u32,
            elapsed_ms: number(from.duration_ms),
            notes: from.damage.iter().map(note).collect(),
        }
    }
}

/// `PartitionInfo` of src/log/engine.ts.
#[napi(object)]
pub struct Partition {
    pub start_offset: f64,
    pub next_offset: f64,
    pub high_watermark: f64,
    pub synced_offset: f64,
    pub bytes: f64,
    pub segments: u32,
    pub records_in: f64,
    pub bytes_in: f64,
    pub records_out: f64,
    pub bytes_out: f64,
    pub last_timestamp: f64,
}

impl From<&log::Partition> for Partition {
    fn from(from: &log::Partition) -> Self {
        let info = from.info();
        let last_timestamp = if info.bytes == 0 { -1.0 } else { number(info.last_timestamp) };
        Self {
            start_offset: number(info.start_offset),
            next_offset: number(info.next_offset),
            high_watermark: number(info.high_watermark),
            synced_offset: number(info.synced_offset),
            bytes: number(info.bytes),
            segments: info.segments as u32,
            records_in: number(from.metrics.records_in.load(Ordering::Relaxed)),
            bytes_in: number(from.metrics.bytes_in.load(Ordering::Relaxed)),
            records_out: number(from.metrics.records_out.load(Ordering::Relaxed)),
            bytes_out: number(from.metrics.bytes_out.load(Ordering::Relaxed)),
            last_timestamp,
        }
    }
}

/// One bucket of the sync latencies; the last one's bound is infinite.
#[napi(object)]
pub struct Bucket {
    pub bound_ms: f64,
    pub count: f64,
}

/// `Quota` of src/log/engine.ts.
#[napi(object)]
pub struct QuotaLimits {
    pub messages_per_sec: f64,
    pub bytes_per_sec: f64,
    pub burst_ms: f64,
    pub connections_max: f64,
}

impl QuotaLimits {
    pub fn read(self) -> napi::Result<Quota> {
        Ok(Quota {
            messages_per_sec: integer(self.messages_per_sec)?,
            bytes_per_sec: integer(self.bytes_per_sec)?,
            burst_ms: integer(self.burst_ms)?,
            connections_max: integer(self.connections_max)?,
        })
    }
}

/// `EngineStats` of src/log/engine.ts.
#[napi(object)]
pub struct Stats {
    pub connections: u32,
    pub dirty_bytes: f64,
    pub mapped_segments: u32,
    pub open_files: u32,
    pub partitions: u32,
    pub segments: u32,
    pub bytes: f64,
    pub failed_partitions: u32,
    pub sync_latency_ms: Vec<Bucket>,
    pub sync_sum_ms: f64,
    pub records_dropped: f64,
    pub unroutable: f64,
    pub dead_letter_loops: f64,
    pub schema_violations: f64,
}

impl From<&Worker> for Stats {
    fn from(from: &Worker) -> Self {
        let store = from.engine().store.stats();
        let spaces = from.engine().space_counters();
        let bounds = SYNC_BOUNDS_US.iter().map(|bound| number(*bound) / 1_000.0).chain([f64::INFINITY]);
        let buckets = bounds.zip(store.sync.counts).map(|(bound_ms, count)| Bucket { bound_ms, count: number(count) });
        Self {
            connections: from.connection_count() as u32,
            dirty_bytes: number(store.dirty_bytes),
            mapped_segments: store.mapped_segments as u32,
            open_files: store.open_files as u32,
            partitions: store.partitions as u32,
            segments: store.segments as u32,
            bytes: number(store.bytes),
            failed_partitions: store.failed_partitions as u32,
            sync_latency_ms: buckets.collect(),
            sync_sum_ms: number(store.sync.sum_us) / 1_000.0,
            records_dropped: number(from.records_dropped()),
            unroutable: number(spaces.unroutable),
            dead_letter_loops: number(spaces.dead_letter_loops),
            schema_violations: number(from.engine().schema_violations()),
        }
    }
}
