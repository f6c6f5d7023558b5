//! Messages that wait for their time: 16 bytes each, in chunks that are sorted when they are full, with a heap
//! over the chunks' soonest. Nothing is moved again later, however far away or crowded a time is, so no tick
//! has more to do than what is due. A chunk holds messages that came one after the other, so that its range of
//! numbers tells where one is looked for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::types::{NUMBER_MAX, Number, Scheduled};

/// Messages of a full chunk (64 KiB); few where tests are to see many chunks.
const CHUNK: usize = if cfg!(test) { 16 } else { 4096 };
/// Chunks that ran down to a quarter are joined when there are so many more than twice the full ones needed.
const SMALL_MAX: usize = if cfg!(test) { 4 } else { 64 };
/// 42 bits of milliseconds: until the year 2109.
pub(super) const DUE_MAX: u64 = (1 << 42) - 1;
const BYTES_MAX: u64 = (1 << 31) - 1;

/// Ordered by due time, then number.
type Packed = u128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub due_ms: u64,
    pub number: Number,
    pub bytes: u64,
    pub lane: u8,
    pub marked: bool,
    /// Was delivered before: its group waits for it.
    pub retried: bool,
}

fn pack(item: Waiting) -> Packed {
    let due = u128::from(item.due_ms.min(DUE_MAX)) << 86;
    let flags = u128::from(item.lane) << 33 | u128::from(item.marked) << 32 | u128::from(item.retried) << 31;
    due | u128::from(item.number) << 38 | flags | u128::from(item.bytes.min(BYTES_MAX))
}

fn unpack(packed: Packed) -> Waiting {
    Waiting {
        due_ms: due(packed),
        number: number(packed),
        bytes: packed as u64 & BYTES_MAX,
        lane: (packed >> 33) as u8 & 31,
        marked: packed >> 32 & 1 == 1,
        retried: packed >> 31 & 1 == 1,
    }
}

fn due(packed: Packed) -> u64 {
    (packed >> 86) as u64
}

fn number(packed: Packed) -> Number {
    (packed >> 38) as u64 & NUMBER_MAX
}

#[derive(Default)]
struct Chunk {
    /// The soonest is the last.
    items: Vec<Reverse<Packed>>,
    /// All numbers are in between; some at the ends may be gone.
    low: Number,
    high: Number,
}

impl Chunk {
    fn new(items: Vec<Reverse<Packed>>) -> Self {
        let numbers = || items.iter().map(|item| number(item.0));
        let (low, high) = (numbers().min().unwrap_or(0), numbers().max().unwrap_or(0));
        Self { items, low, high }
    }

    fn soonest(&self) -> Option<Packed> {
        self.items.last().map(|item| item.0)
    }

    /// Gives back what is not needed any more, when half of it is not.
    fn shrink(&mut self) {
        if self.items.len() * 2 < self.items.capacity() {
            let mut items = std::mem::take(&mut self.items);
            items.shrink_to_fit();
            *self = Self::new(items);
        }
    }

    fn position(&self, wanted: Number) -> Option<usize> {
        if !(self.low..=self.high).contains(&wanted) {
            return None;
        }
        self.items.iter().position(|item| number(item.0) == wanted)
    }
}

#[derive(Default)]
pub(super) struct Delayed {
    /// The latest ones, until they are enough for a chunk.
    open: BinaryHeap<Reverse<Packed>>,
    chunks: Vec<Chunk>,
    /// Empty places in `chunks`.
    free: Vec<usize>,
    /// The soonest of each chunk, and of some that are gone since; the first is never such.
    heads: BinaryHeap<Reverse<(Packed, usize)>>,
    len: u64,
}

impl Delayed {
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn insert(&mut self, item: Waiting) {
        self.len += 1;
        self.open.push(Reverse(pack(item)));
        if self.open.len() >= CHUNK {
            let items = std::mem::take(&mut self.open).into_sorted_vec();
            self.add_chunk(items);
            self.join_small();
        }
    }

    fn add_chunk(&mut self, items: Vec<Reverse<Packed>>) {
        let chunk = Chunk::new(items);
        let at = self.free.pop().unwrap_or(self.chunks.len());
        if let Some(soonest) = chunk.soonest() {
            self.heads.push(Reverse((soonest, at)));
        }
        if at == self.chunks.len() { self.chunks.push(chunk) } else { self.chunks[at] = chunk }
    }

