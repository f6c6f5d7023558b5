//! What a space has lately handed out and what became of it, for whoever asks where a message went
//! (`millrace explain`): one entry a run, in memory only. How it was routed stands in the journal.

use super::Address;
use super::requests::{malformed, state_name};
use super::routing;
use super::state::{Consumer, State};
use crate::batch::{BatchHeader, read_record};
use crate::error::Result;
use crate::queue::{Dispatch, Effect, Reason};
use crate::route::{SetId, Target};
use crate::stdx::msgpack::{Reader, write_array, write_map, write_nil, write_str, write_uint};
use crate::stdx::recent::Recent;

/// So far back in the journal the name of a set of destinations is looked for.
const NAMED_WITHIN_BYTES: usize = 16 << 20;
/// So many deliveries of one message are told, and as many ends.
const TOLD_MAX: usize = 1_000;

/// A run that a consumer was handed.
#[derive(Clone, Copy)]
struct Handed {
    queue: u32,
    count: u32,
    first: u64,
    /// Earlier deliveries.
    deliveries: u32,
    to: Address,
    at_ms: u64,
}

/// What became of a run.
#[derive(Clone, Copy)]
struct Became {
    queue: u32,
    count: u32,
    first: u64,
    what: &'static str,
    /// Whose settlement it was; `None`: the queue's own doing.
    by: Option<Address>,
    at_ms: u64,
}

/// A settlement under way.
#[derive(Clone, Copy)]
pub(super) struct Settling {
    pub by: Address,
    pub is_ack: bool,
}

pub(super) struct Flight {
    handed: Recent<Handed>,
    became: Recent<Became>,
    /// The consumer whose settlement causes the effects at hand.
    pub settling: Option<Settling>,
}

impl Flight {
    pub fn with_bytes(bytes_max: usize) -> Self {
        let half = bytes_max / 2;
        Self { handed: Recent::with_bytes(half), became: Recent::with_bytes(half), settling: None }
    }

    #[inline]
    pub fn handed(&mut self, consumer: &Consumer, dispatch: &Dispatch, at_ms: u64) {
        let Dispatch { first, count, deliveries, .. } = *dispatch;
        self.handed.push(Handed { queue: consumer.queue, count, first, deliveries, to: consumer.address, at_ms });
    }

    #[inline]
    pub fn became(&mut self, queue: u32, effect: &Effect, at_ms: u64) {
        let (first, count, what) = match *effect {
            Effect::Settled { first, count } => (first, count, self.end_name()),
            Effect::Returned { number, .. } => (number, 1, "returned"),
            Effect::Delayed { number, .. } => (number, 1, "delayed"),
            Effect::Deferred { number, .. } => (number, 1, "deferred"),
            Effect::DeadLetter { number, reason, .. } => (number, 1, death_name(reason)),
            Effect::LeaseWarning { .. } | Effect::Active { .. } => return,
        };
        let by = self.settling.map(|settling| settling.by);
        self.became.push(Became { queue, count, first, what, by, at_ms });
    }

    fn end_name(&self) -> &'static str {
        match self.settling {
            Some(Settling { is_ack: true, .. }) => "acked",
            Some(_) => "rejected",
            None => "removed",
        }
    }

    /// From when on nothing is forgotten, ms.
    fn since_ms(&self) -> u64 {
        let handed = self.handed.iter().next().filter(|_| self.handed.is_full());
        let became = self.became.iter().next().filter(|_| self.became.is_full());
        handed.map_or(0, |one| one.at_ms).max(became.map_or(0, |one| one.at_ms))
    }
}

fn death_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Rejected => "dead-lettered: rejected",
        Reason::Expired => "dead-lettered: expired",
        Reason::Length => "dead-lettered: length",
        Reason::Deliveries => "dead-lettered: deliveries",
    }
}

fn holds(queue: u32, first: u64, count: u32, asked: (u32, u64)) -> bool {
    queue == asked.0 && (first..first + u64::from(count)).contains(&asked.1)
}

impl State {
    /// `[explain, queue, number]`: see `requests.rs`.
    ///
    /// # Errors
    /// `invalid_argument`, `offset_out_of_range`, `storage_failed`.
    pub fn explain(&mut self, queue: u32, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<()> {
        let number = reader.uint().map_err(malformed)?;
        let mut found = Vec::new();
        self.require(queue)?.queue.browse(Some(number), 1, &mut found);
        let here = found.first().filter(|browsed| browsed.number == number);
        let targets = self.routed_to(number)?;
        write_map(out, 5);
        write_str(out, "state");
        write_str(out, here.map_or("gone", |browsed| state_name(browsed.state)));
        write_str(out, "destinations");
        match &targets {
            Some(targets) => routing::write_targets(out, targets),
            None => write_nil(out),
        }
        self.write_handed((queue, number), out);
        self.write_became((queue, number), out);
        write_str(out, "sinceMs");
        write_uint(out, self.flight.since_ms());
        Ok(())
    }

    /// `[handed_since, seen, max]`: see `requests.rs`.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn handed_since(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<()> {
        let (seen, max) = (reader.uint().map_err(malformed)?, reader.uint().map_err(malformed)?);
        let next = self.flight.handed.pushed();
        let handed: Vec<&Handed> = self.flight.handed.since(seen.max(next.saturating_sub(max))).collect();
        write_array(out, 2);
        write_uint(out, next);
        write_array(out, handed.len());
        for one in handed {
            write_array(out, 6);
            for value in [u64::from(one.queue), one.first, u64::from(one.count), u64::from(one.deliveries), one.at_ms] {
                write_uint(out, value);
            }
            write_address(out, one.to);
        }
        Ok(())
    }

