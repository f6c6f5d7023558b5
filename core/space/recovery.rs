//! A space's start: the snapshot, then what the journal has behind it by its routing
//! results, then what the ack log says became of it. The order of the last two does not
//! matter, because what is settled stays settled.

use super::ledger::{self, Entry};
use super::properties::Properties;
use super::routing::{self, Replaced, RouteRun, Routing};
use super::slot::Slot;
use super::snapshot::Point;
use super::state::State;
use crate::batch::{BatchHeader, HEADER_BYTES, records_of};
use crate::error::{ErrorCode, Result};
use crate::log::Partition;
use crate::queue::{Effect, Queue};
use crate::route::{SetId, Target};

const RUN_BYTES: usize = 1 << 20;

/// Consecutive messages to the same queues, of which nothing has to be known but how many.
#[derive(Default)]
struct PlainRun {
    set: SetId,
    first: u64,
    count: u32,
    bytes: u64,
}

impl PlainRun {
    fn add(&mut self, number: u64, bytes: u32) {
        if self.count == 0 {
            self.first = number;
        }
        self.count += 1;
        self.bytes += u64::from(bytes);
    }
}

/// Destination sets as the journal names them.
type Sets = std::collections::HashMap<SetId, Vec<Target>>;

impl State {
    /// Recovers once; until then the space takes nothing in.
    ///
    /// # Errors
    /// `bad_format`, `corrupt_batch`, `storage_failed`; the next call tries again from the start.
    pub fn ensure_recovered(&mut self, now_ms: u64) -> Result<()> {
        if self.recovered {
            return Ok(());
        }
        // What an earlier try has left half way.
        for slot in self.queues.iter_mut().filter_map(Option::as_deref_mut) {
            slot.queue = Queue::new(slot.queue.config().clone());
            slot.deaths.clear();
            slot.sessions.clear();
        }
        let point = match self.snapshot_path.clone() {
            Some(path) => self.read_snapshot(&path)?,
            None => Point::default(),
        };
        let replaced = self.replay_journal(&point)?;
        self.replay_acks(&point, replaced)?;
        for slot in self.queues.iter_mut().filter_map(Option::as_deref_mut) {
            slot.queue.recovered(now_ms);
        }
        self.count_live();
        self.recovered = true;
        self.sets_from = Some(self.journal.partition.next_offset());
        for queue in 0..self.queues.len() as u32 {
            self.activate(queue);
        }
        self.turn(now_ms, &mut super::SpaceTurn::default())?;
        self.forget_replayed(&point)
    }

    /// Puts what was replayed behind a snapshot. After a power cut the journal may end
    /// before messages that the ack log speaks of; their numbers are given again, and what
    /// is said of the old ones must never be replayed for the new ones.
    fn forget_replayed(&mut self, point: &Point) -> Result<()> {
        let (journal, acks) = (&self.journal.partition, &self.ledger.partition);
        if (journal.next_offset(), acks.next_offset()) == (point.journal_next, point.acks_next) {
            // What the snapshot on the disk lets go of may still be there.
            acks.release_below(point.acks_next);
            let lowest = self.lowest_live();
            self.journal.partition.release_below(lowest);
            return Ok(());
        }
        match self.snapshot() {
            // Room comes when messages are taken, so they have to be served.
            Err(error) if error.code == ErrorCode::DISK_FULL => Ok(()),
            written => written,
        }
    }

    /// Returns what edited messages have replaced, in the order it happened.
    fn replay_journal(&mut self, point: &Point) -> Result<Vec<Replaced>> {
        let mut replaced = Vec::new();
        let partition = std::sync::Arc::clone(&self.journal.partition);
        let mut sets = Sets::new();
        let mut routing: Option<(Routing, u64)> = None;
        let from = point.journal_next.max(partition.start_offset());
        each_batch(&partition, from, |header, body| {
            if header.attributes.is_control() {
                let record = crate::batch::read_record(body).ok();
                let found = record.and_then(|record| routing::read(record.value.unwrap_or(&[])));
                routing = found.map(|found| (found, header.base_timestamp));
                if let Some((found, _)) = &mut routing {
                    sets.extend(found.sets.drain(..));
                }
                return;
            }
            // A batch without a result in front of it was never acknowledged.
            let Some((found, now_ms)) = routing.take() else { return };
            if found.base == header.base_offset && found.count == u64::from(header.record_count) {
                self.restore_batch(header, body, &found.runs, &sets, now_ms);
                replaced.extend(found.replaced);
            }
        })?;
        Ok(replaced)
    }

