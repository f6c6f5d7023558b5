//! What one consumer has in flight, by tag. Tags are consecutive, so an entry covers up to 64 of them with a bit
//! each: settling in any order clears bits and never splits an entry.

use std::collections::VecDeque;

use super::number_map::NumberMap;
use super::run::{Run, share};
use super::types::Number;

/// Tags that one entry covers.
pub(super) const ENTRY_TAGS: u32 = 64;
pub(super) const NO_LEASE: u64 = u64::MAX;
/// Settled entries between live ones are swept when they are the larger part, and at least so many.
const DEAD_MIN: usize = 64;

const MARKED: u8 = 1;
/// The log says that these are deferred: returned silently they would be so again after a crash.
const FROM_DEFERRED: u8 = 2;
const WARNED: u8 = 4;

#[derive(Clone, Copy)]
struct Entry {
    tag: u64,
    first: Number,
    /// Bit i: tag + i is unsettled.
    live: u64,
    bytes: u64,
    lease_end_ms: u64,
    count: u8,
    lane: u8,
    flags: u8,
}

impl Entry {
    #[inline]
    fn covers(&self, tag: u64) -> bool {
        tag.wrapping_sub(self.tag) < u64::from(self.count)
    }
}

/// Messages with consecutive tags and numbers, out of flight again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub run: Run,
    pub lane: u8,
    pub from_deferred: bool,
}

/// The lease of a message that was renewed, other than its entry's.
#[derive(Clone, Copy)]
struct Renewed {
    end_ms: u64,
    warned: bool,
}

#[derive(Default)]
pub(super) struct Flight {
    entries: VecDeque<Entry>,
    /// Entries without a live tag; never the first.
    dead: usize,
    /// Where the last tag was found: tags are settled mostly in order.
    hint: usize,
    renewed: NumberMap<Renewed>,
}

impl Flight {
    /// The run gets the tags from `tag` on, which follow those pushed before.
    #[inline]
    pub fn push(&mut self, mut tag: u64, piece: Piece, lease_end_ms: u64) {
        let mut run = piece.run;
        if self.extend_last(tag, &piece, lease_end_ms) {
            return;
        }
        while run.count > ENTRY_TAGS {
            let part = run.split(ENTRY_TAGS);
            self.push_entry(tag, part, &piece, lease_end_ms);
            tag += u64::from(ENTRY_TAGS);
        }
        self.push_entry(tag, run, &piece, lease_end_ms);
    }

    #[inline]
    fn push_entry(&mut self, tag: u64, run: Run, piece: &Piece, lease_end_ms: u64) {
        let flags = if run.marked { MARKED } else { 0 } | if piece.from_deferred { FROM_DEFERRED } else { 0 };
        let (live, count) = (u64::MAX >> (ENTRY_TAGS - run.count), run.count as u8);
        let (first, bytes, lane) = (run.first, run.bytes, piece.lane);
        self.entries.push_back(Entry { tag, first, live, bytes, lease_end_ms, count, lane, flags });
    }

    #[inline]
    fn extend_last(&mut self, tag: u64, piece: &Piece, lease_end_ms: u64) -> bool {
        let Some(last) = self.entries.back_mut() else { return false };
        let (count, run) = (u32::from(last.count), piece.run);
        let follows = last.first + u64::from(count) == run.first && last.tag + u64::from(count) == tag;
        let plain = !run.marked && !piece.from_deferred && last.flags == 0 && last.lane == piece.lane;
        if !follows || !plain || last.lease_end_ms != lease_end_ms || count + run.count > ENTRY_TAGS || last.live == 0 {
            return false;
        }
        last.live |= (u64::MAX >> (ENTRY_TAGS - run.count)) << count;
        last.count += run.count as u8;
        last.bytes += run.bytes;
        true
    }

    #[inline]
    fn find(&mut self, tag: u64) -> Option<usize> {
        if self.entries.front()?.covers(tag) {
            return Some(0);
        }
        for at in [self.hint, self.hint + 1] {
            if self.entries.get(at).is_some_and(|entry| entry.covers(tag)) {
                self.hint = at;
                return Some(at);
            }
        }
        let at = self.entries.partition_point(|entry| entry.tag <= tag).checked_sub(1)?;
        self.hint = at;
        self.entries[at].covers(tag).then_some(at)
    }

