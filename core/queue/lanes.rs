//! Messages that are ready, one lane a priority. A lane gives out its lowest number first: what came in order
//! stands in `runs`, what came back or came late in `returned`.

use std::collections::BTreeMap;

use super::run::{Packed, Run};
use super::runs::Runs;
use super::types::Number;

#[derive(Default)]
pub(super) struct Lane {
    runs: Runs,
    /// By first number; neighbours of the same kind are one.
    returned: BTreeMap<Number, Packed>,
}

impl Lane {
    #[inline]
    pub fn push(&mut self, run: Run) {
        if run.first >= self.runs.end() { self.runs.push(run) } else { self.put_back(run) }
    }

    fn put_back(&mut self, run: Run) {
        if self.returned.is_empty() && self.runs.join_front(run) {
            return;
        }
        let mut joined = Packed::new(run);
        if let Some((_, before)) = self.returned.range_mut(..run.first).next_back()
            && before.extend(run)
        {
            joined = *before;
        }
        if let Some(after) = self.returned.get(&run.end()).map(|after| after.run())
            && joined.extend(after)
        {
            self.returned.remove(&run.end());
        }
        self.returned.insert(joined.first(), joined);
    }

    #[inline]
    pub fn front(&self) -> Option<Run> {
        let in_order = self.runs.front();
        if self.returned.is_empty() {
            return in_order.map(Packed::run);
        }
        let returned = self.returned.first_key_value().map(|(_, packed)| *packed);
        let Some(in_order) = in_order else { return returned.map(Packed::run) };
        returned.filter(|run| run.first() < in_order.first()).or(Some(in_order)).map(Packed::run)
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.runs.front().is_none()
    }

    #[inline]
    pub fn take(&mut self, count: u32) -> Option<Run> {
        if self.returned.is_empty() { self.runs.take(count) } else { self.take_lower(count) }
    }

    /// From whichever side has the lower number, and no further than the other's.
    fn take_lower(&mut self, count: u32) -> Option<Run> {
        let returned = self.returned.first_key_value().map_or(Number::MAX, |(first, _)| *first);
        match self.runs.front() {
            Some(front) if front.first() < returned => {
                let before = u32::try_from(returned - front.first()).unwrap_or(u32::MAX);
                self.runs.take(count.min(before))
            }
            _ => {
                let mut run = self.returned.pop_first()?.1.run();
                let count = if run.marked { 1 } else { count };
                if count >= run.count {
                    return Some(run);
                }
                let taken = run.split(count);
                self.returned.insert(run.first, Packed::new(run));
                Some(taken)
            }
        }
    }

    fn returned_with(&self, number: Number) -> Option<Run> {
        let (_, packed) = self.returned.range(..=number).next_back()?;
        (number < packed.end()).then(|| packed.run())
    }

    pub fn remove(&mut self, number: Number) -> Option<Run> {
        let Some(mut rest) = self.returned_with(number) else { return self.runs.remove(number) };
        self.returned.remove(&rest.first);
        if number > rest.first {
            let before = rest.split((number - rest.first) as u32);
            self.returned.insert(before.first, Packed::new(before));
        }
        if rest.count == 1 {
            return Some(rest);
        }
        let taken = rest.split(1);
        self.returned.insert(rest.first, Packed::new(rest));
        Some(taken)
    }

    fn returned_from(&self, from: Number) -> impl Iterator<Item = Run> + '_ {
        let start = self.returned_with(from).map_or(from, |run| run.first);
        self.returned.range(start..).map(|(_, packed)| packed.run())
    }

    pub fn holds(&self, number: Number) -> bool {
        self.runs.holds(number) || self.returned_with(number).is_some()
    }

    /// Every run with something at or after `from`, by the sides of the lane: each is ascending.
    pub fn sides(&self, from: Number) -> [Box<dyn Iterator<Item = Run> + '_>; 2] {
        [Box::new(self.returned_from(from)), Box::new(self.runs.from(from))]
    }

    /// Every run with something at or after `from`, ascending within each of its sides.
    pub fn from(&self, from: Number) -> impl Iterator<Item = Run> + '_ {
        self.returned_from(from).chain(self.runs.from(from))
    }

    pub fn memory_bytes(&self) -> usize {
        self.returned.len() * 32 + self.runs.memory_bytes()
    }
}

