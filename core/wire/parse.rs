//! Parses one whole frame. Layout of those that the data path takes:
//!
//! ```text
//! PUBLISH      c6 length | 96  0a pub corr partition acks cond      | batch (64 + records bytes)
//! PUBLISH_ONE  c6 length | 98  0b pub corr partition acks seq  cond   94 timestamp key value headers
//! FLOW         c6 length | 93  0c sub bytes
//! SETTLE       c6 length | 96  0d sub corr outcome argument ranges
//! PREFETCH     c6 length | 93  0e sub prefetch
//!
//! pub corr sub bytes   uint (sub, pub, corr: u32)
//! partition            nil or u32
//! acks                 0..=3
//! seq                  nil or u32
//! cond                 nil | uint next offset | 92 key(str, bin) last offset(nil, uint)
//! timestamp            nil or uint ms
//! key value            nil, str or bin
//! headers              nil, or a map of str to nil, bool, number, str or bin
//! ```
//!
//! outcome              0..=7
//! argument             nil | uint ms | str error class
//! ranges               array of uints: first tag, count, first tag, count, ...
//!
//! Every integer and length may come in any of msgpack's encodings.

use super::{
    BadPublish, Condition, FRAME_HEAD_BYTES, Frame, PublishFrame, PublishOneFrame, SettleArgument, SettleFrame,
    TIMESTAMP_MAX, WireFault, control, fast, ops,
};
use crate::batch::{HEADER_BYTES, MARKER, read_record};
use crate::error::ErrorCode;
use crate::stdx::msgpack::{Fault, Reader};

const PUBLISH_VALUES: usize = 6;
const PUBLISH_ONE_VALUES: usize = 8;
const FLOW_VALUES: usize = 3;
const SETTLE_VALUES: usize = 6;
const PREFETCH_VALUES: usize = 3;
const ACKS_MAX: u64 = 3;
const OUTCOME_MAX: u64 = 7;
/// Ack with the state of the message's session, the only one whose argument is a bin.
const OUTCOME_ACK_STATE: u64 = 7;
const CLASS_BYTES_MAX: usize = 255;

/// Parses a whole frame, whose head (not looked at) must state its length.
///
/// # Errors
/// Content that is not what its op prescribes, except arguments of a publish whose
/// sender can be named: those come out as [`Frame::BadPublish`].
#[inline]
pub fn parse_frame(frame: &[u8]) -> Result<Frame<'_>, WireFault> {
    match fast::publish_one(frame) {
        Some(one) => Ok(Frame::PublishOne(one)),
        None => parse_any(frame),
    }
}

/// As [`parse_frame`], without the short way for the common form of `PUBLISH_ONE`.
///
/// # Errors
/// As [`parse_frame`].
pub fn parse_any(frame: &[u8]) -> Result<Frame<'_>, WireFault> {
    let mut reader = Reader::new(frame);
    let opening = open(&mut reader);
    let (count, op) =
        opening.map_err(|_| WireFault::malformed(reader.position(), "a frame holds an array [op, ...]"))?;
    match op {
        ops::PUBLISH_ONE => publish(frame, reader, |addressed| publish_one(addressed, count)),
        ops::PUBLISH => publish(frame, reader, |addressed| publish_batch(addressed, count)),
        ops::FLOW => flow(reader, count),
        ops::SETTLE => settle(frame, reader, count),
        ops::PREFETCH => prefetch(reader, count),
        op => control::check(reader, count).map(|()| Frame::Control { op, bytes: frame }),
    }
}

/// The array's length and the op.
#[inline]
fn open(reader: &mut Reader<'_>) -> Result<(usize, u8), Fault> {
    reader.take(FRAME_HEAD_BYTES)?;
    let count = reader.array()?;
    let op = u8::try_from(reader.uint()?).map_err(|_| Fault::Malformed)?;
    if count == 0 { Err(Fault::Malformed) } else { Ok((count, op)) }
}

/// A publish whose sender is known: faults from here on are answered, not fatal.
#[derive(Clone, Copy)]
struct Addressed<'a> {
    frame: &'a [u8],
    reader: Reader<'a>,
    publisher: u32,
    correlation: u32,
}

