//! What the fuzzer (core/fuzz) and the ordinary test run on any bytes: tables, bodies, and bodies read with another schema.

use std::sync::Arc;

use super::{Reason, Resolution, Schema};

/// `data`: length of the writer's table and of the reader's, 2 bytes each; then these, and the rest is the body.
///
/// # Panics
/// When the room breaks a promise: that is the finding.
pub fn schema_any(data: &[u8]) {
    let Some((&[a, b, c, d], rest)) = data.split_first_chunk() else { return };
    let (writer, rest) = rest.split_at(usize::from(u16::from_be_bytes([a, b])).min(rest.len()));
    let (reader, body) = rest.split_at(usize::from(u16::from_be_bytes([c, d])).min(rest.len()));
    let Ok(writer) = Schema::read(writer) else { return };
    let is_valid = writer.validate(body).is_ok();
    let Ok(reader) = Schema::read(reader) else { return };
    let Ok(resolution) = Resolution::new(Arc::new(writer), &reader) else { return };
    let mut out = Vec::new();
    match resolution.apply(body, &mut out) {
        Ok(()) => {
            assert!(is_valid, "what can be read is valid");
            assert_eq!(reader.validate(&out), Ok(()), "what was read is a body of the reader's");
            assert!(!resolution.is_identity() || out == body, "an identity changes nothing");
        }
        Err(invalid) => {
            assert!(out.is_empty(), "nothing is left of what cannot be read");
            // Bytes that become a string have to be one, and defaults have to fit.
            let may_fail = matches!(invalid.reason, Reason::Utf8 | Reason::Growth);
            assert!(!(is_valid && resolution.is_total()) || may_fail, "what is valid can be read: {invalid}");
        }
    }
}
