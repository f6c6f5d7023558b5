//! Publishes: from a frame to the log or the ring. Runs once a frame, so nothing
//! here allocates on the way of a record that is accepted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::acks::{self, AckEvent, LEVEL_NONE, LEVEL_SYNCED};
use super::connection::{ExchangeTarget, Peer, Publisher};
use super::credit::refusal;
use super::drain;
use super::exchange;
use super::hub::Hub;
use super::partition_state::state_of;
use crate::batch::{
    Attributes, BatchHeader, BodyCrc, Compression, HEADER_BYTES, compression, each_value, murmur2::partition_of,
    verify, walk,
};
use crate::error::{CoreError, ErrorCode, Result};
use crate::log::{AppendOutcome, BatchIn, Durability, LogConfig, Partition};
use crate::ring::{Entry, NO_TIMESTAMP, PushError};
use crate::schema::Enforcement;
use crate::wire::out::AckRun;
use crate::wire::{BadPublish, Condition, PublishFrame, PublishOneFrame};

/// At most so many batches are appended together: what they are noted in lies on
/// the stack, and the kernel takes 1024 parts a call.
const TOGETHER_MAX: usize = 64;

/// Batches of one chunk for one partition, checked and not appended yet. One write
/// of several costs less than one for each: the page cache takes long runs in large
/// folios, and short ones that begin and end anywhere in small ones.
#[derive(Default)]
pub(super) struct Pending<'c> {
    batches: SmallVec<[Checked<'c>; 8]>,
}

pub(super) struct Checked<'c> {
    partition: Arc<Partition>,
    config: Arc<LogConfig>,
    pub header: BatchHeader,
    pub body: [&'c [u8]; 1],
    pub body_crc: BodyCrc,
    condition: Condition<'c>,
    pub run: AckRun,
    pub acks: u8,
    exchange: Option<ExchangeTarget>,
}

impl Pending<'_> {
    /// Whether a batch may be appended in one go with those that wait: a condition
    /// is held against what stands in the log.
    fn goes_with(&self, next: &Checked<'_>) -> bool {
        self.batches.len() < TOGETHER_MAX
            && self.batches.last().is_none_or(|last| {
                Arc::ptr_eq(&last.partition, &next.partition)
                    && last.condition == Condition::None
                    && next.condition == Condition::None
            })
    }
}

/// Checks a client's batch and notes it, to be appended and answered by `flush`.
pub(super) fn batch<'c>(hub: &mut Hub, peer: &mut Peer, pending: &mut Pending<'c>, frame: &PublishFrame<'c>) {
    peer.credit.take(frame.frame_bytes);
    // Before its bytes are looked at, which takes time.
    hub.chunk_ns();
    let mut run = single(frame.publisher, frame.correlation);
    match check(hub, peer, frame, &mut run) {
        Err(error) => {
            flush(hub, peer, pending);
            peer.answers.nack(&run, &error);
        }
        Ok(checked) if checked.exchange.is_some() => {
            peer.meter.messages += u64::from(checked.header.record_count);
            flush(hub, peer, pending);
            if let Some(target) = &checked.exchange {
                exchange::batch(hub, peer, &checked, target);
            }
        }
        Ok(checked) => {
            peer.meter.messages += u64::from(checked.header.record_count);
            if !pending.goes_with(&checked) {
                flush(hub, peer, pending);
            }
            pending.batches.push(checked);
        }
    }
}

/// Appends what waits and answers it. Everything that came before a frame has to be
/// in the log before the frame is handled.
#[inline]
pub(super) fn flush(hub: &mut Hub, peer: &mut Peer, pending: &mut Pending<'_>) {
    if !pending.batches.is_empty() {
        flush_some(hub, peer, &pending.batches);
        pending.batches.clear();
    }
}

