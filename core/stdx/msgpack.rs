//! The part of msgpack that Millrace stores and sends, as a pure reader over a
//! byte slice and writers into a `Vec`. Source: the msgpack specification,
//! <https://github.com/msgpack/msgpack/blob/master/spec.md>.
//!
//! The reader never allocates and never recurses, so hostile input costs no
//! more than its own length. Every method fails with `NeedMore` where the bytes
//! end, and with `Malformed` where another type stands.

#![allow(clippy::missing_errors_doc, reason = "said once, above")]

/// Why a value could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes end inside the value.
    NeedMore,
    /// The bytes are no msgpack, or a type other than the one asked for.
    Malformed,
}

type Read<T> = Result<T, Fault>;

/// What stands at the reader's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nil,
    Bool,
    Uint,
    NegativeInt,
    Float,
    Str,
    Bin,
    Array,
    Map,
    Ext,
}

/// A cursor over `bytes`; every method moves it past what it returned.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    #[inline]
    pub fn is_at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// Everything not yet read.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    #[inline]
    pub fn peek(&self) -> Read<u8> {
        self.bytes.get(self.position).copied().ok_or(Fault::NeedMore)
    }

    /// The next `length` bytes as they are.
    #[inline]
    pub fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let rest = &self.bytes[self.position..];
        if rest.len() < length {
            return Err(Fault::NeedMore);
        }
        self.position += length;
        Ok(&rest[..length])
    }

    #[inline]
    fn byte(&mut self) -> Read<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Ok(byte)
    }

    #[inline]
    fn be<const N: usize>(&mut self) -> Read<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    #[inline]
    fn be_len(&mut self, width: u8) -> Read<usize> {
        Ok(match width {
            1 => self.byte()? as usize,
            2 => u16::from_be_bytes(self.be()?) as usize,
            _ => u32::from_be_bytes(self.be()?) as usize,
        })
    }

    pub fn kind(&self) -> Read<Kind> {
        Ok(match self.peek()? {
            0x00..=0x7f | 0xcc..=0xcf => Kind::Uint,
            0x80..=0x8f | 0xde | 0xdf => Kind::Map,
            0x90..=0x9f | 0xdc | 0xdd => Kind::Array,
            0xa0..=0xbf | 0xd9..=0xdb => Kind::Str,
            0xc0 => Kind::Nil,
            0xc1 => return Err(Fault::Malformed),
            0xc2 | 0xc3 => Kind::Bool,
            0xc4..=0xc6 => Kind::Bin,
            0xc7..=0xc9 | 0xd4..=0xd8 => Kind::Ext,
            0xca | 0xcb => Kind::Float,
            0xd0..=0xd3 | 0xe0..=0xff => Kind::NegativeInt,
        })
    }

    /// True, and moves on, when a nil stands here.
    #[inline]
    pub fn nil(&mut self) -> Read<bool> {
        if self.peek()? == 0xc0 {
            self.position += 1;
            return Ok(true);
        }
        Ok(false)
    }

    /// A non-negative integer in any encoding. A signed encoding that holds a
    /// non-negative number counts, because some libraries write those.
    #[inline]
    pub fn uint(&mut self) -> Read<u64> {
        let head = self.byte()?;
        if head <= 0x7f {
            return Ok(u64::from(head));
        }
        let signed = match head {
            0xcc => return Ok(u64::from(self.byte()?)),
            0xcd => return Ok(u64::from(u16::from_be_bytes(self.be()?))),
            0xce => return Ok(u64::from(u32::from_be_bytes(self.be()?))),
            0xcf => return Ok(u64::from_be_bytes(self.be()?)),
            0xd0 => i64::from(i8::from_be_bytes(self.be()?)),
            0xd1 => i64::from(i16::from_be_bytes(self.be()?)),
            0xd2 => i64::from(i32::from_be_bytes(self.be()?)),
            0xd3 => i64::from_be_bytes(self.be()?),
            _ => return Err(Fault::Malformed),
        };
        u64::try_from(signed).map_err(|_| Fault::Malformed)
    }

    #[inline]
    pub fn uint32(&mut self) -> Read<u32> {
        u32::try_from(self.uint()?).map_err(|_| Fault::Malformed)
    }

    /// nil or a non-negative integer.
    #[inline]
    pub fn optional_uint(&mut self) -> Read<Option<u64>> {
        if self.nil()? { Ok(None) } else { self.uint().map(Some) }
    }

    #[inline]
    pub fn array(&mut self) -> Read<usize> {
        match self.byte()? {
            head @ 0x90..=0x9f => Ok((head & 0x0f) as usize),
            0xdc => self.be_len(2),
            0xdd => self.be_len(4),
            _ => Err(Fault::Malformed),
        }
    }

    #[inline]
    pub fn map(&mut self) -> Read<usize> {
        match self.byte()? {
            head @ 0x80..=0x8f => Ok((head & 0x0f) as usize),
            0xde => self.be_len(2),
            0xdf => self.be_len(4),
            _ => Err(Fault::Malformed),
        }
    }

    /// The content of a str or bin.
    #[inline]
    pub fn blob(&mut self) -> Read<&'a [u8]> {
        let length = match self.byte()? {
            head @ 0xa0..=0xbf => (head & 0x1f) as usize,
            0xc4 | 0xd9 => self.be_len(1)?,
            0xc5 | 0xda => self.be_len(2)?,
            0xc6 | 0xdb => self.be_len(4)?,
            _ => return Err(Fault::Malformed),
        };
        self.take(length)
    }

    /// nil, or the content of a str or bin.
    #[inline]
    pub fn optional_blob(&mut self) -> Read<Option<&'a [u8]>> {
        if self.nil()? { Ok(None) } else { self.blob().map(Some) }
    }

    pub fn str(&mut self) -> Read<&'a str> {
        if self.kind()? != Kind::Str {
            return Err(Fault::Malformed);
        }
        std::str::from_utf8(self.blob()?).map_err(|_| Fault::Malformed)
    }

    /// Moves past one nil, bool, number, str or bin; arrays, maps and extension
    /// types are malformed here.
    #[inline]
    pub fn skip_scalar(&mut self) -> Read<()> {
        let head = self.peek()?;
        let length = match head {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 1,
            0xcc | 0xd0 => 2,
            0xcd | 0xd1 => 3,
            0xca | 0xce | 0xd2 => 5,
            0xcb | 0xcf | 0xd3 => 9,
            0xa0..=0xbf | 0xc4..=0xc6 | 0xd9..=0xdb => {
                self.blob()?;
                return Ok(());
            }
            _ => return Err(Fault::Malformed),
        };
        self.take(length).map(|_| ())
    }

    /// Moves past one value of any type, nested at most `depth_max` deep. Works
    /// with a counter instead of a stack of lengths, so a deep bomb is refused
    /// and a wide one costs only the bytes it really has.
    pub fn skip(&mut self, depth_max: usize) -> Read<()> {
        let mut open: smallvec::SmallVec<[u64; 16]> = smallvec::smallvec![1];
        while let Some(left) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            let children = match self.kind()? {
                Kind::Array => self.array()? as u64,
                Kind::Map => self.map()? as u64 * 2,
                Kind::Ext => {
                    self.skip_ext()?;
                    continue;
                }
                _ => {
                    self.skip_scalar()?;
                    continue;
                }
            };
            if open.len() > depth_max {
                return Err(Fault::Malformed);
            }
            open.push(children);
        }
        Ok(())
    }

    fn skip_ext(&mut self) -> Read<()> {
        let length = match self.byte()? {
            0xd4 => 1,
            0xd5 => 2,
            0xd6 => 4,
            0xd7 => 8,
            0xd8 => 16,
            0xc7 => self.be_len(1)?,
            0xc8 => self.be_len(2)?,
            0xc9 => self.be_len(4)?,
            _ => return Err(Fault::Malformed),
        };
        self.take(length + 1).map(|_| ())
    }
}

