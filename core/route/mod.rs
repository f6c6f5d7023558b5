//! Routing: a message goes in as its routing key, headers and value, and comes out as
//! the set of queues and topics it goes to. No lock, no log, no I/O. See README.md.

mod arguments;
mod bindings;
mod body;
mod cache;
mod every;
mod exchange;
mod expression;
mod fields;
mod filter;
#[cfg(test)]
mod fuzz_target;
mod hits;
mod keys;
mod permitted;
mod router;
mod rules;
mod scalar;
mod sets;
mod share;
#[cfg(test)]
pub(crate) mod tests;
mod topic;
mod walk;
mod words;

use crate::error::{CoreError, ErrorCode};

pub use arguments::{Arguments, HeaderOp, HeaderTest, HeadersMatch};
pub use expression::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_FIELDS_MAX, Predicate};
pub use fields::PATH_STEPS_MAX;
pub use filter::Filter;
pub use permitted::Permitted;
pub use router::{Router, Step};
pub use scalar::Literal;
pub use share::WEIGHT_MAX;

pub use body::BODY_DEPTH_MAX;

pub type ExchangeId = u32;
/// An interned destination set; valid until a `Router::forget` that does not keep it.
pub type SetId = u32;

/// Routes by queue name; every queue is reachable through it and nobody binds to it.
pub const DEFAULT_EXCHANGE: ExchangeId = 0;
/// The set without a destination.
pub const NOWHERE: SetId = 0;

/// Where a message is kept: a queue by its id, a topic by its log's id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Ord, PartialOrd, Debug)]
pub enum Target {
    Queue(u32),
    Topic(u64),
}

/// What a binding leads to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Destination {
    Target(Target),
    Exchange(ExchangeId),
}

impl From<Target> for Destination {
    fn from(target: Target) -> Self {
        Self::Target(target)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExchangeKind {
    /// The binding's key is the routing key.
    Direct,
    /// Every binding.
    Fanout,
    /// The binding's key is a pattern: words split at `.`, `*` is one word, `#` any number of them.
    Topic,
    /// The binding's arguments decide; its key says nothing.
    Headers,
    /// One binding a message, by a hash of the routing key or of a header; the binding's key is its weight.
    ConsistentHash,
}

impl ExchangeKind {
    /// The kind of the name that clients use.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "direct" => Self::Direct,
            "fanout" => Self::Fanout,
            "topic" => Self::Topic,
            "headers" => Self::Headers,
            "consistent-hash" => Self::ConsistentHash,
            _ => return None,
        })
    }
}

/// What routing looks at. All of it is a peer's bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message<'a> {
    pub routing_key: &'a [u8],
    /// A raw msgpack map, or empty.
    pub headers: &'a [u8],
    /// JSON or msgpack (for a `Filter` also Avro) where content rules are to find something in it.
    pub value: &'a [u8],
}

/// The limits of a router; every table of it has one.
#[derive(Clone, Copy, Debug)]
pub struct RouteLimits {
    pub exchanges_max: usize,
    pub bindings_max: usize,
    /// Of a binding's key, and of a routing key that a topic exchange splits: a longer one only meets a plain `#`.
    pub key_bytes_max: usize,
    /// Slots of 64 bytes; allocated as they are needed.
    pub route_cache_entries_max: usize,
    /// From how many interned sets on `Router::sweep_due` asks for a `forget`.
    pub destination_sets_max: usize,
}

impl Default for RouteLimits {
    fn default() -> Self {
        Self {
            exchanges_max: 10_000,
            bindings_max: 1_000_000,
            key_bytes_max: 1_024,
            route_cache_entries_max: 1 << 18,
            destination_sets_max: 1 << 18,
        }
    }
}

/// A refusal of what a peer asked for.
fn refused(what: impl Into<String>) -> CoreError {
    CoreError::new(ErrorCode::INVALID_ARGUMENT, what)
}
