//! The short way through a `PUBLISH_ONE` frame in the encodings that clients really send.
//!
//! It answers `None` for whatever it does not know, good or bad, and `parse.rs` then
//! reads the frame again and says what is wrong with it. Where it answers, it answers
//! as `parse.rs` does; the fuzz target holds the two against each other.

use super::{Condition, FRAME_HEAD_BYTES, PublishOneFrame, TIMESTAMP_MAX, ops};

/// Array of 8, and the op.
const OPENING: [u8; 2] = [0x98, ops::PUBLISH_ONE];
const NIL: u8 = 0xc0;
const RECORD_HEAD: u8 = 0x94;

/// Anything that the short way does not know.
struct Other;

type Read<T> = Result<T, Other>;

/// The bytes not yet read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    #[inline]
    fn byte(&mut self) -> Read<u8> {
        let (byte, rest) = self.0.split_first().ok_or(Other)?;
        self.0 = rest;
        Ok(*byte)
    }

    #[inline]
    fn be<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Other)?;
        self.0 = rest;
        Ok(*bytes)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Other)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// What follows the head of an unsigned integer up to 32 bits.
    #[inline]
    fn uint32_after(&mut self, head: u8) -> Read<u32> {
        match head {
            0x00..=0x7f => Ok(head.into()),
            0xce => self.be().map(u32::from_be_bytes),
            0xcd => self.be().map(|bytes| u16::from_be_bytes(bytes).into()),
            0xcc => self.byte().map(u32::from),
            _ => Err(Other),
        }
    }

    #[inline]
    fn uint32(&mut self) -> Read<u32> {
        let head = self.byte()?;
        self.uint32_after(head)
    }

    #[inline]
    fn optional_uint32(&mut self) -> Read<Option<u32>> {
        match self.byte()? {
            NIL => Ok(None),
            head => self.uint32_after(head).map(Some),
        }
    }

    #[inline]
    fn optional_timestamp(&mut self) -> Read<Option<u64>> {
        match self.byte()? {
            NIL => Ok(None),
            0xcf => {
                let timestamp = u64::from_be_bytes(self.be()?);
                if timestamp > TIMESTAMP_MAX { Err(Other) } else { Ok(Some(timestamp)) }
            }
            head => self.uint32_after(head).map(|timestamp| Some(timestamp.into())),
        }
    }

    /// nil, or the content of a str or bin.
    #[inline]
    fn optional_blob(&mut self) -> Read<Option<&'a [u8]>> {
        let length = match self.byte()? {
            NIL => return Ok(None),
            head @ 0xa0..=0xbf => usize::from(head & 0x1f),
            0xc4 | 0xd9 => self.byte()?.into(),
            0xc5 | 0xda => u16::from_be_bytes(self.be()?).into(),
            0xc6 | 0xdb => u32::from_be_bytes(self.be()?) as usize,
            _ => return Err(Other),
        };
        self.take(length).map(Some)
    }

    /// nil, or a small map of short strings to strings, bytes, nil and small integers.
    #[inline]
    fn headers(&mut self) -> Read<()> {
        let count = match self.byte()? {
            NIL => return Ok(()),
            head @ 0x80..=0x8f => head & 0x0f,
            _ => return Err(Other),
        };
        for _ in 0..count {
            match self.byte()? {
                head @ 0xa0..=0xbf => self.take(usize::from(head & 0x1f))?,
                _ => return Err(Other),
            };
            match self.0.first().ok_or(Other)? {
                0x00..=0x7f => self.byte().map(|_| ())?,
                _ => self.optional_blob().map(|_| ())?,
            }
        }
        Ok(())
    }
}

/// Parses a whole `PUBLISH_ONE` frame without a condition; `None` for any other.
#[inline]
pub fn publish_one(frame: &[u8]) -> Option<PublishOneFrame<'_>> {
    read(frame).ok()
}

#[inline]
fn read(frame: &[u8]) -> Read<PublishOneFrame<'_>> {
    let mut bytes = Bytes(frame.get(FRAME_HEAD_BYTES..).ok_or(Other)?);
    if bytes.be()? != OPENING {
        return Err(Other);
    }
    let publisher = bytes.uint32()?;
    let correlation = bytes.uint32()?;
    let partition = bytes.optional_uint32()?;
    let acks = bytes.byte()?;
    let sequence = bytes.optional_uint32()?;
    let condition = bytes.byte()?;
    let record = bytes.0;
    let record_head = bytes.byte()?;
    if acks > 3 || condition != NIL || record_head != RECORD_HEAD {
        return Err(Other);
    }
    let timestamp = bytes.optional_timestamp()?;
    let key = bytes.optional_blob()?;
    let value = bytes.optional_blob()?;
    bytes.headers()?;
    if !bytes.0.is_empty() {
        return Err(Other);
    }
    Ok(PublishOneFrame {
        publisher,
        correlation,
        partition,
        acks,
        sequence,
        condition: Condition::None,
        record,
        timestamp,
        key,
        value,
        frame_bytes: frame.len() as u32,
    })
}
