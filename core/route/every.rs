//! The bindings of a fanout or headers exchange, whose keys say nothing.
//!
//! Rules that can only hold where some field has one of few values are filed under these
//! values (their pivots), so that of thousands of bindings such as `region == "eu"` a message meets
//! only those of its own region. The others are tried one by one.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::Message;
use super::expression::{Node, Operand};
use super::fields::{Field, Slot};
use super::hits::{BindingId, Hit, NO_RULE};
use super::rules::Rules;
use super::scalar::{Literal, Operator, Scalar};
use super::walk::Taker;

/// A rule is filed under at most so many values.
const PIVOTS_MAX: usize = 16;

/// A field and a value that it has to have.
type Pivot = (Slot, Literal);

struct Bucket {
    slot: Slot,
    value: Literal,
    hits: Vec<Hit>,
}

/// A field that some bucket is about.
struct PivotField {
    slot: Slot,
    field: Field,
    buckets: usize,
}

#[derive(Default)]
pub struct Every {
    always: Vec<Hit>,
    tried: Vec<Hit>,
    buckets: HashTable<Bucket>,
    fields: Vec<PivotField>,
    hasher: DefaultHashBuilder,
}

impl Every {
    /// The hit's rule is in `rules` already.
    pub fn insert(&mut self, hit: Hit, rules: &Rules) {
        if hit.rule == NO_RULE {
            return self.always.push(hit);
        }
        let Some(pivots) = self.pivots(&hit, rules) else { return self.tried.push(hit) };
        for (slot, value) in pivots {
            self.file(slot, value, hit, rules);
        }
    }

    /// The hit's rule is in `rules` still.
    pub fn remove(&mut self, hit: &Hit, rules: &Rules) {
        for hits in [&mut self.always, &mut self.tried] {
            if let Some(at) = hits.iter().position(|other| other.binding == hit.binding) {
                hits.swap_remove(at);
                return;
            }
        }
        let Some(condition) = rules.condition(hit.rule) else { return };
        // Which pivots were chosen depended on what else was bound then, so all are looked through.
        let mut pivots = Vec::new();
        every_pivot(&condition.root, rules.slots(hit.rule), &mut pivots);
        for (slot, value) in pivots {
            self.unfile(slot, &value, hit.binding);
        }
    }

    #[inline]
    pub fn matching(&self, taker: &mut Taker<'_, '_>) {
        taker.take_all(&self.always);
        if self.tried.is_empty() && self.fields.is_empty() {
            return;
        }
        taker.walk.is_by_content = true;
        for pivot in &self.fields {
            if let Some(hits) = self.filed(pivot, taker.rules, taker.route, taker.message) {
                taker.take_all(hits);
            }
        }
        taker.take_all(&self.tried);
    }

    #[inline]
    fn filed(&self, pivot: &PivotField, rules: &mut Rules, route: u64, message: &Message<'_>) -> Option<&[Hit]> {
        let value = rules.value(&pivot.field, pivot.slot, route, message);
        let hash = hash_of(&self.hasher, pivot.slot, value)?;
        let is_it = |bucket: &Bucket| bucket.slot == pivot.slot && Operator::Equal.holds(bucket.value.scalar(), value);
        self.buckets.find(hash, is_it).map(|bucket| &*bucket.hits)
    }

    fn find(&self, slot: Slot, value: &Literal) -> Option<&Bucket> {
        let hash = hash_of(&self.hasher, slot, value.scalar())?;
        self.buckets.find(hash, |bucket| bucket.is(slot, value))
    }

    fn file(&mut self, slot: Slot, value: Literal, hit: Hit, rules: &Rules) {
        let Self { buckets, hasher, fields, .. } = self;
        let Some(hash) = hash_of(hasher, slot, value.scalar()) else { return };
        let rehash = |bucket: &Bucket| hash_of(hasher, bucket.slot, bucket.value.scalar()).unwrap_or_default();
        if let Some(bucket) = buckets.find_mut(hash, |bucket| bucket.is(slot, &value)) {
            if bucket.hits.last().is_none_or(|last| last.binding != hit.binding) {
                bucket.hits.push(hit);
            }
            return;
        }
        buckets.insert_unique(hash, Bucket { slot, value, hits: vec![hit] }, rehash);
        if let Some(known) = fields.iter_mut().find(|known| known.slot == slot) {
            known.buckets += 1;
        } else if let Some(field) = rules.field(hit.rule, slot) {
            fields.push(PivotField { slot, field: field.clone(), buckets: 1 });
        }
    }

