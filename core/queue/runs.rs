//! Runs in ascending order, in chunks: growth never copies what is there, and what was taken gives its memory
//! back chunk by chunk.

use std::collections::VecDeque;

use super::run::{Packed, Run};
use super::types::Number;

/// Runs of a chunk (8 KiB); few where tests are to see many chunks. The only chunk of a short lane grows up to it as
/// a vector does.
const CHUNK_RUNS: usize = if cfg!(test) { 16 } else { 512 };

#[derive(Default)]
pub(super) struct Runs {
    chunks: VecDeque<Vec<Packed>>,
    /// Runs of the first chunk that are taken already.
    head: usize,
    /// A chunk kept for the next push, so that a lane in balance allocates nothing.
    spare: Option<Vec<Packed>>,
}

impl Runs {
    #[inline]
    pub fn front(&self) -> Option<Packed> {
        self.chunks.front()?.get(self.head).copied()
    }

    /// The number after the last.
    #[inline]
    pub fn end(&self) -> Number {
        self.chunks.back().and_then(|chunk| chunk.last()).map_or(0, |last| last.end())
    }

    /// The run's first number is not below `end()`.
    #[inline]
    pub fn push(&mut self, run: Run) {
        if let Some(chunk) = self.chunks.back_mut() {
            if let Some(last) = chunk.last_mut()
                && last.extend(run)
            {
                return;
            }
            if chunk.len() < CHUNK_RUNS {
                chunk.push(Packed::new(run));
                return;
            }
        }
        self.push_chunk(run);
    }

    fn push_chunk(&mut self, run: Run) {
        let first_one = self.chunks.is_empty();
        let fresh = || if first_one { Vec::new() } else { Vec::with_capacity(CHUNK_RUNS) };
        let mut chunk = self.spare.take().unwrap_or_else(fresh);
        chunk.push(Packed::new(run));
        self.chunks.push_back(chunk);
    }

    /// Takes up to `count` messages of the first run; marked ones singly, since each is looked at.
    #[inline]
    pub fn take(&mut self, count: u32) -> Option<Run> {
        let front = self.chunks.front_mut()?.get_mut(self.head)?;
        let mut run = front.run();
        let count = if run.marked { 1 } else { count };
        if count < run.count {
            let taken = run.split(count);
            *front = Packed::new(run);
            return Some(taken);
        }
        self.drop_front();
        Some(run)
    }

    #[inline]
    fn drop_front(&mut self) {
        self.head += 1;
        if self.chunks.front().is_some_and(|chunk| self.head == chunk.len()) {
            self.drop_chunk();
        }
    }

    fn drop_chunk(&mut self) {
        self.head = 0;
        if let Some(mut chunk) = self.chunks.pop_front() {
            chunk.clear();
            self.spare = Some(chunk);
        }
    }

    /// Puts a run in front that ends where the first begins; false where it does not fit.
    pub fn join_front(&mut self, run: Run) -> bool {
        let head = self.head;
        let Some(front) = self.chunks.front_mut().and_then(|chunk| chunk.get_mut(head)) else { return false };
        let mut joined = Packed::new(run);
        if !joined.extend(front.run()) {
            return false;
        }
        *front = joined;
        true
    }

    /// Where the run is that holds `number`.
    fn find(&self, number: Number) -> Option<(usize, usize)> {
        let (mut low, mut high) = (0, self.chunks.len());
        while low < high {
            let middle = low.midpoint(high);
            let starts_at = self.chunks[middle].get(if middle == 0 { self.head } else { 0 })?.first();
            if starts_at <= number { low = middle + 1 } else { high = middle }
        }
        let chunk = low.checked_sub(1)?;
        let skipped = if chunk == 0 { self.head } else { 0 };
        let at = self.chunks[chunk][skipped..].partition_point(|run| run.first() <= number).checked_sub(1)? + skipped;
        (number < self.chunks[chunk][at].end()).then_some((chunk, at))
    }

    pub fn holds(&self, number: Number) -> bool {
        self.find(number).is_some()
    }

    /// Takes one message out from anywhere.
    pub fn remove(&mut self, number: Number) -> Option<Run> {
        let (chunk, at) = self.find(number)?;
        let mut rest = self.chunks[chunk][at].run();
        let before = (number > rest.first).then(|| rest.split((number - rest.first) as u32));
        let taken = if rest.count == 1 { rest } else { rest.split(1) };
        let after = (taken.end() < rest.end()).then_some(rest);
        match (before, after) {
            (Some(left), Some(right)) => {
                self.chunks[chunk][at] = Packed::new(left);
                self.insert(chunk, at + 1, right);
            }
            (Some(run), None) | (None, Some(run)) => self.chunks[chunk][at] = Packed::new(run),
            (None, None) => self.drop_at(chunk, at),
        }
        Some(taken)
    }

    fn drop_at(&mut self, chunk: usize, at: usize) {
        if chunk == 0 && at == self.head {
            self.drop_front();
            return;
        }
        self.chunks[chunk].remove(at);
        if self.chunks[chunk].is_empty() {
            self.chunks.remove(chunk);
        }
    }

    fn insert(&mut self, chunk: usize, at: usize, run: Run) {
        let runs = &mut self.chunks[chunk];
        runs.insert(at, Packed::new(run));
        if runs.len() >= 2 * CHUNK_RUNS {
            let upper = runs.split_off(CHUNK_RUNS.max(self.head + 1));
            self.chunks.insert(chunk + 1, upper);
        }
    }

    /// All runs that hold `from` or something after it, in order.
    pub fn from(&self, from: Number) -> impl Iterator<Item = Run> + '_ {
        let start = self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| last.end() <= from));
        let head = self.head;
        let runs = self.chunks.range(start..).enumerate().flat_map(move |(index, chunk)| {
            let skipped = if start + index == 0 { head } else { 0 };
            chunk[skipped..].iter().map(|packed| packed.run())
        });
        runs.skip_while(move |run| run.end() <= from)
    }

    pub fn memory_bytes(&self) -> usize {
        let runs: usize = self.chunks.iter().map(Vec::capacity).sum();
        (runs + self.spare.as_ref().map_or(0, Vec::capacity)) * size_of::<Packed>()
            + self.chunks.capacity() * size_of::<Vec<Packed>>()
    }
}
