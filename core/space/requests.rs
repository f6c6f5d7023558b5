//! What the control plane tells and asks, as msgpack arrays.
//!
//! ```text
//! changes   [all, [change...]]
//!           [exchange, id, kind, alternate id|nil, {name?, hashHeader?}]           [exchange_delete, id]
//!           [bind, exchange id, "queue"|"exchange"|"topic", id, key, arguments]   [unbind, the same]
//!           [queue, id, name, config]                                       [queue_delete, id]
//! requests  [route, exchange id, record]     -> [[exchange id, "queue"|"exchange"|"topic", id]...]
//!           [purge, id]                      -> how many
//!           [peek, id, from|nil, max]        -> [message...]
//!           [scheduled, id, after|nil, max]  -> [message...]   after: due ms, or [due ms, number] of the last one
//!           [cancel, id, [number...]]        -> how many
//!           [stats, id]                      -> {count: uint...}
//!           [all_stats]                      -> [[id, ready, in flight, delayed, deferred, bytes, consumers, enqueued,
//!                                               delivered, redelivered, acked, expired, rejected, dropped, dead-lettered]...]
//!           [handed_since, seen, max]        -> [next, [[queue id, first, count, earlier deliveries, at ms, address]...]]: the newest
//!           [take, id, connection, subscription, [number...]] -> how many
//!           [redrive, id, {to?, key?, where?, max?, dryRun?, edit?, keys?}] -> {matched, moved}; keys: the queues that may be
//!                                                               written to (core/route/permitted.rs)
//!           [session, id, group]                              -> state|nil
//!           [set_session, id, group, state|nil]               -> nil, when the ack log has it
//!           [explain, id, number]  -> {state, destinations, handed, became, sinceMs}
//!           state: as in a message, or gone; destinations: [queue id|[log id]...]|nil; address: [worker, connection, generation, subscription]
//!           handed: [[at ms, earlier deliveries, address]...]; became: [[at ms, what, address|nil]...]
//! message   {number, state, deliveries, dueMs, timestamp, key, value, headers, deaths}
//! ```

use super::delivery::write_death_rows;
use super::properties::message_of;
use super::slot::{Meta, Slot};
use super::state::State;
use crate::batch::read_record;
use crate::error::{CoreError, ErrorCode, Result};
use crate::queue::{Browsed, QueueConfig, Scheduled};
use crate::route::{Arguments, Destination, ExchangeKind, Step, Target};
use crate::stdx::msgpack::{
    Fault, Kind, Reader, write_array, write_bin, write_map, write_nil, write_optional_uint, write_str, write_uint,
};

/// What one answer may hold.
const PEEK_MAX: usize = 1_000;
const PEEK_BYTES_MAX: usize = 8 << 20;
const TRACE_STEPS_MAX: usize = 10_000;
const CONFIG_DEPTH_MAX: usize = 8;

pub(super) fn malformed(_: Fault) -> CoreError {
    CoreError::new(ErrorCode::INVALID_ARGUMENT, "this is no change or request that a space knows")
}

impl State {
    /// Applies a change.
    ///
    /// # Errors
    /// `invalid_argument`, `limit_exceeded`, `bad_expression`, `invalid_config`.
    pub fn apply(&mut self, change: &[u8], now_ms: u64) -> Result<()> {
        self.apply_next(&mut Reader::new(change), now_ms)
    }

    fn apply_next(&mut self, reader: &mut Reader<'_>, now_ms: u64) -> Result<()> {
        reader.array().map_err(malformed)?;
        match reader.str().map_err(malformed)? {
            "all" => {
                for _ in 0..reader.array().map_err(malformed)? {
                    self.apply_next(reader, now_ms)?;
                }
                Ok(())
            }
            "exchange" => self.put_exchange(reader),
            "exchange_delete" => {
                let id = reader.uint32().map_err(malformed)?;
                self.router.exchange_remove(id);
                self.exchange_names.remove(&id);
                Ok(())
            }
            "bind" => self.bind(reader, true),
            "unbind" => self.bind(reader, false),
            "queue" => self.put_queue(reader, now_ms),
            "queue_delete" => {
                self.remove_queue(reader.uint32().map_err(malformed)?);
                Ok(())
            }
            _ => Err(malformed(Fault::Malformed)),
        }
    }

