//! One exchange: its table of bindings, by kind.

use super::every::Every;
use super::expression::Condition;
use super::hits::{BindingId, Hit, NO_RULE, RuleId};
use super::keys::Keys;
use super::rules::Rules;
use super::share::{Share, weight_of};
use super::topic::Topic;
use super::walk::{Taker, Walk};
use super::{Destination, ExchangeId, ExchangeKind, Message, SetId, refused};
use crate::error::Result;

enum Table {
    Direct(Keys),
    /// Fanout and headers: the key of a binding says nothing.
    Every(Box<Every>),
    Topic(Box<Topic>),
    Share(Box<Share>),
}

pub struct Exchange {
    pub kind: ExchangeKind,
    pub alternate: Option<ExchangeId>,
    /// The last route that came through.
    pub seen: u64,
    /// Where every message goes, when neither key nor content makes a difference; it holds up to the next change.
    pub whole: Option<(u64, SetId)>,
    table: Table,
    rules: Rules,
}

impl Exchange {
    pub fn new(kind: ExchangeKind, key_bytes_max: usize) -> Self {
        let table = match kind {
            ExchangeKind::Direct => Table::Direct(Keys::default()),
            ExchangeKind::Fanout | ExchangeKind::Headers => Table::Every(Box::default()),
            ExchangeKind::Topic => Table::Topic(Box::new(Topic::new(key_bytes_max))),
            ExchangeKind::ConsistentHash => Table::Share(Box::default()),
        };
        Self { kind, alternate: None, seen: 0, whole: None, table, rules: Rules::default() }
    }

    /// # Errors
    /// `invalid_argument` where the kind hashes nothing.
    pub fn set_hash_header(&mut self, header: Option<&str>) -> Result<()> {
        match &mut self.table {
            Table::Share(share) => share.set_header(header),
            _ if header.is_none() => {}
            _ => return Err(refused("only a consistent-hash exchange hashes a header")),
        }
        Ok(())
    }

    /// Whether results by routing key can be looked for in the cache: not where every message is decided by its content.
    #[inline]
    pub fn is_by_key(&self) -> bool {
        match &self.table {
            Table::Direct(_) | Table::Topic(_) => true,
            Table::Every(_) => self.rules.is_empty(),
            Table::Share(share) => !share.is_by_header(),
        }
    }

    /// Whether these may be bound here.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn check(&self, key: &[u8], condition: Option<&Condition>) -> Result<()> {
        if let Table::Share(_) = &self.table {
            weight_of(key)?;
            if condition.is_some() {
                return Err(refused("a consistent-hash binding takes every message of its share: it has no arguments"));
            }
        }
        Ok(())
    }

    pub fn is_rule(&self, rule: RuleId, condition: Option<&Condition>) -> bool {
        self.rules.condition(rule) == condition
    }

    pub fn rule_add(&mut self, condition: Option<Condition>) -> RuleId {
        condition.map_or(NO_RULE, |condition| self.rules.add(condition))
    }

    pub fn insert(&mut self, key: &[u8], to: Destination, rule: RuleId, binding: BindingId) {
        let hit = Hit { to, rule, binding };
        match &mut self.table {
            Table::Direct(keys) => keys.insert(key, hit),
            Table::Every(every) => every.insert(hit, &self.rules),
            Table::Topic(topic) => topic.insert(key, hit),
            Table::Share(share) => share.insert(hit, weight_of(key).unwrap_or(1)),
        }
    }

    pub fn remove(&mut self, key: &[u8], to: Destination, rule: RuleId, binding: BindingId) {
        let hit = Hit { to, rule, binding };
        match &mut self.table {
            Table::Direct(keys) => keys.remove(key, binding),
            Table::Every(every) => every.remove(&hit, &self.rules),
            Table::Topic(topic) => topic.remove(key, binding),
            Table::Share(share) => share.remove(binding),
        }
        self.rules.remove(rule);
    }

    /// Adds where the message goes from here to `walk`; whether it goes anywhere.
    #[inline]
    pub fn collect(&mut self, message: &Message<'_>, route: u64, walk: &mut Walk) -> bool {
        let mut taker = Taker { walk, rules: &mut self.rules, message, route, has_taken: false };
        match &mut self.table {
            Table::Direct(keys) => {
                taker.walk.is_by_key = true;
                taker.take_all(keys.get(message.routing_key));
            }
            Table::Every(every) => every.matching(&mut taker),
            Table::Topic(topic) => {
                taker.walk.is_by_key = true;
                topic.matching(message.routing_key, route, &mut |hits| taker.take_all(hits));
            }
            Table::Share(share) => {
                taker.walk.is_by_key = true;
                taker.walk.is_by_content |= share.is_by_header();
                if let Some(hit) = share.get(message) {
                    taker.take(&hit);
                }
            }
        }
        taker.has_taken
    }
}