/// Writers: each appends one value in its shortest encoding, unless its name
/// states a width.
pub fn write_nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.push(0xc2 + u8::from(value));
}

#[inline]
pub fn write_uint(out: &mut Vec<u8>, value: u64) {
    if value <= 0x7f {
        out.push(value as u8);
    } else if value <= 0xff {
        out.extend_from_slice(&[0xcc, value as u8]);
    } else if value <= 0xffff {
        out.push(0xcd);
        out.extend_from_slice(&(value as u16).to_be_bytes());
    } else if value <= 0xffff_ffff {
        out.push(0xce);
        out.extend_from_slice(&(value as u32).to_be_bytes());
    } else {
        out.push(0xcf);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub fn write_int(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        write_uint(out, value);
    } else if value >= -32 {
        out.push((value as i8).cast_unsigned());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(0xd2);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub fn write_optional_uint(out: &mut Vec<u8>, value: Option<u64>) {
    match value {
        Some(value) => write_uint(out, value),
        None => write_nil(out),
    }
}

pub fn write_array(out: &mut Vec<u8>, length: usize) {
    write_head(out, length, 0x90, 0xdc);
}

pub fn write_map(out: &mut Vec<u8>, length: usize) {
    write_head(out, length, 0x80, 0xde);
}

fn write_head(out: &mut Vec<u8>, length: usize, fix: u8, wide: u8) {
    if length <= 15 {
        out.push(fix | length as u8);
    } else if length <= 0xffff {
        out.push(wide);
        out.extend_from_slice(&(length as u16).to_be_bytes());
    } else {
        out.push(wide + 1);
        out.extend_from_slice(&(length as u32).to_be_bytes());
    }
}

pub fn write_str(out: &mut Vec<u8>, value: &str) {
    let length = value.len();
    if length <= 31 {
        out.push(0xa0 | length as u8);
    } else {
        write_blob_head(out, length, 0xd9);
    }
    out.extend_from_slice(value.as_bytes());
}

pub fn write_bin(out: &mut Vec<u8>, value: &[u8]) {
    write_blob_head(out, value.len(), 0xc4);
    out.extend_from_slice(value);
}

fn write_blob_head(out: &mut Vec<u8>, length: usize, narrow: u8) {
    if length <= 0xff {
        out.extend_from_slice(&[narrow, length as u8]);
    } else if length <= 0xffff {
        out.push(narrow + 1);
        out.extend_from_slice(&(length as u16).to_be_bytes());
    } else {
        out.push(narrow + 2);
        out.extend_from_slice(&(length as u32).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_width_come_back() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, (1u64 << shift) + 1] {
                let mut out = Vec::new();
                write_uint(&mut out, value);
                assert_eq!(Reader::new(&out).uint(), Ok(value));
            }
        }
    }

    #[test]
    fn blobs_of_every_width_come_back() {
        for length in [0, 31, 32, 255, 256, 65_535, 65_536] {
            let value = vec![b'x'; length];
            let mut out = Vec::new();
            write_bin(&mut out, &value);
            write_str(&mut out, std::str::from_utf8(&value).unwrap());
            let mut reader = Reader::new(&out);
            assert_eq!(reader.blob(), Ok(&value[..]));
            assert_eq!(reader.blob(), Ok(&value[..]));
            assert!(reader.is_at_end());
        }
    }

    #[test]
    fn a_negative_number_is_no_uint_and_a_signed_positive_one_is() {
        assert_eq!(Reader::new(&[0xd0, 0x05]).uint(), Ok(5));
        assert_eq!(Reader::new(&[0xd0, 0xfb]).uint(), Err(Fault::Malformed));
        assert_eq!(Reader::new(&[0xff]).uint(), Err(Fault::Malformed));
    }

    #[test]
    fn a_deep_bomb_is_refused_and_a_wide_one_ends_with_its_bytes() {
        assert_eq!(Reader::new(&[0x91; 10_000]).skip(16), Err(Fault::Malformed));
        assert_eq!(Reader::new(&[0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0]).skip(16), Err(Fault::NeedMore));
        let mut nested = Reader::new(&[0x92, 0x81, 0xa1, b'k', 0x01, 0xd4, 0x00, 0x00]);
        assert_eq!(nested.skip(16), Ok(()));
        assert!(nested.is_at_end());
    }

    #[test]
    fn every_cut_of_a_value_needs_more() {
        let mut out = Vec::new();
        write_array(&mut out, 3);
        write_uint(&mut out, 70_000);
        write_str(&mut out, "a longer string than thirty-one bytes is");
        write_map(&mut out, 1);
        write_bool(&mut out, true);
        write_nil(&mut out);
        for cut in 0..out.len() {
            assert_eq!(Reader::new(&out[..cut]).skip(4), Err(Fault::NeedMore));
        }
        assert_eq!(Reader::new(&out).skip(4), Ok(()));
    }
}
