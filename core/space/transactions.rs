//! What transactions ask of a space, as msgpack arrays. The coordinator (src/broker/transactions) decides; here its
//! decisions are prepared, and applied so that applying them again changes nothing.
//!
//! ```text
//! [claim, queue id, connection, subscription, [first tag, count...]] -> [first number, count...]
//!                                                      of a consumer of the asking worker; all or nothing
//! [unclaim, queue id, [first number, count...]]        -> nil
//! [settle, queue id, [first number, count...]]         -> how many; they are acked in the ack log when it answers
//! [check, [[exchange id, flags, batch]...]]            -> nil, or what forbids to publish them
//! [publish, producer id, producer epoch, [[exchange id, batch]...]]
//!                                                      -> [[first number|nil...], [log id, partition...]]
//! ```
//!
//! Batches carry an identity of their transaction's own, so that the journal knows those that it has. What bindings
//! copy to topics carries the second identity, that of the request; the answer names those partitions.

use std::collections::HashMap;
use std::sync::Arc;

use super::intake::{Piece, PublishTo};
use super::routing::RouteRun;
use super::state::State;
use super::topics::Identity;
use crate::batch::{HEADER_BYTES, records_of, verify};
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::Partition;
use crate::queue::{Fault as QueueFault, Number};
use crate::route::NOWHERE;
use crate::stdx::msgpack::{Fault, Reader, write_array, write_nil, write_optional_uint, write_uint};

/// Partitions of topics that have got something.
pub type Touched = Vec<Arc<Partition>>;

fn malformed(_: Fault) -> CoreError {
    CoreError::new(ErrorCode::INVALID_ARGUMENT, "this is no part of a transaction that a space knows")
}

/// `[first, count, first, count...]`.
fn read_runs(reader: &mut Reader<'_>) -> std::result::Result<Vec<(u64, u64)>, Fault> {
    let length = reader.array()?;
    if length % 2 != 0 {
        return Err(Fault::Malformed);
    }
    (0..length / 2).map(|_| Ok((reader.uint()?, reader.uint()?))).collect()
}

/// A batch of the control plane.
fn piece_of(bytes: &[u8]) -> Result<Piece<'_>> {
    let (header, body_crc) = verify(bytes)?;
    Ok(Piece { header, body: &bytes[HEADER_BYTES..header.batch_bytes()], body_crc })
}

impl State {
    /// Answers a request of a transaction's coordinator.
    ///
    /// # Errors
    /// `unknown_delivery`, `queue_not_found`; `unroutable`, `no_responder`, `schema_violation`, `queue_full` (check);
    /// `disk_full`, `storage_failed`, after which the same request may come again.
    pub fn transact(&mut self, request: &[u8], worker: u32, now_ms: u64, touched: &mut Touched) -> Result<Vec<u8>> {
        let reader = &mut Reader::new(request);
        reader.array().map_err(malformed)?;
        let mut out = Vec::new();
        match reader.str().map_err(malformed)? {
            "claim" => {
                let claimed = self.claim(reader, worker, now_ms)?;
                write_array(&mut out, claimed.len() * 2);
                for (first, count) in claimed {
                    write_uint(&mut out, first);
                    write_uint(&mut out, u64::from(count));
                }
            }
            "unclaim" => {
                let queue = reader.uint32().map_err(malformed)?;
                let runs = read_runs(reader).map_err(malformed)?;
                self.unclaim(queue, &runs, now_ms);
                write_nil(&mut out);
            }
            "settle" => {
                let queue = reader.uint32().map_err(malformed)?;
                let runs = read_runs(reader).map_err(malformed)?;
                write_uint(&mut out, self.settle_numbers(queue, &runs, now_ms)?);
            }
            "check" => {
                self.check_publishes(reader)?;
                write_nil(&mut out);
            }
            "publish" => self.publish_all(reader, now_ms, touched, &mut out)?,
            _ => return Err(malformed(Fault::Malformed)),
        }
        Ok(out)
    }

    fn claim(&mut self, reader: &mut Reader<'_>, worker: u32, now_ms: u64) -> Result<Vec<(Number, u32)>> {
        let queue = reader.uint32().map_err(malformed)?;
        let connection = reader.uint32().map_err(malformed)?;
        let subscription = reader.uint32().map_err(malformed)?;
        let ranges = read_runs(reader).map_err(malformed)?;
        let consumer = self.consumer_at(queue, worker, connection, subscription)?;
        let machine = &mut self.require(queue)?.queue;
        let mut claimed = Vec::new();
        for (first, count) in ranges {
            let Err(fault) = machine.claim(consumer, first, count, &mut claimed) else { continue };
            let tag = if let QueueFault::UnknownDelivery { tag } = fault { tag } else { first };
            let runs: Vec<(u64, u64)> = claimed.iter().map(|(first, count)| (*first, u64::from(*count))).collect();
            self.unclaim(queue, &runs, now_ms);
            let message = format!("delivery {tag} was settled before, returned to its queue, or never given");
            return Err(CoreError::new(ErrorCode::UNKNOWN_DELIVERY, message));
        }
        Ok(claimed)
    }

