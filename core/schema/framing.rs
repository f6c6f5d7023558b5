//! How a record says which schema its value has.

use crate::stdx::msgpack::{Fault, Kind, Reader};

/// The header (an int) of a value that is a bare body.
pub const SCHEMA_ID_HEADER: &[u8] = b"x-schema-id";
/// The first byte of a value that names its schema itself; the id follows, 4 bytes big-endian, and the body.
const MAGIC: u8 = 0;
const PREFIX_BYTES: usize = 5;

/// What a record's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed<'a> {
    Schema {
        id: u32,
        body: &'a [u8],
    },
    /// Neither the header is there nor the prefix.
    Plain,
    /// The header is there and holds no id.
    BadHeader,
}

/// Looks at the header first: with it, the value is a body as a whole, whatever byte it begins with.
/// `headers` is nil, a msgpack map, or empty.
#[inline]
pub fn framed<'a>(value: &'a [u8], headers: &[u8]) -> Framed<'a> {
    if headers.len() > SCHEMA_ID_HEADER.len() {
        match header_id(headers) {
            Ok(Some(id)) => return Framed::Schema { id, body: value },
            Ok(None) => {}
            Err(()) => return Framed::BadHeader,
        }
    }
    match value.split_at_checked(PREFIX_BYTES) {
        Some((&[MAGIC, a, b, c, d], body)) => Framed::Schema { id: u32::from_be_bytes([a, b, c, d]), body },
        _ => Framed::Plain,
    }
}

/// The id that the header states. Headers that are no map have none: records with such headers are refused elsewhere.
fn header_id(headers: &[u8]) -> Result<Option<u32>, ()> {
    let mut reader = Reader::new(headers);
    let Ok(mut left) = reader.map() else { return Ok(None) };
    while left > 0 {
        left -= 1;
        match step(&mut reader) {
            Ok(false) => {}
            Ok(true) => return reader.uint32().map(Some).map_err(drop),
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// Passes a header, or stops before the value of the one that is looked for.
#[inline]
fn step(reader: &mut Reader<'_>) -> Result<bool, Fault> {
    if reader.kind()? != Kind::Str {
        return Err(Fault::Malformed);
    }
    if reader.blob()? == SCHEMA_ID_HEADER {
        return Ok(true);
    }
    reader.skip_scalar()?;
    Ok(false)
}
