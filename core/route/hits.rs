//! What a table holds for a key or a pattern: where it leads, and under which rule.

use smallvec::SmallVec;

use super::Destination;

/// A binding's place in the table of bindings.
pub type BindingId = u32;

/// A rule's place in its exchange, from 1.
pub type RuleId = u32;
pub const NO_RULE: RuleId = 0;

#[derive(Clone, Copy, Debug)]
pub struct Hit {
    pub to: Destination,
    pub rule: RuleId,
    pub binding: BindingId,
}

/// Nearly every key and pattern has one binding.
pub type Hits = SmallVec<[Hit; 1]>;

/// Takes the binding out; whether it was there.
pub fn remove_hit(hits: &mut Hits, binding: BindingId) -> bool {
    let Some(at) = hits.iter().position(|hit| hit.binding == binding) else { return false };
    hits.swap_remove(at);
    if hits.len() == 1 {
        hits.shrink_to_fit();
    }
    true
}
