//! The 64 fixed bytes at the head of a batch and the CRC over all of it.
//!
//! ```text
//! 0  9b                       array of 11
//! 1  cf base offset      u64  written by the broker
//! 10 ce epoch            u32  written by the broker
//! 15 ce crc              u32  over bytes 0..15 and 20..end
//! 20 cd attributes       u16
//! 23 ce record count     u32
//! 28 cf base timestamp   u64  ms
//! 37 ce max delta        u32  ms
//! 42 cf producer id      u64
//! 51 cd producer epoch   u16
//! 54 ce base sequence    u32
//! 59 c6 records bytes    u32
//! 64 records
//! ```

use crc32fast::Hasher;

use super::crc::BodyCrc;
use crate::error::{CoreError, ErrorCode};

pub const HEADER_BYTES: usize = 64;
pub const MARKER: u8 = 0x9b;
const VERSION: u16 = 1;
const OFFSET_MAX: u64 = (1 << 53) - 1;

/// Why bytes are no valid batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFault {
    /// Fewer bytes than the header announces.
    Truncated,
    /// A fixed msgpack head stands not where it must, at this byte.
    Layout(u8),
    Version(u16),
    Attributes(u16),
    Crc {
        stated: u32,
        actual: u32,
    },
    /// The records are not what the header counts.
    Count {
        stated: u32,
        actual: u32,
    },
    /// A record is malformed, at this byte of the records.
    Record {
        at: usize,
    },
    RecordTooLarge {
        at: usize,
        bytes: usize,
    },
    Decompress,
}

impl BatchFault {
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Truncated | Self::Layout(_) | Self::Version(_) | Self::Attributes(_) => ErrorCode::BAD_BATCH,
            Self::Crc { .. } => ErrorCode::BAD_CRC,
            Self::Count { .. } => ErrorCode::RECORD_COUNT_MISMATCH,
            Self::Record { .. } => ErrorCode::BAD_RECORD,
            Self::RecordTooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
            Self::Decompress => ErrorCode::DECOMPRESS_FAILED,
        }
    }
}

