//! What is done with a value, by the pair of types that meet at it.

use super::judge::Verdicts;
use super::pairs::{Origin, Pair, PairId, Pairs, Promotion, Shape};
use crate::schema::types::{Record, Schema, Type, TypeId};

/// A node's number is that of its pair.
pub type NodeId = u32;

#[derive(Debug)]
pub enum Node {
    /// The value cannot be read.
    Fail,
    /// The bytes of a value of the writer's type stay as they are.
    Copy(TypeId),
    Promote(Promotion),
    /// By the writer's symbol, the reader's.
    Enum(Box<[Option<u32>]>),
    Array {
        node: NodeId,
        items: TypeId,
    },
    Map(NodeId),
    /// By the writer's branch.
    FromUnion(Box<[NodeId]>),
    ToUnion {
        branch: u32,
        node: NodeId,
    },
    Record(Plan),
}

/// How a record is made: the steps go through the writer's fields in their order.
#[derive(Debug)]
pub struct Plan {
    /// The writer's type.
    pub of: TypeId,
    pub steps: Box<[Step]>,
    /// Where the reader's fields come in another order: what each is, once all steps are done. The steps have no defaults then.
    pub order: Option<Box<[Piece]>>,
}

#[derive(Debug)]
pub enum Step {
    /// A field of the writer's that the reader has not.
    Skip(TypeId),
    Take(NodeId),
    /// The field of the `Take` before once more: two fields of the reader's come from it.
    Again(NodeId),
    Default(Box<[u8]>),
}

/// A field of the reader's.
#[derive(Debug)]
pub enum Piece {
    /// What the n-th `Take` or `Again` made.
    Taken(u32),
    Default(Box<[u8]>),
}

impl Node {
    /// About what it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        let inner = match self {
            Self::Enum(symbols) => size_of_val(&**symbols),
            Self::FromUnion(nodes) => size_of_val(&**nodes),
            Self::Record(plan) => plan.memory_bytes(),
            _ => 0,
        };
        size_of::<Self>() + inner
    }
}

impl Plan {
    fn memory_bytes(&self) -> usize {
        let step = |step: &Step| if let Step::Default(bytes) = step { bytes.len() } else { 0 };
        let piece = |piece: &Piece| if let Piece::Default(bytes) = piece { bytes.len() } else { 0 };
        let pieces = self.order.as_deref().unwrap_or_default();
        let defaults = self.steps.iter().map(step).sum::<usize>() + pieces.iter().map(piece).sum::<usize>();
        size_of_val(&*self.steps) + size_of_val(pieces) + defaults
    }
}

pub fn build(pairs: &Pairs, verdicts: &Verdicts, writer: &Schema, reader: &Schema) -> Box<[Node]> {
    let build = |(index, pair): (PairId, &Pair)| {
        if !verdicts.some[index] {
            return Node::Fail;
        }
        if verdicts.same[index] {
            return Node::Copy(pair.writer);
        }
        node(pair, verdicts, writer, reader)
    };
    pairs.all.iter().enumerate().map(build).collect()
}

fn node(pair: &Pair, verdicts: &Verdicts, writer: &Schema, reader: &Schema) -> Node {
    match &pair.shape {
        Shape::Never => Node::Fail,
        Shape::Primitive(Promotion::Same) | Shape::Fixed => Node::Copy(pair.writer),
        Shape::Primitive(promotion) => Node::Promote(*promotion),
        Shape::Enum(symbols) => Node::Enum(symbols.clone()),
        Shape::Array(inner) => match writer.get(pair.writer) {
            Some(Type::Array(items)) => Node::Array { node: *inner as NodeId, items: *items },
            _ => Node::Fail,
        },
        Shape::Map(inner) => Node::Map(*inner as NodeId),
        Shape::WriterUnion(branches) => Node::FromUnion(branches.iter().map(|&branch| branch as NodeId).collect()),
        Shape::ReaderUnion(candidates) => match verdicts.choose(candidates) {
            Some(chosen) => Node::ToUnion { branch: chosen.branch as u32, node: chosen.pair as NodeId },
            None => Node::Fail,
        },
        Shape::Record(origins) => match (writer.get(pair.writer), reader.get(pair.reader)) {
            (Some(Type::Record(from)), Some(Type::Record(to))) => Node::Record(plan(pair.writer, origins, from, to)),
            _ => Node::Fail,
        },
    }
}

fn plan(of: TypeId, origins: &[Origin], from: &Record, to: &Record) -> Plan {
    // By the writer's field: the reader's that come from it, in their order.
    let mut targets: Vec<Vec<(usize, PairId)>> = vec![Vec::new(); from.fields.len()];
    for (index, origin) in origins.iter().enumerate() {
        if let Origin::Writer { field, pair } = origin {
            targets[*field].push((index, *pair));
        }
    }
    let taken: Vec<usize> = targets.iter().flatten().map(|&(index, _)| index).collect();
    let default = |index: usize| to.fields[index].default.clone().unwrap_or_default();
    let is_in_order = taken.is_sorted();
    let mut steps = Vec::new();
    // The next field of the reader's, where they come in its order.
    let mut next = 0;
    for (field, targets) in targets.iter().enumerate() {
        if targets.is_empty() {
            steps.push(Step::Skip(from.types[field]));
        }
        for (place, &(index, pair)) in targets.iter().enumerate() {
            if is_in_order {
                steps.extend((next..index).map(|missing| Step::Default(default(missing))));
                next = index + 1;
            }
            steps.push(if place == 0 { Step::Take(pair as NodeId) } else { Step::Again(pair as NodeId) });
        }
    }
    if is_in_order {
        steps.extend((next..origins.len()).map(|missing| Step::Default(default(missing))));
        return Plan { of, steps: steps.into(), order: None };
    }
    let mut pieces: Vec<Piece> = (0..origins.len()).map(|_| Piece::Taken(0)).collect();
    for (index, origin) in origins.iter().enumerate() {
        if !matches!(origin, Origin::Writer { .. }) {
            pieces[index] = Piece::Default(default(index));
        }
    }
    for (place, &index) in taken.iter().enumerate() {
        pieces[index] = Piece::Taken(place as u32);
    }
    Plan { of, steps: steps.into(), order: Some(pieces.into()) }
}
