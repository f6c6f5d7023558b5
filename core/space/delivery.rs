//! From numbers to bytes: MESSAGES frames. Records are copied out of the journal's map
//! behind a batch header of their own, with absolute timestamps.

use std::collections::{HashMap, VecDeque};

use super::journal::Stored;
use super::ledger::Death;
use super::state::State;
use crate::batch::{Attributes, BatchHeader, BodyCrc};
use crate::error::{CoreError, Result};
use crate::queue::Dispatch;
use crate::stdx::msgpack::{write_array, write_int, write_map, write_nil, write_str, write_uint};
use crate::wire::out;

/// One frame holds at most so much, so that control frames pass between.
const FRAME_BYTES_MAX: usize = 256 << 10;
const FRAME_RECORDS_MAX: usize = 4096;

/// What a consumer was written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivered {
    pub bytes: usize,
    /// It is owed more.
    pub more: bool,
}

/// A frame in the making.
#[derive(Default)]
struct Sheet {
    records: Vec<u8>,
    numbers: Vec<u64>,
    redelivered: Vec<(u32, u32, Vec<Death>)>,
    first_tag: u64,
    earliest_ms: u64,
    latest_ms: u64,
}

impl State {
    /// Writes events and messages of a consumer, at most `budget` bytes or one frame more.
    /// A message that cannot be read ends the consumer: what it has goes back.
    pub fn deliver(&mut self, id: u64, out: &mut Vec<u8>, budget: usize, now_ms: u64) -> Delivered {
        let start = out.len();
        let Some(consumer) = self.consumers.get_mut(&id) else { return Delivered::default() };
        out.append(&mut consumer.events);
        let (queue, subscription) = (consumer.queue, consumer.address.subscription);
        let mut outbox = std::mem::take(&mut consumer.outbox);
        let mut filled = Ok(());
        while filled.is_ok() && !outbox.is_empty() && out.len() - start < budget {
            let room = (budget - (out.len() - start)).min(FRAME_BYTES_MAX);
            let mut sheet = Sheet::default();
            filled = self.fill(queue, &mut outbox, &mut sheet, room);
            sheet.write(subscription, &self.exchange_names, out);
        }
        if let Err(error) = filled {
            write_ended(out, subscription, &error);
            self.unsubscribe(id, now_ms);
            return Delivered { bytes: out.len() - start, more: false };
        }
        let more = !outbox.is_empty();
        if let Some(consumer) = self.consumers.get_mut(&id) {
            consumer.outbox = outbox;
            consumer.woken = more;
        }
        if !more
            && let Some(slot) = self.slot(queue)
            && slot.queue.counts().ready == 0
        {
            slot.backlog.release();
        }
        Delivered { bytes: out.len() - start, more }
    }

    /// Takes dispatches with consecutive tags until the frame is full.
    ///
    /// # Errors
    /// `corrupt_batch`, `storage_failed`, `offset_out_of_range`: the next message cannot be read.
    fn fill(&mut self, queue: u32, outbox: &mut VecDeque<Dispatch>, sheet: &mut Sheet, bytes_max: usize) -> Result<()> {
        let Some(slot) = self.queues.get_mut(queue as usize).and_then(Option::as_deref_mut) else {
            outbox.clear();
            return Ok(());
        };
        while let Some(dispatch) = outbox.front_mut() {
            let next_tag = sheet.first_tag + sheet.numbers.len() as u64;
            if !sheet.numbers.is_empty() && dispatch.first_tag != next_tag {
                return Ok(());
            }
            while dispatch.count > 0 {
                if sheet.is_full(bytes_max) {
                    return Ok(());
                }
                let stored = self.journal.read(&mut slot.backlog, dispatch.first)?;
                sheet.add(
                    &stored,
                    dispatch,
                    if slot.deaths.is_empty() { None } else { slot.deaths.get(&dispatch.first) },
                );
                dispatch.first += 1;
                dispatch.first_tag += 1;
                dispatch.count -= 1;
            }
            outbox.pop_front();
        }
        Ok(())
    }
}

