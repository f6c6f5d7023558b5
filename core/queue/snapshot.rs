//! The whole state as bytes: flat arrays of msgpack integers, written here and read in `snapshot_read.rs`.

use super::Queue;
use super::extras::Extra;
use super::flight::Piece;
use super::number_map::NumberSet;
use super::run::Run;
use super::types::{Counts, Number};
use crate::stdx::msgpack::{write_array, write_uint};

pub(super) const VERSION: u64 = 1;

/// The counters that are nowhere else, in the order they are written.
pub(super) fn counters(counts: &mut Counts) -> [&mut u64; 13] {
    [
        &mut counts.enqueued,
        &mut counts.delivered,
        &mut counts.redelivered,
        &mut counts.acked,
        &mut counts.expired,
        &mut counts.rejected,
        &mut counts.exhausted,
        &mut counts.dropped,
        &mut counts.duplicates,
        &mut counts.cancelled,
        &mut counts.purged,
        &mut counts.removed,
        &mut counts.dead_lettered,
    ]
}

/// Arrays of rows: the number of rows, then their columns one after the other.
struct Table<'a> {
    out: &'a mut Vec<u8>,
    last: Number,
}

impl<'a> Table<'a> {
    fn new(out: &'a mut Vec<u8>, rows: usize) -> Self {
        write_uint(out, rows as u64);
        Self { out, last: 0 }
    }

    /// A number as its signed distance from the last one, which is short.
    fn number(&mut self, number: Number) -> &mut Self {
        let distance = number.wrapping_sub(self.last).cast_signed();
        self.last = number;
        self.uint((distance << 1 ^ distance >> 63).cast_unsigned())
    }

    fn uint(&mut self, value: u64) -> &mut Self {
        write_uint(self.out, value);
        self
    }
}

impl Queue {
    /// The whole state; what is in flight is written as delivered once more and ready, since nobody will settle
    /// it after a crash. To be read by `read_snapshot`.
    pub fn write_snapshot(&self, out: &mut Vec<u8>) {
        write_array(out, 2);
        write_uint(out, VERSION);
        let mut counts = self.counts;
        write_uint(out, self.end);
        for count in counters(&mut counts) {
            write_uint(out, *count);
        }
        write_uint(out, self.release.millionths);
        write_uint(out, self.release.at_ms);
        self.write_ages(out);
        let (ready, deferred): (Vec<Piece>, Vec<Piece>) = self.flying().partition(|piece| !piece.from_deferred);
        self.write_extras(ready.iter().chain(&deferred), out);
        self.write_runs(&ready, out);
        self.write_others(&deferred, out);
    }

    fn write_ages(&self, out: &mut Vec<u8>) {
        write_uint(out, self.ages.horizon());
        let mut table = Table::new(out, self.ages.each().len());
        for (number, at_ms) in self.ages.each() {
            table.number(number).uint(at_ms);
        }
        let mut table = Table::new(out, self.dedup.each().len());
        for (at_ms, high, low) in self.dedup.each() {
            table.uint(at_ms).uint(high).uint(low);
        }
    }

    fn write_extras<'a>(&self, flying: impl Iterator<Item = &'a Piece> + Clone, out: &mut Vec<u8>) {
        let numbers = flying.flat_map(|piece| piece.run.first..piece.run.end());
        let in_flight: NumberSet = numbers.collect();
        let mut rows: Vec<(Number, Extra)> =
            self.extras.iter().filter(|(number, _)| !in_flight.contains(number)).collect();
        rows.extend(in_flight.into_iter().map(|number| (number, self.delivered(number))));
        rows.sort_unstable_by_key(|(number, _)| *number);
        let mut table = Table::new(out, rows.len());
        for (number, extra) in rows {
            table.number(number).uint(extra.expires_ms).uint(extra.since_ms);
            table.uint(extra.group).uint(u64::from(extra.deliveries));
        }
    }

    /// What the extra of a message in flight will be.
    fn delivered(&self, number: Number) -> Extra {
        let mut extra = self.extras.get(number);
        if extra == Extra::default() {
            extra = self.aged(number);
        }
        Extra { deliveries: extra.deliveries.saturating_add(1), ..extra }
    }

    fn write_runs(&self, flying: &[Piece], out: &mut Vec<u8>) {
        let rows = self.lanes.from(0).count() + flying.len();
        let mut table = Table::new(out, rows);
        let mut write = |lane: u8, run: Run| {
            table.number(run.first).uint(u64::from(run.count)).uint(run.bytes);
            table.uint(u64::from(lane) << 1 | u64::from(run.marked));
        };
        for (lane, run) in self.lanes.from(0) {
            write(lane, run);
        }
        for piece in flying {
            write(piece.lane, Run { marked: true, ..piece.run });
        }
    }

    fn write_others(&self, flying: &[Piece], out: &mut Vec<u8>) {
        let flying = flying.iter().flat_map(|piece| piece.run.each().map(|one| (one.first, one.bytes, piece.lane)));
        let deferred: Vec<(Number, u64, u8)> =
            self.deferred.iter().map(|(number, held)| (*number, held.bytes, held.lane)).chain(flying).collect();
        let mut table = Table::new(out, deferred.len());
        for (number, bytes, lane) in deferred {
            table.number(number).uint(bytes).uint(u64::from(lane));
        }
        let mut table = Table::new(out, self.delayed.len() as usize);
        for item in self.delayed.each() {
            let flags = u64::from(item.lane) << 2 | u64::from(item.retried) << 1 | u64::from(item.marked);
            table.number(item.number).uint(item.due_ms).uint(item.bytes).uint(flags);
        }
        let mut table = Table::new(out, (self.ordered.len + self.fair.len) as usize);
        for (group, behind) in self.ordered.from(0) {
            table.number(behind.number).uint(group).uint(behind.bytes);
            table.uint(u64::from(behind.lane) << 1 | u64::from(behind.marked));
        }
        for (group, runs) in self.fair.from(0) {
            for one in runs.flat_map(Run::each) {
                table.number(one.first).uint(group).uint(one.bytes).uint(u64::from(one.marked));
            }
        }
    }
}
