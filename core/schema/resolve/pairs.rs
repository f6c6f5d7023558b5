//! Which types of two schemas can meet, and how.

use hashbrown::HashMap;

use crate::schema::types::{BYTES, DOUBLE, FLOAT, INT, LONG, Name, Record, STRING, Schema, Type, TypeId};

/// Pairs of a writer's and a reader's type in one resolution.
pub const PAIRS_MAX: usize = 16_384;
/// The pair of both schemas' roots.
pub const ROOT: usize = 0;

/// A pair's number.
pub type PairId = usize;

/// What happens to a primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// It is written in the same way.
    Same,
    IntToFloat,
    IntToDouble,
    LongToFloat,
    LongToDouble,
    FloatToDouble,
    BytesToString,
}

/// How close two types are, apart from what is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closeness {
    /// One type, or one full name.
    Exact,
    /// A promotion, or names that are equal without their namespaces.
    Near,
}

/// A branch of a reader's union that the writer's type may go into.
#[derive(Debug)]
pub struct Candidate {
    pub branch: usize,
    pub pair: PairId,
    pub is_exact: bool,
}

/// Where a field of the reader's record comes from.
#[derive(Clone, Copy, Debug)]
pub enum Origin {
    /// A field of the writer's record.
    Writer {
        field: usize,
        pair: PairId,
    },
    Default,
    /// The writer has none, and there is no default; or it has several.
    Nowhere,
}

#[derive(Debug)]
pub enum Shape {
    Never,
    Primitive(Promotion),
    Fixed,
    /// By the writer's symbol, the reader's.
    Enum(Box<[Option<u32>]>),
    Array(PairId),
    Map(PairId),
    /// A pair a branch of the writer's.
    WriterUnion(Box<[PairId]>),
    ReaderUnion(Box<[Candidate]>),
    /// By the reader's field.
    Record(Box<[Origin]>),
}

#[derive(Debug)]
pub struct Pair {
    pub writer: TypeId,
    pub reader: TypeId,
    pub shape: Shape,
}

#[derive(Debug)]
pub struct Pairs {
    pub all: Vec<Pair>,
    numbers: HashMap<(TypeId, TypeId), PairId>,
}

impl Pairs {
    /// All pairs that a body can lead to; `None` where they are more than `PAIRS_MAX`.
    pub fn find(writer: &Schema, reader: &Schema) -> Option<Self> {
        let mut pairs = Self { all: Vec::new(), numbers: HashMap::new() };
        pairs.number(writer.root, reader.root);
        let mut next = ROOT;
        while let Some(&Pair { writer: from, reader: to, .. }) = pairs.all.get(next) {
            let shape = pairs.shape(writer, from, reader, to);
            if pairs.all.len() > PAIRS_MAX {
                return None;
            }
            pairs.all[next].shape = shape;
            next += 1;
        }
        Some(pairs)
    }

    fn number(&mut self, writer: TypeId, reader: TypeId) -> PairId {
        let all = &mut self.all;
        *self.numbers.entry((writer, reader)).or_insert_with(|| {
            all.push(Pair { writer, reader, shape: Shape::Never });
            all.len() - 1
        })
    }

    fn shape(&mut self, writer: &Schema, from: TypeId, reader: &Schema, to: TypeId) -> Shape {
        if let Some(Type::Union(branches)) = writer.get(from) {
            return Shape::WriterUnion(branches.iter().map(|&branch| self.number(branch, to)).collect());
        }
        if let Some(Type::Union(branches)) = reader.get(to) {
            return Shape::ReaderUnion(self.candidates(writer, from, reader, branches));
        }
        if closeness(writer, from, reader, to).is_none() {
            return Shape::Never;
        }
        match (writer.get(from), reader.get(to)) {
            (Some(Type::Fixed { .. }), _) => Shape::Fixed,
            (Some(Type::Enum { symbols, .. }), Some(Type::Enum { symbols: known, default, .. })) => {
                Shape::Enum(symbol_map(symbols, known, *default))
            }
            (Some(Type::Array(from)), Some(Type::Array(to))) => Shape::Array(self.number(*from, *to)),
            (Some(Type::Map(from)), Some(Type::Map(to))) => Shape::Map(self.number(*from, *to)),
            (Some(Type::Record(from)), Some(Type::Record(to))) => Shape::Record(self.origins(from, to)),
            _ => promotion(from, to).map_or(Shape::Never, Shape::Primitive),
        }
    }