/// `QUEUE_EVENT` ended: why the consumer gets nothing more.
fn write_ended(out: &mut Vec<u8>, subscription: u32, error: &CoreError) {
    out::write_queue_event(out, subscription, "ended", |out| {
        write_map(out, 2);
        write_str(out, "code");
        write_uint(out, u64::from(error.code.0));
        write_str(out, "message");
        write_str(out, &error.message);
    });
}

impl Sheet {
    fn is_full(&self, bytes_max: usize) -> bool {
        self.records.len() >= bytes_max || self.numbers.len() >= FRAME_RECORDS_MAX
    }

    #[inline]
    fn add(&mut self, stored: &Stored<'_>, dispatch: &Dispatch, deaths: Option<&Vec<Death>>) {
        if self.numbers.is_empty() {
            self.first_tag = dispatch.first_tag;
            (self.earliest_ms, self.latest_ms) = (stored.timestamp_ms, stored.timestamp_ms);
        }
        if dispatch.deliveries > 0 || deaths.is_some() {
            let position = self.numbers.len() as u32;
            self.redelivered.push((position, dispatch.deliveries, deaths.cloned().unwrap_or_default()));
        }
        self.numbers.push(dispatch.first);
        self.earliest_ms = self.earliest_ms.min(stored.timestamp_ms);
        self.latest_ms = self.latest_ms.max(stored.timestamp_ms);
        stored.write_into(&mut self.records);
    }

    fn write(&self, subscription: u32, exchange_names: &HashMap<u32, String>, out: &mut Vec<u8>) {
        if self.numbers.is_empty() {
            return;
        }
        let mut header = BatchHeader {
            attributes: Attributes::PLAIN.with_absolute(),
            record_count: self.numbers.len() as u32,
            base_timestamp: self.earliest_ms,
            max_timestamp_delta: u32::try_from(self.latest_ms - self.earliest_ms).unwrap_or(u32::MAX),
            records_bytes: self.records.len() as u32,
            ..BatchHeader::EMPTY
        };
        let head = header.seal(&BodyCrc::of(&self.records));
        let (mut numbers, mut redelivered) = (Vec::new(), Vec::new());
        self.write_numbers(&mut numbers);
        self.write_redelivered(exchange_names, &mut redelivered);
        out::write_messages_head(out, subscription, self.first_tag, &numbers, &redelivered, header.batch_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(&self.records);
    }

    /// One number where they are consecutive, else the first and the differences.
    fn write_numbers(&self, out: &mut Vec<u8>) {
        let first = self.numbers.first().copied().unwrap_or(0);
        if self.numbers.iter().zip(first..).all(|(number, expected)| *number == expected) {
            write_uint(out, first);
            return;
        }
        write_array(out, self.numbers.len());
        let mut before = 0;
        for number in &self.numbers {
            write_int(out, number.wrapping_sub(before).cast_signed());
            before = *number;
        }
    }

    fn write_redelivered(&self, exchange_names: &HashMap<u32, String>, out: &mut Vec<u8>) {
        if self.redelivered.is_empty() {
            write_nil(out);
            return;
        }
        write_array(out, self.redelivered.len());
        for (position, deliveries, deaths) in &self.redelivered {
            write_array(out, 3);
            write_uint(out, u64::from(*position));
            write_uint(out, u64::from(*deliveries));
            if deaths.is_empty() {
                write_nil(out);
            } else {
                write_map(out, 1);
                write_str(out, "deaths");
                write_death_rows(out, deaths, exchange_names);
            }
        }
    }
}

/// What a message died of, as clients read it: newest first, with names.
///
/// ```text
/// [[queue, reason, count, at ms, exchange that it went to, routing key]...]
/// ```
pub(super) fn write_death_rows(out: &mut Vec<u8>, deaths: &[Death], exchange_names: &HashMap<u32, String>) {
    write_array(out, deaths.len());
    for death in deaths.iter().rev() {
        write_array(out, 6);
        write_str(out, &death.queue);
        write_str(out, &death.reason);
        write_uint(out, u64::from(death.count));
        write_uint(out, death.at_ms);
        write_str(out, exchange_names.get(&death.exchange).map_or("", String::as_str));
        write_str(out, &String::from_utf8_lossy(&death.routing_key));
    }
}
