//! The walk over a body with its schema: whether it decodes, and where its values end.

use super::cursor::{Blocks, Cursor, Read};
use super::invalid::{Invalid, Reason, Step};
use super::types::{BOOLEAN, BYTES, DOUBLE, FLOAT, INT, LONG, NULL, Record, STRING, Schema, Type, TypeId};

/// Records, arrays and maps within each other.
pub const DEPTH_MAX: u32 = 256;
/// Items without bytes in all arrays of a body: a few bytes state any number of them, and who decodes the body
/// has to hold them all.
pub const EMPTY_ITEMS_MAX: u64 = 65_536;

/// An error is boxed: what a valid body costs is a pointer.
pub type Walked<T = ()> = Result<T, Box<Invalid>>;

impl Schema {
    /// Whether `body` is one value of this schema and nothing else. Allocates only to say what is wrong.
    ///
    /// # Errors
    /// What is wrong and where, at the first place.
    #[inline]
    pub fn validate(&self, body: &[u8]) -> Walked {
        self.validate_as(self.root, body)
    }

    /// As `validate`, for a value of one of its types.
    #[inline]
    pub(super) fn validate_as(&self, id: TypeId, body: &[u8]) -> Walked {
        let mut walk = Walk::new(self, body);
        walk.value(id, 0)?;
        walk.end()
    }
}

pub struct Walk<'s, 'a> {
    pub schema: &'s Schema,
    pub cursor: Cursor<'a>,
    /// Items without bytes that the body may still have.
    empty_left: u64,
}

impl<'s, 'a> Walk<'s, 'a> {
    #[inline]
    pub fn new(schema: &'s Schema, body: &'a [u8]) -> Self {
        Self { schema, cursor: Cursor::new(body), empty_left: EMPTY_ITEMS_MAX }
    }

    /// That the body ends here.
    #[inline]
    pub fn end(&self) -> Walked {
        match self.cursor.left() {
            0 => Ok(()),
            left => Err(self.fault(Reason::Rest(left))),
        }
    }

    /// Passes one value.
    pub fn value(&mut self, id: TypeId, depth: u32) -> Walked {
        let read = match id {
            NULL => return Ok(()),
            BOOLEAN => self.cursor.boolean().map(drop),
            INT => self.cursor.int().map(drop),
            LONG => self.cursor.long("long").map(drop),
            FLOAT => self.cursor.take(4, "float").map(drop),
            DOUBLE => self.cursor.take(8, "double").map(drop),
            BYTES => self.cursor.blob("bytes").map(drop),
            STRING => self.cursor.text().map(drop),
            _ => return self.complex(id, depth),
        };
        self.placed(read)
    }

    fn complex(&mut self, id: TypeId, depth: u32) -> Walked {
        let schema = self.schema;
        // Numbers of types are checked when a schema is read.
        let Some(kind) = schema.get(id) else { return Ok(()) };
        match kind {
            Type::Record(record) => self.record(record, depth),
            Type::Union(branches) => {
                let branch = self.cursor.index(branches.len(), Reason::Branch, "union");
                let branch = self.placed(branch)?;
                self.value(branches[branch], depth)
            }
            Type::Enum { symbols, .. } => {
                let symbol = self.cursor.index(symbols.len(), Reason::Symbol, "enum").map(drop);
                self.placed(symbol)
            }
            Type::Fixed { size, .. } => {
                let taken = self.cursor.take(*size, "fixed").map(drop);
                self.placed(taken)
            }
            Type::Array(items) => self.array(*items, depth),
            Type::Map(values) => self.map(*values, depth),
        }
    }

    #[inline]
    fn record(&mut self, record: &Record, depth: u32) -> Walked {
        let depth = self.deeper(depth)?;
        for (index, &id) in record.types.iter().enumerate() {
            if let Err(invalid) = self.value(id, depth) {
                return Err(invalid.inside(&Step::Field(&record.fields[index].name)));
            }
        }
        Ok(())
    }

    fn array(&mut self, items: TypeId, depth: u32) -> Walked {
        let depth = self.deeper(depth)?;
        let is_empty = self.schema.is_empty(items);
        let mut blocks = Blocks::new("array");
        let mut passed = 0;
        loop {
            let count = blocks.next(&mut self.cursor);
            let count = self.placed(count)?;
            if count == 0 {
                return Ok(());
            }
            if is_empty {
                // There is nothing to look at.
                self.spend_empty(count)?;
                continue;
            }
            // Every item has a byte or more, so that the body's length bounds this loop.
            for _ in 0..count {
                self.value(items, depth).map_err(|invalid| invalid.inside(&Step::Item(passed)))?;
                passed += 1;
            }
        }
    }

    fn map(&mut self, values: TypeId, depth: u32) -> Walked {
        let depth = self.deeper(depth)?;
        let mut blocks = Blocks::new("map");
        loop {
            let count = blocks.next(&mut self.cursor);
            let count = self.placed(count)?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                let key = self.cursor.text();
                let key = self.placed(key)?;
                self.value(values, depth).map_err(|invalid| invalid.inside(&Step::Key(key)))?;
            }
        }
    }

    pub fn spend_empty(&mut self, count: u64) -> Walked {
        self.empty_left = self.empty_left.checked_sub(count).ok_or_else(|| self.fault(Reason::EmptyItems))?;
        Ok(())
    }

    #[inline]
    pub fn deeper(&self, depth: u32) -> Walked<u32> {
        if depth == DEPTH_MAX { Err(self.fault(Reason::Depth)) } else { Ok(depth + 1) }
    }

    #[cold]
    pub fn fault(&self, reason: Reason) -> Box<Invalid> {
        Invalid::new(reason, self.cursor.at)
    }

    /// A read of the cursor, with its place if it fails.
    #[inline]
    pub fn placed<T>(&self, read: Read<T>) -> Walked<T> {
        read.map_err(|reason| self.fault(reason))
    }
}
