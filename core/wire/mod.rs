//! The native protocol's frames, in and out, as pure functions over bytes.
//!
//! `Scanner` cuts a connection's byte stream into frames and parses those of the data
//! path (PUBLISH, `PUBLISH_ONE`, FLOW); all others it checks and hands on whole. `out`
//! writes the frames that the core itself sends. src/protocol/README.md is the
//! protocol's specification; README.md beside this file has the invariants.

mod control;
mod fast;
#[cfg(test)]
mod fuzz_target;
pub mod ops;
pub mod out;
mod parse;
mod scanner;
#[cfg(test)]
mod tests;

pub use parse::{parse_any, parse_frame};
pub use scanner::Scanner;

use crate::error::{CoreError, ErrorCode};

/// `c6` and the content's length as big-endian u32.
pub const FRAME_HEAD_BYTES: usize = 5;
const BIN32: u8 = 0xc6;
/// Every number of the protocol is an integer that JavaScript holds exactly.
const TIMESTAMP_MAX: u64 = (1 << 53) - 1;

/// Nesting of arrays and maps in a control frame.
pub const CONTROL_DEPTH_MAX: usize = 16;
/// Content of a control frame; msgpackr turns each byte into a value of eight or more.
pub const CONTROL_BYTES_MAX: usize = 4 << 20;
/// Values in a control frame, for the same reason.
pub const CONTROL_VALUES_MAX: u64 = 1 << 18;

/// One frame of a client, as views of the bytes it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame<'a> {
    Publish(PublishFrame<'a>),
    PublishOne(PublishOneFrame<'a>),
    /// A publish that cannot be taken, whose sender can be told so.
    BadPublish(BadPublish),
    /// The consumer grants `bytes` of delivery credit.
    Flow {
        subscription: u32,
        bytes: u64,
    },
    /// The consumer settles deliveries of a queue.
    Settle(SettleFrame<'a>),
    /// The consumer changes how many unsettled messages it takes.
    Prefetch {
        subscription: u32,
        prefetch: u32,
    },
    /// Any other frame, its msgpack checked: `bytes` is the whole frame with its head.
    Control {
        op: u8,
        bytes: &'a [u8],
    },
}

/// PUBLISH: one batch. Its layout and CRC are not checked yet, only that the frame's
/// rest is as long as the batch's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublishFrame<'a> {
    pub publisher: u32,
    pub correlation: u32,
    pub partition: Option<u32>,
    /// 0 none, 1 memory, 2 written, 3 synced.
    pub acks: u8,
    pub condition: Condition<'a>,
    pub batch: &'a [u8],
    /// The whole frame with its head: what it costs in credit.
    pub frame_bytes: u32,
}

/// `PUBLISH_ONE`: one record, fully checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublishOneFrame<'a> {
    pub publisher: u32,
    pub correlation: u32,
    pub partition: Option<u32>,
    /// 0 none, 1 memory, 2 written, 3 synced.
    pub acks: u8,
    pub sequence: Option<u32>,
    pub condition: Condition<'a>,
    /// The record array `[timestamp, key, value, headers]`, to be stored verbatim.
    pub record: &'a [u8],
    /// Absolute ms below 2^53.
    pub timestamp: Option<u64>,
    /// The key's content bytes, which pick the partition.
    pub key: Option<&'a [u8]>,
    /// The value's content bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The whole frame with its head: what it costs in credit.
    pub frame_bytes: u32,
}

/// SETTLE: what became of messages that a queue's consumer was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SettleFrame<'a> {
    pub subscription: u32,
    /// The request to answer; without one only refusals are answered.
    pub correlation: Option<u32>,
    /// 0 ack, 1 requeue, 2 reject, 3 defer, 4 renew, 5 release, 6 retry.
    pub outcome: u8,
    pub argument: SettleArgument<'a>,
    /// First tags and counts in turn, checked: msgpack uints.
    pub ranges: &'a [u8],
}

impl SettleFrame<'_> {
    /// The ranges: first tag and how many.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut reader = crate::stdx::msgpack::Reader::new(self.ranges);
        std::iter::from_fn(move || Some((reader.uint().ok()?, reader.uint().ok()?)))
    }
}

/// What a retry is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SettleArgument<'a> {
    None,
    DelayMs(u64),
    /// The class of the error, whose policy the queue looks up.
    Class(&'a [u8]),
    /// The state that the message's session has from now on.
    State(&'a [u8]),
}

/// What has to hold for a publish to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition<'a> {
    None,
    /// The partition's next offset.
    NextOffset(u64),
    /// The offset of the key's last record; `None`: the key must not exist.
    Key {
        key: &'a [u8],
        last_offset: Option<u64>,
    },
}

/// To be answered by a NACK; the connection lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BadPublish {
    pub publisher: u32,
    pub correlation: u32,
    pub frame_bytes: u32,
    pub fault: WireFault,
}

/// What is wrong with a frame. From the scanner it ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WireFault {
    pub code: ErrorCode,
    pub what: &'static str,
    /// Byte of the frame, its head included.
    pub at: usize,
    /// Where in the connection's stream the frame began.
    pub frame_at: u64,
}

impl WireFault {
    fn new(code: ErrorCode, at: usize, what: &'static str) -> WireFault {
        WireFault { code, what, at, frame_at: 0 }
    }

    fn malformed(at: usize, what: &'static str) -> WireFault {
        WireFault::new(ErrorCode::MALFORMED_FRAME, at, what)
    }
}

impl std::fmt::Display for WireFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let WireFault { what, at, frame_at, .. } = self;
        write!(f, "{what}, at byte {at} of the frame that began at byte {frame_at} of the connection")
    }
}

impl From<WireFault> for CoreError {
    fn from(fault: WireFault) -> CoreError {
        CoreError::new(fault.code, fault.to_string())
    }
}
