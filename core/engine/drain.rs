//! From the ring to the log: what single records were staged since the last turn
//! becomes one batch (or a few, where idempotent producers mix), in one write.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::acks::{self, AckEvent, LEVEL_NONE, LEVEL_SYNCED, Sender};
use super::hub::Hub;
use super::partition_state::state_of;
use crate::batch::{Attributes, BatchHeader, BodyCrc};
use crate::error::{CoreError, ErrorCode};
use crate::log::{AppendOutcome, BatchIn, Durability, Partition};
use crate::ring::{Drained, Entry, NO_TIMESTAMP};
use crate::wire::out::AckRun;

/// A gathered batch is at most this large, so that it passes any reader's limits.
const BATCH_BYTES_MAX: usize = 1 << 20;
const BATCH_RECORDS_MAX: usize = 1 << 16;

/// Appends everything that is staged for the partition; the first of it came in at `arrived_ns`.
pub(super) fn partition(hub: &mut Hub, partition: &Arc<Partition>, arrived_ns: u64) {
    let Some(ring) = state_of(partition).ring_if_used() else { return };
    if ring.is_empty() {
        return;
    }
    loop {
        let now_ms = hub.engine.now_ms();
        let count = ring.drain(BATCH_RECORDS_MAX, |drained| append(hub, partition, &drained, (now_ms, arrived_ns)));
        // Less than the most that a drain gives is all there was when it began.
        // What another worker has staged since is that one's turn: going on until
        // the ring is empty would keep this loop for as long as the other pushes.
        if count < BATCH_RECORDS_MAX {
            return;
        }
    }
}

fn append(hub: &mut Hub, partition: &Arc<Partition>, drained: &Drained<'_>, (now_ms, arrived_ns): (u64, u64)) {
    let begun_ns = hub.append_begins(arrived_ns);
    let mut appender = partition.appender();
    let ranges = split(drained, |entry| appender.expected_sequence(entry.producer_id, entry.producer_epoch));
    let bodies: SmallVec<[[&[u8]; 2]; 4]> = ranges.iter().map(|range| drained.runs(range.clone())).collect();
    let batches: SmallVec<[BatchIn<'_>; 4]> = ranges
        .iter()
        .zip(&bodies)
        .map(|(range, body)| {
            let bytes = body[0].len() + body[1].len();
            BatchIn {
                header: header_of(now_ms, range.clone().filter_map(|index| drained.get(index)), bytes),
                body,
                body_crc: BodyCrc::of_parts(body),
                expect_next: None,
                expect_key: None,
            }
        })
        .collect();
    let mut outcomes = std::mem::take(&mut hub.outcomes);
    outcomes.clear();
    let summary = appender.append(&batches, &mut outcomes);
    drop(appender);
    hub.append_ended(partition, arrived_ns, begun_ns, summary.committed);
    if summary.committed {
        hub.wake_watchers(partition);
    }
    let mut wants_sync = partition.config().durability == Durability::Synced;
    for (range, outcome) in ranges.iter().zip(&outcomes) {
        let entries = range.clone().map_while(|index| drained.get(index));
        wants_sync |= Outcome::of(partition, outcome).answer(hub, entries);
    }
    if wants_sync {
        hub.engine.store.request_sync(partition);
    }
    hub.outcomes = outcomes;
}

/// Ranges of entries that can share a batch: the same producer, consecutive
/// sequences, and no more than a batch may hold. After a reconnect an idempotent
/// producer sends again what it has no answer for; where what is stored (or stands
/// earlier in the ring) ends and new records begin, the range is cut, so that the
/// log can tell the duplicates from the rest.
fn split(drained: &Drained<'_>, expected: impl Fn(&Entry) -> u32) -> SmallVec<[Range<usize>; 4]> {
    let mut ranges = SmallVec::new();
    let (mut start, mut bytes) = (0, 0);
    let mut sequences = Sequences::default();
    let mut previous: Option<(&Entry, bool)> = None;
    for index in 0..drained.len() {
        let Some(entry) = drained.get(index) else { break };
        let is_new = entry.producer_id == 0 || sequences.take(entry, &expected);
        let together = previous.is_some_and(|(before, was_new)| was_new == is_new && continues(before, entry));
        if index > start && (!together || bytes + entry.record_bytes() > BATCH_BYTES_MAX) {
            ranges.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes += entry.record_bytes();
        previous = Some((entry, is_new));
    }
    ranges.push(start..drained.len());
    ranges
}

/// The sequence that comes next for each idempotent producer of a drain.
#[derive(Default)]
struct Sequences {
    /// Producer id and epoch of the entry at hand, and what comes next for it.
    current: (u64, u16),
    next: u32,
    /// Of the others that were met.
    others: HashMap<(u64, u16), u32>,
}

impl Sequences {
    /// Whether the entry is what comes next; what follows it does then.
    #[inline]
    fn take(&mut self, entry: &Entry, expected: &impl Fn(&Entry) -> u32) -> bool {
        let producer = (entry.producer_id, entry.producer_epoch);
        if producer != self.current {
            if self.current.0 != 0 {
                self.others.insert(self.current, self.next);
            }
            self.current = producer;
            self.next = self.others.get(&producer).copied().unwrap_or_else(|| expected(entry));
        }
        let is_next = entry.sequence == self.next;
        self.next = self.next.wrapping_add(u32::from(is_next));
        is_next
    }
}

fn continues(before: &Entry, entry: &Entry) -> bool {
    before.producer_id == entry.producer_id
        && (entry.producer_id == 0
            || (before.producer_epoch == entry.producer_epoch && before.sequence.wrapping_add(1) == entry.sequence))
}

/// The header of a batch gathered from `entries`.
///
/// Records carry absolute timestamps or nil, and nil means the base timestamp.
/// So the base is the time of the append where any record is nil, and the
/// earliest timestamp where none is: a replay of old events keeps their times.
pub(super) fn header_of<'e>(
    now_ms: u64,
    entries: impl IntoIterator<Item = &'e Entry>,
    records_bytes: usize,
) -> BatchHeader {
    let (mut earliest, mut latest, mut count, mut any_nil) = (u64::MAX, 0, 0u32, false);
    let mut first = Entry::default();
    for entry in entries {
        if count == 0 {
            first = *entry;
        }
        count += 1;
        if entry.timestamp == NO_TIMESTAMP {
            any_nil = true;
        } else {
            earliest = earliest.min(entry.timestamp);
            latest = latest.max(entry.timestamp);
        }
    }
    let base_timestamp = if any_nil || count == 0 { now_ms } else { earliest };
    let is_anonymous = first.producer_id == 0;
    BatchHeader {
        attributes: Attributes::PLAIN.with_absolute(),
        record_count: count,
        base_timestamp,
        max_timestamp_delta: u32::try_from(latest.saturating_sub(base_timestamp)).unwrap_or(u32::MAX),
        producer_id: first.producer_id,
        producer_epoch: if is_anonymous { 0 } else { first.producer_epoch },
        base_sequence: if is_anonymous { 0 } else { first.sequence },
        records_bytes: records_bytes as u32,
        ..BatchHeader::EMPTY
    }
}

/// What became of a gathered batch, for the senders of its records.
pub(super) struct Outcome<'a> {
    pub partition: &'a Arc<Partition>,
    /// Offset of the first record; `None` for a duplicate whose offsets are not known any more.
    pub base: Option<u64>,
    pub error: Option<&'a CoreError>,
    /// Positions of records that were stored and reached nobody, ascending, and why.
    pub returned: &'a [(u32, ErrorCode)],
}

