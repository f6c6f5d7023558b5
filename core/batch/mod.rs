//! The batch: the unit that is framed, appended, replicated and delivered. See
//! README.md for the layout; every constant of it lives in `header.rs`.

mod builder;
pub mod compression;
mod crc;
mod header;
pub mod murmur2;
mod record;
pub mod sparse;

pub use builder::{BatchBuilder, finish, finish_sparse};
pub use crc::BodyCrc;
pub use header::{
    Attributes, BatchFault, BatchHeader, Compression, HEADER_BYTES, MARKER, RecordEncoding, crc_of, verify,
};
pub use record::{Record, RecordIter, Walk, each_value, read_record, records_of, span_of, walk};
