//! From a snapshot, what was enqueued after it, and the effects logged after it, to the queue as it was. What
//! was replayed is collected and applied in one pass at the end: a settled number costs an interval, not a look
//! through the queue.

use std::collections::BTreeMap;

use super::delayed::Waiting;
use super::effect::Effect;
use super::extras::Extra;
use super::intervals::Intervals;
use super::lanes::Lanes;
use super::run::Run;
use super::types::{Arrival, NUMBER_MAX, Number};
use super::{Deferred, Queue};

#[derive(Default)]
pub(super) struct Recovery {
    settled: Intervals,
    /// None of them is settled.
    moved: BTreeMap<Number, Moved>,
}

/// What happened to a message since.
#[derive(Clone, Copy, Default)]
struct Moved {
    /// It came in by a number below the highest, and when.
    arrival: Option<(Arrival, u64)>,
    /// The copy that may be in the queue was settled before it came.
    replaces: bool,
    change: Option<(Place, u32)>,
    /// It was deferred, whatever came then: it stands behind nobody any more.
    left_group: bool,
    /// The end of a delay that it had before; 0 is none. A TTL of the queue counts from it.
    fired_ms: u64,
    copy: Option<Copy>,
}

#[derive(Clone, Copy)]
enum Place {
    Ready,
    Delayed { due_ms: u64 },
    Deferred,
}

/// What the queue had of a message before it is put where it belongs.
#[derive(Clone, Copy)]
struct Copy {
    bytes: u64,
    lane: u8,
    extra: Extra,
}

impl Queue {
    /// Recovery, in this order: `read_snapshot` (or `new`), what was enqueued since then by `restore*`, the
    /// effects logged since then by `replay`, `recovered`. A dead letter that came into this queue is a
    /// `restore` among the effects, where it was logged.
    pub fn restore_run(&mut self, first: Number, count: u32, bytes: u64, at_ms: u64) {
        let run = Run { first, count, bytes, marked: false };
        if first < self.end || count == 0 {
            for one in run.each() {
                self.restore(&Arrival::plain(one.first, one.bytes.min(u64::from(u32::MAX)) as u32), at_ms);
            }
            return;
        }
        self.recovery.get_or_insert_default();
        self.note_run(run, at_ms);
        self.lanes.push(0, run);
    }

    /// One message with attributes; `at_ms` is when it was enqueued.
    pub fn restore(&mut self, arrival: &Arrival, at_ms: u64) {
        // A duplicate is known as one by its logged effect.
        self.is_new_id(arrival, at_ms);
        self.counts.enqueued += 1;
        if arrival.number < self.end {
            return self.restore_late(arrival, at_ms);
        }
        self.recovery.get_or_insert_default();
        self.note_number(arrival.number, at_ms);
        let extra = self.extra_of(arrival, at_ms, false);
        self.place(arrival, at_ms, extra);
    }

    fn restore_late(&mut self, arrival: &Arrival, at_ms: u64) {
        let recovery = self.recovery.get_or_insert_default();
        let replaces = recovery.settled.remove(arrival.number);
        let moved = recovery.moved.entry(arrival.number).or_default();
        if moved.arrival.is_some() || moved.change.is_some() {
            self.counts.duplicates += 1;
            return;
        }
        *moved = Moved { arrival: Some((*arrival, at_ms)), replaces, ..Moved::default() };
    }

    /// A message into its lane or its delay; groups are made when all is known.
    fn place(&mut self, arrival: &Arrival, at_ms: u64, extra: Extra) {
        self.counts.bytes += u64::from(arrival.bytes);
        let marked = extra != Extra::default();
        if marked {
            self.extras.put(arrival.number, extra);
        }
        let run = Run::one(arrival.number, u64::from(arrival.bytes), marked);
        let lane = arrival.priority.min(self.config.priority_max);
        match arrival.due_ms.filter(|due_ms| *due_ms > at_ms) {
            None => self.lanes.push(lane, run),
            Some(due_ms) => self.delay(run, lane, due_ms, false),
        }
    }

    pub fn replay(&mut self, effect: &Effect) {
        match *effect {
            Effect::Settled { first, count } => self.replay_settled(first, count),
            Effect::DeadLetter { number, .. } => self.replay_settled(number, 1),
            Effect::Returned { number, deliveries } => self.replay_moved(number, Place::Ready, deliveries),
            Effect::Delayed { number, due_ms, deliveries } => {
                self.replay_moved(number, Place::Delayed { due_ms }, deliveries);
            }
            Effect::Deferred { number, deliveries } => self.replay_moved(number, Place::Deferred, deliveries),
            Effect::LeaseWarning { .. } | Effect::Active { .. } => {}
        }
    }

