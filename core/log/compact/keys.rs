//! The map from a key to the offset of its last record, in bounded memory: 128
//! bits of hash and the offset, 24 bytes a slot, whatever the keys' length.

use std::hash::{BuildHasher, RandomState};

/// At most this share of the slots is used, so that probing stays short.
const LOAD_NUMERATOR: usize = 4;
const LOAD_DENOMINATOR: usize = 5;
const SLOTS_MIN: usize = 1024;
const EMPTY: u64 = u64::MAX;

#[derive(Clone, Copy)]
struct Slot {
    hash: [u64; 2],
    offset: u64,
}

const FREE: Slot = Slot { hash: [0; 2], offset: EMPTY };

/// Key content -> last offset, by open addressing.
///
/// Keys are compared by a 128-bit hash only. It is keyed anew for every map, so
/// a producer cannot construct two keys that collide, and by chance two of 10
/// million do so once in 10^24 runs.
pub struct KeyMap {
    slots: Vec<Slot>,
    used: usize,
    keys_max: usize,
    hashers: [RandomState; 2],
}

impl KeyMap {
    /// An empty map that takes up to `keys_max` keys (at least one).
    pub fn new(keys_max: usize) -> Self {
        let hashers = [RandomState::new(), RandomState::new()];
        Self { slots: Vec::new(), used: 0, keys_max: keys_max.max(1), hashers }
    }

    pub fn len(&self) -> usize {
        self.used
    }

    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// How many more keys fit.
    pub fn room(&self) -> usize {
        self.keys_max - self.used
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        [self.hashers[0].hash_one(key), self.hashers[1].hash_one(key)]
    }

    /// Where `hash` is or would go. The slots must not be full.
    fn find(slots: &[Slot], hash: [u64; 2]) -> usize {
        // The high half of the product spreads a hash over any number of slots,
        // so the table need not double beyond what `keys_max` asks for.
        let mut at = ((u128::from(hash[0]) * slots.len() as u128) >> 64) as usize;
        while slots[at].offset != EMPTY && slots[at].hash != hash {
            at += 1;
            if at == slots.len() {
                at = 0;
            }
        }
        at
    }

    /// Notes that `key` stands at `offset`; the highest offset noted wins.
    ///
    /// Returns false, and notes nothing, when the key is new and the map full.
    pub fn put(&mut self, key: &[u8], offset: u64) -> bool {
        if self.slots.len() * LOAD_NUMERATOR <= self.used * LOAD_DENOMINATOR {
            self.grow();
        }
        let hash = self.hash(key);
        let at = Self::find(&self.slots, hash);
        let slot = &mut self.slots[at];
        if slot.offset != EMPTY {
            slot.offset = slot.offset.max(offset);
            return true;
        }
        if self.used >= self.keys_max {
            return false;
        }
        *slot = Slot { hash, offset };
        self.used += 1;
        true
    }

    /// The last offset noted for `key`.
    pub fn get(&self, key: &[u8]) -> Option<u64> {
        if self.used == 0 {
            return None;
        }
        let slot = self.slots[Self::find(&self.slots, self.hash(key))];
        (slot.offset != EMPTY).then_some(slot.offset)
    }

    fn grow(&mut self) {
        let full = self.keys_max / LOAD_NUMERATOR * LOAD_DENOMINATOR + 2 * LOAD_DENOMINATOR;
        let target = (self.slots.len() * 2).max(SLOTS_MIN).min(full);
        let mut slots = vec![FREE; target];
        for slot in self.slots.iter().filter(|slot| slot.offset != EMPTY) {
            let at = Self::find(&slots, slot.hash);
            slots[at] = *slot;
        }
        self.slots = slots;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn the_highest_offset_of_each_key_is_kept_and_the_limit_holds() {
        for keys_max in [1, 2, 7, 1_000, 20_011] {
            let mut map = KeyMap::new(keys_max);
            let mut model = HashMap::new();
            for offset in 0..40_000u64 {
                let key = (offset.wrapping_mul(2_654_435_761) % 30_000).to_le_bytes();
                let fits = model.len() < keys_max || model.contains_key(&key);
                assert_eq!(map.put(&key, offset), fits);
                if fits {
                    model.insert(key, offset);
                }
            }
            assert_eq!(map.len(), model.len());
            assert!(model.iter().all(|(key, offset)| map.get(key) == Some(*offset)));
            assert_eq!(map.get(b"never put"), None);
            assert!(map.bytes() <= (keys_max * 5 / 4 + 20).max(2 * SLOTS_MIN) * 24, "{keys_max}: {}", map.bytes());
        }
    }

    #[test]
    fn an_earlier_offset_does_not_replace_a_later_one() {
        let mut map = KeyMap::new(10);
        assert!(map.put(b"k", 5) && map.put(b"k", 3));
        assert_eq!(map.get(b"k"), Some(5));
    }
}
