//! Checks a control frame before JavaScript decodes it.
//!
//! msgpackr allocates what an array's head announces, follows any depth by recursion
//! and obeys extension types (its own record structures among them). A frame that
//! passes here has everything it announces, in bounded number and depth, and no
//! extension types, so that decoding it costs no more than its bytes.

use super::{CONTROL_BYTES_MAX, CONTROL_DEPTH_MAX, CONTROL_VALUES_MAX, FRAME_HEAD_BYTES, WireFault};
use crate::error::ErrorCode;
use crate::stdx::msgpack::{Fault, Kind, Reader};

/// An array or map that is being walked.
#[derive(Clone, Copy)]
struct Open {
    values_left: u64,
    is_map: bool,
}

/// Checks what follows the op in an array of `count` values, up to the frame's end.
///
/// # Errors
/// `malformed_frame`, or `limit_exceeded` for too many bytes or values.
pub fn check(mut reader: Reader<'_>, count: usize) -> Result<(), WireFault> {
    let content_bytes = reader.position() + reader.rest().len() - FRAME_HEAD_BYTES;
    if content_bytes > CONTROL_BYTES_MAX {
        return Err(WireFault::new(ErrorCode::LIMIT_EXCEEDED, 1, "a control frame is at most 4 MiB long"));
    }
    let mut open = [Open { values_left: 0, is_map: false }; CONTROL_DEPTH_MAX];
    open[0].values_left = count as u64 - 1;
    let mut depth = 1;
    let mut values = 0;
    while depth > 0 {
        let at = reader.position();
        let level = &mut open[depth - 1];
        if level.values_left == 0 {
            depth -= 1;
            continue;
        }
        let is_key = level.is_map && level.values_left.is_multiple_of(2);
        level.values_left -= 1;
        values += 1;
        if values > CONTROL_VALUES_MAX {
            return Err(WireFault::new(ErrorCode::LIMIT_EXCEEDED, at, "a control frame holds at most 262144 values"));
        }
        let nested =
            step(&mut reader, is_key).map_err(|_| WireFault::malformed(at, "no msgpack value of the protocol"))?;
        let Some(nested) = nested else {
            continue;
        };
        if depth == CONTROL_DEPTH_MAX {
            return Err(WireFault::malformed(at, "arrays and maps are nested at most 16 deep"));
        }
        open[depth] = nested;
        depth += 1;
    }
    if reader.is_at_end() { Ok(()) } else { Err(WireFault::malformed(reader.position(), "bytes follow the array")) }
}

/// Moves past one value, or into it when it is an array or a map.
fn step(reader: &mut Reader<'_>, is_key: bool) -> Result<Option<Open>, Fault> {
    let kind = reader.kind()?;
    if is_key && !matches!(kind, Kind::Str | Kind::Uint | Kind::NegativeInt) {
        return Err(Fault::Malformed);
    }
    match kind {
        Kind::Array => Ok(Some(Open { values_left: reader.array()? as u64, is_map: false })),
        Kind::Map => Ok(Some(Open { values_left: 2 * reader.map()? as u64, is_map: true })),
        Kind::Ext => Err(Fault::Malformed),
        _ => reader.skip_scalar().map(|()| None),
    }
}
