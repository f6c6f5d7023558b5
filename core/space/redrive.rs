//! Redrive: dead letters go back to where they died first, or to another exchange. They move with their numbers, and
//! nothing is stored again; edited, they are new messages: those are appended to the journal with a routing result that
//! says which ones they replace, so that either both happened or nothing.

use super::edit::Edit;
use super::intake::Piece;
use super::properties::{Properties, message_of};
use super::routing::{Replaced, RouteRun};
use super::state::State;
use crate::batch::{BatchHeader, BodyCrc, read_record};
use crate::error::{CoreError, ErrorCode, Result};
use crate::queue::{Arrival, Browsed, State as Place};
use crate::route::{DEFAULT_EXCHANGE, Permitted, Predicate, Target};
use crate::stdx::msgpack::{
    Fault, Reader, write_array, write_bin, write_bool, write_map, write_nil, write_str, write_uint,
};

/// Looked at together.
const PAGE: usize = 1_000;
/// One request moves at most so many: the lock is held.
const MOVED_MAX: u64 = 100_000;
/// One request stores no more edited messages past so much.
const EDITED_BYTES_MAX: usize = 4 << 20;
/// A dry run shows so many messages as they would be.
const SHOWN_MAX: usize = 10;
const SHOWN_BYTES_MAX: usize = 1 << 20;

struct Redrive {
    /// The exchange; `None` is where each died first.
    to: Option<u32>,
    /// In place of each message's own, with `to`.
    key: Option<Vec<u8>>,
    filter: Option<Predicate>,
    max: u64,
    dry_run: bool,
    edit: Option<Edit>,
    /// The queues that messages may go to by their names; `None` is all of them.
    permitted: Option<Permitted>,
}

/// A message that the filter lets through.
struct Moving {
    arrival: Arrival,
    /// The queues that it goes to.
    targets: Vec<u32>,
    /// Where it is edited, the record as it is stored again; where it is only shown, as it is.
    record: Option<Vec<u8>>,
}

/// Edited messages, to be appended together.
#[derive(Default)]
struct Sheet {
    numbers: Vec<u64>,
    records: Vec<u8>,
    starts: Vec<u32>,
    runs: Vec<(RouteRun, u64)>,
}

/// What a request came to.
#[derive(Default)]
struct Tally {
    matched: u64,
    moved: u64,
    edited_bytes: usize,
    /// It ended before the queue did, and not by `max`.
    more: bool,
    shown: Vec<u8>,
    shown_count: usize,
}

impl State {
    /// Answers `{matched, moved, more, messages?}`; a dry run has `messages`, the first ones as they would be.
    ///
    /// # Errors
    /// `queue_not_found`, `invalid_argument`, `bad_expression`; `message_too_large`, `schema_violation`, `disk_full`, `storage_failed` for
    /// edited messages: what was moved before stays moved.
    pub(super) fn redrive(
        &mut self,
        queue: u32,
        reader: &mut Reader<'_>,
        now_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let redrive = read(reader)?;
        let stores = redrive.edit.is_some() && !redrive.dry_run;
        if stores {
            // What is replaced is told by its place in the ack log, so all before it has to be there.
            self.flush(now_ms)?;
        }
        let (mut tally, mut from) = (Tally::default(), None);
        while tally.matched < redrive.max && !tally.more {
            let mut page: Vec<Browsed> = Vec::new();
            self.require(queue)?.queue.browse(from, PAGE, &mut page);
            let Some(last) = page.last() else { break };
            from = Some(last.number + 1);
            let ready = page.iter().filter(|browsed| browsed.state == Place::Ready).map(|browsed| browsed.number);
            self.redrive_page(queue, ready, &redrive, &mut tally, now_ms)?;
        }
        if stores {
            // The ack log says with the next turn that the old ones are gone: not before the new ones are on the disk.
            self.journal.partition.sync_now()?;
        }
        self.activate(queue);
        tally.write(redrive.dry_run, out);
        Ok(())
    }