impl From<BatchFault> for CoreError {
    fn from(fault: BatchFault) -> Self {
        let message = match fault {
            BatchFault::Truncated => "the batch ends before its stated length".to_owned(),
            BatchFault::Layout(at) => format!("byte {at} of the batch header is not the msgpack head the layout fixes"),
            BatchFault::Version(version) => format!("batch version {version} is not {VERSION}"),
            BatchFault::Attributes(bits) => format!("attributes {bits:#06x} use unknown bits"),
            BatchFault::Crc { stated, actual } => format!("stated {stated:#010x}, computed {actual:#010x}"),
            BatchFault::Count { stated, actual } => {
                format!("the header counts {stated} records, the body holds {actual}")
            }
            BatchFault::Record { at } => format!("the record at byte {at} of the records is malformed"),
            BatchFault::RecordTooLarge { at, bytes } => {
                format!("the record at byte {at} of the records has {bytes} bytes, more than messageBytesMax")
            }
            BatchFault::Decompress => "the zstd frame does not decompress within the limit".to_owned(),
        };
        Self::new(fault.code(), message)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Zstd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordEncoding {
    Msgpack,
}

/// The 16 attribute bits, lowest first: version 4, compression 3, record
/// encoding 3, timestamp type, control, transactional, sparse, absolute
/// timestamps, zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(pub u16);

impl Attributes {
    const APPEND_TIME: u16 = 1 << 10;
    const CONTROL: u16 = 1 << 11;
    const TRANSACTIONAL: u16 = 1 << 12;
    const SPARSE: u16 = 1 << 13;
    const ABSOLUTE: u16 = 1 << 14;

    /// Version 1, plain records, delta timestamps.
    pub const PLAIN: Self = Self(VERSION);

    fn check(self) -> Result<(), BatchFault> {
        if self.0 & 0x0f != VERSION {
            return Err(BatchFault::Version(self.0 & 0x0f));
        }
        let (compression, encoding) = ((self.0 >> 4) & 7, (self.0 >> 7) & 7);
        let sparse_compressed = self.is_sparse() && compression != 0;
        if compression > 1 || encoding > 0 || self.0 >> 15 != 0 || sparse_compressed {
            return Err(BatchFault::Attributes(self.0));
        }
        Ok(())
    }

    pub fn compression(self) -> Compression {
        let compression = (self.0 >> 4) & 7;
        if compression == 0 { Compression::None } else { Compression::Zstd }
    }

    pub fn is_append_time(self) -> bool {
        self.0 & Self::APPEND_TIME != 0
    }

    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    pub fn is_sparse(self) -> bool {
        self.0 & Self::SPARSE != 0
    }

    pub fn is_absolute(self) -> bool {
        self.0 & Self::ABSOLUTE != 0
    }

    #[must_use]
    pub fn with_zstd(self) -> Self {
        Self(self.0 | 1 << 4)
    }

    #[must_use]
    pub fn without_compression(self) -> Self {
        Self(self.0 & !(7 << 4))
    }

    #[must_use]
    pub fn with_append_time(self) -> Self {
        Self(self.0 | Self::APPEND_TIME)
    }

    #[must_use]
    pub fn with_control(self) -> Self {
        Self(self.0 | Self::CONTROL)
    }

    #[must_use]
    pub fn with_sparse(self) -> Self {
        Self(self.0 | Self::SPARSE)
    }

    #[must_use]
    pub fn with_absolute(self) -> Self {
        Self(self.0 | Self::ABSOLUTE)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: u64,
    pub epoch: u32,
    pub crc: u32,
    pub attributes: Attributes,
    pub record_count: u32,
    pub base_timestamp: u64,
    pub max_timestamp_delta: u32,
    pub producer_id: u64,
    pub producer_epoch: u16,
    pub base_sequence: u32,
    pub records_bytes: u32,
}

impl BatchHeader {
    /// A plain batch of nothing by nobody, to be filled in.
    pub const EMPTY: Self = Self {
        base_offset: 0,
        epoch: 0,
        crc: 0,
        attributes: Attributes::PLAIN,
        record_count: 0,
        base_timestamp: 0,
        max_timestamp_delta: 0,
        producer_id: 0,
        producer_epoch: 0,
        base_sequence: 0,
        records_bytes: 0,
    };
}

/// The msgpack heads and where they stand.
const HEADS: [(usize, u8); 11] = [
    (0, MARKER),
    (1, 0xcf),
    (10, 0xce),
    (15, 0xce),
    (20, 0xcd),
    (23, 0xce),
    (28, 0xcf),
    (37, 0xce),
    (42, 0xcf),
    (51, 0xcd),
    (54, 0xce),
];
const RECORDS_HEAD: (usize, u8) = (59, 0xc6);

#[inline]
fn be32(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline]
fn be64(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(be32(bytes, at)) << 32 | u64::from(be32(bytes, at + 4))
}

#[inline]
fn be16(bytes: &[u8; HEADER_BYTES], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; the records need not be there.
    ///
    /// # Errors
    /// `Truncated` for fewer than 64 bytes; `Layout`, `Version`, `Attributes`
    /// where the bytes are no header of this version.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchFault> {
        let head: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(BatchFault::Truncated)?;
        for (at, byte) in HEADS.into_iter().chain([RECORDS_HEAD]) {
            if head[at] != byte {
                return Err(BatchFault::Layout(at as u8));
            }
        }
        let header = Self {
            base_offset: be64(head, 2),
            epoch: be32(head, 11),
            crc: be32(head, 16),
            attributes: Attributes(be16(head, 21)),
            record_count: be32(head, 24),
            base_timestamp: be64(head, 29),
            max_timestamp_delta: be32(head, 38),
            producer_id: be64(head, 43),
            producer_epoch: be16(head, 52),
            base_sequence: be32(head, 55),
            records_bytes: be32(head, 60),
        };
        header.attributes.check()?;
        if header.base_offset > OFFSET_MAX || header.base_timestamp > OFFSET_MAX || header.producer_id > OFFSET_MAX {
            return Err(BatchFault::Layout(1));
        }
        Ok(header)
    }

    /// The 64 bytes, with `self.crc` as it stands.
    #[inline]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        for (at, byte) in HEADS.into_iter().chain([RECORDS_HEAD]) {
            out[at] = byte;
        }
        out[2..10].copy_from_slice(&self.base_offset.to_be_bytes());
        out[11..15].copy_from_slice(&self.epoch.to_be_bytes());
        out[16..20].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        out[24..28].copy_from_slice(&self.record_count.to_be_bytes());
        out[29..37].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[38..42].copy_from_slice(&self.max_timestamp_delta.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[52..54].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[55..59].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[60..64].copy_from_slice(&self.records_bytes.to_be_bytes());
        out
    }

    /// Sets the CRC for records whose own CRC is known (an append changes the
    /// header of a batch, so the records are not read a second time).
    ///
    /// Returns the encoded header.
    #[inline]
    pub fn seal(&mut self, records: &BodyCrc) -> [u8; HEADER_BYTES] {
        let mut out = self.encode();
        self.crc = crc_of(&out, records);
        out[16..20].copy_from_slice(&self.crc.to_be_bytes());
        out
    }

    /// Header and records together, in bytes.
    #[inline]
    pub fn batch_bytes(&self) -> usize {
        HEADER_BYTES + self.records_bytes as usize
    }

    #[inline]
    pub fn max_timestamp(&self) -> u64 {
        self.base_timestamp.saturating_add(u64::from(self.max_timestamp_delta))
    }

    pub fn has_producer(&self) -> bool {
        self.producer_id != 0
    }
}

/// The CRC of a batch from its first 64 bytes and the CRC of its records.
#[inline]
pub fn crc_of(head: &[u8], records: &BodyCrc) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&head[..15]);
    hasher.update(&head[20..HEADER_BYTES]);
    records.behind(hasher.finalize())
}

/// Parses the batch at the start of `bytes` and checks its CRC.
///
/// # Errors
/// As `parse`; `Truncated` when the records are cut; `Crc`.
pub fn verify(bytes: &[u8]) -> Result<(BatchHeader, BodyCrc), BatchFault> {
    let header = BatchHeader::parse(bytes)?;
    let batch = bytes.get(..header.batch_bytes()).ok_or(BatchFault::Truncated)?;
    let records = BodyCrc::of(&batch[HEADER_BYTES..]);
    let actual = crc_of(batch, &records);
    if actual != header.crc {
        return Err(BatchFault::Crc { stated: header.crc, actual });
    }
    Ok((header, records))
}