    fn candidates(&mut self, writer: &Schema, from: TypeId, reader: &Schema, branches: &[TypeId]) -> Box<[Candidate]> {
        let candidate = |(branch, &to): (usize, &TypeId)| {
            let closeness = closeness(writer, from, reader, to)?;
            Some(Candidate { branch, pair: self.number(from, to), is_exact: closeness == Closeness::Exact })
        };
        branches.iter().enumerate().filter_map(candidate).collect()
    }

    fn origins(&mut self, writer: &Record, reader: &Record) -> Box<[Origin]> {
        let written: HashMap<&str, usize> =
            writer.fields.iter().enumerate().map(|(index, field)| (&*field.name, index)).collect();
        let origin = |(field, &to): (_, &TypeId)| {
            let field: &crate::schema::types::Field = field;
            let names = std::iter::once(&field.name).chain(&field.aliases);
            let mut found = names.filter_map(|name| written.get(&**name));
            match found.next() {
                Some(index) if found.any(|other| other != index) => Origin::Nowhere,
                Some(&index) => Origin::Writer { field: index, pair: self.number(writer.types[index], to) },
                None if field.default.is_some() => Origin::Default,
                None => Origin::Nowhere,
            }
        };
        reader.fields.iter().zip(&reader.types).map(origin).collect()
    }
}

fn symbol_map(symbols: &[Box<str>], known: &[Box<str>], default: Option<u32>) -> Box<[Option<u32>]> {
    let numbers: HashMap<&str, u32> = known.iter().zip(0..).map(|(symbol, index)| (&**symbol, index)).collect();
    symbols.iter().map(|symbol| numbers.get(&**symbol).copied().or(default)).collect()
}

/// Whether two types can match at all, neither of them a union.
fn closeness(writer: &Schema, from: TypeId, reader: &Schema, to: TypeId) -> Option<Closeness> {
    match (writer.get(from), reader.get(to)) {
        (None, None) if from == to => Some(Closeness::Exact),
        (None, None) => promotion(from, to).map(|_| Closeness::Near),
        (Some(Type::Fixed { name, size }), Some(Type::Fixed { name: other, size: wanted })) if size == wanted => {
            names_match(name, other)
        }
        (Some(Type::Enum { name, .. }), Some(Type::Enum { name: other, .. })) => names_match(name, other),
        (Some(Type::Record(from)), Some(Type::Record(to))) => names_match(&from.name, &to.name),
        (Some(Type::Array(_)), Some(Type::Array(_))) | (Some(Type::Map(_)), Some(Type::Map(_))) => {
            Some(Closeness::Exact)
        }
        _ => None,
    }
}

/// Full names and the reader's aliases first; the specification asks for no more than equal names without namespaces.
fn names_match(writer: &Name, reader: &Name) -> Option<Closeness> {
    if writer.full == reader.full || reader.aliases.contains(&writer.full) {
        return Some(Closeness::Exact);
    }
    (unqualified(&writer.full) == unqualified(&reader.full)).then_some(Closeness::Near)
}

fn unqualified(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

fn promotion(from: TypeId, to: TypeId) -> Option<Promotion> {
    if from == to {
        return Some(Promotion::Same);
    }
    Some(match (from, to) {
        (INT, LONG) | (STRING, BYTES) => Promotion::Same,
        (INT, FLOAT) => Promotion::IntToFloat,
        (INT, DOUBLE) => Promotion::IntToDouble,
        (LONG, FLOAT) => Promotion::LongToFloat,
        (LONG, DOUBLE) => Promotion::LongToDouble,
        (FLOAT, DOUBLE) => Promotion::FloatToDouble,
        (BYTES, STRING) => Promotion::BytesToString,
        _ => return None,
    })
}
