//! Publishing: a batch is routed record by record, appended once with the result in
//! front of it, and handed to the queues as runs.

use std::sync::Arc;

use super::properties::{Properties, message_of};
use super::routing::{self, Replaced, RouteRun};
use super::state::State;
use crate::batch::{BatchHeader, BodyCrc, records_of};
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::{AppendOutcome, BatchIn};
use crate::route::{DEFAULT_EXCHANGE, NOWHERE, Target};

/// Where a publisher's messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishTo {
    pub exchange: u32,
    /// Tell of messages that reach nobody.
    pub mandatory: bool,
    /// Tell of messages whose queues have no consumer.
    pub require_consumer: bool,
}

impl PublishTo {
    /// From the flags of the control plane: 1 mandatory, 2 a consumer is required.
    pub fn of(exchange: u32, flags: u32) -> Self {
        const MANDATORY: u32 = 1;
        const REQUIRE_CONSUMER: u32 = 2;
        Self { exchange, mandatory: flags & MANDATORY != 0, require_consumer: flags & REQUIRE_CONSUMER != 0 }
    }
}

/// A checked batch: header, records and their CRC.
pub struct Piece<'a> {
    pub header: BatchHeader,
    /// Plain records.
    pub body: &'a [u8],
    pub body_crc: BodyCrc,
}

/// What became of a batch.
pub struct Published {
    /// The number of its first message; `None` for a duplicate of long ago.
    pub outcome: Result<Option<u64>>,
    /// Records that reached nobody, and why; for publishers that asked.
    pub returned: Vec<(u32, ErrorCode)>,
}

impl State {
    pub fn publish(&mut self, piece: &Piece<'_>, to: PublishTo, now_ms: u64) -> Published {
        let mut published = Published { outcome: Ok(None), returned: Vec::new() };
        published.outcome = self.take_in(piece, to, now_ms, &mut published);
        published
    }

    fn take_in(
        &mut self,
        piece: &Piece<'_>,
        to: PublishTo,
        now_ms: u64,
        published: &mut Published,
    ) -> Result<Option<u64>> {
        let specials = self.route(piece, to, &mut published.returned)?;
        self.check_enforced(piece)?;
        self.check_room()?;
        let Some(base) = self.append(piece, now_ms)? else { return Ok(self.duplicate()) };
        let copied = self.copy_to_topics(piece, None);
        self.keep(piece, base, specials, now_ms);
        self.touched.append(&mut copied?);
        Ok(Some(base))
    }

    /// Notes a batch that was appended, and hands its messages to the queues.
    pub(super) fn keep(&mut self, piece: &Piece<'_>, base: u64, specials: bool, now_ms: u64) {
        self.journal_bytes_since_snapshot += piece.header.batch_bytes() as u64;
        self.note_fresh(base);
        let nowhere = self.runs.iter().filter(|(run, _)| run.set == NOWHERE);
        self.counters.unroutable += nowhere.map(|(run, _)| u64::from(run.count)).sum::<u64>();
        let starts = std::mem::take(&mut self.starts);
        // Without a place in the table the messages are found by walking the log.
        let _ = self.journal.note(base, &starts);
        if specials {
            self.enqueue_one_by_one(piece, base, now_ms);
        } else {
            self.enqueue_runs(base, now_ms);
        }
        self.starts = starts;
    }

    /// Fills `runs` and `starts`. Returns whether any message has properties that a
    /// queue has to look at one by one.
    pub(super) fn route(
        &mut self,
        piece: &Piece<'_>,
        to: PublishTo,
        returned: &mut Vec<(u32, ErrorCode)>,
    ) -> Result<bool> {
        if to.exchange != DEFAULT_EXCHANGE && !self.exchange_names.contains_key(&to.exchange) {
            return Err(CoreError::new(ErrorCode::EXCHANGE_NOT_FOUND, "the exchange was deleted"));
        }
        self.runs.clear();
        self.starts.clear();
        let (mut at, mut specials) = (0, false);
        for record in records_of(piece.body, piece.header.attributes)? {
            let record = record?;
            let mut set = self.router.route(to.exchange, &message_of(&record));
            if let Some(code) = self.refusal(set, to) {
                returned.push((record.position, code));
                // A request that nobody would answer must not be answered later.
                set = NOWHERE;
            }
            specials |= record.headers.len() > 1 && !Properties::of(record.headers).is_plain();
            let bytes = record.raw.len() as u64;
            match self.runs.last_mut() {
                Some((run, run_bytes)) if run.set == set => {
                    run.count += 1;
                    *run_bytes += bytes;
                }
                _ => self.runs.push((RouteRun { count: 1, set }, bytes)),
            }
            self.starts.push(at);
            at += bytes as u32;
        }
        Ok(specials || self.runs.iter().any(|(run, _)| self.has_groups(self.router.targets(run.set))))
    }

    /// Whether a queue among these looks at every message's group.
    pub(super) fn has_groups(&self, targets: &[Target]) -> bool {
        targets.iter().any(|target| match target {
            Target::Queue(id) => {
                let slot = self.queues.get(*id as usize).and_then(Option::as_deref);
                slot.is_some_and(|slot| slot.queue.config().has_groups())
            }
            Target::Topic(_) => false,
        })
    }

    #[inline]
    fn refusal(&self, set: crate::route::SetId, to: PublishTo) -> Option<ErrorCode> {
        if !to.mandatory && !to.require_consumer {
            return None;
        }
        let targets = self.router.targets(set);
        if targets.is_empty() {
            return Some(ErrorCode::UNROUTABLE);
        }
        let has_consumer = targets.iter().any(|target| match target {
            Target::Queue(id) => {
                let slot = self.queues.get(*id as usize).and_then(Option::as_deref);
                slot.is_some_and(|slot| slot.consumers > 0)
            }
            Target::Topic(_) => true,
        });
        (to.require_consumer && !has_consumer).then_some(ErrorCode::NO_RESPONDER)
    }

