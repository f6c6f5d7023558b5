//! The fields that rules ask for: each once, however many rules use it, and all of a message's read in one pass.

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::Message;
use super::body::{self, Sink};
use super::scalar::{Scalar, Source, Stored, read_stored};
use crate::schema::Schema;
use crate::stdx::msgpack::{Fault, Kind, Reader};

/// Names and indexes behind the `$` of a path.
pub const PATH_STEPS_MAX: usize = 16;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    Name(Box<[u8]>),
    Index(u32),
}

/// Where a rule looks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Field {
    Key,
    Header(Box<[u8]>),
    Body(Box<[Step]>),
}

pub type Slot = u32;

/// The paths into a body as a tree, so that one walk over the body finds them all.
#[derive(Default, Debug)]
pub struct PathNode {
    slot: Option<Slot>,
    names: HashMap<Box<[u8]>, PathNode>,
    indexes: HashMap<u32, PathNode>,
}

impl PathNode {
    #[inline]
    pub fn slot(&self) -> Option<Slot> {
        self.slot
    }

    #[inline]
    pub fn name(&self, name: &[u8]) -> Option<&Self> {
        if self.names.is_empty() { None } else { self.names.get(name) }
    }

    #[inline]
    pub fn index(&self, index: u32) -> Option<&Self> {
        if self.indexes.is_empty() { None } else { self.indexes.get(&index) }
    }

    fn insert(&mut self, path: &[Step], slot: Slot) {
        match path.split_first() {
            None => self.slot = Some(slot),
            Some((Step::Name(name), rest)) => self.names.entry(name.clone()).or_default().insert(rest, slot),
            Some((Step::Index(index), rest)) => self.indexes.entry(*index).or_default().insert(rest, slot),
        }
    }

    /// Takes a path out, and every node that no other path uses. `PATH_STEPS_MAX` bounds the depth.
    fn remove(&mut self, path: &[Step]) {
        match path.split_first() {
            None => self.slot = None,
            Some((Step::Name(name), rest)) => {
                let Some(next) = self.names.get_mut(name) else { return };
                next.remove(rest);
                if next.is_unused() {
                    self.names.remove(name);
                }
            }
            Some((Step::Index(index), rest)) => {
                let Some(next) = self.indexes.get_mut(index) else { return };
                next.remove(rest);
                if next.is_unused() {
                    self.indexes.remove(index);
                }
            }
        }
    }

    fn is_unused(&self) -> bool {
        self.slot.is_none() && self.names.is_empty() && self.indexes.is_empty()
    }
}

/// Fields with a slot each.
#[derive(Default, Debug)]
pub struct Fields {
    /// A field's slot, and how many use it.
    known: HashMap<Field, (Slot, u32)>,
    free: Vec<Slot>,
    slots: u32,
    headers: HashMap<Box<[u8]>, Slot>,
    body: PathNode,
    in_body: usize,
}

