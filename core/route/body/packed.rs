//! The walk over a msgpack body.

use super::{BODY_DEPTH_MAX, Sink, Stop};
use crate::route::fields::PathNode;
use crate::route::scalar::Stored;
use crate::route::scalar::{Source, read_stored};
use crate::stdx::msgpack::{Fault, Kind, Reader};

pub fn read(body: &[u8], paths: &PathNode, sink: &mut Sink<'_>) -> Result<(), Stop> {
    value(&mut Reader::new(body), Some(paths), 0, sink)
}

impl From<Fault> for Stop {
    fn from(_: Fault) -> Self {
        Self::Broken
    }
}

fn value(reader: &mut Reader<'_>, node: Option<&PathNode>, depth: usize, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let Some(node) = node else {
        return Ok(reader.skip(BODY_DEPTH_MAX - depth)?);
    };
    let kind = reader.kind()?;
    if !matches!(kind, Kind::Map | Kind::Array) {
        let stored = read_stored(reader, Source::Value)?;
        return sink.put(node, stored);
    }
    if depth == BODY_DEPTH_MAX {
        return Err(Stop::Broken);
    }
    sink.put(node, Stored::Other)?;
    if kind == Kind::Array {
        for index in 0..reader.array()? {
            value(reader, node.index(index as u32), depth + 1, sink)?;
        }
        return Ok(());
    }
    for _ in 0..reader.map()? {
        let child = if matches!(reader.kind()?, Kind::Str | Kind::Bin) {
            node.name(reader.blob()?)
        } else {
            reader.skip(BODY_DEPTH_MAX - depth - 1)?;
            None
        };
        value(reader, child, depth + 1, sink)?;
    }
    Ok(())
}
