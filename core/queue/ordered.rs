//! The groups of an ordered queue. Of each, one message at most is out: in a lane, in flight, or waiting for a
//! retry. The others stand behind it, in order of numbers, so that all that stands in a lane may be delivered. Of an
//! idle session (`locks.rs`) nobody is out, and all stand behind.

use std::collections::VecDeque;

use super::number_map::NumberMap;
use super::types::{NUMBER_MAX, Number};

const BYTES_MAX: u64 = u32::MAX as u64;
/// Stands for the message that is out where none is.
pub(super) const NOBODY: Number = Number::MAX;

/// A message behind its group's, 16 bytes as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behind {
    pub number: Number,
    pub bytes: u64,
    pub lane: u8,
    pub marked: bool,
}

impl Behind {
    fn pack(self) -> u128 {
        let flags = u128::from(self.lane) << 33 | u128::from(self.marked) << 32;
        u128::from(self.number) << 64 | flags | u128::from(self.bytes.min(BYTES_MAX))
    }

    fn unpack(packed: u128) -> Self {
        Self {
            number: number(packed),
            bytes: packed as u64 & BYTES_MAX,
            lane: (packed >> 33) as u8 & 31,
            marked: packed >> 32 & 1 == 1,
        }
    }
}

fn number(packed: u128) -> Number {
    (packed >> 64) as u64 & NUMBER_MAX
}

struct Group {
    out: Number,
    behind: VecDeque<u128>,
}

impl Group {
    fn position(&self, wanted: Number) -> Option<usize> {
        let at = self.behind.partition_point(|packed| number(*packed) < wanted);
        self.behind.get(at).is_some_and(|packed| number(*packed) == wanted).then_some(at)
    }
}

#[derive(Default)]
pub(super) struct Ordered {
    groups: NumberMap<Group>,
    /// Messages behind, and their bytes.
    pub len: u64,
    pub bytes: u64,
}

impl Ordered {
    /// True where nothing of the group is out: the message is, now.
    pub fn arrive(&mut self, group: u64, message: Behind) -> bool {
        let Some(found) = self.groups.get_mut(&group) else {
            self.occupy(group, message.number);
            return true;
        };
        self.len += 1;
        self.bytes += message.bytes;
        let packed = message.pack();
        if found.behind.back().is_none_or(|last| *last < packed) {
            found.behind.push_back(packed);
        } else {
            found.behind.insert(found.behind.partition_point(|other| *other < packed), packed);
        }
        false
    }

    /// The message is the one that is out.
    pub fn occupy(&mut self, group: u64, number: Number) {
        self.groups.entry(group).or_insert_with(|| Group { out: number, behind: VecDeque::new() });
    }

    /// A message left the queue or its group; the next one, if it was the one that was out.
    pub fn next(&mut self, group: u64, left: Number) -> Option<Behind> {
        let found = self.groups.get_mut(&group).filter(|found| found.out == left)?;
        let Some(next) = found.behind.pop_front().map(Behind::unpack) else {
            self.groups.remove(&group);
            return None;
        };
        found.out = next.number;
        self.len -= 1;
        self.bytes -= next.bytes;
        Some(next)
    }

    /// The message that was out left, and the next one stays behind: the group is an idle session. Returns whether there
    /// is a next one.
    pub fn vacate(&mut self, group: u64, left: Number) -> bool {
        let Some(found) = self.groups.get_mut(&group).filter(|found| found.out == left) else { return false };
        found.out = NOBODY;
        !found.behind.is_empty()
    }

    /// The first behind an idle session, which is out from now on.
    pub fn next_of(&mut self, group: u64) -> Option<Behind> {
        let next = self.take_first(group)?;
        self.groups.get_mut(&group)?.out = next.number;
        Some(next)
    }

    pub fn front_of(&self, group: u64) -> Option<Behind> {
        self.groups.get(&group)?.behind.front().copied().map(Behind::unpack)
    }

    /// The first behind, out of the group without being its next.
    pub fn take_first(&mut self, group: u64) -> Option<Behind> {
        let taken = self.groups.get_mut(&group)?.behind.pop_front().map(Behind::unpack)?;
        self.len -= 1;
        self.bytes -= taken.bytes;
        Some(taken)
    }

    /// Takes all out that stand behind.
    pub fn take_all(&mut self) -> Vec<Behind> {
        (self.len, self.bytes) = (0, 0);
        let mut all: Vec<Behind> = Vec::new();
        for group in self.groups.values_mut() {
            all.extend(std::mem::take(&mut group.behind).into_iter().map(Behind::unpack));
        }
        all.sort_unstable_by_key(|message| message.number);
        all
    }

    pub fn holds(&self, group: u64, number: Number) -> bool {
        self.groups.get(&group).is_some_and(|found| found.position(number).is_some())
    }

    pub fn remove(&mut self, number: Number) -> Option<Behind> {
        let (group, at) = self.groups.values_mut().find_map(|group| group.position(number).map(|at| (group, at)))?;
        let taken = group.behind.remove(at).map(Behind::unpack)?;
        self.len -= 1;
        self.bytes -= taken.bytes;
        Some(taken)
    }

    /// All that stand behind from a number on, with their groups; in order within a group.
    pub fn from(&self, from: Number) -> impl Iterator<Item = (u64, Behind)> + '_ {
        self.groups.iter().flat_map(move |(group, found)| {
            let start = found.behind.partition_point(|packed| number(*packed) < from);
            found.behind.range(start..).map(|packed| (*group, Behind::unpack(*packed)))
        })
    }

    pub fn oldest(&self) -> Option<Number> {
        self.groups.values().filter_map(|group| group.behind.front().copied().map(number)).min()
    }

    pub fn memory_bytes(&self) -> usize {
        let behind: usize = self.groups.values().map(|group| group.behind.capacity() * 16).sum();
        behind + self.groups.capacity() * (size_of::<Group>() + 9)
    }
}