impl Fields {
    /// The field's slot; it is used once more.
    pub fn add(&mut self, field: &Field) -> Slot {
        if let Some((slot, uses)) = self.known.get_mut(field) {
            *uses += 1;
            return *slot;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        self.known.insert(field.clone(), (slot, 1));
        match field {
            Field::Key => {}
            Field::Header(name) => {
                self.headers.insert(name.clone(), slot);
            }
            Field::Body(path) => {
                self.body.insert(path, slot);
                self.in_body += 1;
            }
        }
        slot
    }

    /// The field is used once less.
    pub fn remove(&mut self, field: &Field) {
        let Some((slot, uses)) = self.known.get_mut(field) else { return };
        *uses -= 1;
        if *uses > 0 {
            return;
        }
        self.free.push(*slot);
        self.known.remove(field);
        match field {
            Field::Key => {}
            Field::Header(name) => {
                self.headers.remove(name);
            }
            Field::Body(path) => {
                self.body.remove(path);
                self.in_body -= 1;
            }
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.known.len()
    }
}

/// What of a message's fields was read so far.
#[derive(Default, Debug)]
pub struct Found {
    values: SmallVec<[Stored; 8]>,
    /// Texts of the body that had escapes.
    scratch: Vec<u8>,
    headers_read: bool,
    body_read: bool,
    /// The body was read, and is broken before all fields were found.
    body_broken: bool,
}

impl Found {
    /// Forgets the message before.
    pub fn begin(&mut self, fields: &Fields) {
        self.values.clear();
        self.values.resize(fields.slots as usize, Stored::Missing);
        self.scratch.clear();
        self.headers_read = false;
        self.body_read = false;
        self.body_broken = false;
    }

    #[inline]
    pub fn is_body_broken(&self) -> bool {
        self.body_broken
    }

    /// Reads what is needed for `field` to be known: all headers or the whole body, once. With a schema the value is an Avro body.
    #[inline]
    pub fn load(&mut self, field: &Field, slot: Slot, fields: &Fields, message: &Message<'_>, schema: Option<&Schema>) {
        match field {
            Field::Key => {
                let end = message.routing_key.len() as u32;
                self.values[slot as usize] = Stored::Text { source: Source::Key, start: 0, end };
            }
            Field::Header(_) if !self.headers_read => {
                self.headers_read = true;
                // Malformed headers have the fields before the fault.
                let _ = self.read_headers(fields, message.headers);
            }
            Field::Body(_) if !self.body_read => {
                self.body_read = true;
                let Self { values, scratch, .. } = self;
                let mut sink = Sink { values, scratch, left: fields.in_body };
                self.body_broken = !body::read(message.value, schema, &fields.body, &mut sink);
            }
            _ => {}
        }
    }

    #[inline]
    pub fn scalar<'a>(&'a self, slot: Slot, message: &Message<'a>) -> Scalar<'a> {
        match self.values[slot as usize] {
            Stored::Missing => Scalar::Missing,
            Stored::Null => Scalar::Null,
            Stored::Bool(value) => Scalar::Bool(value),
            Stored::Int(value) => Scalar::Int(value.into()),
            Stored::Big(value) => Scalar::Int(value.into()),
            Stored::Float(value) => Scalar::Float(value),
            Stored::Other => Scalar::Other,
            Stored::Text { source, start, end } => {
                let bytes: &[u8] = match source {
                    Source::Key => message.routing_key,
                    Source::Headers => message.headers,
                    Source::Value => message.value,
                    Source::Scratch => &self.scratch,
                };
                Scalar::Text(bytes.get(start as usize..end as usize).unwrap_or_default())
            }
        }
    }

    fn read_headers(&mut self, fields: &Fields, headers: &[u8]) -> Result<(), Fault> {
        if headers.is_empty() {
            return Ok(());
        }
        let mut reader = Reader::new(headers);
        let mut left = fields.headers.len();
        for _ in 0..reader.map()? {
            if left == 0 {
                break;
            }
            let slot = match reader.kind()? {
                Kind::Str | Kind::Bin => fields.headers.get(reader.blob()?),
                _ => return Err(Fault::Malformed),
            };
            let Some(&slot) = slot else {
                reader.skip(body::BODY_DEPTH_MAX)?;
                continue;
            };
            let value = read_stored(&mut reader, Source::Headers)?;
            let found = &mut self.values[slot as usize];
            if *found == Stored::Missing {
                *found = value;
                left -= 1;
            }
        }
        Ok(())
    }
}

/// One header by its name, where there is no rule.
pub fn header_of(headers: &[u8], name: &[u8]) -> Option<Stored> {
    let mut reader = Reader::new(headers);
    for _ in 0..reader.map().ok()? {
        if reader.blob().ok()? == name {
            return read_stored(&mut reader, Source::Headers).ok();
        }
        reader.skip(body::BODY_DEPTH_MAX).ok()?;
    }
    None
}