    fn replay_settled(&mut self, first: Number, count: u32) {
        let end = first.saturating_add(u64::from(count)).min(NUMBER_MAX + 1);
        let recovery = self.recovery.get_or_insert_default();
        recovery.settled.insert(first, end);
        while let Some(number) = recovery.moved.range(first..end.max(first)).next().map(|(number, _)| *number) {
            let moved = recovery.moved.remove(&number).unwrap_or_default();
            self.counts.acked += u64::from(moved.arrival.is_some());
        }
    }

    fn replay_moved(&mut self, number: Number, place: Place, deliveries: u32) {
        let recovery = self.recovery.get_or_insert_default();
        if !recovery.settled.contains(number) {
            let moved = recovery.moved.entry(number).or_default();
            if let Some((Place::Delayed { due_ms }, _)) = moved.change {
                moved.fired_ms = due_ms;
            }
            moved.left_group |= matches!(place, Place::Deferred);
            moved.change = Some((place, deliveries));
        }
    }

    /// Ends the recovery: applies what was replayed. Nothing else may be called between `read_snapshot`,
    /// `restore*` or `replay` and this.
    pub fn recovered(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        let Some(mut recovery) = self.recovery.take() else { return };
        if !recovery.settled.is_empty() || !recovery.moved.is_empty() {
            self.sift_lanes(&mut recovery);
            self.sift_others(&mut recovery);
        }
        for (number, moved) in recovery.moved {
            self.place_moved(number, &moved);
        }
        if self.config.ordered {
            self.regroup();
        } else if self.config.fair_share {
            self.share();
        }
    }

    fn sift_lanes(&mut self, recovery: &mut Recovery) {
        let mut old = std::mem::replace(&mut self.lanes, Lanes::new());
        while let Some(lane) = old.highest() {
            let mut rest = old.take(lane, u32::MAX);
            while let Some(run) = rest {
                rest = self.sift(run, lane, recovery);
            }
        }
    }

    /// Keeps what nothing happened to, up to the first message that something did; returns what is behind it.
    fn sift(&mut self, mut run: Run, lane: u8, recovery: &mut Recovery) -> Option<Run> {
        let settled = recovery.settled.next(run.first).unwrap_or((Number::MAX, Number::MAX));
        let moved = recovery.moved.range(run.first..).next().map_or(Number::MAX, |(number, _)| *number);
        let at = settled.0.max(run.first).min(moved);
        if at >= run.end() {
            self.lanes.push(lane, run);
            return None;
        }
        if at > run.first {
            let before = run.split((at - run.first) as u32);
            self.lanes.push(lane, before);
        }
        let count = if at == moved { 1 } else { (settled.1.min(run.end()) - at) as u32 };
        let rest = (count < run.count).then(|| {
            let taken = run.split(count);
            std::mem::replace(&mut run, taken)
        });
        if at != moved {
            self.end_copy(run);
        } else if self.move_copy(run, lane, recovery) {
            self.lanes.push(lane, run);
        }
        rest
    }

    /// These were settled.
    fn end_copy(&mut self, run: Run) {
        self.counts.acked += u64::from(run.count);
        self.counts.bytes -= run.bytes;
        if run.marked {
            (run.first..run.end()).for_each(|number| _ = self.extras.remove(number));
        }
    }

    /// Something happened to the message: true where it stays in its place all the same.
    fn move_copy(&mut self, one: Run, lane: u8, recovery: &mut Recovery) -> bool {
        let Some(moved) = recovery.moved.get_mut(&one.first) else { return true };
        if moved.replaces {
            self.end_copy(one);
            return false;
        }
        self.counts.duplicates += u64::from(moved.arrival.take().is_some());
        if moved.change.is_none() {
            return true;
        }
        let extra = if one.marked { self.extras.remove(one.first) } else { self.aged(one.first) };
        self.counts.bytes -= one.bytes;
        moved.copy = Some(Copy { bytes: one.bytes, lane, extra });
        false
    }

    /// The extra of a message that had none: the marks of ages may not last as long as it.
    pub(super) fn aged(&self, number: Number) -> Extra {
        let since_ms = self.config.message_ttl_ms.map_or(0, |_| self.ages.came_ms(number).unwrap_or(1));
        Extra { since_ms, ..Extra::default() }
    }