    /// A queue that is gone has taken its messages along.
    fn unclaim(&mut self, queue: u32, runs: &[(u64, u64)], now_ms: u64) {
        self.with_queue(queue, now_ms, |slot, effects| {
            for (first, count) in runs {
                slot.queue.unclaim(*first, u32::try_from(*count).unwrap_or(u32::MAX), now_ms, effects);
            }
        });
    }

    fn settle_numbers(&mut self, queue: u32, runs: &[(u64, u64)], now_ms: u64) -> Result<u64> {
        let numbers = || runs.iter().flat_map(|(first, count)| *first..first.saturating_add(*count));
        let settled = self.with_queue(queue, now_ms, |slot, effects| {
            numbers().map(|number| u64::from(slot.queue.settle_number(number, effects))).sum()
        });
        // Also where nothing was left to settle: an earlier try may have failed to write it.
        self.flush(now_ms)?;
        Ok(settled.unwrap_or(0))
    }

    /// Whether every batch may be published now. Room is looked at batch by batch.
    fn check_publishes(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let mut checked = Ok(());
        for _ in 0..reader.array().map_err(malformed)? {
            reader.array().map_err(malformed)?;
            let exchange = reader.uint32().map_err(malformed)?;
            let flags = reader.uint32().map_err(malformed)?;
            let piece = piece_of(reader.blob().map_err(malformed)?)?;
            checked = checked.and_then(|()| self.check_publish(&piece, PublishTo::of(exchange, flags)));
        }
        checked
    }

    fn check_publish(&mut self, piece: &Piece<'_>, to: PublishTo) -> Result<()> {
        let mut returned = Vec::new();
        self.route(piece, to, &mut returned)?;
        if let Some((position, code)) = returned.first() {
            let message = format!("record {position} of the transaction's batch reaches nobody who would take it");
            return Err(CoreError::new(*code, message));
        }
        self.check_enforced(piece)?;
        self.check_room()
    }

    fn publish_all(
        &mut self,
        reader: &mut Reader<'_>,
        now_ms: u64,
        touched: &mut Touched,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let producer_id = reader.uint().map_err(malformed)?;
        let producer_epoch =
            u16::try_from(reader.uint().map_err(malformed)?).map_err(|_| malformed(Fault::Malformed))?;
        let mut copies = Identity { producer_id, producer_epoch, sequences: HashMap::new() };
        let batches = reader.array().map_err(malformed)?;
        write_array(out, 2);
        write_array(out, batches);
        for _ in 0..batches {
            reader.array().map_err(malformed)?;
            let exchange = reader.uint32().map_err(malformed)?;
            let piece = piece_of(reader.blob().map_err(malformed)?)?;
            let base = self.publish_again(&piece, exchange, &mut copies, now_ms, touched)?;
            write_optional_uint(out, base);
        }
        write_array(out, touched.len() * 2);
        for partition in touched.iter() {
            write_uint(out, partition.log_id);
            write_uint(out, u64::from(partition.index));
        }
        Ok(())
    }

    /// Publishes a batch that may have been published before. Its copies in topics come first: a batch that the
    /// journal has needs nothing more. Limits of queues were looked at before the commit, and do not count now.
    fn publish_again(
        &mut self,
        piece: &Piece<'_>,
        exchange: u32,
        copies: &mut Identity,
        now_ms: u64,
        touched: &mut Touched,
    ) -> Result<Option<u64>> {
        let specials = match self.route(piece, PublishTo::of(exchange, 0), &mut Vec::new()) {
            // Deleted since the commit: its messages reach nobody, and what follows is numbered behind them.
            Err(error) if error.code == ErrorCode::EXCHANGE_NOT_FOUND => self.route_nowhere(piece)?,
            routed => routed?,
        };
        if self.journal.partition.appender().is_next(&piece.header) {
            touched.append(&mut self.copy_to_topics(piece, Some(copies))?);
        }
        match self.append(piece, now_ms) {
            Ok(Some(base)) => {
                self.keep(piece, base, specials, now_ms);
                Ok(Some(base))
            }
            Ok(None) => Ok(self.duplicate()),
            // A later transaction of the same coordinator is stored, and they are applied in order.
            Err(error) if error.code == ErrorCode::PRODUCER_FENCED => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn route_nowhere(&mut self, piece: &Piece<'_>) -> Result<bool> {
        self.runs.clear();
        self.starts.clear();
        let mut at = 0;
        for record in records_of(piece.body, piece.header.attributes)? {
            self.starts.push(at);
            at += record?.raw.len() as u32;
        }
        self.runs.push((RouteRun { count: piece.header.record_count, set: NOWHERE }, u64::from(at)));
        Ok(false)
    }
}
