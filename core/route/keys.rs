//! Bindings by their exact key: a direct exchange, and the patterns of a topic exchange without a wildcard.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};
use smallvec::SmallVec;

use super::hits::{BindingId, Hit, Hits, remove_hit};

/// Keys lie in the table up to this length, so that most are compared without following a pointer.
const INLINE_BYTES: usize = 24;

struct Entry {
    key: SmallVec<[u8; INLINE_BYTES]>,
    hits: Hits,
}

#[derive(Default)]
pub struct Keys {
    table: HashTable<Entry>,
    hasher: DefaultHashBuilder,
}

#[inline]
pub fn hash_bytes(hasher: &DefaultHashBuilder, bytes: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(bytes);
    state.finish()
}

impl Keys {
    #[inline]
    pub fn get(&self, key: &[u8]) -> &[Hit] {
        if self.table.is_empty() {
            return &[];
        }
        let found = self.table.find(hash_bytes(&self.hasher, key), |entry| *entry.key == *key);
        found.map_or(&[], |entry| &entry.hits)
    }

    pub fn insert(&mut self, key: &[u8], hit: Hit) {
        let hasher = &self.hasher;
        let entry = self.table.entry(
            hash_bytes(hasher, key),
            |entry| *entry.key == *key,
            |entry| hash_bytes(hasher, &entry.key),
        );
        let mut entry = entry.or_insert_with(|| Entry { key: SmallVec::from_slice(key), hits: Hits::new() });
        entry.get_mut().hits.push(hit);
    }

    pub fn remove(&mut self, key: &[u8], binding: BindingId) {
        let Ok(mut entry) = self.table.find_entry(hash_bytes(&self.hasher, key), |entry| *entry.key == *key) else {
            return;
        };
        remove_hit(&mut entry.get_mut().hits, binding);
        if entry.get().hits.is_empty() {
            entry.remove();
        }
    }
}