    fn sift_others(&mut self, recovery: &mut Recovery) {
        let mut taken: Vec<Waiting> = Vec::new();
        self.delayed.retain(|item| {
            let stays = !recovery.settled.contains(item.number) && !recovery.moved.contains_key(&item.number);
            if !stays {
                taken.push(item);
            }
            stays
        });
        for item in taken {
            let run = Run::one(item.number, item.bytes, item.marked);
            if recovery.settled.contains(item.number) {
                self.end_copy(run);
            } else if self.move_copy(run, item.lane, recovery) {
                self.delayed.insert(item);
            } else if let Some(moved) = recovery.moved.get_mut(&item.number).filter(|moved| !moved.replaces) {
                moved.fired_ms = moved.fired_ms.max(item.due_ms);
            }
        }
        for (number, deferred) in std::mem::take(&mut self.deferred) {
            let run = Run::one(number, deferred.bytes, true);
            if recovery.settled.contains(number) {
                self.end_copy(run);
            } else if self.move_copy(run, deferred.lane, recovery) {
                self.deferred.insert(number, deferred);
            }
        }
    }

    fn place_moved(&mut self, number: Number, moved: &Moved) {
        let copy = match (moved.copy, moved.arrival, moved.change) {
            (Some(copy), ..) => copy,
            (None, Some((arrival, at_ms)), None) => {
                return self.place(&arrival, at_ms, self.extra_of(&arrival, at_ms, true));
            }
            (None, Some((arrival, at_ms)), Some(_)) => Copy {
                bytes: u64::from(arrival.bytes),
                lane: arrival.priority.min(self.config.priority_max),
                extra: self.extra_of(&arrival, at_ms, true),
            },
            // Of a message that this queue never had.
            (None, None, _) => return,
        };
        let Some((place, deliveries)) = moved.change else { return };
        let group = if self.config.ordered && moved.left_group { 0 } else { copy.extra.group };
        let due_ms = moved.arrival.and_then(|(arrival, _)| arrival.due_ms).unwrap_or(0);
        let fired_ms = if self.config.message_ttl_ms.is_some() { moved.fired_ms.max(due_ms) } else { 0 };
        let since_ms = copy.extra.since_ms.max(fired_ms);
        self.counts.bytes += copy.bytes;
        self.extras.put(number, Extra { since_ms, group, deliveries, ..copy.extra });
        let run = Run::one(number, copy.bytes, true);
        match place {
            Place::Ready => self.lanes.push(copy.lane, run),
            Place::Delayed { due_ms } => self.delay(run, copy.lane, due_ms, true),
            Place::Deferred => _ = self.deferred.insert(number, Deferred { bytes: copy.bytes, lane: copy.lane }),
        }
    }

    /// Lets each message stand in its group.
    fn share(&mut self) {
        let mut old = std::mem::replace(&mut self.lanes, Lanes::new());
        let mut all: Vec<Run> = Vec::new();
        while let Some(lane) = old.highest() {
            all.extend(old.take(lane, u32::MAX));
        }
        all.sort_unstable_by_key(|run| run.first);
        for run in all {
            self.stand_in_group(run, 0);
        }
    }

    /// Lets one message of each group stand in a lane, and the others behind it.
    fn regroup(&mut self) {
        for item in self.delayed.each().filter(|item| item.retried && item.marked) {
            let group = self.extras.get(item.number).group;
            if group != 0 {
                self.ordered.occupy(group, item.number);
            }
        }
        let mut old = std::mem::replace(&mut self.lanes, Lanes::new());
        let mut grouped: Vec<(Run, u8, u64)> = Vec::new();
        while let Some(lane) = old.highest() {
            let Some(run) = old.take(lane, u32::MAX) else { break };
            let group = if run.marked { self.extras.get(run.first).group } else { 0 };
            if group == 0 { self.lanes.push(lane, run) } else { grouped.push((run, lane, group)) }
        }
        grouped.sort_unstable_by_key(|(run, ..)| run.first);
        for (run, lane, group) in grouped {
            // Behind its group a message needs no entry for the group alone.
            let rest = Extra { group: 0, ..self.extras.remove(run.first) };
            let marked = rest != Extra::default();
            if marked {
                self.extras.put(run.first, rest);
            }
            self.make_ready(Run { marked, ..run }, lane, group);
        }
    }
}
