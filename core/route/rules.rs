//! The rules of an exchange's bindings, over one table of fields: a message's fields are read once for all of them.

use super::Message;
use super::expression::{Condition, Evidence};
use super::fields::{Fields, Found, Slot};
use super::hits::{NO_RULE, RuleId};

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

    pub fn condition(&self, rule: RuleId) -> Option<&Condition> {
        let place = (rule as usize).checked_sub(1)?;
        self.all.get(place)?.as_ref().map(|rule| &rule.condition)
    }

    pub fn add(&mut self, condition: Condition) -> RuleId {
        let slots = condition.fields.iter().map(|field| self.fields.add(field)).collect();
        let rule = Some(Rule { condition, slots });
        // What was found has no place for new fields.
        self.route = 0;
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
        let Some(Some(rule)) = self.all.get(rule as usize - 1) else { return false };
        if self.route != route {
            self.route = route;
            self.found.begin(&self.fields);
        }
        let Self { fields, found, .. } = self;
        Evidence { message, fields, found, slots: &rule.slots }.decide(&rule.condition)
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