#[inline]
fn publish<'a, F>(frame: &'a [u8], mut reader: Reader<'a>, parse: F) -> Result<Frame<'a>, WireFault>
where
    F: FnOnce(Addressed<'a>) -> Result<Frame<'a>, WireFault>,
{
    let publisher = argument(&mut reader, "the publisher is a u32", Reader::uint32)?;
    let correlation = argument(&mut reader, "the correlation id is a u32", Reader::uint32)?;
    let parsed = parse(Addressed { frame, reader, publisher, correlation });
    Ok(parsed.unwrap_or_else(|fault| {
        let frame_bytes = frame.len() as u32;
        Frame::BadPublish(BadPublish { publisher, correlation, frame_bytes, fault })
    }))
}

#[inline]
fn publish_one(addressed: Addressed<'_>, count: usize) -> Result<Frame<'_>, WireFault> {
    let Addressed { frame, mut reader, publisher, correlation } = addressed;
    let reader = &mut reader;
    expect_count(reader, count, PUBLISH_ONE_VALUES)?;
    let partition = argument(reader, "the partition is nil or a u32", optional_uint32)?;
    let acks = acks(reader)?;
    let sequence = argument(reader, "the sequence is nil or a u32", optional_uint32)?;
    let condition = condition(reader)?;
    let at = reader.position();
    let Ok(record) = read_record(reader.rest()) else {
        return Err(bad_record(at, "a record is [timestamp, key, value, headers]"));
    };
    if record.timestamp.is_some_and(|timestamp| timestamp > TIMESTAMP_MAX) {
        return Err(bad_record(at, "a timestamp is below 2^53 ms"));
    }
    if at + record.raw.len() != frame.len() {
        return Err(WireFault::malformed(at + record.raw.len(), "bytes follow the record"));
    }
    Ok(Frame::PublishOne(PublishOneFrame {
        publisher,
        correlation,
        partition,
        acks,
        sequence,
        condition,
        record: record.raw,
        timestamp: record.timestamp,
        key: record.key,
        value: record.value,
        frame_bytes: frame.len() as u32,
    }))
}

#[inline]
fn publish_batch(addressed: Addressed<'_>, count: usize) -> Result<Frame<'_>, WireFault> {
    let Addressed { frame, mut reader, publisher, correlation } = addressed;
    let reader = &mut reader;
    expect_count(reader, count, PUBLISH_VALUES)?;
    let partition = argument(reader, "the partition is nil or a u32", optional_uint32)?;
    let acks = acks(reader)?;
    let condition = condition(reader)?;
    let batch = reader.rest();
    if stated_batch_bytes(batch) != Some(batch.len()) {
        let what = "exactly one batch follows the array, as long as its header says";
        return Err(WireFault::new(ErrorCode::BAD_BATCH, reader.position(), what));
    }
    let frame_bytes = frame.len() as u32;
    Ok(Frame::Publish(PublishFrame { publisher, correlation, partition, acks, condition, batch, frame_bytes }))
}

#[inline]
fn flow(mut reader: Reader<'_>, count: usize) -> Result<Frame<'_>, WireFault> {
    let reader = &mut reader;
    expect_count(reader, count, FLOW_VALUES)?;
    let subscription = argument(reader, "the subscription is a u32", Reader::uint32)?;
    let bytes = argument(reader, "the credit is a number of bytes", Reader::uint)?;
    if !reader.is_at_end() {
        return Err(WireFault::malformed(reader.position(), "bytes follow the array"));
    }
    Ok(Frame::Flow { subscription, bytes })
}

fn settle<'a>(frame: &'a [u8], mut reader: Reader<'a>, count: usize) -> Result<Frame<'a>, WireFault> {
    let reader = &mut reader;
    expect_count(reader, count, SETTLE_VALUES)?;
    let subscription = argument(reader, "the subscription is a u32", Reader::uint32)?;
    let correlation = argument(reader, "the correlation id is nil or a u32", optional_uint32)?;
    let at = reader.position();
    let outcome = argument(reader, "the outcome is an integer", Reader::uint)?;
    if outcome > OUTCOME_MAX {
        return Err(WireFault::malformed(at, "the outcome is 0 to 7"));
    }
    let what = "the argument is nil, a delay in ms or an error class of at most 255 bytes";
    let argument = match outcome {
        OUTCOME_ACK_STATE => argument(reader, "the argument is a session's state, a bin or nil", settle_state)?,
        _ => argument(reader, what, settle_argument)?,
    };
    let at = reader.position();
    let ranges =
        settle_ranges(frame, reader).map_err(|_| WireFault::malformed(at, "ranges are first tags and counts"))?;
    if !reader.is_at_end() {
        return Err(WireFault::malformed(reader.position(), "bytes follow the array"));
    }
    let outcome = outcome as u8;
    Ok(Frame::Settle(SettleFrame { subscription, correlation, outcome, argument, ranges }))
}

fn settle_state<'a>(reader: &mut Reader<'a>) -> Result<SettleArgument<'a>, Fault> {
    if reader.nil()? {
        return Ok(SettleArgument::None);
    }
    if !matches!(reader.peek()?, 0xc4..=0xc6) {
        return Err(Fault::Malformed);
    }
    reader.blob().map(SettleArgument::State)
}

fn settle_argument<'a>(reader: &mut Reader<'a>) -> Result<SettleArgument<'a>, Fault> {
    if reader.nil()? {
        return Ok(SettleArgument::None);
    }
    if matches!(reader.peek()?, 0xa0..=0xbf | 0xd9..=0xdb) {
        let class = reader.blob()?;
        return if class.len() > CLASS_BYTES_MAX { Err(Fault::Malformed) } else { Ok(SettleArgument::Class(class)) };
    }
    reader.uint().map(SettleArgument::DelayMs)
}

