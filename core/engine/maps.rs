//! The segment maps that a worker has handed to JavaScript.
//!
//! A slot keeps its map alive from the first write out of it until TypeScript
//! has detached the view and released the slot, whatever the log does with the
//! segment meanwhile: memory that JavaScript can reach is never unmapped.

use std::collections::HashMap;
use std::sync::Arc;

use crate::mmap::SegmentMap;

#[derive(Default)]
pub(super) struct Maps {
    slots: Vec<Option<Arc<SegmentMap>>>,
    by_id: HashMap<u64, u32>,
    free: Vec<u32>,
}

impl Maps {
    /// The slot of a map, and whether it is new to JavaScript.
    #[inline]
    pub fn slot(&mut self, map: &Arc<SegmentMap>) -> (u32, bool) {
        if let Some(&slot) = self.by_id.get(&map.id()) {
            return (slot, false);
        }
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot as usize] = Some(map.clone());
        self.by_id.insert(map.id(), slot);
        (slot, true)
    }

    pub fn find(&self, map_id: u64) -> Option<u32> {
        self.by_id.get(&map_id).copied()
    }

    pub fn get(&self, slot: u32) -> Option<&Arc<SegmentMap>> {
        self.slots.get(slot as usize).and_then(Option::as_ref)
    }

    /// Forgets a slot; the map goes with its last holder.
    pub fn release(&mut self, slot: u32) {
        let Some(map) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        self.by_id.remove(&map.id());
        self.free.push(slot);
    }
}
