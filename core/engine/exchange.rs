//! Publishes to exchanges. A batch goes to its space at once; single records are
//! gathered until the turn, or until there are many, and go there as one batch.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::acks::{self, LEVEL_NONE, LEVEL_SYNCED, Sender};
use super::connection::{ExchangeTarget, Peer};
use super::drain;
use super::hub::Hub;
use super::publish::{self, Checked};
use crate::batch::{BodyCrc, HEADER_BYTES, read_record};
use crate::error::{CoreError, ErrorCode, Result};
use crate::ring::{Entry, NO_TIMESTAMP};
use crate::space::{Piece, Published};
use crate::wire::PublishOneFrame;
use crate::wire::out::{self, AckRun};

/// Gathered records are at most so many bytes.
const STAGED_BYTES_MAX: usize = 1 << 20;

/// Single records for one exchange that wait for the turn.
pub(super) struct Staged {
    target: ExchangeTarget,
    records: Vec<u8>,
    entries: Vec<Entry>,
    /// When the first of them came in.
    arrived_ns: u64,
}

/// Refuses what a publish to an exchange cannot carry.
pub(super) fn check(partition: Option<u32>, has_condition: bool, sequence: Option<u32>) -> Result<()> {
    let what = if partition.is_some() {
        "an exchange has no partitions"
    } else if has_condition {
        "a publish to an exchange has no condition"
    } else if sequence.is_some() {
        "single records have no sequence where they go to an exchange; batches may have one"
    } else {
        return Ok(());
    };
    Err(CoreError::new(ErrorCode::INVALID_ARGUMENT, what))
}

/// Publishes a checked batch and answers it.
pub(super) fn batch(hub: &mut Hub, peer: &mut Peer, checked: &Checked<'_>, target: &ExchangeTarget) {
    // What came before it as single records is stored before it.
    flush(hub);
    let piece = Piece { header: checked.header, body: checked.body[0], body_crc: checked.body_crc };
    let arrived_ns = hub.chunk_ns();
    let Published { outcome, returned } = publish(hub, target, &piece, arrived_ns);
    let place = (target.space.journal.log_id, target.space.journal.index);
    let mut run = checked.run;
    match outcome {
        Err(error) => {
            if error.code == ErrorCode::SCHEMA_VIOLATION {
                hub.engine.enforced.violations.fetch_add(1, Ordering::Relaxed);
            }
            peer.answers.nack(&run, &error);
        }
        Ok(base_offset) => {
            run.base_offset = base_offset;
            if let Some(base_offset) = base_offset {
                let count = checked.header.record_count;
                hub.flight.arrived(place, base_offset, count, (peer.sender, run.publisher), hub.appended);
            }
            let Some((_, code)) = returned.first().copied() else {
                publish::answer(hub, peer, &target.space.journal, run, checked.acks);
                return;
            };
            let positions: Vec<u32> = returned.iter().map(|(position, _)| *position).collect();
            out::write_returned(peer.answers.frame(), run.publisher, run.correlation, code, &positions);
            answer_in_order(hub, peer, target, run, checked.acks);
        }
    }
}

/// An ack that must not come before the frames that were written so far.
fn answer_in_order(hub: &Hub, peer: &mut Peer, target: &ExchangeTarget, mut run: AckRun, asked: u8) {
    if asked == LEVEL_NONE || asked == LEVEL_SYNCED {
        publish::answer(hub, peer, &target.space.journal, run, asked);
        return;
    }
    run.level = acks::level_after_append(&target.space.journal);
    out::write_acks(peer.answers.frame(), &[run]);
}

