//! The way of one message through exchanges: what it has met so far.

use super::Destination;
use super::hits::Hit;
use super::rules::Rules;
use super::{ExchangeId, Message, Target};

/// Scratch of a route, kept for its memory.
#[derive(Default)]
pub struct Walk {
    pub found: Vec<Target>,
    /// Exchanges in the order in which they were met, those gone through included; one may stand here twice.
    pub exchanges: Vec<ExchangeId>,
    /// The result follows from more than the exchange it began at.
    pub is_by_key: bool,
    /// The result follows from more than the routing key.
    pub is_by_content: bool,
    pub seen_default: bool,
}

impl Walk {
    pub fn begin(&mut self, at: ExchangeId) {
        self.found.clear();
        self.exchanges.clear();
        self.exchanges.push(at);
        self.is_by_key = false;
        self.is_by_content = false;
        self.seen_default = false;
    }
}

/// Takes the bindings of one exchange that the message meets.
pub struct Taker<'t, 'm> {
    pub walk: &'t mut Walk,
    pub rules: &'t mut Rules,
    pub message: &'t Message<'m>,
    pub route: u64,
    pub has_taken: bool,
}

impl Taker<'_, '_> {
    #[inline]
    pub fn take_all(&mut self, hits: &[Hit]) {
        for hit in hits {
            self.take(hit);
        }
    }

    #[inline]
    pub fn take(&mut self, hit: &Hit) {
        if hit.rule != super::hits::NO_RULE {
            self.walk.is_by_content = true;
            if !self.rules.holds(hit.rule, self.route, self.message) {
                return;
            }
        }
        self.has_taken = true;
        match hit.to {
            Destination::Target(target) => self.walk.found.push(target),
            Destination::Exchange(exchange) => self.walk.exchanges.push(exchange),
        }
    }
}
