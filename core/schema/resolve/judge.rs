//! Which pairs can be read: for every value, for some, or without changing a byte.

use super::pairs::{Candidate, Origin, PairId, Pairs, Shape};
use crate::schema::types::{Schema, Type};

/// Rounds until nothing changes: pairs are gone through from the last found to the first, so that more than a few
/// take schemas that were made for it.
const ROUNDS_MAX: usize = 64;

/// By the number of a pair.
pub struct Verdicts {
    /// All values of the writer's type can be read.
    pub every: Vec<bool>,
    /// At least one value can.
    pub some: Vec<bool>,
    /// All values are the same bytes in both.
    pub same: Vec<bool>,
}

impl Verdicts {
    /// `None` after `ROUNDS_MAX`.
    pub fn judge(pairs: &Pairs, writer: &Schema) -> Option<Self> {
        let every = greatest(pairs, |shape, _, holds| is_read(shape, true, holds))?;
        let some = greatest(pairs, |shape, _, holds| is_read(shape, false, holds))?;
        let mut verdicts = Self { every, some, same: Vec::new() };
        verdicts.same = greatest(pairs, |shape, pair, holds| verdicts.is_same(pairs, writer, shape, pair, holds))?;
        Some(verdicts)
    }

    /// The branch that the writer's type goes into: one that reads all its values before one that reads some, of these
    /// one of its own type before one that it is promoted to, of these the first.
    pub fn choose<'c>(&self, candidates: &'c [Candidate]) -> Option<&'c Candidate> {
        let rank = |candidate: &Candidate| match (self.every[candidate.pair], candidate.is_exact) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        candidates.iter().filter(|candidate| self.some[candidate.pair]).min_by_key(|&candidate| rank(candidate))
    }

    fn is_same(&self, pairs: &Pairs, writer: &Schema, shape: &Shape, pair: PairId, holds: &[bool]) -> bool {
        use super::pairs::Promotion;
        match shape {
            Shape::Never | Shape::ReaderUnion(_) => false,
            Shape::Primitive(promotion) => *promotion == Promotion::Same,
            Shape::Fixed => true,
            Shape::Enum(symbols) => symbols.iter().zip(0..).all(|(symbol, index)| *symbol == Some(index)),
            Shape::Array(inner) | Shape::Map(inner) => holds[*inner],
            Shape::WriterUnion(branches) => branches.iter().enumerate().all(|(index, &branch)| {
                let Shape::ReaderUnion(candidates) = &pairs.all[branch].shape else { return false };
                self.choose(candidates).is_some_and(|chosen| chosen.branch == index && holds[chosen.pair])
            }),
            Shape::Record(origins) => {
                let Some(Type::Record(record)) = writer.get(pairs.all[pair].writer) else { return false };
                let is_in_place = |(index, origin): (usize, &Origin)| matches!(origin, Origin::Writer { field, pair } if *field == index && holds[*pair]);
                origins.len() == record.fields.len() && origins.iter().enumerate().all(is_in_place)
            }
        }
    }
}

/// Of every value, or of some.
fn is_read(shape: &Shape, every: bool, holds: &[bool]) -> bool {
    match shape {
        Shape::Never => false,
        Shape::Primitive(_) | Shape::Fixed => true,
        Shape::Enum(symbols) if every => symbols.iter().all(Option::is_some),
        Shape::Enum(symbols) => symbols.iter().any(Option::is_some),
        // The empty array can always be read.
        Shape::Array(inner) | Shape::Map(inner) => !every || holds[*inner],
        Shape::WriterUnion(branches) if every => branches.iter().all(|&branch| holds[branch]),
        Shape::WriterUnion(branches) => branches.iter().any(|&branch| holds[branch]),
        Shape::ReaderUnion(candidates) => candidates.iter().any(|candidate| holds[candidate.pair]),
        Shape::Record(origins) => origins.iter().all(|origin| match origin {
            Origin::Writer { pair, .. } => holds[*pair],
            Origin::Default => true,
            Origin::Nowhere => false,
        }),
    }
}

/// What holds for as many pairs as can be, each judged by those that it leads to: pairs in a circle hold
/// if nothing speaks against them.
fn greatest(pairs: &Pairs, judge: impl Fn(&Shape, PairId, &[bool]) -> bool) -> Option<Vec<bool>> {
    let mut holds = vec![true; pairs.all.len()];
    for _ in 0..ROUNDS_MAX {
        let mut has_changed = false;
        for pair in (0..holds.len()).rev() {
            if holds[pair] && !judge(&pairs.all[pair].shape, pair, &holds) {
                holds[pair] = false;
                has_changed = true;
            }
        }
        if !has_changed {
            return Some(holds);
        }
    }
    None
}