/// Gathers a single record.
pub(super) fn one(hub: &mut Hub, sender: Sender, target: &ExchangeTarget, frame: &PublishOneFrame<'_>) {
    let entry = Entry {
        timestamp: frame.timestamp.unwrap_or(NO_TIMESTAMP),
        worker: sender.worker,
        connection: sender.connection,
        generation: sender.generation,
        publisher: frame.publisher,
        correlation: frame.correlation,
        acks: frame.acks,
        ..Entry::default()
    };
    let same = |staged: &Staged| Arc::ptr_eq(&staged.target.space, &target.space) && staged.target.to == target.to;
    let at = hub.exchange_staged.iter().position(same).unwrap_or_else(|| {
        let arrived_ns = hub.chunk_ns();
        let staged = Staged { target: target.clone(), records: Vec::new(), entries: Vec::new(), arrived_ns };
        hub.exchange_staged.push(staged);
        hub.exchange_staged.len() - 1
    });
    let staged = &mut hub.exchange_staged[at];
    staged.records.extend_from_slice(frame.record);
    staged.entries.push(entry);
    if staged.records.len() >= STAGED_BYTES_MAX {
        flush(hub);
    }
}

/// Publishes what is gathered, and has its senders answered.
pub(super) fn flush(hub: &mut Hub) {
    if hub.exchange_staged.is_empty() {
        return;
    }
    for staged in std::mem::take(&mut hub.exchange_staged) {
        flush_one(hub, staged);
    }
}

fn flush_one(hub: &mut Hub, mut staged: Staged) {
    let mut published = publish_staged(hub, &staged);
    if published.outcome.as_ref().is_err_and(|error| error.code == ErrorCode::SCHEMA_VIOLATION) {
        refuse_violations(hub, &mut staged);
        if staged.entries.is_empty() {
            return;
        }
        published = publish_staged(hub, &staged);
    }
    let Published { outcome, returned } = published;
    let outcome = drain::Outcome {
        partition: &staged.target.space.journal,
        base: outcome.as_ref().ok().copied().flatten(),
        error: outcome.as_ref().err(),
        returned: &returned,
    };
    if outcome.answer(hub, &staged.entries) {
        hub.engine.store.request_sync(&staged.target.space.journal);
    }
}

fn publish_staged(hub: &mut Hub, staged: &Staged) -> Published {
    let piece = staged.piece(hub.engine.now_ms());
    publish(hub, &staged.target, &piece, staged.arrived_ns)
}

/// Publishes, and notes how long it took.
fn publish(hub: &mut Hub, target: &ExchangeTarget, piece: &Piece<'_>, arrived_ns: u64) -> Published {
    let begun_ns = hub.append_begins(arrived_ns);
    let published = target.space.publish(piece, target.to, hub.engine.now_ms());
    // A space hands out what is in its journal, however long the disk takes.
    hub.append_ended(&target.space.journal, arrived_ns, begun_ns, true);
    target.space.published.set_if_none(hub.appended);
    published
}

/// Takes the records out that a queue or topic refuses, and answers their senders: each record stands for itself.
fn refuse_violations(hub: &mut Hub, staged: &mut Staged) {
    let now_ms = hub.engine.now_ms();
    let Ok(violations) = staged.target.space.violations(&staged.piece(now_ms), staged.target.to, now_ms) else {
        return;
    };
    let mut violations = violations.iter().peekable();
    let records = std::mem::take(&mut staged.records);
    let entries = std::mem::take(&mut staged.entries);
    let mut rest = &records[..];
    for (index, entry) in entries.iter().enumerate() {
        let Ok(record) = read_record(rest) else { return };
        rest = &rest[record.raw.len()..];
        let Some((_, violation)) = violations.next_if(|(position, _)| *position as usize == index) else {
            staged.records.extend_from_slice(record.raw);
            staged.entries.push(*entry);
            continue;
        };
        let error = violation.at(0);
        hub.engine.enforced.violations.fetch_add(1, Ordering::Relaxed);
        let refused =
            drain::Outcome { partition: &staged.target.space.journal, base: None, error: Some(&error), returned: &[] };
        refused.answer(hub, [entry]);
    }
}

impl Staged {
    fn piece(&self, now_ms: u64) -> Piece<'_> {
        let header = drain::header_of(now_ms, &self.entries, self.records.len());
        debug_assert_eq!(header.batch_bytes(), HEADER_BYTES + self.records.len());
        Piece { header, body: &self.records, body_crc: BodyCrc::of(&self.records) }
    }
}