    fn redrive_page(
        &mut self,
        queue: u32,
        numbers: impl Iterator<Item = u64>,
        redrive: &Redrive,
        tally: &mut Tally,
        now_ms: u64,
    ) -> Result<()> {
        let mut sheet = Sheet::default();
        for number in numbers {
            if tally.matched >= redrive.max {
                break;
            }
            if tally.edited_bytes >= EDITED_BYTES_MAX {
                tally.more = true;
                break;
            }
            let Some(moving) = self.moving(queue, number, redrive, now_ms)? else { continue };
            tally.matched += 1;
            if redrive.dry_run {
                self.show(number, &moving, tally);
                continue;
            }
            if moving.targets.is_empty() {
                continue;
            }
            if let Some(record) = &moving.record {
                tally.edited_bytes += record.len();
                let targets: Vec<Target> = moving.targets.iter().map(|id| Target::Queue(*id)).collect();
                sheet.add(number, record, self.router.intern(&targets));
            } else if self.take_out(queue, number, now_ms) {
                tally.moved += 1;
                for target in moving.targets {
                    self.move_in(target, &moving.arrival, Vec::new(), now_ms);
                }
            }
        }
        tally.moved += self.replace(queue, sheet, now_ms)?;
        Ok(())
    }

    /// The message as it will arrive and the queues it goes to; `None` where the filter leaves it.
    fn moving(&mut self, queue: u32, number: u64, redrive: &Redrive, now_ms: u64) -> Result<Option<Moving>> {
        let bytes_max = self.journal.partition.config().message_bytes_max;
        let Some(slot) = self.queues.get_mut(queue as usize).and_then(Option::as_deref_mut) else { return Ok(None) };
        let first = slot.deaths.get(&number).and_then(|deaths| deaths.first()).map(|death| death.queue.clone());
        let Ok(stored) = self.journal.read(&mut slot.backlog, number) else { return Ok(None) };
        if redrive.filter.as_ref().is_some_and(|filter| !filter.holds(&message_of(&stored.record))) {
            return Ok(None);
        }
        let edited = redrive.edit.as_ref().map(|edit| edit.apply(&stored.record));
        if let Some(edited) = edited.as_ref().filter(|edited| edited.len() as u64 > bytes_max) {
            let message = format!("message {number} would have {} bytes, messageBytesMax is {bytes_max}", edited.len());
            return Err(CoreError::new(ErrorCode::MESSAGE_TOO_LARGE, message));
        }
        let record = edited.as_deref().and_then(|edited| read_record(edited).ok()).unwrap_or(stored.record);
        let key = record.key.unwrap_or(&[]);
        let arrival = Properties::of_moved(record.headers).arrival(number, record.raw.len() as u32, key, now_ms);
        let mut message = message_of(&record);
        let name = first.unwrap_or_default();
        message.routing_key =
            if redrive.to.is_some() { redrive.key.as_deref().unwrap_or(key) } else { name.as_bytes() };
        if let Some(permitted) = &redrive.permitted {
            permitted.check(Some(message.routing_key))?;
        }
        let set = self.router.route(redrive.to.unwrap_or(DEFAULT_EXCHANGE), &message);
        let queues = self.router.targets(set).iter().filter_map(|target| match target {
            Target::Queue(id) if *id != queue => Some(*id),
            _ => None,
        });
        let targets = queues.collect();
        let shown = redrive.dry_run.then(|| record.raw.to_vec());
        Ok(Some(Moving { arrival, targets, record: edited.or(shown) }))
    }

    fn take_out(&mut self, queue: u32, number: u64, now_ms: u64) -> bool {
        self.with_queue(queue, now_ms, |slot, effects| slot.queue.remove(number, effects)).unwrap_or(false)
    }

    /// Publishes edited messages in place of those that they were. Returns how many.
    fn replace(&mut self, queue: u32, sheet: Sheet, now_ms: u64) -> Result<u64> {
        if sheet.numbers.is_empty() {
            return Ok(0);
        }
        let header = BatchHeader {
            record_count: sheet.numbers.len() as u32,
            base_timestamp: now_ms,
            records_bytes: sheet.records.len() as u32,
            ..BatchHeader::EMPTY
        };
        let piece = Piece { header, body: &sheet.records, body_crc: BodyCrc::of(&sheet.records) };
        (self.runs, self.starts) = (sheet.runs, sheet.starts);
        self.check_enforced(&piece)?;
        let acks_next = self.ledger.partition.next_offset();
        let replaced = Replaced { queue, acks_next, numbers: sheet.numbers };
        let base = self.append_in_place_of(&piece, Some(&replaced), now_ms)?;
        let base = base.ok_or_else(|| CoreError::new(ErrorCode::INTERNAL, "an edited batch is no duplicate"))?;
        self.keep(&piece, base, true, now_ms);
        for number in &replaced.numbers {
            self.take_out(queue, *number, now_ms);
        }
        Ok(replaced.numbers.len() as u64)
    }

