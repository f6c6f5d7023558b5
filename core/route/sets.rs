//! Destination sets, each once: messages and the journal name a set by its number.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{NOWHERE, SetId, Target};

pub struct Sets {
    /// By number; a freed one is empty, as `NOWHERE` is.
    all: Vec<Box<[Target]>>,
    index: HashTable<SetId>,
    hasher: DefaultHashBuilder,
    free: Vec<SetId>,
    /// How many sets ask for a sweep.
    sweep_at: usize,
    /// Fewer are never swept.
    swept_min: usize,
}

impl Sets {
    pub fn new(sets_max: usize) -> Self {
        let nowhere: Box<[Target]> = Box::default();
        Self {
            all: vec![nowhere],
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            free: Vec::new(),
            sweep_at: sets_max,
            swept_min: sets_max,
        }
    }

    #[inline]
    pub fn targets(&self, set: SetId) -> &[Target] {
        self.all.get(set as usize).map_or(&[], |targets| targets)
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// The number of a set; `targets` are sorted and each stands there once.
    pub fn intern(&mut self, targets: &[Target]) -> SetId {
        debug_assert!(targets.is_sorted_by(|a, b| a < b), "sorted, and no target twice");
        if targets.is_empty() {
            return NOWHERE;
        }
        let hash = self.hasher.hash_one(targets);
        if let Some(&set) = self.index.find(hash, |&set| *self.all[set as usize] == *targets) {
            return set;
        }
        let set = self.free.pop().unwrap_or_else(|| {
            self.all.push(Box::default());
            (self.all.len() - 1) as SetId
        });
        self.all[set as usize] = targets.into();
        let (sets, hasher) = (&self.all, &self.hasher);
        self.index.insert_unique(hash, set, |&other| hasher.hash_one(&*sets[other as usize]));
        set
    }

    pub fn sweep_due(&self) -> bool {
        self.index.len() >= self.sweep_at
    }

    /// Drops the sets that nobody keeps. The next sweep is due when as many again have
    /// come, so that sets which are all in use are not looked through every time.
    pub fn forget(&mut self, keep: impl Fn(SetId) -> bool) {
        let (sets, free) = (&mut self.all, &mut self.free);
        self.index.retain(|&mut set| {
            let is_kept = keep(set);
            if !is_kept {
                sets[set as usize] = Box::default();
                free.push(set);
            }
            is_kept
        });
        self.sweep_at = self.swept_min.max(self.index.len() * 2);
    }
}
