//! The core of Millrace: log, ring, wire scanner and data plane, with no N-API, no
//! async runtime and no JavaScript types. `native` binds it; the rooms are
//! described in README.md beside this file.
#![deny(clippy::unwrap_used, clippy::undocumented_unsafe_blocks)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

// Loom models the ring and nothing else: under it the rest is left out, and the build takes seconds.
#[cfg(not(loom))]
pub mod batch;
#[cfg(not(loom))]
pub mod clock;
#[cfg(not(loom))]
pub mod engine;
#[cfg(not(loom))]
pub mod error;
#[cfg(not(loom))]
pub mod error_codes;
#[cfg(not(loom))]
pub mod log;
#[cfg(not(loom))]
pub mod mmap;
#[cfg(not(loom))]
pub mod queue;
pub mod ring;
#[cfg(not(loom))]
pub mod route;
#[cfg(not(loom))]
pub mod schema;
#[cfg(not(loom))]
pub mod space;
#[cfg(not(loom))]
pub mod stdx;
#[cfg(not(loom))]
pub mod wire;