    /// Adds a message to what a dry run shows.
    fn show(&mut self, number: u64, moving: &Moving, tally: &mut Tally) {
        let Some(record) = moving.record.as_deref().and_then(|record| read_record(record).ok()) else { return };
        if tally.shown_count >= SHOWN_MAX || tally.shown.len() >= SHOWN_BYTES_MAX {
            return;
        }
        tally.shown_count += 1;
        let out = &mut tally.shown;
        write_map(out, 5);
        write_str(out, "number");
        write_uint(out, number);
        write_str(out, "queues");
        write_array(out, moving.targets.len());
        for target in &moving.targets {
            write_str(out, self.slot(*target).map_or("", |slot| &slot.name));
        }
        for (name, part) in [("key", record.key), ("value", record.value)] {
            write_str(out, name);
            match part {
                Some(bytes) => write_bin(out, bytes),
                None => write_nil(out),
            }
        }
        write_str(out, "headers");
        out.extend_from_slice(record.headers);
    }
}

impl Sheet {
    fn add(&mut self, number: u64, record: &[u8], set: crate::route::SetId) {
        let bytes = record.len() as u64;
        match self.runs.last_mut() {
            Some((run, run_bytes)) if run.set == set => {
                run.count += 1;
                *run_bytes += bytes;
            }
            _ => self.runs.push((RouteRun { count: 1, set }, bytes)),
        }
        self.numbers.push(number);
        self.starts.push(self.records.len() as u32);
        self.records.extend_from_slice(record);
    }
}

impl Tally {
    fn write(&self, is_dry: bool, out: &mut Vec<u8>) {
        write_map(out, if is_dry { 4 } else { 3 });
        write_str(out, "matched");
        write_uint(out, self.matched);
        write_str(out, "more");
        write_bool(out, self.more);
        write_str(out, "moved");
        write_uint(out, self.moved);
        if is_dry {
            write_str(out, "messages");
            write_array(out, self.shown_count);
            out.extend_from_slice(&self.shown);
        }
    }
}

fn read_permitted(reader: &mut Reader<'_>) -> Result<Permitted> {
    let malformed = |_: Fault| CoreError::new(ErrorCode::INVALID_ARGUMENT, "keys are a list of rules");
    let count = reader.array().map_err(malformed)?;
    let rules = (0..count).map(|_| reader.str()).collect::<std::result::Result<Vec<_>, _>>().map_err(malformed)?;
    Permitted::read(rules)
}

fn read(reader: &mut Reader<'_>) -> Result<Redrive> {
    let malformed = |_: Fault| {
        CoreError::new(ErrorCode::INVALID_ARGUMENT, "a redrive is a map of to, key, where, max, dryRun, edit")
    };
    let mut redrive =
        Redrive { to: None, key: None, filter: None, max: MOVED_MAX, dry_run: false, edit: None, permitted: None };
    for _ in 0..reader.map().map_err(malformed)? {
        match reader.str().map_err(malformed)? {
            "to" => redrive.to = reader.optional_uint().map_err(malformed)?.and_then(|id| u32::try_from(id).ok()),
            "key" => redrive.key = reader.optional_blob().map_err(malformed)?.map(<[u8]>::to_vec),
            "where" | "edit" if reader.nil().map_err(malformed)? => {}
            "where" => redrive.filter = Some(Predicate::parse(reader.str().map_err(malformed)?)?),
            "max" => redrive.max = reader.optional_uint().map_err(malformed)?.unwrap_or(MOVED_MAX).min(MOVED_MAX),
            "dryRun" => redrive.dry_run = reader.take(1).map_err(malformed)? == [0xc3],
            "edit" => redrive.edit = Some(Edit::read(reader).map_err(malformed)?),
            "keys" => redrive.permitted = Some(read_permitted(reader)?),
            _ => reader.skip(4).map_err(malformed)?,
        }
    }
    Ok(redrive)
}
