//! A consistent-hash exchange: each message to one binding, in proportion to the bindings' weights.
//!
//! The hashes are divided into slots, and a slot belongs to the binding that draws the
//! shortest time for it: -ln(u) / weight, with u from a hash of slot and binding (weighted
//! rendezvous). A new binding so takes its share from all others and moves nothing between them; when it goes,
//! only its slots move. A look is one step, whatever the number of bindings.
//!
//! The hashes are fixed, not seeded: a key keeps its queue over a restart.

use super::hits::{BindingId, Hit, NO_RULE};
use super::scalar::{Source, Stored};
use super::{Destination, Message, Target, fields, refused};
use crate::error::Result;

/// 100 bindings of one weight get 1 % each, give or take 8 % of that.
const SLOTS: usize = 1 << 14;
pub const WEIGHT_MAX: u32 = 1_000;

struct Member {
    binding: BindingId,
    to: Destination,
    seed: u64,
    weight: f64,
}

#[derive(Clone, Copy)]
struct Slot {
    time: f64,
    /// Index of the member that has it.
    member: u32,
}

#[derive(Default)]
pub struct Share {
    members: Vec<Member>,
    /// None while there is no member.
    slots: Vec<Slot>,
    /// The header whose value is hashed; without it, and in a message that lacks it, the routing key is.
    header: Option<Box<[u8]>>,
}

/// The weight that a binding's key states; 1 for an empty one.
pub fn weight_of(key: &[u8]) -> Result<u32> {
    if key.is_empty() {
        return Ok(1);
    }
    let weight = std::str::from_utf8(key).ok().and_then(|text| text.parse().ok());
    weight
        .filter(|weight| (1..=WEIGHT_MAX).contains(weight))
        .ok_or_else(|| refused(format!("the key of a consistent-hash binding is its weight, 1 to {WEIGHT_MAX}")))
}

impl Share {
    pub fn set_header(&mut self, header: Option<&str>) {
        self.header = header.map(|name| name.as_bytes().into());
    }

    pub fn is_by_header(&self) -> bool {
        self.header.is_some()
    }

    pub fn insert(&mut self, hit: Hit, weight: u32) {
        let seed = seed_of(hit.to, weight);
        let member = Member { binding: hit.binding, to: hit.to, seed, weight: weight.into() };
        if self.slots.is_empty() {
            self.slots = vec![Slot { time: f64::INFINITY, member: 0 }; SLOTS];
        }
        let index = self.members.len() as u32;
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let time = member.time(number);
            if time < slot.time {
                *slot = Slot { time, member: index };
            }
        }
        self.members.push(member);
    }

    pub fn remove(&mut self, binding: BindingId) {
        let Some(gone) = self.members.iter().position(|member| member.binding == binding) else { return };
        self.members.swap_remove(gone);
        if self.members.is_empty() {
            self.slots = Vec::new();
            return;
        }
        let moved = self.members.len() as u32;
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if slot.member == gone as u32 {
                *slot = shortest(&self.members, number);
            } else if slot.member == moved {
                slot.member = gone as u32;
            }
        }
    }

    #[inline]
    pub fn get(&self, message: &Message<'_>) -> Option<Hit> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = self.slots[self.hash(message) as usize % SLOTS];
        let member = self.members.get(slot.member as usize)?;
        Some(Hit { to: member.to, rule: NO_RULE, binding: member.binding })
    }

    fn hash(&self, message: &Message<'_>) -> u64 {
        let header = self.header.as_deref().and_then(|name| fields::header_of(message.headers, name));
        match header {
            None | Some(Stored::Missing) => hash_bytes(message.routing_key),
            Some(Stored::Text { source: Source::Headers, start, end }) => {
                hash_bytes(message.headers.get(start as usize..end as usize).unwrap_or_default())
            }
            Some(Stored::Bool(value)) => mix(u64::from(value) + 1),
            Some(Stored::Int(value)) => mix(value.cast_unsigned()),
            Some(Stored::Big(value)) => mix(value),
            Some(Stored::Float(value)) => mix(value.to_bits()),
            Some(Stored::Text { .. } | Stored::Null | Stored::Other) => 0,
        }
    }
}

impl Member {
    #[inline]
    fn time(&self, slot: usize) -> f64 {
        let bits = mix(self.seed ^ mix(slot as u64 + 1)) >> 11;
        // In (0, 1]: 53 bits fit a f64 exactly.
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
        let even = (bits + 1) as f64 / (1_u64 << 53) as f64;
        -even.ln() / self.weight
    }
}

fn shortest(members: &[Member], number: usize) -> Slot {
    let mut best = Slot { time: f64::INFINITY, member: 0 };
    for (index, member) in members.iter().enumerate() {
        let time = member.time(number);
        if time < best.time {
            best = Slot { time, member: index as u32 };
        }
    }
    best
}

/// Two bindings to one destination draw each for itself.
fn seed_of(to: Destination, weight: u32) -> u64 {
    let (kind, id) = match to {
        Destination::Target(Target::Queue(id)) => (1, id.into()),
        Destination::Target(Target::Topic(id)) => (2, id),
        Destination::Exchange(id) => (3, id.into()),
    };
    mix(mix(mix(kind) ^ id) ^ u64::from(weight))
}

/// FNV-1a, and then mixed, because its low bits alone are poor.
fn hash_bytes(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// The finaliser of splitmix64.
#[inline]
fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
