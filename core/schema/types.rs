//! What a schema is in memory.

/// A type by its number: the primitives have 0 to 7, the others follow in the order of their table.
pub type TypeId = u32;

pub const NULL: TypeId = 0;
pub const BOOLEAN: TypeId = 1;
pub const INT: TypeId = 2;
pub const LONG: TypeId = 3;
pub const FLOAT: TypeId = 4;
pub const DOUBLE: TypeId = 5;
pub const BYTES: TypeId = 6;
pub const STRING: TypeId = 7;
/// The number of a table's first type.
pub const FIRST: TypeId = 8;

/// A full name, and the others that the type goes by.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Name {
    pub full: Box<str>,
    pub aliases: Box<[Box<str>]>,
}

#[derive(Debug, PartialEq)]
pub enum Type {
    Fixed { name: Name, size: usize },
    Enum { name: Name, symbols: Box<[Box<str>]>, default: Option<u32> },
    Array(TypeId),
    Map(TypeId),
    Union(Box<[TypeId]>),
    Record(Record),
}

/// Types and fields lie apart: a walk that finds nothing wrong looks at the types alone.
#[derive(Debug, PartialEq)]
pub struct Record {
    pub types: Box<[TypeId]>,
    pub fields: Box<[Field]>,
    pub name: Name,
}

#[derive(Debug, PartialEq)]
pub struct Field {
    pub name: Box<str>,
    pub aliases: Box<[Box<str>]>,
    /// A valid body of the field's type.
    pub default: Option<Box<[u8]>>,
}

/// A compiled Avro schema. `Schema::read` makes one from a table; every number in it names a type that is there.
#[derive(Debug, PartialEq)]
pub struct Schema {
    pub(crate) root: TypeId,
    pub(crate) types: Box<[Type]>,
    /// By a type's place in `types`: its values have no bytes.
    pub(crate) empty: Box<[bool]>,
}

impl Schema {
    /// The type of this number; `None` for primitives.
    #[inline]
    pub(crate) fn get(&self, id: TypeId) -> Option<&Type> {
        self.types.get(id.wrapping_sub(FIRST) as usize)
    }

    /// Whether values of this type have no bytes: null, and what is made of nulls alone. Every other value has at least one.
    #[inline]
    pub(crate) fn is_empty(&self, id: TypeId) -> bool {
        id == NULL || self.empty.get(id.wrapping_sub(FIRST) as usize).is_some_and(|&empty| empty)
    }

    /// About how many bytes the schema takes in memory.
    pub fn memory_bytes(&self) -> usize {
        let texts = |names: &[Box<str>]| names.iter().map(|name| name.len() + 16).sum::<usize>();
        let name = |name: &Name| name.full.len() + texts(&name.aliases);
        let field = |field: &Field| {
            field.name.len() + texts(&field.aliases) + field.default.as_ref().map_or(0, |default| default.len())
        };
        let inner = |of: &Type| match of {
            Type::Fixed { name: of, .. } => name(of),
            Type::Enum { name: of, symbols, .. } => name(of) + texts(symbols),
            Type::Array(_) | Type::Map(_) => 0,
            Type::Union(branches) => size_of_val(&**branches),
            Type::Record(of) => {
                let fields = of.fields.iter().map(field).sum::<usize>();
                name(&of.name) + size_of_val(&*of.types) + size_of_val(&*of.fields) + fields
            }
        };
        size_of::<Self>() + size_of_val(&*self.types) + self.types.iter().map(inner).sum::<usize>()
    }
}