/// Neighbours that one ack answers.
struct Open {
    entry: Entry,
    count: u32,
    base_offset: Option<u64>,
    returned: Option<ErrorCode>,
}

impl Outcome<'_> {
    fn of<'a>(partition: &'a Arc<Partition>, outcome: &'a AppendOutcome) -> Outcome<'a> {
        let (base, error) = match outcome {
            AppendOutcome::Appended { base_offset } => (Some(*base_offset), None),
            AppendOutcome::Duplicate { base_offset } => (*base_offset, None),
            AppendOutcome::Rejected(error) => (None, Some(error)),
        };
        Outcome { partition, base, error, returned: &[] }
    }

    /// Answers the senders, in runs. Returns whether any waits for a sync.
    pub fn answer<'e>(&self, hub: &mut Hub, entries: impl IntoIterator<Item = &'e Entry>) -> bool {
        let mut returned = self.returned.iter().peekable();
        let mut wants_sync = false;
        let mut open: Option<Open> = None;
        for (index, entry) in entries.into_iter().enumerate() {
            let why = returned.next_if(|(position, _)| *position as usize == index).map(|(_, code)| *code);
            if let Some(run) = &mut open
                && why.is_none()
                && run.takes(entry)
            {
                run.count += 1;
                continue;
            }
            if let Some(run) = open.take() {
                wants_sync |= self.close(hub, &run);
            }
            let base_offset = self.base.map(|base| base + index as u64);
            open = Some(Open { entry: *entry, count: 1, base_offset, returned: why });
        }
        if let Some(run) = open {
            wants_sync |= self.close(hub, &run);
        }
        wants_sync
    }

    /// Sends the answer of a run on its way. Returns whether it waits for a sync.
    fn close(&self, hub: &mut Hub, run: &Open) -> bool {
        let entry = &run.entry;
        let sender = Sender { worker: entry.worker, connection: entry.connection, generation: entry.generation };
        if let (Some(base_offset), None) = (run.base_offset, self.error) {
            let place = (self.partition.log_id, self.partition.index);
            hub.flight.arrived(place, base_offset, run.count, (sender, entry.publisher), hub.appended);
        }
        let wants_ack = entry.acks != LEVEL_NONE;
        if !wants_ack && self.error.is_none() && run.returned.is_none() {
            return false;
        }
        let ack = AckRun {
            publisher: entry.publisher,
            correlation: entry.correlation,
            count: run.count,
            partition: self.partition.index,
            base_offset: run.base_offset,
            level: if wants_ack { acks::level_after_append(self.partition) } else { LEVEL_NONE },
        };
        let event = AckEvent { sender, run: ack, error: self.error.cloned(), returned: run.returned };
        if event.error.is_none() && entry.acks == LEVEL_SYNCED && !self.partition.is_memory() {
            acks::defer(state_of(self.partition), self.partition.next_offset(), event);
            return true;
        }
        hub.answer(event);
        false
    }
}

impl Open {
    #[inline]
    fn takes(&self, next: &Entry) -> bool {
        self.returned.is_none()
            && next.correlation == self.entry.correlation.wrapping_add(self.count)
            && next.worker == self.entry.worker
            && next.connection == self.entry.connection
            && next.generation == self.entry.generation
            && next.publisher == self.entry.publisher
            && next.acks == self.entry.acks
    }
}