    /// Messages of very different times leave chunks of a few: those would cost more than the messages.
    fn join_small(&mut self) {
        let used = self.chunks.len() - self.free.len();
        if used <= 2 * (self.len as usize / CHUNK) + SMALL_MAX {
            return;
        }
        let mut joined = Vec::with_capacity(CHUNK);
        for at in 0..self.chunks.len() {
            let length = self.chunks[at].items.len();
            if length > 0 && length <= CHUNK / 4 && joined.len() + length <= CHUNK {
                joined.append(&mut self.chunks[at].items);
                self.release(at);
            }
        }
        joined.sort_unstable();
        joined.shrink_to_fit();
        self.add_chunk(joined);
        self.drop_stale_heads();
    }

    fn release(&mut self, at: usize) {
        self.chunks[at] = Chunk::default();
        self.free.push(at);
    }

    fn drop_stale_heads(&mut self) {
        while let Some(Reverse((packed, at))) = self.heads.peek()
            && self.chunks[*at].soonest() != Some(*packed)
        {
            self.heads.pop();
        }
    }

    /// One that is due at `now_ms`, the soonest first.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<Waiting> {
        let packed = self.soonest().filter(|packed| due(*packed) <= now_ms)?;
        self.len -= 1;
        if self.open.peek().is_some_and(|open| open.0 == packed) {
            self.open.pop();
        } else if let Some(Reverse((_, at))) = self.heads.pop() {
            self.chunks[at].items.pop();
            self.changed(at);
        }
        Some(unpack(packed))
    }

    /// A chunk has another soonest, or none.
    fn changed(&mut self, at: usize) {
        match self.chunks[at].soonest() {
            Some(soonest) => {
                self.heads.push(Reverse((soonest, at)));
                self.chunks[at].shrink();
            }
            None => self.release(at),
        }
        self.drop_stale_heads();
    }

    fn soonest(&self) -> Option<Packed> {
        let open = self.open.peek().map(|item| item.0);
        let chunk = self.heads.peek().map(|head| head.0.0);
        open.into_iter().chain(chunk).min()
    }

    pub fn next_ms(&self) -> Option<u64> {
        self.soonest().map(due)
    }

    pub fn find(&self, wanted: Number) -> Option<Waiting> {
        let open = || self.open.iter().find(|item| number(item.0) == wanted).map(|item| item.0);
        let in_chunk = |chunk: &Chunk| chunk.position(wanted).map(|at| chunk.items[at].0);
        self.chunks.iter().find_map(in_chunk).or_else(open).map(unpack)
    }

    pub fn remove(&mut self, wanted: Number) -> Option<Waiting> {
        for at in 0..self.chunks.len() {
            let Some(position) = self.chunks[at].position(wanted) else { continue };
            let was_soonest = position + 1 == self.chunks[at].items.len();
            let item = self.chunks[at].items.remove(position);
            self.len -= 1;
            if was_soonest {
                self.changed(at);
            }
            return Some(unpack(item.0));
        }
        let item = self.open.iter().find(|item| number(item.0) == wanted)?.0;
        self.open.retain(|other| other.0 != item);
        self.len -= 1;
        Some(unpack(item))
    }

    /// Takes all out that `keep` does not want.
    pub fn retain(&mut self, mut keep: impl FnMut(Waiting) -> bool) {
        let mut kept = |items: &mut Vec<Reverse<Packed>>| items.retain(|item| keep(unpack(item.0)));
        let mut open = std::mem::take(&mut self.open).into_vec();
        kept(&mut open);
        self.open = BinaryHeap::from(open);
        let chunks = std::mem::take(&mut self.chunks);
        (self.len, self.free, self.heads) = (self.open.len() as u64, Vec::new(), BinaryHeap::new());
        for Chunk { mut items, .. } in chunks {
            kept(&mut items);
            if !items.is_empty() {
                items.shrink_to_fit();
                self.len += items.len() as u64;
                self.add_chunk(items);
            }
        }
    }

    pub fn each(&self) -> impl Iterator<Item = Waiting> + '_ {
        let chunks = self.chunks.iter().flat_map(|chunk| chunk.items.iter());
        chunks.chain(self.open.iter()).map(|item| unpack(item.0))
    }

    /// The `max` lowest numbers from `from` on, unsorted and perhaps with a few more.
    pub fn lowest(&self, from: Number, max: usize) -> Vec<Waiting> {
        let mut chunks: Vec<&Chunk> = self.chunks.iter().filter(|chunk| !chunk.items.is_empty()).collect();
        chunks.sort_unstable_by_key(|chunk| chunk.low);
        let after = |item: &&Reverse<Packed>| number(item.0) >= from;
        let mut found: Vec<Waiting> = self.open.iter().filter(after).map(|item| unpack(item.0)).collect();
        for chunk in chunks {
            if found.len() >= max {
                found.sort_unstable_by_key(|item| item.number);
                found.truncate(max);
                if found.last().is_none_or(|last| last.number < chunk.low) {
                    break;
                }
            }
            found.extend(chunk.items.iter().filter(after).map(|item| unpack(item.0)));
        }
        found
    }

    /// Not above the lowest number.
    pub fn oldest(&self) -> Option<Number> {
        let chunks = self.chunks.iter().filter(|chunk| !chunk.items.is_empty()).map(|chunk| chunk.low);
        chunks.chain(self.open.iter().map(|item| number(item.0))).min()
    }

    /// Up to `max` in order of time, behind `after`.
    pub fn scheduled(&self, after: Option<Scheduled>, max: usize, out: &mut Vec<Scheduled>) {
        let after = after.map_or(0, |after| {
            ((u128::from(after.due_ms.min(DUE_MAX)) << 48 | u128::from(after.number.min(NUMBER_MAX))) + 1) << 38
        });
        let mut open: Vec<Reverse<Packed>> = self.open.iter().filter(|item| item.0 >= after).copied().collect();
        open.sort_unstable();
        let lists: Vec<&[Reverse<Packed>]> = self
            .chunks
            .iter()
            .map(|chunk| &chunk.items[..])
            .chain([&open[..]])
            .map(|items| rest(items, after))
            .collect();
        let head = |at: usize, length: usize| Some(Reverse((lists[at][length.checked_sub(1)?].0, at, length)));
        let mut heads: BinaryHeap<_> = (0..lists.len()).filter_map(|at| head(at, lists[at].len())).collect();
        for _ in 0..max {
            let Some(Reverse((packed, at, length))) = heads.pop() else { return };
            out.push(Scheduled { due_ms: due(packed), number: number(packed) });
            heads.extend(head(at, length - 1));
        }
    }

    pub fn memory_bytes(&self) -> usize {
        let items: usize = self.chunks.iter().map(|chunk| chunk.items.capacity()).sum();
        (items + self.open.capacity()) * size_of::<Packed>()
            + self.chunks.capacity() * size_of::<Chunk>()
            + self.heads.capacity() * size_of::<(Packed, usize)>()
    }
}

