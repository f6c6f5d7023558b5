//! Reads what `snapshot.rs` wrote. The bytes come from a disk: whatever stands there, nothing panics, and no
//! table is believed to be longer than the bytes that are left.

use std::collections::VecDeque;

use super::config::PRIORITY_MAX;
use super::delayed::Waiting;
use super::extras::Extra;
use super::run::Run;
use super::snapshot::{VERSION, counters};
use super::types::{NUMBER_MAX, Number};
use super::{Deferred, Queue, QueueConfig};
use crate::error::{CoreError, ErrorCode, Result};
use crate::stdx::msgpack::Reader;

/// Of all messages of a queue: no sum of what is read overflows.
const BYTES_MAX: u64 = (1 << 47) - 1;

struct Tables<'a> {
    reader: Reader<'a>,
    last: Number,
}

fn corrupt() -> CoreError {
    CoreError::new(ErrorCode::CORRUPT_BATCH, "no snapshot of a queue")
}

impl Tables<'_> {
    fn uint(&mut self) -> Result<u64> {
        self.reader.uint().map_err(|_| corrupt())
    }

    fn uint32(&mut self) -> Result<u32> {
        u32::try_from(self.uint()?).map_err(|_| corrupt())
    }

    fn at_most(&mut self, max: u64) -> Result<u64> {
        Some(self.uint()?).filter(|value| *value <= max).ok_or_else(corrupt)
    }

    fn number(&mut self) -> Result<Number> {
        let coded = self.uint()?;
        let distance = (coded >> 1) ^ (coded & 1).wrapping_neg();
        self.last = self.last.wrapping_add(distance);
        Some(self.last).filter(|number| *number <= NUMBER_MAX).ok_or_else(corrupt)
    }

    fn bytes(&mut self) -> Result<u64> {
        self.at_most(BYTES_MAX)
    }

    fn rows(&mut self, mut row: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.last = 0;
        for _ in 0..self.uint()? {
            row(self)?;
        }
        Ok(())
    }

    /// A lane, above `bits` flags.
    fn lane(&mut self, bits: u32) -> Result<(u8, u64)> {
        let flags = self.uint()?;
        let lane = u8::try_from(flags >> bits).ok().filter(|lane| *lane <= PRIORITY_MAX).ok_or_else(corrupt)?;
        Ok((lane, flags))
    }
}

impl Queue {
    /// The queue of a snapshot. `recovered` has to be called before it is used.
    ///
    /// # Errors
    /// `corrupt_batch` where the bytes are no snapshot.
    pub fn read_snapshot(config: QueueConfig, bytes: &[u8]) -> Result<Self> {
        let mut queue = Self::new(config);
        let mut tables = Tables { reader: Reader::new(bytes), last: 0 };
        let length = tables.reader.array().map_err(|_| corrupt())?;
        if length != 2 || tables.uint()? != VERSION {
            return Err(corrupt());
        }
        queue.end = tables.at_most(NUMBER_MAX + 1)?;
        for counter in counters(&mut queue.counts) {
            *counter = tables.at_most(1 << 53)?;
        }
        queue.release.millionths = tables.uint()?;
        queue.release.at_ms = tables.uint()?;
        queue.read_ages(&mut tables)?;
        queue.read_extras(&mut tables)?;
        queue.read_runs(&mut tables)?;
        queue.read_others(&mut tables)?;
        queue.recovery = Some(Box::default());
        let counts = queue.counts();
        queue.counts.enqueued = counts.held() + counts.left();
        Ok(queue)
    }

    /// Counts the bytes of what is read.
    fn hold(&mut self, bytes: u64) -> Result<()> {
        self.counts.bytes += bytes;
        if self.counts.bytes <= BYTES_MAX { Ok(()) } else { Err(corrupt()) }
    }

    fn read_ages(&mut self, tables: &mut Tables<'_>) -> Result<()> {
        let horizon = tables.at_most(NUMBER_MAX + 1)?;
        let mut marks = VecDeque::new();
        tables.rows(|row| {
            marks.push_back((row.number()?, row.uint()?));
            Ok(())
        })?;
        self.ages.restore(marks, horizon);
        let max = self.config.dedup_entries_max;
        let window_ms = self.config.dedup_window_ms;
        tables.rows(|row| {
            let (at_ms, high, low) = (row.uint()?, row.uint()?, row.uint()?);
            if let Some(window_ms) = window_ms {
                self.dedup.is_new(u128::from(high) << 64 | u128::from(low), at_ms, window_ms, max);
            }
            Ok(())
        })
    }

    fn read_extras(&mut self, tables: &mut Tables<'_>) -> Result<()> {
        tables.rows(|row| {
            let number = row.number()?;
            let (expires_ms, since_ms) = (row.uint()?, row.uint()?);
            let (group, deliveries) = (row.uint()?, row.uint32()?);
            self.extras.put(number, Extra { expires_ms, since_ms, group, deliveries });
            Ok(())
        })
    }

    fn read_runs(&mut self, tables: &mut Tables<'_>) -> Result<()> {
        tables.rows(|row| {
            let (first, count, bytes) = (row.number()?, row.uint32()?, row.bytes()?);
            let (lane, flags) = row.lane(1)?;
            if count == 0 || first + u64::from(count) > NUMBER_MAX + 1 {
                return Err(corrupt());
            }
            self.hold(bytes)?;
            self.lanes.push(lane, Run { first, count, bytes, marked: flags & 1 == 1 });
            Ok(())
        })
    }

    fn read_others(&mut self, tables: &mut Tables<'_>) -> Result<()> {
        tables.rows(|row| {
            let (number, bytes) = (row.number()?, row.bytes()?);
            let (lane, _) = row.lane(0)?;
            self.hold(bytes)?;
            self.deferred.insert(number, Deferred { bytes, lane });
            Ok(())
        })?;
        tables.rows(|row| {
            let (number, due_ms, bytes) = (row.number()?, row.uint()?, row.bytes()?);
            let (lane, flags) = row.lane(2)?;
            self.hold(bytes)?;
            let (marked, retried) = (flags & 1 == 1, flags & 2 == 2);
            self.delayed.insert(Waiting { due_ms, number, bytes, lane, marked, retried });
            Ok(())
        })?;
        // Behind their groups when these are made, with all others that are ready.
        tables.rows(|row| {
            let (number, group, bytes) = (row.number()?, row.uint()?, row.bytes()?);
            let (lane, _) = row.lane(1)?;
            self.hold(bytes)?;
            self.extras.update(number, |extra| extra.group = group);
            self.lanes.push(lane, Run::one(number, bytes, true));
            Ok(())
        })
    }
}
