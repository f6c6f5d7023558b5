//! Small parts with no knowledge of Millrace. See README.md.

pub mod fnv;
pub mod histogram;
pub mod msgpack;
pub mod notify;
pub mod recent;
