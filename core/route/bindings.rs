//! Every binding once, found by what it binds and by what it leads to.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::hits::{BindingId, RuleId};
use super::{Destination, ExchangeId};

#[derive(Clone)]
pub struct Binding {
    pub exchange: ExchangeId,
    pub to: Destination,
    pub key: Box<[u8]>,
    /// Its rule in the exchange.
    pub rule: RuleId,
}

#[derive(Default)]
pub struct Bindings {
    all: Vec<Option<Binding>>,
    free: Vec<BindingId>,
    by_content: HashTable<BindingId>,
    by_destination: HashMap<Destination, Vec<BindingId>>,
    hasher: DefaultHashBuilder,
}

impl Bindings {
    pub fn len(&self) -> usize {
        self.by_content.len()
    }

    pub fn get(&self, id: BindingId) -> Option<&Binding> {
        self.all.get(id as usize)?.as_ref()
    }

    /// The binding of these three whose rule `is_rule` takes.
    pub fn find(
        &self,
        exchange: ExchangeId,
        to: Destination,
        key: &[u8],
        is_rule: impl Fn(RuleId) -> bool,
    ) -> Option<BindingId> {
        let hash = self.hasher.hash_one((exchange, to, key));
        let is_same = |binding: &Binding| {
            binding.exchange == exchange && binding.to == to && *binding.key == *key && is_rule(binding.rule)
        };
        self.by_content.find(hash, |&id| self.get(id).is_some_and(is_same)).copied()
    }

    pub fn insert(&mut self, binding: Binding) -> BindingId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            (self.all.len() - 1) as BindingId
        });
        self.by_destination.entry(binding.to).or_default().push(id);
        let hash = hash_of(&self.hasher, &binding);
        self.all[id as usize] = Some(binding);
        let Self { all, by_content, hasher, .. } = self;
        let rehash = |&other: &BindingId| all[other as usize].as_ref().map_or(0, |binding| hash_of(hasher, binding));
        by_content.insert_unique(hash, id, rehash);
        id
    }

    pub fn remove(&mut self, id: BindingId) -> Option<Binding> {
        let binding = self.all.get_mut(id as usize)?.take()?;
        if let Ok(entry) = self.by_content.find_entry(hash_of(&self.hasher, &binding), |&other| other == id) {
            entry.remove();
        }
        if let Some(ids) = self.by_destination.get_mut(&binding.to) {
            if let Some(at) = ids.iter().position(|&other| other == id) {
                ids.swap_remove(at);
            }
            if ids.is_empty() {
                self.by_destination.remove(&binding.to);
            }
        }
        self.free.push(id);
        Some(binding)
    }

    pub fn leading_to(&self, to: Destination) -> &[BindingId] {
        self.by_destination.get(&to).map_or(&[], |ids| ids)
    }

    /// Looks through all of them; exchanges go rarely.
    pub fn of_exchange(&self, exchange: ExchangeId) -> Vec<BindingId> {
        let of_it = |(_, binding): &(usize, &Option<Binding>)| {
            binding.as_ref().is_some_and(|binding| binding.exchange == exchange)
        };
        self.all.iter().enumerate().filter(of_it).map(|(id, _)| id as BindingId).collect()
    }
}

fn hash_of(hasher: &DefaultHashBuilder, binding: &Binding) -> u64 {
    hasher.hash_one((binding.exchange, binding.to, &*binding.key))
}
