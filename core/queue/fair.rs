//! Fair sharing between the groups of a queue (its tenants). Each group has a lane of its own, and they take turns
//! (deficit round robin, at a cost of one a message): a turn is as many messages as the group's weight, and one that is
//! cut short, because no consumer has credit, goes on with the next dispatch. So a group with a million waiting holds up
//! another's first message by one round at most.

use std::collections::VecDeque;

use super::Queue;
use super::effect::Effect;
use super::extras::Extra;
use super::flight::Piece;
use super::lanes::Lane;
use super::number_map::NumberMap;
use super::run::Run;
use super::settle::End;
use super::types::{Dispatch, Number};

#[derive(Default)]
struct Group {
    lane: Lane,
    /// What is left of its turn; 0 before it begins.
    left: u32,
}

#[derive(Default)]
pub(super) struct Fair {
    groups: NumberMap<Group>,
    /// Each of `groups` once, in the order of their turns. One whose messages left otherwise goes when its turn comes.
    turns: VecDeque<u64>,
    weights: NumberMap<u32>,
    /// Messages, and their bytes.
    pub len: u64,
    pub bytes: u64,
}

impl Fair {
    /// Weights by group; a turn under way ends as it began.
    pub fn set_weights(&mut self, weights: NumberMap<u32>) {
        self.weights = weights;
    }

    /// Messages in their places by their numbers. A group that had nothing has its turn behind all others.
    pub fn push(&mut self, group: u64, run: Run) {
        let turns = &mut self.turns;
        let found = self.groups.entry(group).or_insert_with(|| {
            turns.push_back(group);
            Group::default()
        });
        found.lane.push(run);
        self.len += u64::from(run.count);
        self.bytes += run.bytes;
    }

    /// The group whose turn it is, and what is first in it.
    pub fn front(&mut self) -> Option<(u64, Run)> {
        while let Some(group) = self.turns.front().copied() {
            if let Some(run) = self.groups.get(&group).and_then(|found| found.lane.front()) {
                return Some((group, run));
            }
            self.turns.pop_front();
            self.groups.remove(&group);
        }
        None
    }

    /// Takes one message of the group whose turn it is.
    pub fn take_next(&mut self) -> Option<(u64, Run)> {
        let (group, _) = self.front()?;
        let weight = self.weights.get(&group).copied().unwrap_or(1);
        let found = self.groups.get_mut(&group)?;
        if found.left == 0 {
            found.left = weight.max(1);
        }
        found.left -= 1;
        let run = found.lane.take(1)?;
        let (is_over, is_empty) = (found.left == 0, found.lane.is_empty());
        if is_over || is_empty {
            self.turns.pop_front();
        }
        if is_empty {
            self.groups.remove(&group);
        } else if is_over {
            self.turns.push_back(group);
        }
        self.taken(run);
        Some((group, run))
    }

    fn taken(&mut self, run: Run) {
        self.len -= u64::from(run.count);
        self.bytes -= run.bytes;
        if self.len == 0 {
            self.turns = VecDeque::new();
            self.groups = NumberMap::default();
        }
    }

    /// Takes up to `count` messages off the front of a group, whoever's turn it is.
    pub fn take_front(&mut self, group: u64, count: u32) -> Option<Run> {
        let run = self.groups.get_mut(&group)?.lane.take(count)?;
        self.taken(run);
        Some(run)
    }

    pub fn take_all(&mut self) -> Vec<Run> {
        let mut all = Vec::new();
        for group in self.groups.values_mut() {
            all.extend(std::iter::from_fn(|| group.lane.take(u32::MAX)));
        }
        for run in &all {
            self.taken(*run);
        }
        all
    }

    pub fn remove(&mut self, number: Number) -> Option<Run> {
        let run = self.groups.values_mut().find_map(|group| group.lane.remove(number))?;
        self.taken(run);
        Some(run)
    }

    pub fn holds(&self, group: u64, number: Number) -> bool {
        self.groups.get(&group).is_some_and(|found| found.lane.holds(number))
    }