fn flush_some(hub: &mut Hub, peer: &mut Peer, checked: &[Checked<'_>]) {
    let Some(Checked { partition, config, .. }) = checked.first() else { return };
    let batches: SmallVec<[BatchIn<'_>; 8]> =
        checked.iter().map(|one| batch_in(one.header, &one.body, one.body_crc, one.condition)).collect();
    append(hub, partition, config, &batches);
    let mut outcomes = std::mem::take(&mut hub.outcomes);
    for (one, outcome) in checked.iter().zip(outcomes.drain(..)) {
        let mut run = one.run;
        if let AppendOutcome::Appended { base_offset } = outcome {
            let place = (partition.log_id, partition.index);
            hub.flight.arrived(
                place,
                base_offset,
                one.header.record_count,
                (peer.sender, one.run.publisher),
                hub.appended,
            );
        }
        match base_of(outcome) {
            Err(error) => peer.answers.nack(&run, &error),
            Ok(base_offset) => {
                run.base_offset = base_offset;
                answer(hub, peer, partition, run, one.acks);
            }
        }
    }
    hub.outcomes = outcomes;
}

/// Answers a publish whose frame could not be read.
pub(super) fn refuse(peer: &mut Peer, bad: BadPublish) {
    peer.credit.take(bad.frame_bytes);
    peer.answers.nack(&single(bad.publisher, bad.correlation), &bad.fault.into());
}

/// The answer to one correlation id, before the outcome is known.
fn single(publisher: u32, correlation: u32) -> AckRun {
    AckRun { publisher, correlation, count: 1, partition: 0, base_offset: None, level: LEVEL_NONE }
}

fn check<'c>(hub: &mut Hub, peer: &mut Peer, frame: &PublishFrame<'c>, run: &mut AckRun) -> Result<Checked<'c>> {
    if let Some(code) = hub.refusal {
        return Err(refusal(code));
    }
    let publisher = peer.publisher(frame.publisher)?;
    let exchange = publisher.exchange.clone();
    if exchange.is_some() {
        exchange::check(frame.partition, frame.condition != Condition::None, None)?;
    }
    let partition = choose(publisher, frame.partition, None)?.clone();
    run.partition = partition.index;
    let config = publisher.log.config();
    let (enforcement, is_exchange) = (publisher.enforcement.clone(), exchange.is_some());
    let (header, body_crc) = check_content(hub, &config, enforcement.as_deref(), is_exchange, frame.batch)?;
    if header.has_producer() && header.producer_id != publisher.producer_id {
        let message = format!("the publisher was not opened with producer id {}", header.producer_id);
        return Err(CoreError::new(ErrorCode::UNKNOWN_PRODUCER, message));
    }
    if let Some(permitted) = &publisher.permitted {
        permitted.check_records(&frame.batch[HEADER_BYTES..], header.attributes)?;
    }
    let body = [&frame.batch[HEADER_BYTES..]];
    let (condition, acks) = (frame.condition, frame.acks);
    Ok(Checked { partition, config, header, body, body_crc, condition, run: *run, acks, exchange })
}

/// A client's batch is what its header says, and allowed on this topic.
pub(super) fn check_content(
    hub: &mut Hub,
    config: &LogConfig,
    enforcement: Option<&Enforcement>,
    is_exchange: bool,
    bytes: &[u8],
) -> Result<(BatchHeader, BodyCrc)> {
    let batch_bytes_max = hub.engine.options.batch_bytes_max;
    if bytes.len() > batch_bytes_max {
        let message = format!("the batch has {} bytes, batchBytesMax is {batch_bytes_max}", bytes.len());
        return Err(CoreError::new(ErrorCode::BATCH_TOO_LARGE, message));
    }
    let (header, body_crc) = verify(bytes)?;
    if header.batch_bytes() != bytes.len() {
        return Err(CoreError::new(ErrorCode::BAD_BATCH, "the frame holds more than one batch"));
    }
    check_attributes(header.attributes)?;
    if is_exchange && header.attributes.compression() != Compression::None {
        let message = "an exchange looks at every record, so batches for it are not compressed";
        return Err(CoreError::new(ErrorCode::COMPRESSION_REFUSED, message));
    }
    if header.record_count == 0 {
        return Err(CoreError::new(ErrorCode::BAD_BATCH, "the batch holds no record"));
    }
    let records = compression::plain_records(&header, &bytes[HEADER_BYTES..], batch_bytes_max)?;
    let found = walk(&records, header.attributes, header.record_count, config.message_bytes_max as usize)?;
    if config.compact && found.keyless > 0 {
        return Err(keyless());
    }
    if let Some(enforcement) = enforcement {
        enforce(hub, enforcement, &records)?;
    }
    Ok((header, body_crc))
}

