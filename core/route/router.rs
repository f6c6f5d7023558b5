//! The routing tables of a namespace.

use hashbrown::HashMap;

use super::bindings::{Binding, Bindings};
use super::cache::RouteCache;
use super::exchange::Exchange;
use super::hits::BindingId;
use super::sets::Sets;
use super::walk::Walk;
use super::{
    Arguments, DEFAULT_EXCHANGE, Destination, ExchangeId, ExchangeKind, Message, NOWHERE, RouteLimits, SetId, Target,
    refused,
};
use crate::error::{CoreError, ErrorCode, Result};

/// What an exchange hands a message on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub from: ExchangeId,
    pub to: Destination,
}

pub struct Router {
    limits: RouteLimits,
    exchanges: HashMap<ExchangeId, Exchange>,
    bindings: Bindings,
    /// The default exchange: queues by their names.
    names: HashMap<Box<[u8]>, u32>,
    /// How many exchanges have the default exchange as their alternate.
    default_alternates: usize,
    sets: Sets,
    cache: RouteCache,
    walk: Walk,
    /// Counts routes, so that tables can tell what they have seen for a message.
    route: u64,
}

impl Router {
    pub fn new(limits: RouteLimits) -> Self {
        Self {
            limits,
            exchanges: HashMap::new(),
            bindings: Bindings::default(),
            names: HashMap::new(),
            default_alternates: 0,
            sets: Sets::new(limits.destination_sets_max),
            cache: RouteCache::new(limits.route_cache_entries_max),
            walk: Walk::default(),
            route: 0,
        }
    }

    /// Declares an exchange, or changes the alternate and the hashed header of one. The alternate
    /// need not be there: while it is not, it takes nothing.
    ///
    /// # Errors
    /// `argument_mismatch` for another kind than it has; `invalid_argument` for the default exchange, and a header to hash
    /// where none is hashed; `limit_exceeded` at `exchanges_max`.
    pub fn exchange_put(
        &mut self,
        id: ExchangeId,
        kind: ExchangeKind,
        alternate: Option<ExchangeId>,
        hash_header: Option<&str>,
    ) -> Result<()> {
        if id == DEFAULT_EXCHANGE {
            return Err(refused("the default exchange is not declared"));
        }
        let is_new = !self.exchanges.contains_key(&id);
        if is_new && self.exchanges.len() >= self.limits.exchanges_max {
            return Err(over("exchanges", self.limits.exchanges_max));
        }
        let mut fresh = None;
        let exchange = match self.exchanges.get_mut(&id) {
            Some(exchange) => exchange,
            None => fresh.insert(Exchange::new(kind, self.limits.key_bytes_max)),
        };
        if exchange.kind != kind {
            return Err(CoreError::new(ErrorCode::ARGUMENT_MISMATCH, format!("type: exchange {id} has another one")));
        }
        exchange.set_hash_header(hash_header)?;
        let before = std::mem::replace(&mut exchange.alternate, alternate);
        if let Some(exchange) = fresh {
            self.exchanges.insert(id, exchange);
        }
        self.count_alternate(before, alternate);
        self.cache.invalidate();
        Ok(())
    }

    /// Removes an exchange, its bindings, and the bindings that lead to it. It stays the
    /// alternate of those that name it, and takes nothing there.
    pub fn exchange_remove(&mut self, id: ExchangeId) {
        let mut gone = self.bindings.of_exchange(id);
        gone.extend_from_slice(self.bindings.leading_to(Destination::Exchange(id)));
        self.bindings_remove(&gone);
        if let Some(exchange) = self.exchanges.remove(&id) {
            self.count_alternate(exchange.alternate, None);
            self.cache.invalidate();
        }
    }