/// Of items with the soonest last, those not before `after`.
fn rest(items: &[Reverse<Packed>], after: Packed) -> &[Reverse<Packed>] {
    &items[..items.partition_point(|item| item.0 >= after)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::tests::kit::Random;
    use std::collections::BTreeSet;

    fn waiting(due_ms: u64, number: Number) -> Waiting {
        Waiting { due_ms, number, bytes: 7, lane: 31, marked: true, retried: number.is_multiple_of(2) }
    }

    #[test]
    fn messages_of_very_different_times_come_in_order_and_leave_no_small_chunks() {
        let mut random = Random::seeded(17);
        let (mut delayed, mut model, mut now_ms) = (Delayed::default(), BTreeSet::new(), 0);
        for number in 0..40_000 {
            let far = random.below(30) == 0;
            let due_ms = now_ms + if far { random.below(1 << 40) } else { random.below(200) };
            delayed.insert(waiting(due_ms, number));
            model.insert((due_ms, number));
            if random.below(50) == 0 {
                let number = random.below(number);
                let found = model.iter().find(|(_, other)| *other == number).copied();
                assert_eq!(delayed.remove(number), found.map(|(due_ms, number)| waiting(due_ms, number)));
                found.map(|key| model.remove(&key));
            }
            now_ms += random.below(3);
            while let Some(item) = delayed.pop_due(now_ms) {
                assert_eq!(model.pop_first(), Some((item.due_ms, item.number)));
                assert_eq!(item, waiting(item.due_ms, item.number));
            }
            assert_eq!(delayed.next_ms(), model.first().map(|(due_ms, _)| *due_ms));
            assert!(delayed.next_ms().is_none_or(|due_ms| due_ms > now_ms));
        }
        assert_eq!(delayed.len(), model.len() as u64);
        let used = delayed.chunks.len() - delayed.free.len();
        assert!(used <= 5 * (model.len() / CHUNK) + SMALL_MAX, "{used} chunks for {}", model.len());
        assert!(delayed.memory_bytes() < 120 * model.len(), "{} bytes", delayed.memory_bytes());
    }
}
