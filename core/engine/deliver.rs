//! Deliveries: what a connection is sent in one turn. Runs of whole batches go
//! out as a frame head and a view of the segment's map; small ones are copied
//! behind their head, because a write costs more than the copy.

use std::sync::atomic::Ordering;

use super::cold::{self, Outlook, Warm, Warmed};
use super::connection::{Peer, Ready};
use super::hub::Hub;
use super::partition_state::{Watch, state_of};
use super::plan::op;
use super::source::{Source, State, Subscription};
use super::view::View;
use crate::clock::Stamp;
use crate::error::{CoreError, ErrorCode};
use crate::log::Run;
use crate::route::Filter;
use crate::wire::out;

/// Room that a frame head or an end-of-source frame needs in the arena.
const HEAD_BYTES_MAX: usize = 512;
const MESSAGE_CHARS_MAX: usize = 100;
/// What a worker keeps of memory in which it has made batches.
const VIEWED_BYTES_KEPT: usize = 4 << 20;

/// What became of a source that was looked at.
enum Step {
    /// Something was written; there may be more.
    Wrote,
    /// Nothing to do until it is made ready again.
    Parked(State),
    Ended(CoreError),
    Completed,
}

/// Writes what the connection is owed, up to the turn's budget. Returns the bytes
/// planned; the connection then waits for `Worker::written`.
pub(super) fn connection(hub: &mut Hub, peer: &mut Peer) -> usize {
    let start = hub.plan.arena.len();
    let mut write = Writer {
        start,
        budget: hub.engine.options.write_bytes_per_turn,
        room: hub.arena_room(),
        planned: 0,
        looked_at: 0,
    };
    peer.answers.write_into(&mut hub.plan.arena, write.budget.min(write.room));
    write.spend(hub.plan.arena.len() - start);
    while write.has_room()
        && let Some(next) = peer.ready.pop()
    {
        match next {
            Ready::Source { subscription, source } => step(hub, peer, &mut write, subscription, source),
            Ready::Queue { subscription } => queue(hub, peer, &mut write, subscription),
        }
    }
    hub.plan.write_arena_from(peer.sender.connection, write.start);
    peer.writing = write.planned > 0;
    write.planned + write.looked_at
}

/// Writes what a consumer of a queue is owed.
fn queue(hub: &mut Hub, peer: &mut Peer, write: &mut Writer, subscription: u32) {
    let Some(found) = peer.queues.get_mut(subscription) else { return };
    let priority = found.priority;
    let delivered = {
        let (budget, now_ms) = (write.budget.min(write.room), hub.engine.now_ms());
        found.space.deliver(found.consumer, &mut hub.plan.arena, budget, now_ms)
    };
    write.spend(delivered.bytes);
    let stamp = std::mem::take(&mut found.stamp);
    if stamp.is_known() && delivered.bytes > 0 {
        peer.timing.planned(hub, stamp);
    }
    if delivered.more {
        peer.ready.push(priority, Ready::Queue { subscription });
    }
}

/// The turn's budget of one connection, and where its unsent arena bytes begin.
struct Writer {
    start: usize,
    budget: usize,
    room: usize,
    planned: usize,
    /// Bytes that were looked at and not sent: they cost time, too.
    looked_at: usize,
}

impl Writer {
    /// Accounts for bytes put into the arena.
    fn spend(&mut self, bytes: usize) {
        self.planned += bytes;
        self.budget = self.budget.saturating_sub(bytes);
        self.room = self.room.saturating_sub(bytes);
    }

    fn has_room(&self) -> bool {
        self.budget > 0 && self.room > HEAD_BYTES_MAX
    }
}

