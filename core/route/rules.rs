//! The rules of an exchange's bindings, over one table of fields: a message's fields are read once for all of them.

use super::Message;
use super::expression::{Condition, Evidence};
use super::fields::{Field, Fields, Found, Slot};
use super::hits::{NO_RULE, RuleId};
use super::scalar::Scalar;

struct Rule {
    condition: Condition,
    slots: Box<[Slot]>,
}

#[derive(Default)]
pub struct Rules {
    /// By number, less one.
    all: Vec<Option<Rule>>,
    free: Vec<RuleId>,
    fields: Fields,
    found: Found,
    /// The route whose message `found` is about.
    route: u64,
}

impl Rules {
    pub fn is_empty(&self) -> bool {
        self.all.len() == self.free.len()
    }

    fn get(&self, rule: RuleId) -> Option<&Rule> {
        self.all.get((rule as usize).checked_sub(1)?)?.as_ref()
    }

    pub fn condition(&self, rule: RuleId) -> Option<&Condition> {
        self.get(rule).map(|rule| &rule.condition)
    }

    /// Where the rule's fields are, in the order of its condition.
    pub fn slots(&self, rule: RuleId) -> &[Slot] {
        self.get(rule).map_or(&[], |rule| &rule.slots)
    }

    /// The field of a rule that has this slot.
    pub fn field(&self, rule: RuleId, slot: Slot) -> Option<&Field> {
        let rule = self.get(rule)?;
        let at = rule.slots.iter().position(|&other| other == slot)?;
        rule.condition.fields.get(at)
    }

    /// What the message of this route has in a field.
    #[inline]
    pub fn value<'a>(&'a mut self, field: &Field, slot: Slot, route: u64, message: &Message<'a>) -> Scalar<'a> {
        self.begin(route);
        self.found.load(field, slot, &self.fields, message, None);
        self.found.scalar(slot, message)
    }

    #[inline]
    fn begin(&mut self, route: u64) {
        if self.route != route {
            self.route = route;
            self.found.begin(&self.fields);
        }
    }

    pub fn add(&mut self, condition: Condition) -> RuleId {
        let slots = condition.fields.iter().map(|field| self.fields.add(field)).collect();
        let rule = Some(Rule { condition, slots });
        if let Some(free) = self.free.pop() {
            self.all[free as usize - 1] = rule;
            return free;
        }
        self.all.push(rule);
        self.all.len() as RuleId
    }

    pub fn remove(&mut self, rule: RuleId) {
        let place = (rule as usize).checked_sub(1);
        let Some(gone) = place.and_then(|place| self.all.get_mut(place)?.take()) else { return };
        for field in &gone.condition.fields {
            self.fields.remove(field);
        }
        self.free.push(rule);
    }

    /// Whether the rule takes the message of this route; `NO_RULE` takes all.
    #[inline]
    pub fn holds(&mut self, rule: RuleId, route: u64, message: &Message<'_>) -> bool {
        if rule == NO_RULE {
            return true;
        }
        self.begin(route);
        let Self { all, fields, found, .. } = self;
        let Some(Some(rule)) = all.get(rule as usize - 1) else { return false };
        Evidence { message, schema: None, fields, found, slots: &rule.slots }.decide(&rule.condition)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Predicate;
    use super::*;

    #[test]
    fn a_field_is_kept_once_as_long_as_a_rule_uses_it() {
        let rule = |text: &str| Predicate::parse(text).unwrap().into_condition();
        let mut rules = Rules::default();
        let first = rules.add(rule("$.a.b == 1 and header(\"x\") == 2"));
        let second = rules.add(rule("$.a.b == 2 and $.a.c == 2 and key == \"k\""));
        assert_eq!(rules.fields.len(), 4);
        rules.remove(first);
        assert_eq!(rules.fields.len(), 3);
        let body = br#"{"a": {"b": 2, "c": 2}}"#;
        let message = Message { routing_key: b"k", headers: b"", value: body };
        assert!(rules.holds(second, 1, &message) && !rules.holds(first, 1, &message));
        rules.remove(second);
        assert!(rules.fields.len() == 0 && rules.is_empty());
    }
}
