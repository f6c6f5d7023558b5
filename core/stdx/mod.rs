//! Small parts with no knowledge of Millrace. See README.md.

pub mod background;
pub mod fnv;
pub mod histogram;
pub mod msgpack;
pub mod notify;
pub mod recent;
pub mod salting;
