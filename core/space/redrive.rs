//! Redrive: dead letters go back to where they died first, or to another exchange.

use super::properties::{Properties, message_of};
use super::state::State;
use crate::error::{CoreError, ErrorCode, Result};
use crate::queue::{Arrival, Browsed, State as Place};
use crate::route::{DEFAULT_EXCHANGE, Predicate, Target};
use crate::stdx::msgpack::{Fault, Reader, write_map, write_str, write_uint};

/// Looked at together.
const PAGE: usize = 1_000;
/// One request moves at most so many: the lock is held.
const MOVED_MAX: u64 = 100_000;

struct Redrive {
    /// The exchange; `None` is where each died first.
    to: Option<u32>,
    /// In place of each message's own, with `to`.
    key: Option<Vec<u8>>,
    filter: Option<Predicate>,
    max: u64,
    dry_run: bool,
}

impl State {
    pub(super) fn redrive(
        &mut self,
        queue: u32,
        reader: &mut Reader<'_>,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let redrive = read(reader)?;
        let (mut matched, mut moved, mut from) = (0, 0, None);
        while matched < redrive.max {
            let mut page: Vec<Browsed> = Vec::new();
            self.require(queue)?.queue.browse(from, PAGE, &mut page);
            let Some(last) = page.last() else { break };
            from = Some(last.number + 1);
            for browsed in page.iter().filter(|browsed| browsed.state == Place::Ready) {
                let Some((arrival, targets)) = self.redrive_targets(queue, browsed.number, &redrive, now_ms) else {
                    continue;
                };
                matched += 1;
                if !redrive.dry_run && !targets.is_empty() && self.take_out(queue, browsed.number, now_ms) {
                    moved += 1;
                    for target in targets {
                        self.move_in(target, &arrival, Vec::new(), now_ms);
                    }
                }
                if matched >= redrive.max {
                    break;
                }
            }
        }
        self.activate(queue);
        write_map(out, 2);
        write_str(out, "matched");
        write_uint(out, matched);
        write_str(out, "moved");
        write_uint(out, moved);
        Ok(())
    }

    /// The message as it will arrive and the queues it goes to; `None` where the filter
    /// leaves it.
    fn redrive_targets(
        &mut self,
        queue: u32,
        number: u64,
        redrive: &Redrive,
        now_ms: u64,
    ) -> Option<(Arrival, Vec<u32>)> {
        let slot = self.queues.get_mut(queue as usize).and_then(Option::as_deref_mut)?;
        let first = slot.deaths.get(&number).and_then(|deaths| deaths.first()).map(|death| death.queue.clone());
        let stored = self.journal.read(&mut slot.backlog, number).ok()?;
        let record = stored.record;
        let key = record.key.unwrap_or(&[]);
        let mut message = message_of(&record);
        if redrive.filter.as_ref().is_some_and(|filter| !filter.holds(&message)) {
            return None;
        }
        let arrival = Properties::of_moved(record.headers).arrival(number, record.raw.len() as u32, key, now_ms);
        let set = if let Some(exchange) = redrive.to {
            message.routing_key = redrive.key.as_deref().unwrap_or(key);
            self.router.route(exchange, &message)
        } else {
            let name = first.unwrap_or_default();
            message.routing_key = name.as_bytes();
            self.router.route(DEFAULT_EXCHANGE, &message)
        };
        let queues = self.router.targets(set).iter().filter_map(|target| match target {
            Target::Queue(id) if *id != queue => Some(*id),
            _ => None,
        });
        Some((arrival, queues.collect()))
    }

    fn take_out(&mut self, queue: u32, number: u64, now_ms: u64) -> bool {
        self.with_queue(queue, now_ms, |slot, effects| slot.queue.remove(number, effects)).unwrap_or(false)
    }
}

fn read(reader: &mut Reader<'_>) -> Result<Redrive> {
    let malformed =
        |_: Fault| CoreError::new(ErrorCode::INVALID_ARGUMENT, "a redrive is a map of to, where, max, dryRun");
    let mut redrive = Redrive { to: None, key: None, filter: None, max: MOVED_MAX, dry_run: false };
    for _ in 0..reader.map().map_err(malformed)? {
        match reader.str().map_err(malformed)? {
            "to" => redrive.to = reader.optional_uint().map_err(malformed)?.and_then(|id| u32::try_from(id).ok()),
            "key" => redrive.key = reader.optional_blob().map_err(malformed)?.map(<[u8]>::to_vec),
            "where" if reader.nil().map_err(malformed)? => {}
            "where" => redrive.filter = Some(Predicate::parse(reader.str().map_err(malformed)?)?),
            "max" => redrive.max = reader.optional_uint().map_err(malformed)?.unwrap_or(MOVED_MAX).min(MOVED_MAX),
            "dryRun" => redrive.dry_run = reader.take(1).map_err(malformed)? == [0xc3],
            _ => reader.skip(4).map_err(malformed)?,
        }
    }
    Ok(redrive)
}