    fn restore_batch(&mut self, header: &BatchHeader, body: &[u8], runs: &[RouteRun], sets: &Sets, now_ms: u64) {
        let Ok(records) = records_of(body, header.attributes) else { return };
        let mut of_runs = runs.iter().flat_map(|run| std::iter::repeat_n(run.set, run.count as usize));
        let mut plain = PlainRun::default();
        for record in records.flatten() {
            let Some(set) = of_runs.next() else { break };
            let number = header.base_offset + u64::from(record.position);
            let properties = Properties::of(record.headers);
            let (bytes, key) = (record.raw.len() as u32, record.key.unwrap_or(&[]));
            let targets = sets.get(&set).map_or(&[][..], Vec::as_slice);
            if properties.is_plain() && !self.has_groups(targets) {
                if plain.set != set {
                    let before = std::mem::replace(&mut plain, PlainRun { set, ..PlainRun::default() });
                    self.restore_run(&before, sets, now_ms);
                }
                plain.add(number, bytes);
                continue;
            }
            self.restore_run(&std::mem::take(&mut plain), sets, now_ms);
            let arrival = properties.arrival(number, bytes, key, now_ms);
            for target in targets {
                if let Some(slot) = self.durable_slot(target) {
                    slot.queue.restore(&arrival, now_ms);
                }
            }
        }
        self.restore_run(&plain, sets, now_ms);
    }

    fn restore_run(&mut self, run: &PlainRun, sets: &Sets, now_ms: u64) {
        if run.count > 0 {
            for target in sets.get(&run.set).into_iter().flatten() {
                if let Some(slot) = self.durable_slot(target) {
                    slot.queue.restore_run(run.first, run.count, run.bytes, now_ms);
                }
            }
        }
    }

    /// The queue, if it outlives a restart and is still there.
    fn durable_slot(&mut self, target: &Target) -> Option<&mut Slot> {
        match target {
            Target::Queue(id) => self.slot(*id).filter(|slot| !slot.meta.transient),
            Target::Topic(_) => None,
        }
    }

    /// What was replaced takes its place between the records: a message may come into a queue that it was taken out of.
    fn replay_acks(&mut self, point: &Point, replaced: Vec<Replaced>) -> Result<()> {
        let mut replaced = replaced.into_iter().peekable();
        let partition = std::sync::Arc::clone(&self.ledger.partition);
        let from = point.acks_next.max(partition.start_offset());
        let mut outcome = Ok(());
        each_batch(&partition, from, |header, body| {
            while let Some(before) = replaced.next_if(|replaced| replaced.acks_next <= header.base_offset) {
                self.replay_replaced(&before);
            }
            let value = crate::batch::read_record(body).ok().and_then(|record| record.value);
            let now_ms = header.base_timestamp;
            let read = ledger::entries(value.unwrap_or(&[]), |entry| self.replay_entry(entry, now_ms));
            outcome = std::mem::replace(&mut outcome, Ok(())).and(read);
        })?;
        replaced.for_each(|last| self.replay_replaced(&last));
        outcome
    }

    fn replay_replaced(&mut self, replaced: &Replaced) {
        for number in &replaced.numbers {
            let effect = Effect::Settled { first: *number, count: 1 };
            self.replay_entry(Entry::Effect { queue: replaced.queue, effect }, 0);
        }
    }

    fn replay_entry(&mut self, entry: Entry, now_ms: u64) {
        match entry {
            Entry::Effect { queue, effect } => {
                if let Some(slot) = self.slot(queue) {
                    slot.queue.replay(&effect);
                    super::slot::forget_deaths(slot, &effect);
                }
            }
            Entry::Moved { queue, arrival, deaths } => {
                let Some(slot) = self.slot(queue).filter(|slot| !slot.meta.transient) else { return };
                slot.queue.restore(&arrival, now_ms);
                if !deaths.is_empty() {
                    slot.deaths.insert(arrival.number, deaths);
                }
            }
            Entry::Session { queue, group, state } => {
                let Some(slot) = self.slot(queue).filter(|slot| !slot.meta.transient) else { return };
                slot.keep_session(group, state);
            }
        }
    }

    /// Counts what the queues hold, so that the journal knows what it may let go.
    fn count_live(&mut self) {
        let Self { queues, live, .. } = self;
        for slot in queues.iter().filter_map(Option::as_deref) {
            slot.queue.visit(&mut |first, count| live.add(first, u64::from(count)));
        }
    }
}

/// Goes over the batches of a log from `from` to its end.
fn each_batch(partition: &Partition, from: u64, mut each: impl FnMut(&BatchHeader, &[u8])) -> Result<()> {
    if from >= partition.high_watermark() {
        return Ok(());
    }
    let mut cursor = partition.cursor_at(from)?;
    while let Some(run) = partition.read_run(&mut cursor, RUN_BYTES, None)? {
        let bytes = run.bytes();
        let mut at = 0;
        while let Some(Ok(header)) = bytes.get(at..).filter(|rest| !rest.is_empty()).map(BatchHeader::parse) {
            let end = at + header.batch_bytes();
            if header.base_offset >= from {
                each(&header, bytes.get(at + HEADER_BYTES..end).unwrap_or(&[]));
            }
            at = end;
        }
    }
    Ok(())
}
