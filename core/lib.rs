//! The core of Millrace: log, ring, wire scanner and data plane, with no N-API, no
//! async runtime and no JavaScript types. `native` binds it; the rooms are
//! described in README.md beside this file.
#![deny(clippy::unwrap_used, clippy::undocumented_unsafe_blocks)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod batch;
pub mod clock;
pub mod engine;
pub mod error;
pub mod error_codes;
pub mod log;
pub mod mmap;
pub mod queue;
pub mod ring;
pub mod route;
pub mod schema;
pub mod space;
pub mod stdx;
pub mod wire;