    /// Whether all queues that may refuse have room; nothing is stored when one has not.
    pub(super) fn check_room(&mut self) -> Result<()> {
        for (run, bytes) in &self.runs {
            for target in self.router.targets(run.set) {
                let Target::Queue(id) = target else { continue };
                let Some(slot) = self.queues.get(*id as usize).and_then(Option::as_deref) else { continue };
                if !slot.queue.admits(u64::from(run.count), *bytes) {
                    let message = format!("the queue {} is full and refuses what is published", slot.name);
                    return Err(CoreError::new(ErrorCode::QUEUE_FULL, message));
                }
            }
        }
        Ok(())
    }

    /// Appends the routing result and the batch. `None`: the batch is a duplicate, whose
    /// base stands in `outcomes`.
    pub(super) fn append(&mut self, piece: &Piece<'_>, now_ms: u64) -> Result<Option<u64>> {
        self.append_in_place_of(piece, None, now_ms)
    }

    /// The same for messages that others leave a queue for.
    pub(super) fn append_in_place_of(
        &mut self,
        piece: &Piece<'_>,
        replaced: Option<&Replaced>,
        now_ms: u64,
    ) -> Result<Option<u64>> {
        let partition = Arc::clone(&self.journal.partition);
        let mut appender = partition.appender();
        let batch = BatchIn {
            header: piece.header,
            body: &[piece.body],
            body_crc: piece.body_crc,
            expect_next: None,
            expect_key: None,
        };
        self.outcomes.clear();
        if !appender.is_next(&piece.header) {
            // A duplicate or a refusal: the log says which, and stores nothing.
            appender.append(&[batch], &mut self.outcomes);
            return self.stored(0);
        }
        let base = appender.next_offset() + 1;
        let mut body = Vec::with_capacity(64);
        self.write_routing(&mut body, base, replaced);
        appender.append(&[routing::control(now_ms, &[&body]), batch], &mut self.outcomes);
        drop(appender);
        self.stored(1)
    }

    fn stored(&mut self, at: usize) -> Result<Option<u64>> {
        match self.outcomes.get(at) {
            Some(AppendOutcome::Appended { base_offset }) => Ok(Some(*base_offset)),
            Some(AppendOutcome::Duplicate { .. }) => Ok(None),
            Some(AppendOutcome::Rejected(error)) => Err(error.clone()),
            None => Err(CoreError::new(ErrorCode::INTERNAL, "the appender gave no outcome")),
        }
    }

    pub(super) fn duplicate(&self) -> Option<u64> {
        match self.outcomes.first() {
            Some(AppendOutcome::Duplicate { base_offset }) => *base_offset,
            _ => None,
        }
    }

    fn write_routing(&mut self, body: &mut Vec<u8>, base: u64, replaced: Option<&Replaced>) {
        let runs: Vec<RouteRun> = self.runs.iter().map(|(run, _)| *run).collect();
        let mut new_sets = Vec::new();
        for run in &runs {
            if run.set != 0 && self.name_set(run.set) {
                new_sets.push(run.set);
            }
        }
        let router = &self.router;
        routing::write_body(body, base, &runs, &new_sets, replaced, |set| router.targets(set).to_vec());
    }

    /// The common way: nothing to know of a message but its number.
    fn enqueue_runs(&mut self, base: u64, now_ms: u64) {
        let mut first = base;
        for at in 0..self.runs.len() {
            let (run, bytes) = self.runs[at];
            for index in 0..self.router.targets(run.set).len() {
                let Some(Target::Queue(id)) = self.router.targets(run.set).get(index).copied() else { continue };
                self.enqueue_run(id, first, run.count, bytes, now_ms);
            }
            first += u64::from(run.count);
        }
    }

    #[inline]
    fn enqueue_run(&mut self, queue: u32, first: u64, count: u32, bytes: u64, now_ms: u64) {
        // Before the effects, which may say that some of them have left again.
        self.live.add(first, u64::from(count));
        self.with_queue(queue, now_ms, |slot, effects| slot.queue.enqueue_run(first, count, bytes, now_ms, effects));
    }

    fn enqueue_one_by_one(&mut self, piece: &Piece<'_>, base: u64, now_ms: u64) {
        let Ok(records) = records_of(piece.body, piece.header.attributes) else { return };
        let mut runs = std::mem::take(&mut self.runs);
        let mut sets = runs.iter().flat_map(|(run, _)| std::iter::repeat_n(run.set, run.count as usize));
        for record in records.flatten() {
            let Some(set) = sets.next() else { break };
            let number = base + u64::from(record.position);
            let properties = Properties::of(record.headers);
            let bytes = record.raw.len() as u32;
            let arrival = properties.arrival(number, bytes, record.key.unwrap_or(&[]), now_ms);
            for index in 0..self.router.targets(set).len() {
                let Some(Target::Queue(id)) = self.router.targets(set).get(index).copied() else { continue };
                self.enqueue(id, &arrival, now_ms);
            }
        }
        drop(sets);
        runs.clear();
        self.runs = runs;
    }

    /// One message into one queue.
    pub fn enqueue(&mut self, queue: u32, arrival: &crate::queue::Arrival, now_ms: u64) {
        self.live.add(arrival.number, 1);
        let taken = self.with_queue(queue, now_ms, |slot, effects| slot.queue.enqueue(arrival, now_ms, effects));
        if taken != Some(true) {
            self.live.remove(arrival.number, 1);
        }
    }
}