/// The records are such as the topic takes.
fn enforce(hub: &mut Hub, enforcement: &Enforcement, records: &[u8]) -> Result<()> {
    let Hub { engine, memo, .. } = hub;
    each_value(records, |position, value, headers| {
        let checked = enforcement.check(&engine.enforced.schemas, value, headers, memo);
        checked.map_err(|violation| {
            engine.enforced.violations.fetch_add(1, Ordering::Relaxed);
            violation.at(position)
        })
    })
}

fn check_attributes(attributes: Attributes) -> Result<()> {
    let reserved = attributes.is_control()
        || attributes.is_transactional()
        || attributes.is_sparse()
        || attributes.is_append_time();
    let sparse_timestamps = attributes.is_absolute() && attributes.compression() == Compression::Zstd;
    if reserved || sparse_timestamps {
        let message = format!("attributes {:#06x} are the broker's own", attributes.0);
        return Err(CoreError::new(ErrorCode::BAD_BATCH, message));
    }
    Ok(())
}

fn keyless() -> CoreError {
    CoreError::new(ErrorCode::BAD_RECORD, "a compacted topic takes only records with a key")
}

fn batch_in<'a>(header: BatchHeader, body: &'a [&'a [u8]], body_crc: BodyCrc, condition: Condition<'a>) -> BatchIn<'a> {
    let (expect_next, expect_key) = match condition {
        Condition::None => (None, None),
        Condition::NextOffset(offset) => (Some(offset), None),
        Condition::Key { key, last_offset } => (None, Some((key, last_offset))),
    };
    BatchIn { header, body, body_crc, expect_next, expect_key }
}