    fn put_exchange(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let id = reader.uint32().map_err(malformed)?;
        let kind = ExchangeKind::from_name(reader.str().map_err(malformed)?);
        let kind = kind.ok_or_else(|| malformed(Fault::Malformed))?;
        let alternate = reader.optional_uint().map_err(malformed)?.and_then(|id| u32::try_from(id).ok());
        let (mut hash_header, mut name) = (None, String::new());
        for _ in 0..reader.map().map_err(malformed)? {
            match reader.str().map_err(malformed)? {
                "name" => reader.str().map_err(malformed)?.clone_into(&mut name),
                "hashHeader" => hash_header = Some(reader.str().map_err(malformed)?),
                _ => reader.skip(CONFIG_DEPTH_MAX).map_err(malformed)?,
            }
        }
        self.router.exchange_put(id, kind, alternate, hash_header)?;
        self.exchange_names.insert(id, name);
        Ok(())
    }

    fn bind(&mut self, reader: &mut Reader<'_>, on: bool) -> Result<()> {
        let exchange = reader.uint32().map_err(malformed)?;
        let kind = reader.str().map_err(malformed)?;
        let id = reader.uint().map_err(malformed)?;
        let id32 = u32::try_from(id).map_err(|_| malformed(Fault::Malformed));
        let to = match kind {
            "queue" => Destination::Target(Target::Queue(id32?)),
            "exchange" => Destination::Exchange(id32?),
            "topic" => Destination::Target(Target::Topic(id)),
            _ => return Err(malformed(Fault::Malformed)),
        };
        let key = reader.blob().map_err(malformed)?;
        let arguments = Arguments::read(reader)?;
        if on {
            return self.router.bind(exchange, to, key, arguments);
        }
        self.router.unbind(exchange, to, key, &arguments);
        Ok(())
    }

    fn put_queue(&mut self, reader: &mut Reader<'_>, now_ms: u64) -> Result<()> {
        let id = reader.uint32().map_err(malformed)?;
        let name = reader.str().map_err(malformed)?.to_owned();
        let start = reader.rest();
        reader.skip(CONFIG_DEPTH_MAX).map_err(malformed)?;
        let config = &start[..start.len() - reader.rest().len()];
        let (config, meta) = (QueueConfig::read(config)?, Meta::read(config)?);
        self.router.name_put(name.as_bytes(), id);
        if self.queues.len() <= id as usize {
            self.queues.resize_with(id as usize + 1, || None);
        }
        if self.queues[id as usize].is_none() {
            self.queues[id as usize] = Some(Box::new(Slot::new(name, config, meta)));
            self.activate(id);
            return Ok(());
        }
        self.with_queue(id, now_ms, |slot, effects| {
            slot.meta = meta;
            slot.queue.reconfigure(config, now_ms, effects);
        });
        Ok(())
    }

    /// Answers a request of a worker.
    ///
    /// # Errors
    /// `queue_not_found`, `invalid_argument`, `bad_expression`.
    pub fn request(&mut self, request: &[u8], worker: u32, now_ms: u64) -> Result<Vec<u8>> {
        let reader = &mut Reader::new(request);
        reader.array().map_err(malformed)?;
        let what = reader.str().map_err(malformed)?;
        let mut out = Vec::new();
        match what {
            "all_stats" => {
                self.all_stats(&mut out);
                return Ok(out);
            }
            "handed_since" => {
                self.handed_since(reader, &mut out)?;
                return Ok(out);
            }
            _ => {}
        }
        if what == "route" {
            self.trace(reader, &mut out)?;
            return Ok(out);
        }
        let queue = reader.uint32().map_err(malformed)?;
        self.require(queue)?;
        match what {
            "purge" => {
                let purged = self.with_queue(queue, now_ms, |slot, effects| slot.queue.purge(now_ms, effects));
                write_uint(&mut out, purged.unwrap_or(0));
            }
            "peek" => self.peek(queue, reader, &mut out)?,
            "scheduled" => self.scheduled(queue, reader, &mut out)?,
            "cancel" => {
                let numbers = read_numbers(reader).map_err(malformed)?;
                let cancelled = self.with_queue(queue, now_ms, |slot, effects| slot.queue.cancel(&numbers, effects));
                write_uint(&mut out, cancelled.unwrap_or(0));
            }
            "stats" => self.stats(queue, &mut out),
            "take" => {
                let taken = self.take_deferred(queue, worker, reader, now_ms)?;
                write_uint(&mut out, taken);
            }
            "session" => self.session(queue, reader, false, now_ms, &mut out)?,
            "set_session" => self.session(queue, reader, true, now_ms, &mut out)?,
            "explain" => self.explain(queue, reader, &mut out)?,
            "redrive" => self.redrive(queue, reader, now_ms, &mut out)?,
            _ => return Err(malformed(Fault::Malformed)),
        }
        Ok(out)
    }

