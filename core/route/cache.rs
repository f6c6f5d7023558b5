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
            filled: 0,
            turn: 0,
            hasher: DefaultHashBuilder::default(),
        }
    }

    #[inline]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Something was bound or unbound: nothing in here holds any longer.
    pub fn invalidate(&mut self) {
        self.filled = 0;
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