/// The ranges' bytes, after their array's head, with every value looked at.
fn settle_ranges<'a>(frame: &'a [u8], reader: &mut Reader<'a>) -> Result<&'a [u8], Fault> {
    let values = reader.array()?;
    if values % 2 != 0 {
        return Err(Fault::Malformed);
    }
    let start = reader.position();
    for _ in 0..values {
        reader.uint()?;
    }
    Ok(&frame[start..reader.position()])
}

fn prefetch(mut reader: Reader<'_>, count: usize) -> Result<Frame<'_>, WireFault> {
    let reader = &mut reader;
    expect_count(reader, count, PREFETCH_VALUES)?;
    let subscription = argument(reader, "the subscription is a u32", Reader::uint32)?;
    let prefetch = argument(reader, "the prefetch is a u32", Reader::uint32)?;
    if !reader.is_at_end() {
        return Err(WireFault::malformed(reader.position(), "bytes follow the array"));
    }
    Ok(Frame::Prefetch { subscription, prefetch })
}

#[inline]
fn expect_count(reader: &Reader<'_>, count: usize, expected: usize) -> Result<(), WireFault> {
    if count == expected {
        return Ok(());
    }
    Err(WireFault::malformed(reader.position(), "the array has not as many values as its op prescribes"))
}

#[inline]
fn acks(reader: &mut Reader<'_>) -> Result<u8, WireFault> {
    let at = reader.position();
    let level = argument(reader, "acks is an integer", Reader::uint)?;
    if level > ACKS_MAX {
        return Err(WireFault::new(ErrorCode::INVALID_ARGUMENT, at, "acks is 0, 1, 2 or 3"));
    }
    Ok(level as u8)
}

#[inline]
fn condition<'a>(reader: &mut Reader<'a>) -> Result<Condition<'a>, WireFault> {
    argument(reader, "the condition is nil, an offset or [key, offset or nil]", |reader| {
        if reader.nil()? {
            return Ok(Condition::None);
        }
        if !matches!(reader.peek()?, 0x90..=0x9f | 0xdc | 0xdd) {
            return reader.uint().map(Condition::NextOffset);
        }
        if reader.array()? != 2 {
            return Err(Fault::Malformed);
        }
        let key = reader.blob()?;
        let last_offset = reader.optional_uint()?;
        Ok(Condition::Key { key, last_offset })
    })
}

#[inline]
fn optional_uint32(reader: &mut Reader<'_>) -> Result<Option<u32>, Fault> {
    if reader.nil()? { Ok(None) } else { reader.uint32().map(Some) }
}

/// Reads one value; a fault names the byte where the value began.
#[inline]
fn argument<'a, T, F>(reader: &mut Reader<'a>, what: &'static str, read: F) -> Result<T, WireFault>
where
    F: FnOnce(&mut Reader<'a>) -> Result<T, Fault>,
{
    let at = reader.position();
    read(reader).map_err(|_| WireFault::malformed(at, what))
}

/// The length that a batch's header states; `None` where no header stands.
#[inline]
fn stated_batch_bytes(batch: &[u8]) -> Option<usize> {
    let head: &[u8; HEADER_BYTES] = batch.first_chunk()?;
    if head[0] != MARKER {
        return None;
    }
    let records_bytes = u32::from_be_bytes([head[60], head[61], head[62], head[63]]);
    Some(HEADER_BYTES + records_bytes as usize)
}

#[cold]
fn bad_record(at: usize, what: &'static str) -> WireFault {
    WireFault::new(ErrorCode::BAD_RECORD, at, what)
}
