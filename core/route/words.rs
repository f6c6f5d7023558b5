//! The words of a topic exchange's patterns as numbers, so that a step through the patterns compares two integers.

use hashbrown::{DefaultHashBuilder, HashTable};
use smallvec::SmallVec;

use super::keys::hash_bytes;

pub type WordId = u32;

struct Word {
    text: SmallVec<[u8; 24]>,
    id: WordId,
    /// How many steps of patterns use it.
    uses: u32,
}

#[derive(Default)]
pub struct Words {
    table: HashTable<Word>,
    hasher: DefaultHashBuilder,
    free: Vec<WordId>,
    next: WordId,
}

impl Words {
    #[inline]
    pub fn find(&self, text: &[u8]) -> Option<WordId> {
        self.table.find(hash_bytes(&self.hasher, text), |word| *word.text == *text).map(|word| word.id)
    }

    /// The word's number; it is used once more.
    pub fn add(&mut self, text: &[u8]) -> WordId {
        let Self { table, hasher, free, next } = self;
        let entry =
            table.entry(hash_bytes(hasher, text), |word| *word.text == *text, |word| hash_bytes(hasher, &word.text));
        let mut entry = entry.or_insert_with(|| {
            let id = free.pop().unwrap_or_else(|| {
                *next += 1;
                *next - 1
            });
            Word { text: SmallVec::from_slice(text), id, uses: 0 }
        });
        let word = entry.get_mut();
        word.uses += 1;
        word.id
    }

    /// The word is used once less.
    pub fn remove(&mut self, text: &[u8]) {
        let Ok(mut entry) = self.table.find_entry(hash_bytes(&self.hasher, text), |word| *word.text == *text) else {
            return;
        };
        entry.get_mut().uses -= 1;
        if entry.get().uses == 0 {
            let (word, _) = entry.remove();
            self.free.push(word.id);
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.table.len()
    }
}