    fn write_handed(&self, asked: (u32, u64), out: &mut Vec<u8>) {
        let handed = self.flight.handed.iter().filter(|one| holds(one.queue, one.first, one.count, asked));
        let handed: Vec<&Handed> = handed.take(TOLD_MAX).collect();
        write_str(out, "handed");
        write_array(out, handed.len());
        for one in handed {
            write_array(out, 3);
            write_uint(out, one.at_ms);
            write_uint(out, u64::from(one.deliveries));
            write_address(out, one.to);
        }
    }

    fn write_became(&self, asked: (u32, u64), out: &mut Vec<u8>) {
        let became = self.flight.became.iter().filter(|one| holds(one.queue, one.first, one.count, asked));
        let became: Vec<&Became> = became.take(TOLD_MAX).collect();
        write_str(out, "became");
        write_array(out, became.len());
        for one in became {
            write_array(out, 3);
            write_uint(out, one.at_ms);
            write_str(out, one.what);
            match one.by {
                Some(by) => write_address(out, by),
                None => write_nil(out),
            }
        }
    }

    /// Where a message was routed to when it was published; `None` where the journal does not tell any more.
    fn routed_to(&self, number: u64) -> Result<Option<Vec<Target>>> {
        let journal = &self.journal.partition;
        let bytes = journal.read_copy(number, 1)?;
        let base = BatchHeader::parse(&bytes)?.base_offset;
        let Some(before) = base.checked_sub(1) else { return Ok(None) };
        let Some(own) = control_of(&journal.read_copy(before, 1)?) else { return Ok(None) };
        let mut left = number - base;
        let run = own.runs.iter().find(|run| {
            let is_here = left < u64::from(run.count);
            left = left.saturating_sub(u64::from(run.count));
            is_here
        });
        let Some(set) = run.map(|run| run.set) else { return Ok(None) };
        if set == crate::route::NOWHERE {
            return Ok(Some(Vec::new()));
        }
        if let Some((_, targets)) = own.sets.iter().find(|(id, _)| *id == set) {
            return Ok(Some(targets.clone()));
        }
        if self.sets_from.is_some_and(|from| from <= before) {
            return Ok(Some(self.router.targets(set).to_vec()));
        }
        self.named_before(set, before)
    }

    /// The destinations that the journal names for a set, the last time before `end`.
    fn named_before(&self, set: SetId, end: u64) -> Result<Option<Vec<Target>>> {
        let journal = &self.journal.partition;
        // A batch has at least one record, so this is an offset within the bytes or closer.
        let from = journal.start_offset().max(end.saturating_sub(NAMED_WITHIN_BYTES as u64 / 128));
        let mut cursor = journal.cursor_at(from)?;
        let (mut named, mut left) = (None, NAMED_WITHIN_BYTES);
        while let Some(run) = journal.read_run(&mut cursor, left, Some(end))? {
            let mut at = 0;
            while let Some(Ok(header)) = run.bytes().get(at..).filter(|rest| !rest.is_empty()).map(BatchHeader::parse) {
                let batch = run.bytes().get(at..at + header.batch_bytes()).unwrap_or(&[]);
                let sets = control_of(batch).map_or_else(Vec::new, |control| control.sets);
                named = sets.into_iter().find(|(id, _)| *id == set).map(|(_, targets)| targets).or(named);
                at += header.batch_bytes();
            }
            left = left.saturating_sub(run.len);
            if left == 0 {
                break;
            }
        }
        Ok(named)
    }
}

/// The routing result that a batch of the journal is; `None` where it is messages.
fn control_of(batch: &[u8]) -> Option<routing::Routing> {
    let header = BatchHeader::parse(batch).ok().filter(|header| header.attributes.is_control())?;
    let body = batch.get(crate::batch::HEADER_BYTES..header.batch_bytes())?;
    routing::read(read_record(body).ok()?.value?)
}

fn write_address(out: &mut Vec<u8>, address: Address) {
    write_array(out, 4);
    for part in [address.worker, address.connection, address.generation, address.subscription] {
        write_uint(out, u64::from(part));
    }
}
