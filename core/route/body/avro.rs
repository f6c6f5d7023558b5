//! The walk over an Avro body, with the schema that it was written with. Unions are looked through; the symbol of an enum
//! is a text, and so are bytes and fixed. Names are those of the schema's fields and of its maps' keys.

use super::{Sink, Stop};
use crate::route::fields::PathNode;
use crate::route::scalar::{Source, Stored};
use crate::schema::cursor::Blocks;
use crate::schema::types::{BOOLEAN, BYTES, DOUBLE, FLOAT, INT, LONG, NULL, Record, STRING, Schema, Type, TypeId};
use crate::schema::walk::Walk;
use crate::schema::{Invalid, Reason};

type Walked = Result<(), Stop>;

pub fn read(body: &[u8], schema: &Schema, paths: &PathNode, sink: &mut Sink<'_>) -> Walked {
    Avro { walk: Walk::new(schema, body), sink }.value(schema.root, Some(paths), 0)
}

impl From<Reason> for Stop {
    fn from(_: Reason) -> Self {
        Self::Broken
    }
}

impl From<Box<Invalid>> for Stop {
    fn from(_: Box<Invalid>) -> Self {
        Self::Broken
    }
}

struct Avro<'b, 's, 'v> {
    walk: Walk<'b, 'b>,
    sink: &'s mut Sink<'v>,
}

impl<'b> Avro<'b, '_, '_> {
    /// `node` is `None` where nothing in the value is asked for.
    fn value(&mut self, id: TypeId, node: Option<&PathNode>, depth: u32) -> Walked {
        let Some(node) = node else { return Ok(self.walk.value(id, depth)?) };
        let cursor = &mut self.walk.cursor;
        let stored = match id {
            NULL => Stored::Null,
            BOOLEAN => Stored::Bool(cursor.boolean()?),
            INT => Stored::Int(cursor.int()?.into()),
            LONG => Stored::Int(cursor.long("long")?),
            FLOAT => Stored::Float(cursor.float()?.into()),
            DOUBLE => Stored::Float(cursor.double()?),
            BYTES => {
                let length = cursor.blob("bytes")?.len();
                self.text(length)
            }
            STRING => {
                let length = cursor.text()?.len();
                self.text(length)
            }
            _ => return self.complex(id, node, depth),
        };
        self.sink.put(node, stored)
    }

    /// The last bytes that were passed.
    #[inline]
    fn text(&self, length: usize) -> Stored {
        let end = self.walk.cursor.at;
        Stored::Text { source: Source::Value, start: (end - length) as u32, end: end as u32 }
    }

    fn complex(&mut self, id: TypeId, node: &PathNode, depth: u32) -> Walked {
        let schema = self.walk.schema;
        let Some(of) = schema.get(id) else { return Err(Stop::Broken) };
        match of {
            Type::Union(branches) => {
                let branch = self.walk.cursor.index(branches.len(), Reason::Branch, "union")?;
                self.value(branches[branch], Some(node), depth)
            }
            Type::Enum { symbols, .. } => {
                let symbol = self.walk.cursor.index(symbols.len(), Reason::Symbol, "enum")?;
                let stored = self.symbol(node, &symbols[symbol]);
                self.sink.put(node, stored)
            }
            Type::Fixed { size, .. } => {
                self.walk.cursor.take(*size, "fixed")?;
                let stored = self.text(*size);
                self.sink.put(node, stored)
            }
            Type::Record(record) => self.record(record, node, depth),
            Type::Array(items) => self.array(*items, node, depth),
            Type::Map(values) => self.map(*values, node, depth),
        }
    }

    /// A symbol lies in the schema and not in the message, so it is copied where it is asked for.
    fn symbol(&mut self, node: &PathNode, symbol: &str) -> Stored {
        if node.slot().is_none() {
            return Stored::Other;
        }
        let start = self.sink.scratch.len();
        self.sink.scratch.extend_from_slice(symbol.as_bytes());
        Stored::Text { source: Source::Scratch, start: start as u32, end: self.sink.scratch.len() as u32 }
    }

    fn record(&mut self, record: &'b Record, node: &PathNode, depth: u32) -> Walked {
        let depth = self.walk.deeper(depth)?;
        self.sink.put(node, Stored::Other)?;
        for (field, &id) in record.fields.iter().zip(&record.types) {
            self.value(id, node.name(field.name.as_bytes()), depth)?;
        }
        Ok(())
    }

    fn array(&mut self, items: TypeId, node: &PathNode, depth: u32) -> Walked {
        let depth = self.walk.deeper(depth)?;
        self.sink.put(node, Stored::Other)?;
        let is_empty = self.walk.schema.is_empty(items);
        let mut blocks = Blocks::new("array");
        let mut index = 0_u32;
        loop {
            let count = blocks.next(&mut self.walk.cursor)?;
            if is_empty {
                // Bounds what is walked although it has no bytes.
                self.walk.spend_empty(count)?;
            }
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                self.value(items, node.index(index), depth)?;
                index = index.saturating_add(1);
            }
        }
    }

    fn map(&mut self, values: TypeId, node: &PathNode, depth: u32) -> Walked {
        let depth = self.walk.deeper(depth)?;
        self.sink.put(node, Stored::Other)?;
        let mut blocks = Blocks::new("map");
        loop {
            let count = blocks.next(&mut self.walk.cursor)?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                let key = self.walk.cursor.text()?;
                self.value(values, node.name(key), depth)?;
            }
        }
    }
}