fn step(hub: &mut Hub, peer: &mut Peer, write: &mut Writer, subscription_id: u32, source_id: u32) {
    let sender = peer.sender;
    let watch = Watch {
        worker: sender.worker,
        connection: sender.connection,
        generation: sender.generation,
        subscription: subscription_id,
        source: source_id,
    };
    let Some(subscription) = peer.subscription(subscription_id) else { return };
    if subscription.credit_bytes <= 0 {
        park(subscription, source_id, State::Starved);
        return;
    }
    let Subscription { credit_bytes, buffer_bytes_max, filter, sources, .. } = subscription;
    let Some(source) = sources.get_mut(&source_id) else { return };
    let is_view = filter.is_some() || source.reader.is_some();
    let priority = source.priority;
    let mut stamp = Stamp::default();
    let found = match read(hub, source, write, watch, *credit_bytes, *buffer_bytes_max) {
        Ok(Found::Run(run)) => {
            stamp = std::mem::take(&mut source.stamp);
            let from = source.next_offset;
            let written = if is_view {
                send_view(hub, write, watch, &run, source, filter.as_ref())
            } else {
                let written = send(hub, write, watch, &run);
                advance(source, &run);
                Ok(written)
            };
            note_sent(hub, source, from, &watch);
            match written {
                Ok(written) => after_run(source, credit_bytes, written),
                Err(error) => Step::Ended(error),
            }
        }
        Ok(Found::Park(state)) => Step::Parked(state),
        Ok(Found::Again) => Step::Wrote,
        Ok(Found::End) => Step::Completed,
        Ok(Found::Skipped(records)) => {
            let before = hub.plan.arena.len();
            out::write_dropped(&mut hub.plan.arena, subscription_id, source_id, records);
            write.spend(hub.plan.arena.len() - before);
            hub.records_dropped += records;
            Step::Wrote
        }
        Err(error) => Step::Ended(error),
    };
    match found {
        Step::Wrote => {
            let next = Ready::Source { subscription: subscription_id, source: source_id };
            peer.ready.push(priority, next);
        }
        Step::Parked(state) => park(subscription, source_id, state),
        Step::Completed => end(hub, write, subscription, watch, None),
        Step::Ended(error) => end(hub, write, subscription, watch, Some(&error)),
    }
    if stamp.is_known() {
        peer.timing.planned(hub, stamp);
    }
}

/// Notes what a source was sent since it stood at `from`.
#[inline]
fn note_sent(hub: &mut Hub, source: &Source, from: u64, watch: &Watch) {
    let at_ns = hub.serving_ns();
    let place = (source.partition.log_id, source.partition.index);
    hub.flight.sent(place, (from, source.next_offset), watch, at_ns);
}

fn after_run(source: &Source, credit_bytes: &mut i64, written: usize) -> Step {
    *credit_bytes -= i64::try_from(written).unwrap_or(i64::MAX);
    if source.until.is_some_and(|until| source.next_offset >= until) { Step::Completed } else { Step::Wrote }
}

enum Found {
    Run(Run),
    Park(State),
    /// The end moved while it was looked at: look again.
    Again,
    /// The bounded read is complete.
    End,
    /// This many offsets are gone or were jumped over.
    Skipped(u64),
}

fn read(
    hub: &Hub,
    source: &mut Source,
    write: &Writer,
    watch: Watch,
    credit_bytes: i64,
    buffer_bytes_max: u64,
) -> Result<Found, CoreError> {
    if source.until.is_some_and(|until| source.next_offset >= until) {
        return Ok(Found::End);
    }
    if source.partition.is_deleted() {
        return Err(CoreError::new(ErrorCode::TOPIC_DELETED, "the topic was deleted"));
    }
    if buffer_bytes_max > 0
        && let Some(skipped) = skip_ahead(source, buffer_bytes_max)?
    {
        return Ok(Found::Skipped(skipped));
    }
    let bytes_max =
        write.budget.min(hub.engine.options.delivery_bytes_max).min(usize::try_from(credit_bytes).unwrap_or(0));
    let mut cursor = match source.cursor.take() {
        Some(cursor) => cursor,
        None => match source.partition.cursor_at(source.next_offset) {
            Ok(cursor) => cursor,
            Err(error) => return fallen_off(source, error),
        },
    };
    let bytes_max = match cold::look(hub, source, &mut cursor, bytes_max, watch) {
        Outlook::Clear(bytes_max) => bytes_max,
        Outlook::Wait => {
            source.cursor = Some(cursor);
            return Ok(Found::Park(State::Faulting));
        }
        Outlook::Lost => return Err(unreadable(source.next_offset)),
    };
    let end = source.partition.high_watermark();
    match source.partition.read_run(&mut cursor, bytes_max, source.until) {
        Ok(Some(run)) => {
            source.cursor = Some(cursor);
            if let Some(warm) = &mut source.warm {
                warm.spend(run.len);
            }
            Ok(Found::Run(run))
        }
        Ok(None) => {
            // Compaction may have left nothing between here and the next segment.
            source.next_offset = source.next_offset.max(cursor.next_offset());
            (source.cursor, source.warm) = (Some(cursor), None);
            Ok(watch_end(source, watch, end))
        }
        Err(error) => fallen_off(source, error),
    }
}

