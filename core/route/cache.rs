//! Results of routing by exchange and routing key, as long as nothing is bound or unbound.
//!
//! Set-associative: a key may lie in `WAYS` neighbouring entries, a new one replaces one
//! of them when all are taken. So the memory is bounded, nothing is ever swept, and a look
//! costs one cache line mostly. An entry is one line and holds its key; longer keys
//! are not cached.

use std::hash::{BuildHasher, Hasher};

use hashbrown::DefaultHashBuilder;

use super::{ExchangeId, SetId};

const WAYS: usize = 4;
const KEY_BYTES_MAX: usize = 47;
const ENTRIES_MIN: usize = 64;
/// Of an entry that holds nothing.
const NEVER: u32 = 0;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Entry {
    tag: u32,
    exchange: ExchangeId,
    generation: u32,
    set: SetId,
    key_bytes: u8,
    key: [u8; KEY_BYTES_MAX],
}

const EMPTY: Entry = Entry { tag: 0, exchange: 0, generation: NEVER, set: 0, key_bytes: 0, key: [0; KEY_BYTES_MAX] };

impl Entry {
    #[inline]
    fn holds(&self, generation: u32, tag: u32, exchange: ExchangeId, key: &[u8]) -> bool {
        self.tag == tag
            && self.generation == generation
            && self.exchange == exchange
            && self.key.get(..usize::from(self.key_bytes)) == Some(key)
    }
}

pub struct RouteCache {
    /// A power of two, or none yet.
    entries: Vec<Entry>,
    entries_max: usize,
    /// Entries of another generation are empty.
    generation: u32,
    /// How often `invalidate` was called.
    changes: u64,
    /// Entries of this generation.
    filled: usize,
    /// Which way of a full set is replaced next.
    turn: usize,
    hasher: DefaultHashBuilder,
}

impl RouteCache {
    pub fn new(entries_max: usize) -> Self {
        Self {
            entries: Vec::new(),
            entries_max,
            generation: NEVER + 1,
            changes: 0,
            filled: 0,
            turn: 0,
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Another number after every change; a result that is kept elsewhere holds as long as this one.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Something was bound or unbound: nothing in here holds any longer.
    pub fn invalidate(&mut self) {
        self.filled = 0;
        self.changes += 1;
        if let Some(next) = self.generation.checked_add(1) {
            self.generation = next;
        } else {
            self.entries.fill(EMPTY);
            self.generation = NEVER + 1;
        }
    }

    #[inline]
    pub fn hash(&self, exchange: ExchangeId, key: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(exchange);
        hasher.write(key);
        hasher.finish()
    }

    #[inline]
    pub fn get(&self, hash: u64, exchange: ExchangeId, key: &[u8]) -> Option<SetId> {
        if self.entries.is_empty() {
            return None;
        }
        let (home, tag) = (self.home(hash), tag_of(hash));
        let found = self.entries[home..home + WAYS].iter();
        found.into_iter().find(|entry| entry.holds(self.generation, tag, exchange, key)).map(|entry| entry.set)
    }

    pub fn put(&mut self, hash: u64, exchange: ExchangeId, key: &[u8], set: SetId) {
        if key.len() > KEY_BYTES_MAX || self.entries_max < ENTRIES_MIN {
            return;
        }
        if self.filled * 2 >= self.entries.len() && self.entries.len() * 2 <= self.entries_max {
            self.grow();
        }
        let mut entry = Entry { tag: tag_of(hash), exchange, generation: self.generation, set, ..EMPTY };
        entry.key[..key.len()].copy_from_slice(key);
        entry.key_bytes = key.len() as u8;
        self.place(self.home(hash), entry);
    }

    /// The first of the ways; the last ones reach over the end of what the mask covers.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.entries.len() - 1) & !(WAYS - 1)
    }

    fn place(&mut self, home: usize, entry: Entry) {
        let generation = self.generation;
        let ways = &mut self.entries[home..home + WAYS];
        if let Some(way) = ways.iter_mut().find(|way| way.generation != generation) {
            *way = entry;
            self.filled += 1;
        } else {
            ways[self.turn % WAYS] = entry;
            self.turn = self.turn.wrapping_add(1);
        }
    }

    fn grow(&mut self) {
        let entries = vec![EMPTY; (self.entries.len() * 2).max(ENTRIES_MIN)];
        let old = std::mem::replace(&mut self.entries, entries);
        self.filled = 0;
        let generation = self.generation;
        for entry in old.into_iter().filter(|entry| entry.generation == generation) {
            let hash = self.hash(entry.exchange, &entry.key[..usize::from(entry.key_bytes)]);
            self.place(self.home(hash), entry);
        }
    }
}

#[inline]
fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(cache: &RouteCache, key: &str) -> Option<SetId> {
        cache.get(cache.hash(1, key.as_bytes()), 1, key.as_bytes())
    }

    fn keep(cache: &mut RouteCache, key: &str, set: SetId) {
        cache.put(cache.hash(1, key.as_bytes()), 1, key.as_bytes(), set);
    }

    #[test]
    fn what_is_kept_is_right_and_bounded_and_mostly_there() {
        let mut cache = RouteCache::new(1_024);
        for set in 0..10_000 {
            keep(&mut cache, &format!("key-{set}"), set);
            assert_eq!(look(&cache, &format!("key-{set}")), Some(set));
        }
        assert_eq!(cache.entries.len(), 1_024);
        let found: Vec<_> = (0..10_000).filter_map(|set| Some((set, look(&cache, &format!("key-{set}"))?))).collect();
        assert!(found.len() > 800 && found.iter().all(|(set, kept)| set == kept), "{} are there", found.len());
        let mut roomy = RouteCache::new(1 << 15);
        // Some are pushed out while it still grows.
        for set in (0..10_000).chain(0..10_000) {
            if look(&roomy, &format!("key-{set}")).is_none() {
                keep(&mut roomy, &format!("key-{set}"), set);
            }
        }
        let there = (0..10_000).filter(|set| look(&roomy, &format!("key-{set}")) == Some(*set)).count();
        // Four ways for 1.2 keys on average: about 80 find no room, by the seed of the hash.
        assert!(there > 9_700, "{there} of 10,000 have room");
    }

    #[test]
    fn nothing_is_there_after_a_change_also_when_generations_begin_again() {
        let mut cache = RouteCache::new(64);
        for generation in [1, u32::MAX - 1, u32::MAX] {
            cache.generation = generation;
            keep(&mut cache, "a", 7);
            let before = cache.changes();
            cache.invalidate();
            assert_eq!(look(&cache, "a"), None);
            assert!(cache.changes() > before);
        }
        cache.generation = u32::MAX;
        assert_eq!(look(&cache, "a"), None, "the entries of the old round are gone");
    }

    #[test]
    fn exchanges_are_apart_and_long_keys_are_not_kept() {
        let mut cache = RouteCache::new(64);
        keep(&mut cache, "a", 7);
        assert_eq!(cache.get(cache.hash(2, b"a"), 2, b"a"), None);
        let (fits, long) = ("k".repeat(KEY_BYTES_MAX), "k".repeat(KEY_BYTES_MAX + 1));
        keep(&mut cache, &fits, 1);
        keep(&mut cache, &long, 2);
        assert_eq!((look(&cache, &fits), look(&cache, &long)), (Some(1), None));
    }
}