/// The lanes of all priorities; lane numbers are priorities.
pub(super) struct Lanes {
    all: Vec<Lane>,
    /// Bit p is set where lane p holds something.
    mask: u32,
    /// Messages, and their bytes.
    pub len: u64,
    pub bytes: u64,
}

impl Lanes {
    pub fn new() -> Self {
        Self { all: vec![Lane::default()], mask: 0, len: 0, bytes: 0 }
    }

    #[inline]
    fn grown(&mut self, lane: u8) -> &mut Lane {
        let lane = usize::from(lane);
        if lane >= self.all.len() {
            self.all.resize_with(lane + 1, Lane::default);
        }
        &mut self.all[lane]
    }

    /// A run in its place by its numbers: in O(1) where they are the highest, or end where the lane begins.
    #[inline]
    pub fn push(&mut self, lane: u8, run: Run) {
        self.len += u64::from(run.count);
        self.bytes += run.bytes;
        self.mask |= 1 << lane;
        self.grown(lane).push(run);
    }

    /// The highest lane that holds something.
    #[inline]
    pub fn highest(&self) -> Option<u8> {
        (self.mask != 0).then(|| 31 - self.mask.leading_zeros() as u8)
    }

    pub fn lowest(&self) -> Option<u8> {
        (self.mask != 0).then(|| self.mask.trailing_zeros() as u8)
    }

    /// The lanes that hold something.
    pub fn filled(&self) -> impl Iterator<Item = u8> + use<> {
        let mask = self.mask;
        (0..32).filter(move |lane| mask & (1 << lane) != 0)
    }

    #[inline]
    pub fn front(&self, lane: u8) -> Option<Run> {
        self.all.get(usize::from(lane))?.front()
    }

    /// Takes up to `count` messages off the front of a lane; marked ones singly.
    #[inline]
    pub fn take(&mut self, lane: u8, count: u32) -> Option<Run> {
        let run = self.all.get_mut(usize::from(lane))?.take(count)?;
        self.taken(lane, run);
        Some(run)
    }

    #[inline]
    fn taken(&mut self, lane: u8, run: Run) {
        self.len -= u64::from(run.count);
        self.bytes -= run.bytes;
        if self.all[usize::from(lane)].is_empty() {
            self.mask &= !(1 << lane);
        }
    }

    /// Takes one message out from anywhere, and says from which lane.
    pub fn remove(&mut self, number: Number) -> Option<(u8, Run)> {
        for lane in self.filled() {
            if let Some(run) = self.all[usize::from(lane)].remove(number) {
                self.taken(lane, run);
                return Some((lane, run));
            }
        }
        None
    }

    pub fn holds(&self, number: Number) -> bool {
        self.all.iter().any(|lane| lane.holds(number))
    }

    /// Every run with something at or after `from`, ascending within each side of a lane.
    pub fn sides(&self, from: Number) -> impl Iterator<Item = Box<dyn Iterator<Item = Run> + '_>> + '_ {
        self.all.iter().flat_map(move |lane| lane.sides(from))
    }

    /// Every run with something at or after `from`, with its lane.
    pub fn from(&self, from: Number) -> impl Iterator<Item = (u8, Run)> + '_ {
        let lanes = self.all.iter().enumerate();
        lanes.flat_map(move |(at, lane)| lane.from(from).map(move |run| (at as u8, run)))
    }

    pub fn memory_bytes(&self) -> usize {
        self.all.iter().map(Lane::memory_bytes).sum()
    }
}