    fn unfile(&mut self, slot: Slot, value: &Literal, binding: BindingId) {
        let Some(hash) = hash_of(&self.hasher, slot, value.scalar()) else { return };
        let Ok(mut entry) = self.buckets.find_entry(hash, |bucket| bucket.is(slot, value)) else { return };
        let hits = &mut entry.get_mut().hits;
        if let Some(at) = hits.iter().position(|hit| hit.binding == binding) {
            hits.swap_remove(at);
        }
        if !hits.is_empty() {
            return;
        }
        entry.remove();
        if let Some(at) = self.fields.iter().position(|known| known.slot == slot) {
            self.fields[at].buckets -= 1;
            if self.fields[at].buckets == 0 {
                self.fields.swap_remove(at);
            }
        }
    }

    /// The values under which to file a rule, if it cannot hold without one of them.
    fn pivots(&self, hit: &Hit, rules: &Rules) -> Option<Vec<Pivot>> {
        let condition = rules.condition(hit.rule)?;
        let (_, pivots) = self.fewest(&condition.root, rules.slots(hit.rule))?;
        (pivots.len() <= PIVOTS_MAX).then_some(pivots)
    }

    /// The pivots of a node, and how many bindings are filed under them so far: of several that all have to hold, those that
    /// tell most.
    fn fewest(&self, node: &Node, slots: &[Slot]) -> Option<(usize, Vec<Pivot>)> {
        match node {
            Node::All(nodes) => {
                nodes.iter().filter_map(|node| self.fewest(node, slots)).min_by_key(|(count, _)| *count)
            }
            Node::Any(nodes) => {
                let (mut count, mut pivots) = (0, Vec::new());
                for node in nodes {
                    let (more, mut others) = self.fewest(node, slots)?;
                    count += more;
                    pivots.append(&mut others);
                }
                Some((count, pivots))
            }
            _ => {
                let (slot, value) = equality(node, slots)?;
                let filed = self.find(slot, value).map_or(0, |bucket| bucket.hits.len());
                Some((filed, vec![(slot, value.clone())]))
            }
        }
    }
}

impl Bucket {
    fn is(&self, slot: Slot, value: &Literal) -> bool {
        self.slot == slot && Operator::Equal.holds(self.value.scalar(), value.scalar())
    }
}

/// A node that compares a field with a value by `==`.
fn equality<'n>(node: &'n Node, slots: &[Slot]) -> Option<(Slot, &'n Literal)> {
    match node {
        Node::Compare(Operand::Field(field), Operator::Equal, Operand::Literal(value))
        | Node::Compare(Operand::Literal(value), Operator::Equal, Operand::Field(field)) => {
            Some((*slots.get(usize::from(*field))?, value))
        }
        _ => None,
    }
}

fn every_pivot(node: &Node, slots: &[Slot], pivots: &mut Vec<Pivot>) {
    if let Node::All(nodes) | Node::Any(nodes) = node {
        for node in nodes {
            every_pivot(node, slots, pivots);
        }
    } else if let Some((slot, value)) = equality(node, slots) {
        pivots.push((slot, value.clone()));
    }
}

/// What is equal has one hash; `None` for what equals nothing.
#[inline]
fn hash_of(hasher: &DefaultHashBuilder, slot: Slot, value: Scalar<'_>) -> Option<u64> {
    let mut state = hasher.build_hasher();
    state.write_u32(slot);
    match value {
        Scalar::Missing | Scalar::Other => return None,
        Scalar::Null => state.write_u8(0),
        Scalar::Bool(value) => state.write_u8(1 + u8::from(value)),
        Scalar::Text(text) => state.write(text),
        Scalar::Int(value) => value.hash(&mut state),
        // Saturates beyond what integers of 64 bits hold, where only floats are equal to floats.
        Scalar::Float(value) if value.fract() == 0.0 => (value as i128).hash(&mut state),
        Scalar::Float(value) => state.write_u64(value.to_bits()),
    }
    Some(state.finish())
}
