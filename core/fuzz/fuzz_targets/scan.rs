//! The frame scanner on any bytes. Run with `cargo +nightly fuzz run scan` in core/.
#![no_main]

use libfuzzer_sys::fuzz_target;
// What the target function takes from its parent module.
use millrace_core::wire::{FRAME_HEAD_BYTES, Frame, Scanner, WireFault, parse_any, parse_frame};

/// Lies in core/wire, where an ordinary test runs it too.
#[path = "../../wire/fuzz_target.rs"]
mod target;

fuzz_target!(|data: &[u8]| {
    target::scan_any(data);
});
