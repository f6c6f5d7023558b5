//! Reading a schema from its table, which src/schema/compile.ts writes. README.md has the layout.

use super::types::{FIRST, Field, Name, Record, Schema, Type, TypeId};
use crate::error::{CoreError, ErrorCode, Result};
use crate::stdx::msgpack::{Fault, Reader};

/// Of a table.
pub const TABLE_BYTES_MAX: usize = 4 << 20;
/// Of a table, without the primitives.
pub const TYPES_MAX: usize = 20_000;
const TABLE_VERSION: u32 = 1;
/// As the registry has it.
const FIXED_BYTES_MAX: u32 = i32::MAX as u32;

const FIXED: u64 = 8;
const ENUM: u64 = 9;
const ARRAY: u64 = 10;
const MAP: u64 = 11;
const UNION: u64 = 12;
const RECORD: u64 = 13;

type Read<T> = std::result::Result<T, Fault>;

fn refused(what: impl Into<String>) -> CoreError {
    CoreError::new(ErrorCode::SCHEMA_INVALID, what)
}

impl Schema {
    /// Reads a table.
    ///
    /// # Errors
    /// `schema_invalid` where the table is malformed, over a limit, names a type that is not there,
    /// has a union in a union, or a default that is not of its field's type.
    pub fn read(table: &[u8]) -> Result<Self> {
        if table.len() > TABLE_BYTES_MAX {
            return Err(refused(format!("a schema's table of {} bytes is over {TABLE_BYTES_MAX}", table.len())));
        }
        let mut reader = Reader::new(table);
        let read = read_table(&mut reader).ok().filter(|_| reader.is_at_end());
        let (root, types) = read.ok_or_else(|| refused("a schema's table is malformed"))?;
        let mut schema = Self { root, empty: vec![false; types.len()].into(), types: types.into() };
        schema.check_references()?;
        schema.find_empty();
        schema.check_defaults()?;
        Ok(schema)
    }

    fn check_references(&self) -> Result<()> {
        let has = |id: TypeId| id < FIRST || self.get(id).is_some();
        let is_union = |id: TypeId| matches!(self.get(id), Some(Type::Union(_)));
        let is_sound = self.types.iter().all(|of| match of {
            Type::Fixed { .. } | Type::Enum { .. } => true,
            Type::Array(inner) | Type::Map(inner) => has(*inner),
            Type::Union(branches) => branches.iter().all(|&branch| has(branch) && !is_union(branch)),
            Type::Record(record) => record.types.iter().all(|&field| has(field)),
        });
        if is_sound && has(self.root) {
            return Ok(());
        }
        Err(refused("a schema's table names a type that it does not have, or a union in a union"))
    }

    /// Marks the types without bytes, from inside to outside. Rounds beyond `DEPTH_MAX` could only find types that
    /// are nested deeper, whose values are refused for it.
    fn find_empty(&mut self) {
        for _ in 0..super::DEPTH_MAX {
            let mut has_changed = false;
            for index in (0..self.types.len()).rev() {
                let is_empty = match &self.types[index] {
                    Type::Fixed { size, .. } => *size == 0,
                    Type::Record(record) => record.types.iter().all(|&field| self.is_empty(field)),
                    _ => false,
                };
                has_changed |= is_empty && !self.empty[index];
                self.empty[index] = is_empty;
            }
            if !has_changed {
                return;
            }
        }
    }

    fn check_defaults(&self) -> Result<()> {
        for of in &self.types {
            let Type::Record(record) = of else { continue };
            for (field, &id) in record.fields.iter().zip(&record.types) {
                let Some(default) = &field.default else { continue };
                self.validate_as(id, default).map_err(|invalid| {
                    refused(format!("the default of field {} of {}: {invalid}", field.name, record.name.full))
                })?;
            }
        }
        Ok(())
    }
}

fn read_table(reader: &mut Reader<'_>) -> Read<(TypeId, Vec<Type>)> {
    if reader.array()? != 3 || reader.uint32()? != TABLE_VERSION {
        return Err(Fault::Malformed);
    }
    let root = reader.uint32()?;
    let types = list(reader, read_type)?;
    if types.len() > TYPES_MAX { Err(Fault::Malformed) } else { Ok((root, types)) }
}

/// An array of what `read` reads. Nothing is reserved: a length is only as good as the bytes behind it.
fn list<'a, T>(reader: &mut Reader<'a>, read: impl Fn(&mut Reader<'a>) -> Read<T>) -> Read<Vec<T>> {
    let count = reader.array()?;
    (0..count).map(|_| read(reader)).collect()
}

fn texts(reader: &mut Reader<'_>) -> Read<Box<[Box<str>]>> {
    list(reader, |reader| Ok(reader.str()?.into())).map(Into::into)
}

fn name(reader: &mut Reader<'_>) -> Read<Name> {
    Ok(Name { full: reader.str()?.into(), aliases: texts(reader)? })
}

fn read_type(reader: &mut Reader<'_>) -> Read<Type> {
    let length = reader.array()?;
    let kind = reader.uint()?;
    Ok(match (kind, length) {
        (FIXED, 4) => {
            let name = name(reader)?;
            let size = reader.uint32()?;
            if size > FIXED_BYTES_MAX {
                return Err(Fault::Malformed);
            }
            Type::Fixed { name, size: size as usize }
        }
        (ENUM, 5) => {
            let (name, symbols) = (name(reader)?, texts(reader)?);
            let default = reader.optional_uint()?;
            if default.is_some_and(|default| default >= symbols.len() as u64) {
                return Err(Fault::Malformed);
            }
            Type::Enum { name, symbols, default: default.map(|default| default as u32) }
        }
        (ARRAY, 2) => Type::Array(reader.uint32()?),
        (MAP, 2) => Type::Map(reader.uint32()?),
        (UNION, 2) => Type::Union(list(reader, Reader::uint32)?.into()),
        (RECORD, 4) => {
            let name = name(reader)?;
            let (fields, types): (Vec<_>, Vec<_>) = list(reader, read_field)?.into_iter().unzip();
            Type::Record(Record { types: types.into(), fields: fields.into(), name })
        }
        _ => return Err(Fault::Malformed),
    })
}

fn read_field(reader: &mut Reader<'_>) -> Read<(Field, TypeId)> {
    if reader.array()? != 4 {
        return Err(Fault::Malformed);
    }
    let (name, aliases, of) = (reader.str()?.into(), texts(reader)?, reader.uint32()?);
    let default = reader.optional_blob()?.map(Into::into);
    Ok((Field { name, aliases, default }, of))
}