    /// Says where a message would go, and by which exchanges.
    fn trace(&mut self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<()> {
        let exchange = reader.uint32().map_err(malformed)?;
        let record = read_record(reader.blob().map_err(malformed)?).map_err(malformed)?;
        let steps = self.router.trace(exchange, &message_of(&record), TRACE_STEPS_MAX);
        write_array(out, steps.len());
        for Step { from, to } in steps {
            write_array(out, 3);
            write_uint(out, from.into());
            let (kind, id) = match to {
                Destination::Exchange(id) => ("exchange", id.into()),
                Destination::Target(Target::Queue(id)) => ("queue", id.into()),
                Destination::Target(Target::Topic(id)) => ("topic", id),
            };
            write_str(out, kind);
            write_uint(out, id);
        }
        Ok(())
    }

    fn peek(&mut self, queue: u32, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<()> {
        let from = reader.optional_uint().map_err(malformed)?;
        let max = (reader.uint().map_err(malformed)? as usize).min(PEEK_MAX);
        let mut found: Vec<Browsed> = Vec::new();
        self.require(queue)?.queue.browse(from, max, &mut found);
        self.write_messages(queue, &found, out);
        Ok(())
    }

    /// As many of them as one answer may hold.
    fn write_messages(&mut self, queue: u32, found: &[Browsed], out: &mut Vec<u8>) {
        let mut messages = Vec::new();
        let mut count = 0;
        for browsed in found {
            if messages.len() >= PEEK_BYTES_MAX {
                break;
            }
            self.write_message(queue, browsed, &mut messages);
            count += 1;
        }
        write_array(out, count);
        out.extend_from_slice(&messages);
    }

    fn write_message(&mut self, queue: u32, browsed: &Browsed, out: &mut Vec<u8>) {
        let Some(slot) = self.queues.get_mut(queue as usize).and_then(Option::as_deref_mut) else { return };
        let deaths = slot.deaths.get(&browsed.number).cloned().unwrap_or_default();
        let stored = self.journal.read(&mut slot.backlog, browsed.number).ok();
        write_map(out, 9);
        write_str(out, "number");
        write_uint(out, browsed.number);
        write_str(out, "state");
        write_str(out, state_name(browsed.state));
        write_str(out, "deliveries");
        write_uint(out, u64::from(browsed.deliveries));
        write_str(out, "dueMs");
        write_optional_uint(out, browsed.due_ms);
        write_str(out, "timestamp");
        write_optional_uint(out, stored.as_ref().map(|stored| stored.timestamp_ms));
        for (name, part) in [
            ("key", stored.as_ref().and_then(|stored| stored.record.key)),
            ("value", stored.as_ref().and_then(|stored| stored.record.value)),
        ] {
            write_str(out, name);
            match part {
                Some(bytes) => write_bin(out, bytes),
                None => write_nil(out),
            }
        }
        write_str(out, "headers");
        out.extend_from_slice(stored.as_ref().map_or(&[0xc0], |stored| stored.record.headers));
        write_str(out, "deaths");
        write_death_rows(out, &deaths, &self.exchange_names);
    }

    fn scheduled(&mut self, queue: u32, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<()> {
        let after = match reader.kind().map_err(malformed)? {
            Kind::Array => {
                reader.array().map_err(malformed)?;
                let due_ms = reader.uint().map_err(malformed)?;
                Some(Scheduled { due_ms, number: reader.uint().map_err(malformed)? })
            }
            _ => reader.optional_uint().map_err(malformed)?.map(|due_ms| Scheduled { due_ms, number: u64::MAX }),
        };
        let max = (reader.uint().map_err(malformed)? as usize).min(PEEK_MAX);
        let mut found = Vec::new();
        self.require(queue)?.queue.scheduled(after, max, &mut found);
        let waits: Vec<Browsed> = found.iter().map(delayed).collect();
        self.write_messages(queue, &waits, out);
        Ok(())
    }

    /// What metrics show of every queue, without the names of the counts: there may be thousands.
    fn all_stats(&self, out: &mut Vec<u8>) {
        let slots = || self.queues.iter().enumerate().filter_map(|(id, slot)| Some((id, slot.as_deref()?)));
        write_array(out, slots().count());
        for (id, slot) in slots() {
            let counts = slot.queue.counts();
            let values = [
                id as u64,
                counts.ready,
                counts.in_flight,
                counts.delayed,
                counts.deferred,
                counts.bytes,
                counts.consumers,
                counts.enqueued,
                counts.delivered,
                counts.redelivered,
                counts.acked,
                counts.expired,
                counts.rejected,
                counts.dropped,
                counts.dead_lettered,
            ];
            write_array(out, values.len());
            for value in values {
                write_uint(out, value);
            }
        }
    }

    fn stats(&mut self, queue: u32, out: &mut Vec<u8>) {
        let Some(slot) = self.slot(queue) else { return };
        let counts = slot.queue.counts();
        let memory_bytes = slot.queue.memory_bytes() as u64;
        let entries = [
            ("ready", counts.ready),
            ("inFlight", counts.in_flight),
            ("delayed", counts.delayed),
            ("deferred", counts.deferred),
            ("bytes", counts.bytes),
            ("consumers", counts.consumers),
            ("enqueued", counts.enqueued),
            ("delivered", counts.delivered),
            ("redelivered", counts.redelivered),
            ("acked", counts.acked),
            ("expired", counts.expired),
            ("rejected", counts.rejected),
            ("exhausted", counts.exhausted),
            ("dropped", counts.dropped),
            ("duplicates", counts.duplicates),
            ("cancelled", counts.cancelled),
            ("purged", counts.purged),
            ("removed", counts.removed),
            ("deadLettered", counts.dead_lettered),
            ("memoryBytes", memory_bytes),
        ];
        write_map(out, entries.len());
        for (name, value) in entries {
            write_str(out, name);
            write_uint(out, value);
        }
    }

    fn take_deferred(&mut self, queue: u32, worker: u32, reader: &mut Reader<'_>, now_ms: u64) -> Result<u64> {
        let connection = reader.uint32().map_err(malformed)?;
        let subscription = reader.uint32().map_err(malformed)?;
        let numbers = read_numbers(reader).map_err(malformed)?;
        let id = self.consumer_at(queue, worker, connection, subscription)?;
        let mut given = Vec::new();
        let taken = self.with_queue(queue, now_ms, |slot, effects| {
            slot.queue.take_deferred(&numbers, id, now_ms, &mut given, effects)
        });
        self.hand_out(given, now_ms);
        Ok(taken.and_then(std::result::Result::ok).unwrap_or(0))
    }
}

fn delayed(scheduled: &Scheduled) -> Browsed {
    let Scheduled { number, due_ms } = *scheduled;
    Browsed { number, state: crate::queue::State::Delayed, deliveries: 0, due_ms: Some(due_ms) }
}

pub(super) fn state_name(state: crate::queue::State) -> &'static str {
    match state {
        crate::queue::State::Ready => "ready",
        crate::queue::State::InFlight => "in_flight",
        crate::queue::State::Delayed => "delayed",
        crate::queue::State::Deferred => "deferred",
    }
}

fn read_numbers(reader: &mut Reader<'_>) -> std::result::Result<Vec<u64>, Fault> {
    (0..reader.array()?).map(|_| reader.uint()).collect()
}