fn unreadable(offset: u64) -> CoreError {
    CoreError::new(ErrorCode::STORAGE_FAILED, format!("what follows offset {offset} cannot be read from disk"))
}

/// Registers the source at the partition's end, unless the end has moved from
/// `seen` meanwhile or nothing below `until` is left.
fn watch_end(source: &Source, watch: Watch, seen: u64) -> Found {
    let state = state_of(&source.partition);
    state.watch(watch);
    if source.partition.is_deleted() {
        // Another worker's deletion may have woken the watchers just before.
        state.unwatch(&watch);
        return Found::Again;
    }
    let end = source.partition.high_watermark();
    if end == seen && source.until.is_none_or(|until| until > end) {
        return Found::Park(State::Watching);
    }
    state.unwatch(&watch);
    if source.until.is_some_and(|until| until <= end) && end == seen { Found::End } else { Found::Again }
}

/// The log's start has passed the reader: it goes on there and is told how many
/// offsets it missed. Any other error ends the source.
fn fallen_off(source: &mut Source, error: CoreError) -> Result<Found, CoreError> {
    let start = source.partition.start_offset();
    if error.code != ErrorCode::OFFSET_OUT_OF_RANGE || source.next_offset >= start {
        return Err(error);
    }
    let skipped = start - source.next_offset;
    source.next_offset = start;
    (source.cursor, source.warm) = (None, Some(Warm::default()));
    Ok(Found::Skipped(skipped))
}

/// An at-most-once subscriber that is too far behind jumps to the watermark.
fn skip_ahead(source: &mut Source, buffer_bytes_max: u64) -> Result<Option<u64>, CoreError> {
    let bytes_in = source.partition.metrics.bytes_in.load(Ordering::Relaxed);
    if bytes_in.saturating_sub(source.reached_bytes) <= buffer_bytes_max {
        return Ok(None);
    }
    let end = source.partition.high_watermark();
    source.reached_bytes = bytes_in;
    if end <= source.next_offset {
        return Ok(None);
    }
    let skipped = end - source.next_offset;
    (source.cursor, source.warm) = (Some(source.partition.cursor_at(end)?), None);
    source.next_offset = end;
    Ok(Some(skipped))
}

fn advance(source: &mut Source, run: &Run) {
    source.next_offset = run.next_offset;
    source.reached_bytes += run.len as u64;
    let metrics = &source.partition.metrics;
    metrics.records_out.fetch_add(run.records, Ordering::Relaxed);
    metrics.bytes_out.fetch_add(run.len as u64, Ordering::Relaxed);
}

/// Plans the frame of what a subscription with a filter or a reader schema gets of a run; returns its bytes.
fn send_view(
    hub: &mut Hub,
    write: &mut Writer,
    watch: Watch,
    run: &Run,
    source: &mut Source,
    filter: Option<&Filter>,
) -> Result<usize, CoreError> {
    let Hub { engine, memo, viewed: bytes, plan, .. } = hub;
    let (schemas, options) = (&engine.enforced.schemas, &engine.options);
    let view = View { filter, reader: source.reader, schemas, batch_bytes_max: options.batch_bytes_max };
    bytes.clear();
    let viewed = view.apply(run, options.delivery_bytes_max, memo, bytes)?;
    let before = plan.arena.len();
    out::write_deliver_head(&mut plan.arena, watch.subscription, watch.source, bytes.len());
    plan.arena.extend_from_slice(bytes);
    let written = plan.arena.len() - before;
    write.spend(written);
    let unsent = viewed.read_bytes.saturating_sub(written);
    write.looked_at += unsent;
    write.budget = write.budget.saturating_sub(unsent);
    if viewed.read_bytes < run.len {
        // What was read too far is found anew.
        source.cursor = None;
        source.next_offset = viewed.next_offset;
    } else {
        source.next_offset = run.next_offset;
    }
    source.reached_bytes += viewed.read_bytes as u64;
    let metrics = &source.partition.metrics;
    metrics.records_out.fetch_add(viewed.records, Ordering::Relaxed);
    metrics.bytes_out.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    if bytes.capacity() > VIEWED_BYTES_KEPT {
        *bytes = Vec::new();
    }
    Ok(written)
}

