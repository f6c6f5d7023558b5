//! Finding the fields of rules in a body, JSON, msgpack or Avro, without building anything from the rest.
//!
//! A walk goes over the body once, in its order, and stops when it has all fields, or
//! at the first byte that is wrong. It checks everything that it passes in the same way,
//! wanted or not: so what a rule sees of a broken body never depends on other rules. Of a name that
//! stands twice in an object, the first counts, for the same reason.

mod avro;
mod json;
mod packed;

pub use json::unescape;

use super::fields::PathNode;
use super::scalar::Stored;
use crate::schema::Schema;

/// How deep a body may be nested; a deeper one is broken at that place.
pub const BODY_DEPTH_MAX: usize = 64;

/// Why a walk ended before the end of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Broken,
    Complete,
}

/// Where a walk puts what it finds.
pub struct Sink<'s> {
    pub values: &'s mut [Stored],
    pub scratch: &'s mut Vec<u8>,
    /// Fields not found yet.
    pub left: usize,
}

impl Sink<'_> {
    #[inline]
    fn put(&mut self, node: &PathNode, value: Stored) -> Result<(), Stop> {
        let Some(found) = node.slot().and_then(|slot| self.values.get_mut(slot as usize)) else { return Ok(()) };
        if *found == Stored::Missing {
            *found = value;
            self.left = self.left.saturating_sub(1);
        }
        if self.left == 0 { Err(Stop::Complete) } else { Ok(()) }
    }
}

/// With a schema the body is one of Avro. Otherwise its first byte tells: text that begins a JSON document is below 0x80, and
/// no msgpack map or array begins so. Whether the walk came to all fields or to the body's end.
pub fn read(body: &[u8], schema: Option<&Schema>, paths: &PathNode, sink: &mut Sink<'_>) -> bool {
    // Positions are kept in 32 bits; no frame is as large.
    if sink.left == 0 || u32::try_from(body.len()).is_err() {
        return sink.left == 0;
    }
    let end = match (schema, body.first()) {
        (Some(schema), _) => avro::read(body, schema, paths, sink),
        (None, None) => Err(Stop::Broken),
        (None, Some(0x00..=0x7f)) => json::read(body, paths, sink),
        (None, Some(_)) => packed::read(body, paths, sink),
    };
    end != Err(Stop::Broken)
}
