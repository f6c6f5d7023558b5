//! What a drain shows: the entries in order and their bytes.

use std::ops::Range;

use super::Entry;

/// A view of the records of one drain, oldest first.
///
/// The entries lie in at most two slices (the slots wrap), and so do the bytes of any
/// range of them (the arena wraps); neither is copied.
#[derive(Clone, Copy)]
pub struct Drained<'a> {
    pub(in crate::ring) older: &'a [Entry],
    pub(in crate::ring) newer: &'a [Entry],
    /// The bytes up to the arena's wrap, and the arena position of their first one.
    pub(in crate::ring) front: &'a [u8],
    pub(in crate::ring) front_start: usize,
    /// The bytes behind the wrap, from arena position 0.
    pub(in crate::ring) back: &'a [u8],
    /// Index of the first entry whose bytes lie in `back`; `len()` when there is none.
    pub(in crate::ring) wrapped_at: usize,
}

impl<'a> Drained<'a> {
    pub fn len(&self) -> usize {
        self.older.len() + self.newer.len()
    }

    /// Never true inside a drain; here because `len` is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries in order, in the two parts in which they lie.
    pub fn slices(&self) -> (&'a [Entry], &'a [Entry]) {
        (self.older, self.newer)
    }

    /// Entry `index`, or `None` at or past `len()`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a Entry> {
        match index.checked_sub(self.older.len()) {
            None => self.older.get(index),
            Some(rest) => self.newer.get(rest),
        }
    }

    /// The entries in order, each with its bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&'a Entry, &'a [u8])> + use<'a> {
        let drained = *self;
        let all = self.older.iter().chain(self.newer);
        all.map(move |entry| (entry, drained.bytes(entry)))
    }

    /// The bytes of one entry of this drain. An entry of another drain gives other
    /// bytes or none, but nothing outside the records shown here.
    #[inline]
    pub fn bytes(&self, entry: &Entry) -> &'a [u8] {
        let (part, start) = match (entry.start as usize).checked_sub(self.front_start) {
            Some(start) => (self.front, start),
            None => (self.back, entry.start as usize),
        };
        part.get(start..start + entry.len as usize).unwrap_or(&[])
    }

    /// The bytes of entries `range`, one record after another, as at most two
    /// contiguous runs; the second one is empty unless the arena wraps in between.
    pub fn runs(&self, range: Range<usize>) -> [&'a [u8]; 2] {
        let end = range.end.min(self.len());
        let start = range.start.min(end);
        let middle = self.wrapped_at.clamp(start, end);
        [self.run(self.front, self.front_start, start..middle), self.run(self.back, 0, middle..end)]
    }

    /// `range` must lie on one side of the wrap, in `part`, which begins at arena
    /// position `part_start`.
    fn run(&self, part: &'a [u8], part_start: usize, range: Range<usize>) -> &'a [u8] {
        if range.is_empty() {
            return &[];
        }
        let (Some(first), Some(last)) = (self.get(range.start), self.get(range.end - 1)) else {
            return &[];
        };
        let from = first.start as usize - part_start;
        let to = (last.start + last.len) as usize - part_start;
        part.get(from..to).unwrap_or(&[])
    }
}
