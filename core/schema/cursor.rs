//! The encodings of Avro's binary format, as a cursor over a body.
//! Source: <https://avro.apache.org/docs/1.12.0/specification/#binary-encoding>.

use super::invalid::Reason;

pub type Read<T = ()> = Result<T, Reason>;

/// What a number of this many bytes is still read as: 64 bits in groups of 7.
const LONG_BYTES_MAX: usize = 10;
const INT_BYTES_MAX: usize = 5;

/// A cursor over `bytes`; every method moves it past what it read.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    #[inline]
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline]
    pub fn take(&mut self, length: usize, kind: &'static str) -> Read<&'a [u8]> {
        let bytes = self.bytes;
        let taken = bytes.get(self.at..).and_then(|rest| rest.get(..length)).ok_or(Reason::Truncated(kind))?;
        self.at += length;
        Ok(taken)
    }

    /// A variable-length number before zigzag is undone.
    #[inline]
    fn raw(&mut self, kind: &'static str) -> Read<u64> {
        let first = *self.bytes.get(self.at).ok_or(Reason::Truncated(kind))?;
        if first < 0x80 {
            self.at += 1;
            return Ok(first.into());
        }
        self.raw_long(kind)
    }

    /// As `raw`, for numbers of more than a byte.
    fn raw_long(&mut self, kind: &'static str) -> Read<u64> {
        let mut value = 0_u64;
        for (index, &byte) in self.bytes[self.at..].iter().take(LONG_BYTES_MAX).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                if index == LONG_BYTES_MAX - 1 && byte > 1 {
                    return Err(Reason::Number(kind));
                }
                self.at += index + 1;
                return Ok(value);
            }
        }
        Err(if self.left() < LONG_BYTES_MAX { Reason::Truncated(kind) } else { Reason::Number(kind) })
    }

    #[inline]
    pub fn long(&mut self, kind: &'static str) -> Read<i64> {
        self.raw(kind).map(|raw| (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    #[inline]
    pub fn int(&mut self) -> Read<i32> {
        let start = self.at;
        let value = i32::try_from(self.long("int")?);
        if let (Ok(value), ..=INT_BYTES_MAX) = (value, self.at - start) {
            return Ok(value);
        }
        self.at = start;
        Err(Reason::Number("int"))
    }

    #[inline]
    pub fn float(&mut self) -> Read<f32> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4, "float")?);
        Ok(f32::from_le_bytes(bytes))
    }

    #[inline]
    pub fn double(&mut self) -> Read<f64> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8, "double")?);
        Ok(f64::from_le_bytes(bytes))
    }

    #[inline]
    pub fn boolean(&mut self) -> Read<bool> {
        match self.bytes.get(self.at) {
            Some(&byte @ (0 | 1)) => {
                self.at += 1;
                Ok(byte == 1)
            }
            Some(&byte) => Err(Reason::Boolean(byte)),
            None => Err(Reason::Truncated("boolean")),
        }
    }

    /// A length, then as many bytes.
    #[inline]
    pub fn blob(&mut self, kind: &'static str) -> Read<&'a [u8]> {
        let start = self.at;
        let length = self.long(kind)?;
        let taken = match usize::try_from(length) {
            Ok(length) => self.take(length, kind),
            Err(_) => Err(Reason::Length(length)),
        };
        if taken.is_err() {
            self.at = start;
        }
        taken
    }

    #[inline]
    pub fn text(&mut self) -> Read<&'a [u8]> {
        let start = self.at;
        let text = self.blob("string")?;
        if std::str::from_utf8(text).is_err() {
            self.at = start;
            return Err(Reason::Utf8);
        }
        Ok(text)
    }

    /// The index of one of `count` branches or symbols.
    #[inline]
    pub fn index(&mut self, count: usize, fault: fn(i64, u32) -> Reason, kind: &'static str) -> Read<usize> {
        let start = self.at;
        let index = self.long(kind)?;
        match usize::try_from(index) {
            Ok(index) if index < count => Ok(index),
            _ => {
                self.at = start;
                Err(fault(index, count as u32))
            }
        }
    }
}

/// The blocks of an array or a map: each a number of items and, where that is negative, the block's size in bytes too.
pub struct Blocks {
    kind: &'static str,
    /// Where the block under way has to end.
    end: Option<usize>,
}

impl Blocks {
    #[inline]
    pub fn new(kind: &'static str) -> Self {
        Self { kind, end: None }
    }

    /// How many items the next block has; 0 at the end. The items of the block before have been passed.
    #[inline]
    pub fn next(&mut self, cursor: &mut Cursor<'_>) -> Read<u64> {
        if self.end.is_some_and(|end| end != cursor.at) {
            return Err(Reason::BlockSize);
        }
        self.end = None;
        let count = cursor.long(self.kind)?;
        if count >= 0 {
            return Ok(count.unsigned_abs());
        }
        let size = cursor.long(self.kind)?;
        let end = usize::try_from(size).ok().and_then(|size| cursor.at.checked_add(size));
        let end = end.filter(|&end| end <= cursor.bytes.len()).ok_or(Reason::BlockSize)?;
        self.end = Some(end);
        Ok(count.unsigned_abs())
    }
}