    /// Binds; nothing changes when there is the same binding already.
    ///
    /// # Errors
    /// `exchange_not_found`; `invalid_argument` for the default exchange, a key over `key_bytes_max`, and a key or arguments
    /// that the kind of exchange does not take; `limit_exceeded` at `bindings_max`.
    pub fn bind(
        &mut self,
        exchange: ExchangeId,
        to: impl Into<Destination>,
        key: &[u8],
        arguments: Arguments,
    ) -> Result<()> {
        let to = to.into();
        let condition = arguments.condition;
        if key.len() > self.limits.key_bytes_max {
            return Err(refused(format!("key: a binding's key has at most {} bytes", self.limits.key_bytes_max)));
        }
        if let Destination::Exchange(id) = to
            && !self.exchanges.contains_key(&id)
        {
            return Err(CoreError::new(ErrorCode::EXCHANGE_NOT_FOUND, format!("to: exchange {id} is not there")));
        }
        if exchange == DEFAULT_EXCHANGE {
            return Err(refused("nothing is bound to the default exchange: it has every queue by its name"));
        }
        let Some(table) = self.exchanges.get_mut(&exchange) else {
            return Err(CoreError::new(ErrorCode::EXCHANGE_NOT_FOUND, format!("exchange {exchange} is not there")));
        };
        table.check(key, condition.as_ref())?;
        let is_rule = |rule| table.is_rule(rule, condition.as_ref());
        if self.bindings.find(exchange, to, key, is_rule).is_some() {
            return Ok(());
        }
        if self.bindings.len() >= self.limits.bindings_max {
            return Err(over("bindings", self.limits.bindings_max));
        }
        let rule = table.rule_add(condition);
        let id = self.bindings.insert(Binding { exchange, to, key: key.into(), rule });
        table.insert(key, to, rule, id);
        self.cache.invalidate();
        Ok(())
    }

    /// Takes back what `bind` was given; whether there was such a binding.
    pub fn unbind(
        &mut self,
        exchange: ExchangeId,
        to: impl Into<Destination>,
        key: &[u8],
        arguments: &Arguments,
    ) -> bool {
        let Some(table) = self.exchanges.get(&exchange) else { return false };
        let is_rule = |rule| table.is_rule(rule, arguments.condition.as_ref());
        let Some(id) = self.bindings.find(exchange, to.into(), key, is_rule) else { return false };
        self.bindings_remove(&[id]);
        true
    }

    /// Removes all bindings that lead to a queue or topic.
    pub fn target_remove(&mut self, target: Target) {
        let gone = self.bindings.leading_to(target.into()).to_vec();
        self.bindings_remove(&gone);
    }

    /// A queue can be reached by its name through the default exchange.
    pub fn name_put(&mut self, name: &[u8], queue: u32) {
        self.names.insert(name.into(), queue);
        self.names_changed();
    }

    pub fn name_remove(&mut self, name: &[u8]) {
        if self.names.remove(name).is_some() {
            self.names_changed();
        }
    }

    /// The set of everything that a message goes to from this exchange; `NOWHERE` when nothing takes it.
    #[inline]
    pub fn route(&mut self, exchange: ExchangeId, message: &Message<'_>) -> SetId {
        if exchange == DEFAULT_EXCHANGE {
            return self.route_by_name(message.routing_key);
        }
        let Some(table) = self.exchanges.get(&exchange) else { return NOWHERE };
        if let Some((changes, set)) = table.whole
            && changes == self.cache.changes()
        {
            return set;
        }
        if !table.is_by_key() {
            return self.route_through(exchange, message);
        }
        let hash = self.cache.hash(exchange, message.routing_key);
        if let Some(set) = self.cache.get(hash, exchange, message.routing_key) {
            return set;
        }
        let set = self.route_through(exchange, message);
        if self.walk.is_by_key && !self.walk.is_by_content {
            self.cache.put(hash, exchange, message.routing_key, set);
        }
        set
    }

    /// Sorted, each once. A set that is not there is empty.
    #[inline]
    pub fn targets(&self, set: SetId) -> &[Target] {
        self.sets.targets(set)
    }

    /// The set of these targets, in any order.
    pub fn intern(&mut self, targets: &[Target]) -> SetId {
        if targets.is_sorted_by(|a, b| a < b) {
            return self.sets.intern(targets);
        }
        let mut sorted = targets.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        self.sets.intern(&sorted)
    }

    /// So many sets are interned that those nobody uses should go: call `forget`.
    #[inline]
    pub fn sweep_due(&self) -> bool {
        self.sets.sweep_due()
    }

    /// Drops the sets that are not kept; their numbers are given to other sets later.
    pub fn forget(&mut self, keep: impl Fn(SetId) -> bool) {
        self.sets.forget(keep);
        // The cache may name one that went.
        self.cache.invalidate();
    }

    pub fn sets_len(&self) -> usize {
        self.sets.len()
    }

    pub fn bindings_len(&self) -> usize {
        self.bindings.len()
    }

    pub fn exchanges_len(&self) -> usize {
        self.exchanges.len()
    }

    fn route_by_name(&mut self, name: &[u8]) -> SetId {
        match self.names.get(name) {
            Some(&queue) => self.sets.intern(&[Target::Queue(queue)]),
            None => NOWHERE,
        }
    }