    /// How many unsettled messages follow each other from `tag` on, in one entry; the entry, and the tag's bit.
    #[inline]
    fn span(&mut self, tag: u64, max: u64) -> Option<(usize, u32, u32)> {
        let at = self.find(tag)?;
        let entry = &self.entries[at];
        let bit = (tag - entry.tag) as u32;
        let ones = (entry.live >> bit).trailing_ones();
        let count = u64::from(ones).min(max) as u32;
        (count > 0).then_some((at, bit, count))
    }

    /// Takes the messages from `tag` on, up to `max` of them; None where `tag` is not in flight.
    #[inline]
    pub fn take(&mut self, tag: u64, max: u64) -> Option<Piece> {
        let (at, bit, count) = self.span(tag, max)?;
        if !self.renewed.is_empty() {
            (tag..tag + u64::from(count)).for_each(|tag| _ = self.renewed.remove(&tag));
        }
        Some(self.take_at(at, bit, count))
    }

    #[inline]
    fn take_at(&mut self, at: usize, bit: u32, count: u32) -> Piece {
        let entry = &mut self.entries[at];
        let bytes = share(entry.bytes, count, entry.live.count_ones());
        entry.bytes -= bytes;
        entry.live &= !((u64::MAX >> (ENTRY_TAGS - count)) << bit);
        let piece = Piece {
            run: Run { first: entry.first + u64::from(bit), count, bytes, marked: entry.flags & MARKED != 0 },
            lane: entry.lane,
            from_deferred: entry.flags & FROM_DEFERRED != 0,
        };
        if entry.live == 0 {
            self.bury(at);
        }
        piece
    }

    #[inline]
    fn bury(&mut self, at: usize) {
        if at > 0 {
            self.dead += 1;
            if self.dead >= DEAD_MIN && self.dead * 2 > self.entries.len() {
                self.sweep();
            }
            return;
        }
        self.entries.pop_front();
        self.hint = self.hint.saturating_sub(1);
        while self.entries.front().is_some_and(|entry| entry.live == 0) {
            self.entries.pop_front();
            self.dead -= 1;
            self.hint = self.hint.saturating_sub(1);
        }
    }

    fn sweep(&mut self) {
        self.entries.retain(|entry| entry.live != 0);
        self.dead = 0;
        self.hint = 0;
    }

    /// The message of a tag that is in flight.
    pub fn number_of(&mut self, tag: u64) -> Option<Number> {
        let (at, bit, _) = self.span(tag, 1)?;
        Some(self.entries[at].first + u64::from(bit))
    }

    /// Lets the leases of the messages from `tag` on end at another time, and says how many those are.
    pub fn renew(&mut self, tag: u64, max: u64, end_ms: u64) -> Option<u32> {
        let (_, _, count) = self.span(tag, max)?;
        for tag in tag..tag + u64::from(count) {
            self.renewed.insert(tag, Renewed { end_ms, warned: false });
        }
        Some(count)
    }

    /// The first live piece, whatever its tag: what is left when a consumer goes.
    pub fn take_first(&mut self) -> Option<Piece> {
        let front = self.entries.front()?;
        let (bit, ones) = (front.live.trailing_zeros(), front.live >> front.live.trailing_zeros());
        Some(self.take_at(0, bit, ones.trailing_ones()))
    }

    /// Tags whose lease has ended go to `found.ended`, those to be warned of to `found.warned`.
    pub fn leases(&mut self, now_ms: u64, warning_ms: u64, found: &mut Leases) {
        for entry in &mut self.entries {
            if entry.lease_end_ms == NO_LEASE && self.renewed.is_empty() {
                continue;
            }
            let common = Fate::of(entry.lease_end_ms, entry.flags & WARNED != 0, now_ms, warning_ms);
            for bit in bits(entry.live) {
                let tag = entry.tag + u64::from(bit);
                let fate = match self.renewed.get_mut(&tag) {
                    Some(renewed) => renewed.fate(now_ms, warning_ms),
                    None => common,
                };
                found.add(fate, tag, entry.first + u64::from(bit));
            }
            if matches!(common, Fate::Warn { .. }) {
                entry.flags |= WARNED;
            }
        }
    }

