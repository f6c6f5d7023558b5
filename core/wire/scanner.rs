//! Cuts a connection's byte stream into frames.
//!
//! ```text
//! frame    c6 | content length u32 BE | content
//! content  msgpack array [op, ...]; for PUBLISH one whole batch behind it
//! ```

use std::ops::ControlFlow;

use super::parse::parse_frame;
use super::{BIN32, FRAME_HEAD_BYTES, Frame, WireFault};
use crate::error::ErrorCode;

/// A carry of more than this is given back when a chunk came and went without it.
const CARRY_KEPT_BYTES: usize = 4096;

/// One connection's scanner. It holds at most the one frame that is not complete yet
/// and the buffer of the one before, and never more than twice what has arrived of
/// them, whatever length was announced.
#[derive(Debug)]
pub struct Scanner {
    content_bytes_max: usize,
    carry: Vec<u8>,
    /// The buffer of the frame before: the next one that is cut goes there.
    spare: Vec<u8>,
    /// Stream position of the next frame's head.
    position: u64,
    closed: bool,
}

impl Scanner {
    /// `frame_bytes_max`: the longest content (the length that a head may state).
    pub fn new(frame_bytes_max: usize) -> Scanner {
        Scanner { content_bytes_max: frame_bytes_max, carry: Vec::new(), spare: Vec::new(), position: 0, closed: false }
    }

    /// Takes the stream's next bytes and hands each frame that they complete to `sink`,
    /// in order. Frames are views of `chunk`, but for a first one that began in an
    /// earlier chunk: its bytes are moved to `whole`, which has to be empty. So all
    /// frames of a call can be kept together until it is over; then `whole` should be
    /// handed back (`reuse`).
    ///
    /// When `sink` breaks, or after a fault, the connection is over: the rest of the
    /// chunk and all later ones are ignored.
    ///
    /// # Errors
    /// The first frame that cannot be read; the frames before it were handed on.
    pub fn feed_into<'c, S>(&mut self, chunk: &'c [u8], whole: &'c mut Vec<u8>, sink: &mut S) -> Result<(), WireFault>
    where
        S: FnMut(Frame<'c>) -> ControlFlow<()>,
    {
        if self.closed {
            return Ok(());
        }
        let fed = self.feed_open(chunk, whole, sink);
        if self.closed || fed.is_err() {
            self.closed = true;
            self.carry = Vec::new();
            self.spare = Vec::new();
        }
        fed.map_err(|fault| WireFault { frame_at: self.position, ..fault })
    }

    /// `feed_into` for who keeps no frame.
    ///
    /// # Errors
    /// As `feed_into`.
    pub fn feed<S>(&mut self, chunk: &[u8], sink: &mut S) -> Result<(), WireFault>
    where
        S: FnMut(Frame<'_>) -> ControlFlow<()>,
    {
        let mut whole = Vec::new();
        let fed = self.feed_into(chunk, &mut whole, sink);
        self.reuse(whole);
        fed
    }

    /// Takes back the buffer that `feed_into` filled, for a later frame.
    pub fn reuse(&mut self, mut whole: Vec<u8>) {
        if whole.capacity() > 0 && !self.closed {
            whole.clear();
            self.spare = whole;
        }
    }

    /// Bytes reserved for a frame that is not complete, for the limits and statistics.
    pub fn memory_bytes(&self) -> usize {
        self.carry.capacity() + self.spare.capacity()
    }

    fn feed_open<'c, S>(&mut self, chunk: &'c [u8], whole: &'c mut Vec<u8>, sink: &mut S) -> Result<(), WireFault>
    where
        S: FnMut(Frame<'c>) -> ControlFlow<()>,
    {
        let carried = !self.carry.is_empty();
        let mut rest = chunk;
        if carried {
            if !self.complete(&mut rest)? {
                return Ok(());
            }
            *whole = std::mem::replace(&mut self.carry, std::mem::take(&mut self.spare));
            if !self.hand_on(whole, sink)? {
                return Ok(());
            }
        }
        while let Some(&head) = rest.first_chunk() {
            let frame_bytes = self.frame_bytes(head)?;
            let Some((frame, after)) = rest.split_at_checked(frame_bytes) else {
                break;
            };
            if !self.hand_on(frame, sink)? {
                return Ok(());
            }
            rest = after;
        }
        if !rest.is_empty() {
            return self.keep(rest);
        }
        if !carried && self.memory_bytes() > CARRY_KEPT_BYTES {
            self.carry = Vec::new();
            self.spare = Vec::new();
        }
        Ok(())
    }

    /// Completes the carried frame from `rest`. False when it is still not complete.
    fn complete(&mut self, rest: &mut &[u8]) -> Result<bool, WireFault> {
        let missing = FRAME_HEAD_BYTES.saturating_sub(self.carry.len());
        self.take(rest, missing, FRAME_HEAD_BYTES);
        let Some(&head) = self.carry.first_chunk() else {
            return Ok(false);
        };
        let frame_bytes = self.frame_bytes(head)?;
        self.take(rest, frame_bytes - self.carry.len(), frame_bytes);
        Ok(self.carry.len() == frame_bytes)
    }

    #[inline]
    fn hand_on<'c, S>(&mut self, frame: &'c [u8], sink: &mut S) -> Result<bool, WireFault>
    where
        S: FnMut(Frame<'c>) -> ControlFlow<()>,
    {
        let mut parsed = parse_frame(frame)?;
        if let Frame::BadPublish(bad) = &mut parsed {
            bad.fault.frame_at = self.position;
        }
        self.position += frame.len() as u64;
        self.closed = sink(parsed).is_break();
        Ok(!self.closed)
    }

    /// Keeps the beginning of a frame, once what there is of its head is seen to be good.
    fn keep(&mut self, rest: &[u8]) -> Result<(), WireFault> {
        if rest.first() != Some(&BIN32) {
            return Err(bad_marker());
        }
        let total = match rest.first_chunk() {
            Some(&head) => self.frame_bytes(head)?,
            None => FRAME_HEAD_BYTES,
        };
        let mut rest = rest;
        let all = rest.len();
        self.take(&mut rest, all, total);
        Ok(())
    }

    /// Moves up to `count` bytes of `rest` into the carry. Its capacity doubles as bytes
    /// arrive, and stops at `total`.
    fn take(&mut self, rest: &mut &[u8], count: usize, total: usize) {
        let (taken, after) = rest.split_at(count.min(rest.len()));
        let needed = self.carry.len() + taken.len();
        if needed > self.carry.capacity() {
            let capacity = (2 * self.carry.capacity()).min(total).max(needed);
            self.carry.reserve_exact(capacity - self.carry.len());
        }
        self.carry.extend_from_slice(taken);
        *rest = after;
    }

    #[inline]
    fn frame_bytes(&self, head: [u8; FRAME_HEAD_BYTES]) -> Result<usize, WireFault> {
        let [marker, length @ ..] = head;
        if marker != BIN32 {
            return Err(bad_marker());
        }
        let content_bytes = u32::from_be_bytes(length) as usize;
        if content_bytes > self.content_bytes_max {
            return Err(WireFault::new(ErrorCode::FRAME_TOO_LARGE, 1, "the frame is longer than frameBytesMax"));
        }
        Ok(FRAME_HEAD_BYTES + content_bytes)
    }
}

#[cold]
fn bad_marker() -> WireFault {
    WireFault::malformed(0, "a frame begins with c6, a msgpack bin32")
}
