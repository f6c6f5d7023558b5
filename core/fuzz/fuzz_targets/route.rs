//! Rules and messages of any bytes. Run with `cargo +nightly fuzz run route` in core/.
#![no_main]

use libfuzzer_sys::fuzz_target;
// What the target function takes from its parent module.
use millrace_core::route::{Arguments, ExchangeKind, Message, Predicate, RouteLimits, Router, Target};

/// Lies in core/route, where an ordinary test runs it too.
#[path = "../../route/fuzz_target.rs"]
mod target;

fuzz_target!(|data: &[u8]| {
    target::route_any(data);
});