/// Drains the partition's ring, so that nothing overtakes, and appends;
/// `hub.outcomes` then holds one outcome a batch.
fn append(hub: &mut Hub, partition: &Arc<Partition>, config: &LogConfig, batches: &[BatchIn<'_>]) {
    let arrived_ns = hub.chunk_ns();
    drain::partition(hub, partition, arrived_ns);
    hub.outcomes.clear();
    let begun_ns = hub.append_begins(arrived_ns);
    let summary = partition.appender().append(batches, &mut hub.outcomes);
    hub.append_ended(partition, arrived_ns, begun_ns, summary.committed);
    if summary.committed {
        hub.wake_watchers(partition);
    }
    if config.durability == Durability::Synced {
        hub.engine.store.request_sync(partition);
    }
}

/// The base offset of a batch; `None` for a duplicate whose offset is forgotten.
fn base_of(outcome: AppendOutcome) -> Result<Option<u64>> {
    match outcome {
        AppendOutcome::Appended { base_offset } => Ok(Some(base_offset)),
        AppendOutcome::Duplicate { base_offset } => Ok(base_offset),
        AppendOutcome::Rejected(error) => Err(error),
    }
}

/// Answers an appended publish now, or leaves the answer for the sync it asked for.
pub(super) fn answer(hub: &Hub, peer: &mut Peer, partition: &Arc<Partition>, mut run: AckRun, asked: u8) {
    if asked == LEVEL_NONE {
        return;
    }
    if asked == LEVEL_SYNCED && !partition.is_memory() {
        let event = AckEvent { sender: peer.sender, run, error: None, returned: None };
        acks::defer(state_of(partition), partition.next_offset(), event);
        hub.engine.store.request_sync(partition);
        return;
    }
    run.level = acks::level_after_append(partition);
    peer.answers.ack(run);
}

/// Puts a single record into its partition's ring.
pub(super) fn one(hub: &mut Hub, peer: &mut Peer, frame: &PublishOneFrame<'_>) {
    peer.credit.take(frame.frame_bytes);
    peer.meter.messages += 1;
    let mut run = single(frame.publisher, frame.correlation);
    if let Some(code) = hub.refusal {
        peer.answers.nack(&run, &refusal(code));
        return;
    }
    let sender = peer.sender;
    let result = peer.publisher(frame.publisher).and_then(|publisher| {
        if let Some(permitted) = &publisher.permitted {
            permitted.check(frame.key)?;
        }
        if let Some(target) = &publisher.exchange {
            let config = publisher.log.config();
            check_one(publisher, &config, frame)?;
            exchange::check(frame.partition, frame.condition != Condition::None, frame.sequence)?;
            exchange::one(hub, sender, target, frame);
            return Ok(None);
        }
        let partition = choose(publisher, frame.partition, frame.key)?;
        run.partition = partition.index;
        let config = publisher.log.config();
        check_one(publisher, &config, frame)?;
        if let Some(enforcement) = &publisher.enforcement {
            enforce(hub, enforcement, frame.record)?;
        }
        let entry = Entry {
            producer_id: frame.sequence.map_or(0, |_| publisher.producer_id),
            producer_epoch: publisher.producer_epoch,
            sequence: frame.sequence.unwrap_or(0),
            timestamp: frame.timestamp.unwrap_or(NO_TIMESTAMP),
            worker: sender.worker,
            connection: sender.connection,
            generation: sender.generation,
            publisher: frame.publisher,
            correlation: frame.correlation,
            acks: frame.acks,
            ..Entry::default()
        };
        if frame.condition != Condition::None {
            let partition = partition.clone();
            let base = alone(hub, &partition, &config, &entry, frame)?;
            return Ok(Some((partition, base)));
        }
        stage(hub, partition, &config, &entry, frame)
    });
    match result {
        Err(error) => peer.answers.nack(&run, &error),
        Ok(None) => {}
        Ok(Some((partition, base))) => {
            run.base_offset = base;
            answer(hub, peer, &partition, run, frame.acks);
        }
    }
}

fn check_one(publisher: &Publisher, config: &LogConfig, frame: &PublishOneFrame<'_>) -> Result<()> {
    if frame.record.len() as u64 > config.message_bytes_max {
        let message =
            format!("the record has {} bytes, messageBytesMax is {}", frame.record.len(), config.message_bytes_max);
        return Err(CoreError::new(ErrorCode::MESSAGE_TOO_LARGE, message));
    }
    if config.compact && frame.key.is_none() {
        return Err(keyless());
    }
    if frame.sequence.is_some() && (publisher.producer_id == 0 || frame.partition.is_none()) {
        let message = "a sequence needs a publisher opened with a producer id, and an explicit partition";
        return Err(CoreError::new(ErrorCode::INVALID_ARGUMENT, message));
    }
    Ok(())
}

type Appended = Option<(Arc<Partition>, Option<u64>)>;

/// Stages the record; a full ring is drained first, and a record too large for
/// the ring is appended by itself.
#[inline]
fn stage(
    hub: &mut Hub,
    partition: &Arc<Partition>,
    config: &LogConfig,
    entry: &Entry,
    frame: &PublishOneFrame<'_>,
) -> Result<Appended> {
    let state = state_of(partition);
    let ring = state.ring(hub.engine.options.ring_bytes);
    loop {
        match ring.push(*entry, frame.record) {
            Ok(()) => break,
            // Another worker may refill it in between; each round appends what was there.
            Err(PushError::Full) => {
                let arrived_ns = hub.chunk_ns();
                drain::partition(hub, partition, arrived_ns);
            }
            Err(PushError::TooLarge) => {
                let base = alone(hub, partition, config, entry, frame)?;
                return Ok(Some((partition.clone(), base)));
            }
        }
    }
    if state.stage() {
        let arrived_ns = hub.chunk_ns();
        hub.staged.push((partition.clone(), arrived_ns));
    }
    Ok(None)
}

/// Appends one record as a batch of its own.
fn alone(
    hub: &mut Hub,
    partition: &Arc<Partition>,
    config: &LogConfig,
    entry: &Entry,
    frame: &PublishOneFrame<'_>,
) -> Result<Option<u64>> {
    let body = [frame.record];
    let header = drain::header_of(hub.engine.now_ms(), std::slice::from_ref(entry), frame.record.len());
    let batch = batch_in(header, &body, BodyCrc::of(frame.record), frame.condition);
    append(hub, partition, config, &[batch]);
    match hub.outcomes.pop() {
        Some(outcome) => base_of(outcome),
        None => Err(CoreError::new(ErrorCode::INTERNAL, "the appender gave no outcome")),
    }
}

/// The partition asked for, or the key's, or the sticky one.
#[inline]
fn choose<'p>(publisher: &'p Publisher, asked: Option<u32>, key: Option<&[u8]>) -> Result<&'p Arc<Partition>> {
    let count = publisher.partitions.len() as u32;
    let index = match (asked, key) {
        (Some(index), _) => index,
        (None, Some(key)) => partition_of(key, count),
        (None, None) => publisher.sticky % count.max(1),
    };
    publisher.partitions.get(index as usize).ok_or_else(|| {
        let message = format!("partition {index} of {count}");
        CoreError::new(ErrorCode::PARTITION_NOT_FOUND, message)
    })
}