    /// What is first in each group.
    pub fn fronts(&self) -> impl Iterator<Item = (u64, Run)> + '_ {
        self.groups.iter().filter_map(|(group, found)| Some((*group, found.lane.front()?)))
    }

    /// Of each group, every run with something at or after `from`.
    pub fn from(&self, from: Number) -> impl Iterator<Item = (u64, impl Iterator<Item = Run> + '_)> + '_ {
        self.groups.iter().map(move |(group, found)| (*group, found.lane.from(from)))
    }

    /// The same by the sides of their lanes, each ascending.
    pub fn sides(&self, from: Number) -> impl Iterator<Item = Box<dyn Iterator<Item = Run> + '_>> + '_ {
        self.groups.values().flat_map(move |found| found.lane.sides(from))
    }

    pub fn memory_bytes(&self) -> usize {
        let lanes: usize = self.groups.values().map(|group| group.lane.memory_bytes()).sum();
        lanes + self.groups.capacity() * (size_of::<Group>() + 9) + self.turns.capacity() * 8
    }
}

impl Queue {
    /// The group of a hash, folded to as many as may be.
    pub(super) fn folded(&self, hash: u64) -> u64 {
        1 + hash % self.config.groups_max.max(1)
    }

    pub(super) fn take_weights(&mut self) {
        let weights = self.config.weights.iter().map(|(hash, weight)| (self.folded(*hash), *weight)).collect();
        self.fair.set_weights(weights);
    }

    /// Back among the ready ones.
    #[inline]
    pub(super) fn stand(&mut self, lane: u8, run: Run) {
        if self.config.fair_share {
            return self.stand_in_group(run, 0);
        }
        self.lanes.push(lane, run);
    }

    /// Each into the group that its extra names, else into `group`. There it needs no entry for the group alone.
    pub(super) fn stand_in_group(&mut self, run: Run, group: u64) {
        for one in run.each() {
            let extra = if one.marked { self.extras.remove(one.first) } else { Extra::default() };
            let rest = Extra { group: 0, ..extra };
            let marked = rest != Extra::default();
            if marked {
                self.extras.put(one.first, rest);
            }
            self.fair.push(if extra.group == 0 { group } else { extra.group }, Run { marked, ..one });
        }
    }

    /// Gives out up to `may_go` messages; returns how many it did not.
    pub(super) fn deal_fairly(
        &mut self,
        may_go: u64,
        now_ms: u64,
        out: &mut Vec<Dispatch>,
        effects: &mut Vec<Effect>,
    ) -> u64 {
        let mut left = may_go;
        while left > 0 {
            let Some((slot, _)) = self.consumers.next() else { break };
            let Some((group, front)) = self.fair.front() else { break };
            if self.expire_in_group(group, front, now_ms, effects) {
                continue;
            }
            let Some((group, run)) = self.fair.take_next() else { break };
            if group != 0 {
                // Who returns knows where to by its extra.
                self.extras.update(run.first, |extra| extra.group = group);
            }
            let run = Run { marked: run.marked || group != 0, ..run };
            self.deliver(slot, Piece { run, lane: 0, from_deferred: false }, now_ms, out);
            self.consumers.rotate();
            left -= 1;
        }
        left
    }

    /// True where something at the front of a group has expired, and left.
    fn expire_in_group(&mut self, group: u64, front: Run, now_ms: u64, effects: &mut Vec<Effect>) -> bool {
        let expired = if self.may_expire() { self.expired_of(front, now_ms) } else { 0 };
        let Some(run) = (expired > 0).then(|| self.fair.take_front(group, expired)).flatten() else { return false };
        self.leave(run, End::Expired, effects);
        true
    }

    /// Messages expire at the front of their group.
    pub(super) fn expire_groups(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        loop {
            let fronts: Vec<(u64, Run)> = self.fair.fronts().collect();
            let mut any = false;
            for (group, front) in fronts {
                any |= self.expire_in_group(group, front, now_ms, effects);
            }
            if !any {
                return;
            }
        }
    }
}
