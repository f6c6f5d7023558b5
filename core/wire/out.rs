//! Writers of the frames that the core sends. All are appended to a `Vec` that the
//! caller reuses from turn to turn.
//!
//! ```text
//! ACK         [20, pub, corr, count, partition, base offset | nil, level,  pub, corr, ...]
//! NACK        [21, pub, corr, count, code, name, message, retryable, details | nil]
//! CREDIT      [22, bytes]
//! DELIVER     [23, sub, source] batches
//! SOURCE_END  [25, sub, source, next offset, code, message]
//! DROPPED     [26, sub, source, records]
//! GOODBYE     [4, code, message]
//! OK          [5, corr, {}]
//! ERROR       [6, corr, code, name, message, retryable, nil]
//! SETTLE_FAILED [18, sub, outcome, first tag, count, code, name, message]
//! QUEUE_EVENT [19, sub, kind, details]
//! MESSAGES    [28, sub, first tag, numbers, redelivered] batch
//! RETURNED    [29, pub, corr, code, name, positions]
//! ```

use super::{BIN32, FRAME_HEAD_BYTES, ops};
use crate::error::{CoreError, ErrorCode};
use crate::stdx::msgpack::{write_array, write_bool, write_map, write_nil, write_optional_uint, write_str, write_uint};

/// Consecutive publishes with one answer: correlation ids `correlation` and the
/// `count - 1` that follow it, offsets from `base_offset` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckRun {
    pub publisher: u32,
    pub correlation: u32,
    pub count: u32,
    pub partition: u32,
    /// `None`: a duplicate whose offset is no longer known.
    pub base_offset: Option<u64>,
    /// 1 memory, 2 written, 3 synced.
    pub level: u8,
}

const RUN_VALUES: usize = 6;
const UINT32_BYTES_MAX: usize = 5;
const UINT64_BYTES_MAX: usize = 9;
/// publisher, correlation, count, partition; base offset; level.
const RUN_BYTES_MAX: usize = 4 * UINT32_BYTES_MAX + UINT64_BYTES_MAX + 1;
const ARRAY_HEAD_BYTES_MAX: usize = 5;
const OP_BYTES: usize = 1;

/// The longest that an ACK frame of `runs` runs can be.
pub const fn ack_bytes_max(runs: usize) -> usize {
    FRAME_HEAD_BYTES + ARRAY_HEAD_BYTES_MAX + OP_BYTES + runs * RUN_BYTES_MAX
}

/// Appends one ACK frame; nothing for no runs.
pub fn write_acks(out: &mut Vec<u8>, runs: &[AckRun]) {
    if runs.is_empty() {
        return;
    }
    out.reserve(ack_bytes_max(runs.len()));
    write_frame(out, 0, |out| {
        write_array(out, 1 + RUN_VALUES * runs.len());
        write_op(out, ops::ACK);
        for run in runs {
            write_uint(out, run.publisher.into());
            write_uint(out, run.correlation.into());
            write_uint(out, run.count.into());
            write_uint(out, run.partition.into());
            write_optional_uint(out, run.base_offset);
            write_uint(out, run.level.into());
        }
    });
}

/// Appends one NACK frame. The error's offset goes out as details `{offset}`. What an
/// `internal` error says stays inside.
pub fn write_nack(out: &mut Vec<u8>, publisher: u32, correlation: u32, count: u32, error: &CoreError) {
    let is_internal = error.code == ErrorCode::INTERNAL;
    let message = if is_internal { "internal error" } else { error.message.as_str() };
    write_frame(out, 0, |out| {
        write_array(out, 9);
        write_op(out, ops::NACK);
        write_uint(out, publisher.into());
        write_uint(out, correlation.into());
        write_uint(out, count.into());
        write_uint(out, error.code.0.into());
        write_str(out, error.code.name());
        write_str(out, message);
        write_bool(out, error.code.retryable());
        write_details(out, error);
    });
}

/// `{offset}`, `{position, schemaId, field, reason}` of a record, or nil.
fn write_details(out: &mut Vec<u8>, error: &CoreError) {
    if let Some(record) = &error.record {
        write_map(out, 4);
        write_str(out, "position");
        write_uint(out, record.position.into());
        write_str(out, "schemaId");
        write_optional_uint(out, record.schema_id.map(u64::from));
        write_str(out, "field");
        write_str(out, &record.field);
        write_str(out, "reason");
        write_str(out, &record.reason);
        return;
    }
    match error.offset {
        None => write_nil(out),
        Some(offset) => {
            write_map(out, 1);
            write_str(out, "offset");
            write_uint(out, offset);
        }
    }
}

/// Appends one CREDIT frame: `bytes` of publish credit are returned.
pub fn write_credit(out: &mut Vec<u8>, bytes: u64) {
    write_frame(out, 0, |out| {
        write_array(out, 2);
        write_op(out, ops::CREDIT);
        write_uint(out, bytes);
    });
}

/// The longest that a DELIVER frame is before its batches.
pub const DELIVER_HEAD_BYTES_MAX: usize = FRAME_HEAD_BYTES + 1 + OP_BYTES + 2 * UINT32_BYTES_MAX;

/// Appends the head of a DELIVER frame, which `batch_bytes` of whole batches have to
/// follow; returns the head's length.
pub fn write_deliver_head(out: &mut Vec<u8>, subscription: u32, source: u32, batch_bytes: usize) -> usize {
    let start = out.len();
    write_frame(out, batch_bytes, |out| {
        write_array(out, 3);
        write_op(out, ops::DELIVER);
        write_uint(out, subscription.into());
        write_uint(out, source.into());
    });
    out.len() - start
}

