//! Tables of schemas and bodies of any bytes. Run with `cargo +nightly fuzz run schema` in core/.
#![no_main]

use libfuzzer_sys::fuzz_target;
// What the target function takes from its parent module.
use millrace_core::schema::{Reason, Resolution, Schema};

/// Lies in core/schema, where an ordinary test runs it too.
#[path = "../../schema/fuzz_target.rs"]
mod target;

fuzz_target!(|data: &[u8]| {
    target::schema_any(data);
});
