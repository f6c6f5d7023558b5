//! Small parts with no knowledge of Millrace. See README.md.

pub mod msgpack;