    /// Routes without the cache.
    fn route_through(&mut self, exchange: ExchangeId, message: &Message<'_>) -> SetId {
        self.route += 1;
        let mut walk = std::mem::take(&mut self.walk);
        walk.begin(exchange);
        let mut at = 0;
        loop {
            while let Some(&next) = walk.exchanges.get(at) {
                at += 1;
                self.go_through(next, message, &mut walk);
            }
            // Nothing took it, though some exchange led on to another: then their alternates do.
            if !walk.found.is_empty() || !self.add_alternates(&mut walk) {
                break;
            }
        }
        if walk.found.len() > 1 {
            walk.found.sort_unstable();
            walk.found.dedup();
        }
        let set = self.sets.intern(&walk.found);
        if !walk.is_by_key
            && !walk.is_by_content
            && let Some(table) = self.exchanges.get_mut(&exchange)
        {
            table.whole = Some((self.cache.changes(), set));
        }
        self.walk = walk;
        set
    }

    /// One exchange on the way; each once a message, so a cycle ends where it closes.
    #[inline]
    fn go_through(&mut self, id: ExchangeId, message: &Message<'_>, walk: &mut Walk) {
        if id == DEFAULT_EXCHANGE {
            walk.seen_default = true;
            walk.is_by_key = true;
            walk.found.extend(self.names.get(message.routing_key).map(|&queue| Target::Queue(queue)));
            return;
        }
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if exchange.seen == self.route {
            return;
        }
        exchange.seen = self.route;
        if !exchange.collect(message, self.route, walk) {
            walk.exchanges.extend(exchange.alternate);
        }
    }

    /// The way of a message from here, exchange by exchange, as `route` would have it go. At most `steps_max` steps.
    pub fn trace(&mut self, exchange: ExchangeId, message: &Message<'_>, steps_max: usize) -> Vec<Step> {
        self.route += 1;
        let mut walk = std::mem::take(&mut self.walk);
        walk.begin(exchange);
        let mut steps = Vec::new();
        let mut at = 0;
        loop {
            while let Some(&from) = walk.exchanges.get(at) {
                at += 1;
                let (found, exchanges) = (walk.found.len(), walk.exchanges.len());
                self.go_through(from, message, &mut walk);
                steps.extend(walk.found[found..].iter().map(|to| Step { from, to: (*to).into() }));
                steps
                    .extend(walk.exchanges[exchanges..].iter().map(|to| Step { from, to: Destination::Exchange(*to) }));
            }
            let before = walk.exchanges.len();
            if !walk.found.is_empty() || !self.add_alternates(&mut walk) {
                break;
            }
            let (through, alternates) = walk.exchanges.split_at(before);
            steps.extend(alternates.iter().filter_map(|to| {
                let is_from = |id: &&ExchangeId| self.exchanges.get(*id).and_then(|one| one.alternate) == Some(*to);
                let from = *through.iter().find(is_from)?;
                Some(Step { from, to: Destination::Exchange(*to) })
            }));
        }
        self.walk = walk;
        steps.truncate(steps_max);
        steps
    }

    /// Adds the alternates of all exchanges that the message came through, where it was not yet; whether there is one.
    fn add_alternates(&self, walk: &mut Walk) -> bool {
        let before = walk.exchanges.len();
        for index in 0..before {
            let alternate = self.exchanges.get(&walk.exchanges[index]).and_then(|exchange| exchange.alternate);
            let Some(alternate) = alternate else { continue };
            let is_new = match self.exchanges.get(&alternate) {
                Some(exchange) => exchange.seen != self.route,
                None => alternate == DEFAULT_EXCHANGE && !walk.seen_default,
            };
            if is_new {
                walk.exchanges.push(alternate);
            }
        }
        walk.exchanges.len() > before
    }

    fn bindings_remove(&mut self, ids: &[BindingId]) {
        for &id in ids {
            let Some(binding) = self.bindings.remove(id) else { continue };
            if let Some(exchange) = self.exchanges.get_mut(&binding.exchange) {
                exchange.remove(&binding.key, binding.to, binding.rule, id);
            }
        }
        if !ids.is_empty() {
            self.cache.invalidate();
        }
    }

    fn count_alternate(&mut self, before: Option<ExchangeId>, after: Option<ExchangeId>) {
        self.default_alternates += usize::from(after == Some(DEFAULT_EXCHANGE));
        self.default_alternates -= usize::from(before == Some(DEFAULT_EXCHANGE));
    }

    /// Queues for answers come and go all the time: names only touch the cache where results may hold one.
    fn names_changed(&mut self) {
        if self.default_alternates > 0 {
            self.cache.invalidate();
        }
    }
}

fn over(what: &str, limit: usize) -> CoreError {
    CoreError::new(ErrorCode::LIMIT_EXCEEDED, format!("a namespace has at most {limit} {what}"))
}