/// Plans the frame of a run; returns its bytes.
fn send(hub: &mut Hub, write: &mut Writer, watch: Watch, run: &Run) -> usize {
    let connection = watch.connection;
    let before = hub.plan.arena.len();
    out::write_deliver_head(&mut hub.plan.arena, watch.subscription, watch.source, run.len);
    let head_bytes = hub.plan.arena.len() - before;
    write.spend(head_bytes);
    let copy = run.len < hub.engine.options.view_bytes_min && run.len <= write.room;
    if copy {
        hub.plan.arena.extend_from_slice(run.bytes());
        write.spend(run.len);
        return head_bytes + run.len;
    }
    let (slot, is_new) = hub.maps.slot(&run.map);
    if is_new {
        hub.plan.push(op::MAP_OPEN, [u64::from(slot)]);
    }
    hub.plan.write_arena_from(connection, write.start);
    hub.plan.push(op::WRITE_MAP, [u64::from(connection), u64::from(slot), run.start as u64, run.len as u64]);
    write.start = hub.plan.arena.len();
    write.budget = write.budget.saturating_sub(run.len);
    write.planned += run.len;
    head_bytes + run.len
}

fn park(subscription: &mut Subscription, source_id: u32, state: State) {
    let Some(source) = subscription.sources.get_mut(&source_id) else { return };
    source.state = state;
    if state == State::Starved {
        // From now on it is the consumer that takes its time.
        source.stamp = Stamp::default();
        if let Some(warm) = &mut source.warm {
            warm.spend(0);
        }
        subscription.starved.push(source_id);
    }
}

/// Ends a source: its frame, and word to TypeScript for its books.
fn end(hub: &mut Hub, write: &mut Writer, subscription: &mut Subscription, watch: Watch, error: Option<&CoreError>) {
    let Some(source) = subscription.sources.remove(&watch.source) else { return };
    let next = source.next_offset;
    let before = hub.plan.arena.len();
    let code = error.map_or(0, |error| error.code.0);
    let message: String = error.map_or("", |error| &error.message).chars().take(MESSAGE_CHARS_MAX).collect();
    out::write_source_end(&mut hub.plan.arena, watch.subscription, watch.source, next, code, &message);
    write.spend(hub.plan.arena.len() - before);
    let operands =
        [u64::from(watch.connection), u64::from(watch.subscription), u64::from(watch.source), u64::from(code), next];
    hub.source_ends.push(operands);
}

/// Puts a source that was watching, starving or faulting back on the ready list.
pub(super) fn make_ready(peer: &mut Peer, subscription_id: u32, source_id: u32) {
    let Some(subscription) = peer.subscription(subscription_id) else { return };
    let Some(source) = subscription.sources.get_mut(&source_id) else { return };
    if source.state == State::Ready || source.state == State::Starved {
        return;
    }
    if source.state == State::Watching {
        source.stamp = state_of(&source.partition).moved.get();
    }
    source.state = State::Ready;
    let priority = source.priority;
    peer.ready.push(priority, Ready::Source { subscription: subscription_id, source: source_id });
}

/// Notes what the prefault thread could read in for a source, which then goes on.
pub(super) fn warmed(peer: &mut Peer, warmed: &Warmed) {
    let Watch { subscription, source, .. } = warmed.watch;
    let found = peer.subscription(subscription).and_then(|found| found.sources.get_mut(&source));
    if found.is_some_and(|found| cold::answered(found, warmed)) {
        make_ready(peer, subscription, source);
    }
}

/// Grants credit; starved sources are ready again.
pub(super) fn flow(peer: &mut Peer, subscription_id: u32, bytes: u64, bytes_max: u64) {
    let Peer { subscriptions, ready, .. } = peer;
    let Some(subscription) = subscriptions.get_mut(subscription_id) else { return };
    let granted = subscription.credit_bytes.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
    subscription.credit_bytes = granted.min(i64::try_from(bytes_max).unwrap_or(i64::MAX));
    if subscription.credit_bytes <= 0 {
        return;
    }
    for source_id in std::mem::take(&mut subscription.starved) {
        let Some(source) = subscription.sources.get_mut(&source_id) else { continue };
        source.state = State::Ready;
        ready.push(source.priority, Ready::Source { subscription: subscription_id, source: source_id });
    }
}

/// Takes a source's watch off its partition.
pub(super) fn forget(source: &Source, watch: Watch) {
    if source.state == State::Watching {
        state_of(&source.partition).unwatch(&watch);
    }
}
