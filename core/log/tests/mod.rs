//! Tests of the log as its users see it. `kit.rs` has the shared tools; long
//! forms run with `MILLRACE_LONG=1`, seeds are printed and set by `MILLRACE_SEED`.
#![allow(clippy::large_stack_arrays, clippy::cast_precision_loss, clippy::wildcard_imports)]

mod append;
mod damage;
mod faults;
pub mod kit;
mod model;
mod recycle;
mod retention;
mod store;