/// Appends one `SOURCE_END` frame; code 0 says that a bounded read is complete.
pub fn write_source_end(out: &mut Vec<u8>, subscription: u32, source: u32, next_offset: u64, code: u16, message: &str) {
    write_frame(out, 0, |out| {
        write_array(out, 6);
        write_op(out, ops::SOURCE_END);
        write_uint(out, subscription.into());
        write_uint(out, source.into());
        write_uint(out, next_offset);
        write_uint(out, code.into());
        write_str(out, message);
    });
}

/// Appends one DROPPED frame: the reader missed `records` offsets.
pub fn write_dropped(out: &mut Vec<u8>, subscription: u32, source: u32, records: u64) {
    write_frame(out, 0, |out| {
        write_array(out, 4);
        write_op(out, ops::DROPPED);
        write_uint(out, subscription.into());
        write_uint(out, source.into());
        write_uint(out, records);
    });
}

/// Appends one GOODBYE frame; the socket closes behind it.
pub fn write_goodbye(out: &mut Vec<u8>, code: ErrorCode, message: &str) {
    write_frame(out, 0, |out| {
        write_array(out, 3);
        write_op(out, ops::GOODBYE);
        write_uint(out, code.0.into());
        write_str(out, message);
    });
}

/// Appends one OK frame without a result of its own.
pub fn write_ok(out: &mut Vec<u8>, correlation: u32) {
    write_frame(out, 0, |out| {
        write_array(out, 3);
        write_op(out, ops::OK);
        write_uint(out, correlation.into());
        write_map(out, 0);
    });
}

/// Appends one ERROR frame.
pub fn write_error(out: &mut Vec<u8>, correlation: u32, error: &CoreError) {
    write_frame(out, 0, |out| {
        write_array(out, 7);
        write_op(out, ops::ERROR);
        write_uint(out, correlation.into());
        write_code(out, error);
        write_bool(out, error.code.retryable());
        write_nil(out);
    });
}

/// Appends one `SETTLE_FAILED` frame: nothing became of these tags.
pub fn write_settle_failed(out: &mut Vec<u8>, subscription: u32, outcome: u8, tags: (u64, u64), error: &CoreError) {
    write_frame(out, 0, |out| {
        write_array(out, 8);
        write_op(out, ops::SETTLE_FAILED);
        write_uint(out, subscription.into());
        write_uint(out, outcome.into());
        write_uint(out, tags.0);
        write_uint(out, tags.1);
        write_code(out, error);
    });
}

/// Appends one `QUEUE_EVENT` frame; `details` writes one msgpack map.
pub fn write_queue_event(out: &mut Vec<u8>, subscription: u32, kind: &str, details: impl FnOnce(&mut Vec<u8>)) {
    write_frame(out, 0, |out| {
        write_array(out, 4);
        write_op(out, ops::QUEUE_EVENT);
        write_uint(out, subscription.into());
        write_str(out, kind);
        details(out);
    });
}

/// Appends the head of a MESSAGES frame, which one batch of `batch_bytes` has to follow.
/// `numbers` and `redelivered` are msgpack values, ready.
pub fn write_messages_head(
    out: &mut Vec<u8>,
    subscription: u32,
    first_tag: u64,
    numbers: &[u8],
    redelivered: &[u8],
    batch_bytes: usize,
) {
    write_frame(out, batch_bytes, |out| {
        write_array(out, 5);
        write_op(out, ops::MESSAGES);
        write_uint(out, subscription.into());
        write_uint(out, first_tag);
        out.extend_from_slice(numbers);
        out.extend_from_slice(redelivered);
    });
}

/// Appends one RETURNED frame: these records of a publish reached nobody.
pub fn write_returned(out: &mut Vec<u8>, publisher: u32, correlation: u32, code: ErrorCode, positions: &[u32]) {
    write_frame(out, 0, |out| {
        write_array(out, 6);
        write_op(out, ops::RETURNED);
        write_uint(out, publisher.into());
        write_uint(out, correlation.into());
        write_uint(out, code.0.into());
        write_str(out, code.name());
        write_array(out, positions.len());
        for position in positions {
            write_uint(out, u64::from(*position));
        }
    });
}

/// Code, name and message; what an `internal` error says stays inside.
fn write_code(out: &mut Vec<u8>, error: &CoreError) {
    let is_internal = error.code == ErrorCode::INTERNAL;
    write_uint(out, error.code.0.into());
    write_str(out, error.code.name());
    write_str(out, if is_internal { "internal error" } else { error.message.as_str() });
}

fn write_op(out: &mut Vec<u8>, op: u8) {
    write_uint(out, op.into());
}

/// Writes the head, the content, and then the content's length plus `following_bytes`
/// into the head.
#[inline]
fn write_frame(out: &mut Vec<u8>, following_bytes: usize, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[BIN32, 0, 0, 0, 0]);
    content(out);
    let length = out.len() - start - FRAME_HEAD_BYTES + following_bytes;
    out[start + 1..start + FRAME_HEAD_BYTES].copy_from_slice(&(length as u32).to_be_bytes());
}

#[cfg(test)]
#[path = "out_tests.rs"]
mod tests;
