//! The ack log: what became of messages, in the order it happened. One record a turn.
//!
//! ```text
//! value    entry entry ...
//! entry    [0, queue id] effect                                   what the queue's machine says (core/queue)
//!          [1, queue id, number, bytes, priority, expires|nil, due|nil, group, id high, id low] deaths
//!                                                                 a message that came in from another queue
//!          [2, queue id, group as bin, state as bin|nil]          what is kept of a session, nil once it is not
//! deaths   [[queue name, reason, count, at ms, exchange name, routing key]...]   oldest first
//! ```
//!
//! Entries may be replayed in any order against the journal's arrivals: each is about
//! one message in one queue, and what is settled stays settled.

use std::sync::Arc;

use super::routing;
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::{AppendOutcome, Partition};
use crate::queue::{Arrival, Effect};
use crate::stdx::msgpack::{
    Fault, Reader, write_array, write_bin, write_nil, write_optional_uint, write_str, write_uint,
};

const EFFECT: u64 = 0;
const MOVED: u64 = 1;
const SESSION: u64 = 2;
const MOVED_FIELDS: usize = 10;
const DEATH_FIELDS: usize = 6;

/// One time that a message was dead-lettered; equal ones in a row are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Death {
    pub queue: String,
    pub reason: String,
    pub count: u32,
    pub at_ms: u64,
    /// Where it went from there.
    pub exchange: u32,
    pub routing_key: Vec<u8>,
}

pub(super) enum Entry {
    Effect { queue: u32, effect: Effect },
    Moved { queue: u32, arrival: Arrival, deaths: Vec<Death> },
    Session { queue: u32, group: Vec<u8>, state: Option<Vec<u8>> },
}

pub(super) struct Ledger {
    pub partition: Arc<Partition>,
    pending: Vec<u8>,
    outcomes: Vec<AppendOutcome>,
    /// Appended since the last snapshot.
    pub bytes_since_snapshot: u64,
}

impl Ledger {
    pub fn new(partition: Arc<Partition>) -> Self {
        Self { partition, pending: Vec::new(), outcomes: Vec::new(), bytes_since_snapshot: 0 }
    }

    pub fn effect(&mut self, queue: u32, effect: &Effect) {
        write_array(&mut self.pending, 2);
        write_uint(&mut self.pending, EFFECT);
        write_uint(&mut self.pending, u64::from(queue));
        effect.write(&mut self.pending);
    }

    pub fn moved(&mut self, queue: u32, arrival: &Arrival, deaths: &[Death]) {
        let out = &mut self.pending;
        write_array(out, MOVED_FIELDS);
        write_uint(out, MOVED);
        write_uint(out, u64::from(queue));
        write_uint(out, arrival.number);
        write_uint(out, u64::from(arrival.bytes));
        write_uint(out, u64::from(arrival.priority));
        write_optional_uint(out, arrival.expires_ms);
        write_optional_uint(out, arrival.due_ms);
        write_uint(out, arrival.group);
        write_uint(out, (arrival.message_id >> 64) as u64);
        write_uint(out, arrival.message_id as u64);
        write_deaths(out, deaths);
    }

    pub fn session(&mut self, queue: u32, group: &[u8], state: Option<&[u8]>) {
        let out = &mut self.pending;
        write_array(out, 4);
        write_uint(out, SESSION);
        write_uint(out, u64::from(queue));
        write_bin(out, group);
        match state {
            Some(state) => write_bin(out, state),
            None => write_nil(out),
        }
    }

    /// Writes what has come together as one record.
    ///
    /// # Errors
    /// `disk_full`, `storage_failed`: it stays, to be tried again with the next turn.
    pub fn flush(&mut self, now_ms: u64) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut body = Vec::with_capacity(self.pending.len() + 16);
        routing::write_record(&mut body, &self.pending);
        self.partition.appender().append(&[routing::control(now_ms, &[&body])], &mut self.outcomes);
        match self.outcomes.pop() {
            Some(AppendOutcome::Rejected(error)) => Err(error),
            None => Err(CoreError::new(ErrorCode::INTERNAL, "the appender gave no outcome")),
            _ => {
                self.bytes_since_snapshot += body.len() as u64;
                self.pending.clear();
                Ok(())
            }
        }
    }
}

/// The entries of a record's value.
///
/// # Errors
/// `corrupt_batch` where they are none.
pub(super) fn entries(value: &[u8], mut each: impl FnMut(Entry)) -> Result<()> {
    let mut reader = Reader::new(value);
    while !reader.is_at_end() {
        let entry = read_entry(&mut reader)
            .map_err(|_| CoreError::new(ErrorCode::CORRUPT_BATCH, "an entry of the ack log cannot be read"))?;
        each(entry);
    }
    Ok(())
}

fn read_entry(reader: &mut Reader<'_>) -> std::result::Result<Entry, Fault> {
    reader.array()?;
    let kind = reader.uint()?;
    let queue = reader.uint32()?;
    if kind == EFFECT {
        return Ok(Entry::Effect { queue, effect: Effect::read(reader).map_err(|_| Fault::Malformed)? });
    }
    if kind == SESSION {
        let group = reader.blob()?.to_vec();
        return Ok(Entry::Session { queue, group, state: reader.optional_blob()?.map(<[u8]>::to_vec) });
    }
    if kind != MOVED {
        return Err(Fault::Malformed);
    }
    let arrival = Arrival {
        number: reader.uint()?,
        bytes: reader.uint32()?,
        priority: reader.uint()? as u8,
        expires_ms: reader.optional_uint()?,
        due_ms: reader.optional_uint()?,
        group: reader.uint()?,
        message_id: u128::from(reader.uint()?) << 64 | u128::from(reader.uint()?),
    };
    Ok(Entry::Moved { queue, arrival, deaths: read_deaths(reader)? })
}

pub(super) fn write_deaths(out: &mut Vec<u8>, deaths: &[Death]) {
    write_array(out, deaths.len());
    for death in deaths {
        write_array(out, DEATH_FIELDS);
        write_str(out, &death.queue);
        write_str(out, &death.reason);
        write_uint(out, u64::from(death.count));
        write_uint(out, death.at_ms);
        write_uint(out, u64::from(death.exchange));
        write_bin(out, &death.routing_key);
    }
}

pub(super) fn read_deaths(reader: &mut Reader<'_>) -> std::result::Result<Vec<Death>, Fault> {
    let mut deaths = Vec::new();
    for _ in 0..reader.array()? {
        if reader.array()? != DEATH_FIELDS {
            return Err(Fault::Malformed);
        }
        deaths.push(Death {
            queue: reader.str()?.to_owned(),
            reason: reader.str()?.to_owned(),
            count: reader.uint32()?,
            at_ms: reader.uint()?,
            exchange: reader.uint32()?,
            routing_key: reader.blob()?.to_vec(),
        });
    }
    Ok(deaths)
}