    /// One message that was taken is in flight again, under its tag.
    pub fn put_back(&mut self, tag: u64, piece: Piece, lease_end_ms: u64) {
        let at = self.entries.partition_point(|entry| entry.tag <= tag);
        let flags = if piece.run.marked { MARKED } else { 0 } | if piece.from_deferred { FROM_DEFERRED } else { 0 };
        if let Some(at) = at.checked_sub(1).filter(|at| self.entries[*at].covers(tag)) {
            let entry = &mut self.entries[at];
            self.dead -= usize::from(entry.live == 0 && at > 0);
            entry.live |= 1 << (tag - entry.tag);
            entry.bytes += piece.run.bytes;
            if lease_end_ms != entry.lease_end_ms {
                self.renewed.insert(tag, Renewed { end_ms: lease_end_ms, warned: false });
            }
            return;
        }
        let (first, bytes, lane) = (piece.run.first, piece.run.bytes, piece.lane);
        self.entries.insert(at, Entry { tag, first, live: 1, bytes, lease_end_ms, count: 1, lane, flags });
        self.hint = 0;
    }

    /// All that is in flight: runs with their lanes.
    pub fn each(&self) -> impl Iterator<Item = Piece> + '_ {
        self.entries.iter().flat_map(|entry| {
            let mut left = *entry;
            std::iter::from_fn(move || left.next_piece())
        })
    }

    pub fn holds(&self, number: Number) -> bool {
        self.entries.iter().any(|entry| {
            let bit = number.wrapping_sub(entry.first);
            bit < u64::from(entry.count) && entry.live >> bit & 1 == 1
        })
    }

    pub fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.renewed.capacity() * 32
    }
}

impl Entry {
    /// Takes the lowest live run out of this copy of an entry.
    fn next_piece(&mut self) -> Option<Piece> {
        if self.live == 0 {
            return None;
        }
        let bit = self.live.trailing_zeros();
        let count = (self.live >> bit).trailing_ones();
        let bytes = share(self.bytes, count, self.live.count_ones());
        self.bytes -= bytes;
        self.live &= !((u64::MAX >> (ENTRY_TAGS - count)) << bit);
        let run = Run { first: self.first + u64::from(bit), count, bytes, marked: self.flags & MARKED != 0 };
        Some(Piece { run, lane: self.lane, from_deferred: self.flags & FROM_DEFERRED != 0 })
    }
}

impl Renewed {
    fn fate(&mut self, now_ms: u64, warning_ms: u64) -> Fate {
        let fate = Fate::of(self.end_ms, self.warned, now_ms, warning_ms);
        self.warned |= matches!(fate, Fate::Warn { .. });
        fate
    }
}

/// When to look at a lease.
pub(super) fn look_ms(end_ms: u64, warning_ms: u64) -> u64 {
    if end_ms == NO_LEASE { NO_LEASE } else { end_ms.saturating_sub(warning_ms) }
}

/// What a look at a lease found.
#[derive(Clone, Copy)]
enum Fate {
    End,
    Warn { end_ms: u64 },
    Wait { until_ms: u64 },
}

impl Fate {
    fn of(end_ms: u64, warned: bool, now_ms: u64, warning_ms: u64) -> Self {
        if end_ms == NO_LEASE {
            return Self::Wait { until_ms: NO_LEASE };
        }
        let warn_ms = end_ms.saturating_sub(warning_ms);
        match (end_ms <= now_ms, warning_ms > 0 && !warned) {
            (true, _) => Self::End,
            (false, true) if warn_ms <= now_ms => Self::Warn { end_ms },
            (false, true) => Self::Wait { until_ms: warn_ms },
            (false, false) => Self::Wait { until_ms: end_ms },
        }
    }
}

/// What a look at a consumer's leases found, and when to look again.
pub(super) struct Leases {
    pub ended: Vec<u64>,
    pub warned: Vec<(u64, Number)>,
    pub next_ms: u64,
}

impl Leases {
    pub fn new() -> Self {
        Self { ended: Vec::new(), warned: Vec::new(), next_ms: NO_LEASE }
    }

    fn add(&mut self, fate: Fate, tag: u64, number: Number) {
        match fate {
            Fate::End => self.ended.push(tag),
            Fate::Warn { end_ms } => {
                self.warned.push((tag, number));
                self.next_ms = self.next_ms.min(end_ms);
            }
            Fate::Wait { until_ms } => self.next_ms = self.next_ms.min(until_ms),
        }
    }
}

fn bits(mut mask: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros())?;
        mask &= mask - 1;
        Some(bit)
    })
}
